/* tiebreak/graph.h: build a computation, differentiate it, run it.
 *
 * A graph is a list of typed single-assignment nodes with static shapes.  Builder functions append nodes and return
 * handles.  Mistakes are caught while building: the first one is kept in the graph with the operation, the shapes and
 * the caller's file and line, later calls on a failed graph do nothing, and tb_graph_status (also tb_program_new)
 * reports it. Differentiation appends nodes to the same graph, so it nests to any depth.
 *
 *   #include <tiebreak/tiebreak.h>
 *   tb_value w = tb_input(g, "w", TB_FLOAT64, 1, (size_t[]){3});
 *   tb_value x = tb_input(g, "x", TB_FLOAT64, 2, (size_t[]){8, 3});
 *   tb_value loss = tb_mean(g, tb_softplus(g, tb_negate(g, tb_matvec(g, x, w))));
 *   tb_value gradient;
 *   tb_gradient(g, loss, 1, &w, &gradient);
 *   tb_program *program;
 *   tb_program_new(context, g, 2, (tb_value[]){loss, gradient}, NULL, &program);
 *   tb_program_run(program, 2, (const void *[]){w_data, x_data}, 2, (void *[]){&loss_data, gradient_data});
 */
#ifndef TIEBREAK_GRAPH_H
#define TIEBREAK_GRAPH_H

#include <tiebreak/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tb_dtype { TB_FLOAT32, TB_FLOAT64, TB_INT32 } tb_dtype;
enum { TB_MAX_RANK = 6 };

typedef struct tb_graph tb_graph;
/* A handle to a node; id < 0 is the handle of a failed call. */
typedef struct tb_value {
  int32_t id;
} tb_value;

/* The caller's place, passed on by the macros below. */
typedef struct tb_place {
  const char *file;
  int line;
} tb_place;
#define TB_HERE ((tb_place){ __FILE__, __LINE__ })

/* An empty graph of the context; freeing it leaves programs made from it alone. */
tb_status tb_graph_new(tb_context *context, tb_graph **graph);
void tb_graph_free(tb_graph *graph); /* NULL is allowed */
/* TB_OK, or the first building mistake (recorded in the graph's context again). */
tb_status tb_graph_status(tb_graph *graph);
/* A readable listing: a node a line with operation, shape, operands. */
tb_status tb_graph_print(const tb_graph *graph, tb_text *text);

/* Number of axes, length of an axis, number of elements (the product of all lengths), type. */
size_t tb_rank(const tb_graph *graph, tb_value a);
size_t tb_dim(const tb_graph *graph, tb_value a, size_t axis);
size_t tb_elements(const tb_graph *graph, tb_value a);
tb_dtype tb_value_dtype(const tb_graph *graph, tb_value a);

/* ---- leaves ---- */
tb_value tb_input_at(tb_place, tb_graph *, const char *name, tb_dtype, size_t rank, const size_t *dims);
tb_value tb_scalar_at(tb_place, tb_graph *, tb_dtype, double value); /* a rank-0 constant */
tb_value tb_fill_at(tb_place, tb_graph *, tb_dtype, size_t rank, const size_t *dims, double value);
tb_value tb_constant_at(tb_place, tb_graph *, tb_dtype, size_t rank, const size_t *dims, const double *values);
tb_value tb_iota_at(tb_place, tb_graph *, tb_dtype, size_t rank, const size_t *dims,
                    size_t axis); /* index along axis */

