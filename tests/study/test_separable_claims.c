/* Every claim of `separable` on outcomes made by hand: it holds where the outcome obeys the law, and fails where the
 * outcome breaks it.  The outcomes come from closed forms, elimination, Runge-Kutta and Simpson's rule written here. */
#include "testing.h"

#include <math.h>
#include <stdio.h>

#include "study/separable_claims.h"

enum { MOST = 24 };

/* data/three_in_five.csv and data/six_in_three.csv, rows times labels */
static const double three[3][5] = { { 0, 0, -1, 1, 3 }, { -1, -3, -1, -1, 2 }, { 2, 3, 0, 1, 2 } };
static const double six[6][3] = { { -2, 1, 1 }, { -2, 3, 2 }, { 1, 2, 0 }, { 2, 0, 2 }, { 1, 0, 0 }, { 1, -1, 3 } };
static const double interpolator[5] = { 7 / 24., -1 / 24., -1 / 24., -7 / 24., 10 / 24. };
static const double machine[5] = { 11 / 112., -3 / 112., -13 / 112., -1 / 112., 50 / 112. };

/* ---- outcomes ---- */

typedef struct fixture {
  tb_context *context;
  size_t count;
  tb_outcome outcomes[MOST];
  tb_config *configs[MOST];
  tb_metrics *metrics[MOST];
  tb_metrics *snapshots[MOST][MOST];
} fixture;

static fixture f;

static void clear(void) {
  for (size_t i = 0; i < f.count; i++) {
    for (size_t k = 0; k < f.outcomes[i].n_snapshots; k++)
      tb_metrics_free(f.snapshots[i][k]);
    tb_metrics_free(f.metrics[i]);
    tb_config_free(f.configs[i]);
  }
  f.count = 0;
}

static int setup(void **state) {
  f = (fixture){ .context = tb_context_new(NULL, NULL) };
  return f.context ? 0 : -1;
}

static int teardown(void **state) {
  clear();
  tb_context_free(f.context);
  return 0;
}

static const char *data(const char *name) {
  static char path[512];
  const char *root = getenv("TIEBREAK_SOURCE");
  snprintf(path, sizeof path, "%s/tests/data/%s", root ? root : ".", name);
  return path;
}

/* Starts an outcome from "key=value key=value". */
static void begin(const char *words) {
  size_t i = f.count++;
  assert_true(i < MOST);
  assert_int_equal(tb_config_new(f.context, tb_study_separable.n_tables, tb_study_separable.tables, &f.configs[i]),
                   TB_OK);
  char *copy = strdup(words), *rest = copy;
  for (char *word; (word = strsep(&rest, " "));) {
    char *value = strchr(word, '=');
    *value++ = 0;
    if (strcmp(value, "A") == 0)
      value = (char *)data("three_in_five.csv");
    if (strcmp(value, "B") == 0)
      value = (char *)data("six_in_three.csv");
    assert_int_equal(tb_config_set(f.configs[i], word, value, "test"), TB_OK);
  }
  free(copy);
  assert_int_equal(tb_metrics_new(f.context, &f.metrics[i]), TB_OK);
  f.outcomes[i] = (tb_outcome){
    .run = "made by hand", .config = f.configs[i], .metrics = f.metrics[i], .snapshots = f.snapshots[i]
  };
}

static tb_metrics *snapshot(double t) {
  tb_outcome *outcome = &f.outcomes[f.count - 1];
  tb_metrics **m = &f.snapshots[f.count - 1][outcome->n_snapshots++];
  assert_int_equal(tb_metrics_new(f.context, m), TB_OK);
  assert_int_equal(tb_metrics_real(*m, "t", t), TB_OK);
  return *m;
}

static tb_metrics *end(double t) {
  assert_int_equal(tb_metrics_real(f.metrics[f.count - 1], "t", t), TB_OK);
  return f.metrics[f.count - 1];
}

static void real(tb_metrics *m, const char *name, double value) {
  assert_int_equal(tb_metrics_real(m, name, value), TB_OK);
}

static void vector(tb_metrics *m, const char *name, size_t n, const double *values) {
  assert_int_equal(tb_metrics_vector(m, name, n, values), TB_OK);
}

