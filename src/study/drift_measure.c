/* What `drift` measures on a network: divergences, errors, sizes, and what the theorem asks for. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "diffusion/marginal.h"
#include "study/drift.h"

const tb_metric drift_metrics[DRIFT_METRICS] = {
  { "t", "", "the last noising time of the snapshots (process=ou), else 1", NULL, NULL },
  { "stopped", "", "time", NULL, NULL },
  { "path_kl", "nats", "divergence of the exact process from the network's, over a unit of time, both from one start",
    "KL(P‖Q) = ∫₀¹ σ² E_P‖v − v̂‖² dt (ou); half of it (brownian)", "Proposition 3.1, as corrected" },
  { "path_kl.se", "nats", "its standard error over draws", NULL, NULL },
  { "path_kl.weights", "nats", "the same by path weights, without knowing v", "EUBO − ln Z", "Girsanov's theorem" },
  { "path_kl.weights.se", "nats", "its standard error over paths", NULL, NULL },
  { "reverse_kl", "nats", "divergence of the network's process from the exact one", "KL(Q‖P)", NULL },
  { "reverse_kl.se", "nats", "its standard error over paths", NULL, NULL },
  { "reverse_kl.weights", "nats", "the same by path weights", "ln Z − ELBO", NULL },
  { "reverse_kl.weights.se", "nats", "its standard error over paths", NULL, NULL },
  { "marginal_kl", "nats", "divergence of the target from the network's end, by quadrature (d ≤ 2)",
    "KL(π‖q) ≤ KL(P‖Q)", NULL },
  { "marginal_reverse_kl", "nats", "the other way round", "KL(q‖π) ≤ KL(Q‖P)", NULL },
  { "kl_reference", "nats", "divergence of the target from the reference, by quadrature (d ≤ 2), else by draws",
    "KL(π‖N(0, σ²I))", NULL },
  { "sup_error", "",
    "largest error of the constructed average, over t = 0, .05, …, 1 and a grid of [−3, 3]^d (d > 2: "
    "10⁴ normal points)",
    "sup |φ̂ − U_t f|", "Corollary 3.13" },
  { "sup_drift_error", "", "largest error of the drift over the same points", "sup ‖v̂ − ∇ln U_t f‖", "Corollary E.2" },
  { "parameters", "", "distinct real constants of the circuit; weights of a trained network", NULL, NULL },
  { "nodes", "", "scalar nodes: inputs and gates of the circuit; inputs, hidden units and outputs of a trained network",
    NULL, NULL },
  { "circuit_difference", "", "largest difference of the circuit's output from the formula's, at 16 points", NULL,
    NULL },
  { "circuit_error", "", "largest error that ReLUs in place of products and reciprocal make, at 16 points",
    "≤ accuracy", NULL },
  { "bound", "", "the theorem's N for KL ≤ epsilon, its absolute constant taken as C = 1; inf: f has no bounds",
    "N = ⌈(√d/δ · L ((R∨1)+√(2d)+√6) (16√(6πRd) + 5√ln 4(d+1)))²⌉", "eq. 63" },
  { "bound.radius", "", "the theorem's R", "R = 9dL²(√d + L/c)/(c²ε)", "proof of Proposition 3.1" },
  { "bound.constant", "", "the absolute constant, which the theorem leaves open, as taken here: 1", "C", NULL },
  { "bound.at_path_kl", "", "the theorem's N for the KL that was measured", NULL, NULL },
  { "lipschitz", "", "L of f and ∇f: by formula for cosines, else the largest slope met", NULL, "Assumption B.2" },
  { "floor", "", "c, the least value of f", NULL, "Assumption B.2" },
  { "ceiling", "", "the largest value of f", NULL, NULL },
  { "loss", "", "training loss, mean over the last tenth of the steps", NULL, NULL },
  { "mismatch", "nats", "divergence of the noised target from the reference at noising time t (snapshots)",
    "KL(p_t‖N(0, σ²I))", NULL },
  { "mismatch_bound", "nats", "its bound", "e^{−2t} KL(π‖N)", "Remark 3.2, as corrected" },
  { "warnings", "", "what a reader must know", NULL, NULL },
  { "delta", "", "accuracy that the theorem asks of φ̂", "δ = c²√ε/(16L)", "proof of Corollary E.2" },
};

/* ---- the network as a map ---- */

static tb_status zero_at(void *user, double t, size_t n, const double *x, double *drift) {
  const drift_study *s = user;
  memset(drift, 0, n * s->family.dims * sizeof *drift);
  return TB_OK;
}

static tb_status constructed_at(void *user, double t, size_t n, const double *x, double *drift) {
  const drift_study *s = user;
  const size_t d = s->family.dims;
  double *table = tb_allocate(s->context, 2 * s->family.count, sizeof *table);
  if (!table)
    return TB_NO_MEMORY;
  const bool has = tb_constructed_table(&s->constructed, t, table);
  for (size_t i = 0; i < n; i++)
    tb_constructed_drift(&s->constructed, t, has ? table : NULL, x + i * d, drift + i * d);
  tb_release(s->context, table);
  return TB_OK;
}

