/* Patterns with kernels of their own (attention, …) in the forms in which models write them: forward, gradient and
 * Hessian-vector product, planned against naive, and what the plan makes of each. */
#include <tiebreak/tiebreak.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_INPUTS = 6, MOST_OUTPUTS = 16, MOST_ELEMENTS = 1 << 14 };

typedef struct form {
  tb_context *context;
  tb_graph *graph;
  tb_dtype dtype;
  size_t inputs;
  tb_value in[MOST_INPUTS];
} form;

static tb_value input(form *f, size_t rank, const size_t *dims) {
  const tb_value x = tb_input(f->graph, "x", f->dtype, rank, dims);
  f->in[f->inputs++] = x;
  return x;
}

/* ---- running both ways ---- */

static double get(tb_dtype dtype, const void *a, size_t i) {
  return dtype == TB_FLOAT64 ? ((const double *)a)[i] : ((const float *)a)[i];
}

static char plan[1 << 16]; /* of the last planned program */

static void run(form *f, tb_executor executor, size_t n, const tb_value *outputs, double *const *data,
                double results[][MOST_ELEMENTS]) {
  tb_program *program;
  if (tb_program_new(f->context, f->graph, n, outputs, &(tb_program_options){ executor }, &program) != TB_OK)
    fail_msg("%s", tb_context_message(f->context));
  const void *in[MOST_INPUTS];
  void *out[MOST_OUTPUTS];
  for (size_t i = 0; i < f->inputs; i++) {
    float *narrow = malloc(MOST_ELEMENTS * sizeof *narrow);
    for (size_t k = 0; k < MOST_ELEMENTS; k++)
      narrow[k] = (float)data[i][k];
    in[i] = f->dtype == TB_FLOAT64 ? (void *)data[i] : narrow;
    if (f->dtype == TB_FLOAT64)
      free(narrow);
  }
  for (size_t i = 0; i < n; i++)
    out[i] = malloc(MOST_ELEMENTS * sizeof(double));
  if (tb_program_run(program, f->inputs, in, n, out) != TB_OK)
    fail_msg("%s", tb_context_message(f->context));
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < tb_elements(f->graph, outputs[i]); k++)
      results[i][k] = get(f->dtype, out[i], k);
    free(out[i]);
  }
  if (executor == TB_PLANNED) {
    tb_text text = tb_text_new(f->context);
    assert_int_equal(tb_program_print(program, &text), TB_OK);
    snprintf(plan, sizeof plan, "%s", text.data);
    tb_text_free(&text);
  }
  for (size_t i = 0; i < f->inputs && f->dtype == TB_FLOAT32; i++)
    free((void *)(uintptr_t)in[i]);
  tb_program_free(program);
}

static double expected[MOST_OUTPUTS][MOST_ELEMENTS], found[MOST_OUTPUTS][MOST_ELEMENTS];

static void agree(form *f, const char *what, size_t n, const tb_value *outputs) {
  const tb_key key = { .seed = 3, .use = tb_use("patterns") };
  double *data[MOST_INPUTS];
  for (size_t i = 0; i < f->inputs; i++) {
    data[i] = malloc(MOST_ELEMENTS * sizeof(double));
    tb_random_normal(key, i * MOST_ELEMENTS, MOST_ELEMENTS, data[i]);
  }
  run(f, TB_NAIVE, n, outputs, data, expected);
  run(f, TB_PLANNED, n, outputs, data, found);
  const double tolerance = f->dtype == TB_FLOAT64 ? 1e-12 : 1e-4;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < tb_elements(f->graph, outputs[i]); k++)
      if (!(fabs(found[i][k] - expected[i][k]) <= tolerance * (1 + fabs(expected[i][k]))))
        fail_msg("%s: output %zu element %zu: planned %.17g, naive %.17g", what, i, k, found[i][k], expected[i][k]);
  for (size_t i = 0; i < f->inputs; i++)
    free(data[i]);
}

static size_t lines_with(const char *word) {
  size_t n = 0;
  for (const char *p = strstr(plan, word); p; p = strstr(p + 1, word))
    n++;
  return n;
}

/* Forward alone, with the gradient of a generic function of it, and with a Hessian-vector product.  forward and reverse
 * say how many lines of the gradient's plan have these names. */
