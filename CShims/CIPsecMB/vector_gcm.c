// AES-GCM (SP 800-38D) of one packet in place. See vector.h for what both files promise.
//
// A unit is four blocks, a register. On a Zen 5 its AES-256 rounds take seven cycles and its four carry-less multiplications
// eight, in other pipes. Both are busy only if the two alternate in the program: each pipe's queue is short. Therefore long
// texts go in chunks of twelve units, which also cover the rounds' latency, with the hashing of twelve others between. On a
// Zen 4 the two share two of four pipes, eighteen cycles a unit, and any other instruction may take one of these from them: so
// counters are one addition each, and products are added in pairs.
#include "vector_gcm.h"

#if defined(__x86_64__)

#include <stdbool.h>

#include "vector.h"

enum {
  chunk = vector_keys_most_powers / 4,  // units, as many as all powers serve
  chunk_octets = 64 * chunk,
  group = vector_gcm_powers / 4,  // units that few powers serve
  pieces = 6,                     // of a unit's hashing
};

typedef struct {
  const uint8_t *key;
  bool few;                   // Powers serve a group of units, not a chunk, before the hash is reduced.
  bool joined;                // The first group is AAD and three units of text.
  __m512i start;              // in every lane the nonce, plus the first round key
  const uint8_t *counters;    // the rows of the next units
  __m512i low, middle, high;  // sums of products
  __m512i carry;              // the hash of the groups before, in the first lane
} state;

#define REVERSED _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))

// The counters of a text's blocks, which begin with 2: a row for each unit, to be added to `start`.
#define LANE(counter) 0, 0, 0, (uint32_t)((counter) % 256 << 24 | (counter) / 256 << 16)
#define ROW(first) {LANE(first), LANE((first) + 1), LANE((first) + 2), LANE((first) + 3)}
#define ROWS4(first) ROW(first), ROW((first) + 4), ROW((first) + 8), ROW((first) + 12)
#define ROWS16(first) ROWS4(first), ROWS4((first) + 16), ROWS4((first) + 32), ROWS4((first) + 48)
#define ROWS64(first) ROWS16(first), ROWS16((first) + 64), ROWS16((first) + 128), ROWS16((first) + 192)
#define ROWS256(first) ROWS64(first), ROWS64((first) + 256), ROWS64((first) + 512), ROWS64((first) + 768)
static const uint32_t rows[][16] __attribute__((aligned(64))) = {
    ROWS256(2u), ROWS256(1026u), ROWS256(2050u), ROWS256(3074u), ROW(4098u),
};
_Static_assert((vector_gcm_longest + 15) / 64 < sizeof(rows) / sizeof(rows[0]), "a text has more units than there are rows");

// What was loaded before is loaded again: there are not enough registers to keep it, and the stack must not see it.
#define FORGET(pointer) __asm__ volatile("" : "+r"(pointer))

// So that what follows is compiled once, not for both.
INLINE bool forgotten(bool value) {
  int known = value;
  FORGET(known);
  return known;
}

INLINE __mmask64 first_octets(size_t count) { return _bzhi_u64(~0ull, (unsigned)count); }
INLINE __mmask8 first_blocks(size_t count) { return (__mmask8)_bzhi_u32(0xff, 2 * (unsigned)count); }
INLINE __m128i first_lane(__m512i blocks) { return _mm512_castsi512_si128(blocks); }
INLINE __m512i with_last_lane(__m512i blocks, __m128i block) { return _mm512_inserti32x4(blocks, block, 3); }
INLINE __m512i reversed(__m512i blocks) { return _mm512_shuffle_epi8(blocks, REVERSED); }
INLINE __m512i sum(__m512i a, __m512i b, __m512i c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }

// MARK: Instructions that stay in the order in which they are written

#define SETTLE(value) __asm__ volatile("" : "+v"(value))

#define PRODUCT(a, b, halves)                                                                    \
  ({                                                                                             \
    __m512i product;                                                                             \
    __asm__ volatile("vpclmulqdq %3, %2, %1, %0" : "=v"(product) : "v"(a), "v"(b), "i"(halves)); \
    product;                                                                                     \
  })

INLINE __m512i load(const uint8_t *place) {
  __m512i value;
  __asm__ volatile("vmovdqu64 %1, %0" : "=v"(value) : "m"(*(const __m512i_u *)place));
  return value;
}

INLINE void store(uint8_t *place, __m512i value) {
  __asm__ volatile("vmovdqu64 %1, %0" : "=m"(*(__m512i_u *)place) : "v"(value));
}

INLINE __m512i key_at(const uint8_t *place) {
  __m512i key;
  __asm__ volatile("vbroadcasti32x4 %1, %0" : "=v"(key) : "m"(*(const __m128i *)place));
  return key;
}

INLINE __m512i round_key(const state *s, int round) { return key_at(s->key + 16 * round); }