/* Judges and forgets the outcomes. */
static tb_verdict judge(const char *id) {
  bool applies;
  tb_verdict verdict;
  const tb_claim *claim = tb_claim_find(id, NULL);
  if (!claim)
    fail_msg("no claim %s", id);
  assert_int_equal(tb_claim_judge(f.context, claim, f.count, f.outcomes, &applies, &verdict), TB_OK);
  if (!applies)
    fail_msg("%s does not apply: %s", id, verdict.note);
  clear();
  return verdict;
}

static void expect(const char *id, tb_verdict_word word) {
  tb_verdict verdict = judge(id);
  if (verdict.word != word)
    fail_msg("%s: value %.17g, reference %.17g, %s", id, verdict.value, verdict.reference, verdict.note);
}

static void skips(const char *id) {
  bool applies;
  tb_verdict verdict;
  assert_int_equal(tb_claim_judge(f.context, tb_claim_find(id, NULL), f.count, f.outcomes, &applies, &verdict), TB_OK);
  assert_false(applies);
  clear();
}

/* ---- independent mathematics ---- */

static void eliminate(size_t n, double *a /* n×n */, double *b) {
  for (size_t k = 0; k < n; k++) {
    size_t p = k;
    for (size_t i = k + 1; i < n; i++)
      if (fabs(a[i * n + k]) > fabs(a[p * n + k]))
        p = i;
    for (size_t j = 0; j < n; j++) {
      double swap = a[k * n + j];
      a[k * n + j] = a[p * n + j], a[p * n + j] = swap;
    }
    double swap = b[k];
    b[k] = b[p], b[p] = swap;
    for (size_t i = 0; i < n; i++) {
      double factor = i == k ? 0 : a[i * n + k] / a[k * n + k];
      for (size_t j = k; j < n; j++)
        a[i * n + j] -= factor * a[k * n + j];
      b[i] -= factor * b[k];
    }
  }
  for (size_t k = 0; k < n; k++)
    b[k] /= a[k * n + k];
}

/* β₀ + Zᵀ (ZZᵀ)⁻¹ change on the three points */
static void along_rows(const double *beta0, const double *change, double *beta) {
  double kernel[9], c[3];
  for (size_t i = 0; i < 3; i++) {
    c[i] = change[i];
    for (size_t k = 0; k < 3; k++) {
      kernel[i * 3 + k] = 0;
      for (size_t j = 0; j < 5; j++)
        kernel[i * 3 + k] += three[i][j] * three[k][j];
    }
  }
  eliminate(3, kernel, c);
  for (size_t j = 0; j < 5; j++) {
    beta[j] = beta0 ? beta0[j] : 0;
    for (size_t i = 0; i < 3; i++)
      beta[j] += three[i][j] * c[i];
  }
}

static double law(double m0, double t) {
  return log((1 + exp(m0)) * exp(t) - 1);
}

static void normalise(size_t n, double *x) {
  double square = 0;
  for (size_t j = 0; j < n; j++)
    square += x[j] * x[j];
  for (size_t j = 0; j < n; j++)
    x[j] /= sqrt(square);
}

static void unit(tb_metrics *m, size_t n, const double *direction) {
  double x[16];
  memcpy(x, direction, n * sizeof *x);
  normalise(n, x);
  vector(m, "velocity", n, x);
}

/* ---- along the way ---- */

static void margins_outcome(const char *words, double slip) {
  const double m0[3] = { 0.3, -0.2, 0.1 };
  double m[3];
  begin(words);
  vector(snapshot(0), "margins", 3, m0);
  for (int k = 1; k < 4; k++) {
    for (size_t i = 0; i < 3; i++)
      m[i] = law(m0[i], 2.0 * k);
    m[1] += k == 2 ? slip : 0;
    vector(snapshot(2.0 * k), "margins", 3, m);
  }
  vector(end(6), "margins", 3, m);
}

