/* Building: shapes, broadcasting, and mistakes with their messages word for word. */
#include <tiebreak/tiebreak.h>

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const tb_place at = { "model.c", 41 };
#define SHAPE(...)                                                                                                     \
  sizeof((size_t[]){ __VA_ARGS__ }) / sizeof(size_t), (size_t[]) {                                                     \
    __VA_ARGS__                                                                                                        \
  }

static tb_value real(tb_graph *g, size_t rank, const size_t *dims) {
  return tb_input(g, "a", TB_FLOAT64, rank, dims);
}
static tb_value integer(tb_graph *g, size_t rank, const size_t *dims) {
  return tb_input(g, "i", TB_INT32, rank, dims);
}

/* ---- messages ---- */

typedef void (*mistake)(tb_graph *);

#define MISTAKE(name, statement)                                                                                       \
  static void name(tb_graph *g) {                                                                                      \
    statement;                                                                                                         \
  }
MISTAKE(matmul_inner, tb_matmul_at(at, g, real(g, SHAPE(8, 3)), false, real(g, SHAPE(4, 2)), false))
MISTAKE(matmul_transposed, tb_matmul_at(at, g, real(g, SHAPE(8, 3)), true, real(g, SHAPE(4, 2)), true))
MISTAKE(matmul_rank, tb_matmul_at(at, g, real(g, SHAPE(3)), false, real(g, SHAPE(3, 2)), false))
MISTAKE(matmul_batch, tb_matmul_at(at, g, real(g, SHAPE(2, 8, 3)), false, real(g, SHAPE(5, 3, 2)), false))
MISTAKE(matmul_type, tb_matmul_at(at, g, real(g, SHAPE(2, 2)), false, integer(g, SHAPE(2, 2)), false))
MISTAKE(matvec_inner, tb_matvec_at(at, g, real(g, SHAPE(8, 3)), real(g, SHAPE(4))))
MISTAKE(add_shapes, tb_binary_at(at, g, TB_ADD, real(g, SHAPE(8, 3)), real(g, SHAPE(8))))
MISTAKE(add_types, tb_binary_at(at, g, TB_ADD, real(g, SHAPE(3)), integer(g, SHAPE(3))))
MISTAKE(divide_integers, tb_binary_at(at, g, TB_DIVIDE, integer(g, SHAPE(3)), integer(g, SHAPE(3))))
MISTAKE(select_shapes, tb_select_at(at, g, real(g, SHAPE(2)), real(g, SHAPE(3)), real(g, SHAPE(4))))
MISTAKE(exp_integer, tb_unary_at(at, g, TB_EXP, integer(g, SHAPE(3))))
MISTAKE(order_four, tb_unary_derivative_at(at, g, TB_TANH, 4, real(g, SHAPE(3))))
MISTAKE(power_integer, tb_power_at(at, g, integer(g, SHAPE(3)), 2))
MISTAKE(scale_integer, tb_scale_at(at, g, integer(g, SHAPE(3)), 0.5))
MISTAKE(not_a_value, tb_binary_at(at, g, TB_ADD, real(g, SHAPE(3)), (tb_value){ 77 }))
MISTAKE(failed_value, tb_binary_at(at, g, TB_ADD, (tb_value){ -1 }, real(g, SHAPE(3))))
MISTAKE(reshape_count, tb_reshape_at(at, g, real(g, SHAPE(2, 3)), SHAPE(4, 2)))
MISTAKE(transpose_vector, tb_transpose_at(at, g, real(g, SHAPE(3)), NULL))
MISTAKE(transpose_twice, tb_transpose_at(at, g, real(g, SHAPE(2, 3)), (size_t[]){ 1, 1 }))
MISTAKE(broadcast_shrink, tb_broadcast_at(at, g, real(g, SHAPE(2, 3)), SHAPE(3)))
MISTAKE(broadcast_misfit, tb_broadcast_at(at, g, real(g, SHAPE(2, 3)), SHAPE(4, 2, 5)))
MISTAKE(slice_outside, tb_slice_at(at, g, real(g, SHAPE(2, 3)), 1, 2, 2))
MISTAKE(slice_overflow, tb_slice_at(at, g, real(g, SHAPE(2, 3)), 1, 1, (size_t)-1))
MISTAKE(slice_axis, tb_slice_at(at, g, real(g, SHAPE(2, 3)), 2, 0, 1))
MISTAKE(concat_nothing, tb_concat_at(at, g, 0, 0, NULL))
MISTAKE(concat_misfit, tb_concat_at(at, g, 0, 2, (tb_value[]){ real(g, SHAPE(2, 3)), real(g, SHAPE(2, 4)) }))
MISTAKE(gather_real_index, tb_gather_at(at, g, real(g, SHAPE(2, 3)), 0, real(g, SHAPE(4))))
MISTAKE(scatter_count, tb_scatter_add_at(at, g, real(g, SHAPE(2, 3)), 1, integer(g, SHAPE(4)), 9))
MISTAKE(reduce_axis, tb_reduce_at(at, g, TB_SUM, real(g, SHAPE(2, 3)), 1u << 2, false))
MISTAKE(mean_integer, tb_reduce_at(at, g, TB_MEAN, integer(g, SHAPE(2, 3)), ~0u, false))
MISTAKE(softmax_scalar, tb_softmax_at(at, g, real(g, 0, NULL)))
MISTAKE(cholesky_oblong, tb_cholesky_at(at, g, real(g, SHAPE(2, 3))))
MISTAKE(solve_sizes, tb_solve_at(at, g, real(g, SHAPE(3, 3)), false, real(g, SHAPE(2, 1))))
MISTAKE(triangular_vector, tb_triangular_solve_at(at, g, real(g, SHAPE(3, 3)), false, real(g, SHAPE(3))))
MISTAKE(normal_key, tb_normal_at(at, g, integer(g, SHAPE(2)), 1, TB_FLOAT64, SHAPE(4)))
MISTAKE(normal_integer, tb_normal_at(at, g, integer(g, SHAPE(3)), 1, TB_INT32, SHAPE(4)))
MISTAKE(input_rank, tb_input_at(at, g, "x", TB_FLOAT64, SHAPE(1, 1, 1, 1, 1, 1, 1)))
MISTAKE(input_huge, tb_input_at(at, g, "x", TB_FLOAT64, SHAPE((size_t)1 << 33, (size_t)1 << 33)))
MISTAKE(input_huge_empty, tb_input_at(at, g, "x", TB_FLOAT64, SHAPE(0, (size_t)1 << 40, (size_t)1 << 40)))
MISTAKE(product_huge,
        tb_matmul_at(at, g, real(g, SHAPE((size_t)1 << 30, 1)), false, real(g, SHAPE(1, (size_t)1 << 30)), false))
