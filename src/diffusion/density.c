/* The densities of density.h: opened by their target, evaluated by compiled graphs. */
#include "diffusion/density.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "diffusion/target_parts.h"

/* ---- parts of graphs ---- */

tb_value tb_sum_last(tb_graph *g, tb_value a) {
  return tb_reduce(g, TB_SUM, a, 1u << (tb_rank(g, a) - 1), false);
}

tb_value tb_entry(tb_graph *g, tb_value y, size_t i) {
  const size_t rank = tb_rank(g, y);
  size_t dims[TB_MAX_RANK] = { 0 };
  for (size_t a = 0; a + 1 < rank; a++)
    dims[a] = tb_dim(g, y, a);
  return tb_reshape(g, tb_slice(g, y, rank - 1, i, 1), rank - 1, dims);
}

tb_value tb_numbers(tb_graph *g, tb_value like, size_t rows, size_t cols, const double *values) {
  const size_t dims[] = { rows, cols };
  const tb_value numbers = tb_constant(g, TB_FLOAT64, rows ? 2 : 1, rows ? dims : &cols, values);
  return tb_cast(g, numbers, tb_value_dtype(g, like));
}

tb_value tb_with_axis(tb_graph *g, tb_value y) {
  const size_t rank = tb_rank(g, y);
  size_t dims[TB_MAX_RANK + 1];
  for (size_t a = 0; a + 1 < rank; a++)
    dims[a] = tb_dim(g, y, a);
  dims[rank - 1] = 1;
  dims[rank] = tb_dim(g, y, rank - 1);
  return tb_reshape(g, y, rank + 1, dims);
}

tb_value tb_log_normal(tb_graph *g, tb_value y, double location, double spread) {
  const double d = (double)tb_dim(g, y, tb_rank(g, y) - 1);
  const tb_value squares = tb_sum_last(g, tb_square(g, tb_shift(g, y, -location)));
  return tb_shift(g, tb_scale(g, squares, -0.5 / (spread * spread)), -d * (0.5 * TB_LOG_TWO_PI + log(spread)));
}

tb_value tb_density_score(const tb_density *density, tb_graph *g, tb_value y) {
  const tb_value fixed = tb_stop(g, y);
  tb_value score = { -1 };
  tb_gradient(g, tb_sum(g, density->target->build(density, g, fixed)), 1, &fixed, &score);
  return tb_stop(g, score);
}

/* ---- parts of opening ---- */

tb_status tb_density_number_names(tb_density *density, const char *stem, size_t count, const char **names) {
  for (size_t i = 0; i < count; i++) {
    names[i] = tb_arena_format(density->arena, "%s[%zu]", stem, i + 1);
    if (!names[i])
      return TB_NO_MEMORY;
  }
  return TB_OK;
}

tb_status tb_density_plain(tb_density *density, size_t dims) {
  density->dims = density->naturals = dims;
  if (density->names)
    return TB_OK;
  const char **names = tb_arena_allocate(density->arena, dims, sizeof *names);
  density->names = names;
  return names ? tb_density_number_names(density, "x", dims, names) : TB_NO_MEMORY;
}

double *tb_density_copy(tb_density *density, size_t count, const double *values) {
  double *copy = tb_arena_allocate(density->arena, count, sizeof *copy);
  if (copy)
    memcpy(copy, values, count * sizeof *copy);
  return copy;
}

void tb_draw_normals(tb_key key, const char *purpose, uint64_t number, size_t count, double *out) {
  key.use = tb_use(purpose);
  tb_random_normal(key, number * count, count, out);
}

/* ---- values ---- */

/* Any number of rows is cut into whole programs of these sizes, so that a row costs no padding. */
enum { SIZES = 3 };
static const size_t sizes[SIZES] = { 256, 16, 1 };

struct tb_density_programs {
  tb_program *values[SIZES], *gradients[SIZES];
};