static void check(const char *what, tb_value (*build)(form *), const char *forward, const char *reverse, size_t count) {
  for (int k = 0; k < 2; k++) {
    form f = { .context = tb_context_new(NULL, NULL), .dtype = k ? TB_FLOAT64 : TB_FLOAT32 };
    assert_int_equal(tb_graph_new(f.context, &f.graph), TB_OK);
    tb_value out[MOST_OUTPUTS] = { build(&f) };
    tb_graph *g = f.graph;
    agree(&f, what, 1, out);
    assert_int_equal(lines_with(forward), count);
    const size_t parameters = f.inputs;
    const tb_value loss = tb_sum(g, tb_sin(g, out[0]));
    tb_gradient(g, loss, parameters, f.in, out + 1);
    agree(&f, what, 1 + parameters, out);
    assert_int_equal(lines_with(reverse), count);
    assert_int_equal(lines_with(forward), (strstr(reverse, forward) ? 2 : 1) * count);
    tb_value dot[MOST_INPUTS];
    for (size_t i = 0; i < parameters; i++)
      dot[i] = tb_cos(g, f.in[i]);
    tb_jvp(g, parameters, out + 1, parameters, f.in, dot, out + 1 + parameters);
    agree(&f, what, 1 + 2 * parameters, out);
    if (tb_graph_status(g) != TB_OK)
      fail_msg("%s", tb_context_message(f.context));
    tb_graph_free(g);
    tb_context_free(f.context);
  }
}

/* ---- attention ---- */

enum { B = 2, H = 3, T = 19, WIDTH = 2 };

static tb_value causal(const form *f, bool slopes) {
  tb_graph *g = f->graph;
  const tb_value row = tb_iota(g, TB_FLOAT64, 2, ((size_t[]){ T, T }), 0);
  const tb_value column = tb_iota(g, TB_FLOAT64, 2, ((size_t[]){ T, T }), 1);
  const tb_value later = tb_less(g, row, column);
  if (!slopes)
    return tb_cast(g, tb_scale(g, later, -1e30), f->dtype);
  const tb_value head = tb_shift(g, tb_iota(g, TB_FLOAT64, 3, ((size_t[]){ H, 1, 1 }), 0), 1);
  const tb_value near = tb_multiply(g, head, tb_subtract(g, column, row));
  return tb_cast(g, tb_select(g, later, tb_scalar(g, TB_FLOAT64, -1e30), near), f->dtype);
}

/* As in a transformer: heads are parts of one product's columns. */
static tb_value heads(form *f, tb_value bias, bool masked) {
  tb_graph *g = f->graph;
  const tb_value x = input(f, 2, (size_t[]){ B * T, 3 * H * WIDTH });
  tb_value part[3];
  for (size_t i = 0; i < 3; i++)
    part[i] = tb_transpose(
        g, tb_reshape(g, tb_slice(g, tb_tanh(g, x), 1, i * H * WIDTH, H * WIDTH), 4, ((size_t[]){ B, T, H, WIDTH })),
        ((size_t[]){ 0, 2, 1, 3 }));
  tb_value scores = tb_matmul(g, tb_scale(g, part[0], 0.7), false, part[1], true);
  if (masked)
    scores = tb_add(g, scores, bias);
  const tb_value seen = tb_matmul(g, tb_softmax(g, scores), false, part[2], false);
  const tb_value joined =
      tb_reshape(g, tb_transpose(g, seen, ((size_t[]){ 0, 2, 1, 3 })), 2, ((size_t[]){ B * T, H * WIDTH }));
  return tb_matmul(g, joined, false, input(f, 2, (size_t[]){ H * WIDTH, 4 }), false);
}
static tb_value causal_heads(form *f) {
  return heads(f, causal(f, false), true);
}
static tb_value sloped_heads(form *f) {
  return heads(f, causal(f, true), true);
}
static tb_value open_heads(form *f) {
  return heads(f, (tb_value){ -1 }, false);
}

/* One head, other numbers of keys and of values, the scale on the scores, and a sum right behind. */
static tb_value single_head(form *f) {
  tb_graph *g = f->graph;
  const tb_value q = input(f, 2, (size_t[]){ 21, 5 }), k = input(f, 2, (size_t[]){ 9, 5 });
  const tb_value v = input(f, 2, (size_t[]){ 9, 3 }), rest = input(f, 2, (size_t[]){ 21, 3 });
  const tb_value w = tb_softmax(g, tb_scale(g, tb_matmul(g, q, false, k, true), 0.4));
  return tb_add(g, tb_matmul(g, w, false, v, false), rest);
}

/* A bias that is learnt needs the weights themselves in reverse. */
static tb_value learnt_bias(form *f) {
  return heads(f, input(f, 3, (size_t[]){ H, T, T }), true);
}

static void test_attention(void **unused) {
  check("causal heads", causal_heads, "attention", "attention, reverse", 1);
  check("sloped heads", sloped_heads, "attention", "attention, reverse", 1);
  check("open heads", open_heads, "attention", "attention, reverse", 1);
  check("a single head", single_head, "attention", "attention, reverse", 1);
}

