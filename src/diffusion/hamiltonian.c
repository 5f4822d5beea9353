/* The moves of hamiltonian.h. */
#include "diffusion/hamiltonian.h"

#include <math.h>
#include <string.h>

tb_phase tb_phase_new(tb_arena *arena, size_t d) {
  double *block = tb_arena_allocate(arena, 3 * d, sizeof *block);
  return block ? (tb_phase){ .q = block, .p = block + d, .gradient = block + 2 * d } : (tb_phase){ 0 };
}

void tb_phase_copy(size_t d, const tb_phase *from, tb_phase *to) {
  memcpy(to->q, from->q, 3 * d * sizeof *from->q);
  to->log_density = from->log_density;
}

void tb_momentum_draw(const tb_hamiltonian *h, tb_key key, uint64_t number, double *p) {
  tb_random_normal(key, number * h->d, h->d, p);
  for (size_t j = 0; j < h->d; j++)
    p[j] /= sqrt(h->inverse[j]);
}

double tb_energy(const tb_hamiltonian *h, const tb_phase *z) {
  double kinetic = 0;
  for (size_t j = 0; j < h->d; j++)
    kinetic += h->inverse[j] * z->p[j] * z->p[j];
  return 0.5 * kinetic - z->log_density;
}

tb_status tb_leapfrog(const tb_hamiltonian *h, double direction, tb_phase *z) {
  const double step = direction * h->step;
  for (size_t j = 0; j < h->d; j++) {
    z->p[j] += 0.5 * step * z->gradient[j];
    z->q[j] += step * h->inverse[j] * z->p[j];
  }
  tb_status status = tb_density_values(h->density, 1, z->q, &z->log_density, z->gradient);
  for (size_t j = 0; j < h->d; j++)
    z->p[j] += 0.5 * step * z->gradient[j];
  return status;
}

tb_status tb_step_guess(tb_hamiltonian *h, tb_key key, uint64_t number, tb_phase *z, tb_phase *scratch) {
  int direction = 0;
  for (int i = 0; i < 60; i++) {
    key.step = (uint32_t)i;
    tb_momentum_draw(h, key, number, z->p);
    tb_phase_copy(h->d, z, scratch);
    tb_status status = tb_leapfrog(h, 1, scratch);
    if (status)
      return status;
    const double change = tb_energy(h, z) - tb_energy(h, scratch);
    const int wish = change > log(0.8) ? 1 : -1; /* a NaN asks for less */
    if (direction && wish != direction)
      break;
    direction = wish;
    h->step = direction == 1 ? 2 * h->step : 0.5 * h->step;
    if (!(h->step < 1e7 && h->step > 1e-12))
      break;
  }
  return TB_OK;
}