static void test_margin_law(void **state) {
  const char *const models[] = { "linear", "diagonal", "dense", "mlp" };
  char words[200], id[80];
  for (int k = 0; k < 4; k++) {
    snprintf(words, sizeof words, "data=A method=ngf model=%s fisher=%s", models[k],
             k == 3 ? "parameter" : "predictor");
    snprintf(id, sizeof id, "separable.margin_law.%s", models[k]);
    margins_outcome(words, 0);
    /* linear and diagonal starts are read from t = 0 as well */
    expect(id, TB_HOLDS);
    margins_outcome(words, 1e-7);
    expect(id, TB_FAILS);
  }
  margins_outcome("data=A method=ngf model=linear damping=1e-3", 0);
  skips("separable.margin_law.linear");
  margins_outcome("data=A method=ngf model=linear fisher=empirical", 0);
  skips("separable.margin_law.linear");
}

static void test_gradient_law(void **state) {
  margins_outcome("data=A method=ngf", 0);
  expect("separable.gradient_law", TB_HOLDS);
  margins_outcome("data=A method=ngf", 1e-6);
  expect("separable.gradient_law", TB_FAILS);
}

static void ray_outcome(const char *words, double slip) {
  double beta[5];
  begin(words);
  for (int k = 0; k < 5; k++) {
    double t = 3.0 * k;
    for (size_t j = 0; j < 5; j++)
      beta[j] = (t > 0 ? law(0, t) : 0) * interpolator[j];
    beta[2] += k == 3 ? slip : 0;
    vector(k < 4 ? snapshot(t) : end(t), "beta", 5, beta);
  }
}

static void test_ray(void **state) {
  ray_outcome("data=A method=ngf", 0);
  expect("separable.ngf_ray", TB_HOLDS);
  ray_outcome("data=A method=ngf model=diagonal depth=4", 1e-7);
  expect("separable.ngf_ray", TB_FAILS);
  ray_outcome("data=A method=ngf start=1,0,0,0,0", 0);
  skips("separable.ngf_ray");
}

static void trajectory_outcome(const char *words, double slip) {
  const double beta0[5] = { 1, 0.5, -1, 0.2, 0 };
  double m0[3] = { 0 }, change[3], beta[5];
  for (size_t i = 0; i < 3; i++)
    for (size_t j = 0; j < 5; j++)
      m0[i] += three[i][j] * beta0[j];
  begin(words);
  tb_metrics *m = snapshot(0);
  vector(m, "beta", 5, beta0);
  vector(m, "margins", 3, m0);
  for (size_t i = 0; i < 3; i++)
    change[i] = law(m0[i], 4) - m0[i];
  along_rows(beta0, change, beta);
  beta[4] += slip;
  vector(end(4), "beta", 5, beta);
}

static void test_trajectories(void **state) {
  const char *const models[] = { "linear", "diagonal", "dense" };
  char words[200], id[80];
  for (int k = 0; k < 3; k++) {
    snprintf(words, sizeof words, "data=A method=ngf model=%s", models[k]);
    snprintf(id, sizeof id, "separable.one_trajectory.%s", models[k]);
    trajectory_outcome(words, 0);
    expect(id, TB_HOLDS);
    trajectory_outcome(words, 1e-7);
    expect(id, TB_FAILS);
  }
}

/* β' = (Σ σσ' z zᵀ)⁻¹ Σ σ(−m) z on the six points */
static void natural_velocity(const double *beta, double *velocity) {
  double hessian[9] = { 0 };
  memset(velocity, 0, 3 * sizeof *velocity);
  for (size_t i = 0; i < 6; i++) {
    double m = 0;
    for (size_t j = 0; j < 3; j++)
      m += six[i][j] * beta[j];
    double wrong = 1 / (1 + exp(m));
    for (size_t j = 0; j < 3; j++) {
      velocity[j] += wrong * six[i][j];
      for (size_t k = 0; k < 3; k++)
        hessian[j * 3 + k] += wrong * (1 - wrong) * six[i][j] * six[i][k];
    }
  }
  eliminate(3, hessian, velocity);
}

static void runge_kutta(double *beta, double time, int steps) {
  double h = time / steps, k[4][3], at[3];
  for (int step = 0; step < steps; step++) {
    for (int stage = 0; stage < 4; stage++) {
      static const double part[4] = { 0, 0.5, 0.5, 1 };
      for (size_t j = 0; j < 3; j++)
        at[j] = beta[j] + (stage ? h * part[stage] * k[stage - 1][j] : 0);
      natural_velocity(at, k[stage]);
    }
    for (size_t j = 0; j < 3; j++)
      beta[j] += h / 6 * (k[0][j] + 2 * k[1][j] + 2 * k[2][j] + k[3][j]);
  }
}