/* ---- elementwise; binary operations broadcast as NumPy does ---- */
typedef enum tb_unary {
  TB_NEGATE,
  TB_ABSOLUTE,
  TB_SIGN,
  TB_EXP,
  TB_LOG,
  TB_LOG1P,
  TB_EXPM1,
  TB_SQRT,
  TB_RECIPROCAL,
  TB_SQUARE,
  TB_SIN,
  TB_COS,
  TB_TANH,
  TB_ERF,
  TB_SIGMOID,
  TB_SOFTPLUS,
  TB_RELU,
  TB_GELU,
  TB_LOG_SIGMOID,
  TB_FLOOR,
  TB_LOG_NORMAL_CDF
} tb_unary;
typedef enum tb_binary {
  TB_ADD,
  TB_SUBTRACT,
  TB_MULTIPLY,
  TB_DIVIDE,
  TB_MAXIMUM,
  TB_MINIMUM,
  TB_LESS,
  TB_LESS_EQUAL,
  TB_EQUAL
} tb_binary;
/* The function of each element. */
tb_value tb_unary_at(tb_place, tb_graph *, tb_unary, tb_value a);
/* The derivative of order 0..3 of a unary function, elementwise (GELU and its derivatives share one exp). */
tb_value tb_unary_derivative_at(tb_place, tb_graph *, tb_unary, int order, tb_value a);
tb_value tb_binary_at(tb_place, tb_graph *, tb_binary, tb_value a,
                      tb_value b); /* comparisons give 0 or 1 of a's type */
tb_value tb_power_at(tb_place, tb_graph *, tb_value a,
                     double exponent); /* constant exponent; integer ones exact for a < 0 */
tb_value tb_scale_at(tb_place, tb_graph *, tb_value a, double factor);
tb_value tb_shift_at(tb_place, tb_graph *, tb_value a, double offset);
tb_value tb_select_at(tb_place, tb_graph *, tb_value condition, tb_value yes,
                      tb_value no); /* condition != 0 ? yes : no */
tb_value tb_cast_at(tb_place, tb_graph *, tb_value a, tb_dtype);
tb_value tb_stop_at(tb_place, tb_graph *, tb_value a); /* a with derivative zero */

/* ---- linear algebra; leading axes are batch axes and broadcast ---- */
/* c[…,m,n] = op(a)[…,m,k] op(b)[…,k,n], op transposes the last two axes where asked */
tb_value tb_matmul_at(tb_place, tb_graph *, tb_value a, bool transpose_a, tb_value b, bool transpose_b);
tb_value tb_matvec_at(tb_place, tb_graph *, tb_value a, tb_value x); /* a[…,m,n] x[…,n] → […,m] */
tb_value tb_cholesky_at(tb_place, tb_graph *,
                        tb_value a); /* lower L, L Lᵀ = a; reads the lower triangle; NaN where not positive definite */
tb_value tb_triangular_solve_at(tb_place, tb_graph *, tb_value l, bool transpose, tb_value b); /* L or Lᵀ, b[…,n,k] */
tb_value tb_solve_at(tb_place, tb_graph *, tb_value a, bool transpose, tb_value b); /* LU with pivoting, b[…,n,k] */

/* ---- shape ---- */
tb_value tb_reshape_at(tb_place, tb_graph *, tb_value a, size_t rank, const size_t *dims);
tb_value tb_transpose_at(tb_place, tb_graph *, tb_value a,
                         const size_t *permutation); /* NULL: swap the last two axes */
tb_value tb_broadcast_at(tb_place, tb_graph *, tb_value a, size_t rank,
                         const size_t *dims); /* NumPy's rule, right-aligned */
tb_value tb_slice_at(tb_place, tb_graph *, tb_value a, size_t axis, size_t start, size_t length);
tb_value tb_concat_at(tb_place, tb_graph *, size_t axis, size_t count, const tb_value *parts);
tb_value tb_gather_at(tb_place, tb_graph *, tb_value a, size_t axis,
                      tb_value index); /* index TB_INT32 [k]; axis becomes k long */
tb_value tb_scatter_add_at(tb_place, tb_graph *, tb_value a, size_t axis, tb_value index,
                           size_t length); /* gather's transpose */

/* ---- reductions: over the axes in the bit mask (bit i: axis i); keep leaves axes of length 1 ---- */
typedef enum tb_reduction { TB_SUM, TB_MEAN, TB_MAX, TB_MIN, TB_LOGSUMEXP } tb_reduction;
tb_value tb_reduce_at(tb_place, tb_graph *, tb_reduction, tb_value a, uint32_t axes, bool keep);
tb_value tb_softmax_at(tb_place, tb_graph *, tb_value a);     /* over the last axis */
tb_value tb_log_softmax_at(tb_place, tb_graph *, tb_value a); /* over the last axis */