INLINE __m512i aes_round(__m512i blocks, __m512i key) {
  __asm__ volatile("vaesenc %1, %0, %0" : "+v"(blocks) : "v"(key));
  return blocks;
}

// Of the first two blocks: half the work.
INLINE __m512i narrow_aes_round(__m512i blocks, __m512i key) {
  __m256i two = _mm512_castsi512_si256(blocks);
  __asm__ volatile("vaesenc %1, %0, %0" : "+v"(two) : "v"(_mm512_castsi512_si256(key)));
  return _mm512_castsi256_si512(two);
}

INLINE __m512i last_aes_round(__m512i blocks, __m512i key) {
  __asm__ volatile("vaesenclast %1, %0, %0" : "+v"(blocks) : "v"(key));
  return blocks;
}

// The last round, and with it the text's octets, all of a unit's or some.
INLINE __m512i end_unit(__m512i blocks, __m512i key, uint8_t *place) {
  blocks = last_aes_round(blocks, _mm512_xor_si512(key, load(place)));
  store(place, blocks);
  return blocks;
}

INLINE __m512i end_part(__mmask64 octets, __m512i blocks, __m512i key, uint8_t *place) {
  blocks = last_aes_round(blocks, _mm512_xor_si512(key, _mm512_maskz_loadu_epi8(octets, place)));
  _mm512_mask_storeu_epi8(place, octets, blocks);
  return blocks;
}

// A unit's blocks before the first round.
INLINE __m512i started(const state *s, int unit) {
  __m512i blocks;
  __asm__ volatile("vpxorq %1, %2, %0" : "=v"(blocks) : "m"(*(const __m512i *)(s->counters + 64 * unit)), "v"(s->start));
  return blocks;
}

// The last unit has J0 too: in its last lane, or where it has one block at most, which `narrow` says, in the second. That is so
// for half of all lengths; for AES-128, whose rounds are fewer, it does not pay for twice the code.
INLINE __m512i started_last(const state *s, int unit, bool narrow) {
  return _mm512_mask_xor_epi32(started(s, unit), narrow ? 0x80 : 0x8000, s->start, _mm512_set1_epi32(1 << 24));
}

INLINE bool is_narrow(int rounds, size_t length) { return rounds == 14 && (length + 15) % 64 < 32; }

INLINE __m512i aes_round_of(__m512i blocks, __m512i key, int unit, int units, bool narrow) {
  return narrow && unit == units - 1 ? narrow_aes_round(blocks, key) : aes_round(blocks, key);
}

// MARK: Hashing

INLINE const uint8_t *power(const state *s, size_t power) { return s->key + powers_end - 16 * power; }

// The first blocks of a group take in the hash of the groups before.
INLINE __m512i carried(state *s, __m512i blocks) {
  blocks = _mm512_xor_si512(blocks, s->carry);
  s->carry = _mm512_setzero_si512();
  return blocks;
}

INLINE void end_group(state *s) {
  __m512i lanes = fold(s->high, fold(s->middle, s->low));
  __m256i two = _mm256_xor_si256(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));
  s->carry = _mm512_zextsi128_si512(_mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1)));
  s->low = s->middle = s->high = _mm512_setzero_si512();
}

INLINE void hash(state *s, __m512i blocks, __m512i powers) {
  s->low = _mm512_xor_si512(s->low, _mm512_clmulepi64_epi128(blocks, powers, 0x00));
  s->high = _mm512_xor_si512(s->high, _mm512_clmulepi64_epi128(blocks, powers, 0x11));
  __m512i one = _mm512_clmulepi64_epi128(blocks, powers, 0x01), other = _mm512_clmulepi64_epi128(blocks, powers, 0x10);
  s->middle = sum(s->middle, one, other);
}

// AAD of any length, in groups of its own.
INLINE void hash_aad(state *s, const uint8_t *aad, size_t length) {
  while (length > 0) {
    size_t now = length < 64 * group ? length : 64 * group;
    length -= now;
    for (const uint8_t *powers = power(s, (now + 15) / 16); now > 0; powers += 64) {
      size_t octets = now < 64 ? now : 64;
      __m512i blocks = reversed(_mm512_maskz_loadu_epi8(first_octets(octets), aad));
      hash(s, carried(s, blocks), _mm512_maskz_loadu_epi64(first_blocks((octets + 15) / 16), powers));
      aad += octets;
      now -= octets;
    }
    end_group(s);
  }
}

// A chunk that is hashed piece by piece while this one (opening) or the next (sealing) is encrypted.
typedef struct {
  const uint8_t *text, *powers;  // the latter of the first group
  size_t stride;                 // to those of the next group
  bool few;
  __m512i blocks, factors, product;
  __m512i low, high;  // of the first unit of two, added with the second's
} hashing;

