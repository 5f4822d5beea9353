/* Deep factorisations on measurements against independent twins: the graph's own derivatives, difference quotients,
 * and dense Jacobians with pseudo-inverses from LAPACK. */
#include "testing.h"

#include <math.h>

#include "model/factorisation.h"
#include "num/linear.h"
#include "optim/factored.h"
#include "optim/method.h"
#include "optim/structure.h"

enum { ROWS = 6, COLS = 5, SIZE = ROWS * COLS, COUNT = 13, MOST = 6 * 6 * 4 };

static tb_context *context;

typedef struct fixture {
  tb_factorisation_shape shape;
  tb_measurements measurements;
  size_t row[COUNT], col[COUNT], n, p;
  double dense[COUNT * SIZE], y[COUNT], theta[MOST], v[MOST];
  tb_objective *objective;
} fixture;

static tb_key key(const char *use) {
  return (tb_key){ .seed = 3, .use = tb_use(use) };
}

static void make(fixture *x, size_t depth, size_t width, bool sensing) {
  *x = (fixture){ .shape = { ROWS, COLS, depth, width }, .n = COUNT };
  for (size_t k = 0; k < COUNT; k++) { /* every other entry or so, by row */
    x->row[k] = (2 * k + k / 4) / COLS;
    x->col[k] = (2 * k + k / 4) % COLS;
  }
  tb_random_normal(key("dense"), 0, COUNT * SIZE, x->dense);
  tb_random_normal(key("values"), 0, COUNT, x->y);
  x->measurements = (tb_measurements){ ROWS, COLS, COUNT, x->row, x->col, sensing ? x->dense : NULL };
  x->p = tb_factorisation_parameters(&x->shape);
  assert_true(x->p <= MOST);
  tb_factorisation_initialise(&x->shape, 0.7, key("weights"), x->theta);
  tb_random_normal(key("direction"), 0, x->p, x->v);
  assert_int_equal(tb_factored_objective(context, &x->shape, &x->measurements, x->y, &x->objective), TB_OK);
}

static void near(size_t n, const double *a, const double *b, double tolerance, const char *what) {
  double size = 1e-300, error = 0;
  for (size_t k = 0; k < n; k++) {
    size = fmax(size, fabs(b[k]));
    error = fmax(error, fabs(a[k] - b[k]));
  }
  if (!(error <= tolerance * size))
    fail_msg("%s: off by %g of %g", what, error, size);
}

/* J[n×p] and D[size×p], a column a push. */
static void maps(fixture *x, double *jacobian, double *map) {
  double unit[MOST] = { 0 }, f[COUNT], beta[SIZE];
  for (size_t k = 0; k < x->p; k++) {
    unit[k] = 1;
    assert_int_equal(tb_objective_push(x->objective, x->theta, unit, f), TB_OK);
    assert_int_equal(tb_objective_predictor_push(x->objective, x->theta, unit, beta), TB_OK);
    for (size_t i = 0; i < COUNT; i++)
      jacobian[i * x->p + k] = f[i];
    for (size_t i = 0; i < SIZE; i++)
      map[i * x->p + k] = beta[i];
    unit[k] = 0;
  }
}

/* Outputs and gradient by the graph, for entries. */
static void by_graph(fixture *x, double *w, double *gradient) {
  tb_graph *g;
  tb_program *program;
  int32_t entries[COUNT];
  for (size_t k = 0; k < COUNT; k++)
    entries[k] = (int32_t)(x->row[k] * COLS + x->col[k]);
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value theta = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, x->p });
  tb_value places = tb_input(g, "entries", TB_INT32, 1, (size_t[]){ COUNT });
  tb_value values = tb_input(g, "values", TB_FLOAT64, 1, (size_t[]){ COUNT });
  tb_value product = tb_factorisation_product(g, &x->shape, theta), slope;
  tb_value loss = tb_factorisation_observed_loss(g, product, places, values);
  assert_int_equal(tb_gradient(g, tb_sum(g, loss), 1, &theta, &slope), TB_OK);
  assert_int_equal(tb_program_new(context, g, 2, (tb_value[]){ product, slope }, NULL, &program), TB_OK);
  assert_int_equal(
      tb_program_run(program, 3, (const void *[]){ x->theta, entries, x->y }, 2, (void *[]){ w, gradient }), TB_OK);
  tb_program_free(program);
  tb_graph_free(g);
}

