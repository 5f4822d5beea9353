/* Targets: densities against formulas written out here and published values, gradients against differences,
 * normalisers against quadrature, exact draws against moments. */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "densities.h"
#include "diffusion/target_brownian.h"
#include "diffusion/target_cosine.h"
#include "diffusion/target_mixture.h"

static tb_context *context;

static int set_up(void **state) {
  context = tb_context_new(NULL, NULL);
  return context ? 0 : -1;
}

static int tear_down(void **state) {
  tb_context_free(context);
  return 0;
}

static void check(tb_status status) {
  if (status != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
}

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
    fail_msg("%.17g instead of %.17g", got, want);
}

#define OPEN(density, ...) check(try_density(context, &density, __VA_ARGS__, (char *)NULL))

static double value_at(tb_density *density, const double *x) {
  double value;
  check(tb_density_values(density, 1, x, &value, NULL));
  return value;
}

static double log_normal(double x, double mean, double sd) {
  const double z = (x - mean) / sd;
  return -0.5 * z * z - log(sd) - 0.5 * log(2 * acos(-1));
}

/* ---- every target: gradients, batches, names ---- */

static void gradients_are_differences(void **state) {
  for (const tb_target *const *t = tb_targets(); *t; t++) {
    if (!(*t)->build || !strcmp((*t)->name, "logistic") || !strcmp((*t)->name, "lgcp"))
      continue; /* the others need data */
    char word[64];
    tb_density *density;
    double x[3 * 64], error;
    snprintf(word, sizeof word, "target=%s", (*t)->name);
    OPEN(density, word);
    tb_random_normal((tb_key){ .seed = 3 }, 0, 3 * density->dims, x);
    check(tb_density_gradient_error(density, 3, x, &error));
    if (!(error < 1e-8))
      fail_msg("%s: %g", (*t)->name, error);
    for (size_t i = 0; i < density->naturals; i++)
      assert_true(density->names[i][0]);
    check(tb_density_proper(density, 0));
    tb_density_close(density);
  }
}

/* 256 + 16 + 1 rows: each is what it is alone. */
static void batches_are_rows(void **state) {
  enum { N = 290, D = 2 };
  tb_density *density;
  static double x[N * D], value[N], gradient[N * D];
  OPEN(density, "target=gmm25");
  tb_random_normal((tb_key){ .seed = 4 }, 0, N * D, x);
  check(tb_density_values(density, N, x, value, gradient));
  for (size_t i = 0; i < N; i += 17) {
    double one, slope[D];
    check(tb_density_values(density, 1, x + i * D, &one, slope));
    near(value[i], one, 1e-13);
    near(gradient[i * D], slope[0], 1e-12);
    near(gradient[i * D + 1], slope[1], 1e-12);
  }
  assert_int_equal(density->evaluations, N + (N + 16) / 17);
  tb_density_close(density);
}

/* ---- formulas ---- */

static void values_are_formulas(void **state) {
  tb_density *density;
  const double x[4] = { 0.3, -1.1, 0.8, 2.0 };
  OPEN(density, "target=gaussian", "mean=0.5,-1", "sd=0.7,2");
  near(value_at(density, x), log_normal(0.3, 0.5, 0.7) + log_normal(-1.1, -1, 2), 1e-14);
  tb_density_close(density);

  OPEN(density, "target=mixture", "means=0,1/2,-1/1,1", "sds=0.5,1,2", "weights=1,2,5");
  double sum = 0;
  const double means[3][2] = { { 0, 1 }, { 2, -1 }, { 1, 1 } }, sds[3] = { 0.5, 1, 2 }, weights[3] = { 1, 2, 5 };
  for (int k = 0; k < 3; k++)
    sum += weights[k] / 8 * exp(log_normal(x[0], means[k][0], sds[k]) + log_normal(x[1], means[k][1], sds[k]));
  near(value_at(density, x), log(sum), 1e-14);
  assert_non_null(tb_density_mixture(density));
  assert_null(tb_density_cosine(density));
  tb_density_close(density);

  OPEN(density, "target=cosine");
  const double w[3][2] = { { 1.5, 0 }, { 0, 2 }, { 1, 1 } }, a[3] = { 0.3, 0.25, -0.2 };
  double f = 1;
  for (int k = 0; k < 3; k++)
    f += a[k] * (cos(w[k][0] * x[0] + w[k][1] * x[1]) - exp(-0.5 * (w[k][0] * w[k][0] + w[k][1] * w[k][1])));
  near(value_at(density, x), log(f) + log_normal(x[0], 0, 1) + log_normal(x[1], 0, 1), 1e-14);
  tb_density_close(density);

  OPEN(density, "target=funnel", "d=4");
  double value = log_normal(x[0], 0, 3);
  for (int i = 1; i < 4; i++)
    value += log_normal(x[i], 0, exp(0.5 * x[0]));
  near(value_at(density, x), value, 1e-14);
  tb_density_close(density);

  OPEN(density, "target=manywell", "d=4");
  value = 0;
  for (int i = 0; i < 4; i += 2)
    value += -pow(x[i], 4) + 6 * x[i] * x[i] + 0.5 * x[i] - 0.5 * x[i + 1] * x[i + 1];
  near(value_at(density, x), value, 1e-14);
  tb_density_close(density);
}

