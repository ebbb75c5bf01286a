/// AES-GCM of one packet with a key that has few powers of the hash key (docs/decisions/0012).
///
/// For a CPU as `vector_keys.h` wants it, and the same slots. Of the hash key's powers these functions read as many as there
/// are blocks of AAD and text and one more, but never more than sixteen, however long the packet is. A secret may stay in a
/// register until `vector_keys_erase`, which ends a burst.
#pragma once

#if defined(__x86_64__)

#include <stddef.h>

/// The powers with which a key serves packets of any length.
enum { vector_gcm_powers = 16 };

/// Encrypts length octets in place and writes the tag, 16 octets. The nonce has 12 octets.
void vector_gcm_seal_256(const void *key, const void *nonce, const void *aad, size_t aad_length, void *text,
                         size_t length, void *tag);
void vector_gcm_seal_128(const void *key, const void *nonce, const void *aad, size_t aad_length, void *text,
                         size_t length, void *tag);

/// Decrypts length octets in place and writes the tag that they should have; the caller compares it.
void vector_gcm_open_256(const void *key, const void *nonce, const void *aad, size_t aad_length, void *text,
                         size_t length, void *tag);
void vector_gcm_open_128(const void *key, const void *nonce, const void *aad, size_t aad_length, void *text,
                         size_t length, void *tag);

#endif
