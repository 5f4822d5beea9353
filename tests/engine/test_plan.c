/* Plans, case by case: scans with their derivatives against the naive executor, outputs that lie on inputs, indices out
 * of range, what is removed and what is fused. */
#include <tiebreak/tiebreak.h>

#include "engine/kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- both executors on one graph ---- */

enum { MOST = 24 };

typedef struct arrays {
  size_t count, elements[MOST];
  void *data[MOST];
} arrays;

static void allocate(arrays *a, const tb_graph *g, size_t n, const tb_value *values) {
  a->count = n;
  for (size_t i = 0; i < n; i++) {
    a->elements[i] = tb_elements(g, values[i]);
    a->data[i] = calloc(a->elements[i] + 1, 8);
  }
}

static void release(arrays *a) {
  for (size_t i = 0; i < a->count; i++)
    free(a->data[i]);
}

static double get(tb_dtype dtype, const void *data, size_t k) {
  return dtype == TB_FLOAT64 ? ((const double *)data)[k] : (double)((const float *)data)[k];
}

static void fill(tb_dtype dtype, void *data, size_t n, unsigned seed) {
  for (size_t k = 0; k < n; k++) {
    const double x = 0.7 * sin(1.3 * (double)k + seed) + 0.1 * cos((double)(k * k) + 2.0 * seed);
    if (dtype == TB_FLOAT64)
      ((double *)data)[k] = x;
    else
      ((float *)data)[k] = (float)x;
  }
}

