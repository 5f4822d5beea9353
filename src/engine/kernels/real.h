/* One source, two number types, four instruction sets: TB_REAL_BITS (32, 64) and TB_TABLE (generic, v2, v3, v4) come
 * from the build.  `real` is the number, `vector` as many of them as a register holds, NAME(x) the table's symbol.
 *
 * Most kernels are loops over `real` that the compiler turns into vectors: the same scalar operations in every table,
 * hence the same bits.  Only where registers must be blocked by hand (gemm, reductions) do sources speak of vectors. */
#ifndef TB_ENGINE_KERNELS_REAL_H
#define TB_ENGINE_KERNELS_REAL_H

#include "engine/kernels/kernels.h"

#include <math.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define JOIN4_(a, b, c, d) a##b##_##c##_##d
#define JOIN4(a, b, c, d)  JOIN4_(a, b, c, d)
#define NAME(x)            JOIN4(tb_kernels_, x, TB_TABLE, TB_REAL_BITS)

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

#if TB_REAL_BITS == 32
typedef float real;
typedef int32_t integer;
typedef uint32_t natural;
#define REAL(x)  x##f
#define REAL_MAX 3.402823466e+38f
enum { MANTISSA_BITS = 23, EXPONENT_BIAS = 127 };
#else
typedef double real;
typedef int64_t integer;
typedef uint64_t natural;
#define REAL(x)  x
#define REAL_MAX 1.7976931348623157e308
enum { MANTISSA_BITS = 52, EXPONENT_BIAS = 1023 };
#endif

enum { LANES = VECTOR_BYTES / (int)sizeof(real), MAX_LANES = 64 / (int)sizeof(real) };

#define INLINE static inline __attribute__((always_inline, unused))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define LOOP _Pragma("omp simd")

/* a·b + c, in one rounding where the instruction set has it */
INLINE real fused(real a, real b, real c) {
#if defined(__FMA__) && TB_REAL_BITS == 32
  return __builtin_fmaf(a, b, c);
#elif defined(__FMA__)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

INLINE integer as_integer(real x) {
  integer i;
  memcpy(&i, &x, sizeof i);
  return i;
}

INLINE real as_real(integer i) {
  real x;
  memcpy(&x, &i, sizeof x);
  return x;
}

/* ---- vectors ---- */

typedef real vector __attribute__((vector_size(VECTOR_BYTES)));
typedef real loose_vector __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

INLINE vector load(const real *p) {
  return *(const loose_vector *)p;
}

INLINE void store(real *p, vector v) {
  *(loose_vector *)p = v;
}

INLINE vector spread(real x) {
  return x - (vector){ 0 };
}

INLINE vector fused_vector(vector a, vector b, vector c) {
#if defined(__AVX512F__) && TB_REAL_BITS == 32
  return (vector)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX512F__)
  return (vector)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__) && TB_REAL_BITS == 32
  return (vector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FMA__)
  return (vector)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return a * b + c;
#endif
}

/* a > b ? a : b in each lane, and a < b ? a : b */
#if defined(__AVX512F__) && TB_REAL_BITS == 32
INLINE vector larger_of(vector a, vector b) {
  return (vector)_mm512_max_ps((__m512)a, (__m512)b);
}
INLINE vector smaller_of(vector a, vector b) {
  return (vector)_mm512_min_ps((__m512)a, (__m512)b);
}
#elif defined(__AVX512F__)
INLINE vector larger_of(vector a, vector b) {
  return (vector)_mm512_max_pd((__m512d)a, (__m512d)b);
}
INLINE vector smaller_of(vector a, vector b) {
  return (vector)_mm512_min_pd((__m512d)a, (__m512d)b);
}
#elif defined(__AVX2__) && TB_REAL_BITS == 32
INLINE vector larger_of(vector a, vector b) {
  return (vector)_mm256_max_ps((__m256)a, (__m256)b);
}
INLINE vector smaller_of(vector a, vector b) {
  return (vector)_mm256_min_ps((__m256)a, (__m256)b);
}
#elif defined(__AVX2__)
INLINE vector larger_of(vector a, vector b) {
  return (vector)_mm256_max_pd((__m256d)a, (__m256d)b);
}
INLINE vector smaller_of(vector a, vector b) {
  return (vector)_mm256_min_pd((__m256d)a, (__m256d)b);
}
#else
INLINE vector larger_of(vector a, vector b) {
  for (int l = 0; l < LANES; l++)
    a[l] = a[l] > b[l] ? a[l] : b[l];
  return a;
}
INLINE vector smaller_of(vector a, vector b) {
  for (int l = 0; l < LANES; l++)
    a[l] = a[l] < b[l] ? a[l] : b[l];
  return a;
}
#endif

#if TB_REAL_BITS == 32
typedef int32_t lane_bits __attribute__((vector_size(VECTOR_BYTES)));
#else
typedef int64_t lane_bits __attribute__((vector_size(VECTOR_BYTES)));
#endif

