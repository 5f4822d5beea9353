/* Every primitive, forward and reverse, first to third order, against differences in float64. */
#include "differences.h"

#include <setjmp.h>

#include <cmocka.h>

/* ---- elementwise ---- */

#define UNARY(function)                                                                                                \
  static tb_value build_##function(tb_graph *g, const tb_value *x) {                                                   \
    return tb_##function(g, x[0]);                                                                                     \
  }
UNARY(negate)
UNARY(absolute)
UNARY(sign)
UNARY(exp)
UNARY(log)
UNARY(log1p)
UNARY(sqrt)
UNARY(reciprocal)
UNARY(square)
UNARY(sin)
UNARY(cos)
UNARY(tanh)
UNARY(erf)
UNARY(sigmoid)
UNARY(softplus)
UNARY(relu)
UNARY(gelu)
UNARY(log_sigmoid)
UNARY(log_normal_cdf)
UNARY(softmax)
UNARY(log_softmax)
static tb_value build_expm1(tb_graph *g, const tb_value *x) {
  return tb_unary(g, TB_EXPM1, x[0]);
}

/* f^(n) as a node of its own, n = 1 … 3: its derivatives reach order 6 */
#define DERIVATIVES(function, KIND)                                                                                    \
  static tb_value build_##function##_derivatives(tb_graph *g, const tb_value *x) {                                     \
    tb_value parts[3];                                                                                                 \
    for (int n = 1; n <= 3; n++)                                                                                       \
      parts[n - 1] = tb_unary_derivative(g, KIND, n, x[0]);                                                            \
    return tb_concat(g, 0, 3, parts);                                                                                  \
  }
DERIVATIVES(exp, TB_EXP)
DERIVATIVES(log, TB_LOG)
DERIVATIVES(log1p, TB_LOG1P)
DERIVATIVES(expm1, TB_EXPM1)
DERIVATIVES(sqrt, TB_SQRT)
DERIVATIVES(reciprocal, TB_RECIPROCAL)
DERIVATIVES(square, TB_SQUARE)
DERIVATIVES(sin, TB_SIN)
DERIVATIVES(cos, TB_COS)
DERIVATIVES(tanh, TB_TANH)
DERIVATIVES(erf, TB_ERF)
DERIVATIVES(sigmoid, TB_SIGMOID)
DERIVATIVES(softplus, TB_SOFTPLUS)
DERIVATIVES(relu, TB_RELU)
DERIVATIVES(gelu, TB_GELU)
DERIVATIVES(log_sigmoid, TB_LOG_SIGMOID)
DERIVATIVES(log_normal_cdf, TB_LOG_NORMAL_CDF)

#define BINARY(function)                                                                                               \
  static tb_value build_##function(tb_graph *g, const tb_value *x) {                                                   \
    return tb_##function(g, x[0], x[1]);                                                                               \
  }
BINARY(add)
BINARY(subtract)
BINARY(multiply)
BINARY(divide)
BINARY(maximum)
BINARY(minimum)
BINARY(less)
BINARY(equal)
BINARY(matvec)

static tb_value build_power(tb_graph *g, const tb_value *x) {
  return tb_power(g, x[0], 2.5);
}
static tb_value build_cube(tb_graph *g, const tb_value *x) {
  return tb_power(g, x[0], 3);
}
static tb_value build_affine(tb_graph *g, const tb_value *x) {
  return tb_exp(g, tb_shift(g, tb_scale(g, x[0], -1.5), 0.25));
}
static tb_value build_select(tb_graph *g, const tb_value *x) {
  tb_value cut = tb_less(g, x[0], tb_scalar(g, TB_FLOAT64, 0.1));
  return tb_select(g, cut, tb_square(g, x[1]), tb_multiply(g, x[1], tb_sin(g, x[2])));
}
static tb_value build_cast(tb_graph *g, const tb_value *x) {
  return tb_multiply(g, x[0], tb_cast(g, tb_cast(g, tb_scale(g, x[0], 10), TB_INT32), TB_FLOAT64));
}
static tb_value build_stop(tb_graph *g, const tb_value *x) { /* differences see through a stop, so it hides nothing */
  return tb_add(g, tb_square(g, x[0]), tb_stop(g, tb_sign(g, x[0])));
}

