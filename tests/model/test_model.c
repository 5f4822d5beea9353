/* Models against the plain definition of each, and their derivatives against differences. */
#include "testing.h"

#include <math.h>

#include "model/model.h"

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

typedef struct sample {
  const char *model;
  tb_model_shape shape;
} sample;

static const size_t two_widths[] = { 3, 5 };
static const sample samples[] = {
  { "linear", { .inputs = 1, .depth = 1 } },
  { "linear", { .inputs = 7, .depth = 1 } },
  { "diagonal", { .inputs = 5, .depth = 1 } },
  { "diagonal", { .inputs = 1, .depth = 2 } },
  { "diagonal", { .inputs = 7, .depth = 3 } },
  { "diagonal", { .inputs = 3, .depth = 4 } },
  { "dense", { .inputs = 5, .depth = 1 } },
  { "dense", { .inputs = 3, .depth = 2, .width = 1 } },
  { "dense", { .inputs = 7, .depth = 3, .widths = two_widths } },
  { "dense", { .inputs = 1, .depth = 4, .width = 3 } },
  { "mlp", { .inputs = 3, .depth = 1, .activation = TB_TANH } },
  { "mlp", { .inputs = 5, .depth = 2, .width = 7, .activation = TB_TANH } },
  { "mlp", { .inputs = 1, .depth = 3, .widths = two_widths, .activation = TB_SOFTPLUS } },
  { "mlp", { .inputs = 3, .depth = 2, .width = 5, .activation = TB_GELU } },
  { "mlp", { .inputs = 3, .depth = 3, .width = 5, .activation = TB_RELU } },
};
enum { SAMPLES = sizeof samples / sizeof *samples, ROWS = 5, MOST = 256 };

static double activation(tb_unary kind, double a) {
  switch (kind) {
  case TB_TANH:
    return tanh(a);
  case TB_SOFTPLUS:
    return log1p(exp(a));
  case TB_GELU:
    return 0.5 * a * (1 + erf(a / sqrt(2.0)));
  default:
    return a > 0 ? a : 0;
  }
}

static size_t width_of(const tb_model_shape *s, int k) {
  return k == 0 ? s->inputs : k == s->depth ? 1 : s->widths ? s->widths[k - 1] : s->width;
}

/* One output by the definition, in plain loops. */
static double plain_output(const sample *c, const double *theta, const double *x) {
  const tb_model_shape *s = &c->shape;
  const size_t d = s->inputs;
  double sum = 0;
  if (strcmp(c->model, "linear") == 0 || strcmp(c->model, "diagonal") == 0) {
    for (size_t j = 0; j < d; j++)
      sum += x[j] * (c->model[0] == 'l' ? theta[j] : pow(theta[j], s->depth) - pow(theta[d + j], s->depth));
    return sum;
  }
  const bool mlp = strcmp(c->model, "mlp") == 0;
  double h[16], next[16];
  memcpy(h, x, d * sizeof *x);
  for (int k = 1; k <= s->depth; k++) {
    const size_t rows = width_of(s, k), cols = width_of(s, k - 1);
    for (size_t i = 0; i < rows; i++) {
      next[i] = mlp ? theta[rows * cols + i] : 0;
      for (size_t j = 0; j < cols; j++)
        next[i] += theta[i * cols + j] * h[j];
      if (mlp && k < s->depth)
        next[i] = activation(s->activation, next[i]);
    }
    theta += rows * cols + (mlp ? rows : 0);
    memcpy(h, next, rows * sizeof *h);
  }
  return h[0];
}

static void draw(const char *purpose, size_t count, double *out) {
  tb_random_normal((tb_key){ .seed = 11, .use = tb_use(purpose) }, 0, count, out);
}

static double dot(size_t n, const double *a, const double *b) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