static tb_program *compile(tb_context *context, tb_graph *g, tb_executor executor, size_t n, const tb_value *outputs) {
  tb_program *program;
  if (tb_program_new(context, g, n, outputs, &(tb_program_options){ executor }, &program) != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
  return program;
}

static void agree(tb_context *context, tb_graph *g, tb_dtype dtype, size_t n_in, const tb_value *inputs, size_t n_out,
                  const tb_value *outputs, double tolerance) {
  arrays in, got[2];
  allocate(&in, g, n_in, inputs);
  for (size_t i = 0; i < n_in; i++)
    fill(dtype, in.data[i], in.elements[i], (unsigned)i);
  for (int e = 0; e < 2; e++) {
    tb_program *program = compile(context, g, e ? TB_PLANNED : TB_NAIVE, n_out, outputs);
    allocate(&got[e], g, n_out, outputs);
    for (int again = 0; again < 2; again++)
      assert_int_equal(tb_program_run(program, n_in, (const void *const *)in.data, n_out, got[e].data), TB_OK);
    const uint64_t allocations = tb_context_allocations(context);
    assert_int_equal(tb_program_run(program, n_in, (const void *const *)in.data, n_out, got[e].data), TB_OK);
    if (e == 1)
      assert_int_equal(tb_context_allocations(context), allocations);
    tb_program_free(program);
  }
  for (size_t i = 0; i < n_out; i++) {
    double scale = 1e-3;
    for (size_t k = 0; k < got[0].elements[i]; k++)
      scale = fmax(scale, fabs(get(dtype, got[0].data[i], k))); /* passes over NaN: a mean of nothing */
    for (size_t k = 0; k < got[0].elements[i]; k++) {
      const double x = get(dtype, got[0].data[i], k), y = get(dtype, got[1].data[i], k);
      if (!(fabs(x - y) <= tolerance * scale) && !(isnan(x) && isnan(y)))
        fail_msg("output %zu element %zu: naive %.17g, planned %.17g", i, k, x, y);
    }
  }
  release(&in);
  release(&got[0]);
  release(&got[1]);
}

/* ---- scans ---- */

/* h′ = tanh(h W + x_k U + b), the second carry counts and scales; out = h′ v and an unread one */
static tb_status cell(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry, size_t n_slice,
                      const tb_value *slices, size_t n_const, const tb_value *consts, tb_value *carry_out, size_t n_out,
                      tb_value *outs) {
  const tb_dtype dtype = tb_value_dtype(g, carry[0]);
  tb_value z =
      tb_add(g, tb_matmul(g, carry[0], false, consts[0], false), tb_matmul(g, slices[0], false, consts[1], false));
  z = tb_add(g, z,
             tb_broadcast(g, tb_scale(g, tb_sin(g, tb_cast(g, step, dtype)), 0.1), tb_rank(g, z),
                          (size_t[]){ tb_dim(g, z, 0), tb_dim(g, z, 1) }));
  carry_out[0] = tb_tanh(g, tb_add(g, z, consts[2]));
  carry_out[1] = tb_scale(g, tb_add(g, carry[1], tb_mean(g, carry_out[0])), 0.9);
  outs[0] = tb_matmul(g, carry_out[0], false, consts[3], false);
  if (n_out > 1)
    outs[1] = tb_exp(g, carry[0]);
  return TB_OK;
}

typedef struct recurrent {
  tb_value in[6]; /* h0, s0, xs, W, U, b … */
  tb_value v, h, s, outs[2], loss;
} recurrent;

static recurrent make_recurrent(tb_graph *g, tb_dtype dtype, size_t length, bool reverse, size_t batch, size_t width) {
  recurrent r;
  r.in[0] = tb_input(g, "h", dtype, 2, ((size_t[]){ batch, width }));
  r.in[1] = tb_input(g, "s", dtype, 0, NULL);
  r.in[2] = tb_input(g, "xs", dtype, 3, ((size_t[]){ length, batch, 3 }));
  r.in[3] = tb_input(g, "W", dtype, 2, ((size_t[]){ width, width }));
  r.in[4] = tb_input(g, "U", dtype, 2, ((size_t[]){ 3, width }));
  r.in[5] = tb_input(g, "b", dtype, 1, ((size_t[]){ width }));
  r.v = tb_transpose(g, tb_slice(g, r.in[3], 0, 0, 2), NULL); /* [width, 2] */
  const tb_value consts[4] = { r.in[3], r.in[4], r.in[5], r.v };
  tb_value exits[2];
  assert_int_equal(tb_scan(g, length, reverse, cell, NULL, 2, r.in, 1, r.in + 2, 4, consts, exits, 2, r.outs), TB_OK);
  r.h = exits[0];
  r.s = exits[1];
  r.loss = tb_add(g, tb_mean(g, tb_square(g, r.outs[0])), tb_add(g, r.s, tb_sum(g, r.h)));
  return r;
}

static void check_recurrent(tb_dtype dtype, size_t length, bool reverse, size_t batch, size_t width, double tolerance) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  const recurrent r = make_recurrent(g, dtype, length, reverse, batch, width);
  tb_value outputs[20] = { r.loss, r.h, r.s, r.outs[0] };
  tb_gradient(g, r.loss, 6, r.in, outputs + 4); /* gradients */
  tb_jvp(g, 1, &r.loss, 6, r.in, r.in, outputs + 10);
  tb_value directional = tb_sum(g, tb_multiply(g, outputs[4 + 3], r.in[3]));
  tb_gradient(g, directional, 2, r.in + 3, outputs + 11); /* a Hessian-vector product */
  outputs[13] = r.in[3];
  outputs[14] = r.outs[0];
  if (tb_graph_status(g) != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
  agree(context, g, dtype, 6, r.in, 15, outputs, tolerance);
  agree(context, g, dtype, 6, r.in, 1, outputs, tolerance);     /* most of the scan is not needed */
  agree(context, g, dtype, 6, r.in, 1, outputs + 2, tolerance); /* one carry only */
  tb_graph_free(g);
  tb_context_free(context);
}

static void test_scans(void **unused) {
  check_recurrent(TB_FLOAT64, 5, false, 4, 3, 1e-12);
  check_recurrent(TB_FLOAT64, 5, true, 4, 3, 1e-12);
  check_recurrent(TB_FLOAT64, 1, false, 1, 17, 1e-12);
  check_recurrent(TB_FLOAT64, 0, false, 2, 3, 1e-12);
  check_recurrent(TB_FLOAT64, 12, true, 20, 16, 1e-12);
  check_recurrent(TB_FLOAT32, 4, false, 7, 5, 1e-4);
}

/* ---- outputs on inputs ---- */

/* Gradient descent on a chain of square matrices: new weights of equal shapes on the old ones, rightly and crossed. */
static void test_outputs_on_inputs(void **unused) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  enum { N = 9, SIZE = N * N, LAYERS = 3 };
  tb_value w[LAYERS + 1], gradients[LAYERS], outputs[LAYERS + 1];
  for (int i = 0; i < LAYERS; i++)
    w[i] = tb_input(g, "w", TB_FLOAT64, 2, ((size_t[]){ N, N }));
  w[LAYERS] = tb_input(g, "rate", TB_FLOAT64, 0, NULL);
  tb_value product = tb_matmul(g, tb_matmul(g, w[0], false, w[1], false), false, w[2], true);
  tb_value loss = tb_sum(g, tb_square(g, tb_shift(g, product, -1)));
  tb_gradient(g, loss, LAYERS, w, gradients);
  for (int i = 0; i < LAYERS; i++) /* by a product with its sum, by a pointwise step, by both */
    outputs[i] = i == 0   ? tb_subtract(g, w[i], tb_scale(g, gradients[i], 0.01))
                 : i == 1 ? tb_subtract(g, w[i], tb_multiply(g, gradients[i], w[LAYERS]))
                          : tb_subtract(g, tb_tanh(g, w[i]), tb_scale(g, tb_tanh(g, gradients[i]), 0.01));
  outputs[LAYERS] = loss;
  tb_program *program = compile(context, g, TB_PLANNED, LAYERS + 1, outputs);
  double start[LAYERS][SIZE], apart[LAYERS][SIZE], place[LAYERS][SIZE], value, rate = 0.02;
  for (int i = 0; i < LAYERS; i++)
    fill(TB_FLOAT64, start[i], SIZE, (unsigned)i);
  const void *in[] = { start[0], start[1], start[2], &rate };
  void *out[] = { apart[0], apart[1], apart[2], &value };
  assert_int_equal(tb_program_run(program, LAYERS + 1, in, LAYERS + 1, out), TB_OK);
  for (int shift = 0; shift < LAYERS; shift++) {
    memcpy(place, start, sizeof place);
    for (int i = 0; i < LAYERS; i++) {
      in[i] = place[i];
      out[i] = place[(i + shift) % LAYERS];
    }
    assert_int_equal(tb_program_run(program, LAYERS + 1, in, LAYERS + 1, out), TB_OK);
    for (int i = 0; i < LAYERS; i++)
      assert_memory_equal(place[(i + shift) % LAYERS], apart[i], sizeof apart[i]);
  }
  out[3] = &rate; /* the loss on the learning rate */
  assert_int_equal(tb_program_run(program, LAYERS + 1, in, LAYERS + 1, out), TB_OK);
  tb_program_free(program);
  tb_graph_free(g);
  tb_context_free(context);
}

