/* Runs made of formulas: natural gradient flow goes straight to one solution, gradient flow bends to another, damping
 * turns the one into the other at t = log 1/λ + 1. */
#include "exhibits.h"

#undef NDEBUG /* these are checks, in release builds too */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the study ---- */

static const tb_option options[] = {
  { "seed", TB_INTEGER, "0", NULL, 0, 1e18, false, "number that draws data and initial weights", NULL, NULL },
  { "method", TB_CHOICE, "gf", "gf|ngf|gd", 1, 0, false, "how the parameters move", NULL, NULL },
  { "fisher", TB_CHOICE, "predictor", "predictor|parameter|population|empirical", 1, 0, false, "which Fisher matrix",
    "θ' = −F⁺∇L", NULL },
  { "model", TB_CHOICE, "linear", "linear|diagonal|dense", 1, 0, false, "the parametrisation", NULL, NULL },
  { "depth", TB_INTEGER, "2", NULL, 1, 10, false, "weight layers", NULL, NULL },
  { "damping", TB_REAL, "0", NULL, 0, 1e9, false, "λ added to the Fisher matrix", NULL, NULL },
  { "data", TB_WORD, "sparse", NULL, 1, 0, false, "training data", NULL, NULL },
  { "time", TB_REAL, "20", NULL, 0, 1e18, false, "length of a flow", NULL, NULL },
};
static const tb_option_table table = { "fair", options, sizeof options / sizeof *options };
static const tb_option_table *const tables[] = { &table };

static const tb_metric metrics[] = {
  { "min_margin", "", "smallest margin of the training points", "min y_i f(x_i)", NULL },
  { "angle_to.NAME", "degrees", "angle between the predictor and a reference", NULL, NULL },
  { "test_error", "", "share of misclassified fresh points", "angle / π", "closed form" },
};

#define GROUP_LAW     "Natural gradient descent is invariant under reparametrisation and follows one trajectory."
#define GROUP_GENERAL "There are problems where natural gradient fails to generalise while gradient descent succeeds."

static const tb_claim claims[] = {
  { "fair.law", "Every margin of natural gradient flow follows log((1 + e^m) e^t − 1).",
    "Depth Without the Magic, derived", "The closed form, evaluated in extended precision.", GROUP_LAW, TB_CLAIM_AGREES,
    1e-10, "nats", 0, NULL, NULL },
  { "fair.ray", "From the origin the predictor moves on the straight ray log(2e^t − 1) X⁺y.", "derived",
    "X⁺y by singular values, and once more by normal equations.", GROUP_LAW, TB_CLAIM_AT_MOST, 1e-8, "degrees", 0, NULL,
    NULL },
  { "fair.generalises", "Gradient descent on the diagonal net has a smaller test error than natural gradient.",
    "abstract",
    "Both measured on the same problems, paired by seed; the error in closed form from the angle to the "
    "teacher.",
    GROUP_GENERAL, TB_CLAIM_BELOW, 0, "", 5, NULL, NULL },
  { "fair.broken", "Population Fisher ends at the support vector machine.", "a mistaken reading",
    "Support vector machine by an active-set quadratic programme.", GROUP_GENERAL, TB_CLAIM_AGREES, 0.1, "degrees", 0,
    NULL, NULL },
  { "fair.few", "The mean error is that of the table.", "table 1", "The published table.", GROUP_GENERAL, TB_CLAIM_MEAN,
    0.01, "", 5, NULL, NULL },
};
static const tb_claim *const claim_list[] = { &claims[0], &claims[1], &claims[2], &claims[3], &claims[4] };

const tb_study fair_study = {
  .name = "separable",
  .laboratory = "natural-gradient",
  .summary = "separable classification",
  .paper = "Depth Without the Magic: Inductive Bias of Natural Gradient Descent",
  .details = "",
  .tables = tables,
  .n_tables = 1,
  .metrics = metrics,
  .n_metrics = 3,
  .claims = claim_list,
  .n_claims = 5,
};