/* v where d > 0, else 0 */
INLINE vector where_positive(vector d, vector v) {
  return (vector)((lane_bits)(d > 0) & (lane_bits)v);
}

/* x < least ? 0 : v in each lane */
INLINE vector unless_less(vector x, vector least, vector v) {
#if defined(__AVX512F__) && TB_REAL_BITS == 32
  return (vector)_mm512_maskz_mov_ps(_mm512_cmp_ps_mask((__m512)x, (__m512)least, _CMP_NLT_UQ), (__m512)v);
#elif defined(__AVX512F__)
  return (vector)_mm512_maskz_mov_pd(_mm512_cmp_pd_mask((__m512d)x, (__m512d)least, _CMP_NLT_UQ), (__m512d)v);
#else
  return (vector)(~(lane_bits)(x < least) & (lane_bits)v);
#endif
}

/* The first count lanes, 0 < count < LANES; the others 0. */
INLINE vector load_part(const real *p, size_t count) {
#if defined(__AVX512F__) && TB_REAL_BITS == 32
  return (vector)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#elif defined(__AVX512F__)
  return (vector)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), p);
#elif defined(__AVX2__) && TB_REAL_BITS == 32
  static const int32_t mask[16] = { -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0 };
  return (vector)_mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(mask + 8 - count)));
#elif defined(__AVX2__)
  static const int64_t mask[8] = { -1, -1, -1, -1, 0, 0, 0, 0 };
  return (vector)_mm256_maskload_pd(p, _mm256_loadu_si256((const __m256i *)(mask + 4 - count)));
#else
  real t[LANES] __attribute__((aligned(VECTOR_BYTES))) = { 0 };
  for (size_t i = 0; i < count; i++)
    t[i] = p[i];
  return *(vector *)t;
#endif
}

INLINE void store_part(real *p, vector v, size_t count) {
#if defined(__AVX512F__) && TB_REAL_BITS == 32
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
#elif defined(__AVX512F__)
  _mm512_mask_storeu_pd(p, (__mmask8)((1u << count) - 1), (__m512d)v);
#else
  for (size_t i = 0; i < count; i++)
    p[i] = v[i];
#endif
}

/* ---- shuffles ---- */

#if defined(__clang__)
typedef natural index_vector __attribute__((vector_size(VECTOR_BYTES)));
#define SHUFFLE1(a, ...)    __builtin_shufflevector(a, a, __VA_ARGS__)
#define SHUFFLE2(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef integer index_vector __attribute__((vector_size(VECTOR_BYTES)));
#define SHUFFLE1(a, ...)    __builtin_shuffle(a, (index_vector){ __VA_ARGS__ })
#define SHUFFLE2(a, b, ...) __builtin_shuffle(a, b, (index_vector){ __VA_ARGS__ })
#endif

/* {a0, b0, a1, b1 …} of the lower and the upper halves; a turned by half, a quarter … of its lanes */
#if VECTOR_BYTES * 8 / TB_REAL_BITS == 16
#define INTERLEAVE_LOW(a, b)  SHUFFLE2(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define INTERLEAVE_HIGH(a, b) SHUFFLE2(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define TURN8(a)              SHUFFLE1(a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#define TURN4(a)              SHUFFLE1(a, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3)
#define TURN2(a)              SHUFFLE1(a, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1)
#define TURN1(a)              SHUFFLE1(a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0)
#elif VECTOR_BYTES * 8 / TB_REAL_BITS == 8
#define INTERLEAVE_LOW(a, b)  SHUFFLE2(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define INTERLEAVE_HIGH(a, b) SHUFFLE2(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define TURN8(a)              (a)
#define TURN4(a)              SHUFFLE1(a, 4, 5, 6, 7, 0, 1, 2, 3)
#define TURN2(a)              SHUFFLE1(a, 2, 3, 4, 5, 6, 7, 0, 1)
#define TURN1(a)              SHUFFLE1(a, 1, 2, 3, 4, 5, 6, 7, 0)
#elif VECTOR_BYTES * 8 / TB_REAL_BITS == 4
#define INTERLEAVE_LOW(a, b)  SHUFFLE2(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH(a, b) SHUFFLE2(a, b, 2, 6, 3, 7)
#define TURN8(a)              (a)
#define TURN4(a)              (a)
#define TURN2(a)              SHUFFLE1(a, 2, 3, 0, 1)
#define TURN1(a)              SHUFFLE1(a, 1, 2, 3, 0)
#else
#define INTERLEAVE_LOW(a, b)  SHUFFLE2(a, b, 0, 2)
#define INTERLEAVE_HIGH(a, b) SHUFFLE2(a, b, 1, 3)
#define TURN8(a)              (a)
#define TURN4(a)              (a)
#define TURN2(a)              (a)
#define TURN1(a)              SHUFFLE1(a, 1, 0)
#endif

