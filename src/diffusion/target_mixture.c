/* Mixtures of isotropic Gaussians: π(x) = Σ_k w_k N(x; m_k, s_k² I), by options, or the grids of the benchmarks. */
#include <math.h>

#include "diffusion/target_mixture.h"
#include "diffusion/target_parts.h"

/* What the graph multiplies with: −1/(2 s_k²), and ln w_k − d ln s_k − d/2 ln 2π. */
static tb_status prepare(tb_density *density, tb_mixture *m) {
  const double d = (double)m->dims;
  m->scale = tb_arena_allocate(density->arena, m->components, sizeof(double));
  m->constant = tb_arena_allocate(density->arena, m->components, sizeof(double));
  if (!m->scale || !m->constant)
    return TB_NO_MEMORY;
  for (size_t k = 0; k < m->components; k++) {
    m->scale[k] = -0.5 / (m->sds[k] * m->sds[k]);
    m->constant[k] = log(m->weights[k]) - d * (log(m->sds[k]) + 0.5 * TB_LOG_TWO_PI);
  }
  density->self = m;
  density->log_normaliser = 0;
  return tb_density_plain(density, m->dims);
}

tb_status tb_mixture_alike(tb_density *density, size_t components, size_t dims, const double *means, double sd) {
  tb_mixture *m = tb_arena_allocate(density->arena, 1, sizeof *m);
  if (!m)
    return TB_NO_MEMORY;
  *m = (tb_mixture){ .components = components,
                     .dims = dims,
                     .means = tb_density_copy(density, components * dims, means),
                     .sds = tb_arena_allocate(density->arena, components, sizeof(double)),
                     .weights = tb_arena_allocate(density->arena, components, sizeof(double)) };
  if (!m->means || !m->sds || !m->weights)
    return TB_NO_MEMORY;
  for (size_t k = 0; k < components; k++) {
    m->sds[k] = sd;
    m->weights[k] = 1 / (double)components;
  }
  return prepare(density, m);
}

const tb_mixture *tb_density_mixture(const tb_density *density) {
  return density->target->build == tb_mixture_build ? density->self : NULL;
}

tb_value tb_mixture_build(const tb_density *density, tb_graph *g, tb_value y) {
  const tb_mixture *m = density->self;
  const tb_value apart = tb_subtract(g, tb_with_axis(g, y), tb_numbers(g, y, m->components, m->dims, m->means));
  const tb_value scaled =
      tb_multiply(g, tb_sum_last(g, tb_square(g, apart)), tb_numbers(g, y, 0, m->components, m->scale));
  const tb_value logs = tb_add(g, scaled, tb_numbers(g, y, 0, m->components, m->constant));
  return tb_reduce(g, TB_LOGSUMEXP, logs, 1u << (tb_rank(g, logs) - 1), false);
}

void tb_mixture_draw(const tb_density *density, tb_key key, uint64_t first, size_t n, double *x) {
  const tb_mixture *m = density->self;
  for (size_t i = 0; i < n; i++, x += m->dims) {
    double u;
    size_t k = 0;
    key.use = tb_use("exact draws: component");
    tb_random_uniform(key, first + i, 1, &u);
    for (double below = m->weights[0]; u > below && k + 1 < m->components; below += m->weights[k])
      k++;
    tb_draw_normals(key, "exact draws", first + i, m->dims, x);
    for (size_t j = 0; j < m->dims; j++)
      x[j] = m->means[k * m->dims + j] + m->sds[k] * x[j];
  }
}

/* ---- by options ---- */

static tb_status refuse(tb_density *density, const char *option, const char *hint, const char *what, double number) {
  return tb_fail(density->context, TB_USAGE, option, hint, "%s %g", what, number);
}

static tb_status open(tb_density *density, const tb_config *config) {
  size_t components, dims;
  const double *means, *sds, *weights;
  tb_config_matrix(config, "means", &components, &dims, &means);
  const size_t n_sds = tb_config_reals(config, "sds", &sds), n_weights = tb_config_reals(config, "weights", &weights);
  if (components == 0 || dims == 0)
    return tb_fail(density->context, TB_USAGE, "option means", "means=-1,0.5/1.2,-0.4 has two components in the plane",
                   "a mixture needs means");
  if (tb_config_is_set(config, "d") && (size_t)tb_config_integer(config, "d") != dims)
    return refuse(density, "option d", "leave d= out, or give means of that length", "means= has rows of length",
                  (double)dims);
  if (n_sds != 1 && n_sds != components)
    return refuse(density, "option sds",
                  "give one number, or one a row of means=", "components in means=:", (double)components);
  if (n_weights && n_weights != components)
    return refuse(density, "option weights",
                  "give one number a row of means=", "components in means=:", (double)components);
  tb_status status = tb_mixture_alike(density, components, dims, means, 1);
  if (status)
    return status;
  tb_mixture *m = density->self;
  double total = 0;
  for (size_t i = 0; i < components * dims; i++)
    if (!isfinite(means[i]))
      return refuse(density, "option means", "give finite numbers", "means= holds", means[i]);
  for (size_t k = 0; k < components; k++) {
    m->sds[k] = sds[n_sds == 1 ? 0 : k];
    if (!(m->sds[k] > 0) || isinf(m->sds[k]))
      return refuse(density, "option sds", "give positive numbers", "sds= holds", m->sds[k]);
    m->weights[k] = n_weights ? weights[k] : 1;
    if (!(m->weights[k] > 0) || isinf(m->weights[k]))
      return refuse(density, "option weights", "give positive numbers", "weights= holds", m->weights[k]);
    total += m->weights[k];
  }
  for (size_t k = 0; k < components; k++)
    m->weights[k] /= total;
  return prepare(density, m);
}

const tb_target tb_target_mixture = {
  .name = "mixture",
  .summary = "mixture of isotropic Gaussians (means= sds= weights=)",
  .formula = "Σ_k w_k N(x; m_k, s_k² I)",
  .open = open,
  .build = tb_mixture_build,
  .draw = tb_mixture_draw,
};

/* ---- grids ---- */

static tb_status open_grid(tb_density *density, size_t side) {
  double means[2 * 25];
  for (size_t i = 0; i < side * side; i++) {
    means[2 * i] = 5 * ((double)(i / side) - 0.5 * (double)(side - 1));
    means[2 * i + 1] = 5 * ((double)(i % side) - 0.5 * (double)(side - 1));
  }
  return tb_mixture_alike(density, side * side, 2, means, sqrt(0.3));
}

static tb_status open_gmm9(tb_density *density, const tb_config *config) {
  return open_grid(density, 3);
}

static tb_status open_gmm25(tb_density *density, const tb_config *config) {
  return open_grid(density, 5);
}

#define GRID(name_, text, opener)                                                                                      \
  const tb_target tb_target_##name_ = { .name = #name_,                                                                \
                                        .summary = text,                                                               \
                                        .formula = "equal weights, variance 0.3",                                      \
                                        .source = "Zhang and Chen 2022; Vargas et al. 2023",                           \
                                        .open = opener,                                                                \
                                        .build = tb_mixture_build,                                                     \
                                        .draw = tb_mixture_draw }
GRID(gmm9, "nine Gaussians on the grid {−5, 0, 5}²", open_gmm9);
GRID(gmm25, "25 Gaussians on the grid {−10, −5, 0, 5, 10}²", open_gmm25);