/* ---- formulas ---- */

enum { D = 5 };
static const double min_norm[D] = { 7. / 24, -1. / 24, -1. / 24, -7. / 24, 10. / 24 };
static const double l2_svm[D] = { 11. / 112, -3. / 112, -13. / 112, -1. / 112, 50. / 112 };
static const double l1_svm[D] = { 0, 0, 0, 0, 0.5 };
static const double min_l1[D] = { 2. / 9, 0, 0, -1. / 3, 4. / 9 };

static double angle(const double *a, const double *b) {
  double ab = 0, aa = 0, bb = 0;
  for (int i = 0; i < D; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa > 0 ? acos(fmax(-1, fmin(1, ab / sqrt(aa * bb)))) * 180 / acos(-1) : NAN;
}

/* A small reproducible number in (−1, 1). */
static double jitter(uint64_t seed, uint64_t use) {
  uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15u + use * 0xbf58476d1ce4e5b9u;
  x ^= x >> 31;
  x *= 0x94d049bb133111ebu;
  x ^= x >> 29;
  return (double)(x >> 11) / 4503599627370496.0 - 1;
}

/* Where the flow of this configuration stands at time t. */
static void predictor(const tb_config *config, double t, double beta[D]) {
  double seed = 0.1 * jitter((uint64_t)tb_config_integer(config, "seed"), 1);
  const double *to = min_norm;
  bool diagonal = tb_config_is(config, "model", "diagonal");
  if (tb_config_is(config, "method", "ngf")) {
    for (int i = 0; i < D; i++)
      beta[i] = log(2 * exp(t) - 1) * to[i];
    return;
  }
  to = diagonal ? l1_svm : l2_svm;
  double norm = log1p(t), rest = exp(-(diagonal ? 1.4 : 1 + seed) * norm);
  for (int i = 0; i < D; i++)
    beta[i] = norm * ((1 - rest) * to[i] + rest * (diagonal ? min_l1[i] : min_norm[i]));
}

static void add_snapshot(const tb_config *config, double t, tb_metrics *m) {
  double beta[D], seed = jitter((uint64_t)tb_config_integer(config, "seed"), 2);
  predictor(config, t, beta);
  bool natural = tb_config_is(config, "method", "ngf");
  double margin = (natural ? log(2 * exp(t) - 1) : log1p(t)) * (1 + 0.1 * seed),
         damping = tb_config_real(config, "damping");
  double margins[3] = { margin, natural ? margin * 1.0001 : margin * 1.3, natural ? margin : margin * 1.8 };
  tb_status ok = tb_metrics_real(m, "t", t);
  ok |= tb_metrics_real(m, "log_t", log(t));
  ok |= tb_metrics_real(m, "log_loss", log(log1p(exp(-margin))));
  ok |= tb_metrics_real(m, "min_margin", margin);
  ok |= tb_metrics_vector(m, "margins", 3, margins);
  ok |= tb_metrics_vector(m, "beta", D, beta);
  ok |= tb_metrics_real(m, "angle_to.l2_svm", angle(beta, l2_svm));
  ok |= tb_metrics_real(m, "angle_to.l1_svm", angle(beta, l1_svm));
  ok |= tb_metrics_real(m, "angle_to.min_norm", angle(beta, min_norm));
  ok |= tb_metrics_real(m, "angle_to.min_l1", angle(beta, min_l1));
  if (damping > 0)
    ok |= tb_metrics_real(m, "angle_to_gradient", 80 / (1 + exp(2.5 * (t - log(1 / damping) - 1 - 0.3 * seed))));
  assert(ok == TB_OK);
}

/* ---- runs ---- */

enum { MOST_RUNS = 128, MOST_SNAPSHOTS = 64 };

typedef struct part {
  const char *name, *title, *settings; /* settings of one configuration: "method=ngf model=diagonal" */
  int seeds;
  double error; /* test error of this configuration; NaN: none */
  double last;  /* time */
} part;

static const part parts[] = {
  { "ray", "Natural gradient takes the straight ray", "method=ngf model=linear", 5, NAN, 20 },
  { "ray", "Natural gradient takes the straight ray", "method=ngf model=diagonal", 5, NAN, 20 },
  { "ray", "Natural gradient takes the straight ray", "method=gf model=linear", 5, NAN, 20 },
  { "ray", "Natural gradient takes the straight ray", "method=gf model=diagonal", 5, NAN, 20 },
  { "gd_svm", "Gradient flow ends at a support vector machine", "method=gf model=linear", 5, NAN, 1e6 },
  { "gd_svm", "Gradient flow ends at a support vector machine", "method=gf model=diagonal", 5, NAN, 1e6 },
  { "damping", "Damping turns natural gradient into gradient descent", "method=ngf damping=0.1", 3, NAN, 20 },
  { "damping", "Damping turns natural gradient into gradient descent", "method=ngf damping=0.01", 3, NAN, 20 },
  { "damping", "Damping turns natural gradient into gradient descent", "method=ngf damping=0.001", 3, NAN, 20 },
  { "damping", "Damping turns natural gradient into gradient descent", "method=ngf damping=0.0001", 3, NAN, 20 },
  { "generalisation", "A sparse teacher", "method=gf model=linear", 8, 0.342, 20 },
  { "generalisation", "A sparse teacher", "method=gf model=diagonal", 8, 0.116, 20 },
  { "generalisation", "A sparse teacher", "method=ngf model=linear", 8, 0.347, 20 },
  { "generalisation", "A sparse teacher", "method=ngf model=diagonal fisher=parameter", 8, 0.230, 20 },
};
static const part hostile_parts[] = {
  { "<script>alert(1)</script>", "'; `touch x` \" & <img src=x onerror=alert(1)> \xff\xfe\n</title>",
    "method=ngf data='\"><script>alert(2)</script>.csv", 2, 0.2, 20 },
  { "<script>alert(1)</script>", "", "method=ngf data=');system('touch${IFS}x').csv", 2, 0.3, 20 },
  { "../../etc/passwd", "../..", "method=gf data=a`touch\\nx`,b\"\"c", 2, 0.3, 20 },
};

static void set_all(tb_config *config, const char *settings) {
  char copy[200], *state = NULL;
  snprintf(copy, sizeof copy, "%s", settings);
  for (char *word = strtok_r(copy, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
    char *equals = strchr(word, '=');
    *equals = '\0';
    tb_status status = tb_config_set(config, word, equals + 1, "command line");
    assert(status == TB_OK);
    (void)status;
  }
}

static void add_finals(tb_metrics *m, const part *p, int seed) {
  tb_status ok = tb_metrics_word(m, "stopped", "time");
  ok |= tb_metrics_vector(m, "reference.l2_svm", D, l2_svm);
  ok |= tb_metrics_vector(m, "reference.l1_svm", D, l1_svm);
  ok |= tb_metrics_vector(m, "reference.min_norm", D, min_norm);
  ok |= tb_metrics_vector(m, "reference.min_l1", D, min_l1);
  if (!isnan(p->error))
    ok |= tb_metrics_real(m, "test_error", p->error + 0.02 * jitter((uint64_t)seed, 3));
  if (strcmp(p->name, "ray") == 0 && seed == 0) {
    ok |= tb_metrics_real(m, "deviation.on_sample.ngf.predictor", 3e-12);
    ok |= tb_metrics_real(m, "deviation.on_sample.ngf.parameter", 2e-12);
    ok |= tb_metrics_real(m, "deviation.on_sample.gf", 0.4);
    ok |= tb_metrics_real(m, "deviation.off_sample.ngf.predictor", 5e-12);
    ok |= tb_metrics_real(m, "deviation.off_sample.ngf.parameter", 0.7);
    ok |= tb_metrics_real(m, "deviation.off_sample.gf", 0.9);
  }
  static const char *const warnings[] = { "3 duplicate rows" };
  if (seed == 1)
    ok |= tb_metrics_words(m, "warnings", 1, warnings);
  assert(ok == TB_OK);
}

static void add_run(fair *f, const part *p, int seed) {
  tb_outcome *outcome = &f->outcomes[f->n_runs];
  tb_config *config;
  tb_metrics *final, **snapshots = calloc(MOST_SNAPSHOTS, sizeof *snapshots);
  tb_status ok = tb_config_new(f->context, 1, tables, &config);
  char text[64];
  set_all(config, p->settings);
  snprintf(text, sizeof text, "%d", seed);
  ok |= tb_config_set(config, "seed", text, "command line");
  ok |= tb_metrics_new(f->context, &final);
  assert(ok == TB_OK && snapshots);
  add_finals(final, p, seed);
  for (int s = 0; s < MOST_SNAPSHOTS; s++) {
    double share = s / (MOST_SNAPSHOTS - 1.0);
    ok = tb_metrics_new(f->context, &snapshots[s]);
    assert(ok == TB_OK);
    add_snapshot(config, p->last > 100 ? (s ? 0.01 * pow(p->last / 0.01, share) : 0) : p->last * share * share,
                 snapshots[s]);
  }
  snprintf(text, sizeof text, "%s-%zu", p->name, f->n_runs);
  char *name = strdup(text);
  *outcome = (tb_outcome){ name, config, final, MOST_SNAPSHOTS, snapshots };
  f->runs[f->n_runs++] = (tb_exhibit){ outcome, &fair_study, p->name, p->title, "", "", "finished", 0.1 + 0.01 * seed };
}

static void add_verdicts(fair *f) {
  static const tb_verdict verdicts[] = {
    { &claims[0], TB_HOLDS, 0.203267054915, 0.203267054915 + 3e-13, NAN, NAN, 10, 5, "" },
    { &claims[1], TB_HOLDS, 1.3e-11, 0, NAN, NAN, 10, 5, "" },
    { &claims[2], TB_HOLDS, -0.231, 0, -0.25, -0.212, 16, 8, "" },
    { &claims[3], TB_FAILS, 23.4567891, 0, 21.2, 25.7, 5, 5, "worst run: population-3" },
    { &claims[4], TB_UNDECIDED, 0.21, 0.2, NAN, NAN, 2, 2, "2 seeds, 5 are asked for" },
  };
  f->n_verdicts = sizeof verdicts / sizeof *verdicts;
  memcpy(f->verdicts, verdicts, sizeof verdicts);
}

fair fair_new(tb_context *context, bool hostile) {
  fair f = { context,
             0,
             0,
             calloc(MOST_RUNS, sizeof(tb_exhibit)),
             calloc(MOST_RUNS, sizeof(tb_outcome)),
             calloc(8, sizeof(tb_verdict)) };
  assert(f.runs && f.outcomes && f.verdicts);
  size_t n = hostile ? sizeof hostile_parts / sizeof *hostile_parts : sizeof parts / sizeof *parts;
  for (size_t p = 0; p < n; p++)
    for (int seed = 0; seed < (hostile ? hostile_parts : parts)[p].seeds; seed++)
      add_run(&f, &(hostile ? hostile_parts : parts)[p], seed);
  add_verdicts(&f);
  return f;
}

void fair_free(fair *f) {
  for (size_t r = 0; r < f->n_runs; r++) {
    tb_outcome *outcome = &f->outcomes[r];
    for (size_t s = 0; s < outcome->n_snapshots; s++)
      tb_metrics_free(outcome->snapshots[s]);
    free((void *)outcome->snapshots);
    tb_metrics_free((tb_metrics *)outcome->metrics);
    tb_config_free((tb_config *)outcome->config);
    free((void *)outcome->run);
  }
  free(f->runs);
  free(f->outcomes);
  free(f->verdicts);
}