static void test_gradients(void **state) {
  for (size_t depth = 1; depth <= 4; depth++)
    for (int sensing = 0; sensing < 2; sensing++) {
      fixture x;
      make(&x, depth, 5, sensing);
      double w[SIZE], beta[SIZE], gradient[MOST], descent[MOST], up[MOST], down[MOST], product[MOST], f[COUNT],
          r[COUNT], pulled[MOST];
      by_graph(&x, w, gradient);
      assert_int_equal(tb_objective_predictor(x.objective, x.theta, beta, NULL), TB_OK);
      near(SIZE, beta, w, 1e-14, "product");
      assert_int_equal(tb_objective_descent(x.objective, x.theta, log(COUNT), descent), TB_OK);
      assert_int_equal(tb_objective_outputs(x.objective, x.theta, f), TB_OK);
      for (size_t k = 0; k < COUNT; k++)
        r[k] = x.y[k] - f[k];
      assert_int_equal(tb_objective_pullback(x.objective, x.theta, r, f, pulled), TB_OK);
      near(x.p, descent, pulled, 1e-13, "descent and pullback");
      if (!sensing) {
        for (size_t k = 0; k < x.p; k++)
          gradient[k] = -gradient[k];
        near(x.p, descent, gradient, 1e-13, "descent and graph");
      } else /* ⟨v, Jᵀr⟩ = ⟨Jv, r⟩, and outputs by hand */
      {
        assert_int_equal(tb_objective_push(x.objective, x.theta, x.v, f), TB_OK);
        double a = tb_dot(x.p, x.v, pulled), b = tb_dot(COUNT, f, r);
        near(1, &a, &b, 1e-13, "adjoint");
        for (size_t k = 0; k < COUNT; k++)
          f[k] = tb_dot(SIZE, x.dense + k * SIZE, beta);
        for (size_t k = 0; k < COUNT; k++)
          r[k] = x.y[k] - r[k];
        near(COUNT, r, f, 1e-13, "sensing");
      }
      assert_int_equal(tb_objective_descent_product(x.objective, x.theta, 0, x.v, product), TB_OK);
      const double h = 1e-5;
      double moved[MOST];
      for (size_t k = 0; k < x.p; k++)
        moved[k] = x.theta[k] + h * x.v[k];
      assert_int_equal(tb_objective_descent(x.objective, moved, 0, up), TB_OK);
      for (size_t k = 0; k < x.p; k++)
        moved[k] = x.theta[k] - h * x.v[k];
      assert_int_equal(tb_objective_descent(x.objective, moved, 0, down), TB_OK);
      for (size_t k = 0; k < x.p; k++)
        up[k] = (up[k] - down[k]) / (2 * h);
      near(x.p, product, up, 1e-7, "descent product");
      tb_objective_free(x.objective);
    }
}

/* Entries, many or few, against the same entries as dense measurements, which take another way. */
static void test_densities(void **state) {
  enum { FACTORS = 3, MOST_SIDE = 23, MOST_ENTRIES = MOST_SIDE * MOST_SIDE, PARAMETERS = FACTORS * MOST_ENTRIES };
  static double unit[MOST_ENTRIES * MOST_ENTRIES], y[MOST_ENTRIES], theta[PARAMETERS], v[PARAMETERS];
  static double out[2][4][PARAMETERS];
  static const size_t sides[][3] = { { 23, 19, 21 }, { 7, 23, 3 }, { 16, 16, 16 }, { 1, 5, 2 }, { 20, 1, 23 } };
  static const double densities[] = { 0.02, 0.3, 0.55, 0.65, 1 };
  for (size_t i = 0; i < 5; i++)
    for (size_t k = 0; k < 5; k++)
      for (size_t depth = 2; depth <= FACTORS; depth++) {
        const size_t rows = sides[i][0], cols = sides[i][1], size = rows * cols;
        const tb_factorisation_shape shape = { rows, cols, depth, sides[i][2] };
        const size_t p = tb_factorisation_parameters(&shape);
        size_t row[MOST_ENTRIES], col[MOST_ENTRIES], count = 0;
        double chance[MOST_ENTRIES];
        tb_random_uniform(key("observed"), k * MOST_ENTRIES, size, chance);
        memset(unit, 0, sizeof unit);
        for (size_t e = 0; e < size; e++)
          if (chance[e] < densities[k] || e == size / 2) {
            row[count] = e / cols;
            col[count] = e % cols;
            unit[count++ * size + e] = 1;
          }
        tb_random_normal(key("values"), 0, count, y);
        tb_random_normal(key("weights"), 0, p, theta);
        tb_random_normal(key("direction"), 0, p, v);
        for (int dense = 0; dense < 2; dense++) {
          const tb_measurements m = { rows, cols, count, row, col, dense ? unit : NULL };
          tb_objective *o;
          assert_int_equal(tb_factored_objective(context, &shape, &m, y, &o), TB_OK);
          assert_int_equal(tb_objective_outputs(o, theta, out[dense][0]), TB_OK);
          assert_int_equal(tb_objective_push(o, theta, v, out[dense][1]), TB_OK);
          assert_int_equal(tb_objective_descent(o, theta, 0, out[dense][2]), TB_OK);
          assert_int_equal(tb_objective_descent_product(o, theta, 0, v, out[dense][3]), TB_OK);
          tb_objective_free(o);
        }
        near(count, out[0][0], out[1][0], 1e-13, "outputs");
        near(count, out[0][1], out[1][1], 1e-13, "push");
        near(p, out[0][2], out[1][2], 1e-13, "descent");
        near(p, out[0][3], out[1][3], 1e-13, "descent product");
      }
}