static const function_case elementwise_cases[] = {
#define ONE(f, low, high)                                                                                              \
  {                                                                                                                    \
#f, build_##f, low, high, 1, {                                                                                     \
      {                                                                                                                \
        2, {                                                                                                           \
          3, 5                                                                                                         \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }
#define ALL(f, low, high)                                                                                              \
  ONE(f, low, high), {                                                                                                 \
#f "^(n)", build_##f##_derivatives, low, high, 1, {                                                                \
      {                                                                                                                \
        1, {                                                                                                           \
          7                                                                                                            \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }
  ONE(negate, -2, 2),
  ONE(absolute, 0.1, 2),
  ONE(absolute, -2, -0.1),
  ONE(sign, 0.1, 2),
  ALL(exp, -2, 2),
  ALL(log, 0.5, 3),
  ALL(log1p, -0.3, 2),
  ALL(expm1, -1, 1),
  ALL(sqrt, 0.5, 3),
  ALL(reciprocal, 0.5, 2),
  ALL(square, -2, 2),
  ALL(sin, -4, 4),
  ALL(cos, -4, 4),
  ALL(tanh, -2, 2),
  ALL(erf, -2, 2),
  ALL(sigmoid, -4, 4),
  ALL(softplus, -4, 4),
  ALL(relu, 0.1, 2),
  ALL(relu, -2, -0.1),
  ALL(gelu, -3, 3),
  ALL(log_sigmoid, -4, 4),
  ALL(log_normal_cdf, -4, 2),
  ONE(log_normal_cdf, -8, -4),
  ONE(power, 0.5, 2),
  ONE(cube, -2, 2),
  ONE(affine, -1, 1),
  ONE(cast, 0.12, 0.19),
  ONE(stop, 0.1, 1),
#define TWO(f, ...)                                                                                                    \
  {                                                                                                                    \
#f, build_##f, 0.5, 2, 2, {                                                                                        \
      __VA_ARGS__                                                                                                      \
    }                                                                                                                  \
  }
  TWO(add, { 2, { 3, 5 } }, { 1, { 5 } }),
  TWO(subtract, { 2, { 3, 1 } }, { 3, { 2, 1, 5 } }),
  TWO(multiply, { 2, { 3, 5 } }, { 0, { 0 } }),
  TWO(multiply, { 3, { 1, 3, 1 } }, { 3, { 4, 1, 2 } }),
  TWO(divide, { 1, { 5 } }, { 2, { 3, 5 } }),
  TWO(divide, { 0, { 0 } }, { 0, { 0 } }),
  TWO(maximum, { 2, { 3, 5 } }, { 1, { 5 } }),
  TWO(minimum, { 2, { 3, 5 } }, { 1, { 5 } }),
  TWO(less, { 2, { 3, 5 } }, { 1, { 5 } }),
  TWO(equal, { 2, { 3, 5 } }, { 1, { 5 } }),
  TWO(multiply, { 2, { 0, 5 } }, { 1, { 5 } }),
  TWO(add, { 2, { 0, 1 } }, { 1, { 5 } }),
  { "select", build_select, -1, 1, 3, { { 2, { 3, 5 } }, { 1, { 5 } }, { 2, { 3, 1 } } } },
};

/* ---- products ---- */

#define MATMUL(name, ta, tb)                                                                                           \
  static tb_value build_matmul_##name(tb_graph *g, const tb_value *x) {                                                \
    return tb_square(g, tb_matmul(g, x[0], ta, x[1], tb));                                                             \
  }
MATMUL(nn, false, false)
MATMUL(tn, true, false)
MATMUL(nt, false, true)
MATMUL(tt, true, true)
static tb_value build_matvec_squared(tb_graph *g, const tb_value *x) {
  return tb_square(g, build_matvec(g, x));
}

static const function_case product_cases[] = {
#define CASE(f, ...)                                                                                                   \
  {                                                                                                                    \
#f, build_##f, -1, 1, 2, {                                                                                         \
      __VA_ARGS__                                                                                                      \
    }                                                                                                                  \
  }
  CASE(matmul_nn, { 2, { 3, 4 } }, { 2, { 4, 5 } }),
  CASE(matmul_tn, { 2, { 4, 3 } }, { 2, { 4, 5 } }),
  CASE(matmul_nt, { 2, { 3, 4 } }, { 2, { 5, 4 } }),
  CASE(matmul_tt, { 2, { 4, 3 } }, { 2, { 5, 4 } }),
  CASE(matmul_nn, { 3, { 2, 3, 4 } }, { 3, { 2, 4, 5 } }),
  CASE(matmul_tn, { 3, { 2, 4, 3 } }, { 3, { 1, 4, 5 } }),
  CASE(matmul_nt, { 4, { 2, 1, 3, 4 } }, { 3, { 3, 5, 4 } }),
  CASE(matmul_tt, { 3, { 2, 4, 3 } }, { 3, { 2, 5, 4 } }),
  CASE(matmul_nn, { 3, { 2, 3, 4 } }, { 2, { 4, 5 } }),
  CASE(matmul_nt, { 4, { 2, 2, 3, 4 } }, { 2, { 5, 4 } }),
  CASE(matmul_tn, { 3, { 2, 4, 3 } }, { 2, { 4, 5 } }),
  CASE(matmul_nn, { 2, { 3, 4 } }, { 3, { 2, 4, 5 } }),
  CASE(matmul_tt, { 2, { 4, 3 } }, { 3, { 2, 5, 4 } }),
  CASE(matmul_nn, { 2, { 1, 1 } }, { 2, { 1, 1 } }),
  CASE(matmul_nn, { 2, { 3, 0 } }, { 2, { 0, 5 } }),
  CASE(matmul_nn, { 2, { 0, 4 } }, { 2, { 4, 5 } }),
  CASE(matmul_nn, { 3, { 0, 3, 4 } }, { 2, { 4, 5 } }),
  CASE(matvec_squared, { 2, { 3, 4 } }, { 1, { 4 } }),
  CASE(matvec_squared, { 2, { 3, 4 } }, { 2, { 5, 4 } }),
  CASE(matvec_squared, { 3, { 5, 3, 4 } }, { 1, { 4 } }),
  CASE(matvec_squared, { 3, { 5, 3, 4 } }, { 2, { 5, 4 } }),
  CASE(matvec_squared, { 3, { 1, 3, 4 } }, { 3, { 2, 5, 4 } }),
};

/* ---- factorisations ---- */

/* a aᵀ + 1 */
static tb_value definite(tb_graph *g, tb_value a) {
  size_t n = tb_dim(g, a, tb_rank(g, a) - 1), dims[2] = { n, n };
  tb_value identity = tb_equal(g, tb_iota(g, TB_FLOAT64, 2, dims, 0), tb_iota(g, TB_FLOAT64, 2, dims, 1));
  return tb_add(g, tb_matmul(g, a, false, a, true), identity);
}
/* a + 3: diagonally dominant */
static tb_value regular(tb_graph *g, tb_value a) {
  size_t n = tb_dim(g, a, tb_rank(g, a) - 1), dims[2] = { n, n };
  tb_value identity = tb_equal(g, tb_iota(g, TB_FLOAT64, 2, dims, 0), tb_iota(g, TB_FLOAT64, 2, dims, 1));
  return tb_add(g, a, tb_scale(g, identity, 3));
}
static tb_value build_cholesky(tb_graph *g, const tb_value *x) {
  return tb_cholesky(g, definite(g, x[0]));
}
static tb_value build_cholesky_of_lower(tb_graph *g,
                                        const tb_value *x) { /* not symmetric: only the lower part counts */
  return tb_cholesky(g, regular(g, x[0]));
}
static tb_value build_triangular(tb_graph *g, const tb_value *x) {
  return tb_triangular_solve(g, regular(g, x[0]), false, x[1]);
}
static tb_value build_triangular_transposed(tb_graph *g, const tb_value *x) {
  return tb_triangular_solve(g, regular(g, x[0]), true, x[1]);
}
static tb_value build_solve(tb_graph *g, const tb_value *x) {
  return tb_solve(g, regular(g, x[0]), false, x[1]);
}
static tb_value build_solve_transposed(tb_graph *g, const tb_value *x) {
  return tb_solve(g, regular(g, x[0]), true, x[1]);
}
/* log det through Cholesky, and the quadratic form through both solves */
static tb_value build_gaussian(tb_graph *g, const tb_value *x) {
  tb_value l = tb_cholesky(g, definite(g, x[0]));
  tb_value z = tb_triangular_solve(g, l, true, tb_triangular_solve(g, l, false, x[1]));
  return tb_concat(g, 1, 2, (tb_value[]){ l, z });
}

static const function_case factorisation_cases[] = {
  { "cholesky", build_cholesky, -1, 1, 1, { { 2, { 4, 4 } } } },
  { "cholesky", build_cholesky, -1, 1, 1, { { 3, { 2, 3, 3 } } } },
  { "cholesky", build_cholesky, -1, 1, 1, { { 2, { 1, 1 } } } },
  { "cholesky of the lower part", build_cholesky_of_lower, -1, 1, 1, { { 2, { 4, 4 } } } },
  CASE(triangular, { 2, { 4, 4 } }, { 2, { 4, 3 } }),
  CASE(triangular, { 3, { 2, 3, 3 } }, { 2, { 3, 2 } }),
  CASE(triangular_transposed, { 2, { 4, 4 } }, { 2, { 4, 3 } }),
  CASE(solve, { 2, { 4, 4 } }, { 2, { 4, 3 } }),
  CASE(solve, { 2, { 3, 3 } }, { 3, { 2, 3, 1 } }),
  CASE(solve_transposed, { 2, { 4, 4 } }, { 2, { 4, 3 } }),
  CASE(gaussian, { 2, { 3, 3 } }, { 2, { 3, 2 } }),
};

/* ---- shape ---- */

static tb_value build_reshape(tb_graph *g, const tb_value *x) {
  return tb_square(g, tb_reshape(g, x[0], 2, (size_t[]){ 4, 3 }));
}
static tb_value build_transpose(tb_graph *g, const tb_value *x) {
  return tb_square(g, tb_transpose(g, x[0], (size_t[]){ 2, 0, 1 }));
}
static tb_value build_broadcast(tb_graph *g, const tb_value *x) {
  return tb_square(g, tb_broadcast(g, x[0], 3, (size_t[]){ 2, 3, 4 }));
}
static tb_value build_slice(tb_graph *g, const tb_value *x) {
  return tb_square(g, tb_slice(g, tb_slice(g, x[0], 1, 1, 3), 0, 2, 2));
}
static tb_value build_concat(tb_graph *g, const tb_value *x) {
  return tb_square(g, tb_concat(g, 1, 4, (tb_value[]){ x[0], x[1], x[0], x[2] }));
}
static tb_value build_gather(tb_graph *g, const tb_value *x) {
  tb_value index = tb_constant(g, TB_INT32, 1, (size_t[]){ 5 }, (double[]){ 2, 0, 2, 1, 2 });
  return tb_square(g, tb_gather(g, x[0], 1, index));
}
static tb_value build_scatter(tb_graph *g, const tb_value *x) {
  tb_value index = tb_constant(g, TB_INT32, 1, (size_t[]){ 3 }, (double[]){ 4, 1, 4 });
  return tb_square(g, tb_scatter_add(g, x[0], 1, index, 6));
}

static const function_case shape_cases[] = {
#define SHAPE(f, ...)                                                                                                  \
  {                                                                                                                    \
#f, build_##f, -1, 1, 1, {                                                                                         \
      __VA_ARGS__                                                                                                      \
    }                                                                                                                  \
  }
  SHAPE(reshape, { 3, { 2, 3, 2 } }),
  SHAPE(transpose, { 3, { 2, 3, 4 } }),
  SHAPE(transpose, { 3, { 2, 0, 4 } }),
  SHAPE(broadcast, { 2, { 3, 1 } }),
  SHAPE(broadcast, { 0, { 0 } }),
  SHAPE(slice, { 2, { 4, 5 } }),
  { "concat", build_concat, -1, 1, 3, { { 2, { 2, 1 } }, { 2, { 2, 3 } }, { 2, { 2, 0 } } } },
  SHAPE(gather, { 2, { 2, 3 } }),
  SHAPE(gather, { 3, { 2, 3, 2 } }),
  SHAPE(scatter, { 2, { 2, 3 } }),
  SHAPE(scatter, { 3, { 2, 3, 2 } }),
};