INLINE hashing hashing_of(const state *s, const uint8_t *text, bool few) {
  return (hashing){
      .text = text,
      .few = few,
      .powers = power(s, few ? 4 * group : 4 * chunk),
      .stride = few ? 0 : 64 * group,
  };
}

// A group ends after the first unit of two.
INLINE void add_first(state *s, hashing *h) {
  s->low = _mm512_xor_si512(s->low, h->low);
  s->high = _mm512_xor_si512(s->high, h->high);
  h->low = h->high = _mm512_setzero_si512();
}

// The products of a unit whose blocks and powers are there. Those of the first of two units are added with the second's.
INLINE void multiply_piece(state *s, hashing *h, int piece, bool second) {
  __m512i product;
  switch (piece) {
    case 2:
      product = PRODUCT(h->blocks, h->factors, 0x00);
      s->low = second ? sum(s->low, h->low, product) : s->low;
      h->low = product;
      SETTLE(s->low);
      break;
    case 3:
      product = PRODUCT(h->blocks, h->factors, 0x11);
      s->high = second ? sum(s->high, h->high, product) : s->high;
      h->high = product;
      SETTLE(s->high);
      break;
    case 4:
      h->product = PRODUCT(h->blocks, h->factors, 0x01);
      break;
    default:
      s->middle = sum(s->middle, h->product, PRODUCT(h->blocks, h->factors, 0x10));
      SETTLE(s->middle);
      break;
  }
}

INLINE void hash_piece(state *s, hashing *h, int piece) {
  // A group's first unit, for which the carry may be late, is its last.
  const int step = piece / pieces, place = (step + 1) % group;
  switch (piece % pieces) {
    case 0:
      h->blocks = load(h->text + 64 * (step / group * group + place));
      h->factors = load(h->powers + h->stride * (size_t)(step / group) + 64 * place);
      break;
    case 1:
      h->blocks = reversed(h->blocks);
      if (place == 0) h->blocks = carried(s, h->blocks);
      SETTLE(h->blocks);
      break;
    default:
      multiply_piece(s, h, piece % pieces, step % 2 == 1);
      if (piece % pieces == pieces - 1 && (step == chunk - 1 || (place == 0 && h->few))) {
        end_group(s);
        SETTLE(s->carry);
      }
      break;
  }
}

// MARK: Whole chunks

// A piece of hashing, if one is due, `more` instructions after so many of a chunk's.
INLINE void meanwhile(state *s, hashing *h, int rounds, int done, int more) {
  const int all = (rounds + 3) * chunk, piece = done * pieces * chunk / all;
  if ((done + more) * pieces * chunk / all > piece) hash_piece(s, h, piece);
}

INLINE void chunk_round(state *s, int rounds, int round, __m512i *stream, hashing *h) {
  __m512i key = round_key(s, round);
#pragma unroll
  for (int i = 0; i < chunk; i += 1) {
    stream[i] = aes_round(stream[i], key);
    meanwhile(s, h, rounds, (round + 1) * chunk + i, 1);
  }
}

// All rounds but the last; a loop over them would be too long for the compiler to unroll.
#define EACH_ROUND(ROUND)                                                                       \
  ROUND(1), ROUND(2), ROUND(3), ROUND(4), ROUND(5), ROUND(6), ROUND(7), ROUND(8), ROUND(9); \
  if (rounds == 14) ROUND(10), ROUND(11), ROUND(12), ROUND(13)

INLINE void crypt_chunk(state *s, int rounds, uint8_t *text, hashing h) {
  __m512i stream[chunk], key;
#pragma unroll
  for (int i = 0; i < chunk; i += 1) {
    stream[i] = started(s, i);
    meanwhile(s, &h, rounds, 2 * i, 2);
  }
  s->counters += chunk_octets;
#define CHUNK_ROUND(round) chunk_round(s, rounds, round, stream, &h)
  EACH_ROUND(CHUNK_ROUND);
  key = round_key(s, rounds);
  // Opening, a unit is loaded for the hash before it is overwritten: only the last group's are still to come, and the stores
  // are no further than its first unit when that is loaded.
#pragma unroll
  for (int i = 0; i < chunk; i += 1) {
    end_unit(stream[i], key, text + 64 * i);
    meanwhile(s, &h, rounds, (rounds + 1) * chunk + 2 * i, 2);
  }
}

// The chunk before the first of these is encrypted, and not yet hashed.
INLINE uint8_t *seal_chunks(state *s, int rounds, uint8_t *text, size_t chunks, bool few) {
  for (; chunks > 0; chunks -= 1, text += chunk_octets) {
    FORGET(s->key);
    crypt_chunk(s, rounds, text, hashing_of(s, text - chunk_octets, few));
  }
  return text;
}

