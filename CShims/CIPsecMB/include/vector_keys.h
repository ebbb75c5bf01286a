/// Key expansion for keys that serve one packet: the one C code here that is not a door (docs/decisions/0012).
///
/// IPsec-MB expands one key at a time and always to 48 powers of the hash key, which costs four times as much as sealing 64
/// octets. These functions expand several keys at once, each in a 128-bit lane of its own, to as many powers as its packet
/// needs, in the layout of the library's AVX512-VAES code (`struct gcm_key_data`), which then seals and opens with them.
///
/// Only for a CPU with AVX-512 (F, BW, DQ, VL), VAES and VPCLMULQDQ. Slots are aligned to 64, 1024 octets each.
#pragma once

#if defined(__x86_64__)

#include <stddef.h>
#include <stdint.h>

/// Powers of the hash key in a whole `struct gcm_key_data`.
enum { vector_keys_most_powers = 48 };

/// Expands count AES-256 keys, 32 octets apart at `keys`, into slots `stride` octets apart. powers[i] says how many powers
/// of the hash key the i-th slot needs, 1 to 48; it gets as many or a few more, and what was in the slot's others stays.
void vector_keys_expand_256(const void *keys, void *slots, size_t stride, const uint8_t *powers, size_t count);

/// The same for AES-128 keys, the first 16 of 32 octets each.
void vector_keys_expand_128(const void *keys, void *slots, size_t stride, const uint8_t *powers, size_t count);

/// Zeroes count slots into which keys of at most so many powers were expanded, and the slots' last sixteen octets.
void vector_keys_erase(void *slots, size_t stride, size_t powers, size_t count);

/// AES-256-ECB of count blocks in place, with the schedule that the library makes.
void vector_keys_encrypt_blocks(const void *schedule, void *blocks, size_t count);

#endif
