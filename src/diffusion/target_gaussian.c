/* gaussian: N(m, diag s²). */
#include <math.h>
#include <stdio.h>

#include "diffusion/target_parts.h"

typedef struct gaussian {
  double *mean, *sd, *precision; /* [d]; precision 1/sd² */
  double constant;               /* −d/2 ln 2π − Σ ln sd */
} gaussian;

/* d numbers in the arena from a list of one or d. */
static tb_status spread_out(tb_density *density, const char *name, size_t d, size_t count, const double *given,
                            double fallback, double **out) {
  *out = tb_arena_allocate(density->arena, d, sizeof **out);
  if (!*out)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < d; i++) {
    (*out)[i] = count == 0 ? fallback : given[count == 1 ? 0 : i];
    if (!isfinite((*out)[i]))
      return tb_fail(density->context, TB_USAGE, name, "give finite numbers", "%s holds %g", name + 7, (*out)[i]);
  }
  return TB_OK;
}

static tb_status open(tb_density *density, const tb_config *config) {
  const double *mean, *sd;
  const size_t means = tb_config_reals(config, "mean", &mean), sds = tb_config_reals(config, "sd", &sd);
  size_t d = means > 1 || sds <= 1 ? means : sds;
  if (tb_config_is_set(config, "d"))
    d = (size_t)tb_config_integer(config, "d");
  else if (d == 0)
    d = 2;
  if ((means > 1 && means != d) || (sds > 1 && sds != d))
    return tb_fail(density->context, TB_USAGE, means > 1 && means != d ? "option mean" : "option sd",
                   "give one number, or one a dimension", "mean= has %zu numbers and sd= %zu, the dimension is %zu",
                   means, sds, d);
  gaussian *self = density->self = tb_arena_allocate(density->arena, 1, sizeof *self);
  if (!self)
    return TB_NO_MEMORY;
  tb_status status = tb_density_plain(density, d);
  if (!status)
    status = spread_out(density, "option mean", d, means, mean, 0, &self->mean);
  if (!status)
    status = spread_out(density, "option sd", d, sds, sd, 1, &self->sd);
  if (!status)
    self->precision = tb_density_copy(density, d, self->sd);
  if (!status && !self->precision)
    status = TB_NO_MEMORY;
  self->constant = -0.5 * (double)d * TB_LOG_TWO_PI;
  for (size_t i = 0; i < d && !status; i++) {
    if (!(self->sd[i] > 0))
      return tb_fail(density->context, TB_USAGE, "option sd", "give positive numbers", "sd= holds %g", self->sd[i]);
    self->precision[i] = 1 / (self->sd[i] * self->sd[i]);
    self->constant -= log(self->sd[i]);
  }
  density->log_normaliser = 0;
  return status;
}

static tb_value build(const tb_density *density, tb_graph *g, tb_value y) {
  const gaussian *self = density->self;
  const tb_value apart = tb_subtract(g, y, tb_numbers(g, y, 0, density->dims, self->mean));
  const tb_value weighted = tb_multiply(g, tb_square(g, apart), tb_numbers(g, y, 0, density->dims, self->precision));
  return tb_shift(g, tb_scale(g, tb_sum_last(g, weighted), -0.5), self->constant);
}

static void draw(const tb_density *density, tb_key key, uint64_t first, size_t n, double *x) {
  const gaussian *self = density->self;
  const size_t d = density->dims;
  for (size_t i = 0; i < n; i++, x += d) {
    tb_draw_normals(key, "exact draws", first + i, d, x);
    for (size_t j = 0; j < d; j++)
      x[j] = self->mean[j] + self->sd[j] * x[j];
  }
}

const tb_target tb_target_gaussian = {
  .name = "gaussian",
  .summary = "Gaussian of independent coordinates (mean= sd= d=)",
  .formula = "N(x; mean, diag sd²)",
  .sized = true,
  .open = open,
  .build = build,
  .draw = draw,
};