INLINE uint8_t *open_chunks(state *s, int rounds, uint8_t *text, size_t chunks, bool few) {
  for (; chunks > 0; chunks -= 1, text += chunk_octets) {
    FORGET(s->key);
    crypt_chunk(s, rounds, text, hashing_of(s, text, few));
  }
  return text;
}

// MARK: The end of a text

// AES's last round, for units of which the last has J0: returns E(J0).
INLINE __m128i end_text(const __m512i *stream, int units, bool narrow, __m512i key, uint8_t *text, size_t length) {
#pragma unroll
  for (int i = 0; i < units - 1; i += 1) {
    size_t octets = length - 64 * (size_t)i;
    if (i < units - 2 || __builtin_expect(octets >= 64, 1)) {
      end_unit(stream[i], key, text + 64 * i);
    } else {
      end_part(first_octets(octets), stream[i], key, text + 64 * i);
    }
  }
  const size_t before = 64 * (size_t)(units - 1);
  __m512i last = stream[units - 1];
  // A load of no octets is slow.
  last = length > before ? end_part(first_octets(length - before), last, key, text + before) : last_aes_round(last, key);
  return narrow ? _mm512_extracti32x4_epi32(last, 1) : _mm512_extracti32x4_epi32(last, 3);
}

// MARK: What is left after whole chunks

// The last units of a text, of which the very last has `count` blocks, fewer than four, and then, unless `done`, the lengths.
typedef struct {
  const uint8_t *text;
  __mmask64 before_last, in_last;  // octets of these two; all others have 64
  size_t count;
  __m128i lengths;
  bool done;
  // How the next unit is hashed.
  const uint8_t *powers;
  size_t left, most;  // blocks with the lengths; at most so many before the hash is reduced
} rest;

INLINE rest rest_of(const state *s, const uint8_t *text, size_t length, int units, __m128i lengths, bool done) {
  size_t count = (length + 15) / 16 - 4 * (size_t)(units - 1), octets = length - 64 * (size_t)(units - 2);
  size_t left = 4 * (size_t)(units - 1) + count + 1, most = s->few ? 4 * group : 4 * chunk;
  return (rest){
      .text = text,
      .before_last = first_octets(octets < 64 ? octets : 64),
      .in_last = count == 0 ? 0 : first_octets(length - 64 * (size_t)(units - 1)),
      .count = count,
      .lengths = lengths,
      .done = done,
      .powers = power(s, s->joined ? 12 : left < most ? left : most),
      .left = left,
      .most = most,
  };
}

// A group's first unit, or AAD's and three units of text before it, takes in the hash of the groups before.
INLINE __m512i carried_in_rest(state *s, const rest *r, int unit, __m512i blocks) {
  return !r->done && (unit % group == 0 || unit % group == 3) ? carried(s, blocks) : blocks;
}

// To the unit after this one.
INLINE void next_unit(state *s, rest *r, hashing *h, int unit, int units) {
  r->powers += 64;
  r->left -= 4;
  // A group ends here: few powers without AAD, few with it, or a chunk of whole units, whose lengths come after it.
  bool ends = s->few ? (unit + (s->joined ? 1 : 0)) % group == 3 : unit == chunk - 1;
  if (unit == units - 1 && unit % 2 == 0) add_first(s, h);
  if (unit % group < 2 || !ends) return;
  if (unit % 2 == 0) add_first(s, h);
  end_group(s);
  r->powers = power(s, r->left < r->most ? r->left : r->most);
}

INLINE void hash_last_unit(state *s, const rest *r, __m512i blocks) {
  if (r->count == 0 && r->done) return;
  // Without text there is the carry.
  __m512i factors = _mm512_maskz_loadu_epi64(first_blocks(r->count > 0 ? r->count : 1), r->powers);
  if (!r->done) {
    blocks = with_last_lane(carried(s, blocks), r->lengths);
    factors = with_last_lane(factors, _mm_load_si128((const __m128i *)power(s, 1)));
  }
  hash(s, blocks, factors);
}

// A piece of hashing a unit that is not the last.
INLINE void rest_piece(state *s, rest *r, hashing *h, int units, int piece) {
  const int unit = piece / pieces;
  switch (piece % pieces) {
    case 0:
      h->blocks = _mm512_maskz_loadu_epi8(unit == units - 2 ? r->before_last : ~(__mmask64)0, r->text + 64 * unit);
      h->factors = load(r->powers);
      SETTLE(h->blocks);
      break;
    case 1:
      h->blocks = carried_in_rest(s, r, unit, reversed(h->blocks));
      SETTLE(h->blocks);
      break;
    default:
      multiply_piece(s, h, piece % pieces, unit % 2 == 1);
      if (piece % pieces == pieces - 1) next_unit(s, r, h, unit, units - 1);
      break;
  }
}

