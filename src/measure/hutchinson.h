/* Hutchinson's estimators of trace and diagonal: tr A = E zᵀAz, diag A = E z ∘ Az for E zzᵀ = 1.
 *
 * Sources: Hutchinson 1990 (Rademacher probes, variance 2 Σ_{i≠j} A_ij²); normal probes have variance 2 ‖A‖_F²;
 * Bekas, Kokiopoulou and Saad 2007 (diagonal). */
#ifndef TB_MEASURE_HUTCHINSON_H
#define TB_MEASURE_HUTCHINSON_H

#include <tiebreak/random.h>

#include "measure/operator.h"

typedef enum tb_probe { TB_PROBE_RADEMACHER, TB_PROBE_NORMAL } tb_probe;

typedef struct tb_trace_estimate {
  double value;
  double se;       /* standard error over probes; NaN where one probe alone was drawn; 0 where the value is exact */
  size_t products; /* with the operator */
} tb_trace_estimate;

/* Unbiased estimate of tr A from `probes` ≥ 1 products.  Cost the products; memory 2 p block. */
tb_status tb_hutchinson_trace(const tb_operator *, tb_probe, size_t probes, tb_key, tb_trace_estimate *trace);

/* diagonal[p] = Σ z ∘ Az / Σ z ∘ z and its standard error se[p] (may be NULL): unbiased for Rademacher probes, biased
 * by O(1 / probes) for normal ones. */
tb_status tb_hutchinson_diagonal(const tb_operator *, tb_probe, size_t probes, tb_key, double *diagonal, double *se);

#endif
