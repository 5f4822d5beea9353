/* Layer norm of rows, y = x̂ ∘ gain + shift with x̂ = (x − mean) r, r = 1/√(var + ε), and its reverse:
 *
 *   g = ȳ ∘ gain,  x̄ = r (g − mean(g) − x̂ mean(g ∘ x̂)),  gain̄ = Σ ȳ ∘ x̂,  shift̄ = Σ ȳ
 *
 * BLOCK rows at a time stand side by side in the lanes, so that means need no shuffles and narrow rows waste nothing.
 * Sums over rows keep BLOCK partial sums an entry, added in a fixed tree at the end. */
#include "engine/kernels/real.h"

#include <string.h>

enum { BLOCK = MAX_LANES };
#define ALIGNED __attribute__((aligned(64)))

/* x[count, cols] → out[cols, BLOCK], lanes without a row zero */
static void turn_in(size_t count, size_t cols, const real *x, size_t ldx, real *out) {
  if (count < BLOCK)
    memset(out, 0, cols * BLOCK * sizeof(real));
  NAME(transpose)(count, cols, x, ldx, out, BLOCK);
}

/* x ← x̂ in place; r of each row */
static void normalise(size_t cols, real epsilon, real *x, real *r) {
  real sum[BLOCK] ALIGNED = { 0 }, square[BLOCK] ALIGNED = { 0 };
  const real n = (real)cols;
  for (size_t j = 0; j < cols; j++)
    LOOP for (size_t i = 0; i < BLOCK; i++) sum[i] += x[j * BLOCK + i];
  LOOP for (size_t i = 0; i < BLOCK; i++) sum[i] /= n;
  for (size_t j = 0; j < cols; j++)
    LOOP for (size_t i = 0; i < BLOCK; i++) {
      const real c = x[j * BLOCK + i] - sum[i];
      x[j * BLOCK + i] = c;
      square[i] = fused(c, c, square[i]);
    }
  LOOP for (size_t i = 0; i < BLOCK; i++) {
    const real variance = square[i] / n + epsilon;
    r[i] = 1 / (TB_REAL_BITS == 32 ? (real)__builtin_sqrtf((float)variance) : (real)__builtin_sqrt((double)variance));
  }
  for (size_t j = 0; j < cols; j++)
    LOOP for (size_t i = 0; i < BLOCK; i++) x[j * BLOCK + i] *= r[i];
}

static void forward(const tb_layer_norm *n, const void *x, const void *gain_, const void *shift_, void *out,
                    void *scratch) {
  const real *gain = gain_, *shift = shift_;
  real *turned = scratch, r[BLOCK] ALIGNED;
  for (size_t i = 0; i < n->rows; i += BLOCK) {
    const size_t count = n->rows - i < BLOCK ? n->rows - i : BLOCK;
    turn_in(count, n->cols, (const real *)x + i * n->ld_x, n->ld_x, turned);
    normalise(n->cols, (real)n->epsilon, turned, r);
    for (size_t j = 0; j < n->cols; j++) {
      const real a = gain[j], b = shift[j];
      LOOP for (size_t l = 0; l < BLOCK; l++) turned[j * BLOCK + l] = fused(turned[j * BLOCK + l], a, b);
    }
    NAME(transpose)(n->cols, count, turned, BLOCK, (real *)out + i * n->ld_out, n->ld_out);
  }
}

/* g in place of ȳ, x̄ in place of it, from x̂ and r */
static void pull_back(size_t cols, const real *gain, const real *x, const real *r, real *bar) {
  real mean[BLOCK] ALIGNED = { 0 }, moment[BLOCK] ALIGNED = { 0 };
  const real n = (real)cols;
  for (size_t j = 0; j < cols; j++) {
    const real a = gain[j];
    LOOP for (size_t i = 0; i < BLOCK; i++) {
      const real g = bar[j * BLOCK + i] * a;
      bar[j * BLOCK + i] = g;
      mean[i] += g;
      moment[i] = fused(g, x[j * BLOCK + i], moment[i]);
    }
  }
  LOOP for (size_t i = 0; i < BLOCK; i++) {
    mean[i] /= n;
    moment[i] /= n;
  }
  for (size_t j = 0; j < cols; j++)
    LOOP for (size_t i = 0; i < BLOCK; i++) bar[j * BLOCK + i] =
        r[i] * fused(-x[j * BLOCK + i], moment[i], bar[j * BLOCK + i] - mean[i]);
}

static void add_up(size_t cols, const real *sums, real *out) {
  for (size_t j = 0; j < cols && out; j++) {
    vector acc[WIDE];
    UNROLL for (int w = 0; w < WIDE; w++) acc[w] = load(sums + j * BLOCK + w * LANES);
    out[j] = tree_sum(acc);
  }
}

static void backward(const tb_layer_norm *n, const void *x_, const void *gain, const void *bar_, const void *rest,
                     void *x_bar, void *gain_bar, void *shift_bar, void *scratch) {
  const size_t cols = n->cols;
  real *x = scratch, *bar = x + cols * BLOCK, *gains = bar + cols * BLOCK, *shifts = gains + cols * BLOCK;
  real r[BLOCK] ALIGNED;
  memset(gains, 0, 2 * cols * BLOCK * sizeof(real));
  for (size_t i = 0; i < n->rows; i += BLOCK) {
    const size_t count = n->rows - i < BLOCK ? n->rows - i : BLOCK;
    turn_in(count, cols, (const real *)x_ + i * n->ld_x, n->ld_x, x);
    turn_in(count, cols, (const real *)bar_ + i * n->ld_bar, n->ld_bar, bar);
    normalise(cols, (real)n->epsilon, x, r);
    LOOP for (size_t k = 0; k < cols * BLOCK; k++) {
      gains[k] = fused(bar[k], x[k], gains[k]);
      shifts[k] += bar[k];
    }
    pull_back(cols, gain, x, r, bar);
    if (rest) {
      turn_in(count, cols, (const real *)rest + i * n->ld_rest, n->ld_rest, x);
      LOOP for (size_t k = 0; k < cols * BLOCK; k++) bar[k] += x[k];
    }
    NAME(transpose)(cols, count, bar, BLOCK, (real *)x_bar + i * n->ld_x_bar, n->ld_x_bar);
  }
  add_up(cols, gains, gain_bar);
  add_up(cols, shifts, shift_bar);
}

static size_t scratch_of(const tb_layer_norm *n, bool reverse) {
  return n->cols * BLOCK * (reverse ? 4 : 1);
}

const tb_kernel_norm NAME(norm) = { .scratch = scratch_of, .forward = forward, .backward = backward };