/* ---- reductions ---- */

#define REDUCE(name, KIND, axes, keep)                                                                                 \
  static tb_value build_##name(tb_graph *g, const tb_value *x) {                                                       \
    return tb_multiply(g, tb_reduce(g, KIND, tb_square(g, x[0]), axes, keep), tb_sin(g, x[0]));                        \
  }
REDUCE(sum_all, TB_SUM, ~0u, false)
REDUCE(sum_kept, TB_SUM, 4u, true)
REDUCE(mean_kept, TB_MEAN, 5u, true)
REDUCE(max_kept, TB_MAX, 4u, true)
REDUCE(max_front, TB_MAX, 1u, false)
REDUCE(min_middle, TB_MIN, 2u, true)
REDUCE(logsumexp_last, TB_LOGSUMEXP, 4u, true)
REDUCE(logsumexp_front, TB_LOGSUMEXP, 3u, false)

static const function_case reduction_cases[] = {
  SHAPE(sum_all, { 3, { 2, 3, 4 } }),
  SHAPE(sum_all, { 3, { 2, 0, 4 } }),
  SHAPE(sum_all, { 0, { 0 } }),
  SHAPE(sum_kept, { 3, { 2, 3, 4 } }),
  SHAPE(mean_kept, { 3, { 2, 3, 4 } }),
  SHAPE(max_kept, { 3, { 2, 3, 4 } }),
  SHAPE(max_kept, { 3, { 2, 3, 1 } }),
  SHAPE(max_front, { 3, { 2, 3, 4 } }),
  SHAPE(min_middle, { 3, { 2, 3, 4 } }),
  SHAPE(logsumexp_last, { 3, { 2, 3, 4 } }),
  SHAPE(logsumexp_front, { 3, { 2, 3, 4 } }),
  SHAPE(logsumexp_last, { 3, { 2, 3, 1 } }),
  SHAPE(softmax, { 2, { 3, 5 } }),
  SHAPE(softmax, { 3, { 2, 3, 1 } }),
  SHAPE(log_softmax, { 2, { 3, 5 } }),
  SHAPE(log_softmax, { 1, { 7 } }),
  SHAPE(softmax, { 2, { 0, 5 } }),
};

