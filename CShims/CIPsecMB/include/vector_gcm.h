/// AES-GCM of one packet (docs/decisions/0012).
///
/// For a CPU as `vector_keys.h` wants it, and the same slots. `powers` says how many powers of the hash key the slot has: all
/// `vector_keys_most_powers`, or else `vector_gcm_powers` or fewer. Then these functions read as many as there are blocks of
/// AAD and text and one more, but never more than sixteen, however long the packet is. A secret may stay in a register until
/// `vector_keys_erase`, which ends a burst.
#pragma once

#if defined(__x86_64__)

#include <stddef.h>

/// The fewest powers with which a key serves packets of any length.
enum { vector_gcm_powers = 16 };

/// Encrypts length octets in place and writes the tag, 16 octets. The nonce has 12 octets.
void vector_gcm_seal_256(const void *key, size_t powers, const void *nonce, const void *aad, size_t aad_length,
                         void *text, size_t length, void *tag);
void vector_gcm_seal_128(const void *key, size_t powers, const void *nonce, const void *aad, size_t aad_length,
                         void *text, size_t length, void *tag);

/// Decrypts length octets in place and writes the tag that they should have; the caller compares it.
void vector_gcm_open_256(const void *key, size_t powers, const void *nonce, const void *aad, size_t aad_length,
                         void *text, size_t length, void *tag);
void vector_gcm_open_128(const void *key, size_t powers, const void *nonce, const void *aad, size_t aad_length,
                         void *text, size_t length, void *tag);

#endif
