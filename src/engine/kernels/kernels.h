/* The kernel tables: what the executor may ask of the processor, one table an instruction set and number type.
 *
 * Every kernel accumulates each output in an order that depends on the shape alone, with explicit fused multiply-adds,
 * so the tables "v3" (AVX2) and "v4" (AVX-512) give the same bits; "generic" and "v2" have no fused multiply-add and
 * differ in rounding.  Kernels know nothing of graphs, allocate nothing and take no locks.  Arrays are row-major;
 * leading dimensions (ld…) and strides count elements.  Pointers need only the alignment of their type.  void pointers
 * are float for the 32-bit tables and double for the 64-bit ones. */
#ifndef TB_ENGINE_KERNELS_KERNELS_H
#define TB_ENGINE_KERNELS_KERNELS_H

#include <tiebreak/graph.h>

/* A pointwise operation over a rows × cols block.  out[r,c] = f(a[r,c], b[r,c] …).  Each operand has a row stride (0
 * repeats a row).  Which operands are scalars of their row is part of the kernel: for "vs" b is read once a row, at
 * b[r·ldb].  out may be exactly one of the operands with the same strides. */
typedef void tb_kernel_unary(size_t rows, size_t cols, void *out, size_t ldo, const void *a, size_t lda);
typedef void tb_kernel_pair(size_t rows, size_t cols, void *out0, size_t ldo0, void *out1, size_t ldo1, const void *a,
                            size_t lda);
typedef void tb_kernel_binary(size_t rows, size_t cols, void *out, size_t ldo, const void *a, size_t lda, const void *b,
                              size_t ldb);
typedef void tb_kernel_ternary(size_t rows, size_t cols, void *out, size_t ldo, const void *a, size_t lda,
                               const void *b, size_t ldb, const void *c, size_t ldc);

enum { TB_UNARY_COUNT = TB_LOG_NORMAL_CDF + 1, TB_BINARY_COUNT = TB_EQUAL + 1, TB_REDUCTION_COUNT = TB_LOGSUMEXP + 1 };

/* Forms of a binary operation by its operands: vector ∘ vector, vector ∘ row scalar, row scalar ∘ vector. */
enum { TB_VV, TB_VS, TB_SV, TB_FORM_COUNT };

/* Fused multiply-adds: a·b + c and c − a·b, b a vector or a scalar of its row. */
enum { TB_MULTIPLY_ADD, TB_NEGATIVE_MULTIPLY_ADD, TB_FUSED_COUNT };

typedef struct tb_kernel_math {
  tb_kernel_unary *unary[TB_UNARY_COUNT][4]; /* [function][order of derivative] */
  tb_kernel_pair *pair[TB_UNARY_COUNT];      /* value and first derivative together; NULL where it saves nothing */
  tb_kernel_pair *pair2[TB_UNARY_COUNT];     /* first and second derivative together, or NULL */
  tb_kernel_binary *power;                   /* a^b, b a scalar of its row; exact signs for integer b and a < 0 */
} tb_kernel_math;

/* A step of Adam over a block, m' = β₁ m + (1 − β₁) g, v' = β₂ v + (1 − β₂) g²,
 *   θ' = kept θ − rate (c₁ m')/(√(c₂ v') + ε),
 * numbers being β₁, 1 − β₁, β₂, 1 − β₂, ε.  rate, c₁, c₂ and kept (NULL: 1) are scalars of their row.  Each output may
 * be one of the inputs with the same strides. */
enum { TB_ADAM_THETA, TB_ADAM_M, TB_ADAM_V, TB_ADAM_G, TB_ADAM_VECTORS };
enum { TB_ADAM_RATE, TB_ADAM_C1, TB_ADAM_C2, TB_ADAM_SCALARS };
enum { TB_ADAM_OUTPUTS = 3, TB_ADAM_NUMBERS = 6 };
typedef void tb_kernel_adam(size_t rows, size_t cols, const double numbers[TB_ADAM_NUMBERS],
                            void *const out[TB_ADAM_OUTPUTS], const size_t ldo[TB_ADAM_OUTPUTS],
                            const void *const in[TB_ADAM_VECTORS], const size_t ldi[TB_ADAM_VECTORS],
                            const void *const scalars[TB_ADAM_SCALARS], const size_t lds[TB_ADAM_SCALARS]);

typedef struct tb_kernel_pointwise {
  tb_kernel_binary *binary[TB_BINARY_COUNT][TB_FORM_COUNT];
  tb_kernel_ternary *fused[TB_FUSED_COUNT][2]; /* [.][b is a scalar of its row] */
  tb_kernel_ternary *select;                   /* a ≠ 0 ? b : c */
  tb_kernel_unary *copy;
  tb_kernel_adam *adam;
  tb_kernel_unary *spread; /* out[r,c] = a[r·lda]: a row scalar made a vector */
} tb_kernel_pointwise;

