// AES-GCM (SP 800-38D) of one packet in place. Sixteen blocks are under way at once in four registers: their AES rounds, and
// between those the multiplications of sixteen blocks that are already encrypted. See vector.h for what both files promise.
#include "vector_gcm.h"

#if defined(__x86_64__)

#include <stdbool.h>

#include "vector.h"

// A group of blocks is multiplied by falling powers of the hash key and reduced once. It has at most sixteen.
enum { group = vector_gcm_powers, group_octets = 16 * group };

typedef struct {
  const uint8_t *key;
  __m512i counter;            // of the next four blocks, in little-endian
  __m512i low, middle, high;  // sums of the running group's products
  __m512i carry;              // the hash of the groups before, in the first lane
} state;

#define REVERSED _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#define COUNTER_LAST _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0))
#define ROUND_KEY(round) _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)s->key + (round)))

// In loops over packets' octets, what was loaded before is loaded again: there are not enough registers to keep it, and the
// stack must not see it.
#define FORGET(pointer) __asm__ volatile("" : "+r"(pointer))

// What was computed so far is done now, instead of keeping its operands for later.
#define SETTLE(value) __asm__ volatile("" : "+v"(value))

INLINE __m512i reversed(__m512i blocks) { return _mm512_shuffle_epi8(blocks, REVERSED); }
INLINE __mmask64 first_octets(size_t count) { return _bzhi_u64(~0ull, (unsigned)count); }
INLINE __m128i first_lane(__m512i blocks) { return _mm512_castsi512_si128(blocks); }

INLINE __m128i lanes_sum(__m512i lanes) {
  __m256i two = _mm256_xor_si256(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));
  return _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
}

// Adds up to four blocks (the others are zero), the first times the given power, the next times the one below.
INLINE void hash(state *s, __m512i blocks, size_t power) {
  __mmask8 present = power >= 4 ? 0xff : (__mmask8)((1u << (2 * power)) - 1);
  __m512i powers = _mm512_maskz_loadu_epi64(present, s->key + powers_end - 16 * power);
  s->low = _mm512_xor_si512(s->low, _mm512_clmulepi64_epi128(blocks, powers, 0x00));
  s->high = _mm512_xor_si512(s->high, _mm512_clmulepi64_epi128(blocks, powers, 0x11));
  __m512i middle = _mm512_clmulepi64_epi128(halves_sum(blocks), halves_sum(powers), 0x00);
  s->middle = _mm512_xor_si512(s->middle, middle);
}

// The first blocks of a group take in the hash of the groups before.
INLINE __m512i carried(state *s, __m512i blocks) { return _mm512_xor_si512(blocks, s->carry); }

INLINE void end_group(state *s) {
  __m512i low = _mm512_zextsi128_si512(lanes_sum(s->low)), high = _mm512_zextsi128_si512(lanes_sum(s->high));
  __m512i middle = _mm512_zextsi128_si512(lanes_sum(s->middle));
  middle = _mm512_ternarylogic_epi64(middle, low, high, 0x96);
  s->carry = fold(high, fold(middle, low));
  s->low = s->middle = s->high = _mm512_setzero_si512();
}

// Encrypts the next `units` times four counters into `out`, and one block more if there is one; meanwhile hashes `hashed`
// times four blocks, the first times the given power.
INLINE void encrypt(state *s, int rounds, __m512i *out, int units, __m128i *block, const __m512i *blocks, int hashed,
                    size_t power) {
  const __m512i four = _mm512_set_epi32(4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0);
#pragma unroll
  for (int i = 0; i < units; i += 1) {
    out[i] = _mm512_xor_si512(_mm512_shuffle_epi8(s->counter, COUNTER_LAST), ROUND_KEY(0));
    s->counter = _mm512_add_epi32(s->counter, four);
  }
  if (block != NULL) *block = _mm_xor_si128(*block, first_lane(ROUND_KEY(0)));
#pragma unroll
  for (int round = 1; round < rounds; round += 1) {
    __m512i key = ROUND_KEY(round);
#pragma unroll
    for (int i = 0; i < units; i += 1) out[i] = _mm512_aesenc_epi128(out[i], key);
    if (block != NULL) *block = _mm_aesenc_si128(*block, first_lane(key));
    // From the last to the first, for which the carry may be late.
    int unit = hashed - round / 2;
    if (round % 2 == 0 && unit >= 0) hash(s, unit == 0 ? carried(s, blocks[0]) : blocks[unit], power - 4 * (size_t)unit);
  }
  __m512i key = ROUND_KEY(rounds);
#pragma unroll
  for (int i = 0; i < units; i += 1) out[i] = _mm512_aesenclast_epi128(out[i], key);
  if (block != NULL) {
    *block = _mm_aesenclast_si128(*block, first_lane(key));
    SETTLE(*block);
  }
}

