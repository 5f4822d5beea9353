/* The table of workloads and how one is timed: one untimed step, the state made anew, then every step on its own clock.
 */
#include "study/bench/workload.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const tb_workload_record *const workloads[] = {
  &tb_workload_rollout,
  &tb_workload_rollout64,
  &tb_workload_dds_funnel,
  &tb_workload_dds_lgcp,
  &tb_workload_transformer,
  &tb_workload_transformer_published,
  &tb_workload_lstm,
  &tb_workload_mlp32,
  &tb_workload_mlp32_seeds,
  &tb_workload_mlp64,
  &tb_workload_mlp1024,
  &tb_workload_factorisation,
  &tb_workload_factorisation64,
  &tb_workload_completion,
  &tb_workload_completion_natural,
  &tb_workload_completion_natural_d4,
  &tb_workload_hvp,
  &tb_workload_hvp_many,
  &tb_workload_natural_gradient_200,
  &tb_workload_natural_gradient_500,
  &tb_workload_flow,
  &tb_workload_svm,
  &tb_workload_decode,
  &tb_workload_icl_bayes,
  &tb_workload_nuts_logistic,
  NULL,
};

const tb_workload_record *const *tb_workloads(void) {
  return workloads;
}

static uint64_t fnv1a(const unsigned char *bytes, size_t count) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < count; i++)
    hash = (hash ^ bytes[i]) * 1099511628211u;
  return hash;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(size_t n, double *x) {
  qsort(x, n, sizeof *x, ascending);
  return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

/* Warm-up on a state of its own, so that the timed steps begin at the initial point. */
static tb_status warm_up(tb_context *context, const tb_workload_record *record) {
  tb_workload *workload = NULL;
  double loss;
  tb_status status = record->open(context, &workload);
  if (!status)
    status = record->step(workload, &loss);
  if (workload)
    record->close(workload);
  return status;
}

tb_status tb_bench_run(tb_context *context, const tb_workload_record *record, size_t steps, const char *file,
                       tb_bench_result *result) {
  enum { HASH_AFTER = 100 };
  tb_workload *workload = NULL;
  double *seconds = NULL;
  tb_status status = warm_up(context, record);
  double worth = 0, sum = 0;
  *result = (tb_bench_result){ .steps = steps ? steps : record->steps, .yield = NAN, .yield_rate = NAN };
  if (status)
    return status;
  status = record->open(context, &workload);
  if (!status && file)
    status = record->save(workload, file);
  if (!status && !(seconds = tb_allocate(context, result->steps, sizeof *seconds)))
    status = TB_NO_MEMORY;
  for (size_t k = 0; !status && k < result->steps; k++) {
    double loss, begin = tb_clock_seconds();
    status = record->step(workload, &loss);
    seconds[k] = tb_clock_seconds() - begin;
    sum += seconds[k];
    worth += !status && record->yields ? record->yield(workload) : NAN;
    if (k == 0)
      result->loss_first = loss;
    result->loss_last = loss;
    if (k + 1 == HASH_AFTER || (k + 1 == result->steps && k + 1 < HASH_AFTER)) {
      size_t bytes;
      const void *parameters = record->parameters(workload, &bytes);
      result->parameters_hash = fnv1a(parameters, bytes);
    }
  }
  if (!status) {
    double flop = record->flop(workload);
    result->yield = worth / (double)result->steps;
    result->yield_rate = worth / sum;
    result->seconds = median(result->steps, seconds);
    result->gflops = flop / result->seconds * 1e-9;
    result->peak_share = result->gflops / tb_machine_peak(strcmp(record->dtype, "float32") ? TB_FLOAT64 : TB_FLOAT32);
  }
  if (workload)
    record->close(workload);
  tb_release(context, seconds);
  return status;
}
