// Four keys at a time in the four 128-bit lanes of a vector register. See vector.h for what both files promise.
#include "vector_keys.h"

#if defined(__x86_64__)

#include "vector.h"

enum {
  first_powers = powers_end - 64,  // powers 4, 3, 2, 1
  key_octets = 32,
};

_Static_assert(sizeof(((struct gcm_key_data *)0)->ghash_keys.vaes_avx512.shifted_hkey) == 16 * vector_keys_most_powers,
               "another layout of hash keys");
_Static_assert(offsetof(struct gcm_key_data, ghash_keys) == 15 * 16, "another layout of round keys");
_Static_assert(powers_end + 16 == slot_size, "a slot is a key and sixteen octets");

INLINE __m512i load_four(const uint8_t *place, size_t step, size_t last) {
  // Where there are fewer than four, the last one fills the other lanes.
  const uint8_t *second = place + (last < 1 ? last : 1) * step;
  const uint8_t *third = place + (last < 2 ? last : 2) * step;
  const uint8_t *fourth = place + (last < 3 ? last : 3) * step;
  __m512i lanes = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)place));
  lanes = _mm512_inserti32x4(lanes, _mm_loadu_si128((const __m128i *)second), 1);
  lanes = _mm512_inserti32x4(lanes, _mm_loadu_si128((const __m128i *)third), 2);
  return _mm512_inserti32x4(lanes, _mm_loadu_si128((const __m128i *)fourth), 3);
}

// Each argument has one block of each of four slots; the four blocks of a slot go to its place together. The last slot is
// written last, so that lanes which only repeat it do no harm.
INLINE void store_four(uint8_t *place, size_t step, size_t last, __m512i a, __m512i b, __m512i c, __m512i d) {
  __m512i ab01 = _mm512_shuffle_i64x2(a, b, 0x44), ab23 = _mm512_shuffle_i64x2(a, b, 0xee);
  __m512i cd01 = _mm512_shuffle_i64x2(c, d, 0x44), cd23 = _mm512_shuffle_i64x2(c, d, 0xee);
  _mm512_storeu_si512(place, _mm512_shuffle_i64x2(ab01, cd01, 0x88));
  if (last < 1) return;
  _mm512_storeu_si512(place + step, _mm512_shuffle_i64x2(ab01, cd01, 0xdd));
  if (last < 2) return;
  _mm512_storeu_si512(place + 2 * step, _mm512_shuffle_i64x2(ab23, cd23, 0x88));
  if (last < 3) return;
  _mm512_storeu_si512(place + 3 * step, _mm512_shuffle_i64x2(ab23, cd23, 0xdd));
}

// MARK: Round keys (FIPS 197, section 5.2)

// In every lane: w0, w0 ^ w1, w0 ^ w1 ^ w2, w0 ^ w1 ^ w2 ^ w3, XOR a word in all four places.
INLINE __m512i chained(__m512i words, __m512i word) {
  words = _mm512_xor_si512(words, _mm512_bslli_epi128(words, 4));
  words = _mm512_xor_si512(words, _mm512_bslli_epi128(words, 8));
  return _mm512_xor_si512(words, word);
}

// SubWord(RotWord(w3)) ^ rcon in all four places. AESENCLAST also shifts the rows, which moves nothing in a block of four
// equal columns.
INLINE __m512i rotated(__m512i words, int rcon) {
  words = _mm512_shuffle_epi8(words, _mm512_set1_epi32(0x0c0f0e0d));
  return _mm512_aesenclast_epi128(words, _mm512_set1_epi32(rcon));
}

// SubWord(w3) in all four places.
INLINE __m512i substituted(__m512i words) {
  return _mm512_aesenclast_epi128(_mm512_shuffle_epi32(words, 0xff), _mm512_setzero_si512());
}

// MARK: The hash key and its powers

INLINE __m512i halves_sum(__m512i block) { return _mm512_xor_si512(block, _mm512_shuffle_epi32(block, 0x4e)); }

