/* Drift networks v̂(x, t) trained on an analytic family, to be held against the constructed one.
 *
 * A multi-layer perceptron of (x, t), last layer 0 at the start, by Adam with a cosine schedule on one of
 *
 *   score    denoising score matching, E τ ‖v̂(x_t, t) − c (y − c x_t)/(σ²τ)‖² over y ~ π and t uniform on [0, 1],
 *            whose minimum is the exact drift E[c (y − c x_t)/(σ²τ) | x_t] (c, τ as in semigroup.h)
 *   control  KL(Q‖P) on Q's chain: E_Q [Σ push²/(2 shake²) ‖v̂‖² − ln f(y_K)] (girsanov.h)
 */
#ifndef TB_DIFFUSION_TRAINED_H
#define TB_DIFFUSION_TRAINED_H

#include <tiebreak/graph.h>

#include "diffusion/girsanov.h"
#include "model/model.h"

typedef enum tb_drift_objective { TB_OBJECTIVE_SCORE, TB_OBJECTIVE_CONTROL } tb_drift_objective;

typedef struct tb_trained_shape {
  const tb_family *family; /* must last */
  tb_diffusion process;
  tb_drift_objective objective;
  tb_dtype dtype;
  int depth;    /* weight layers */
  size_t width; /* of hidden layers */
  size_t batch;
  uint64_t iterations;
  size_t steps; /* of the chain (control) */
  double lr;
  uint64_t seed;
} tb_trained_shape;

typedef struct tb_trained tb_trained;
tb_status tb_trained_new(tb_context *, const tb_trained_shape *, tb_trained **);
void tb_trained_free(tb_trained *); /* NULL is allowed */
size_t tb_trained_parameters(const tb_trained_shape *);
/* Inputs, hidden units and outputs. */
size_t tb_trained_nodes(const tb_trained_shape *);

/* One step; loss is that before the update. */
tb_status tb_trained_step(tb_trained *, double *loss);
uint64_t tb_trained_steps(const tb_trained *);
size_t tb_trained_size(const tb_trained *); /* bytes of a checkpoint */
void tb_trained_save(const tb_trained *, void *block);
void tb_trained_restore(tb_trained *, const void *block);

/* v̂ as it stands: a tb_drift_map's function, user is the tb_trained. */
tb_status tb_trained_at(void *trained, double t, size_t n, const double *x, double *drift);

#endif