// AAD, padded to whole blocks. What is left of it after whole groups is hashed with powers from `power` down.
INLINE void hash_aad(state *s, const uint8_t *aad, size_t length, size_t power) {
  while (length > group_octets) {
    for (size_t from = group; from > 0; from -= 4, aad += 64) {
      __m512i blocks = reversed(_mm512_loadu_si512(aad));
      hash(s, from == group ? carried(s, blocks) : blocks, from);
    }
    end_group(s);
    length -= group_octets;
  }
  while (length > 0) {
    size_t now = length < 64 ? length : 64;
    hash(s, carried(s, reversed(_mm512_maskz_loadu_epi8(first_octets(now), aad))), power);
    s->carry = _mm512_setzero_si512();
    power -= (now + 15) / 16;
    aad += now;
    length -= now;
  }
}

INLINE void add_stream(uint8_t *text, const __m512i *stream, __m512i *results) {
#pragma unroll
  for (int i = 0; i < 4; i += 1) {
    results[i] = _mm512_xor_si512(_mm512_loadu_si512(text + 64 * i), stream[i]);
    _mm512_storeu_si512(text + 64 * i, results[i]);
    results[i] = reversed(results[i]);
  }
}

// Whole groups of text, at least one. What a group becomes is hashed while the next is encrypted; the last one's blocks are
// left in `sealed`.
INLINE uint8_t *seal_groups(state *s, int rounds, uint8_t *text, size_t groups, __m512i *sealed) {
  __m512i stream[4];
  encrypt(s, rounds, stream, 4, NULL, NULL, 0, 0);
  for (;;) {
    add_stream(text, stream, sealed);
    text += group_octets;
    groups -= 1;
    if (groups == 0) return text;
    FORGET(s->key);
    encrypt(s, rounds, stream, 4, NULL, sealed, 4, group);
    end_group(s);
  }
}

INLINE uint8_t *open_groups(state *s, int rounds, uint8_t *text, size_t groups) {
  __m512i stream[4], blocks[4];
  for (; groups > 0; groups -= 1, text += group_octets) {
    FORGET(s->key);
#pragma unroll
    for (int i = 0; i < 4; i += 1) blocks[i] = reversed(_mm512_loadu_si512(text + 64 * i));
    encrypt(s, rounds, stream, 4, NULL, blocks, 4, group);
    end_group(s);
    FORGET(text);
    add_stream(text, stream, blocks);
  }
  return text;
}

// The lengths are hashed right after the text's last block: in the same register if there is a lane left.
INLINE __m512i with_lengths(__m512i blocks, size_t count, __m512i lengths) {
  return _mm512_mask_broadcast_i64x2(blocks, (__mmask8)(3u << (2 * count)), first_lane(lengths));
}