MISTAKE(constant_fraction, tb_constant_at(at, g, TB_INT32, SHAPE(2), (double[]){ 1, 1.5 }))
MISTAKE(scalar_overflow, tb_scalar_at(at, g, TB_INT32, 3e9))
MISTAKE(iota_axis, tb_iota_at(at, g, TB_INT32, SHAPE(2, 3), 2))
MISTAKE(gradient_vector, tb_value a = real(g, SHAPE(3)); tb_gradient_at(at, g, a, 1, &a, &a))
MISTAKE(vjp_shapes, tb_value a = real(g, SHAPE(3)); tb_value u = real(g, SHAPE(2));
        tb_vjp_at(at, g, 1, &a, &u, 1, &a, &u))

static const struct {
  mistake make;
  const char *message;
} mistakes[] = {
  { matmul_inner, "matmul: inner sizes differ: [8,3] × [4,2]" },
  { matmul_transposed, "matmul: inner sizes differ: [8,3]ᵀ × [4,2]ᵀ" },
  { matmul_rank, "matmul: too few axes: [3] × [3,2]" },
  { matmul_batch, "matmul: batch axes do not broadcast: [2,8,3] × [5,3,2]" },
  { matmul_type, "matmul: needs two of float32 or two of float64, got float64 and int32" },
  { matvec_inner, "matvec: inner sizes differ: [8,3] × [4]" },
  { add_shapes, "add: shapes do not broadcast: [8,3] and [8]" },
  { add_types, "add: types differ: float64 and int32" },
  { divide_integers, "divide: needs float32 or float64, got int32" },
  { select_shapes, "select: shapes do not broadcast: [2] and [3] and [4]" },
  { exp_integer, "exp: needs float32 or float64, got int32" },
  { order_four, "tanh: derivatives of order 0 to 3 exist, not 4" },
  { power_integer, "power: needs float32 or float64, got int32" },
  { scale_integer, "scale: an int32 takes a whole number, not 0.5" },
  { not_a_value, "add: operand 2 is not a value of this graph" },
  { failed_value, "add: operand 1 is not a value of this graph" },
  { reshape_count, "reshape: [2,3] has 6 elements, [4,2] has 8" },
  { transpose_vector, "transpose: [3] has no two last axes to swap" },
  { transpose_twice, "transpose: not a permutation of the 2 axes of [2,3]" },
  { broadcast_shrink, "broadcast: [2,3] does not stretch to [3]" },
  { broadcast_misfit, "broadcast: [2,3] does not stretch to [4,2,5]" },
  { slice_outside, "slice: 2 elements from 2 on do not lie in axis 1 of [2,3]" },
  { slice_overflow, "slice: 18446744073709551615 elements from 1 on do not lie in axis 1 of [2,3]" },
  { slice_axis, "slice: no axis 2 in [2,3]" },
  { concat_nothing, "concat: nothing to join" },
  { concat_misfit, "concat: parts do not fit along axis 0: float64[2,3] and float64[2,4]" },
  { gather_real_index, "gather: the index must be int32 of rank 1, got float64[4]" },
  { scatter_count, "scatter_add: 4 indices for axis 1 of [2,3]" },
  { reduce_axis, "sum: axes 0x4 do not exist in [2,3]" },
  { mean_integer, "mean: needs float32 or float64, got int32" },
  { softmax_scalar, "softmax: needs floats with at least one axis, got float64[]" },
  { cholesky_oblong, "cholesky: needs square matrices of floats, got float64[2,3]" },
  { solve_sizes, "solve: sizes differ: [3,3] and [2,1]" },
  { triangular_vector, "triangular_solve: too few axes: [3,3] × [3]" },
  { normal_key, "normal: the key must be int32[3] (seed low, seed high, step), got int32[2]" },
  { normal_integer, "normal: draws float32 or float64, not int32" },
  { input_rank, "input: rank 7 is above 6" },
  { input_huge, "input: [8589934592,8589934592] is too large" },
  { input_huge_empty, "input: [0,1099511627776,1099511627776] is too large" },
  { product_huge, "matmul: [1073741824,1073741824] is too large" },
  { constant_fraction, "constant: 1.5 is not an int32" },
  { scalar_overflow, "fill: 3e+09 is not an int32" },
  { iota_axis, "iota: no axis 2 in [2,3]" },
  { gradient_vector, "gradient: needs a scalar of floats, got float64[3]" },
  { vjp_shapes, "vjp: value 1 is float64[3], its derivative float64[2]" },
};

