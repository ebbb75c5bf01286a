/// OpenSSL's EVP as the engines and the vault use it: AES-GCM in place, AES-256-ECB, AES-256 key wrap, HMAC-SHA-256 and
/// SHA-256, with every octet of key material that OpenSSL keeps in locked memory (`arena.c`).
///
/// Algorithms are fetched once and contexts are kept: naming a cipher again, or making a context, costs more than
/// sealing a small packet. Every function that returns bool returns true on success.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// OpenSSL's EVP_CIPHER_CTX.
typedef struct evp_cipher_ctx_st COpenSSL_context;

typedef enum {
  COpenSSL_ready,
  /// Another part of the process had used OpenSSL before its allocator could be replaced.
  COpenSSL_allocator_refused,
  /// AES-GCM, AES-256-ECB, AES key wrap or HMAC is not provided (a configuration of OpenSSL without the default provider).
  COpenSSL_algorithm_missing,
  /// No memory for keys could be reserved and locked.
  COpenSSL_no_key_memory,
} COpenSSL_state;

/// Fetches the algorithms and reserves the arena, once per process; to be called before anything else here.
COpenSSL_state COpenSSL_start(void);

/// "OpenSSL 3.0.19 27 Jan 2026": the library that was loaded, not the one compiled against.
const char *COpenSSL_version(void);

/// A context for AES-256-GCM or AES-128-GCM under the zero key; NULL when no memory could be locked.
COpenSSL_context *COpenSSL_gcm_new(bool aes128);

/// Octets of the arena that one such context takes.
size_t COpenSSL_gcm_size(void);

/// A context for AES-256-ECB under the zero key; NULL when no memory could be locked.
COpenSSL_context *COpenSSL_ecb_new(void);

/// Zeroes and frees a context; NULL is allowed.
void COpenSSL_context_free(COpenSSL_context *context);

/// Replaces the context's key (32 or 16 octets, as the context was made); nothing of the old key stays.
bool COpenSSL_set_key(COpenSSL_context *context, const void *key);

/// Encrypts in place, writes the 16-octet tag. The nonce has 12 octets. A key that is not NULL replaces the context's first,
/// as `COpenSSL_set_key` does, but for less.
bool COpenSSL_gcm_seal(COpenSSL_context *context, const void *key, const void *nonce, const void *aad,
                       size_t aad_length, void *text, size_t length, void *tag);

typedef enum {
  /// OpenSSL did not do it: the context may not have taken the key.
  COpenSSL_failed,
  /// The tag is not the right one.
  COpenSSL_refused,
  COpenSSL_opened,
} COpenSSL_opening;

/// Decrypts in place, with a new key if that is not NULL. The 16-octet tag is compared in constant time.
COpenSSL_opening COpenSSL_gcm_open(COpenSSL_context *context, const void *key, const void *nonce, const void *aad,
                                   size_t aad_length, void *text, size_t length, const void *tag);

/// Encrypts count 16-octet blocks in place.
bool COpenSSL_ecb_encrypt(COpenSSL_context *context, void *blocks, size_t count);

/// HMAC-SHA-256, writes 32 octets. One at a time in the process: so the key memory that the first one used and freed
/// serves every later one, also when no more can be locked.
bool COpenSSL_hmac_sha256(const void *key, size_t key_length, const void *message, size_t length, void *output);

/// AES key wrap (RFC 3394) of length octets, a multiple of 8, under 32 octets; writes length + 8.
bool COpenSSL_key_wrap(const void *kek, const void *key, size_t length, void *wrapped);

/// The reverse: takes length octets, writes length - 8; false if they were not wrapped under this key.
bool COpenSSL_key_unwrap(const void *kek, const void *wrapped, size_t length, void *key);

/// SHA-256, writes 32 octets; leaves nothing of the message behind. Allocates nothing, and needs no COpenSSL_start.
void COpenSSL_sha256(const void *message, size_t length, void *output);

/// True if length octets at both places are equal; takes the same time wherever they differ.
bool COpenSSL_equal(const void *a, const void *b, size_t length);

/// The arena of key memory.
typedef struct {
  const void *base;
  /// Octets from base that are locked; what follows cannot be accessed.
  size_t locked;
  /// Octets in blocks that are allocated now.
  size_t allocated;
} COpenSSL_arena;

COpenSSL_arena COpenSSL_key_arena(void);

/// Zeroed key memory of the arena, for a key that must stand beside a context; NULL when no memory could be locked.
void *COpenSSL_key_alloc(size_t size);

/// Zeroes and frees what `COpenSSL_key_alloc` gave; NULL is allowed.
void COpenSSL_key_free(void *memory);