static void eight_schools_is_the_model(void **state) {
  static const double y[8] = { 28, 8, -3, 7, -1, 1, 18, 12 }, sigma[8] = { 15, 10, 16, 11, 9, 11, 10, 18 };
  tb_density *density;
  double x[10], natural[10], want = 0;
  OPEN(density, "target=eight_schools");
  tb_random_normal((tb_key){ .seed = 8 }, 0, 10, x);
  check(tb_density_natural(density, 1, x, natural));
  const double mu = x[0], tau = exp(x[1]);
  near(natural[1], tau, 1e-15);
  want = log_normal(mu, 0, 5) - log(acos(-1) * 5 * (1 + tau * tau / 25)) + x[1];
  for (int j = 0; j < 8; j++) {
    near(natural[j + 2], mu + tau * x[j + 2], 1e-15);
    want += log_normal(x[j + 2], 0, 1) + log_normal(y[j], natural[j + 2], sigma[j]);
  }
  near(value_at(density, x), want, 1e-13);
  assert_string_equal(density->names[2], "theta[1]");
  tb_density_close(density);
}

static void brownian_is_the_model(void **state) {
  tb_density *density;
  double x[32], natural[32];
  OPEN(density, "target=brownian");
  assert_int_equal(density->dims, 32);
  tb_random_normal((tb_key){ .seed = 9 }, 0, 32, x);
  check(tb_density_natural(density, 1, x, natural));
  const tb_brownian *b = tb_density_brownian(density);
  double want = 0;
  for (int k = 0; k < 2; k++) {
    near(natural[k], log1p(exp(x[k])), 1e-14);
    want += log_normal(log(natural[k]), 0, 2) - log(natural[k]) - log1p(exp(-x[k]));
  }
  for (int t = 0; t < 30; t++)
    want += log_normal(x[2 + t], t ? x[1 + t] : 0, natural[0]);
  for (size_t i = 0; i < b->observed; i++)
    want += log_normal(b->y[i], x[2 + (size_t)b->at[i]], natural[1]);
  near(value_at(density, x), want, 1e-13);
  assert_string_equal(density->names[0], "innovation_scale");
  assert_string_equal(density->names[31], "x[30]");
  tb_density_close(density);
}

/* Means published for JAX's generator. */
static void gmm40_has_the_published_means(void **state) {
  tb_density *density;
  OPEN(density, "target=gmm40");
  const double *m = tb_density_mixture(density)->means;
  const double first[8] = { -15.758228, 18.116531, -34.80889, 21.225481, -21.765137, 19.893017, 19.618092, 23.734512 };
  for (int i = 0; i < 8; i++)
    near(m[i], first[i], 1e-7);
  near(m[78], 19.656, 1e-5);
  near(m[79], -8.14168, 1e-6);
  tb_density_close(density);
  OPEN(density, "target=gmm40", "d=50");
  m = tb_density_mixture(density)->means;
  near(m[0], 8.719435, 1e-7);
  near(m[1], -6.0695076, 1e-7);
  near(m[1997], -37.929375, 1e-7);
  near(m[1999], 29.86229, 1e-7);
  tb_density_close(density);
}