/* −(F + λI)⁺∇L from dense maps, F = Jᵀ W J/n. */
static void by_pseudo_inverse(fixture *x, tb_fisher fisher, double damping, double *velocity) {
  static double jacobian[COUNT * MOST], map[SIZE * MOST], a[(COUNT + MOST) * MOST], measurements[COUNT * SIZE];
  double f[COUNT], b[COUNT + MOST] = { 0 }, w[SIZE];
  maps(x, jacobian, map);
  assert_int_equal(tb_objective_outputs(x->objective, x->theta, f), TB_OK);
  for (size_t k = 0; k < COUNT; k++)
    for (size_t i = 0; i < SIZE; i++)
      measurements[k * SIZE + i] =
          x->measurements.dense ? x->dense[k * SIZE + i] : (double)(i == x->row[k] * COLS + x->col[k]);
  const bool in_parameters = fisher == TB_FISHER_PARAMETER;
  const size_t c = in_parameters ? x->p : SIZE;
  const double *rows = in_parameters ? jacobian : measurements;
  /* least squares of [√(w/n) rows; √λ] = [√(w/n) b; 0] */
  for (size_t k = 0; k < COUNT; k++) {
    const double r = x->y[k] - f[k], weight = fisher == TB_FISHER_EMPIRICAL ? fabs(r) : 1;
    const double target = fisher == TB_FISHER_EMPIRICAL ? 1 / r : r;
    for (size_t i = 0; i < c; i++)
      a[k * c + i] = weight * rows[k * c + i];
    b[k] = weight * target;
  }
  for (size_t k = 0; k < c; k++)
    for (size_t i = 0; i < c; i++)
      a[(COUNT + k) * c + i] = k == i ? sqrt(damping * COUNT) : 0;
  const size_t all = damping > 0 ? COUNT + c : COUNT;
  double *into = in_parameters ? velocity : w;
  assert_int_equal(tb_least_squares(context, all, c, a, 1, b, 0, into, NULL, NULL), TB_OK);
  if (!in_parameters)
    assert_int_equal(tb_least_squares(context, SIZE, x->p, map, 1, w, 0, velocity, NULL, NULL), TB_OK);
}

static void test_natural_gradients(void **state) {
  const char *const names[] = { "predictor", "parameter", "population", "empirical" };
  for (size_t depth = 1; depth <= 4; depth++)
    for (int sensing = 0; sensing < 2; sensing++)
      for (int fisher = 0; fisher < 4; fisher++)
        for (int damped = 0; damped < 2; damped++) {
          fixture x;
          tb_natural *natural;
          tb_natural_report report;
          double velocity[MOST], beta[SIZE], expected[MOST], pushed[SIZE];
          make(&x, depth, 5 + (depth > 2), sensing);
          tb_status status = tb_natural_new(context, x.objective, (tb_fisher)fisher, damped ? 0.03 : 0, &natural);
          if (sensing && fisher == TB_FISHER_POPULATION) {
            assert_int_equal(status, TB_USAGE);
            tb_context_clear(context);
            tb_objective_free(x.objective);
            continue;
          }
          assert_int_equal(status, TB_OK);
          if (tb_natural_velocity(natural, x.theta, velocity, beta, &report) != TB_OK)
            fail_msg("depth %zu %s: %s", depth, names[fisher], tb_context_message(context));
          by_pseudo_inverse(&x, (tb_fisher)fisher, damped ? 0.03 : 0, expected);
          near(x.p, velocity, expected, 1e-9, names[fisher]);
          assert_int_equal(tb_objective_predictor_push(x.objective, x.theta, velocity, pushed), TB_OK);
          near(SIZE, beta, pushed, 1e-11, "image");
          assert_int_equal(report.full_rank, COUNT);
          assert_int_equal(report.rank, COUNT);
          assert_false(report.rank_loss);
          tb_natural_free(natural);
          tb_objective_free(x.objective);
        }
}

