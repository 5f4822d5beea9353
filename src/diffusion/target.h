/* Densities to sample from, known up to their normaliser: γ = Z π, as graphs. */
#ifndef TB_DIFFUSION_TARGET_H
#define TB_DIFFUSION_TARGET_H

#include <tiebreak/graph.h>

typedef struct tb_target tb_target;
struct tb_target {
  const char *name;
  size_t dims; /* d */
  double location, spread;
  double log_normaliser; /* ln Z */
  /* y[…,d] → ln γ(y) […] */
  tb_value (*log_density)(const tb_target *, tb_graph *, tb_value y);
};

/* N(location·1, spread² I) times Z. */
tb_target tb_target_gaussian(size_t dims, double location, double spread, double log_normaliser);
/* Neal's funnel (2003): N(y_1; 0, spread²) Π_{i>1} N(y_i; 0, e^{y_1}), ln Z = 0; spread 3 is usual, 1 the easy one. */
tb_target tb_target_funnel(size_t dims, double spread);

/* ∇ ln γ(y) […,d], taken as constant by later derivatives. */
tb_value tb_target_score(const tb_target *, tb_graph *, tb_value y);

#endif