/* f[R,n] of theta[R,p] on shared x[n,d] */
static void outputs_are_the_definition(void **state) {
  enum { R = 3 };
  for (int k = 0; k < SAMPLES; k++) {
    const sample *c = &samples[k];
    const tb_model *model = tb_model_find(c->model);
    const size_t p = model->parameters(&c->shape), d = c->shape.inputs;
    double theta[R * MOST], x[ROWS * 16], each[R * ROWS * 16], f[R * ROWS], f_each[R * ROWS];
    draw("theta", R * p, theta);
    draw("x", ROWS * d, x);
    draw("own x", R * ROWS * d, each);
    tb_graph *g;
    check(tb_graph_new(context, &g));
    const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ R, p });
    const tb_value shared = tb_input(g, "x", TB_FLOAT64, 2, (size_t[]){ ROWS, d });
    const tb_value own = tb_input(g, "own x", TB_FLOAT64, 3, (size_t[]){ R, ROWS, d });
    const tb_value out[] = { model->output(g, &c->shape, t, shared), model->output(g, &c->shape, t, own) };
    tb_program *program;
    check(tb_program_new(context, g, 2, out, NULL, &program));
    check(tb_program_run(program, 3, (const void *[]){ theta, x, each }, 2, (void *[]){ f, f_each }));
    for (size_t r = 0; r < R; r++)
      for (size_t i = 0; i < ROWS; i++) {
        const double want = plain_output(c, theta + r * p, x + i * d);
        const double want_own = plain_output(c, theta + r * p, each + (r * ROWS + i) * d);
        assert_true(fabs(f[r * ROWS + i] - want) <= 1e-13 * fmax(1, fabs(want)));
        assert_true(fabs(f_each[r * ROWS + i] - want_own) <= 1e-13 * fmax(1, fabs(want_own)));
      }
    tb_program_free(program);
    tb_graph_free(g);
  }
}

/* Programs of one model: f, Jᵀc, Jv, and the second-order product (∂/∂θ Jᵀc) v. */
typedef struct derivatives {
  double f[ROWS], pull[MOST], push[ROWS], second[MOST];
} derivatives;

static void run_derivatives(const sample *c, const double *theta, const double *x, const double *cot, const double *v,
                            derivatives *out) {
  const tb_model *model = tb_model_find(c->model);
  const size_t p = model->parameters(&c->shape), d = c->shape.inputs;
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, p });
  const tb_value data = tb_input(g, "x", TB_FLOAT64, 2, (size_t[]){ ROWS, d });
  const tb_value bar = tb_input(g, "c", TB_FLOAT64, 2, (size_t[]){ 1, ROWS });
  const tb_value dot_ = tb_input(g, "v", TB_FLOAT64, 2, (size_t[]){ 1, p });
  tb_value y[4];
  y[0] = model->output(g, &c->shape, t, data);
  check(tb_vjp(g, 1, y, &bar, 1, &t, &y[1]));
  check(tb_jvp(g, 1, y, 1, &t, &dot_, &y[2]));
  check(tb_jvp(g, 1, &y[1], 1, &t, &dot_, &y[3]));
  tb_program *program;
  check(tb_program_new(context, g, 4, y, NULL, &program));
  check(tb_program_run(program, 4, (const void *[]){ theta, x, cot, v }, 4,
                       (void *[]){ out->f, out->pull, out->push, out->second }));
  tb_program_free(program);
  tb_graph_free(g);
}

static void derivatives_agree_with_differences(void **state) {
  for (int k = 0; k < SAMPLES; k++) {
    const sample *c = &samples[k];
    const size_t p = tb_model_find(c->model)->parameters(&c->shape), d = c->shape.inputs;
    double theta[MOST], x[ROWS * 16], cot[ROWS], v[MOST], moved[MOST];
    draw("theta", p, theta);
    draw("x", ROWS * d, x);
    draw("c", ROWS, cot);
    draw("v", p, v);
    derivatives here, plus, minus;
    run_derivatives(c, theta, x, cot, v, &here);
    const double h = 1e-5;
    for (size_t j = 0; j < p; j++) {
      memcpy(moved, theta, sizeof moved);
      double difference = 0;
      for (int side = 1; side >= -1; side -= 2) {
        moved[j] = theta[j] + side * h;
        for (size_t i = 0; i < ROWS; i++)
          difference += side * cot[i] * plain_output(c, moved, x + i * d) / (2 * h);
      }
      assert_true(fabs(here.pull[j] - difference) <= 1e-8 * fmax(1, fabs(difference)));
    }
    /* (Jv)·c = v·(Jᵀc) */
    const double left = dot(ROWS, here.push, cot), right = dot(p, v, here.pull);
    assert_true(fabs(left - right) <= 1e-13 * fmax(1, fabs(left)));
    /* second order: differences of the pullback along v */
    for (size_t j = 0; j < p; j++)
      moved[j] = theta[j] + h * v[j];
    run_derivatives(c, moved, x, cot, v, &plus);
    for (size_t j = 0; j < p; j++)
      moved[j] = theta[j] - h * v[j];
    run_derivatives(c, moved, x, cot, v, &minus);
    for (size_t j = 0; j < p; j++) {
      const double difference = (plus.pull[j] - minus.pull[j]) / (2 * h);
      assert_true(fabs(here.second[j] - difference) <= 1e-6 * fmax(1, fabs(difference)));
    }
  }
}

