/* Wells: ln γ(x) = Σ_i q_i(x_i), each q_i a double well c4 x⁴ + c2 x² + c1 x + c0 (c4 < 0) or −½x².
 *
 * manywell pairs a lopsided well with a Gaussian; mw5 and mw50 have five symmetric wells.  Modes: 2^wells. */
#include <math.h>

#include "diffusion/target_parts.h"

typedef struct quartic {
  double c4, c2, c1, c0;
} quartic;

static const quartic lopsided = { -1, 6, 0.5, 0 }, four = { -1, 8, 0, -16 }, two = { -1, 4, 0, -4 };
static const quartic bell = { 0, -0.5, 0, 0 };

typedef struct wells {
  double *c4, *c2, *c1; /* [d] */
  double constant;      /* Σ c0 */
  const quartic *well;
  double spread, bound; /* proposals N(±mode, spread²), and sup of q's density over theirs */
} wells;

static double value_of(const quartic *q, double x) {
  return ((q->c4 * x * x + q->c2) * x + q->c1) * x + q->c0;
}

static double mode_of(const quartic *q) {
  return sqrt(-0.5 * q->c2 / q->c4); /* of the symmetric part */
}

static double proposal(const wells *w, double x) {
  const double mode = mode_of(w->well), a = (x - mode) / w->spread, b = (x + mode) / w->spread;
  return exp(-0.5 * a * a) + exp(-0.5 * b * b);
}

/* The trapezoidal rule over all that matters converges faster than any power of its step. */
static double log_integral(const quartic *q) {
  const double step = 1.0 / 128, top = value_of(q, mode_of(q));
  double sum = 0;
  for (int i = -8 * 128; i <= 8 * 128; i++)
    sum += exp(value_of(q, i * step) - top);
  return top + log(sum * step);
}

static tb_status open_wells(tb_density *density, size_t d, const quartic *well, size_t every, size_t count) {
  wells *w = density->self = tb_arena_allocate(density->arena, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  *w = (wells){ .c4 = tb_arena_allocate(density->arena, d, sizeof(double)),
                .c2 = tb_arena_allocate(density->arena, d, sizeof(double)),
                .c1 = tb_arena_allocate(density->arena, d, sizeof(double)),
                .well = well };
  if (!w->c4 || !w->c2 || !w->c1)
    return TB_NO_MEMORY;
  density->log_normaliser = 0;
  for (size_t i = 0; i < d; i++) {
    const quartic *q = i % every == 0 && i / every < count ? well : &bell;
    w->c4[i] = q->c4;
    w->c2[i] = q->c2;
    w->c1[i] = q->c1;
    w->constant += q->c0;
    density->log_normaliser += q == well ? log_integral(well) : 0.5 * TB_LOG_TWO_PI;
  }
  /* As wide as the saddle asks for; the quartic's tails are lighter than any Gaussian's, so the ratio is bounded. */
  w->spread = 1.1 / sqrt(well->c2);
  for (int i = -4096; i <= 4096; i++) {
    const double x = i / 512.0;
    w->bound = fmax(w->bound, 1.001 * exp(value_of(well, x) - value_of(well, mode_of(well))) / proposal(w, x));
  }
  return tb_density_plain(density, d);
}

static tb_status open_many(tb_density *density, const tb_config *config) {
  const size_t d = tb_config_is_set(config, "d") ? (size_t)tb_config_integer(config, "d") : 32;
  if (d % 2)
    return tb_fail(density->context, TB_USAGE, "option d", "wells and Gaussians come in pairs", "d=%zu is odd", d);
  return open_wells(density, d, &lopsided, 2, d / 2);
}

static tb_status open_five(tb_density *density, const tb_config *config) {
  return open_wells(density, 5, &four, 1, 5);
}

static tb_status open_fifty(tb_density *density, const tb_config *config) {
  return open_wells(density, 50, &two, 1, 5);
}

static tb_value build(const tb_density *density, tb_graph *g, tb_value y) {
  const wells *w = density->self;
  const size_t d = density->dims;
  const tb_value square = tb_square(g, y);
  const tb_value even = tb_add(g, tb_multiply(g, square, tb_numbers(g, y, 0, d, w->c4)), tb_numbers(g, y, 0, d, w->c2));
  const tb_value odd = tb_multiply(g, y, tb_numbers(g, y, 0, d, w->c1));
  return tb_shift(g, tb_sum_last(g, tb_add(g, tb_multiply(g, even, square), odd)), w->constant);
}

/* Rejection, a coordinate at a time: a mode by a fair coin, then a normal around it. */
static double draw_well(const wells *w, tb_key key, uint64_t number) {
  const double mode = mode_of(w->well), top = value_of(w->well, mode);
  for (key.step = 0;; key.step++) {
    double x, u[2];
    tb_draw_normals(key, "exact draws: well", number, 1, &x);
    key.use = tb_use("exact draws: accept");
    tb_random_uniform(key, 2 * number, 2, u);
    x = (u[0] < 0.5 ? -mode : mode) + w->spread * x;
    if (u[1] * w->bound * proposal(w, x) < exp(value_of(w->well, x) - top))
      return x;
  }
}

static void draw(const tb_density *density, tb_key key, uint64_t first, size_t n, double *x) {
  const wells *w = density->self;
  const size_t d = density->dims;
  for (size_t i = 0; i < n; i++, x += d) {
    tb_draw_normals(key, "exact draws", first + i, d, x);
    for (size_t j = 0; j < d; j++)
      if (w->c4[j] != 0)
        x[j] = draw_well(w, key, (first + i) * d + j);
  }
}

const tb_target tb_target_manywell = {
  .name = "manywell",
  .summary = "d/2 lopsided double wells beside d/2 Gaussians, 2^(d/2) modes (d=32)",
  .formula = "Σ_pairs −x⁴ + 6x² + x/2 − y²/2",
  .source = "Noé et al. 2019; Midgley et al. 2023",
  .sized = true,
  .open = open_many,
  .build = build,
  .draw = draw,
};

const tb_target tb_target_mw5 = {
  .name = "mw5",
  .summary = "five double wells with modes at ±2, d = 5",
  .formula = "Σ −(x² − 4)²",
  .source = "Berner, Richter and Ullrich 2024",
  .open = open_five,
  .build = build,
  .draw = draw,
};

const tb_target tb_target_mw50 = {
  .name = "mw50",
  .summary = "five double wells with modes at ±√2 and 45 Gaussians, d = 50",
  .formula = "Σ_{i ≤ 5} −(x_i² − 2)² − ½ Σ_{i > 5} x_i²",
  .source = "Berner, Richter and Ullrich 2024",
  .open = open_fifty,
  .build = build,
  .draw = draw,
};