static tb_drift_map map_of(drift_study *s) {
  if (s->network == DRIFT_TRAINED)
    return (tb_drift_map){ s->trained, tb_trained_at };
  return (tb_drift_map){ s, s->network == DRIFT_ZERO ? zero_at : constructed_at };
}

/* ---- divergences ---- */

static tb_status add(tb_metrics *m, const char *name, tb_estimated e) {
  char se[40];
  const tb_status status = tb_metrics_real(m, name, e.value);
  snprintf(se, sizeof se, "%s.se", name);
  return status ? status : tb_metrics_real(m, se, e.se);
}

static tb_status measure_divergences(drift_study *s, tb_metrics *m, double *path_kl) {
  const tb_girsanov g = { s->context, &s->family, s->process, map_of(s), s->seed, s->draws, s->path_steps };
  tb_estimated kl, weights;
  double forward, reverse;
  tb_status status = tb_girsanov_forward(&g, &kl);
  *path_kl = kl.value;
  if (!status)
    status = add(m, "path_kl", kl);
  if (!status)
    status = tb_girsanov_forward_weights(&g, &weights);
  if (!status)
    status = add(m, "path_kl.weights", weights);
  if (!status)
    status = tb_girsanov_reverse(&g, &kl, &weights);
  if (!status)
    status = add(m, "reverse_kl", kl);
  if (!status)
    status = add(m, "reverse_kl.weights", weights);
  if (!status)
    status = tb_marginal_kl(&g, &forward, &reverse);
  if (!status)
    status = tb_metrics_real(m, "marginal_kl", forward);
  if (!status)
    status = tb_metrics_real(m, "marginal_reverse_kl", reverse);
  return status;
}

/* ---- largest errors ---- */

enum { SIDE = 61, TIMES = 21, SCATTERED = 10000, MOST_DIMS = 64 };

static size_t place(const drift_study *s, size_t i, double *x) {
  const size_t d = s->family.dims, count = d == 1 ? SIDE : d == 2 ? SIDE * SIDE : SCATTERED;
  if (d > 2 && i < count)
    tb_random_normal((tb_key){ .use = tb_use("points of the largest error") }, i * d, d, x);
  else if (i < count)
    for (size_t k = 0; k < d; k++)
      x[k] = -3 + 0.1 * (double)(k == 0 && d == 2 ? i / SIDE : i % SIDE);
  return count;
}

static void value_error(const drift_study *s, double t, const double *table, const double *x, double *largest) {
  const double exact = exp(tb_semigroup(&s->family, tb_smoothing_at(s->process, t), x, NULL));
  const double value = s->network == DRIFT_ZERO ? 1 : tb_constructed_average(&s->constructed, t, table, x, NULL);
  *largest = fmax(*largest, fabs(value - exact));
}

static tb_status measure_largest(drift_study *s, tb_metrics *m) {
  const size_t d = s->family.dims;
  const tb_drift_map map = map_of(s);
  double x[MOST_DIMS], v[MOST_DIMS], error = 0, drift_error = 0;
  const size_t count = place(s, SIZE_MAX, x);
  double *points = tb_allocate(s->context, count * 2 * d + 2 * s->family.count, sizeof *points);
  double *drift = points + count * d, *table = drift + count * d;
  tb_status status = points ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < count && !status; i++)
    place(s, i, points + i * d);
  for (size_t k = 0; k < TIMES && !status; k++) {
    const double t = 0.05 * (double)k;
    const bool has = s->network == DRIFT_CONSTRUCTED && tb_constructed_table(&s->constructed, t, table);
    status = map.at(map.user, t, count, points, drift);
    for (size_t i = 0; i < count && !status; i++) {
      double square = 0;
      tb_semigroup(&s->family, tb_smoothing_at(s->process, t), points + i * d, v);
      for (size_t j = 0; j < d; j++)
        square += (v[j] - drift[i * d + j]) * (v[j] - drift[i * d + j]);
      drift_error = fmax(drift_error, sqrt(square));
      if (s->network != DRIFT_TRAINED)
        value_error(s, t, has ? table : NULL, points + i * d, &error);
    }
  }
  tb_release(s->context, points);
  if (!status)
    status = tb_metrics_real(m, "sup_error", s->network == DRIFT_TRAINED ? NAN : error);
  return status ? status : tb_metrics_real(m, "sup_drift_error", drift_error);
}

/* ---- sizes ---- */

static tb_status compare_circuit(drift_study *s, const tb_circuit *circuit, const tb_wire *wires, double *difference,
                                 double *error) {
  const size_t d = s->family.dims;
  tb_constructed exact = s->constructed;
  double in[MOST_DIMS + 1], out[MOST_DIMS + 1], formula[MOST_DIMS], exactly[MOST_DIMS];
  *difference = *error = 0;
  exact.accuracy = 0;
  for (size_t i = 0; i < 16; i++) {
    tb_random_normal((tb_key){ .seed = s->seed, .use = tb_use("points of a circuit") }, i * d, d, in);
    in[d] = (double)i / 15;
    const tb_status status = tb_circuit_evaluate(circuit, in, d, wires, out);
    if (status)
      return status;
    tb_constructed_drift(&s->constructed, in[d], NULL, in, formula);
    tb_constructed_drift(&exact, in[d], NULL, in, exactly);
    for (size_t k = 0; k < d; k++) {
      *difference = fmax(*difference, fabs(out[k] - formula[k]));
      *error = fmax(*error, fabs(out[k] - exactly[k]));
    }
  }
  return TB_OK;
}