/* ---- scans ---- */

/* h' = tanh(W h + U x_k + k/10), out = h'² : a recurrent net; carries 1: h [3]; slices 1: x [T,2]; constants: W, U */
static tb_status recurrent(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry,
                           size_t n_slice, const tb_value *slices, size_t n_const, const tb_value *consts,
                           tb_value *carry_out, size_t n_out, tb_value *outs) {
  tb_value sum = tb_add(g, tb_matvec(g, consts[0], carry[0]), tb_matvec(g, consts[1], slices[0]));
  carry_out[0] = tb_tanh(g, tb_add(g, sum, tb_scale(g, tb_cast(g, step, TB_FLOAT64), 0.1)));
  outs[0] = tb_square(g, carry_out[0]);
  return TB_OK;
}

/* x: h [3], xs [T,2], W [3,3], U [3,2] */
static tb_value run_recurrent(tb_graph *g, const tb_value *x, bool reverse) {
  tb_value h, outs;
  size_t length = tb_dim(g, x[1], 0);
  tb_scan(g, length, reverse, recurrent, NULL, 1, x, 1, x + 1, 2, x + 2, &h, 1, &outs);
  return tb_concat(g, 0, 2, (tb_value[]){ h, tb_reshape(g, outs, 1, (size_t[]){ 3 * length }) });
}
static tb_value build_scan(tb_graph *g, const tb_value *x) {
  return run_recurrent(g, x, false);
}
static tb_value build_scan_reverse(tb_graph *g, const tb_value *x) {
  return run_recurrent(g, x, true);
}