// Opening, these units but the last are hashed meanwhile.
INLINE void rest_round(state *s, int rounds, int round, __m512i *stream, int units, bool narrow, rest *r, hashing *h) {
  const int all = pieces * (units - 1), slots = (rounds - 1) * units;
  __m512i key = round_key(s, round);
#pragma unroll
  for (int i = 0; i < units; i += 1) {
    stream[i] = aes_round_of(stream[i], key, i, units, narrow);
    const int slot = (round - 1) * units + i, piece = slots < all ? slot : slot * all / slots;
    if (slots >= all && (slot + 1) * all / slots == piece) continue;
    rest_piece(s, r, h, units, piece);
  }
}

// Opening: returns E(J0), which makes a tag of the hash; the last unit has a lane for it.
INLINE __m128i crypt_rest(state *s, int rounds, uint8_t *text, size_t length, int units, bool narrow, __m128i lengths,
                          bool done) {
  __m512i stream[chunk + 1];
  hashing h = {0};
  rest units_left = rest_of(s, text, length, units, lengths, done), *r = &units_left;
#pragma unroll
  for (int i = 0; i < units; i += 1) stream[i] = i == units - 1 ? started_last(s, i, narrow) : started(s, i);
#define REST_ROUND(round) rest_round(s, rounds, round, stream, units, narrow, r, &h)
  EACH_ROUND(REST_ROUND);
  __m512i blocks = _mm512_setzero_si512();
  if (r->count > 0) blocks = reversed(_mm512_maskz_loadu_epi8(r->in_last, text + 64 * (units - 1)));
  hash_last_unit(s, r, blocks);
  FORGET(text);
  return end_text(stream, units, narrow, round_key(s, rounds), text, length);
}

// At most so many units: thirteen, as 753 to 767 octets leave no lane of twelve for E(J0), or twelve where it is one group.
INLINE __m128i crypt_rest_as(state *s, int rounds, uint8_t *text, size_t length, int most, bool narrow, __m128i lengths,
                             bool done) {
#define REST(units) \
  if (units <= most) return crypt_rest(s, rounds, text, length, units, narrow, lengths, done)
  switch ((length + 15) / 64) {
    case 0: REST(1); break;
    case 1: REST(2); break;
    case 2: REST(3); break;
    case 3: REST(4); break;
    case 4: REST(5); break;
    case 5: REST(6); break;
    case 6: REST(7); break;
    case 7: REST(8); break;
    case 8: REST(9); break;
    case 9: REST(10); break;
    case 10: REST(11); break;
    case 11: REST(12); break;
    default: REST(13); break;
  }
#undef REST
  return _mm_setzero_si128();
}

INLINE __m128i crypt_rest_of(state *s, int rounds, uint8_t *text, size_t length, int most, __m128i lengths, bool done) {
  if (is_narrow(rounds, length)) return crypt_rest_as(s, rounds, text, length, most, true, lengths, done);
  return crypt_rest_as(s, rounds, text, length, most, false, lengths, done);
}

INLINE state begun(const uint8_t *key, size_t powers, const void *nonce) {
  const __m512i zero = _mm512_setzero_si512();
  __m128i start = _mm_setzero_si128();
  if (nonce != NULL) start = _mm_xor_si128(_mm_maskz_loadu_epi32(7, nonce), _mm_loadu_si128((const __m128i *)key));
  return (state){
      .key = key,
      .few = powers < vector_keys_most_powers,
      .joined = false,
      .start = _mm512_broadcast_i32x4(start),
      .counters = (const uint8_t *)rows,
      .low = zero,
      .middle = zero,
      .high = zero,
      .carry = zero,
  };
}

INLINE __m128i lengths_block(size_t aad_length, size_t length) {
  return _mm_set_epi64x((long long)(8 * aad_length), (long long)(8 * length));
}

INLINE void write_tag(state *s, __m128i block, void *tag) {
  end_group(s);
  __m128i hash = _mm_shuffle_epi8(first_lane(s->carry), first_lane(REVERSED));
  _mm_storeu_si128(tag, _mm_xor_si128(hash, block));
}

// AAD of at most three blocks, the first times the given power, and in the last lane the lengths, if they are given.
INLINE void hash_short_aad(state *s, const uint8_t *aad, size_t length, size_t first_power, const __m128i *lengths) {
  __m512i blocks = reversed(_mm512_maskz_loadu_epi8(first_octets(length), aad));
  __m512i factors = _mm512_maskz_loadu_epi64(first_blocks((length + 15) / 16), power(s, first_power));
  if (lengths != NULL) {
    blocks = with_last_lane(blocks, *lengths);
    factors = with_last_lane(factors, _mm_load_si128((const __m128i *)power(s, 1)));
  }
  hash(s, blocks, factors);
}