static void predictor_is_the_linear_map(void **state) {
  for (int k = 0; k < SAMPLES; k++) {
    const sample *c = &samples[k];
    const tb_model *model = tb_model_find(c->model);
    if (strcmp(c->model, "mlp") == 0) {
      assert_null(model->predictor);
      continue;
    }
    const size_t p = model->parameters(&c->shape), d = c->shape.inputs;
    double theta[MOST], beta[16];
    draw("theta", p, theta);
    tb_graph *g;
    check(tb_graph_new(context, &g));
    const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, p });
    const tb_value b = model->predictor(g, &c->shape, t);
    assert_int_equal(tb_rank(g, b), 2);
    assert_int_equal(tb_dim(g, b, 1), d);
    tb_program *program;
    check(tb_program_new(context, g, 1, &b, NULL, &program));
    check(tb_program_run(program, 1, (const void *[]){ theta }, 1, (void *[]){ beta }));
    for (size_t j = 0; j < d; j++) {
      double unit[16] = { 0 };
      unit[j] = 1;
      assert_true(fabs(beta[j] - plain_output(c, theta, unit)) <= 1e-13 * fmax(1, fabs(beta[j])));
    }
    tb_program_free(program);
    tb_graph_free(g);
  }
}

static void blocks_cover_the_parameters(void **state) {
  for (int k = 0; k < SAMPLES; k++) {
    const tb_model *model = tb_model_find(samples[k].model);
    size_t total = 0, rows, cols;
    char name[32];
    for (size_t b = 0; model->block(&samples[k].shape, b, name, &rows, &cols); b++)
      total += rows * cols;
    assert_int_equal(total, model->parameters(&samples[k].shape));
  }
  size_t rows, cols;
  char name[32];
  const tb_model_shape shape = { .inputs = 3, .depth = 2, .width = 4 };
  assert_true(tb_model_find("mlp")->block(&shape, 3, name, &rows, &cols));
  assert_string_equal(name, "b2");
  assert_int_equal(rows * cols, 1);
  assert_false(tb_model_find("mlp")->block(&shape, 4, name, &rows, &cols));
}

/* Several outputs: column j is the net whose last layer is row j of W_2 and entry j of b_2. */
static void outputs_side_by_side(void **state) {
  enum { R = 2, D = 3, H = 4, OUT = 3, ONE = H * D + H + H + 1, ALL = H * D + H + OUT * (H + 1) };
  const tb_model *mlp = tb_model_find("mlp");
  const tb_model_shape shape = { .inputs = D, .depth = 2, .width = H, .activation = TB_TANH, .outputs = OUT };
  const sample single = { "mlp", { .inputs = D, .depth = 2, .width = H, .activation = TB_TANH } };
  double theta[R * ALL], x[ROWS * D], f[R * ROWS * OUT], one[ONE];
  assert_int_equal(mlp->parameters(&shape), ALL);
  check(tb_model_check(context, mlp, &shape));
  assert_int_equal(tb_model_check(context, tb_model_find("dense"), &shape), TB_USAGE);
  draw("theta", R * ALL, theta);
  draw("x", ROWS * D, x);
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ R, ALL });
  const tb_value y = mlp->output(g, &shape, t, tb_input(g, "x", TB_FLOAT64, 2, (size_t[]){ ROWS, D }));
  tb_program *program;
  check(tb_program_new(context, g, 1, &y, NULL, &program));
  check(tb_program_run(program, 2, (const void *[]){ theta, x }, 1, (void *[]){ f }));
  for (size_t r = 0; r < R; r++)
    for (size_t j = 0; j < OUT; j++) {
      const double *own = theta + r * ALL, *last = own + H * D + H;
      memcpy(one, own, (H * D + H) * sizeof *one);
      memcpy(one + H * D + H, last + j * H, H * sizeof *one);
      one[ONE - 1] = last[OUT * H + j];
      for (size_t i = 0; i < ROWS; i++)
        assert_true(fabs(f[(r * ROWS + i) * OUT + j] - plain_output(&single, one, x + i * D)) <= 1e-13);
    }
  tb_program_free(program);
  tb_graph_free(g);
}

