/* brownian: a Brownian path of unknown scale seen through noise of unknown scale.
 *
 *   s, o ~ LogNormal(0, 2²),  x_1 ~ N(0, s²),  x_{t+1} ~ N(x_t, s²),  y_t ~ N(x_t, o²) at the times observed
 *
 * Coordinates softplus⁻¹(s), softplus⁻¹(o), x_1 … x_T; natural ones s, o, x. */
#include <math.h>

#include "diffusion/target_brownian.h"
#include "diffusion/target_parts.h"
#include "io/csv.h"

/* Sountsov et al. 2020, "Brownian motion, unknown scales, missing middle observations" */
static const double published[TB_BROWNIAN_PUBLISHED] = {
  0.21592641,  0.118771404, -0.07945447, 0.037677474, -0.27885845, -0.1484156, -0.3250906,
  -0.22957903, -0.44110894, -0.09830782, -0.8786016,  -0.83736074, -0.7384849, -0.8939254,
  -0.7774566,  -0.70238715, -0.87771565, -0.51853573, -0.6948214,  -0.6202789,
};

static tb_status use_published(tb_density *density, tb_brownian *b) {
  b->observed = TB_BROWNIAN_PUBLISHED;
  b->steps = 30;
  b->at = tb_arena_allocate(density->arena, b->observed, sizeof *b->at);
  b->y = tb_density_copy(density, b->observed, published);
  for (size_t i = 0; b->at && i < b->observed; i++)
    b->at[i] = (double)(i < 10 ? i : i + 10);
  return b->at && b->y ? TB_OK : TB_NO_MEMORY;
}

static tb_status use_table(tb_density *density, const tb_table *table, tb_brownian *b) {
  enum { MOST = 10000 };
  const long t = tb_table_column(table, "t"), y = tb_table_column(table, "y");
  if (t < 0 || y < 0 || table->cols != 2)
    return tb_fail(density->context, TB_BAD_DATA, table->path, "the header is t,y: time from 1 on, and what was seen",
                   "expected the columns t and y, found %zu column%s", table->cols, table->cols == 1 ? "" : "s");
  if (table->rows == 0)
    return tb_fail(density->context, TB_BAD_DATA, table->path, "give a row an observation",
                   "there are no observations");
  b->observed = table->rows;
  b->at = tb_arena_allocate(density->arena, b->observed, sizeof *b->at);
  b->y = tb_arena_allocate(density->arena, b->observed, sizeof *b->y);
  if (!b->at || !b->y)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < table->rows; i++) {
    const double when = table->values[i * 2 + (size_t)t];
    if (!(when >= 1) || when > MOST || when != floor(when))
      return tb_table_fail(density->context, table, i, (size_t)t, "times are whole numbers from 1 to 10000",
                           "t=%g is no time", when);
    for (size_t k = 0; k < i; k++)
      if (b->at[k] == when - 1)
        return tb_table_fail(density->context, table, i, (size_t)t, "leave one of them out", "t=%g stands twice", when);
    b->at[i] = when - 1;
    b->y[i] = table->values[i * 2 + (size_t)y];
    b->steps = b->steps > (size_t)when ? b->steps : (size_t)when;
  }
  return TB_OK;
}

static tb_status read(tb_density *density, const char *path, tb_brownian *b) {
  tb_table *table;
  tb_status status = tb_csv_read(density->context, path, &table);
  if (status)
    return status;
  status = use_table(density, table, b);
  tb_table_free(density->context, table);
  return status;
}

static tb_status open(tb_density *density, const tb_config *config) {
  tb_brownian *b = density->self = tb_arena_allocate(density->arena, 1, sizeof *b);
  if (!b)
    return TB_NO_MEMORY;
  tb_status status =
      tb_config_is_set(config, "data") ? read(density, tb_config_word(config, "data"), b) : use_published(density, b);
  const char **names = status ? NULL : tb_arena_allocate(density->arena, b->steps + 2, sizeof *names);
  if (!names)
    return status ? status : TB_NO_MEMORY;
  names[0] = "innovation_scale";
  names[1] = "observation_scale";
  density->names = names;
  status = tb_density_number_names(density, "x", b->steps, names + 2);
  return status ? status : tb_density_plain(density, b->steps + 2);
}

/* ln LogNormal(s; 0, 2²) + ln |ds/du| for s = softplus(u) */
static tb_value scale_prior(tb_graph *g, tb_value u, tb_value log_s) {
  const tb_value normal = tb_scale(g, tb_square(g, log_s), -1.0 / 8);
  const tb_value value = tb_add(g, tb_subtract(g, normal, log_s), tb_log_sigmoid(g, u));
  return tb_shift(g, value, -0.5 * TB_LOG_TWO_PI - log(2));
}

/* Σ ln N(z_i; 0, s²) over the last axis of z */
static tb_value normals(tb_graph *g, tb_value z, tb_value s, tb_value log_s) {
  const double count = (double)tb_dim(g, z, tb_rank(g, z) - 1);
  const tb_value squares = tb_divide(g, tb_sum_last(g, tb_square(g, z)), tb_square(g, s));
  const tb_value value = tb_add(g, tb_scale(g, squares, -0.5), tb_scale(g, log_s, -count));
  return tb_shift(g, value, -0.5 * count * TB_LOG_TWO_PI);
}

static tb_value build(const tb_density *density, tb_graph *g, tb_value y) {
  const tb_brownian *b = density->self;
  const size_t last = tb_rank(g, y) - 1;
  const tb_value u = tb_entry(g, y, 0), v = tb_entry(g, y, 1);
  const tb_value s = tb_softplus(g, u), o = tb_softplus(g, v), log_s = tb_log(g, s), log_o = tb_log(g, o);
  const tb_value path = tb_slice(g, y, last, 2, b->steps);
  tb_value step[2] = { tb_slice(g, path, last, 0, 1), { -1 } };
  if (b->steps > 1)
    step[1] = tb_subtract(g, tb_slice(g, path, last, 1, b->steps - 1), tb_slice(g, path, last, 0, b->steps - 1));
  const tb_value innovations = tb_concat(g, last, b->steps > 1 ? 2 : 1, step);
  const tb_value seen = tb_gather(g, path, last, tb_constant(g, TB_INT32, 1, &b->observed, b->at));
  const tb_value noise = tb_subtract(g, seen, tb_numbers(g, y, 0, b->observed, b->y));
  const tb_value priors = tb_add(g, scale_prior(g, u, log_s), scale_prior(g, v, log_o));
  return tb_add(g, priors, tb_add(g, normals(g, innovations, s, log_s), normals(g, noise, o, log_o)));
}

static double softplus(double x) {
  return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static tb_status natural(tb_density *density, size_t n, const double *x, double *out) {
  for (size_t i = 0; i < n * density->dims; i++)
    out[i] = i % density->dims < 2 ? softplus(x[i]) : x[i];
  return TB_OK;
}

const tb_brownian *tb_density_brownian(const tb_density *density) {
  return density->target->build == build ? density->self : NULL;
}

const tb_target tb_target_brownian = {
  .name = "brownian",
  .summary = "a Brownian path with unknown scales and missing observations, d = 32 (data=, header t,y)",
  .formula = "s, o ~ LogNormal(0, 2); x_t ~ N(x_{t−1}, s²); y_t ~ N(x_t, o²)",
  .source = "Sountsov et al. 2020, Inference Gym",
  .open = open,
  .build = build,
  .natural = natural,
};