#if VECTOR_BYTES == 64
/* Lanes of a and b added to those at a distance of 8, 4 … : the sums of a, then those of b, in each pair of runs. */
#if TB_REAL_BITS == 32
#define FOLD8(a, b)                                                                                                    \
  (SHUFFLE2(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +                                            \
   SHUFFLE2(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#define FOLD4(a, b)                                                                                                    \
  (SHUFFLE2(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +                                          \
   SHUFFLE2(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31))
#define FOLD2(a, b)                                                                                                    \
  (SHUFFLE2(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +                                          \
   SHUFFLE2(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31))
#define FOLD1(a, b)                                                                                                    \
  (SHUFFLE2(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +                                         \
   SHUFFLE2(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31))
#else
#define FOLD4(a, b) (SHUFFLE2(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + SHUFFLE2(a, b, 4, 5, 6, 7, 12, 13, 14, 15))
#define FOLD2(a, b) (SHUFFLE2(a, b, 0, 1, 4, 5, 8, 9, 12, 13) + SHUFFLE2(a, b, 2, 3, 6, 7, 10, 11, 14, 15))
#define FOLD1(a, b) (SHUFFLE2(a, b, 0, 2, 4, 6, 8, 10, 12, 14) + SHUFFLE2(a, b, 1, 3, 5, 7, 9, 11, 13, 15))
#endif
#endif

/* The sum of MAX_LANES lane accumulators in a fixed tree: lane i + lane i + n/2, and so on halving. */
enum { WIDE = MAX_LANES / LANES }; /* vectors that make up the widest instruction set's one */
INLINE real tree_sum(const vector acc[WIDE]) {
  vector t[WIDE];
  UNROLL for (int i = 0; i < WIDE; i++) t[i] = acc[i];
  if (WIDE == 4) {
    t[0] += t[2 % WIDE];
    t[1 % WIDE] += t[3 % WIDE];
  }
  if (WIDE >= 2)
    t[0] += t[1 % WIDE];
  if (LANES > 8)
    t[0] += TURN8(t[0]);
  if (LANES > 4)
    t[0] += TURN4(t[0]);
  if (LANES > 2)
    t[0] += TURN2(t[0]);
  t[0] += TURN1(t[0]);
  return t[0][0];
}

/* out[i] = tree_sum of t[i], 1 ≤ count ≤ LANES vectors, as one tree: its idle lanes take the others' sums. */
INLINE void tree_sums(int count, const vector t[], real *out) {
#if VECTOR_BYTES == 64
  vector s[LANES];
  int n = 1; /* vectors left, a power of two */
  UNROLL for (int i = 0; i < 4; i++) n = n < count ? 2 * n : n;
  UNROLL for (int i = 0; i < n; i++) s[i] = i < count ? t[i] : (vector){ 0 };
#define FOLD(turn)                                                                                                     \
  UNROLL for (int i = 0; i < (n + 1) / 2; i++) s[i] = turn(s[2 * i], s[n > 1 ? 2 * i + 1 : 0]);                        \
  n = (n + 1) / 2
#if TB_REAL_BITS == 32
  FOLD(FOLD8);
#endif
  FOLD(FOLD4);
  FOLD(FOLD2);
  FOLD(FOLD1);
#undef FOLD
  if (count == LANES)
    store(out, s[0]);
  else
    store_part(out, s[0], (size_t)count);
#else
  UNROLL for (int i = 0; i < count; i++) out[i] = tree_sum(t + i * WIDE);
#endif
}

/* ---- the families of one table ---- */

/* A product takes b in panels of k-blocks: K_BLOCK rows, PANEL columns; of narrow products up to NARROW columns of
 * DOT_BLOCK rows at once. */
enum {
  GEMM_K_BLOCK = TB_GEMM_DEPTH,
  GEMM_PANEL_VECTORS = VECTOR_BYTES == 64 ? 4 : 2,
  GEMM_PANEL = GEMM_PANEL_VECTORS * LANES,
  GEMM_NARROW = 12,
  GEMM_DOT_BLOCK = 1024,
  GEMM_SCRATCH =
      GEMM_K_BLOCK * GEMM_PANEL > GEMM_NARROW *GEMM_DOT_BLOCK ? GEMM_K_BLOCK *GEMM_PANEL : GEMM_NARROW *GEMM_DOT_BLOCK,
};
tb_kernel_gemm NAME(gemm);
void NAME(transpose)(size_t rows, size_t cols, const void *a, size_t lda, void *out, size_t ldo);
extern const tb_kernel_math NAME(math);
extern const tb_kernel_pointwise NAME(pointwise);
extern const tb_kernel_reduce NAME(reduce);
extern const tb_kernel_move NAME(move);
extern const tb_kernel_factor NAME(factor);
extern const tb_kernel_sampled NAME(sampled);
extern const tb_kernel_attention NAME(attention);
extern const tb_kernel_recall NAME(recall);
extern const tb_kernel_norm NAME(norm);
extern const tb_kernel_feed NAME(feed);
extern const tb_kernels NAME(table);

#endif