/* ---- what a plan says ---- */

static char *plan_of(tb_context *context, tb_graph *g, size_t n, const tb_value *outputs, tb_cost *cost) {
  tb_program *program = compile(context, g, TB_PLANNED, n, outputs);
  tb_text text = tb_text_new(context);
  assert_int_equal(tb_program_print(program, &text), TB_OK);
  *cost = tb_program_cost(program);
  tb_program_free(program);
  char *copy = strdup(text.data);
  tb_text_free(&text);
  return copy;
}

static size_t lines_with(const char *text, const char *word) {
  size_t n = 0;
  for (const char *p = strstr(text, word); p; p = strstr(p + 1, word))
    n++;
  return n;
}

/* A network of one hidden layer: two products take their biases along, an activation and its derivative are one step,
 * and the weight updates are products too. */
static void test_plan_of_a_network(void **unused) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value x = tb_input(g, "x", TB_FLOAT32, 2, ((size_t[]){ 16, 5 }));
  tb_value p[4] = { tb_input(g, "w", TB_FLOAT32, 2, ((size_t[]){ 5, 8 })),
                    tb_input(g, "b", TB_FLOAT32, 1, ((size_t[]){ 8 })),
                    tb_input(g, "v", TB_FLOAT32, 2, ((size_t[]){ 8, 2 })),
                    tb_input(g, "c", TB_FLOAT32, 1, ((size_t[]){ 2 })) };
  tb_value h = tb_gelu(g, tb_add(g, tb_matmul(g, x, false, p[0], false), p[1]));
  tb_value y = tb_add(g, tb_matmul(g, h, false, p[2], false), p[3]);
  tb_value loss = tb_mean(g, tb_square(g, y)), same = tb_mean(g, tb_square(g, y)), gradients[4], outputs[6];
  tb_gradient(g, loss, 4, p, gradients);
  for (int i = 0; i < 4; i++)
    outputs[i] = tb_subtract(g, p[i], tb_scale(g, gradients[i], 0.1));
  outputs[4] = loss;
  outputs[5] = same;
  tb_cost cost;
  char *plan = plan_of(context, g, 6, outputs, &cost);
  if (lines_with(plan, "product + sum") != 4 || lines_with(plan, "and derivative") != 1 ||
      lines_with(plan, "product ") != 5)
    fail_msg("%s", plan);
  const double products = 2.0 * 16 * (2 * 5 * 8 + 3 * 8 * 2);
  assert_true(cost.flop > products && cost.flop < products + 2000);
  assert_true(cost.arena_bytes > 0 && cost.bytes > 0);
  free(plan);
  tb_graph_free(g);
  tb_context_free(context);
}

