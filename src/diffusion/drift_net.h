/* The drift network of Denoising Diffusion Samplers (Vargas, Grathwohl & Doucet 2023; Zhang & Chen 2022):
 *
 *   e(t) = sin, cos of c_j t + p_j,  c = 0.1 … 100 evenly, j = 1 … h, phases p learned
 *   f(y, t) = clip(S(y, T(e(t))), ±10⁴) + G(e(t)) ⊙ clip(∇ln γ(y), ±10²)
 *
 * T, S and G are multi-layer perceptrons with GELU.  T and G know the time only, so they are evaluated once for all
 * steps of a chain, as is what T gives to the first layer of S; a step costs S alone. */
#ifndef TB_DIFFUSION_DRIFT_NET_H
#define TB_DIFFUSION_DRIFT_NET_H

#include <tiebreak/graph.h>
#include <tiebreak/random.h>

typedef struct tb_drift_shape {
  size_t dims;   /* d */
  size_t width;  /* h, at least 2; 64 is usual */
  size_t layers; /* hidden layers of S (and of G, besides its first); at most TB_DRIFT_LAYERS; 2 is usual */
} tb_drift_shape;

enum { TB_DRIFT_LAYERS = 16, TB_DRIFT_WEIGHTS = 2 * TB_DRIFT_LAYERS + 1 };

/* Refuses shapes that make no sense or no sane size (TB_USAGE). */
tb_status tb_drift_check(tb_context *, const tb_drift_shape *);
/* p; SIZE_MAX when it overflows.  39,316 for d 10, h 64, 2 layers. */
size_t tb_drift_parameters(const tb_drift_shape *);
/* The k-th block in theta: p [1,h]; T1 [h,2h], t1, T2 [h,h], t2; S1 [h,d+h], s1, S2 [h,h], s2, …, last [d,h] and its
 * bias; G1 [h,2h], g1, G2 [h,h], g2, …, last [d,h] and its bias.  False past the last. */
bool tb_drift_block(const tb_drift_shape *, size_t k, char name[32], size_t *rows, size_t *cols);
/* theta[p]: weights N(0, 1/inputs), the last layers of S and G, all biases and phases zero: f = 0. */
void tb_drift_initialise(const tb_drift_shape *, tb_key key, double *theta);

/* The network made ready for a chain of K times: what depends on time, and the weights of S that are left. */
typedef struct tb_drift {
  tb_value bias; /* [K,R,1,h]: S1's part of T(e(t)) with its bias */
  tb_value gate; /* [K,R,1,d]: G(e(t)) */
  size_t count;
  tb_value weights[TB_DRIFT_WEIGHTS]; /* S1's part of y [R,h,d], then weights and bias of each further layer */
} tb_drift;

/* theta[R,p], times[K] */
tb_drift tb_drift_prepare(tb_graph *, const tb_drift_shape *, tb_value theta, tb_value times);
/* f [R,B,d] of y and score = ∇ln γ(y) [R,B,d] at one time: weights as above, bias[R,1,h] and gate[R,1,d] of that time
 * (handles of the graph in which the step is built). */
tb_value tb_drift_step(tb_graph *, const tb_drift_shape *, const tb_value *weights, tb_value bias, tb_value gate,
                       tb_value y, tb_value score);

#endif
