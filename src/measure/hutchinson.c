/* Probes a block at a time; sums run over probes in order, whatever the block. */
#include "measure/hutchinson.h"

#include <math.h>

#include <tiebreak/statistics.h>

#include "measure/probe.h"
#include "num/linear.h"

void tb_probes(tb_probe kind, tb_key key, size_t p, size_t first, size_t count, double *z) {
  if (kind == TB_PROBE_NORMAL) {
    tb_random_normal(key, (uint64_t)first * p, count * p, z);
    return;
  }
  enum { WORDS = 256 };
  uint32_t words[WORDS];
  const uint64_t begin = (uint64_t)first * p, end = begin + count * p; /* bit i of the key is sign i */
  for (uint64_t at = begin; at < end;) {
    const uint64_t word = at / 32, need = (end - 1) / 32 - word + 1;
    const size_t got = need < WORDS ? (size_t)need : WORDS;
    tb_random_bits(key, word, got, words);
    for (; at < end && at / 32 < word + got; at++)
      *z++ = words[at / 32 - word] >> (at % 32) & 1 ? 1 : -1;
  }
}

/* What the loop over blocks hands over: probes z[count×p], number first on, and their products. */
typedef void (*consume)(void *user, size_t p, size_t first, size_t count, const double *z, const double *product);

static tb_status probe_blocks(const tb_operator *a, tb_probe kind, size_t probes, tb_key key, consume take,
                              void *user) {
  const size_t p = a->dimension, block = a->block < probes ? a->block : probes;
  double *z = tb_allocate(a->context, block * p, sizeof *z), *product = tb_allocate(a->context, block * p, sizeof *z);
  tb_status status = z && product ? TB_OK : TB_NO_MEMORY;
  for (size_t first = 0; first < probes && status == TB_OK; first += block) {
    const size_t count = probes - first < block ? probes - first : block;
    tb_probes(kind, key, p, first, count, z);
    status = tb_operator_apply(a, count, z, product);
    if (status == TB_OK)
      take(user, p, first, count, z, product);
  }
  tb_release(a->context, product);
  tb_release(a->context, z);
  return status;
}

/* ---- traces ---- */

static void take_samples(void *user, size_t p, size_t first, size_t count, const double *z, const double *product) {
  double *samples = user;
  for (size_t i = 0; i < count; i++)
    samples[first + i] = tb_dot(p, z + i * p, product + i * p);
}

tb_status tb_hutchinson_trace(const tb_operator *a, tb_probe kind, size_t probes, tb_key key,
                              tb_trace_estimate *trace) {
  double *samples = tb_allocate(a->context, probes, sizeof *samples);
  tb_status status = samples ? probe_blocks(a, kind, probes, key, take_samples, samples) : TB_NO_MEMORY;
  if (status == TB_OK)
    *trace = (tb_trace_estimate){ .value = tb_mean_of(probes, samples),
                                  .se = tb_sd_of(probes, samples) / sqrt((double)probes),
                                  .products = probes };
  tb_release(a->context, samples);
  return status;
}

/* ---- diagonal ---- */

/* d = Σ az / Σ zz; the residuals az − d zz have the squared sum Σ aazz − 2 d Σ azzz + d² Σ zzzz, a being (Az)_i. */
typedef struct moments {
  double *az, *zz, *aazz, *azzz, *zzzz; /* [p] each */
} moments;

static void take_moments(void *user, size_t p, size_t first, size_t count, const double *z, const double *product) {
  const moments *m = user;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < p; j++) {
      const double square = z[i * p + j] * z[i * p + j], cross = z[i * p + j] * product[i * p + j];
      m->az[j] += cross;
      m->zz[j] += square;
      m->aazz[j] += cross * cross;
      m->azzz[j] += cross * square;
      m->zzzz[j] += square * square;
    }
}

tb_status tb_hutchinson_diagonal(const tb_operator *a, tb_probe kind, size_t probes, tb_key key, double *diagonal,
                                 double *se) {
  const size_t p = a->dimension;
  double *sums = tb_allocate(a->context, 5 * p, sizeof *sums);
  const moments m = { sums, sums + p, sums + 2 * p, sums + 3 * p, sums + 4 * p };
  tb_status status = sums ? probe_blocks(a, kind, probes, key, take_moments, (void *)(uintptr_t)&m) : TB_NO_MEMORY;
  for (size_t j = 0; j < p && status == TB_OK; j++) {
    const double d = m.az[j] / m.zz[j], count = (double)probes;
    diagonal[j] = d;
    if (!se)
      continue;
    const double spread = fmax(0, m.aazz[j] - 2 * d * m.azzz[j] + d * d * m.zzzz[j]);
    se[j] = probes < 2 ? NAN : sqrt(spread * count / (count - 1)) / m.zz[j];
  }
  tb_release(a->context, sums);
  return status;
}