static void test_mistakes(void **state) {
  for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
    tb_context *context = tb_context_new(NULL, NULL);
    tb_graph *g;
    assert_int_equal(tb_graph_new(context, &g), TB_OK);
    mistakes[i].make(g);
    assert_int_equal(tb_graph_status(g), TB_USAGE);
    assert_string_equal(tb_context_message(context), mistakes[i].message);
    assert_string_equal(tb_context_place(context), "model.c:41");
    tb_graph_free(g);
    tb_context_free(context);
  }
}

/* ---- scans ---- */

/* What a body may do wrong; user points at which. */
typedef struct wrong {
  int how;
  tb_value outer; /* a value of the outer graph */
} wrong;

static tb_status wrong_body(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry,
                            size_t n_slice, const tb_value *slices, size_t n_const, const tb_value *consts,
                            tb_value *carry_out, size_t n_out, tb_value *outs) {
  const wrong *w = user;
  outs[0] = carry_out[0] = carry[0];
  switch (w->how) {
  case 0: /* reads the outer graph */
    carry_out[0] = tb_binary_at(at, g, TB_ADD, carry[0], w->outer);
    break;
  case 1: /* changes the carry's shape */
    carry_out[0] = tb_sum(g, carry[0]);
    break;
  case 2: /* fails by itself */
    return TB_BAD_DATA;
  case 3: /* gives nothing */
    outs[0] = (tb_value){ -1 };
    break;
  case 4: /* asks for an input */
    tb_input_at(at, g, "more", TB_FLOAT64, 0, NULL);
    break;
  case 5: /* makes a mistake */
    outs[0] = tb_matmul_at(at, g, carry[0], false, carry[0], false);
    break;
  case 6: /* gives a value of the outer graph */
    outs[0] = w->outer;
    break;
  }
  return TB_OK;
}