/* Two carries that swap, an integer counter, a constant that is not used, an out that depends on the slice only, and a
 * carry that nothing moves. */
static tb_status tangled(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry, size_t n_slice,
                         const tb_value *slices, size_t n_const, const tb_value *consts, tb_value *carry_out,
                         size_t n_out, tb_value *outs) {
  carry_out[0] = tb_multiply(g, carry[1], tb_sin(g, slices[0]));
  carry_out[1] = tb_add(g, carry[0], tb_scale(g, tb_square(g, carry[1]), 0.3));
  carry_out[2] = tb_add(g, carry[2], tb_scalar(g, TB_INT32, 2));
  carry_out[3] = carry[3];
  outs[0] = tb_exp(g, slices[0]);
  outs[1] = tb_multiply(g, tb_cast(g, carry[2], TB_FLOAT64), tb_multiply(g, carry[0], carry[3]));
  outs[2] = tb_scalar(g, TB_FLOAT64, 7);
  return TB_OK;
}
static tb_value build_tangled(tb_graph *g, const tb_value *x) {
  tb_value carry[4] = { x[0], tb_square(g, x[0]), tb_scalar(g, TB_INT32, 1), x[2] }, carry_out[4], outs[3];
  size_t n = tb_dim(g, x[1], 0);
  tb_scan(g, n, false, tangled, NULL, 4, carry, 1, x + 1, 1, x + 2, carry_out, 3, outs);
  tb_value last = tb_add(g, tb_add(g, carry_out[0], carry_out[1]), tb_multiply(g, carry_out[3], outs[2]));
  return tb_concat(g, 0, 3,
                   (tb_value[]){ tb_reshape(g, tb_sum(g, last), 1, (size_t[]){ 1 }), tb_reshape(g, outs[0], 1, &n),
                                 tb_reshape(g, outs[1], 1, &n) });
}