// A packet that is one group, with short AAD: no hash is carried, and the lengths come in AAD's last lane.
INLINE void open_group(const uint8_t *key, int rounds, const void *nonce, const uint8_t *aad, size_t aad_length,
                       uint8_t *text, size_t length, void *tag) {
  __m128i lengths = lengths_block(aad_length, length);
  state made = begun(key, vector_keys_most_powers, nonce), *s = &made;
  size_t aad_blocks = (aad_length + 15) / 16;
  hash_short_aad(s, aad, aad_length, aad_blocks + (length + 15) / 16 + 1, &lengths);
  write_tag(s, crypt_rest_of(s, rounds, text, length, chunk, lengths, true), tag);
}

// Any packet that is not.
INLINE void open_groups(const uint8_t *key, size_t powers, int rounds, const void *nonce, const uint8_t *aad,
                        size_t aad_length, uint8_t *text, size_t length, void *tag) {
  __m128i lengths = lengths_block(aad_length, length);
  state made = begun(key, powers, nonce), *s = &made;
  size_t aad_blocks = (aad_length + 15) / 16;
  if (aad_blocks < 4) {
    // If there is no chunk, AAD and three units of text (13 blocks at least: otherwise it were one group) come together.
    s->joined = s->few && length < chunk_octets;
    hash_short_aad(s, aad, aad_length, s->joined ? aad_blocks + 12 : aad_blocks, NULL);
    if (!s->joined) end_group(s);
  } else {
    hash_aad(s, aad, aad_length);
  }
  size_t chunks = length / chunk_octets;
  length -= chunks * chunk_octets;
  text = s->few ? open_chunks(s, rounds, text, chunks, true) : open_chunks(s, rounds, text, chunks, false);
  s->few = forgotten(s->few);
  FORGET(s->key);
  write_tag(s, crypt_rest_of(s, rounds, text, length, 13, lengths, false), tag);
}

INLINE bool is_group(size_t powers, size_t aad_length, size_t length) {
  size_t blocks = (aad_length + 15) / 16 + (length + 15) / 16 + 1;
  return aad_length <= 48 && blocks <= (powers < vector_keys_most_powers ? 4 * group : 4 * chunk);
}

// MARK: Sealing a burst
//
// A packet is hashed while the next one is encrypted: its hash needs its whole text encrypted, and at the end of a packet alone
// the AES pipes would have nothing to do, at its beginning those of the multiplications. So does a packet's first chunk.

typedef vector_gcm_packet packet;

INLINE void *tag_of(const packet *p) { return p->tag != NULL ? p->tag : (uint8_t *)p->text + p->length; }

// What of a text is still to be hashed.
typedef struct {
  const uint8_t *text, *powers;
  size_t units;  // whole ones; none are left of a chunk when its hash is in the carry
  size_t left;   // blocks, with that of the lengths
  size_t room;   // units left in the group
  bool done;     // the lengths are hashed
  bool begins;   // a group, whose first unit takes in the hash of the groups before
} cursor;

INLINE size_t most_units(const state *s) { return s->few ? group : chunk; }

INLINE void begin_group(const state *s, cursor *c) {
  c->begins = true;
  c->room = most_units(s);
  c->powers = power(s, c->left < 4 * c->room ? c->left : 4 * c->room);
}

// To the unit after this one.
INLINE void next_unit_of(state *s, cursor *c) {
  c->text += 64;
  c->powers += 64;
  c->left -= 4;
  c->room -= 1;
  if (c->room > 0) return;
  end_group(s);
  begin_group(s, c);
}

INLINE void hash_unit_of(state *s, cursor *c, __m512i blocks) {
  hash(s, carried(s, reversed(blocks)), _mm512_loadu_si512(c->powers));
  next_unit_of(s, c);
}

// One of AES's rounds, and between its instructions those that hash a unit, the first or the second of two.
INLINE void round_with_unit(state *s, cursor *c, hashing *h, __m512i key, __m512i *stream, int units, bool narrow,
                            bool second) {
#pragma unroll
  for (int i = 0; i < units; i += 1) {
    stream[i] = aes_round_of(stream[i], key, i, units, narrow);
#pragma unroll
    for (int piece = i * pieces / units; piece < (i + 1) * pieces / units; piece += 1) {
      if (piece == 0) {
        h->blocks = load(c->text);
        h->factors = load(c->powers);
      } else if (piece == 1) {
        h->blocks = reversed(h->blocks);
        SETTLE(h->blocks);
        if (c->begins) h->blocks = carried(s, h->blocks);
        c->begins = false;
        SETTLE(h->blocks);
      } else {
        multiply_piece(s, h, piece, second);
      }
    }
  }
  if (!second && c->room == 1) add_first(s, h);
  next_unit_of(s, c);
  c->units -= 1;
}

