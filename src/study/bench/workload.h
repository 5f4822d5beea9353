/* What the workloads share.  A workload is a standard piece of work on fixed, keyed data; its file reads like the row
 * of a table: sizes, data, the step. */
#ifndef TB_STUDY_BENCH_WORKLOAD_H
#define TB_STUDY_BENCH_WORKLOAD_H

#include <tiebreak/bench.h>
#include <tiebreak/graph.h>

#include "model/model.h"

/* Network rows: an MLP with tanh on normal inputs and targets y = sin(x·a) (float32), loss half the mean squared error.
 */
typedef struct tb_network_data {
  size_t n, d, p;
  tb_model_shape shape;
  float *x, *y; /* [n,d], [n] */
  float *theta; /* [p] weights N(0, 1/fan_in), biases 0 */
} tb_network_data;

tb_status tb_network_data_new(tb_context *, size_t n, size_t d, int depth, size_t width, tb_network_data *);
void tb_network_data_free(tb_context *, tb_network_data *);
/* Arrays x, y, W1 [out,in], b1 [out,1], W2, b2, … and those in `more` (may be NULL). */
tb_status tb_network_data_save(tb_context *, const tb_network_data *, const char *path, const char *more_name,
                               const float *more, size_t more_count);

extern const tb_workload_record tb_workload_rollout, tb_workload_rollout64, tb_workload_dds_funnel,
    tb_workload_dds_lgcp, tb_workload_transformer, tb_workload_transformer_published, tb_workload_lstm,
    tb_workload_mlp32, tb_workload_mlp32_seeds, tb_workload_mlp64, tb_workload_mlp1024, tb_workload_factorisation,
    tb_workload_factorisation64, tb_workload_completion, tb_workload_completion_natural,
    tb_workload_completion_natural_d4, tb_workload_hvp, tb_workload_hvp_many, tb_workload_natural_gradient_200,
    tb_workload_natural_gradient_500, tb_workload_flow, tb_workload_svm, tb_workload_decode, tb_workload_icl_bayes,
    tb_workload_nuts_logistic;

#endif
