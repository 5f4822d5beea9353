/* Moving numbers: transposes in squares of registers, gather, and its transpose. */
#include "engine/kernels/transpose.h"

/* Apart, so that each keeps its addresses in registers. */
#define APART static __attribute__((noinline)) void

APART whole_square(const real *a, size_t lda, real *out, size_t ldo) {
  transpose_square(a, lda, out, ldo);
}

APART part_of_square(size_t rows, size_t cols, const real *a, size_t lda, real *out, size_t ldo) {
  transpose_part(rows, cols, a, lda, out, ldo);
}

APART low_rows(size_t rows, size_t cols, const real *a, size_t lda, real *out, size_t ldo) {
  transpose_low(rows, cols, a, lda, out, ldo);
}

void NAME(transpose)(size_t rows, size_t cols, const void *a_, size_t lda, void *out_, size_t ldo) {
  const real *a = a_;
  real *out = out_;
  for (size_t r = 0; r < rows; r += LANES)
    for (size_t c = 0; c < cols; c += LANES) {
      const size_t m = rows - r < LANES ? rows - r : LANES, n = cols - c < LANES ? cols - c : LANES;
      const real *from = a + r * lda + c;
      real *to = out + c * ldo + r;
      if (m < LANES)
        low_rows(m, n, from, lda, to, ldo);
      else if (n < LANES)
        part_of_square(m, n, from, lda, to, ldo);
      else
        whole_square(from, lda, to, ldo);
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