/* The reverse loop of a recurrent net computes no activation again: the forward loop has written them, with their
 * derivatives, to the tape. */
static void test_tape(void **unused) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  const recurrent r = make_recurrent(g, TB_FLOAT64, 6, false, 4, 3);
  tb_value outputs[4] = { r.loss };
  tb_gradient(g, r.loss, 3, r.in + 3, outputs + 1);
  tb_cost cost;
  char *plan = plan_of(context, g, 4, outputs, &cost);
  const char *back = strstr(plan, "steps backwards");
  if (lines_with(plan, "tanh and derivative") != 1 || !back || strstr(back, "tanh,") || strstr(back, "tanh  →"))
    fail_msg("%s", plan);
  free(plan);
  tb_graph_free(g);
  tb_context_free(context);
}

static void test_index_out_of_range(void **unused) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value a = tb_input(g, "a", TB_FLOAT64, 2, ((size_t[]){ 3, 2 }));
  tb_value index = tb_input(g, "index", TB_INT32, 1, ((size_t[]){ 2 }));
  tb_value rows = tb_gather(g, a, 0, index);
  tb_program *program = compile(context, g, TB_PLANNED, 1, &rows);
  double data[6] = { 1, 2, 3, 4, 5, 6 }, out[4];
  int32_t good[2] = { 2, 0 }, bad[2] = { 0, 3 };
  assert_int_equal(tb_program_run(program, 2, (const void *[]){ data, good }, 1, (void *[]){ out }), TB_OK);
  assert_true(out[0] == 5 && out[1] == 6 && out[2] == 1 && out[3] == 2);
  assert_int_equal(tb_program_run(program, 2, (const void *[]){ data, bad }, 1, (void *[]){ out }), TB_BAD_DATA);
  assert_non_null(strstr(tb_context_message(context), "index 3 lies outside [0,3)"));
  assert_int_equal(tb_program_run(program, 2, (const void *[]){ data, good }, 1, (void *[]){ out }), TB_OK);
  tb_program_free(program);
  tb_graph_free(g);
  tb_context_free(context);
}

/* A network in k copies of its parameters and the tangents v_k of its outputs and gradient; every operation that the
 * rule of copies knows is on the way.  Returns the work. */