// A carry-less multiplication takes two cycles on some CPUs: three of them (Karatsuba) and two to reduce.
INLINE __m512i times(__m512i a, __m512i b) {
  __m512i low = _mm512_clmulepi64_epi128(a, b, 0x00), high = _mm512_clmulepi64_epi128(a, b, 0x11);
  __m512i middle = _mm512_clmulepi64_epi128(halves_sum(a), halves_sum(b), 0x00);
  middle = _mm512_ternarylogic_epi64(middle, low, high, 0x96);
  return fold(high, fold(middle, low));
}

// The product of the halves counts twice, which is not at all.
INLINE __m512i squared(__m512i a) {
  __m512i low = _mm512_clmulepi64_epi128(a, a, 0x00), high = _mm512_clmulepi64_epi128(a, a, 0x11);
  return fold(high, fold(_mm512_setzero_si512(), low));
}

// The encrypted zero block as the library wants it.
INLINE __m512i hash_key(__m512i block) {
  const __m512i reversed =
      _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  block = _mm512_shuffle_epi8(block, reversed);
  __m512i overflow = _mm512_srai_epi32(_mm512_shuffle_epi32(block, 0xff), 31);
  __m512i carry = _mm512_bslli_epi128(_mm512_srli_epi64(block, 63), 8);
  block = _mm512_or_si512(_mm512_slli_epi64(block, 1), carry);
  return _mm512_xor_si512(block, _mm512_and_si512(overflow, POLYNOMIAL));
}

// Powers 1 to 4 of four slots, from the first power where it will stay.
INLINE void write_first_powers(uint8_t *slots, size_t stride, size_t last) {
  __m512i first = load_four(slots + powers_end - 16, stride, last), second = squared(first);
  store_four(slots + first_powers, stride, last, squared(second), times(second, first), second, first);
}

INLINE __m512i all_lanes(__m512i group) { return _mm512_shuffle_i64x2(group, group, 0x00); }

typedef struct {
  __m512i lower, upper;
} pair;

// Eight powers in rising places from four even and four odd ones.
INLINE pair write_eight(uint8_t *end, __m512i even, __m512i odd) {
  pair both = {
      .lower = _mm512_permutex2var_epi64(even, _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4), odd),
      .upper = _mm512_permutex2var_epi64(even, _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0), odd),
  };
  _mm512_storeu_si512(end - 64, both.lower);
  _mm512_storeu_si512(end - 128, both.upper);
  return both;
}

// The powers after the fourth: an even one is a square, which costs less than a product.
INLINE void write_more_powers(uint8_t *slot, unsigned wanted) {
  uint8_t *end = slot + powers_end;
  if (wanted <= 4) return;
  __m512i to4 = _mm512_loadu_si512(slot + first_powers);
  __m512i to8 = times(to4, all_lanes(to4));
  _mm512_storeu_si512(end - 128, to8);
  if (wanted <= 8) return;
  __m512i by8 = all_lanes(to8);
  __m512i odd7 = _mm512_permutex2var_epi64(to4, _mm512_set_epi64(7, 6, 3, 2, 15, 14, 11, 10), to8);
  __m512i odd15 = times(odd7, by8);
  pair to16 = write_eight(end - 128, squared(to8), odd15);
  if (wanted <= 16) return;
  __m512i by16 = all_lanes(to16.upper);
  __m512i odd23 = times(odd7, by16);
  pair to24 = write_eight(end - 256, squared(to16.lower), odd23);
  if (wanted <= 24) return;
  __m512i odd31 = times(odd15, by16);
  write_eight(end - 384, squared(to16.upper), odd31);
  if (wanted <= 32) return;
  write_eight(end - 512, squared(to24.lower), times(odd23, by16));
  if (wanted <= 40) return;
  write_eight(end - 640, squared(to24.upper), times(odd31, by16));
}

// MARK: Expansion. Round keys of all slots first, then the powers: so several independent chains are always under way.

INLINE void write_powers(uint8_t *slots, size_t stride, const uint8_t *powers, size_t count) {
  for (size_t i = 0; i < count; i += 4) write_first_powers(slots + i * stride, stride, count - i - 1);
  for (size_t i = 0; i < count; i += 1) write_more_powers(slots + i * stride, powers[i]);
}