static void starts(void **state) {
  const double start[] = { 0.5, 0, -2 };
  double theta[64];
  const tb_key key = { .seed = 3, .use = tb_use("initial weights") };
  for (int depth = 1; depth <= 4; depth++) {
    const tb_model_shape shape = { .inputs = 3, .depth = depth };
    const tb_model *diagonal = tb_model_find("diagonal");
    check(diagonal->initialise(context, &shape, 0.1, NULL, key, theta));
    for (int j = 0; j < 6; j++)
      assert_true(theta[j] == 0.1);
    check(diagonal->initialise(context, &shape, 0.1, start, key, theta));
    for (int j = 0; j < 3; j++)
      assert_true(fabs(pow(theta[j], depth) - pow(theta[3 + j], depth) - start[j]) <= 1e-15);
    assert_true(theta[3] == 0.1 && theta[1] == 0.1 && theta[4] == 0.1 && theta[2] == 0.1);
    assert_int_equal(diagonal->initialise(context, &shape, -1, NULL, key, theta), TB_USAGE);
  }
  const tb_model_shape shape = { .inputs = 3, .depth = 2, .width = 4 };
  check(tb_model_find("linear")->initialise(context, &shape, 9, NULL, key, theta));
  assert_true(theta[0] == 0 && theta[1] == 0 && theta[2] == 0);
  check(tb_model_find("linear")->initialise(context, &shape, 9, start, key, theta));
  assert_memory_equal(theta, start, sizeof start);
  double twice[64];
  check(tb_model_find("dense")->initialise(context, &shape, 1, NULL, key, theta));
  check(tb_model_find("dense")->initialise(context, &shape, 2, NULL, key, twice));
  for (int j = 0; j < 16; j++)
    assert_true(twice[j] == 2 * theta[j]);
  assert_int_equal(tb_model_find("dense")->initialise(context, &shape, 1, start, key, theta), TB_USAGE);
  assert_int_equal(tb_model_find("mlp")->initialise(context, &shape, 1, start, key, theta), TB_USAGE);
  assert_true(tb_model_find("diagonal")->can_start(&shape) && !tb_model_find("mlp")->can_start(&shape));
}

static void absurd_shapes_are_refused(void **state) {
  const tb_model *dense = tb_model_find("dense"), *mlp = tb_model_find("mlp");
  assert_null(tb_model_find("perceptron"));
  tb_model_shape shape = { .inputs = 3, .depth = 2, .width = 4 };
  check(tb_model_check(context, dense, &shape));
  shape.width = SIZE_MAX / 2;
  assert_true(mlp->parameters(&shape) == SIZE_MAX);
  assert_int_equal(tb_model_check(context, mlp, &shape), TB_USAGE);
  assert_int_equal(tb_model_check(context, dense, &shape), TB_USAGE);
  shape.width = 0;
  assert_int_equal(tb_model_check(context, dense, &shape), TB_USAGE);
  shape = (tb_model_shape){ .inputs = 3, .depth = 0 };
  assert_int_equal(tb_model_check(context, dense, &shape), TB_USAGE);
  shape = (tb_model_shape){ .inputs = 0, .depth = 1 };
  assert_int_equal(tb_model_check(context, tb_model_find("linear"), &shape), TB_USAGE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(outputs_are_the_definition),  cmocka_unit_test(derivatives_agree_with_differences),
    cmocka_unit_test(predictor_is_the_linear_map), cmocka_unit_test(blocks_cover_the_parameters),
    cmocka_unit_test(outputs_side_by_side),        cmocka_unit_test(starts),
    cmocka_unit_test(absurd_shapes_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