static tb_status compile(tb_density *density, size_t rows, bool gradient, tb_program **program) {
  tb_graph *g;
  tb_status status = tb_graph_new(density->context, &g);
  if (status)
    return status;
  const tb_value x = tb_input(g, "x", TB_FLOAT64, 2, (size_t[]){ rows, density->dims });
  tb_value out[2] = { density->target->build(density, g, x), { -1 } };
  if (gradient)
    tb_gradient(g, tb_sum(g, out[0]), 1, &x, &out[1]);
  status = tb_program_new(density->context, g, gradient ? 2 : 1, out, NULL, program);
  tb_graph_free(g);
  return status;
}

static tb_status run_programs(tb_density *density, size_t n, const double *x, double *value, double *gradient) {
  struct tb_density_programs *programs = density->programs;
  const size_t d = density->dims;
  for (size_t s = 0; s < SIZES; s++)
    for (; n >= sizes[s]; n -= sizes[s], x += sizes[s] * d, value += sizes[s]) {
      tb_program **program = gradient ? &programs->gradients[s] : &programs->values[s];
      tb_status status = *program ? TB_OK : compile(density, sizes[s], gradient, program);
      if (!status)
        status = tb_program_run(*program, 1, (const void *[]){ x }, gradient ? 2 : 1, (void *[]){ value, gradient });
      if (status)
        return status;
      if (gradient)
        gradient += sizes[s] * d;
    }
  return TB_OK;
}

static bool finite_all(size_t count, const double *x) {
  double sum = 0; /* a NaN or infinity times zero is a NaN and stays one */
  for (size_t i = 0; i < count; i++)
    sum += 0 * x[i];
  return sum == 0;
}

tb_status tb_density_values(tb_density *density, size_t n, const double *x, double *value, double *gradient) {
  const size_t d = density->dims;
  const bool own = density->target->evaluate != NULL;
  tb_status status =
      own ? density->target->evaluate(density, n, x, value, gradient) : run_programs(density, n, x, value, gradient);
  if (status)
    return status;
  if (gradient)
    density->evaluations += n;
  for (size_t i = 0; i < n; i++) {
    double *slope = gradient ? gradient + i * d : NULL;
    const bool fine = !isnan(value[i]) && value[i] < INFINITY && (!slope || finite_all(d, slope));
    if (fine && value[i] > -INFINITY)
      continue;
    /* Overflow far out is density zero there. */
    value[i] = -INFINITY;
    if (slope)
      memset(slope, 0, d * sizeof *slope);
  }
  return TB_OK;
}

tb_status tb_density_natural(tb_density *density, size_t n, const double *x, double *natural) {
  if (density->target->natural)
    return density->target->natural(density, n, x, natural);
  memcpy(natural, x, n * density->dims * sizeof *x);
  return TB_OK;
}

/* ---- opening ---- */

tb_status tb_density_make(tb_context *context, const tb_target *target, tb_density **density) {
  *density = NULL;
  tb_arena *arena = tb_arena_new(context);
  tb_density *made = arena ? tb_arena_allocate(arena, 1, sizeof *made) : NULL;
  struct tb_density_programs *programs = made ? tb_arena_allocate(arena, 1, sizeof *programs) : NULL;
  if (!programs) {
    tb_arena_free(arena);
    return TB_NO_MEMORY;
  }
  *made =
      (tb_density){ .target = target, .log_normaliser = NAN, .context = context, .arena = arena, .programs = programs };
  *density = made;
  return TB_OK;
}

tb_status tb_density_open(tb_context *context, const tb_config *config, tb_density **density) {
  *density = NULL;
  const char *name = tb_config_word(config, "target");
  const tb_target *target = tb_target_find(name);
  tb_density *made;
  if (!target)
    return tb_fail(context, TB_USAGE, "option target", "`tiebreak explain target` lists them",
                   "there is no target '%s'", name);
  tb_status status = tb_density_make(context, target, &made);
  if (status)
    return status;
  status = target->open(made, config);
  if (status) {
    tb_density_close(made);
    return status;
  }
  *density = made;
  return TB_OK;
}

void tb_density_close(tb_density *density) {
  if (!density)
    return;
  if (density->target->close)
    density->target->close(density);
  for (size_t s = 0; s < SIZES; s++) {
    tb_program_free(density->programs->values[s]);
    tb_program_free(density->programs->gradients[s]);
  }
  tb_arena_free(density->arena);
}