static tb_status measure_size(drift_study *s, tb_metrics *m) {
  size_t parameters = 0, nodes = 0;
  double difference = NAN, error = NAN;
  tb_circuit *circuit = NULL;
  tb_wire wires[MOST_DIMS + 1];
  tb_status status = TB_OK;
  if (s->network == DRIFT_TRAINED) {
    parameters = tb_trained_parameters(&s->shape);
    nodes = tb_trained_nodes(&s->shape);
  } else if (s->network == DRIFT_CONSTRUCTED) {
    status = tb_constructed_circuit(s->context, &s->constructed, &circuit, wires);
    if (!status) {
      parameters = tb_circuit_parameters(circuit);
      nodes = tb_circuit_nodes(circuit);
      status = parameters == SIZE_MAX ? TB_NO_MEMORY : compare_circuit(s, circuit, wires, &difference, &error);
    }
    tb_circuit_free(circuit);
  }
  if (!status)
    status = tb_metrics_integer(m, "parameters", (int64_t)parameters);
  if (!status)
    status = tb_metrics_integer(m, "nodes", (int64_t)nodes);
  if (!status && s->network == DRIFT_CONSTRUCTED)
    status = tb_metrics_real(m, "circuit_difference", difference);
  if (!status && s->network == DRIFT_CONSTRUCTED)
    status = tb_metrics_real(m, "circuit_error", error);
  return status;
}

static tb_status measure_theorem(drift_study *s, tb_run *run, double path_kl) {
  tb_metrics *m = tb_run_metrics(run);
  const tb_regularity *r = &s->regularity;
  const size_t d = s->family.dims;
  const tb_expressiveness e = tb_expressiveness_of(s->process, d, r, tb_config_real(s->config, "epsilon"));
  const tb_expressiveness at = tb_expressiveness_of(s->process, d, r, fmax(path_kl, 1e-300));
  const struct {
    const char *name;
    double value;
  } values[] = { { "bound", e.points },   { "bound.radius", e.radius },
                 { "bound.constant", 1 }, { "bound.at_path_kl", at.points },
                 { "delta", e.delta },    { "lipschitz", r->lipschitz },
                 { "floor", r->least },   { "ceiling", r->most } };
  tb_status status = TB_OK;
  for (size_t i = 0; i < sizeof values / sizeof *values && !status; i++)
    status = tb_metrics_real(m, values[i].name, values[i].value);
  if (!status && isinf(e.points))
    status = tb_run_warn(run, "the bound is infinite: f = dπ/dN(0, σ²I) is not %s (share= mixes the reference in%s)",
                         isinf(r->lipschitz) ? "Lipschitz" : "bounded below",
                         isinf(r->lipschitz) ? ", sigma= widens it" : "");
  return status;
}

/* ---- the start's mismatch ---- */

static tb_status snapshot(drift_study *s, tb_run *run, double t, double reference) {
  tb_metrics *m;
  tb_estimated kl;
  tb_status status = tb_metrics_new(s->context, &m);
  if (status)
    return status;
  status = tb_reference_kl(s->context, &s->family, t, &kl);
  if (!status)
    status = tb_metrics_real(m, "t", t);
  if (!status)
    status = tb_metrics_real(m, "mismatch", kl.value);
  if (!status)
    status = tb_metrics_real(m, "mismatch_bound", exp(-2 * t) * reference);
  if (!status)
    status = tb_run_snapshot(run, m);
  tb_metrics_free(m);
  return status;
}

static tb_status measure_mismatch(drift_study *s, tb_run *run) {
  const double *at;
  const size_t times = tb_config_reals(s->config, "at", &at);
  const bool ou = s->process == TB_DIFFUSION_OU && times;
  tb_metrics *m = tb_run_metrics(run);
  tb_estimated kl;
  tb_status status = tb_reference_kl(s->context, &s->family, 0, &kl);
  if (!status)
    status = tb_metrics_real(m, "kl_reference", kl.value);
  for (size_t i = 0; ou && i < times && !status; i++)
    status = snapshot(s, run, at[i], kl.value);
  if (!status)
    status = tb_metrics_real(m, "t", ou ? at[times - 1] : 1);
  return status ? status : tb_metrics_word(m, "stopped", "time");
}

tb_status drift_measure(drift_study *s, tb_run *run) {
  tb_metrics *m = tb_run_metrics(run);
  double path_kl = NAN;
  tb_run_progress(run, 0.9, "measuring");
  tb_status status = measure_mismatch(s, run);
  if (!status)
    status = measure_divergences(s, m, &path_kl);
  if (!status)
    status = measure_largest(s, m);
  if (!status)
    status = measure_size(s, m);
  return status ? status : measure_theorem(s, run, path_kl);
}