static void test_newton_path(void **state) {
  for (int wrong = 0; wrong < 2; wrong++) {
    double beta[3] = { 0.2, -0.1, 0.3 }, m0[6] = { 0 };
    begin("data=B method=ngf model=dense");
    tb_metrics *m = snapshot(0);
    for (size_t i = 0; i < 6; i++)
      for (size_t j = 0; j < 3; j++)
        m0[i] += six[i][j] * beta[j];
    vector(m, "beta", 3, beta);
    vector(m, "margins", 6, m0);
    runge_kutta(beta, 1, 2000);
    vector(snapshot(1), "beta", 3, beta);
    runge_kutta(beta, 2, 4000);
    beta[0] += wrong * 1e-6;
    vector(end(3), "beta", 3, beta);
    expect("separable.one_trajectory.many_points", wrong ? TB_FAILS : TB_HOLDS);
  }
}

static void test_discrete(void **state) {
  for (int wrong = 0; wrong < 2; wrong++) {
    double m[3] = { 0 }, beta[5];
    begin("data=A method=ngd lr=0.5");
    tb_metrics *at = snapshot(0);
    vector(at, "margins", 3, m);
    vector(at, "beta", 5, (double[5]){ 0 });
    for (int k = 0; k < 10; k++)
      for (size_t i = 0; i < 3; i++)
        m[i] += 0.5 * (1 + exp(-m[i]));
    along_rows(NULL, m, beta);
    m[2] += wrong * 1e-6;
    beta[1] += wrong * 1e-6;
    at = end(10);
    vector(at, "margins", 3, m);
    vector(at, "beta", 5, beta);
    size_t count = f.count;
    tb_verdict recursion;
    bool applies;
    assert_int_equal(tb_claim_judge(f.context, tb_claim_find("separable.ngd_recursion", NULL), count, f.outcomes,
                                    &applies, &recursion),
                     TB_OK);
    assert_int_equal(recursion.word, wrong ? TB_FAILS : TB_HOLDS);
    expect("separable.ngd_direction", wrong ? TB_FAILS : TB_HOLDS);
  }
}

/* Distances from the flow in proportion to lr^order at the same time 2. */
static void order_outcomes(double order) {
  const double beta0[5] = { 1, 0.5, -1, 0.2, 0 };
  double m0[3] = { 0 }, change[3], beta[5];
  for (size_t i = 0; i < 3; i++) {
    for (size_t j = 0; j < 5; j++)
      m0[i] += three[i][j] * beta0[j];
    change[i] = law(m0[i], 2) - m0[i];
  }
  for (int seed = 0; seed < 5; seed++)
    for (int k = 0; k < 3; k++) {
      char words[120];
      double lr = 0.1 / (1 << k);
      snprintf(words, sizeof words, "data=A method=ngd model=diagonal lr=%.17g seed=%d", lr, seed);
      begin(words);
      tb_metrics *m = snapshot(0);
      vector(m, "beta", 5, beta0);
      vector(m, "margins", 3, m0);
      along_rows(beta0, change, beta);
      for (size_t j = 0; j < 5; j++)
        beta[j] += 0.01 * pow(lr, order) * (seed + 1.0 + (double)j);
      vector(end(2 / lr), "beta", 5, beta);
    }
}

static void test_discrete_order(void **state) {
  order_outcomes(1);
  expect("separable.ngd_order", TB_HOLDS);
  order_outcomes(2);
  expect("separable.ngd_order", TB_FAILS);
  order_outcomes(0);
  expect("separable.ngd_order", TB_FAILS);
}

/* ---- ends ---- */

