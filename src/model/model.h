/* A model is a record of graph builders over one parameter vector.
 *
 * theta has shape [R, p]: R replicas (seeds, copies for a Jacobian) of the p parameters.  Builders never loop over R.
 */
#ifndef TB_MODEL_MODEL_H
#define TB_MODEL_MODEL_H

#include <tiebreak/graph.h>
#include <tiebreak/options.h>
#include <tiebreak/random.h>

typedef struct tb_model_shape {
  size_t inputs;        /* d */
  int depth;            /* weight layers */
  size_t width;         /* of hidden layers */
  const size_t *widths; /* optional: all hidden widths, depth − 1 of them */
  tb_unary activation;
  size_t outputs; /* of an mlp; 0 stands for the single output that all others have */
} tb_model_shape;

enum { TB_MAX_LAYERS = 64 };

/* An affine layer z = W a (+ b) as a forward pass met it. */
typedef struct tb_layer {
  tb_value input;  /* a [R,n,in], of the first layer as x was given */
  tb_value output; /* z [R,n,out] */
  bool bias;
} tb_layer;

typedef struct tb_model {
  const char *name, *summary, *formula, *source;
  /* Number of parameters p; SIZE_MAX when it overflows. */
  size_t (*parameters)(const tb_model_shape *);
  /* Name and shape of the k-th parameter block, for printing; returns false past the last. */
  bool (*block)(const tb_model_shape *, size_t k, char name[32], size_t *rows, size_t *cols);
  /* Start: theta[p] from scale and key; start[d] (may be NULL): the predictor to start from, where the model can. */
  /* dense, mlp: theta ~ N(0, scale²); diagonal: u = v = scale ≥ 0; linear: scale is not used.  TB_USAGE where a start
   * is not possible. */
  tb_status (*initialise)(tb_context *, const tb_model_shape *, double scale, const double *start, tb_key key,
                          double *theta);
  /* theta[R,p] → predictor [R,d]; NULL where the model has none. */
  tb_value (*predictor)(tb_graph *, const tb_model_shape *, tb_value theta);
  /* theta[R,p], x[n,d] (shared) or x[R,n,d] → outputs [R,n], or [R,n,outputs] where there are several. */
  tb_value (*output)(tb_graph *, const tb_model_shape *, tb_value theta, tb_value x);
  bool (*can_start)(const tb_model_shape *); /* accepts a start predictor */
  /* output, and its affine layers in order (at most TB_MAX_LAYERS): every parameter belongs to exactly one of them.
   * NULL where the model isn't made so. */
  tb_value (*layers)(tb_graph *, const tb_model_shape *, tb_value theta, tb_value x, tb_layer *layers, size_t *count);
} tb_model;

/* The table, ended by NULL: linear, diagonal, dense, mlp. */
const tb_model *const *tb_models(void);
const tb_model *tb_model_find(const char *name);

/* Refuses shapes that make no sense or no sane size (TB_USAGE): no inputs, depth out of range, an empty layer, more
 * than 2^28 parameters. */
tb_status tb_model_check(tb_context *, const tb_model *, const tb_model_shape *);

#endif
