/* Neal's funnel: γ(x) = N(x_1; 0, s²) Π_{i>1} N(x_i; 0, e^{x_1}), s = 3 (or 1, "easy"). */
#include <math.h>

#include "diffusion/target_parts.h"

static tb_status open_spread(tb_density *density, const tb_config *config, double spread) {
  const size_t d = tb_config_is_set(config, "d") ? (size_t)tb_config_integer(config, "d") : 10;
  if (d < 2)
    return tb_fail(density->context, TB_USAGE, "option d", "give d=2 or more", "a funnel of %zu dimension", d);
  density->spread = spread;
  density->log_normaliser = 0;
  return tb_density_plain(density, d);
}

static tb_status open(tb_density *density, const tb_config *config) {
  return open_spread(density, config, 3);
}

static tb_status open_easy(tb_density *density, const tb_config *config) {
  return open_spread(density, config, 1);
}

/* −x_1²/(2 s²) − ½ e^{−x_1} Σ_{i>1} x_i² − (d − 1)/2 x_1 − d/2 ln 2π − ln s */
static tb_value build(const tb_density *density, tb_graph *g, tb_value y) {
  const size_t last = tb_rank(g, y) - 1, d = density->dims;
  const double s = density->spread, wide = 0.5 * ((double)d - 1);
  const tb_value neck = tb_entry(g, y, 0);
  const tb_value rest = tb_sum_last(g, tb_square(g, tb_slice(g, y, last, 1, d - 1)));
  const tb_value own = tb_add(g, tb_scale(g, tb_square(g, neck), -0.5 / (s * s)), tb_scale(g, neck, -wide));
  const tb_value across = tb_scale(g, tb_multiply(g, tb_exp(g, tb_negate(g, neck)), rest), -0.5);
  return tb_shift(g, tb_add(g, own, across), -0.5 * (double)d * TB_LOG_TWO_PI - log(s));
}

static void draw(const tb_density *density, tb_key key, uint64_t first, size_t n, double *x) {
  const size_t d = density->dims;
  for (size_t i = 0; i < n; i++, x += d) {
    tb_draw_normals(key, "exact draws", first + i, d, x);
    x[0] *= density->spread;
    for (size_t j = 1; j < d; j++)
      x[j] *= exp(0.5 * x[0]);
  }
}

tb_density tb_density_funnel(size_t dims, double spread) {
  return (tb_density){ .target = &tb_target_funnel, .dims = dims, .naturals = dims, .spread = spread };
}

const tb_target tb_target_funnel = {
  .name = "funnel",
  .summary = "Neal's funnel: the first coordinate, of variance 9, is the log variance of all others (d=10)",
  .formula = "N(x_1; 0, 9) Π N(x_i; 0, exp(x_1))",
  .source = "Neal 2003; Vargas et al. 2023",
  .sized = true,
  .open = open,
  .build = build,
  .draw = draw,
};

const tb_target tb_target_funnel_easy = {
  .name = "funnel_easy",
  .summary = "the funnel with a first coordinate of variance 1 (d=10)",
  .formula = "N(x_1; 0, 1) Π N(x_i; 0, exp(x_1))",
  .source = "Zhang and Chen 2022",
  .sized = true,
  .open = open_easy,
  .build = build,
  .draw = draw,
};