/* ---- keyed randomness: key TB_INT32 [3] = seed low, seed high, step (a runtime value); use names the purpose ---- */
tb_value tb_normal_at(tb_place, tb_graph *, tb_value key, uint32_t use, tb_dtype, size_t rank, const size_t *dims);
tb_value tb_uniform_at(tb_place, tb_graph *, tb_value key, uint32_t use, tb_dtype, size_t rank, const size_t *dims);

/* ---- scan: a loop whose body is a graph of its own ----
 * body(user, graph, step, n_carry, carry, n_slice, slices, n_const, consts, carry_out, n_out, outs) builds one step in
 * a child graph: step is a TB_INT32 scalar, carry keeps its shapes, slices are the step's part [k] of xs[i][length, …],
 * consts are values of the outer graph it may read; outs are stacked into [length, …]. */
typedef tb_status (*tb_scan_body)(void *user, tb_graph *graph, tb_value step, size_t n_carry, const tb_value *carry,
                                  size_t n_slice, const tb_value *slices, size_t n_const, const tb_value *consts,
                                  tb_value *carry_out, size_t n_out, tb_value *outs);
tb_status tb_scan_at(tb_place, tb_graph *, size_t length, bool reverse, tb_scan_body body, void *user, size_t n_carry,
                     const tb_value *carry, size_t n_slice, const tb_value *xs, size_t n_const, const tb_value *consts,
                     tb_value *carry_out, size_t n_out, tb_value *outs);

/* ---- differentiation: graph → graph ---- */
/* Vector-Jacobian product: inputs_bar[j] = Σ_i outputs_bar[i]ᵀ ∂outputs[i]/∂inputs[j].  An input on which nothing
 * depends gets zeros.  Inputs may be any values of the graph, also ones that depend on each other: the derivatives are
 * total, along every path.  At kinks: relu, absolute, sign, floor and comparisons have the derivative of the left-hand
 * or flat piece (0), maximum and minimum share it among ties.  Integers and draws have derivative zero. */
tb_status tb_vjp_at(tb_place, tb_graph *, size_t n_out, const tb_value *outputs, const tb_value *outputs_bar,
                    size_t n_in, const tb_value *inputs, tb_value *inputs_bar);
/* Jacobian-vector product: outputs_dot[i] = Σ_j ∂outputs[i]/∂inputs[j] inputs_dot[j]. */
tb_status tb_jvp_at(tb_place, tb_graph *, size_t n_out, const tb_value *outputs, size_t n_in, const tb_value *inputs,
                    const tb_value *inputs_dot, tb_value *outputs_dot);
/* vjp of a scalar with cotangent 1. */
tb_status tb_gradient_at(tb_place, tb_graph *, tb_value scalar, size_t n_in, const tb_value *inputs,
                         tb_value *gradients);

/* ---- execution ---- */
typedef enum tb_executor {
  TB_PLANNED, /* dead code and common subexpressions removed, arena from lifetimes, no allocation while running */
  TB_NAIVE    /* a node at a time, plain loops: the oracle and the debugging mode */
} tb_executor;
typedef struct tb_program_options {
  tb_executor executor; /* default TB_PLANNED */
  uint32_t threads;  /* that a run takes where the work is large; 0: as many as OpenMP would give to a parallel region
                        (within one: 1).  Results do not depend on it, memory does */
  size_t tile_rows;  /* rows (examples, sequences, seeds) that are taken through all work at a time; 0: as many as
                        stay in cache.  Results depend on it in their rounding */
  size_t tape_bytes; /* that a loop may keep for the way back (of all rows in work); beyond, steps run again, as few as
                        a binomial schedule allows, at the least with one step's tape and the loop's start.  0: 128 MB.
                        Results do not depend on it */
  size_t held;       /* the first `held` inputs stay as they are from run to run: what depends on them alone is computed
                        by the first run and by the first one after tb_program_renew, and kept where it is not too
                        large.  Inputs keep their places; the arrays are passed to every run all the same */
} tb_program_options;

typedef struct tb_program tb_program;
/* Compiles the graph for these outputs.  inputs of a run come in the order in which tb_input was called on the graph
 * (all of them; NULL is allowed for one that no output needs).  options may be NULL.  The program keeps what it needs:
 * the graph may be freed. */
