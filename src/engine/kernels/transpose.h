/* A square of LANES × LANES turned in registers, or the part of one that is there. */
#ifndef TB_ENGINE_KERNELS_TRANSPOSE_H
#define TB_ENGINE_KERNELS_TRANSPOSE_H

#include "engine/kernels/real.h"

#if defined(__AVX2__)
/* A square of LANES × LANES, a strip of QUAD columns (16 bytes) at a time: register i takes that strip of the rows i,
 * i + QUAD, i + 2 QUAD …, one in each 16 bytes, and interleaving within those turns the strip.  A part of a square
 * reads and writes only what is there. */
enum { QUAD = 16 / (int)sizeof(real) };

#if TB_REAL_BITS == 32
typedef __m128 quad;
#define QUAD_LOAD(p)     _mm_loadu_ps(p)
#define QUAD_STORE(p, q) _mm_storeu_ps(p, q)
#else
typedef __m128d quad;
#define QUAD_LOAD(p)     _mm_loadu_pd(p)
#define QUAD_STORE(p, q) _mm_storeu_pd(p, q)
#endif

INLINE quad load_quad(const real *p, bool part, size_t count) {
  if (!part)
    return QUAD_LOAD(p);
#if defined(__AVX512F__) && TB_REAL_BITS == 32
  return _mm_maskz_loadu_ps((__mmask8)((1u << count) - 1), p);
#elif defined(__AVX512F__)
  return _mm_maskz_loadu_pd((__mmask8)((1u << count) - 1), p);
#else
  real t[QUAD] = { 0 };
  for (size_t i = 0; i < count; i++)
    t[i] = p[i];
  return QUAD_LOAD(t);
#endif
}

/* 16 bytes, of which count are there, of the rows at a, a + QUAD rows, …; of the first rows only */
INLINE vector load_strip(bool part, size_t rows, size_t count, const real *a, size_t lda) {
  quad q[LANES / QUAD];
  UNROLL for (int l = 0; l < LANES / QUAD; l++) {
    q[l] = load_quad(a, part, (size_t)(l * QUAD) < rows ? count : 0);
    a += QUAD * lda;
  }
#if TB_REAL_BITS == 32 && defined(__AVX512F__)
  const __m512 half = _mm512_insertf32x4(_mm512_castps128_ps512(q[0]), q[1], 1);
  return (vector)_mm512_insertf32x4(_mm512_insertf32x4(half, q[2], 2), q[3], 3);
#elif TB_REAL_BITS == 32
  return (vector)_mm256_insertf128_ps(_mm256_castps128_ps256(q[0]), q[1], 1);
#elif defined(__AVX512F__)
  const __m512d half = _mm512_insertf64x2(_mm512_castpd128_pd512(q[0]), q[1], 1);
  return (vector)_mm512_insertf64x2(_mm512_insertf64x2(half, q[2], 2), q[3], 3);
#else
  return (vector)_mm256_insertf128_pd(_mm256_castpd128_pd256(q[0]), q[1], 1);
#endif
}

/* The columns of a strip, from its registers. */
INLINE void turn_strip(const vector t[QUAD], vector out[QUAD]) {
#if TB_REAL_BITS == 32 && defined(__AVX512F__)
  const __m512d a = (__m512d)_mm512_unpacklo_ps((__m512)t[0], (__m512)t[1]);
  const __m512d b = (__m512d)_mm512_unpackhi_ps((__m512)t[0], (__m512)t[1]);
  const __m512d c = (__m512d)_mm512_unpacklo_ps((__m512)t[2], (__m512)t[3]);
  const __m512d d = (__m512d)_mm512_unpackhi_ps((__m512)t[2], (__m512)t[3]);
  out[0] = (vector)_mm512_unpacklo_pd(a, c);
  out[1] = (vector)_mm512_unpackhi_pd(a, c);
  out[2] = (vector)_mm512_unpacklo_pd(b, d);
  out[3] = (vector)_mm512_unpackhi_pd(b, d);
#elif TB_REAL_BITS == 32
  const __m256d a = (__m256d)_mm256_unpacklo_ps((__m256)t[0], (__m256)t[1]);
  const __m256d b = (__m256d)_mm256_unpackhi_ps((__m256)t[0], (__m256)t[1]);
  const __m256d c = (__m256d)_mm256_unpacklo_ps((__m256)t[2], (__m256)t[3]);
  const __m256d d = (__m256d)_mm256_unpackhi_ps((__m256)t[2], (__m256)t[3]);
  out[0] = (vector)_mm256_unpacklo_pd(a, c);
  out[1] = (vector)_mm256_unpackhi_pd(a, c);
  out[2] = (vector)_mm256_unpacklo_pd(b, d);
  out[3] = (vector)_mm256_unpackhi_pd(b, d);
#elif defined(__AVX512F__)
  out[0] = (vector)_mm512_unpacklo_pd((__m512d)t[0], (__m512d)t[1]);
  out[1] = (vector)_mm512_unpackhi_pd((__m512d)t[0], (__m512d)t[1]);
#else
  out[0] = (vector)_mm256_unpacklo_pd((__m256d)t[0], (__m256d)t[1]);
  out[1] = (vector)_mm256_unpackhi_pd((__m256d)t[0], (__m256d)t[1]);
#endif
}

/* A strip of a whole square; rows are addressed one from the other, which keeps addresses few. */
INLINE void transpose_strip(bool part, size_t rows, size_t cols, const real *a, size_t lda, real *out, size_t ldo) {
  vector t[QUAD], turned[QUAD];
  UNROLL for (int i = 0; i < QUAD; i++) {
    t[i] = load_strip(part, rows > (size_t)i ? rows - (size_t)i : 0, cols < QUAD ? cols : QUAD, a, lda);
    a += lda;
  }
  turn_strip(t, turned);
  UNROLL for (int i = 0; i < QUAD; i++) {
    if (part && (size_t)i >= cols)
      return;
    if (!part || rows == LANES)
      store(out, turned[i]);
    else
      store_part(out, turned[i], rows);
    out += ldo;
  }
}