static void vertex_outcome(const double *velocity, double slip) {
  const double slope[3] = { 1, 2.25, 0.75 }, dual[3] = { 23 / 8., 47 / 8., 3 / 8. };
  double active[9], offset[3], beta[3];
  const size_t rows[3] = { 0, 4, 5 };
  for (size_t k = 0; k < 3; k++) {
    memcpy(active + 3 * k, six[rows[k]], sizeof six[0]);
    offset[k] = -log(dual[k]);
  }
  eliminate(3, active, offset);
  for (size_t j = 0; j < 3; j++)
    beta[j] = 80 * slope[j] + offset[j];
  beta[0] += slip;
  begin("data=B method=ngf model=diagonal");
  tb_metrics *m = snapshot(0);
  vector(m, "beta", 3, (double[3]){ 0 });
  vector(m, "margins", 6, (double[6]){ 0 });
  m = end(80);
  vector(m, "beta", 3, beta);
  unit(m, 3, velocity);
}

static void test_vertex(void **state) {
  const double slope[3] = { 1, 2.25, 0.75 }, svm[3] = { 1, 1.5, 1.5 };
  vertex_outcome(slope, 0);
  expect("separable.ngf_lp_vertex", TB_HOLDS);
  vertex_outcome(svm, 0);
  expect("separable.ngf_lp_vertex", TB_FAILS);
  vertex_outcome(slope, 0);
  expect("separable.ngf_lp_offset", TB_HOLDS);
  vertex_outcome(slope, 1e-6);
  expect("separable.ngf_lp_offset", TB_FAILS);
  vertex_outcome(slope, 0);
  tb_verdict verdict = judge("separable.ngf_svm_angle.own_data");
  assert_int_equal(verdict.word, TB_HOLDS);
  assert_true(fabs(verdict.reference - acos(5.5 / sqrt(6.625 * 5.5)) * 180 / M_PI) < 1e-9);
  vertex_outcome(svm, 0);
  expect("separable.ngf_svm_angle.own_data", TB_FAILS);
}

static void test_svm_only_if(void **state) {
  begin("data=A method=ngf");
  unit(end(5), 5, interpolator);
  tb_verdict verdict = judge("separable.ngf_is_svm_only_if");
  assert_true(verdict.word == TB_HOLDS && verdict.reference == 0);
  begin("data=A method=ngf");
  unit(end(5), 5, machine);
  expect("separable.ngf_is_svm_only_if", TB_FAILS);
  /* One point: always the same predictor. */
  begin("data=sparse d=3 n=1 k=1 method=ngf");
  tb_classification *p;
  assert_int_equal(tb_classification_sparse(f.context, 1, 3, 1, false, 0, &p), TB_OK);
  unit(end(5), 3, p->z);
  verdict = judge("separable.ngf_is_svm_only_if");
  assert_true(verdict.word == TB_HOLDS && verdict.reference == 1);
  begin("data=sparse d=3 n=1 k=1 method=ngf");
  unit(end(5), 3, (double[3]){ p->z[1], -p->z[0], 0 });
  expect("separable.ngf_is_svm_only_if", TB_FAILS);
  tb_classification_free(f.context, p);
}

static void machine_outcome(const char *words, const double *velocity) {
  begin(words);
  tb_metrics *m = end(INFINITY);
  real(m, "min_margin", 1e6);
  unit(m, 5, velocity);
}

static void test_l2_machine(void **state) {
  machine_outcome("data=A method=gf", machine);
  expect("separable.gf_l2_svm.linear", TB_HOLDS);
  machine_outcome("data=A method=gf", interpolator);
  expect("separable.gf_l2_svm.linear", TB_FAILS);
  machine_outcome("data=A method=gf model=dense depth=3", machine);
  expect("separable.gf_l2_svm.dense", TB_HOLDS);
  machine_outcome("data=A method=gf model=dense depth=3", interpolator);
  expect("separable.gf_l2_svm.dense", TB_FAILS);
  begin("data=A method=gf"); /* not far enough to be judged */
  real(end(10), "min_margin", 2);
  skips("separable.gf_l2_svm.linear");
}

