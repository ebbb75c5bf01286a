// What vector_keys.c and vector_gcm.c share.
//
// No branch and no address depends on a key or on anything derived from one: substitution is VAES's, multiplication
// VPCLMULQDQ's, both of fixed time, and loops and branches go by the number of packets and by their lengths, which everybody
// sees. Secrets are in registers, which are cleared at a burst's end, and in the caller's slots; the stack is not used
// (EngineKeyMemoryTests searches memory for what a compiler might have spilled).
#pragma once

#include <immintrin.h>

#include "CIPsecMB.h"

// Function attributes instead of compiler flags: the rest of the program must run on any x86-64 CPU.
#define VECTOR __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq,bmi2")))
#define INLINE static inline __attribute__((always_inline)) VECTOR

enum {
  powers_end = CIPsecMB_gcm_key_size,  // the first power is the last of the key, higher ones precede it
  slot_size = 1024,
};

// The hash key (SP 800-38D) is in the library's representation: octets reversed, times x.
#define POLYNOMIAL _mm512_broadcast_i32x4(_mm_set_epi64x((long long)0xc200000000000000, 1))

// high + the lower half of middle times the polynomial, 64 bits down.
INLINE __m512i fold(__m512i high, __m512i middle) {
  __m512i product = _mm512_clmulepi64_epi128(POLYNOMIAL, middle, 0x01);
  return _mm512_ternarylogic_epi64(high, _mm512_shuffle_epi32(middle, 0x4e), product, 0x96);
}

// Registers keep what was last in them, and the kernel writes them to a thread's stack or frame at any time.
INLINE void clear_registers(void) {
  __asm__ volatile(
      "vzeroall\n"
      "vpxorq %%xmm16, %%xmm16, %%xmm16\n vpxorq %%xmm17, %%xmm17, %%xmm17\n vpxorq %%xmm18, %%xmm18, %%xmm18\n"
      "vpxorq %%xmm19, %%xmm19, %%xmm19\n vpxorq %%xmm20, %%xmm20, %%xmm20\n vpxorq %%xmm21, %%xmm21, %%xmm21\n"
      "vpxorq %%xmm22, %%xmm22, %%xmm22\n vpxorq %%xmm23, %%xmm23, %%xmm23\n vpxorq %%xmm24, %%xmm24, %%xmm24\n"
      "vpxorq %%xmm25, %%xmm25, %%xmm25\n vpxorq %%xmm26, %%xmm26, %%xmm26\n vpxorq %%xmm27, %%xmm27, %%xmm27\n"
      "vpxorq %%xmm28, %%xmm28, %%xmm28\n vpxorq %%xmm29, %%xmm29, %%xmm29\n vpxorq %%xmm30, %%xmm30, %%xmm30\n"
      "vpxorq %%xmm31, %%xmm31, %%xmm31\n" ::
          : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
            "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",
            "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "memory");
}