// A loop over the rounds, so that one code serves however many units are to be hashed. `ends`: the text ends here, which gives
// E(J0); otherwise these are whole units.
INLINE __m128i crypt_units(state *s, cursor *c, int rounds, const state *now, uint8_t *text, size_t length, int units,
                           bool narrow, bool ends) {
  __m512i stream[chunk + 1], round;
  hashing h = {0};
#pragma unroll
  for (int i = 0; i < units; i += 1) {
    stream[i] = ends && i == units - 1 ? started_last(now, i, narrow) : started(now, i);
    SETTLE(stream[i]);
  }
  const uint8_t *key = now->key + 16, *last = now->key + 16 * rounds;
#pragma clang loop unroll(disable)
  for (; c->units > 1 && last - key > 16; key += 32) {
    round_with_unit(s, c, &h, key_at(key), stream, units, narrow, false);
    round_with_unit(s, c, &h, key_at(key + 16), stream, units, narrow, true);
  }
  h.low = h.high = _mm512_setzero_si512();  // There is no first one.
#pragma clang loop unroll(disable)
  for (; c->units > 0 && key != last; key += 16) round_with_unit(s, c, &h, key_at(key), stream, units, narrow, true);
#pragma clang loop unroll(disable)
  for (; key != last; key += 16) {
    round = key_at(key);
#pragma unroll
    for (int i = 0; i < units; i += 1) stream[i] = aes_round_of(stream[i], round, i, units, narrow);
  }
  round = key_at(key);
  if (ends) return end_text(stream, units, narrow, round, text, length);
#pragma unroll
  for (int i = 0; i < units; i += 1) end_unit(stream[i], round, text + 64 * i);
  return _mm_setzero_si128();
}

INLINE __m128i crypt_end_as(state *s, cursor *c, int rounds, const state *now, uint8_t *text, size_t length,
                            bool narrow) {
#define END(units) crypt_units(s, c, rounds, now, text, length, units, narrow, true)
  switch ((length + 15) / 64) {
    case 0: return END(1);
    case 1: return END(2);
    case 2: return END(3);
    case 3: return END(4);
    case 4: return END(5);
    case 5: return END(6);
    case 6: return END(7);
    case 7: return END(8);
    case 8: return END(9);
    case 9: return END(10);
    case 10: return END(11);
    case 11: return END(12);
    default: return END(13);
  }
#undef END
}

INLINE __m128i crypt_end(state *s, cursor *c, int rounds, const state *now, uint8_t *text, size_t length) {
  if (is_narrow(rounds, length)) return crypt_end_as(s, c, rounds, now, text, length, true);
  return crypt_end_as(s, c, rounds, now, text, length, false);
}

// A packet that is encrypted: E(J0), what of its text is not yet hashed, and the hash of what came before that.
typedef struct {
  const packet *packet;  // NULL: there is none
  const uint8_t *text;
  __m128i block;
  __m512i carry;
} sealed;

// Begins to hash: AAD, if the text is whole.
INLINE cursor begin_hashing(state *s, const sealed *p) {
  const packet *of = p->packet;
  if (of == NULL) return (cursor){.units = 0};
  size_t length = of->length - (size_t)(p->text - (const uint8_t *)of->text), aad_blocks = (of->aad_length + 15) / 16;
  s->key = of->key;
  s->few = of->powers < vector_keys_most_powers;
  s->carry = p->carry;
  cursor c = {.text = p->text, .units = length / 64, .left = (length + 15) / 16 + 1};
  if (p->text != of->text || aad_blocks > 3) {
    if (p->text == of->text) hash_aad(s, of->aad, of->aad_length);
    begin_group(s, &c);
    return c;
  }
  // AAD is a group's first unit. If there is one group, the lengths are in that unit too.
  size_t most = 4 * most_units(s), rest = most - 4, left = c.left;
  c.done = aad_blocks + left <= most;
  c.room = c.done ? most : rest / 4;
  size_t now = aad_blocks + (c.done || left < rest ? left : rest);
  __m128i lengths = lengths_block(of->aad_length, of->length);
  hash_short_aad(s, of->aad, of->aad_length, now, c.done ? &lengths : NULL);
  c.powers = power(s, now - aad_blocks);
  return c;
}

// Ends it: what is left of the text, and the lengths.
INLINE void end_hashing(state *s, cursor *c, const sealed *p) {
  const packet *of = p->packet;
  if (of == NULL) return;
#pragma clang loop unroll(disable)
  for (; __builtin_expect(c->units > 0, 0); c->units -= 1) hash_unit_of(s, c, _mm512_loadu_si512(c->text));
  size_t octets = of->length - (size_t)(c->text - (const uint8_t *)of->text);
  if (__builtin_expect(octets > 48, 0)) {
    hash_unit_of(s, c, _mm512_maskz_loadu_epi8(first_octets(octets), c->text));
    octets = 0;
  }
  if (!c->done || octets > 0) {
    __m512i blocks = _mm512_setzero_si512();
    if (octets > 0) blocks = reversed(_mm512_maskz_loadu_epi8(first_octets(octets), c->text));
    // Without text there is the carry.
    __m512i factors = _mm512_maskz_loadu_epi64(first_blocks(octets > 0 ? (octets + 15) / 16 : 1), c->powers);
    if (!c->done) {
      blocks = with_last_lane(carried(s, blocks), lengths_block(of->aad_length, of->length));
      factors = with_last_lane(factors, _mm_load_si128((const __m128i *)power(s, 1)));
    }
    hash(s, blocks, factors);
  }
  write_tag(s, p->block, tag_of(of));
}

