/// AES-GCM of packets (docs/decisions/0012).
///
/// For a CPU as `vector_keys.h` wants it, and the same slots. `powers` says how many powers of the hash key the slot has: all
/// `vector_keys_most_powers`, or else `vector_gcm_powers` or fewer. Then these functions read as many as there are blocks of
/// AAD and text and one more, but never more than sixteen, however long the packet is. A secret may stay in a register until
/// `vector_keys_erase`, which ends a burst.
#pragma once

#if defined(__x86_64__)

#include <stddef.h>
#include <stdint.h>

enum {
  /// The fewest powers with which a key serves packets of any length.
  vector_gcm_powers = 16,
  /// Octets of the longest text.
  vector_gcm_longest = 65535,
};

/// One packet that is sealed.
typedef struct {
  const void *key;
  const void *aad;
  void *text;
  void *tag;          // 16 octets; NULL: right behind the text
  uint8_t nonce[16];  // the first 12 count
  uint32_t aad_length, length;
  uint32_t powers;
  uint32_t unused;
} vector_gcm_packet;

/// Encrypts count packets in place, `stride` octets apart, and writes their tags.
void vector_gcm_seal_256(const vector_gcm_packet *packets, size_t stride, size_t count);
void vector_gcm_seal_128(const vector_gcm_packet *packets, size_t stride, size_t count);

/// Decrypts length octets in place and writes the tag that they should have; the caller compares it.
void vector_gcm_open_256(const void *key, size_t powers, const void *nonce, const void *aad, size_t aad_length,
                         void *text, size_t length, void *tag);
void vector_gcm_open_128(const void *key, size_t powers, const void *nonce, const void *aad, size_t aad_length,
                         void *text, size_t length, void *tag);

#endif