static double work_in_copies(tb_dtype dtype, size_t k, bool with_tangents) {
  enum { D = 3, W = 5, N = 7, P = W * (D + 1) + W };
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value in[3] = { tb_input(g, "theta", dtype, 2, ((size_t[]){ 1, P })),
                     tb_input(g, "x", dtype, 2, ((size_t[]){ N, D })),
                     tb_input(g, "v", dtype, 2, ((size_t[]){ k, P })) };
  tb_value copies = tb_broadcast(g, in[0], 2, ((size_t[]){ k, P }));
  tb_value w = tb_reshape(g, tb_slice(g, copies, 1, 0, W * D), 3, ((size_t[]){ k, W, D }));
  tb_value b = tb_reshape(g, tb_slice(g, copies, 1, W * D, W), 3, ((size_t[]){ k, 1, W }));
  tb_value u = tb_reshape(g, tb_slice(g, copies, 1, W * (D + 1), W), 3, ((size_t[]){ k, W, 1 }));
  tb_value h = tb_tanh(g, tb_add(g, tb_matmul(g, in[1], false, w, true), b)); /* [k,N,W] */
  h = tb_multiply(g, tb_softmax(g, h), tb_select(g, tb_less(g, b, h), h, tb_power(g, h, 3)));
  tb_value f = tb_shift(g, tb_reshape(g, tb_matmul(g, h, false, u, false), 2, ((size_t[]){ k, N })), 0.5);
  f = tb_add(g, f, tb_reduce(g, TB_LOGSUMEXP, tb_transpose(g, h, NULL), 2, false)); /* [k,N] */
  tb_value outputs[4] = { f }, pair[2], dots[2];
  tb_gradient(g, tb_sum(g, tb_square(g, f)), 1, &copies, &outputs[1]);
  pair[0] = f;
  pair[1] = outputs[1];
  tb_jvp(g, 2, pair, 1, &copies, &in[2], dots);
  outputs[2] = dots[0];
  outputs[3] = dots[1];
  agree(context, g, dtype, 3, in, 4, outputs, dtype == TB_FLOAT64 ? 1e-13 : 2e-5);
  tb_cost cost;
  free(plan_of(context, g, with_tangents ? 4 : 2, outputs, &cost));
  tb_graph_free(g);
  tb_context_free(context);
  return cost.flop;
}

/* What is equal in every copy is computed once, whatever their number. */
static void test_copies(void **unused) {
  for (tb_dtype dtype = TB_FLOAT32; dtype <= TB_FLOAT64; dtype++) {
    const double once = work_in_copies(dtype, 1, false), both = work_in_copies(dtype, 1, true);
    for (size_t k = 2; k <= 9; k += 7) {
      assert_true(work_in_copies(dtype, k, false) <= once);
      assert_true(work_in_copies(dtype, k, true) <= once + (double)k * 1.1 * (both - once));
    }
  }
}

/* [[3, b], [b, c]] with c the least float above b²/3: definite, but not always to float32 arithmetic, where the last
 * pivot may round to zero or less.  It has a factor all the same; what is not definite has none. */
