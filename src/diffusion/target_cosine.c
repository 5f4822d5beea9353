/* cosine: π(x) = f(x) N(x; 0, I) with f(x) = 1 + Σ_k a_k (cos(w_k·x) − e^{−‖w_k‖²/2}), so that ∫ f dN = 1.
 *
 * The family satisfies the assumptions of the expressiveness theorem exactly: f and ∇f are Lipschitz and f ≥ c. */
#include "diffusion/target_cosine.h"

#include <math.h>

#include "diffusion/target_parts.h"

static tb_status open(tb_density *density, const tb_config *config) {
  size_t terms, dims;
  const double *frequencies, *amplitudes;
  tb_config_matrix(config, "frequencies", &terms, &dims, &frequencies);
  const size_t n_amplitudes = tb_config_reals(config, "amplitudes", &amplitudes);
  if (terms == 0 || dims == 0 || n_amplitudes != terms)
    return tb_fail(density->context, TB_USAGE, "option amplitudes",
                   "give one number a row of frequencies=", "frequencies= has %zu rows, amplitudes= %zu numbers", terms,
                   n_amplitudes);
  tb_cosine *c = density->self = tb_arena_allocate(density->arena, 1, sizeof *c);
  if (!c)
    return TB_NO_MEMORY;
  *c = (tb_cosine){ .terms = terms,
                    .dims = dims,
                    .frequencies = tb_density_copy(density, terms * dims, frequencies),
                    .amplitudes = tb_density_copy(density, terms, amplitudes),
                    .constant = 1 };
  if (!c->frequencies || !c->amplitudes)
    return TB_NO_MEMORY;
  double total = 0;
  for (size_t k = 0; k < terms; k++) {
    double square = 0;
    for (size_t j = 0; j < dims; j++)
      square += frequencies[k * dims + j] * frequencies[k * dims + j];
    c->constant -= amplitudes[k] * exp(-0.5 * square);
    total += fabs(amplitudes[k]);
  }
  c->least = c->constant - total;
  c->most = c->constant + total;
  if (!(c->least > 0) || !isfinite(c->most))
    return tb_fail(density->context, TB_USAGE, "option amplitudes", "give smaller amplitudes",
                   "f may be as small as %.3g, so f N(0, I) is no density", c->least);
  density->log_normaliser = 0;
  return tb_density_plain(density, dims);
}

static tb_value build(const tb_density *density, tb_graph *g, tb_value y) {
  const tb_cosine *c = density->self;
  const tb_value phase = tb_matmul(g, y, false, tb_numbers(g, y, c->terms, c->dims, c->frequencies), true);
  const tb_value waves = tb_multiply(g, tb_cos(g, phase), tb_numbers(g, y, 0, c->terms, c->amplitudes));
  const tb_value f = tb_shift(g, tb_sum_last(g, waves), c->constant);
  return tb_add(g, tb_log(g, f), tb_log_normal(g, y, 0, 1));
}

/* Rejection from N(0, I): attempt a of draw i has keys of its own. */
static void draw(const tb_density *density, tb_key key, uint64_t first, size_t n, double *x) {
  const tb_cosine *c = density->self;
  for (size_t i = 0; i < n; i++, x += c->dims) {
    double f, u;
    key.step = 0;
    do {
      f = c->constant;
      tb_draw_normals(key, "exact draws", first + i, c->dims, x);
      for (size_t k = 0; k < c->terms; k++) {
        double phase = 0;
        for (size_t j = 0; j < c->dims; j++)
          phase += c->frequencies[k * c->dims + j] * x[j];
        f += c->amplitudes[k] * cos(phase);
      }
      key.use = tb_use("exact draws: accept");
      tb_random_uniform(key, first + i, 1, &u);
      key.step++;
    } while (u * c->most > f);
  }
}

const tb_cosine *tb_density_cosine(const tb_density *density) {
  return density->target->build == build ? density->self : NULL;
}

const tb_target tb_target_cosine = {
  .name = "cosine",
  .summary = "a Gaussian times 1 plus cosines: every drift in closed form (frequencies= amplitudes=)",
  .formula = "N(x; 0, I)·(1 + Σ a_k (cos(w_k·x) − exp(−‖w_k‖²/2)))",
  .source = "of the family that satisfies Assumption B.2 of Vargas et al. 2023",
  .open = open,
  .build = build,
  .draw = draw,
};