tb_status tb_program_new(tb_context *, tb_graph *, size_t n_out, const tb_value *outputs, const tb_program_options *,
                         tb_program **);
void tb_program_free(tb_program *);
/* Runs it: row-major arrays of each input's and output's type and shape. */
tb_status tb_program_run(tb_program *, size_t n_in, const void *const *inputs, size_t n_out, void *const *outputs);
void tb_program_renew(tb_program *); /* the held inputs have changed */
tb_status tb_program_print(const tb_program *, tb_text *);
typedef struct tb_cost {
  double flop;        /* multiply-add counts 2, a transcendental counts 1 */
  double bytes;       /* read and written by the nodes */
  double arena_bytes; /* memory of one execution */
} tb_cost;
tb_cost tb_program_cost(const tb_program *);

/* ---- the machine ---- */

/* The kernel table that programs made now compute with: "v4" (AVX-512), "v3" (AVX2), "v2" (SSE4.2) or "generic".  It is
 * the best that the processor can run, or the one that the environment variable TIEBREAK_KERNELS names. */
const char *tb_kernels_name(void);
/* Multiply-adds, counted twice, in 10⁹ per second that one core reaches in registers with those kernels, measured for
 * some milliseconds. */
double tb_machine_peak(tb_dtype);

/* ---- the same calls without the place ---- */
#define tb_input(...)                       tb_input_at(TB_HERE, __VA_ARGS__)
#define tb_scalar(...)                      tb_scalar_at(TB_HERE, __VA_ARGS__)
#define tb_fill(...)                        tb_fill_at(TB_HERE, __VA_ARGS__)
#define tb_constant(...)                    tb_constant_at(TB_HERE, __VA_ARGS__)
#define tb_iota(...)                        tb_iota_at(TB_HERE, __VA_ARGS__)
#define tb_negate(g, a)                     tb_unary_at(TB_HERE, g, TB_NEGATE, a)
#define tb_absolute(g, a)                   tb_unary_at(TB_HERE, g, TB_ABSOLUTE, a)
#define tb_sign(g, a)                       tb_unary_at(TB_HERE, g, TB_SIGN, a)
#define tb_exp(g, a)                        tb_unary_at(TB_HERE, g, TB_EXP, a)
#define tb_log(g, a)                        tb_unary_at(TB_HERE, g, TB_LOG, a)
#define tb_log1p(g, a)                      tb_unary_at(TB_HERE, g, TB_LOG1P, a)
#define tb_expm1(g, a)                      tb_unary_at(TB_HERE, g, TB_EXPM1, a)
#define tb_sqrt(g, a)                       tb_unary_at(TB_HERE, g, TB_SQRT, a)
#define tb_reciprocal(g, a)                 tb_unary_at(TB_HERE, g, TB_RECIPROCAL, a)
#define tb_square(g, a)                     tb_unary_at(TB_HERE, g, TB_SQUARE, a)
#define tb_sin(g, a)                        tb_unary_at(TB_HERE, g, TB_SIN, a)
#define tb_cos(g, a)                        tb_unary_at(TB_HERE, g, TB_COS, a)
#define tb_tanh(g, a)                       tb_unary_at(TB_HERE, g, TB_TANH, a)
#define tb_erf(g, a)                        tb_unary_at(TB_HERE, g, TB_ERF, a)
#define tb_sigmoid(g, a)                    tb_unary_at(TB_HERE, g, TB_SIGMOID, a)
#define tb_softplus(g, a)                   tb_unary_at(TB_HERE, g, TB_SOFTPLUS, a)
#define tb_relu(g, a)                       tb_unary_at(TB_HERE, g, TB_RELU, a)
#define tb_gelu(g, a)                       tb_unary_at(TB_HERE, g, TB_GELU, a)
#define tb_log_sigmoid(g, a)                tb_unary_at(TB_HERE, g, TB_LOG_SIGMOID, a)
#define tb_floor(g, a)                      tb_unary_at(TB_HERE, g, TB_FLOOR, a)
#define tb_log_normal_cdf(g, a)             tb_unary_at(TB_HERE, g, TB_LOG_NORMAL_CDF, a)
#define tb_unary(g, f, a)                   tb_unary_at(TB_HERE, g, f, a)
#define tb_unary_derivative(g, f, order, a) tb_unary_derivative_at(TB_HERE, g, f, order, a)
#define tb_add(g, a, b)                     tb_binary_at(TB_HERE, g, TB_ADD, a, b)
#define tb_subtract(g, a, b)                tb_binary_at(TB_HERE, g, TB_SUBTRACT, a, b)
#define tb_multiply(g, a, b)                tb_binary_at(TB_HERE, g, TB_MULTIPLY, a, b)
#define tb_divide(g, a, b)                  tb_binary_at(TB_HERE, g, TB_DIVIDE, a, b)
#define tb_maximum(g, a, b)                 tb_binary_at(TB_HERE, g, TB_MAXIMUM, a, b)
#define tb_minimum(g, a, b)                 tb_binary_at(TB_HERE, g, TB_MINIMUM, a, b)
#define tb_less(g, a, b)                    tb_binary_at(TB_HERE, g, TB_LESS, a, b)
#define tb_less_equal(g, a, b)              tb_binary_at(TB_HERE, g, TB_LESS_EQUAL, a, b)
#define tb_equal(g, a, b)                   tb_binary_at(TB_HERE, g, TB_EQUAL, a, b)
#define tb_power(...)                       tb_power_at(TB_HERE, __VA_ARGS__)
#define tb_scale(...)                       tb_scale_at(TB_HERE, __VA_ARGS__)
#define tb_shift(...)                       tb_shift_at(TB_HERE, __VA_ARGS__)
#define tb_select(...)                      tb_select_at(TB_HERE, __VA_ARGS__)
#define tb_cast(...)                        tb_cast_at(TB_HERE, __VA_ARGS__)
#define tb_stop(...)                        tb_stop_at(TB_HERE, __VA_ARGS__)
#define tb_matmul(...)                      tb_matmul_at(TB_HERE, __VA_ARGS__)
#define tb_matvec(...)                      tb_matvec_at(TB_HERE, __VA_ARGS__)
#define tb_cholesky(...)                    tb_cholesky_at(TB_HERE, __VA_ARGS__)
#define tb_triangular_solve(...)            tb_triangular_solve_at(TB_HERE, __VA_ARGS__)
#define tb_solve(...)                       tb_solve_at(TB_HERE, __VA_ARGS__)
#define tb_reshape(...)                     tb_reshape_at(TB_HERE, __VA_ARGS__)
#define tb_transpose(...)                   tb_transpose_at(TB_HERE, __VA_ARGS__)
#define tb_broadcast(...)                   tb_broadcast_at(TB_HERE, __VA_ARGS__)
#define tb_slice(...)                       tb_slice_at(TB_HERE, __VA_ARGS__)
#define tb_concat(...)                      tb_concat_at(TB_HERE, __VA_ARGS__)
#define tb_gather(...)                      tb_gather_at(TB_HERE, __VA_ARGS__)
#define tb_scatter_add(...)                 tb_scatter_add_at(TB_HERE, __VA_ARGS__)
#define tb_reduce(...)                      tb_reduce_at(TB_HERE, __VA_ARGS__)
#define tb_sum(g, a)                        tb_reduce_at(TB_HERE, g, TB_SUM, a, ~0u, false)
#define tb_mean(g, a)                       tb_reduce_at(TB_HERE, g, TB_MEAN, a, ~0u, false)
#define tb_softmax(...)                     tb_softmax_at(TB_HERE, __VA_ARGS__)
#define tb_log_softmax(...)                 tb_log_softmax_at(TB_HERE, __VA_ARGS__)
#define tb_normal(...)                      tb_normal_at(TB_HERE, __VA_ARGS__)
#define tb_uniform(...)                     tb_uniform_at(TB_HERE, __VA_ARGS__)
#define tb_scan(...)                        tb_scan_at(TB_HERE, __VA_ARGS__)
#define tb_vjp(...)                         tb_vjp_at(TB_HERE, __VA_ARGS__)
#define tb_jvp(...)                         tb_jvp_at(TB_HERE, __VA_ARGS__)
#define tb_gradient(...)                    tb_gradient_at(TB_HERE, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