// A packet of a chunk or more, while `before` is hashed.
INLINE sealed seal_chunked(const packet *now, int rounds, sealed before) {
  state made = begun(now->key, now->powers, now->nonce), hashed = made, *s = &made;
  uint8_t *text = now->text;
  cursor c = begin_hashing(&hashed, &before);
  crypt_units(&hashed, &c, rounds, s, text, chunk_octets, chunk, false, false);
  end_hashing(&hashed, &c, &before);
  s->counters += chunk_octets;
  size_t chunks = now->length / chunk_octets - 1, aad_blocks = (now->aad_length + 15) / 16;
  const bool is_joined = chunks == 0 && aad_blocks < 4;
  if (!is_joined) hash_aad(s, now->aad, now->aad_length);
  text += chunk_octets;
  text = s->few ? seal_chunks(s, rounds, text, chunks, true) : seal_chunks(s, rounds, text, chunks, false);
  s->few = forgotten(s->few);
  FORGET(s->key);
  size_t length = now->length % chunk_octets;
  // Of the last chunk there are no lengths to come.
  c = (cursor){.text = text - chunk_octets, .units = chunk, .left = 4 * chunk};
  begin_group(s, &c);
  if (is_joined) {
    // AAD is the first group's first unit, and the chunk's last unit is left for what comes after it: a group less.
    c.units -= 1;
    c.left -= 4;
    c.room -= 1;
    c.powers = power(s, 4 * c.room);
    hash_short_aad(s, now->aad, now->aad_length, aad_blocks + 4 * c.room, NULL);
  }
  __m128i block = crypt_end(s, &c, rounds, s, text, length);
#pragma clang loop unroll(disable)
  for (; c.units > 0; c.units -= 1) hash_unit_of(s, &c, _mm512_loadu_si512(c.text));
  return (sealed){.packet = now, .text = c.text, .block = block, .carry = s->carry};
}

INLINE sealed seal_unchunked(const packet *now, int rounds, sealed before) {
  state made = begun(now->key, now->powers, now->nonce), hashed = made;
  cursor c = begin_hashing(&hashed, &before);
  __m128i block = crypt_end(&hashed, &c, rounds, &made, now->text, now->length);
  end_hashing(&hashed, &c, &before);
  return (sealed){.packet = now, .text = now->text, .block = block, .carry = _mm512_setzero_si512()};
}

INLINE void seal_burst(const packet *packets, size_t stride, size_t count, int rounds) {
  sealed before = {.packet = NULL, .block = _mm_setzero_si128(), .carry = _mm512_setzero_si512()};
  for (; count > 0; count -= 1) {
    const packet *now = packets;
    packets = (const packet *)((const uint8_t *)packets + stride);
    before = now->length < chunk_octets ? seal_unchunked(now, rounds, before) : seal_chunked(now, rounds, before);
  }
  state s = begun(NULL, 0, NULL);
  cursor c = begin_hashing(&s, &before);
  end_hashing(&s, &c, &before);
}

VECTOR void vector_gcm_seal_256(const packet *packets, size_t stride, size_t count) {
  seal_burst(packets, stride, count, 14);
}

VECTOR void vector_gcm_seal_128(const packet *packets, size_t stride, size_t count) {
  seal_burst(packets, stride, count, 10);
}

// MARK: Opening

// Short packets' code apart, so that it need not save registers of the caller.
#define DEFINE(name, rounds)                                                                                           \
  static __attribute__((noinline)) VECTOR void name##_groups(const void *key, size_t powers, const void *nonce,       \
                                                             const void *aad, size_t aad_length, void *text,          \
                                                             size_t length, void *tag) {                              \
    open_groups(key, powers, rounds, nonce, aad, aad_length, text, length, tag);                                      \
  }                                                                                                                   \
  VECTOR void name(const void *key, size_t powers, const void *nonce, const void *aad, size_t aad_length, void *text, \
                   size_t length, void *tag) {                                                                        \
    if (is_group(powers, aad_length, length)) {                                                                       \
      open_group(key, rounds, nonce, aad, aad_length, text, length, tag);                                             \
    } else {                                                                                                          \
      name##_groups(key, powers, nonce, aad, aad_length, text, length, tag);                                          \
    }                                                                                                                 \
  }
DEFINE(vector_gcm_open_256, 14)
DEFINE(vector_gcm_open_128, 10)

#endif
