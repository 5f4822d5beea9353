/* The table of one instruction set and number type, and the measured peak of its multiply-adds. */
#include "engine/kernels/real.h"

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* Multiply-adds in registers only: as many independent chains as hide their latency.  The volatile reads and writes
 * keep the loop between the two looks at the clock. */
static double peak(void) {
  enum { CHAINS = VECTOR_BYTES == 64 ? 24 : 12, STEPS = 4000, REPEATS = 60 };
  volatile real factor = REAL(0.999), sink;
  double best = 0;
  for (int repeat = 0; repeat < REPEATS; repeat++) {
    const double start = tb_clock_seconds();
    const vector x = spread(factor);
    vector acc[CHAINS];
    UNROLL for (int c = 0; c < CHAINS; c++) acc[c] = x + (real)c;
    for (int step = 0; step < STEPS; step++) {
      UNROLL for (int c = 0; c < CHAINS; c++) acc[c] = fused_vector(acc[c], x, x);
    }
    UNROLL for (int c = 1; c < CHAINS; c++) acc[0] += acc[c];
    sink = acc[0][0];
    const double rate = 2.0 * STEPS * CHAINS * LANES / (tb_clock_seconds() - start);
    best = rate > best ? rate : best;
  }
  (void)sink;
  return best;
}

const tb_kernels NAME(table) = {
  .name = TEXT(TB_TABLE),
  .dtype = TB_REAL_BITS == 32 ? TB_FLOAT32 : TB_FLOAT64,
  .lanes = LANES,
  .gemm_scratch = GEMM_SCRATCH,
  .gemm = NAME(gemm),
  .math = &NAME(math),
  .pointwise = &NAME(pointwise),
  .reduce = &NAME(reduce),
  .move = &NAME(move),
  .factor = &NAME(factor),
  .sampled = &NAME(sampled),
  .attention = &NAME(attention),
  .recall = &NAME(recall),
  .norm = &NAME(norm),
  .feed = &NAME(feed),
  .peak = peak,
};