static void test_l1_machine(void **state) {
  for (int wrong = 0; wrong < 2; wrong++) {
    begin("data=A method=gf model=diagonal init=0.1");
    tb_metrics *m = end(INFINITY);
    double beta[5] = { 0, 0, 0, 0, 0.5e6 };
    for (size_t j = 0; j < 5 && wrong; j++)
      beta[j] = 1e6 * machine[j];
    real(m, "min_margin", 1e6);
    vector(m, "beta", 5, beta);
    expect("separable.gf_l1_margin.diagonal", wrong ? TB_FAILS : TB_HOLDS);
  }
  /* Data whose l1 machine is a regular vertex with moderate duals. */
  tb_classification *p;
  tb_limits *l;
  const double *b, zero[12] = { 0 };
  assert_int_equal(tb_classification_sparse(f.context, 6, 12, 2, false, 2, &p), TB_OK);
  assert_int_equal(tb_limits_new(f.context, p, zero, zero, &l), TB_OK);
  for (int wrong = 0; wrong < 2; wrong++) {
    assert_int_equal(tb_limits_solution(l, wrong ? TB_LIMIT_L2_SVM : TB_LIMIT_L1_SVM, &b), TB_OK);
    begin("data=sparse d=12 n=6 k=2 seed=2 method=gf model=diagonal init=1");
    tb_metrics *m = end(INFINITY);
    real(m, "min_margin", 1e6);
    unit(m, 12, b);
    expect("separable.gf_l1_svm.diagonal", wrong ? TB_FAILS : TB_HOLDS);
  }
  tb_limits_free(l);
  tb_classification_free(f.context, p);
}

static void test_mirror(void **state) {
  for (int wrong = 0; wrong < 2; wrong++) {
    const double nu[3] = { 1, 2, 0.5 };
    double beta[5];
    for (size_t j = 0; j < 5; j++)
      beta[j] = 2 * 0.25 * sinh(nu[0] * three[0][j] + nu[1] * three[1][j] + nu[2] * three[2][j]);
    beta[0] *= wrong ? 1.00001 : 1;
    begin("data=A method=gf model=diagonal init=0.5");
    vector(end(3), "beta", 5, beta);
    expect("separable.gf_mirror.diagonal", wrong ? TB_FAILS : TB_HOLDS);
  }
}

static void test_parameter_space(void **state) {
  const double sparse[5] = { 2 / 9., 0, 0, -1 / 3., 4 / 9. };
  for (int wrong = 0; wrong < 2; wrong++) {
    begin("data=A method=ngf fisher=parameter model=diagonal init=1e-3");
    unit(end(1e5), 5, wrong ? interpolator : sparse);
    expect("separable.parameter_fisher_l1", wrong ? TB_FAILS : TB_HOLDS);
  }
}

/* ---- population ---- */

/* E g^k s(ρg) by Simpson's rule in g, fine enough for a kink of width 1/ρ. */
static double moment(double rho, int power) {
  enum { PARTS = 200000 };
  double h = 24.0 / PARTS, sum = 0;
  for (int i = 0; i <= PARTS; i++) {
    double g = -12 + h * i, sigma = 1 / (1 + exp(-rho * g));
    double weight = i == 0 || i == PARTS ? 1 : i % 2 ? 4 : 2;
    sum += weight * pow(g, power) * sigma * (1 - sigma) * exp(-0.5 * g * g);
  }
  return sum * h / 3 / sqrt(2 * M_PI);
}

static void population_point(tb_metrics *m, const double *direction, double rho, bool right) {
  double u[5], margins[3] = { 0 }, g[5] = { 0 }, along = 0, a = moment(rho, 0), c = moment(rho, 2), beta[5];
  memcpy(u, direction, sizeof u);
  normalise(5, u);
  for (size_t i = 0; i < 3; i++)
    for (size_t j = 0; j < 5; j++)
      margins[i] += three[i][j] * u[j] * rho;
  for (size_t i = 0; i < 3; i++)
    for (size_t j = 0; j < 5; j++)
      g[j] += three[i][j] / (1 + exp(margins[i]));
  for (size_t j = 0; j < 5; j++)
    along += g[j] * u[j];
  double velocity[5];
  for (size_t j = 0; j < 5; j++) {
    beta[j] = rho * u[j];
    velocity[j] = right ? (g[j] - along * u[j]) / a + along * u[j] / c : g[j];
  }
  vector(m, "beta", 5, beta);
  vector(m, "margins", 3, margins);
  unit(m, 5, velocity);
}