INLINE void write_hash_key(uint8_t *slots, size_t stride, size_t last, __m512i encrypted) {
  __m512i key = hash_key(encrypted);
  uint8_t *place = slots + powers_end - 16;
  _mm_storeu_si128((__m128i *)place, _mm512_castsi512_si128(key));
  if (last < 1) return;
  _mm_storeu_si128((__m128i *)(place + stride), _mm512_extracti32x4_epi32(key, 1));
  if (last < 2) return;
  _mm_storeu_si128((__m128i *)(place + 2 * stride), _mm512_extracti32x4_epi32(key, 2));
  if (last < 3) return;
  _mm_storeu_si128((__m128i *)(place + 3 * stride), _mm512_extracti32x4_epi32(key, 3));
}

#define ROUND(state, key) state = _mm512_aesenc_epi128(state, key)

INLINE void schedule_256(const uint8_t *keys, uint8_t *slots, size_t stride, size_t last) {
  __m512i k0 = load_four(keys, key_octets, last), k1 = load_four(keys + 16, key_octets, last);
  __m512i state = k0;  // the zero block after the first round key
  ROUND(state, k1);
  __m512i k2 = chained(k0, rotated(k1, 0x01));
  ROUND(state, k2);
  __m512i k3 = chained(k1, substituted(k2));
  ROUND(state, k3);
  store_four(slots, stride, last, k0, k1, k2, k3);
  __m512i k4 = chained(k2, rotated(k3, 0x02));
  ROUND(state, k4);
  __m512i k5 = chained(k3, substituted(k4));
  ROUND(state, k5);
  __m512i k6 = chained(k4, rotated(k5, 0x04));
  ROUND(state, k6);
  __m512i k7 = chained(k5, substituted(k6));
  ROUND(state, k7);
  store_four(slots + 64, stride, last, k4, k5, k6, k7);
  __m512i k8 = chained(k6, rotated(k7, 0x08));
  ROUND(state, k8);
  __m512i k9 = chained(k7, substituted(k8));
  ROUND(state, k9);
  __m512i k10 = chained(k8, rotated(k9, 0x10));
  ROUND(state, k10);
  __m512i k11 = chained(k9, substituted(k10));
  ROUND(state, k11);
  store_four(slots + 128, stride, last, k8, k9, k10, k11);
  __m512i k12 = chained(k10, rotated(k11, 0x20));
  ROUND(state, k12);
  __m512i k13 = chained(k11, substituted(k12));
  ROUND(state, k13);
  __m512i k14 = chained(k12, rotated(k13, 0x40));
  // The sixteen octets after the last round key are the place of the highest power, which is written later if at all.
  store_four(slots + 192, stride, last, k12, k13, k14, _mm512_setzero_si512());
  write_hash_key(slots, stride, last, _mm512_aesenclast_epi128(state, k14));
}

INLINE void schedule_128(const uint8_t *keys, uint8_t *slots, size_t stride, size_t last) {
  __m512i k0 = load_four(keys, key_octets, last), state = k0;
  __m512i k1 = chained(k0, rotated(k0, 0x01));
  ROUND(state, k1);
  __m512i k2 = chained(k1, rotated(k1, 0x02));
  ROUND(state, k2);
  __m512i k3 = chained(k2, rotated(k2, 0x04));
  ROUND(state, k3);
  store_four(slots, stride, last, k0, k1, k2, k3);
  __m512i k4 = chained(k3, rotated(k3, 0x08));
  ROUND(state, k4);
  __m512i k5 = chained(k4, rotated(k4, 0x10));
  ROUND(state, k5);
  __m512i k6 = chained(k5, rotated(k5, 0x20));
  ROUND(state, k6);
  __m512i k7 = chained(k6, rotated(k6, 0x40));
  ROUND(state, k7);
  store_four(slots + 64, stride, last, k4, k5, k6, k7);
  __m512i k8 = chained(k7, rotated(k7, 0x80));
  ROUND(state, k8);
  __m512i k9 = chained(k8, rotated(k8, 0x1b));
  ROUND(state, k9);
  __m512i k10 = chained(k9, rotated(k9, 0x36));
  // AES-256 has four round keys more: those of the slot's last key must not stay.
  const __m512i zero = _mm512_setzero_si512();
  store_four(slots + 128, stride, last, k8, k9, k10, zero);
  store_four(slots + 192, stride, last, zero, zero, zero, zero);
  write_hash_key(slots, stride, last, _mm512_aesenclast_epi128(state, k10));
}

