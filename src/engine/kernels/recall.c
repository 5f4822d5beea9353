/* Attention of one query over remembered keys and values:
 *
 *   out = Σ_j w_j v_j,   w = softmax(q·k_j + slope (j − last)),   j = 0 … count − 1
 *
 * They lie in blocks of MAX_LANES places, first all features of the keys, then those of the values, so that all is read
 * as one stream.  Sums go lane by lane and then down a fixed tree, whatever the vector width. */
#include "engine/kernels/exponential.h"

/* s[blocks · MAX_LANES] = scores, −∞ from count on; returns the largest. */
static real scores_of(size_t count, size_t blocks, size_t width, const real *q, const real *memory, real slope,
                      real *s) {
  for (size_t b = 0; b < blocks; b++) {
    const real *keys = memory + b * 2 * width * MAX_LANES;
    UNROLL for (int w = 0; w < WIDE; w++) {
      vector sum = { 0 };
      for (size_t f = 0; f < width; f++)
        sum = fused_vector(spread(q[f]), load(keys + f * MAX_LANES + w * LANES), sum);
      store(s + b * MAX_LANES + w * LANES, sum);
    }
  }
  if (slope != 0)
    for (size_t j = 0; j < count; j++)
      s[j] = fused(slope, (real)j - (real)(count - 1), s[j]);
  for (size_t j = count; j < blocks * MAX_LANES; j++)
    s[j] = -INFINITE;
  vector most = load(s);
  for (size_t j = LANES; j < blocks * MAX_LANES; j += LANES)
    most = larger_of(most, load(s + j));
  real largest = most[0];
  for (int l = 1; l < LANES; l++)
    largest = most[l] > largest ? most[l] : largest;
  return largest;
}

static real sum_of(size_t blocks, const real *s) {
  vector acc[WIDE];
  UNROLL for (int w = 0; w < WIDE; w++) acc[w] = load(s + w * LANES);
  for (size_t b = 1; b < blocks; b++) {
    UNROLL for (int w = 0; w < WIDE; w++) acc[w] += load(s + b * MAX_LANES + w * LANES);
  }
  return tree_sum(acc);
}

/* Σ_j s[j] of feature f of the values */
static real weigh(size_t blocks, size_t width, const real *s, const real *memory, size_t f) {
  vector acc[WIDE];
  UNROLL for (int w = 0; w < WIDE; w++) acc[w] = (vector){ 0 };
  for (size_t b = 0; b < blocks; b++) {
    const real *values = memory + (b * 2 * width + width + f) * MAX_LANES;
    UNROLL for (int w = 0; w < WIDE; w++) acc[w] =
        fused_vector(load(s + b * MAX_LANES + w * LANES), load(values + w * LANES), acc[w]);
  }
  return tree_sum(acc);
}

static void recall(size_t count, size_t width, const void *query, const void *memory, double slope, void *result,
                   void *scratch) {
  const size_t blocks = (count + MAX_LANES - 1) / MAX_LANES;
  real *s = scratch, *out = result;
  const real largest = scores_of(count, blocks, width, query, memory, (real)slope, s);
  LOOP for (size_t j = 0; j < blocks * MAX_LANES; j++) s[j] = exp_falling(s[j] - largest);
  const real sum = sum_of(blocks, s);
  for (size_t f = 0; f < width; f++)
    out[f] = weigh(blocks, width, s, memory, f) / sum;
}

const tb_kernel_recall NAME(recall) = { MAX_LANES, recall };
