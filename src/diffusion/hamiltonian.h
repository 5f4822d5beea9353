/* Hamiltonian moves: a point with momentum and gradient, H(q, p) = −ln γ(q) + ½ pᵀM⁻¹p, and the leapfrog step. */
#ifndef TB_DIFFUSION_HAMILTONIAN_H
#define TB_DIFFUSION_HAMILTONIAN_H

#include "diffusion/density.h"

typedef struct tb_phase {
  double *q, *p, *gradient; /* [d] each, in a row */
  double log_density;
} tb_phase;

typedef struct tb_hamiltonian {
  tb_density *density;
  size_t d;
  const double *inverse; /* [d]: diagonal of M⁻¹ */
  double step;
} tb_hamiltonian;

/* A phase in the arena, zero; NULL q on exhaustion. */
tb_phase tb_phase_new(tb_arena *, size_t d);
void tb_phase_copy(size_t d, const tb_phase *from, tb_phase *to);
/* p ~ N(0, M), from the key's normals `number`. */
void tb_momentum_draw(const tb_hamiltonian *, tb_key, uint64_t number, double *p);
double tb_energy(const tb_hamiltonian *, const tb_phase *);
/* Leapfrog of size direction·step. */
tb_status tb_leapfrog(const tb_hamiltonian *, double direction, tb_phase *);
/* A step for which one leapfrog from the phase's q is accepted with about 0.8 (Stan's heuristic); uses up p. */
tb_status tb_step_guess(tb_hamiltonian *, tb_key, uint64_t number, tb_phase *, tb_phase *scratch);

#endif