static void test_hardly_definite(void **unused) {
  enum { COUNT = 400 };
  tb_context *context = tb_context_new(NULL, NULL);
  const tb_kernels *kernels;
  tb_graph *g;
  assert_int_equal(tb_kernels_choose(context, TB_FLOAT32, &kernels), TB_OK);
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value a = tb_input(g, "a", TB_FLOAT32, 3, (size_t[]){ COUNT, 2, 2 }), l = tb_cholesky(g, a);
  tb_program *program = compile(context, g, TB_PLANNED, 1, &l);
  static float in[COUNT][2][2], out[COUNT][2][2];
  for (int i = 0; i < COUNT; i++) {
    const float b = 1 + (float)i / 256;
    float c = (float)((double)b * (double)b / 3);
    while (3 * (double)c <= (double)b * (double)b)
      c = nextafterf(c, 10);
    memcpy(in[i], (float[2][2]){ { 3, NAN }, { b, i ? c : 0.1f } }, sizeof in[i]);
  }
  assert_int_equal(tb_program_run(program, 1, (const void *[]){ in }, 1, (void *[]){ out }), TB_OK);
  int broken = 0;
  for (int i = 1; i < COUNT; i++) {
    static float scratch[1 << 16];
    float native[2][2];
    memcpy(native, in[i], sizeof native);
    broken += !kernels->factor->cholesky(2, native, scratch);
    const double b = in[i][1][0], c = in[i][1][1];
    assert_true(fabs((double)out[i][0][0] - sqrt(3)) < 2e-7 && fabs(out[i][1][0] - b / sqrt(3)) < 2e-7);
    assert_true(out[i][1][1] > 0 && fabs(out[i][1][1] * (double)out[i][1][1] - (c - b * b / 3)) < 1e-6);
  }
  assert_true(broken > 0);
  assert_true(isnan(out[0][0][0]) && isnan(out[0][1][1]) && out[0][0][1] == 0);
  tb_program_free(program);
  tb_graph_free(g);
  tb_context_free(context);
}

/* ---- rows that are all equal ---- */

/* x′ = x + (gelu(concat(x, copies of e) W + b) V) / length with e = sin(frequencies · step) P: a step that is told the
 * time by an embedding with parameters of its own; in the middle or at the end of the concatenation. */
static tb_status timed_cell(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry,
                            size_t n_slice, const tb_value *slices, size_t n_const, const tb_value *consts,
                            tb_value *carry_out, size_t n_out, tb_value *outs) {
  const tb_dtype dtype = tb_value_dtype(g, carry[0]);
  const size_t rows = tb_dim(g, carry[0], 0), width = tb_dim(g, consts[4], 0);
  const bool middle = user != NULL;
  tb_value time = tb_broadcast(g, tb_cast(g, step, dtype), 2, (size_t[]){ 1, width });
  tb_value e = tb_matmul(g, tb_sin(g, tb_multiply(g, time, consts[4])), false, consts[3], false);
  e = tb_broadcast(g, e, 2, (size_t[]){ rows, width });
  const tb_value parts[3] = { carry[0], e, tb_tanh(g, carry[0]) };
  tb_value z = tb_concat(g, 1, middle ? 3 : 2, parts);
  z = tb_gelu(g, tb_add(g, tb_matmul(g, z, false, consts[0], middle), consts[1]));
  carry_out[0] = tb_add(g, carry[0], tb_scale(g, tb_matmul(g, z, false, consts[2], false), 0.1));
  return TB_OK;
}

