/* A network that learns a score by predicting noise, and the loss that trains it.
 *
 *   loss = E |ε̂(α x_0 + σ ε, t) − ε|²/d,  x_0 from the data, ε ~ N(0, I), t uniform
 *
 * (denoising score matching: Vincent 2011; Ho, Jain & Abbeel 2020).  The network F is a perceptron of z = (x − αμ)/A
 * and of λ = log(α/σ), as sines and cosines; μ and s are the data's means and deviations, A² = α²s² + σ².
 * Preconditioned (Karras et al. 2022, for any α):
 *
 *   ε̂ = (σ/A) z + (αs/A) F
 *
 * which with F = 0 is the exact score of N(μ, diag s²), and which sees the same whatever the process, since z and λ are
 * what processes have in common.  Plain: ε̂ = F(x, t), t/T as it is and as sines and cosines. */
#ifndef TB_DIFFUSION_SCORE_NET_H
#define TB_DIFFUSION_SCORE_NET_H

#include "diffusion/reverse.h"
#include "model/model.h"

typedef struct tb_score_net {
  size_t dims, width;
  int depth; /* weight layers, at least 2 */
  tb_unary activation;
  bool preconditioned;
  const double *mean, *sd; /* [d] of the data: sd > 0 */
  double end;              /* T */
} tb_score_net;

/* TB_USAGE for shapes that make no sense or no sane size. */
tb_status tb_score_net_check(tb_context *, const tb_score_net *);
size_t tb_score_net_parameters(const tb_score_net *);
/* theta[p]: weights N(0, 2/inputs), the last layer and all biases zero. */
void tb_score_net_initialise(const tb_score_net *, tb_key key, double *theta);
/* theta[R,p], x[R,n,d], t, alpha and sigma [R,n,1] or [1,1,1] → ε̂ [R,n,d] */
tb_value tb_score_net_build(tb_graph *, const tb_score_net *, tb_value theta, tb_value x, tb_value t, tb_value alpha,
                            tb_value sigma);
/* theta[1,p], data[N,d], key as for tb_normal → the loss [1] over a batch of rows drawn with replacement, times
 * stratified over [first, last]. */
tb_value tb_score_net_loss(tb_graph *, const tb_score_net *, const tb_process *, double first, double last,
                           size_t batch, tb_value theta, tb_value data, tb_value key);

/* A trained network as a score for samplers: programs for any number of rows, `block` of them at a time. */
typedef struct tb_learned tb_learned;
tb_status tb_learned_new(tb_context *, const tb_score_net *, tb_dtype, size_t block, tb_learned **);
void tb_learned_free(tb_learned *);                     /* NULL is allowed */
void tb_learned_set(tb_learned *, const double *theta); /* [p], copied */
tb_score tb_learned_score(tb_learned *);

#endif
