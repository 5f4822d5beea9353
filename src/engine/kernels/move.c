/* Moving numbers: transposes in squares of registers, gather, and its transpose. */
#include "engine/kernels/real.h"

/* A square of LANES × LANES: each stage interleaves row i with row i + LANES/2, which turns the index by one bit. */
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

/* A part of a square: rows and columns that are not there are not touched. */
INLINE void transpose_part(size_t rows, size_t cols, const real *a, size_t lda, real *out, size_t ldo) {
#if defined(__AVX512F__)
  vector r[LANES], s[LANES];
  UNROLL for (int i = 0; i < LANES; i++) r[i] = load_part(a + (size_t)i * lda, (size_t)i < rows ? cols : 0);
  UNROLL for (int stage = 1; stage < LANES; stage *= 2) {
    UNROLL for (int i = 0; i < LANES / 2; i++) {
      s[2 * i] = INTERLEAVE_LOW(r[i], r[i + LANES / 2]);
      s[2 * i + 1] = INTERLEAVE_HIGH(r[i], r[i + LANES / 2]);
    }
    UNROLL for (int i = 0; i < LANES; i++) r[i] = s[i];
  }
  UNROLL for (int i = 0; i < LANES; i++) store_part(out + (size_t)i * ldo, r[i], (size_t)i < cols ? rows : 0);
#else
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < cols; j++)
      out[j * ldo + i] = a[i * lda + j];
#endif
}

void NAME(transpose)(size_t rows, size_t cols, const void *a_, size_t lda, void *out_, size_t ldo) {
  const real *a = a_;
  real *out = out_;
  for (size_t r = 0; r < rows; r += LANES)
    for (size_t c = 0; c < cols; c += LANES) {
      const size_t m = rows - r < LANES ? rows - r : LANES, n = cols - c < LANES ? cols - c : LANES;
      if (m == LANES && n == LANES)
        transpose_square(a + r * lda + c, lda, out + c * ldo + r, ldo);
      else
        transpose_part(m, n, a + r * lda + c, lda, out + c * ldo + r, ldo);
    }
}

static void gather(size_t outer, size_t length, size_t inner, const void *a_, size_t count, const int32_t *index,
                   void *out_) {
  const real *a = a_;
  real *out = out_;
  for (size_t o = 0; o < outer; o++, a += length * inner)
    for (size_t j = 0; j < count; j++, out += inner) {
      if (index[j] >= 0 && (size_t)index[j] < length)
        memcpy(out, a + (size_t)index[j] * inner, inner * sizeof(real));
      else
        memset(out, 0, inner * sizeof(real));
    }
}

static void scatter_add(size_t outer, size_t length, size_t inner, const void *a_, size_t count, const int32_t *index,
                        void *out_) {
  const real *a = a_;
  real *out = out_;
  memset(out, 0, outer * length * inner * sizeof(real));
  for (size_t o = 0; o < outer; o++, out += length * inner)
    for (size_t j = 0; j < count; j++, a += inner) {
      if (index[j] < 0 || (size_t)index[j] >= length)
        continue;
      real *y = out + (size_t)index[j] * inner;
      LOOP for (size_t i = 0; i < inner; i++) y[i] += a[i];
    }
}

const tb_kernel_move NAME(move) = {
  .element = sizeof(real), .transpose = NAME(transpose), .gather = gather, .scatter_add = scatter_add
};