static void check_timed(tb_dtype dtype, bool middle, double tolerance) {
  enum { ROWS = 40, INPUTS = 3, WIDTH = 16, LENGTH = 5 };
  const size_t in = (middle ? 2 : 1) * INPUTS + WIDTH;
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value x[6] = { tb_input(g, "x", dtype, 2, ((size_t[]){ ROWS, INPUTS })),
                    tb_input(g, "W", dtype, 2, middle ? ((size_t[]){ WIDTH, in }) : ((size_t[]){ in, WIDTH })),
                    tb_input(g, "b", dtype, 1, ((size_t[]){ WIDTH })),
                    tb_input(g, "V", dtype, 2, ((size_t[]){ WIDTH, INPUTS })),
                    tb_input(g, "P", dtype, 2, ((size_t[]){ WIDTH, WIDTH })),
                    tb_input(g, "f", dtype, 1, ((size_t[]){ WIDTH })) };
  tb_value end, loss, outputs[14];
  assert_int_equal(tb_scan(g, LENGTH, false, timed_cell, middle ? g : NULL, 1, x, 0, NULL, 5, x + 1, &end, 0, NULL),
                   TB_OK);
  outputs[0] = loss = tb_mean(g, tb_square(g, end));
  outputs[1] = end;
  tb_gradient(g, loss, 6, x, outputs + 2);
  tb_jvp(g, 1, &loss, 6, x, x, outputs + 8);
  tb_gradient(g, tb_sum(g, tb_multiply(g, outputs[3], x[1])), 2, x + 1, outputs + 9);
  if (tb_graph_status(g) != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
  agree(context, g, dtype, 6, x, 11, outputs, tolerance);
  tb_cost cost;
  free(plan_of(context, g, 8, outputs, &cost)); /* three products with rows a layer, and what is small beside them */
  const double products = 6.0 * ROWS * LENGTH * (WIDTH * (in - WIDTH) + WIDTH * INPUTS);
  const double points = 40.0 * ROWS * LENGTH * (WIDTH + INPUTS), row = 30.0 * LENGTH * WIDTH * (in + WIDTH);
  if (!(cost.flop < products + points + row))
    fail_msg("%g FLOP, %g of them products that are needed", cost.flop, products);
  tb_graph_free(g);
  tb_context_free(context);
}

static void test_equal_rows(void **unused) {
  for (int middle = 0; middle < 2; middle++) {
    check_timed(TB_FLOAT64, middle, 1e-11);
    check_timed(TB_FLOAT32, middle, 3e-4);
  }
}

/* ---- work of a loop's constants ---- */

/* x′ = x tanh(A B)/2 + copies of column sums, and an out that never changes; inside it a loop that does the same. */
static tb_status steady_cell(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry,
                             size_t n_slice, const tb_value *slices, size_t n_const, const tb_value *consts,
                             tb_value *carry_out, size_t n_out, tb_value *outs) {
  tb_value m = tb_tanh(g, tb_matmul(g, consts[0], false, consts[1], false));
  carry_out[0] = tb_add(g, tb_scale(g, tb_matmul(g, carry[0], false, m, false), 0.5), tb_reduce(g, TB_SUM, m, 1, true));
  if (n_out) {
    outs[0] = tb_exp(g, tb_scale(g, m, 0.1));
    return tb_scan(g, 3, true, steady_cell, NULL, 1, carry_out, 0, NULL, 2, consts, carry_out, 0, NULL);
  }
  return TB_OK;
}

static void test_hoisting(void **unused) {
  enum { ROWS = 2, N = 24, LENGTH = 30 };
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value x[3] = { tb_input(g, "x", TB_FLOAT64, 2, ((size_t[]){ ROWS, N })),
                    tb_input(g, "A", TB_FLOAT64, 2, ((size_t[]){ N, N })),
                    tb_input(g, "B", TB_FLOAT64, 2, ((size_t[]){ N, N })) };
  tb_value outputs[8];
  assert_int_equal(tb_scan(g, LENGTH, false, steady_cell, NULL, 1, x, 0, NULL, 2, x + 1, outputs, 1, outputs + 1),
                   TB_OK);
  outputs[2] = tb_add(g, tb_mean(g, tb_square(g, outputs[0])), tb_mean(g, outputs[1]));
  tb_gradient(g, outputs[2], 3, x, outputs + 3);
  if (tb_graph_status(g) != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
  agree(context, g, TB_FLOAT64, 3, x, 6, outputs, 1e-11);
  tb_cost cost;
  free(plan_of(context, g, 2, outputs, &cost));
  const double once = 2.0 * N * N * N + 8 * N * N, steps = 4.0 * LENGTH * (2.0 * ROWS * N * N + 8 * ROWS * N);
  if (!(cost.flop < once + steps))
    fail_msg("%g FLOP, not %g", cost.flop, once + steps);
  tb_graph_free(g);
  tb_context_free(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_copies),
    cmocka_unit_test(test_scans),
    cmocka_unit_test(test_outputs_on_inputs),
    cmocka_unit_test(test_plan_of_a_network),
    cmocka_unit_test(test_tape),
    cmocka_unit_test(test_index_out_of_range),
    cmocka_unit_test(test_hardly_definite),
    cmocka_unit_test(test_equal_rows),
    cmocka_unit_test(test_hoisting),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