static void test_population(void **state) {
  const double between[5] = { 0.3, 0.2, -0.1, -0.1, 0.9 };
  for (int wrong = 0; wrong < 2; wrong++) {
    begin("data=A method=ngf fisher=population");
    population_point(snapshot(1), between, 0.7, true);
    population_point(end(9), between, 7, !wrong);
    expect("separable.population_velocity", wrong ? TB_FAILS : TB_HOLDS);
  }
  for (int wrong = 0; wrong < 2; wrong++) {
    const double turned[5] = { 0.2, 0.25, -0.1, -0.1, 0.9 };
    begin("data=A method=ngf fisher=population");
    population_point(snapshot(1), between, 12, true);
    population_point(end(9), wrong ? turned : between, 24, true);
    expect("separable.population_freezes", wrong ? TB_FAILS : TB_HOLDS);
  }
  for (int wrong = 0; wrong < 2; wrong++) {
    begin("data=A method=ngf fisher=population");
    population_point(end(9), wrong ? machine : between, 12, true);
    expect("separable.population_end", wrong ? TB_FAILS : TB_HOLDS);
  }
}

/* ---- empirical ---- */

static void test_empirical(void **state) {
  for (int wrong = 0; wrong < 2; wrong++) {
    double m[3];
    begin("data=A method=ngf fisher=empirical");
    vector(snapshot(0), "margins", 3, (double[3]){ 0 });
    for (int k = 1; k < 6; k++) {
      for (size_t i = 0; i < 3; i++) /* log(1 + e^−m) = log 2 − t */
        m[i] = -log(expm1(log(2) - 0.1 * k));
      m[0] += wrong && k == 4 ? 1e-6 : 0;
      vector(snapshot(0.1 * k), "margins", 3, m);
    }
    tb_metrics *last = end(log(2) - wrong * 1e-5);
    assert_int_equal(tb_metrics_word(last, "stopped", "blow_up"), TB_OK);
    vector(last, "margins", 3, m);
    bool applies;
    tb_verdict verdict;
    assert_int_equal(tb_claim_judge(f.context, tb_claim_find("separable.empirical_loss", NULL), f.count, f.outcomes,
                                    &applies, &verdict),
                     TB_OK);
    assert_int_equal(verdict.word, wrong ? TB_FAILS : TB_HOLDS);
    expect("separable.empirical_blow_up", wrong ? TB_FAILS : TB_HOLDS);
  }
}

/* ---- damping ---- */

/* An angle that falls from that of X⁺y to −∇L as 1/(1 + e^{m − crossing}), halving at `crossing`. */
static void damping_outcome(double damping, int seed, double crossing, double last) {
  char words[120];
  snprintf(words, sizeof words, "data=A method=ngf damping=%.17g seed=%d", damping, seed);
  begin(words);
  for (int k = 0; k <= 20; k++) {
    double margin = crossing - 15 + 1.5 * k;
    tb_metrics *m = snapshot(k);
    real(m, "min_margin", margin);
    real(m, "angle_to_gradient", 46.64685838638641 / (1 + exp(margin - crossing)));
  }
  tb_metrics *m = end(21);
  real(m, "min_margin", crossing + 16);
  real(m, "angle_to_gradient", last);
}

static void test_damping(void **state) {
  damping_outcome(1e-6, 0, 12, 0);
  double predicted = judge("separable.damping_crossing").reference;
  assert_true(predicted > log(1e6 / 3) - 3 && predicted < log(1e6 / 3) + 4); /* κ among the eigenvalues of ZZᵀ */
  damping_outcome(1e-6, 0, predicted - 1, 0);
  expect("separable.damping_crossing", TB_HOLDS);
  damping_outcome(1e-6, 0, predicted + 4, 0);
  expect("separable.damping_crossing", TB_FAILS);
  damping_outcome(1e-6, 0, predicted, 1e-7);
  expect("separable.damping_turns", TB_HOLDS);
  damping_outcome(1e-6, 0, predicted, 1);
  expect("separable.damping_turns", TB_FAILS);
  for (int wrong = 0; wrong < 2; wrong++) {
    for (int seed = 0; seed < 5; seed++)
      for (int k = 0; k < 3; k++)
        damping_outcome(pow(10, -6 - 2 * k), seed, predicted + (wrong ? 1.2 : 1) * 2 * k * log(10), 0);
    expect("separable.damping_slope", wrong ? TB_FAILS : TB_HOLDS);
  }
}