/* c[m×n] = alpha·op(a)[m×k]·op(b)[k×n] + beta·d[m×n] (TB_PLUS; beta = 0 does not read d), and with k ≤ TB_GEMM_DEPTH
 * also the positive part of that (TB_PLUS_POSITIVE), or alpha·op(a)·op(b) element by element times d (TB_TIMES) or zero
 * where d is not positive (TB_WHERE_POSITIVE), which do not use beta.  ldd = 0 repeats a row (a bias).  c must not
 * overlap a or b; it may be d.  scratch holds tb_kernels::gemm_scratch elements. */
enum { TB_GEMM_DEPTH = 256 }; /* longest sum that is kept in registers */
typedef enum tb_gemm_with { TB_PLUS, TB_PLUS_POSITIVE, TB_TIMES, TB_WHERE_POSITIVE } tb_gemm_with;
static inline bool tb_gemm_multiplies(tb_gemm_with with) {
  return with == TB_TIMES || with == TB_WHERE_POSITIVE;
}
typedef void tb_kernel_gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, double alpha,
                            const void *a, size_t lda, const void *b, size_t ldb, tb_gemm_with with, double beta,
                            const void *d, size_t ldd, void *c, size_t ldc, void *scratch);

typedef struct tb_kernel_reduce {
  /* out[o, i] = reduction over r of a[o, r, i]; strides in elements; the last stride of a is 1 where inner > 1.
   * TB_SUM, TB_MAX, TB_MIN, TB_LOGSUMEXP; a mean is a scaled sum (NULL). */
  void (*reduce[TB_REDUCTION_COUNT])(size_t outer, size_t count, size_t inner, const void *a, size_t stride_outer,
                                     size_t stride_count, void *out);
  void (*softmax)(size_t rows, size_t cols, const void *a, void *out);
  void (*log_softmax)(size_t rows, size_t cols, const void *a, void *out);
} tb_kernel_reduce;

typedef struct tb_kernel_move {
  size_t element; /* bytes */
  /* out[c, r] = a[r, c] */
  void (*transpose)(size_t rows, size_t cols, const void *a, size_t lda, void *out, size_t ldo);
  /* out[o, j, i] = a[o, index[j], i]; an index outside [0, length) gives zeros */
  void (*gather)(size_t outer, size_t length, size_t inner, const void *a, size_t count, const int32_t *index,
                 void *out);
  /* out[o, index[j], i] += a[o, j, i] after out = 0, in order of j; an index outside is left out */
  void (*scatter_add)(size_t outer, size_t length, size_t inner, const void *a, size_t count, const int32_t *index,
                      void *out);
} tb_kernel_move;

/* Lower Cholesky factors and triangular solves of dense row-major matrices.  scratch holds TB_FACTOR_BLOCK·n +
 * tb_kernels::gemm_scratch elements. */
enum { TB_FACTOR_BLOCK = 64 };
typedef struct tb_kernel_factor {
  /* The factor in place of the lower triangle of a[n×n], zeros above it; false, and a is no use, where a pivot is not
   * positive. */
  bool (*cholesky)(size_t n, void *a, void *scratch);
  /* b[n×k] ← L⁻¹ b or L⁻ᵀ b, from the lower triangle of l[n×n] */
  void (*triangular_solve)(bool transpose, size_t n, size_t k, const void *l, void *b, void *scratch);
} tb_kernel_factor;

/* Products through some entries of a rows × cols matrix, grouped by row: those of row i are start[i] … start[i + 1] −
 * 1, in the columns col[e]. */
typedef struct tb_kernel_sampled {
  /* out[e] = Σ_p a[row of e, p] b[col[e], p], p < k */
  void (*products)(size_t rows, size_t k, const int32_t *start, const int32_t *col, const void *a, size_t lda,
                   const void *b, size_t ldb, void *out);
  /* out[i, p] = Σ_e value[e] b[col[e], p] over the entries of row i, p < k; with order, value[order[e]]. */
  void (*combine)(size_t rows, size_t k, const int32_t *start, const int32_t *order, const int32_t *col,
                  const void *value, const void *b, size_t ldb, void *out, size_t ldo);
} tb_kernel_sampled;

/* One head of attention: out[queries×value_width] = softmax(scale q[queries×width] k[keys×width]ᵀ + bias) v, and from
 * bar, the cotangent of out, those of q, k and v.  bias[queries×keys] may be NULL.  A query sees the first seen[.] ≥ 1
 * keys, with NULL all of them; what it does not see has weight 0, and keys that no query of a block sees are not read.
 * scratch: elements, of either. */
