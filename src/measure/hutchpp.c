/* Sketch, exact part, rest. */
#include "measure/hutchpp.h"

#include <math.h>

#include <tiebreak/statistics.h>

#include "measure/orthogonal.h"
#include "measure/probe.h"
#include "num/linear.h"

typedef struct sketch {
  const tb_operator *op;
  size_t p, block, rank;
  double *q;           /* [third×p], rank orthonormal rows */
  double *z, *product; /* [block×p] */
  double *work;        /* [2 third] */
} sketch;

/* q = AS orthonormalised, S[p×third] of signs. */
static tb_status span(sketch *s, size_t third, tb_key key) {
  double largest = 0;
  for (size_t first = 0; first < third; first += s->block) {
    const size_t count = third - first < s->block ? third - first : s->block;
    tb_probes(TB_PROBE_RADEMACHER, key, s->p, first, count, s->z);
    const tb_status status = tb_operator_apply(s->op, count, s->z, s->q + first * s->p);
    if (status != TB_OK)
      return status;
    for (size_t i = 0; i < count; i++)
      largest = fmax(largest, tb_norm(s->p, s->q + (first + i) * s->p));
  }
  s->rank = tb_orthonormalise(s->p, 0, third, s->q, tb_rounding_floor(s->p, largest), s->work);
  return TB_OK;
}

/* Σ_i q_iᵀ A q_i */
static tb_status exact_part(sketch *s, double *sum) {
  *sum = 0;
  for (size_t first = 0; first < s->rank; first += s->block) {
    const size_t count = s->rank - first < s->block ? s->rank - first : s->block;
    const tb_status status = tb_operator_apply(s->op, count, s->q + first * s->p, s->product);
    if (status != TB_OK)
      return status;
    for (size_t i = 0; i < count; i++)
      *sum += tb_dot(s->p, s->q + (first + i) * s->p, s->product + i * s->p);
  }
  return TB_OK;
}

/* samples[probes] = zᵀAz with z = (1 − QQᵀ) g, g of signs that the sketch did not take */
static tb_status rest(sketch *s, size_t taken, size_t probes, tb_key key, double *samples) {
  for (size_t first = 0; first < probes; first += s->block) {
    const size_t count = probes - first < s->block ? probes - first : s->block;
    tb_probes(TB_PROBE_RADEMACHER, key, s->p, taken + first, count, s->z);
    for (size_t i = 0; i < count; i++)
      for (int twice = 0; twice < 2 && s->rank > 0; twice++) {
        tb_gemv(false, s->rank, s->p, 1, s->q, s->z + i * s->p, 0, s->work);
        tb_gemv(true, s->rank, s->p, -1, s->q, s->work, 1, s->z + i * s->p);
      }
    const tb_status status = tb_operator_apply(s->op, count, s->z, s->product);
    if (status != TB_OK)
      return status;
    for (size_t i = 0; i < count; i++)
      samples[first + i] = tb_dot(s->p, s->z + i * s->p, s->product + i * s->p);
  }
  return TB_OK;
}

tb_status tb_hutchpp_trace(const tb_operator *op, size_t products, tb_key key, tb_trace_estimate *trace) {
  if (products < 3)
    return tb_fail(op->context, TB_USAGE, NULL, NULL, "Hutch++ needs at least 3 products, not %zu", products);
  const size_t p = op->dimension, third = products / 3 < p ? products / 3 : p, probes = products - 2 * third;
  sketch s = { .op = op, .p = p, .block = op->block };
  double *samples = tb_allocate(op->context, probes, sizeof *samples);
  s.q = tb_allocate(op->context, third * p, sizeof *s.q);
  s.z = tb_allocate(op->context, s.block * p, sizeof *s.z);
  s.product = tb_allocate(op->context, s.block * p, sizeof *s.product);
  s.work = tb_allocate(op->context, 2 * third, sizeof *s.work);
  double exact;
  tb_status status = samples && s.q && s.z && s.product && s.work ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK)
    status = span(&s, third, key);
  if (status == TB_OK)
    status = exact_part(&s, &exact);
  if (status == TB_OK && s.rank == p) { /* nothing is left to estimate */
    *trace = (tb_trace_estimate){ .value = exact, .se = 0, .products = third + s.rank };
  } else if (status == TB_OK && (status = rest(&s, third, probes, key, samples)) == TB_OK) {
    *trace = (tb_trace_estimate){ .value = exact + tb_mean_of(probes, samples),
                                  .se = tb_sd_of(probes, samples) / sqrt((double)probes),
                                  .products = third + s.rank + probes };
  }
  tb_release(op->context, s.work);
  tb_release(op->context, s.product);
  tb_release(op->context, s.z);
  tb_release(op->context, s.q);
  tb_release(op->context, samples);
  return status;
}
