/* Training by minibatches: a step of R replicas — losses, gradients, clipping, update — is one compiled program.
 *
 * Replicas (seeds) share the network and the shapes of their data, nothing else: each has its own parameters, batch,
 * noise and learning rate.  What a step depends on is its arguments, the parameters and the state; nothing is hidden,
 * so that a saved training goes on to the same bits.
 *
 *   gd        θ ← θ − η g
 *   momentum  v ← μ v + g,  θ ← θ − η v
 *   adam      as optim/adam.c; with decay λ > 0 decoupled (Loshchilov & Hutter 2019): θ ← θ (1 − ηλ) − η m̂/(√v̂ + ε)
 *   none      θ stays; the gradient is there to read, for whoever updates θ otherwise */
#ifndef TB_OPTIM_TRAINING_H
#define TB_OPTIM_TRAINING_H

#include <tiebreak/graph.h>

typedef enum tb_update { TB_UPDATE_GD, TB_UPDATE_MOMENTUM, TB_UPDATE_ADAM, TB_UPDATE_NONE } tb_update;

/* An array that comes with every step. */
typedef struct tb_training_input {
  const char *name;
  tb_dtype dtype;
  size_t rank, dims[TB_MAX_RANK];
} tb_training_input;

enum { TB_TRAINING_INPUTS = 8, TB_TRAINING_NOTES = 8 };

typedef struct tb_training_shape {
  tb_dtype dtype; /* of θ and of what is computed: TB_FLOAT32, TB_FLOAT64 */
  size_t replicas, parameters;
  tb_update update;
  double momentum, beta1, beta2, epsilon, decay;
  double clip_norm;  /* > 0: gradients of a replica longer than this are shortened to it */
  double clip_entry; /* > 0: entries of gradients are cut to ± this, before */
  size_t n_inputs;
  const tb_training_input *inputs;
  size_t n_notes;
  /* theta[R,p], the inputs, keys TB_INT32 [R,3] (a row: what tb_normal takes) → losses [R]; notes[n_notes]: further
   * values of shape [R] to report. */
  tb_value (*loss)(void *user, tb_graph *, tb_value theta, const tb_value *inputs, tb_value keys, tb_value *notes);
  void *user; /* used while the training is made, not afterwards */
} tb_training_shape;

typedef struct tb_training tb_training;
/* Compiles the step; θ and the state are zero.  options may be NULL.  Errors: of building loss; TB_USAGE. */
tb_status tb_training_new(tb_context *, const tb_training_shape *, const tb_program_options *options, tb_training **);
void tb_training_free(tb_training *); /* NULL is allowed */

/* One step.  inputs[n_inputs] are row-major arrays of the inputs' types; rates[R]; seeds[R] (NULL: all zero) and the
 * number of steps done make the keys.  losses[R] (may be NULL) and notes[n_notes·R] (may be NULL) are those before the
 * update.  Allocates nothing. */
tb_status tb_training_step(tb_training *, const void *const *inputs, const double *rates, const uint64_t *seeds,
                           double *losses, double *notes);
uint64_t tb_training_steps(const tb_training *); /* done so far */

/* θ [R,p] in the training's type: to read, and to fill for a start. */
void *tb_training_theta(tb_training *);
void tb_training_start(tb_training *, size_t replica, const double *theta); /* θ of a replica from float64[p] */
void tb_training_point(const tb_training *, size_t replica, double *theta); /* and back */
const void *tb_training_gradient(const tb_training *); /* [R,p] of the last step; TB_UPDATE_NONE only, else NULL */

/* Everything that the next steps depend on (θ, state, number of steps), as an opaque block of that many bytes. */
size_t tb_training_size(const tb_training *);
void tb_training_save(const tb_training *, void *block);
void tb_training_restore(tb_training *, const void *block);

tb_cost tb_training_cost(const tb_training *); /* of one step */
double tb_training_bytes(const tb_training *); /* all memory that it holds, data of a step included */

#endif