static void test_scan_mistakes(void **state) {
  static const struct {
    const char *message;
    tb_status status;
  } expected[] = {
    { "add: operand 2 is not a value of this graph", TB_USAGE },
    { "scan: carry 1 enters as float64[3] and leaves as float64[]", TB_USAGE },
    { "scan: its body failed: ", TB_BAD_DATA },
    { "scan: operand 2 is not a value of this graph", TB_USAGE },
    { "input: a scan's body reads only its carries, slices and constants", TB_USAGE },
    { "matmul: too few axes: [3] × [3]", TB_USAGE },
    { "scan: operand 2 is not a value of this graph", TB_USAGE },
  };
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    tb_context *context = tb_context_new(NULL, NULL);
    tb_graph *g;
    assert_int_equal(tb_graph_new(context, &g), TB_OK);
    tb_value x = real(g, SHAPE(3)), carry_out, out;
    wrong w = { (int)i, x };
    assert_int_equal(tb_scan_at(at, g, 4, false, wrong_body, &w, 1, &x, 0, NULL, 0, NULL, &carry_out, 1, &out),
                     expected[i].status);
    assert_string_equal(tb_context_message(context), expected[i].message);
    assert_string_equal(tb_context_place(context), "model.c:41");
    assert_true(carry_out.id < 0 && out.id < 0);
    tb_graph_free(g);
    tb_context_free(context);
  }
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value x = real(g, SHAPE(3)), out[2];
  wrong w = { -1, x };
  assert_int_equal(tb_scan_at(at, g, 4, false, wrong_body, &w, 1, &x, 1, &x, 0, NULL, out, 1, out + 1), TB_USAGE);
  assert_string_equal(tb_context_message(context), "scan: slices come from [4,…], got [3]");
  tb_graph_free(g);
  tb_context_free(context);
}

/* The first mistake stays, whatever follows; a program is refused with it. */
static void test_first_mistake_stays(void **state) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value a = real(g, SHAPE(8, 3));
  tb_value bad = tb_matmul_at(at, g, a, false, real(g, SHAPE(4, 2)), false);
  assert_true(bad.id < 0);
  tb_value sum = tb_sum(g, tb_exp(g, tb_add(g, bad, a))), gradient;
  assert_true(sum.id < 0);
  assert_int_equal(tb_gradient(g, sum, 1, &a, &gradient), TB_USAGE);
  assert_true(gradient.id < 0);
  tb_context_clear(context);
  tb_program *program;
  assert_int_equal(tb_program_new(context, g, 1, &sum, NULL, &program), TB_USAGE);
  assert_null(program);
  assert_string_equal(tb_context_message(context), "matmul: inner sizes differ: [8,3] × [4,2]");
  tb_graph_free(g);
  tb_context_free(context);
}