INLINE void transpose_square(const real *a, size_t lda, real *out, size_t ldo) {
  UNROLL for (int strip = 0; strip < LANES / QUAD; strip++) {
    transpose_strip(false, LANES, QUAD, a, lda, out, ldo);
    a += QUAD;
    out += QUAD * ldo;
  }
}

INLINE void transpose_part(size_t rows, size_t cols, const real *a, size_t lda, real *out, size_t ldo) {
  if (rows == LANES)
    for (; cols >= QUAD; cols -= QUAD) {
      transpose_strip(false, LANES, QUAD, a, lda, out, ldo);
      a += QUAD;
      out += QUAD * ldo;
    }
  for (; cols > 0; cols -= cols < QUAD ? cols : QUAD) {
    transpose_strip(true, rows, cols, a, lda, out, ldo);
    a += QUAD;
    out += QUAD * ldo;
  }
}

INLINE void store_quad(real *p, quad q, int count) {
#if TB_REAL_BITS == 32
  if (count == QUAD)
    QUAD_STORE(p, q);
  if (count == 2 || count == 3)
    _mm_storel_pi((__m64 *)(void *)p, q);
  if (count == 1)
    _mm_store_ss(p, q);
  if (count == 3)
    _mm_store_ss(p + 2, _mm_movehl_ps(q, q));
#else
  if (count == QUAD)
    QUAD_STORE(p, q);
  else
    _mm_store_sd(p, q);
#endif
}

INLINE quad quad_of(vector v, int l) {
#if TB_REAL_BITS == 32 && defined(__AVX512F__)
  return l == 0   ? _mm512_castps512_ps128((__m512)v)
         : l == 1 ? _mm512_extractf32x4_ps((__m512)v, 1)
         : l == 2 ? _mm512_extractf32x4_ps((__m512)v, 2)
                  : _mm512_extractf32x4_ps((__m512)v, 3);
#elif TB_REAL_BITS == 32
  return l == 0 ? _mm256_castps256_ps128((__m256)v) : _mm256_extractf128_ps((__m256)v, 1);
#elif defined(__AVX512F__)
  return l == 0   ? _mm512_castpd512_pd128((__m512d)v)
         : l == 1 ? _mm512_extractf64x2_pd((__m512d)v, 1)
         : l == 2 ? _mm512_extractf64x2_pd((__m512d)v, 2)
                  : _mm512_extractf64x2_pd((__m512d)v, 3);
#else
  return l == 0 ? _mm256_castpd256_pd128((__m256d)v) : _mm256_extractf128_pd((__m256d)v, 1);
#endif
}

/* At most QUAD rows, which leave as 16 bytes or less of each row of out. */
INLINE void transpose_quad(int rows, size_t cols, const real *a, size_t lda, real *out, size_t ldo) {
  vector t[QUAD], turned[QUAD];
  UNROLL for (int i = 0; i < QUAD; i++) {
    t[i] = i >= rows ? (vector){ 0 } : cols == LANES ? load(a) : load_part(a, cols);
    a += lda;
  }
  turn_strip(t, turned);
  UNROLL for (int l = 0; l < LANES / QUAD; l++) {
    UNROLL for (int i = 0; i < QUAD; i++) {
      if ((size_t)(l * QUAD + i) >= cols)
        return;
      store_quad(out, quad_of(turned[i], l), rows);
      out += ldo;
    }
  }
}

/* Fewer rows than LANES */
INLINE void transpose_low(size_t rows, size_t cols, const real *a, size_t lda, real *out, size_t ldo) {
  for (; rows >= QUAD; rows -= QUAD) {
    transpose_quad(QUAD, cols, a, lda, out, ldo);
    a += QUAD * lda;
    out += QUAD;
  }
  if (rows == 1)
    transpose_quad(1, cols, a, lda, out, ldo);
  else if (rows == 2)
    transpose_quad(2, cols, a, lda, out, ldo);
  else if (rows == 3)
    transpose_quad(3, cols, a, lda, out, ldo);
}
#else
INLINE void transpose_low(size_t rows, size_t cols, const real *a, size_t lda, real *out, size_t ldo) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < cols; j++)
      out[j * ldo + i] = a[i * lda + j];
}

/* Each stage interleaves row i with row i + LANES/2, which turns the index by one bit. */
INLINE void transpose_square(const real *a, size_t lda, real *out, size_t ldo) {
  vector r[LANES], s[LANES];
  UNROLL for (int i = 0; i < LANES; i++) r[i] = load(a + (size_t)i * lda);
  UNROLL for (int stage = 1; stage < LANES; stage *= 2) {
    UNROLL for (int i = 0; i < LANES / 2; i++) {
      s[2 * i] = INTERLEAVE_LOW(r[i], r[i + LANES / 2]);
      s[2 * i + 1] = INTERLEAVE_HIGH(r[i], r[i + LANES / 2]);
    }
    UNROLL for (int i = 0; i < LANES; i++) r[i] = s[i];
  }
  UNROLL for (int i = 0; i < LANES; i++) store(out + (size_t)i * ldo, r[i]);
}

INLINE void transpose_part(size_t rows, size_t cols, const real *a, size_t lda, real *out, size_t ldo) {
  transpose_low(rows, cols, a, lda, out, ldo);
}
#endif

#endif