/* Values computed elsewhere from the same public files. */
static void data_targets_have_known_values(void **state) {
  const char *folder = getenv("TIEBREAK_DATA");
  if (!folder) {
    skip();
    return;
  }
  static const struct {
    const char *options[4];
    double x, value;
  } cases[] = {
    { { "target=logistic", "data=%s/ionosphere.csv" }, 0, -275.457509 },
    { { "target=logistic", "data=%s/ionosphere.csv" }, 1, -977.586526 },
    { { "target=logistic", "data=%s/sonar.csv" }, 0, -200.229864 },
    { { "target=logistic", "data=%s/sonar.csv" }, 1, -2595.829286 },
    { { "target=logistic", "data=%s/german_credit.csv", "prior_sd=10", "standardise=scale" }, 0, -773.685271 },
    { { "target=lgcp", "data=%s/pines126.csv" }, 0, -2451.049219 },
    { { "target=lgcp", "data=%s/pines126.csv" }, 3.8812819063, -1255.451942 },
    { { "target=lgcp", "data=%s/pines127.csv" }, 3.8812819063, -1251.570660 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char words[4][1000] = { "" };
    tb_density *density;
    for (int k = 0; k < 4 && cases[i].options[k]; k++)
      snprintf(words[k], sizeof words[k], strstr(cases[i].options[k], "%s") ? "data=%s%s" : "%s%s",
               strstr(cases[i].options[k], "%s") ? folder : cases[i].options[k],
               strstr(cases[i].options[k], "%s") ? cases[i].options[k] + 7 : "");
    OPEN(density, words[0], words[1], words[2][0] ? words[2] : (char *)NULL, words[3]);
    double *x = calloc(density->dims, sizeof *x);
    for (size_t j = 0; j < density->dims; j++)
      x[j] = cases[i].x;
    near(value_at(density, x), cases[i].value, 1e-8);
    free(x);
    tb_density_close(density);
  }
}

/* ---- normalisers ---- */

/* ln ∫ γ over [−side, side]² by the trapezoidal rule. */
static double log_integral(tb_density *density, double side, size_t cells) {
  double most = -INFINITY, sum = 0, *x = calloc(2 * (cells + 1), sizeof *x), *values = calloc(cells + 1, sizeof *x);
  const double step = 2 * side / (double)cells;
  for (size_t i = 0; i <= cells; i++) {
    for (size_t j = 0; j <= cells; j++) {
      x[2 * j] = -side + step * (double)i;
      x[2 * j + 1] = -side + step * (double)j;
    }
    check(tb_density_values(density, cells + 1, x, values, NULL));
    for (size_t j = 0; j <= cells; j++) {
      if (values[j] > most) {
        sum *= exp(most - values[j]);
        most = values[j];
      }
      sum += exp(values[j] - most);
    }
  }
  free(x);
  free(values);
  return most + log(sum * step * step);
}

static void normalisers_are_integrals(void **state) {
  static const struct {
    const char *words[3];
    double side;
  } cases[] = { { { "target=gaussian" }, 8 }, { { "target=mixture", "means=-1,0.5/1.2,-0.4", "sds=0.5,0.7" }, 8 },
                { { "target=cosine" }, 8 },   { { "target=gmm9" }, 10 },
                { { "target=gmm25" }, 16 },   { { "target=gmm10" }, 12 },
                { { "target=gmm40" }, 48 },   { { "target=manywell", "d=2" }, 8 } };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tb_density *density;
    OPEN(density, cases[i].words[0], cases[i].words[1], cases[i].words[2]);
    near(log_integral(density, cases[i].side, 200), density->log_normaliser, 1e-9);
    tb_density_close(density);
  }
}

/* Published to seven digits. */
static void wells_have_the_published_normalisers(void **state) {
  static const struct {
    const char *target, *d;
    double log_z;
  } cases[] = { { "target=manywell", "d=32", 164.695675 },
                { "target=manywell", "d=50", 257.336993 },
                { "target=manywell", "d=64", 329.391351 },
                { "target=mw5", NULL, -0.5410555 },
                { "target=mw50", NULL, 42.81724 } };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tb_density *density;
    OPEN(density, cases[i].target, cases[i].d);
    near(density->log_normaliser, cases[i].log_z, 1e-7);
    tb_density_close(density);
  }
}

/* ---- draws ---- */