/* Mistakes of a run: missing arrays, indices outside. */
static void test_run_mistakes(void **state) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value x = tb_input(g, "x", TB_FLOAT64, SHAPE(3)), i = tb_input(g, "index", TB_INT32, SHAPE(2));
  tb_value unused = tb_input(g, "unused", TB_FLOAT64, SHAPE(5));
  tb_value y = tb_gather(g, x, 0, i);
  tb_program *program;
  assert_int_equal(tb_program_new(context, g, 1, &y, NULL, &program), TB_OK);
  double data[3] = { 1, 2, 3 }, out[2];
  int32_t good[2] = { 2, 0 }, bad[2] = { 0, 3 };
  assert_true(tb_elements(g, unused) == 5);
  assert_int_equal(tb_program_run(program, 3, (const void *[]){ data, good, NULL }, 1, (void *[]){ out }), TB_OK);
  assert_true(out[0] == 3 && out[1] == 1);
  assert_int_equal(tb_program_run(program, 3, (const void *[]){ data, bad, NULL }, 1, (void *[]){ out }), TB_BAD_DATA);
  assert_string_equal(tb_context_message(context), "gather: index 3 lies outside [0,3)");
  assert_int_equal(tb_program_run(program, 3, (const void *[]){ data, NULL, NULL }, 1, (void *[]){ out }), TB_USAGE);
  assert_string_equal(tb_context_message(context), "program: input 2 (index) is missing");
  assert_int_equal(tb_program_run(program, 2, (const void *[]){ data, good }, 1, (void *[]){ out }), TB_USAGE);
  assert_string_equal(tb_context_message(context), "program: has 3 inputs and 1 outputs, got 2 and 1");
  assert_int_equal(tb_program_run(program, 3, (const void *[]){ data, good, NULL }, 1, (void *[]){ NULL }), TB_USAGE);
  tb_program_free(program);
  tb_value foreign = { 1000 };
  assert_int_equal(tb_program_new(context, g, 1, &foreign, NULL, &program), TB_USAGE);
  assert_string_equal(tb_context_message(context), "program: output 1 is not a value of this graph");
  tb_graph_free(g);
  tb_context_free(context);
}

/* ---- shapes ---- */

static void assert_shape(const tb_graph *g, tb_value a, size_t rank, const size_t *dims) {
  assert_int_equal(tb_rank(g, a), rank);
  size_t elements = 1;
  for (size_t i = 0; i < rank; i++) {
    assert_int_equal(tb_dim(g, a, i), dims[i]);
    elements *= dims[i];
  }
  assert_int_equal(tb_elements(g, a), elements);
}