/* ---- generalisation ---- */

static const char *const columns[4] = { "method=gf model=diagonal", "method=gf model=linear", "method=ngf",
                                        "method=ngf fisher=parameter model=diagonal" };

static void error_outcome(int column, int seed, double error) {
  char words[160];
  snprintf(words, sizeof words, "%s seed=%d d=100 n=40 k=1", columns[column], seed);
  begin(words);
  tb_metrics *m = end(1e6);
  real(m, "min_margin", 1e6);
  real(m, "velocity_test_error", error);
}

static void test_generalisation(void **state) {
  static const struct {
    const char *id;
    int better, worse;
  } claims[] = { { "separable.gd_diagonal_beats_ngf", 0, 2 },
                 { "separable.gd_diagonal_beats_linear", 0, 1 },
                 { "separable.gd_diagonal_beats_parameter", 0, 3 },
                 { "separable.parameter_beats_ngf", 3, 2 } };
  for (size_t k = 0; k < sizeof claims / sizeof *claims; k++)
    for (int wrong = 0; wrong < 2; wrong++) {
      for (int seed = 0; seed < 6; seed++) {
        error_outcome(claims[k].better, seed, (wrong ? 0.4 : 0.1) + 0.01 * seed);
        error_outcome(claims[k].worse, seed, 0.3 + 0.012 * seed);
      }
      expect(claims[k].id, wrong ? TB_FAILS : TB_HOLDS);
    }
}

static void test_table(void **state) {
  static const struct {
    const char *id;
    int column;
    double mean;
  } cells[] = { { "separable.table.gd_diagonal_100_40_1", 0, 0.116 },
                { "separable.table.gd_linear_100_40_1", 1, 0.342 },
                { "separable.table.ngf_100_40_1", 2, 0.347 },
                { "separable.table.ngf_parameter_100_40_1", 3, 0.230 } };
  for (size_t k = 0; k < sizeof cells / sizeof *cells; k++)
    for (int wrong = 0; wrong < 2; wrong++) {
      for (int seed = 0; seed < 10; seed++)
        error_outcome(cells[k].column, seed, cells[k].mean + wrong * 0.1 + 0.005 * (seed % 2 ? 1 : -1));
      expect(cells[k].id, wrong ? TB_FAILS : TB_HOLDS);
    }
  error_outcome(0, 0, 0.116); /* one seed decides nothing */
  expect("separable.table.gd_diagonal_100_40_1", TB_UNDECIDED);
}

/* All claims say what they are. */
static void test_records(void **state) {
  for (size_t i = 0; i < tb_study_separable.n_claims; i++) {
    const tb_claim *claim = tb_study_separable.claims[i];
    assert_true(strncmp(claim->id, "separable.", 10) == 0);
    assert_true(strlen(claim->statement) > 20 && strlen(claim->source) > 3 && strlen(claim->reference) > 10);
    assert_true(strlen(claim->group) > 10 && claim->unit && claim->arm && claim->measure && claim->tolerance >= 0);
    for (size_t k = 0; k < i; k++)
      assert_string_not_equal(claim->id, tb_study_separable.claims[k]->id);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_margin_law),      cmocka_unit_test(test_gradient_law),   cmocka_unit_test(test_ray),
    cmocka_unit_test(test_trajectories),    cmocka_unit_test(test_newton_path),    cmocka_unit_test(test_discrete),
    cmocka_unit_test(test_discrete_order),  cmocka_unit_test(test_vertex),         cmocka_unit_test(test_svm_only_if),
    cmocka_unit_test(test_l2_machine),      cmocka_unit_test(test_l1_machine),     cmocka_unit_test(test_mirror),
    cmocka_unit_test(test_parameter_space), cmocka_unit_test(test_population),     cmocka_unit_test(test_empirical),
    cmocka_unit_test(test_damping),         cmocka_unit_test(test_generalisation), cmocka_unit_test(test_table),
    cmocka_unit_test(test_records),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