VECTOR void vector_keys_expand_256(const void *keys, void *slots, size_t stride, const uint8_t *powers, size_t count) {
  for (size_t i = 0; i < count; i += 4) {
    schedule_256((const uint8_t *)keys + i * key_octets, (uint8_t *)slots + i * stride, stride, count - i - 1);
  }
  write_powers(slots, stride, powers, count);
  clear_registers();
}

VECTOR void vector_keys_expand_128(const void *keys, void *slots, size_t stride, const uint8_t *powers, size_t count) {
  for (size_t i = 0; i < count; i += 4) {
    schedule_128((const uint8_t *)keys + i * key_octets, (uint8_t *)slots + i * stride, stride, count - i - 1);
  }
  write_powers(slots, stride, powers, count);
  clear_registers();
}

VECTOR void vector_keys_erase(void *slots, size_t stride, size_t powers, size_t count) {
  const __m512i zero = _mm512_setzero_si512();
  // Whole lines at both ends: the round keys; the powers, written by eights, with what follows them.
  size_t back = 64 + 16 * (powers <= 4 ? 4 : (powers + 7) & ~(size_t)7);
  if (back > slot_size - 256) back = slot_size - 256;
  for (uint8_t *slot = slots; count > 0; count -= 1, slot += stride) {
    for (size_t offset = 0; offset < 256; offset += 64) _mm512_store_si512(slot + offset, zero);
    for (size_t offset = slot_size - back; offset < slot_size; offset += 64) _mm512_store_si512(slot + offset, zero);
  }
  // Whoever comes next may look: the compiler cannot leave the stores out.
  __asm__ volatile("" : : "r"(slots) : "memory");
  clear_registers();
}

// MARK: The KDF's blocks

// Up to sixteen blocks at a time, so that their rounds overlap.
INLINE void encrypt_sixteen(const __m512i *schedule, uint8_t *blocks) {
  __m512i a = _mm512_xor_si512(_mm512_loadu_si512(blocks), schedule[0]);
  __m512i b = _mm512_xor_si512(_mm512_loadu_si512(blocks + 64), schedule[0]);
  __m512i c = _mm512_xor_si512(_mm512_loadu_si512(blocks + 128), schedule[0]);
  __m512i d = _mm512_xor_si512(_mm512_loadu_si512(blocks + 192), schedule[0]);
#pragma unroll
  for (int round = 1; round < 14; round += 1) {
    ROUND(a, schedule[round]);
    ROUND(b, schedule[round]);
    ROUND(c, schedule[round]);
    ROUND(d, schedule[round]);
  }
  _mm512_storeu_si512(blocks, _mm512_aesenclast_epi128(a, schedule[14]));
  _mm512_storeu_si512(blocks + 64, _mm512_aesenclast_epi128(b, schedule[14]));
  _mm512_storeu_si512(blocks + 128, _mm512_aesenclast_epi128(c, schedule[14]));
  _mm512_storeu_si512(blocks + 192, _mm512_aesenclast_epi128(d, schedule[14]));
}

INLINE void encrypt_four(const __m512i *schedule, uint8_t *blocks, size_t count) {
  __mmask8 present = count >= 4 ? 0xff : (__mmask8)((1u << (2 * count)) - 1);
  __m512i a = _mm512_xor_si512(_mm512_maskz_loadu_epi64(present, blocks), schedule[0]);
#pragma unroll
  for (int round = 1; round < 14; round += 1) ROUND(a, schedule[round]);
  _mm512_mask_storeu_epi64(blocks, present, _mm512_aesenclast_epi128(a, schedule[14]));
}

VECTOR void vector_keys_encrypt_blocks(const void *schedule, void *blocks, size_t count) {
  __m512i keys[15];
#pragma unroll
  for (int round = 0; round < 15; round += 1) {
    keys[round] = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)schedule + round));
  }
  uint8_t *next = blocks;
  for (; count >= 16; count -= 16, next += 256) encrypt_sixteen(keys, next);
  for (; count > 0; next += 64) {
    size_t now = count < 4 ? count : 4;
    encrypt_four(keys, next, now);
    count -= now;
  }
  clear_registers();
}

#endif