/* A zero column in W_1: entries of that column can't move, JJᵀ loses rank and J⁺ takes the others as they are.  With
 * an inner size below the matrix' D is not onto: no velocity of the factors has the predictor's. */
static void test_rank_loss(void **state) {
  fixture x;
  tb_natural *natural;
  tb_natural_report report;
  double velocity[MOST], expected[MOST];
  make(&x, 2, 5, false);
  for (size_t i = 0; i < 5; i++)
    x.theta[i * COLS] = 0;
  for (size_t k = 0; k < 5 * ROWS; k++)
    x.theta[5 * COLS + k] *= k / 5 == 0 ? 0 : 1; /* and a zero row of W_2 */
  assert_int_equal(tb_natural_new(context, x.objective, TB_FISHER_PARAMETER, 0, &natural), TB_OK);
  assert_int_equal(tb_natural_velocity(natural, x.theta, velocity, NULL, &report), TB_OK);
  by_pseudo_inverse(&x, TB_FISHER_PARAMETER, 0, expected);
  near(x.p, velocity, expected, 1e-9, "pseudo-inverse");
  assert_int_equal(report.rank, COUNT - 1); /* entry (0, 0) */
  assert_true(report.rank_loss);
  tb_natural_free(natural);
  assert_int_equal(tb_natural_new(context, x.objective, TB_FISHER_PREDICTOR, 0, &natural), TB_OK);
  assert_int_equal(tb_natural_velocity(natural, x.theta, velocity, NULL, &report), TB_FAILED);
  assert_true(report.rank_loss);
  tb_context_clear(context);
  tb_natural_free(natural);
  tb_objective_free(x.objective);
  make(&x, 3, 2, false);
  assert_int_equal(tb_natural_new(context, x.objective, TB_FISHER_PREDICTOR, 0, &natural), TB_OK);
  assert_int_equal(tb_natural_velocity(natural, x.theta, velocity, NULL, &report), TB_FAILED);
  tb_context_clear(context);
  tb_natural_free(natural);
  tb_objective_free(x.objective);
}

static void test_refusals(void **state) {
  size_t row[2] = { 1, 1 }, col[2] = { 2, 2 };
  double y[2] = { 1, 1 };
  tb_factorisation_shape shape = { ROWS, COLS, 2, 5 };
  tb_measurements m = { ROWS, COLS, 2, row, col, NULL };
  tb_objective *objective;
  assert_int_equal(tb_factored_objective(context, &shape, &m, y, &objective), TB_BAD_DATA);
  m.count = 0;
  assert_int_equal(tb_factored_objective(context, &shape, &m, y, &objective), TB_BAD_DATA);
  tb_context_clear(context);
}

static void test_every_allocation_fails(void **state) {
  for (int sensing = 0; sensing < 2; sensing++)
    for (long fail_at = 1;; fail_at++) {
      fixture x;
      make(&x, 3, 5, sensing);
      meter m = { .fail_at = 0 };
      tb_context *own = tb_context_new(meter_allocate, &m);
      tb_objective *objective = NULL;
      tb_natural *natural = NULL;
      double velocity[MOST];
      m.fail_at = m.calls + fail_at;
      tb_status status = tb_factored_objective(own, &x.shape, &x.measurements, x.y, &objective);
      if (status == TB_OK)
        status = tb_natural_new(own, objective, TB_FISHER_PREDICTOR, 0, &natural);
      if (status == TB_OK)
        status = tb_natural_velocity(natural, x.theta, velocity, NULL, NULL);
      m.fail_at = 0;
      tb_natural_free(natural);
      tb_objective_free(objective);
      tb_context_free(own);
      assert_int_equal(m.live, 0);
      tb_objective_free(x.objective);
      if (status == TB_OK)
        break;
      assert_int_equal(status, TB_NO_MEMORY);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_gradients), cmocka_unit_test(test_densities), cmocka_unit_test(test_natural_gradients),
    cmocka_unit_test(test_rank_loss), cmocka_unit_test(test_refusals),  cmocka_unit_test(test_every_allocation_fails),
  };
  context = tb_context_new(NULL, NULL);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  tb_context_free(context);
  return failed;
}
