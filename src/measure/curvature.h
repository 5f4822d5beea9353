/* Curvature of any function of the parameters that a graph can say: products with its Hessian, Gauss–Newton matrix,
 * Fisher matrix and empirical Fisher matrix, k vectors in one run of one program.
 *
 * With outputs f_i(θ) ∈ ℝᶜ of rows i, J_i = ∂f_i/∂θ [c×p], losses ℓ_i(f_i) and L = Σ_i w_i ℓ_i:
 *   Hessian            ∇²L
 *   Gauss–Newton       Σ_i w_i J_iᵀ (∂²ℓ_i/∂f_i²) J_i   (Schraudolph 2002)
 *   Fisher             Σ_i w_i E_{y ~ p(y | f_i)} g_i(y) g_i(y)ᵀ: for these three losses, whose f are natural
 *                      parameters, it is the Gauss–Newton matrix (Martens 2020, section 9)
 *   empirical Fisher   Σ_i w_i g_i g_iᵀ at the labels given, g_i = J_iᵀ ∂ℓ_i/∂f_i: not the Fisher matrix (Kunstner,
 *                      Hennig and Balles 2019) */
#ifndef TB_MEASURE_CURVATURE_H
#define TB_MEASURE_CURVATURE_H

#include "measure/operator.h"
#include "model/model.h"

/* ℓ(f; y) of a row. */
typedef enum tb_row_loss {
  TB_ROW_NONE,     /* the function is L itself: Hessian only */
  TB_ROW_SQUARE,   /* ½ ‖f − y‖², y ∈ ℝᶜ: a Gaussian of unit variance */
  TB_ROW_LOGISTIC, /* Σ_c log(1 + exp(−y_c f_c)), y_c = ±1 */
  TB_ROW_SOFTMAX   /* −log softmax(f)_y, y ∈ {0, …, c − 1} */
} tb_row_loss;

typedef enum tb_curvature_kind {
  TB_HESSIAN,
  TB_GAUSS_NEWTON,
  TB_FISHER,
  TB_EMPIRICAL_FISHER,
} tb_curvature_kind;

/* An array that the function reads beside the parameters. */
typedef struct tb_function_data {
  bool integer; /* values are int32_t, a TB_INT32 input; else double, an input of the function's dtype */
  size_t rank, dims[TB_MAX_RANK];
  const void *values;
} tb_function_data;

enum { TB_FUNCTION_DATA = 4 };

/* A function of parameters, and the loss that is put on it. */
typedef struct tb_function {
  size_t parameters; /* p */
  tb_dtype dtype;    /* programs compute in it: TB_FLOAT32 or TB_FLOAT64 */
  size_t data_count;
  tb_function_data data[TB_FUNCTION_DATA];
  /* theta[R,p] → TB_ROW_NONE: [R]; else outputs [R,n] or [R,n,c]; for any R ≥ 1 */
  tb_value (*build)(void *user, tb_graph *, tb_value theta, const tb_value *data);
  void *user;
  tb_row_loss loss;
  /* targets: square and logistic [n×c], softmax [n] (whole numbers); the Hessian of any loss and the empirical Fisher
   * read them.  weights[n] ≥ 0; NULL: 1/n each. */
  const double *targets, *weights;
} tb_function;

/* A model of the table on x[n×d] as a function, outputs [R,n]; m is the caller's and must live while programs are
 * made. */
typedef struct tb_model_function {
  const tb_model *model;
  const tb_model_shape *shape;
} tb_model_function;
tb_function tb_function_of_model(const tb_model_function *m, tb_dtype, size_t n, const double *x, tb_row_loss,
                                 const double *targets);

typedef struct tb_curvature tb_curvature;

/* Compiles the product with `block` ≥ 1 vectors at once: parameters get a leading axis of that length, of which the
 * tangents make use, so that products with weights are matrix products.  Data, targets and weights are copied.  Starts
 * at θ = 0.  Errors: TB_USAGE for a kind that the loss does not admit, TB_BAD_DATA for targets that are none; mistakes
 * of the builder. Cost of an application: a Hessian product is 4 to 5 passes forward a vector, Gauss–Newton 3 to 4;
 * memory as a training step of `block` replicas. */
tb_status tb_curvature_new(tb_context *, const tb_function *, tb_curvature_kind, size_t block, tb_curvature **);
void tb_curvature_free(tb_curvature *); /* NULL is allowed */
/* Moves to the point θ[p], which is copied. */
void tb_curvature_move(tb_curvature *, const double *theta);
/* The operator at the point where it stands; it moves along.  One thread at a time. */
tb_operator tb_curvature_operator(tb_curvature *);

#endif