typedef struct tb_attention {
  size_t queries, keys, width, value_width;
  double scale;
  const int32_t *seen;                      /* [queries] */
  size_t ld_q, ld_k, ld_v, ld_bias, ld_out; /* ld_out also of bar */
  size_t ld_q_bar, ld_k_bar, ld_v_bar;
} tb_attention;
typedef struct tb_kernel_attention {
  size_t (*scratch)(const tb_attention *, bool reverse);
  void (*forward)(const tb_attention *, const void *q, const void *k, const void *v, const void *bias, void *out,
                  void *scratch);
  void (*backward)(const tb_attention *, const void *q, const void *k, const void *v, const void *bias, const void *bar,
                   void *q_bar, void *k_bar, void *v_bar, void *scratch);
} tb_kernel_attention;

/* Attention of one query over `count` ≥ 1 remembered keys and values: out[width] = Σ_j w_j v_j, w = softmax(q·k_j +
 * slope (j − last)).  memory holds blocks of `places` places, [block][keys, values][width][places]; the last block is
 * whole, its rest anything finite.  scratch: a number for each place of each block. */
typedef struct tb_kernel_recall {
  size_t places;
  void (*run)(size_t count, size_t width, const void *q, const void *memory, double slope, void *out, void *scratch);
} tb_kernel_recall;

/* Layer norm of rows: out = (x − mean)/√(var + ε) times gain[cols] plus shift[cols], and from bar, the cotangent of
 * out, those of x, gain and shift (summed over rows; NULL: not wanted).  scratch: elements, of either. */
typedef struct tb_layer_norm {
  size_t rows, cols, ld_x, ld_out, ld_bar, ld_rest, ld_x_bar;
  double epsilon;
} tb_layer_norm;
typedef struct tb_kernel_norm {
  size_t (*scratch)(const tb_layer_norm *, bool reverse);
  void (*forward)(const tb_layer_norm *, const void *x, const void *gain, const void *shift, void *out, void *scratch);
  void (*backward)(const tb_layer_norm *, const void *x, const void *gain, const void *bar, const void *rest,
                   void *x_bar, void *gain_bar, void *shift_bar, void *scratch);
} tb_kernel_norm;

/* Two layers with a positive part between them: out[rows×out] = relu(x[rows×in] first[in×hidden] + bias[hidden])
 * second[hidden×out], in and out at most TB_FEED_MOST; and from bar, the cotangent of out, those of x, first, bias and
 * second (of x and bias NULL: not wanted), with ȳ times second[out×hidden] and d times back[hidden×in].  scratch:
 * elements, of either. */
enum { TB_FEED_MOST = 12 };
typedef struct tb_feed_strides { /* of rows and of columns, in elements */
  size_t row, col;
} tb_feed_strides;
typedef struct tb_feed_forward {
  size_t rows, in, hidden, out, ld_x, ld_out, ld_bar, ld_x_bar, bias_step;
  tb_feed_strides first, second, back;
  tb_feed_strides first_bar, second_bar; /* [in×hidden], [out×hidden] */
} tb_feed_forward;
typedef struct tb_kernel_feed {
  size_t (*scratch)(const tb_feed_forward *, bool reverse);
  void (*forward)(const tb_feed_forward *, const void *x, const void *first, const void *bias, const void *second,
                  void *out, void *scratch);
  void (*backward)(const tb_feed_forward *, const void *x, const void *first, const void *bias, const void *second_back,
                   const void *back, const void *bar, void *x_bar, void *first_bar, void *bias_bar, void *second_bar,
                   void *scratch);
} tb_kernel_feed;

typedef struct tb_kernels {
  const char *name; /* "generic", "v2", "v3", "v4" */
  tb_dtype dtype;
  size_t lanes;        /* of a vector */
  size_t gemm_scratch; /* elements that gemm wants */
  tb_kernel_gemm *gemm;
  const tb_kernel_math *math;
  const tb_kernel_pointwise *pointwise;
  const tb_kernel_reduce *reduce;
  const tb_kernel_move *move;
  const tb_kernel_factor *factor;
  const tb_kernel_sampled *sampled;
  const tb_kernel_attention *attention;
  const tb_kernel_recall *recall;
  const tb_kernel_norm *norm;
  const tb_kernel_feed *feed;
  double (*peak)(void); /* multiply-adds counted twice, per second on this core, measured for some milliseconds */
} tb_kernels;

/* The tables of this build, best first, ended by NULL: those the processor can run. */
enum { TB_KERNELS_MAX = 4 };
size_t tb_kernels_available(tb_dtype, const tb_kernels *tables[TB_KERNELS_MAX]);
/* The table to use: the best that the processor can run, or the one that the environment variable TIEBREAK_KERNELS
 * (generic, v2, v3, v4) names.  Errors: TB_USAGE when it names none, or one that the processor cannot run. */
tb_status tb_kernels_choose(tb_context *, tb_dtype, const tb_kernels **);

#endif