/* A scan within a scan: each outer step runs the recurrent net from the outer carry. */
static tb_status nested(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry, size_t n_slice,
                        const tb_value *slices, size_t n_const, const tb_value *consts, tb_value *carry_out,
                        size_t n_out, tb_value *outs) {
  tb_value inner;
  tb_scan(g, 3, step.id % 2, recurrent, NULL, 1, carry, 1, consts + 2, 2, consts, carry_out, 1, &inner);
  outs[0] = tb_add(g, tb_sum(g, inner), tb_sum(g, slices[0]));
  return tb_graph_status(g);
}
static tb_value build_nested(tb_graph *g, const tb_value *x) {
  tb_value consts[3] = { x[2], x[3], tb_slice(g, x[1], 0, 0, 3) }, h, outs;
  size_t n = tb_dim(g, x[1], 0);
  tb_scan(g, n, false, nested, NULL, 1, x, 1, x + 1, 3, consts, &h, 1, &outs);
  return tb_concat(g, 0, 2, (tb_value[]){ h, outs });
}

static const function_case scan_cases[] = {
#define RECURRENT(f, T)                                                                                                \
  {                                                                                                                    \
#f, build_##f, -1, 1, 4, {                                                                                         \
      { 1, { 3 } }, { 2, { T, 2 } }, { 2, { 3, 3 } }, {                                                                \
        2, {                                                                                                           \
          3, 2                                                                                                         \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }
  RECURRENT(scan, 5),   RECURRENT(scan_reverse, 5),
  RECURRENT(scan, 1),   RECURRENT(scan, 0),
  RECURRENT(nested, 4), { "tangled", build_tangled, -1, 1, 3, { { 1, { 1 } }, { 2, { 6, 1 } }, { 1, { 1 } } } },
};

#define RUN(name)                                                                                                      \
  static void test_##name(void **state) {                                                                              \
    for (size_t i = 0; i < sizeof name##_cases / sizeof name##_cases[0]; i++)                                          \
      check_differences(&name##_cases[i], (unsigned)i + 1);                                                            \
  }
RUN(elementwise)
RUN(product)
RUN(factorisation)
RUN(shape)
RUN(reduction)
RUN(scan)

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_elementwise), cmocka_unit_test(test_product),   cmocka_unit_test(test_factorisation),
    cmocka_unit_test(test_shape),       cmocka_unit_test(test_reduction), cmocka_unit_test(test_scan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