static void test_no_attention(void **unused) {
  form f = { .context = tb_context_new(NULL, NULL), .dtype = TB_FLOAT64 };
  assert_int_equal(tb_graph_new(f.context, &f.graph), TB_OK);
  tb_value out[MOST_OUTPUTS] = { learnt_bias(&f) };
  tb_gradient(f.graph, tb_sum(f.graph, tb_sin(f.graph, out[0])), f.inputs, f.in, out + 1);
  agree(&f, "learnt bias", 1 + f.inputs, out);
  assert_int_equal(lines_with("attention"), 0);
  tb_graph_free(f.graph);
  tb_context_free(f.context);
}

/* ---- layer norm ---- */

/* Before a product and behind a sum, as in a transformer, R copies of the parameters. */
static tb_value normed(form *f, size_t replicas, size_t width, bool residual) {
  tb_graph *g = f->graph;
  const tb_value x = input(f, 3, (size_t[]){ replicas, 37, width }),
                 gain = input(f, 3, (size_t[]){ replicas, 1, width });
  const tb_value shift = input(f, 3, (size_t[]){ replicas, 1, width });
  const tb_value w = input(f, 3, (size_t[]){ replicas, width, width });
  const tb_value h = tb_add(g, x, tb_tanh(g, x));
  const tb_value centred = tb_subtract(g, h, tb_reduce(g, TB_MEAN, h, 1u << 2, true));
  const tb_value variance = tb_reduce(g, TB_MEAN, tb_square(g, centred), 1u << 2, true);
  const tb_value scale = tb_reciprocal(g, tb_sqrt(g, tb_shift(g, variance, 1e-3)));
  const tb_value y = tb_add(g, tb_multiply(g, tb_multiply(g, centred, scale), gain), shift);
  const tb_value out = tb_scale(g, tb_matmul(g, y, false, w, false), 0.3);
  return residual ? tb_add(g, h, out) : out;
}
static tb_value wide_norm(form *f) {
  return normed(f, 1, 32, false);
}
static tb_value narrow_norm(form *f) {
  return normed(f, 1, 5, true);
}
static tb_value norms(form *f) {
  return normed(f, 2, 10, true);
}

static void test_norm(void **unused) {
  check("layer norm", wide_norm, "norm  ", "norm, reverse", 1);
  check("a narrow layer norm", narrow_norm, "norm  ", "norm, reverse", 1);
  check("layer norms of replicas", norms, "norm  ", "norm, reverse", 1);
}

/* ---- products ---- */

/* A layer with relu: positive part and slope meet the products in registers. */
static tb_value rectified(form *f) {
  tb_graph *g = f->graph;
  const tb_value x = input(f, 2, (size_t[]){ 33, 7 }), w1 = input(f, 2, (size_t[]){ 50, 7 });
  const tb_value b1 = input(f, 1, (size_t[]){ 50 }), w2 = input(f, 2, (size_t[]){ 5, 50 });
  const tb_value h = tb_relu(g, tb_add(g, tb_matmul(g, x, false, w1, true), b1));
  return tb_scale(g, tb_matmul(g, h, false, w2, true), 0.1);
}

static void test_relu(void **unused) {
  check("a layer with relu", rectified, "relu of product + sum", "product × slope of relu", 1);
}

/* Wide inside and narrow outside: what is inside is not stored.  R copies of the weights, either order of theirs. */
static tb_value two_layers(form *f, size_t replicas, bool turned, bool first) {
  tb_graph *g = f->graph;
  enum { HIDDEN = 300, IN = 5, OUT = 3 };
  const tb_value x = input(f, 3, (size_t[]){ replicas, 7, IN });
  const tb_value w1 = input(f, 3, turned ? (size_t[]){ replicas, HIDDEN, IN } : (size_t[]){ replicas, IN, HIDDEN });
  const tb_value b1 = input(f, 3, (size_t[]){ replicas, 1, HIDDEN });
  const tb_value w2 = input(f, 3, turned ? (size_t[]){ replicas, OUT, HIDDEN } : (size_t[]){ replicas, HIDDEN, OUT });
  const tb_value start = first ? x : tb_tanh(g, x);
  const tb_value h = tb_relu(g, tb_add(g, tb_matmul(g, start, false, w1, turned), b1));
  return tb_scale(g, tb_matmul(g, h, false, w2, turned), 0.1);
}
static tb_value layers(form *f) {
  return two_layers(f, 1, false, true);
}
static tb_value turned_layers(form *f) {
  return two_layers(f, 1, true, false);
}
static tb_value copies_of_layers(form *f) {
  return two_layers(f, 2, true, false);
}

static void test_two_layers(void **unused) {
  check("two layers", layers, "two layers  ", "two layers, reverse", 1);
  check("two layers with their weights turned", turned_layers, "two layers  ", "two layers, reverse", 1);
  check("two layers of replicas", copies_of_layers, "two layers  ", "two layers, reverse", 1);
}

