/// Intel's IPsec Multi-Buffer library as the IPsec-MB engine uses it.
///
/// The library's entry points are macros over function pointers in a manager, which Swift cannot call; each function
/// here is named after the macro it wraps, and inlines into Swift. Pointers are `void *` because a slot of key memory
/// has no type of its own there. x86-64 only, as the library is.
#pragma once

#if defined(__x86_64__)
#if !__has_include(<intel-ipsec-mb.h>)
#error "libipsec-mb-dev is missing: run make deps, or build with KEYWEAVE_WITHOUT_IPSEC_MB=1"
#else

#include <intel-ipsec-mb.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "vector_gcm.h"
#include "vector_keys.h"

enum {
  /// Octets the library uses of an expanded GCM key, without what aligning the type to 64 adds.
  CIPsecMB_gcm_key_size =
      offsetof(struct gcm_key_data, ghash_keys) + sizeof(((struct gcm_key_data *)0)->ghash_keys),
  CIPsecMB_tag_size = 16,
};

/// What the CPU must have for `vector_keys.h`, as a manager's `features` tell it.
static const uint64_t CIPsecMB_vector_features = IMB_FEATURE_AVX512_SKX | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;

/// A manager with the fastest code this CPU can run; NULL without memory. Check `features` before use.
static inline IMB_MGR *CIPsecMB_alloc_mb_mgr(void) {
  IMB_MGR *manager = alloc_mb_mgr(0);
  if (manager != NULL) init_mb_mgr_auto(manager, NULL);
  return manager;
}

static inline void CIPsecMB_IMB_AES256_GCM_PRE(IMB_MGR *manager, const void *key, void *expanded) {
  IMB_AES256_GCM_PRE(manager, key, (struct gcm_key_data *)expanded);
}

static inline void CIPsecMB_IMB_AES128_GCM_PRE(IMB_MGR *manager, const void *key, void *expanded) {
  IMB_AES128_GCM_PRE(manager, key, (struct gcm_key_data *)expanded);
}

static inline void CIPsecMB_IMB_AES256_GCM_ENC(IMB_MGR *manager, const void *expanded, const void *nonce,
                                               const void *aad, uint64_t aad_length, void *text, uint64_t length,
                                               void *tag) {
  struct gcm_context_data context;
  IMB_AES256_GCM_ENC(manager, expanded, &context, text, text, length, nonce, aad, aad_length, tag, CIPsecMB_tag_size);
}

static inline void CIPsecMB_IMB_AES128_GCM_ENC(IMB_MGR *manager, const void *expanded, const void *nonce,
                                               const void *aad, uint64_t aad_length, void *text, uint64_t length,
                                               void *tag) {
  struct gcm_context_data context;
  IMB_AES128_GCM_ENC(manager, expanded, &context, text, text, length, nonce, aad, aad_length, tag, CIPsecMB_tag_size);
}

/// Writes the tag the text should have; the caller compares it.
static inline void CIPsecMB_IMB_AES256_GCM_DEC(IMB_MGR *manager, const void *expanded, const void *nonce,
                                               const void *aad, uint64_t aad_length, void *text, uint64_t length,
                                               void *tag) {
  struct gcm_context_data context;
  IMB_AES256_GCM_DEC(manager, expanded, &context, text, text, length, nonce, aad, aad_length, tag, CIPsecMB_tag_size);
}

/// Writes the tag the text should have; the caller compares it.
static inline void CIPsecMB_IMB_AES128_GCM_DEC(IMB_MGR *manager, const void *expanded, const void *nonce,
                                               const void *aad, uint64_t aad_length, void *text, uint64_t length,
                                               void *tag) {
  struct gcm_context_data context;
  IMB_AES128_GCM_DEC(manager, expanded, &context, text, text, length, nonce, aad, aad_length, tag, CIPsecMB_tag_size);
}

/// AES-256's encryption schedule, 240 octets (aligned 16). The decryption schedule that the library makes with it is
/// not wanted, but is as secret as the key.
void CIPsecMB_IMB_AES_KEYEXP_256(IMB_MGR *manager, const void *key, void *schedule);

/// AES-256-ECB of count blocks (at least one) in place, as one job: so the library's wide code runs over all of them at
/// once. False if the library did not finish the job.
bool CIPsecMB_IMB_SUBMIT_JOB_ECB(IMB_MGR *manager, const void *schedule, void *blocks, uint64_t count);

#endif
#endif