/* Stein's identity: E[∇ ln γ(X)] = 0 and E[X·∇ ln γ(X)] = −d under exact draws, whatever the density. */
static void draws_satisfy_steins_identity(void **state) {
  enum { N = 4000 };
  static const char *const names[] = { "gaussian", "mixture", "cosine", "funnel_easy", "gmm9",
                                       "gmm25",    "gmm10",   "gmm40",  "mw5",         "manywell" };
  for (size_t t = 0; t < sizeof names / sizeof *names; t++) {
    char word[64];
    tb_density *density;
    snprintf(word, sizeof word, "target=%s", names[t]);
    OPEN(density, word);
    const size_t d = density->dims;
    double *x = calloc(N * d, sizeof *x), *gradient = calloc(N * d, sizeof *x), *value = calloc(N, sizeof *x);
    double sum[2] = { 0 }, square[2] = { 0 };
    density->target->draw(density, (tb_key){ .seed = 5 }, 0, N, x);
    check(tb_density_values(density, N, x, value, gradient));
    for (size_t i = 0; i < N; i++) {
      double terms[2] = { 0, (double)d };
      for (size_t j = 0; j < d; j++) {
        terms[0] += gradient[i * d + j];
        terms[1] += x[i * d + j] * gradient[i * d + j];
      }
      for (int k = 0; k < 2; k++) {
        sum[k] += terms[k] / N;
        square[k] += terms[k] * terms[k] / N;
      }
    }
    for (int k = 0; k < 2; k++)
      if (!(fabs(sum[k]) < 4 * sqrt(square[k] / N)))
        fail_msg("%s: identity %d off by %g, sd %g", names[t], k, sum[k], sqrt(square[k] / N));
    /* a draw does not depend on what else was drawn */
    double *alone = calloc(d, sizeof *alone);
    density->target->draw(density, (tb_key){ .seed = 5 }, 777, 1, alone);
    assert_memory_equal(alone, x + 777 * d, d * sizeof *alone);
    free(alone);
    free(x);
    free(gradient);
    free(value);
    tb_density_close(density);
  }
}

/* ---- what is refused ---- */

static void bad_options_are_refused(void **state) {
  static const char *const cases[][3] = {
    { "target=gaussian", "mean=1,2", "sd=1,2,3" },
    { "target=gaussian", "sd=0", NULL },
    { "target=mixture", "weights=1", NULL },
    { "target=mixture", "sds=-1", NULL },
    { "target=cosine", "amplitudes=1,1,1", NULL },
    { "target=cosine", "amplitudes=1", NULL },
    { "target=funnel", "d=1", NULL },
    { "target=manywell", "d=3", NULL },
    { "target=gmm40", "d=3", NULL },
    { "target=logistic", NULL, NULL },
    { "target=lgcp", NULL, NULL },
    { "target=plugin", NULL, NULL },
    { "target=stan", NULL, NULL },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tb_density *density;
    assert_int_equal(try_density(context, &density, cases[i][0], cases[i][1], cases[i][2], (char *)NULL), TB_USAGE);
    assert_null(density);
    assert_true(tb_context_hint(context)[0] != 0);
  }
}

/* Separable labels, or quasi-separable ones, or a constant feature: without a prior there is no posterior. */
static void flat_likelihoods_are_improper(void **state) {
  static const struct {
    const char *rows;
    bool proper;
  } cases[] = { { "x1,x2,y\n1,0,1\n2,1,1\n-1,3,-1\n-2,1,-1\n", false },
                { "x1,x2,y\n0,0,1\n0,1,-1\n1,0,1\n1,1,1\n", false },
                { "x1,x2,y\n1,5,1\n2,5,-1\n3,5,1\n", false },
                { "x1,y\n1,1\n2,-1\n3,1\n4,-1\n", true } };
  char path[] = "/tmp/tiebreak-flat-XXXXXX", word[100];
  const int file = mkstemp(path);
  assert_true(file >= 0);
  snprintf(word, sizeof word, "data=%s", path);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tb_density *density;
    check(tb_file_write(context, path, cases[i].rows, strlen(cases[i].rows)));
    OPEN(density, "target=logistic", word, "prior_sd=inf");
    assert_int_equal(tb_density_proper(density, 0), cases[i].proper ? TB_OK : TB_FAILED);
    if (!cases[i].proper)
      assert_non_null(strstr(tb_context_message(context), "improper"));
    tb_density_close(density);
    OPEN(density, "target=logistic", word);
    check(tb_density_proper(density, 0));
    tb_density_close(density);
  }
  remove(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(gradients_are_differences),
    cmocka_unit_test(batches_are_rows),
    cmocka_unit_test(values_are_formulas),
    cmocka_unit_test(eight_schools_is_the_model),
    cmocka_unit_test(brownian_is_the_model),
    cmocka_unit_test(gmm40_has_the_published_means),
    cmocka_unit_test(data_targets_have_known_values),
    cmocka_unit_test(normalisers_are_integrals),
    cmocka_unit_test(wells_have_the_published_normalisers),
    cmocka_unit_test(draws_satisfy_steins_identity),
    cmocka_unit_test(bad_options_are_refused),
    cmocka_unit_test(flat_likelihoods_are_improper),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