/* Gram matrices entry by entry, as the natural gradient has them: half of each is computed. */
static void test_gram(void **unused) {
  for (int k = 0; k < 2; k++) {
    form f = { .context = tb_context_new(NULL, NULL), .dtype = k ? TB_FLOAT64 : TB_FLOAT32 };
    assert_int_equal(tb_graph_new(f.context, &f.graph), TB_OK);
    tb_graph *g = f.graph;
    enum { N = 120 };
    const tb_value x = input(&f, 2, (size_t[]){ N, 7 }), y = input(&f, 2, (size_t[]){ N, 5 });
    const tb_value first = tb_shift(g, tb_matmul(g, x, false, x, true), 1), second = tb_matmul(g, y, false, y, true);
    tb_value out[3] = { tb_scale(g, tb_multiply(g, first, second), 0.01) };
    tb_gradient(g, tb_sum(g, tb_sin(g, out[0])), 2, f.in, out + 1);
    agree(&f, "Gram matrices", 3, out);
    for (size_t i = 0; i < N; i++)
      for (size_t j = 0; j < i; j++)
        assert_true(found[0][i * N + j] == found[0][j * N + i]);
    tb_graph_free(g);
    tb_context_free(f.context);
  }
}

/* ---- Adam ---- */

/* A step for R copies of the parameters, each with its rate, the update also in place of what it updates. */
static void test_adam(void **unused) {
  enum { R = 2, P = 37 };
  for (int decayed = 0; decayed < 2; decayed++) {
    form f = { .context = tb_context_new(NULL, NULL), .dtype = TB_FLOAT64 };
    assert_int_equal(tb_graph_new(f.context, &f.graph), TB_OK);
    tb_graph *g = f.graph;
    const size_t all[] = { R, P }, one[] = { R, 1 }, two[] = { 2 };
    const tb_value theta = input(&f, 2, all), m = input(&f, 2, all), v = input(&f, 2, all), slope = input(&f, 2, all);
    const tb_value rate = input(&f, 2, one), corrections = input(&f, 1, two);
    const tb_value c1 = tb_slice(g, corrections, 0, 0, 1), c2 = tb_slice(g, corrections, 0, 1, 1);
    tb_value out[3];
    out[1] = tb_add(g, tb_scale(g, m, 0.9), tb_scale(g, slope, 0.1));
    out[2] = tb_add(g, tb_scale(g, v, 0.99), tb_scale(g, tb_square(g, slope), 0.01));
    const tb_value root = tb_shift(g, tb_sqrt(g, tb_multiply(g, out[2], c2)), 1e-8);
    const tb_value ratio = tb_divide(g, tb_multiply(g, out[1], c1), root);
    const tb_value move = decayed ? tb_add(g, tb_scale(g, theta, 0.3), ratio) : ratio;
    out[0] = tb_subtract(g, theta, tb_multiply(g, rate, move));
    double *data[MOST_INPUTS];
    const tb_key key = { .seed = 5, .use = tb_use("adam") };
    for (size_t i = 0; i < f.inputs; i++) {
      data[i] = malloc(MOST_ELEMENTS * sizeof(double));
      tb_random_uniform(key, i * MOST_ELEMENTS, MOST_ELEMENTS, data[i]);
    }
    run(&f, TB_NAIVE, 3, out, data, expected);
    run(&f, TB_PLANNED, 3, out, data, found);
    assert_int_equal(lines_with("step of Adam"), 1);
    tb_program *program;
    assert_int_equal(tb_program_new(f.context, g, 3, out, NULL, &program), TB_OK);
    assert_int_equal(
        tb_program_run(program, f.inputs, (const void *const *)data, 3, (void *[]){ data[0], data[1], data[2] }),
        TB_OK);
    tb_program_free(program);
    for (size_t i = 0; i < 3; i++)
      for (size_t k = 0; k < R * P; k++) {
        if (!(fabs(found[i][k] - expected[i][k]) <= 1e-13 * (1 + fabs(expected[i][k]))) || data[i][k] != found[i][k])
          fail_msg("output %zu element %zu: planned %.17g, in place %.17g, naive %.17g", i, k, found[i][k], data[i][k],
                   expected[i][k]);
      }
    for (size_t i = 0; i < f.inputs; i++)
      free(data[i]);
    tb_graph_free(g);
    tb_context_free(f.context);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_attention),  cmocka_unit_test(test_no_attention), cmocka_unit_test(test_norm),
    cmocka_unit_test(test_gram),       cmocka_unit_test(test_adam),         cmocka_unit_test(test_relu),
    cmocka_unit_test(test_two_layers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