// The last text, fewer than sixteen whole blocks, in so many units of up to four blocks; the lengths; E(J0), which makes a
// tag of the hash. `sealed` are four units still to be hashed, if `pending`.
INLINE __m128i finish(state *s, int rounds, bool sealing, uint8_t *text, size_t length, int units, __m128i block,
                      __m512i lengths, const __m512i *sealed, bool pending) {
  __m512i stream[4], blocks[4];
  size_t octets = units > 0 ? length - 64 * (size_t)(units - 1) : 0, count = (octets + 15) / 16;
  __mmask64 mask = first_octets(octets);
  // Sixteen blocks fill a group: the lengths come in one of their own.
  bool apart = units == 4 && count == 4;
  size_t power = units == 0 ? 1 : 4 * (size_t)(units - 1) + count + (apart ? 0 : 1);
#pragma unroll
  for (int i = 0; i < units && !sealing; i += 1) {
    blocks[i] = reversed(_mm512_maskz_loadu_epi8(i < units - 1 ? ~(__mmask64)0 : mask, text + 64 * i));
  }
  if (!sealing && units > 0 && count < 4) blocks[units - 1] = with_lengths(blocks[units - 1], count, lengths);
  if (!sealing) {
    encrypt(s, rounds, stream, units, &block, blocks, units, power);
  } else if (pending) {
    encrypt(s, rounds, stream, units, &block, sealed, 4, group);
    end_group(s);
  } else {
    encrypt(s, rounds, stream, units, &block, NULL, 0, 0);
  }
  FORGET(text);
#pragma unroll
  for (int i = 0; i < units; i += 1) {
    __mmask64 present = i < units - 1 ? ~(__mmask64)0 : mask;
    __m512i result = _mm512_xor_si512(_mm512_maskz_loadu_epi8(present, text + 64 * i), stream[i]);
    _mm512_mask_storeu_epi8(text + 64 * i, present, result);
    if (!sealing) continue;
    result = reversed(_mm512_maskz_mov_epi8(present, result));
    if (i == units - 1 && count < 4) result = with_lengths(result, count, lengths);
    hash(s, i == 0 ? carried(s, result) : result, power - 4 * (size_t)i);
    SETTLE(s->low);
    SETTLE(s->high);
    SETTLE(s->middle);
  }
  if (apart) end_group(s);
  if (units == 0 || apart) {
    hash(s, carried(s, lengths), 1);
  } else if (count == 4) {
    hash(s, lengths, 1);
  }
  end_group(s);
  return _mm_xor_si128(first_lane(reversed(s->carry)), block);
}

INLINE void gcm(const uint8_t *key, int rounds, bool sealing, const void *nonce, const uint8_t *aad, size_t aad_length,
                uint8_t *text, size_t length, void *tag) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i following = _mm512_set_epi32(4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0);
  // J0: the nonce and the counter 1.
  __m128i first = _mm_insert_epi32(_mm_maskz_loadu_epi32(7, nonce), 1, 3);
  __m128i block = _mm_shuffle_epi8(first, first_lane(COUNTER_LAST));
  state s = {
      .key = key,
      .counter = _mm512_add_epi32(_mm512_broadcast_i32x4(first), following),
      .low = zero,
      .middle = zero,
      .high = zero,
      .carry = zero,
  };
  __m512i lengths =
      _mm512_zextsi128_si512(_mm_set_epi64x((long long)(8 * aad_length), (long long)(8 * length)));
  // All of a short packet is one group, AAD and lengths included.
  size_t aad_blocks = (aad_length + 15) / 16, blocks = aad_blocks + (length + 15) / 16 + 1;
  bool together = blocks <= group;
  hash_aad(&s, aad, aad_length, together ? blocks : (aad_length - 1) % group_octets / 16 + 1);
  if (!together && aad_length > 0) end_group(&s);

  __m512i sealed[4];
  size_t groups = length / group_octets;
  if (sealing && groups > 0) text = seal_groups(&s, rounds, text, groups, sealed);
  if (!sealing) text = open_groups(&s, rounds, text, groups);
  length -= groups * group_octets;
  FORGET(s.key);
#define FINISH(units) \
  (sealing && groups > 0 ? finish(&s, rounds, sealing, text, length, units, block, lengths, sealed, true) \
                         : finish(&s, rounds, sealing, text, length, units, block, lengths, sealed, false))
  __m128i made;
  switch ((length + 63) / 64) {
    case 0: made = FINISH(0); break;
    case 1: made = FINISH(1); break;
    case 2: made = FINISH(2); break;
    case 3: made = FINISH(3); break;
    default: made = FINISH(4); break;
  }
#undef FINISH
  _mm_storeu_si128(tag, made);
}

VECTOR void vector_gcm_seal_256(const void *key, const void *nonce, const void *aad, size_t aad_length, void *text,
                                size_t length, void *tag) {
  gcm(key, 14, true, nonce, aad, aad_length, text, length, tag);
}

VECTOR void vector_gcm_seal_128(const void *key, const void *nonce, const void *aad, size_t aad_length, void *text,
                                size_t length, void *tag) {
  gcm(key, 10, true, nonce, aad, aad_length, text, length, tag);
}

VECTOR void vector_gcm_open_256(const void *key, const void *nonce, const void *aad, size_t aad_length, void *text,
                                size_t length, void *tag) {
  gcm(key, 14, false, nonce, aad, aad_length, text, length, tag);
}

VECTOR void vector_gcm_open_128(const void *key, const void *nonce, const void *aad, size_t aad_length, void *text,
                                size_t length, void *tag) {
  gcm(key, 10, false, nonce, aad, aad_length, text, length, tag);
}

#endif
