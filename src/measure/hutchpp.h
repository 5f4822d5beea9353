/* Hutch++: the trace of an operator whose spectrum decays, with error ~1/products instead of ~1/√products. */
#ifndef TB_MEASURE_HUTCHPP_H
#define TB_MEASURE_HUTCHPP_H

#include "measure/hutchinson.h"

/* tr A = tr QᵀAQ + tr (1 − QQᵀ) A (1 − QQᵀ): exact on the span Q of a third of the products, Hutchinson's estimate on
 * the rest.  Unbiased; exact where the sketch has the whole range of A, as for A of rank < products / 3.  The standard
 * error is that of the rest, NaN where one probe alone served it.  products ≥ 3, all told.  Cost the products and about
 * 6 p (products / 3)² multiply-adds; memory p (products / 3 + 2 block) numbers.  Rademacher probes throughout.
 * Source: Meyer, Musco, Musco and Woodruff 2021, algorithm 1. */
tb_status tb_hutchpp_trace(const tb_operator *, size_t products, tb_key, tb_trace_estimate *trace);

#endif