static void test_shapes(void **state) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value a = real(g, SHAPE(4, 1, 3)), b = real(g, SHAPE(5, 1)), none = real(g, SHAPE(0, 3)), s = real(g, 0, NULL);
  assert_shape(g, tb_add(g, a, b), SHAPE(4, 5, 3));
  assert_shape(g, tb_add(g, s, s), 0, NULL);
  assert_shape(g, tb_add(g, none, real(g, SHAPE(1, 1))), SHAPE(0, 3));
  assert_shape(g, tb_matmul(g, none, true, none, false), SHAPE(3, 3));
  assert_shape(g, tb_matmul(g, real(g, SHAPE(2, 1, 4, 3)), false, real(g, SHAPE(5, 3, 2)), false), SHAPE(2, 5, 4, 2));
  assert_shape(g, tb_matmul(g, real(g, SHAPE(2, 6, 4, 3)), false, real(g, SHAPE(2, 3)), true), SHAPE(2, 6, 4, 2));
  assert_shape(g, tb_matvec(g, real(g, SHAPE(4, 3)), real(g, SHAPE(3))), SHAPE(4));
  assert_shape(g, tb_matvec(g, real(g, SHAPE(4, 3)), real(g, SHAPE(7, 3))), SHAPE(7, 4));
  assert_shape(g, tb_matvec(g, real(g, SHAPE(7, 4, 3)), real(g, SHAPE(3))), SHAPE(7, 4));
  assert_shape(g, tb_matvec(g, real(g, SHAPE(7, 4, 3)), real(g, SHAPE(7, 3))), SHAPE(7, 4));
  assert_shape(g, tb_reduce(g, TB_SUM, a, 5, false), SHAPE(1));
  assert_shape(g, tb_reduce(g, TB_SUM, a, 5, true), SHAPE(1, 1, 1));
  assert_shape(g, tb_mean(g, a), 0, NULL);
  assert_shape(g, tb_transpose(g, a, NULL), SHAPE(4, 3, 1));
  assert_shape(g, tb_transpose(g, a, (size_t[]){ 2, 0, 1 }), SHAPE(3, 4, 1));
  assert_shape(g, tb_concat(g, 0, 2, (tb_value[]){ none, tb_reshape(g, a, SHAPE(4, 3)) }), SHAPE(4, 3));
  assert_shape(g, tb_gather(g, a, 2, integer(g, SHAPE(0))), SHAPE(4, 1, 0));
  assert_shape(g, tb_scatter_add(g, a, 2, integer(g, SHAPE(3)), 8), SHAPE(4, 1, 8));
  assert_shape(g, tb_solve(g, real(g, SHAPE(2, 3, 3)), false, real(g, SHAPE(3, 4))), SHAPE(2, 3, 4));
  assert_shape(g, tb_slice(g, a, 0, 4, 0), SHAPE(0, 1, 3));
  assert_int_equal(tb_graph_status(g), TB_OK);
  assert_int_equal(tb_value_dtype(g, tb_cast(g, a, TB_FLOAT32)), TB_FLOAT32);
  tb_graph_free(g);
  tb_context_free(context);
}

static void test_print(void **state) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_graph *g;
  assert_int_equal(tb_graph_new(context, &g), TB_OK);
  tb_value x = tb_input_at(at, g, "x", TB_FLOAT64, SHAPE(8, 3)), w = tb_input_at(at, g, "w", TB_FLOAT64, SHAPE(2, 3));
  tb_value y = tb_unary_derivative_at(at, g, TB_TANH, 2, tb_matmul_at(at, g, x, false, w, true));
  tb_reduce_at(at, g, TB_LOGSUMEXP, tb_scale_at(at, g, y, 0.5), 3, false);
  tb_text text = tb_text_new(context);
  assert_int_equal(tb_graph_print(g, &text), TB_OK);
  assert_string_equal(text.data, "%0 = input \"x\" → float64[8,3]    model.c:41\n"
                                 "%1 = input \"w\" → float64[2,3]    model.c:41\n"
                                 "%2 = matmul %0 %1ᵀ → float64[8,2]    model.c:41\n"
                                 "%3 = tanh'' %2 → float64[8,2]    model.c:41\n"
                                 "%4 = scale %3 0.5 → float64[8,2]    model.c:41\n"
                                 "%5 = logsumexp %4 over 0,1 → float64[]    model.c:41\n");
  tb_text_free(&text);
  tb_graph_free(g);
  tb_context_free(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_mistakes),     cmocka_unit_test(test_first_mistake_stays),
    cmocka_unit_test(test_run_mistakes), cmocka_unit_test(test_scan_mistakes),
    cmocka_unit_test(test_shapes),       cmocka_unit_test(test_print),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
