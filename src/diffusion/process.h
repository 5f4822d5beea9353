/* Noising processes: linear diffusions that turn data into noise,
 *
 *   dx = f(t) x dt + g(t) dB on [0, T],   x_t | x_0 ~ N(α(t) x_0, σ(t)² I),   λ = log(α/σ)
 *
 *   vp      f = −c β,  g² = 2cβ       α = e^{−c∫β}, σ² = 1 − α²     c = ½ (Song et al. 2021) or 1 (the paper, eq. 1)
 *   subvp   f = −½ β,  g² = β (1 − e^{−2∫β})         α = e^{−½∫β}, σ = 1 − α²
 *   ve      f = 0,  σ² = ς(t)² − ς(0)²,  ς geometric from least to most
 *   pinned  f = −ȧ/(a_T − a), g² = ȧ   α = (a_T − a)/a_T, σ² = a (a_T − a)/a_T: Brownian motion in the clock a, tied to
 * 0
 *
 * β and ȧ grow linearly from least to most.  Whatever the process, g² = −2σ² dλ/dt, which is why samplers need nothing
 * but α and σ.  (Vargas, Reu, Kerekes & Bronstein 2023; Song et al. 2021, ICLR.) */
#ifndef TB_DIFFUSION_PROCESS_H
#define TB_DIFFUSION_PROCESS_H

#include <tiebreak/graph.h>

typedef enum tb_process_kind { TB_PROCESS_VP, TB_PROCESS_SUBVP, TB_PROCESS_VE, TB_PROCESS_PINNED } tb_process_kind;

typedef struct tb_process {
  tb_process_kind kind;
  double rate;        /* c of vp: ½ or 1; the others do not read it */
  double least, most; /* of β, ȧ or ς; 0 < least <= most, ve: least < most */
  double end;         /* T > 0 */
} tb_process;

/* A time of a process. */
typedef struct tb_noising {
  double t, alpha, sigma;
  double drift, diffusion; /* f and g² */
} tb_noising;

/* t in [0, T]; pinned: f is −∞ and σ = 0 at T. */
tb_noising tb_process_at(const tb_process *, double t);
/* λ; +∞ where σ = 0, and at the pinned end −∞. */
double tb_noising_log_ratio(const tb_noising *);
/* The time at which λ is the given value, within [0, T]; to rounding. */
double tb_process_time_of(const tb_process *, double log_ratio);
/* The law that sampling starts from is N(0, sd² I): 1, ve: σ(T), subvp: σ(T) → 1, pinned: σ at that time. */
double tb_process_reference_sd(const tb_process *, double t);
/* α and σ of times t of any shape (float32 or float64), as graphs. */
void tb_process_build(tb_graph *, const tb_process *, tb_value t, tb_value *alpha, tb_value *sigma);

/* n + 1 times from `from` down to `to`, both exact. */
typedef enum tb_time_grid {
  TB_GRID_UNIFORM,   /* in t */
  TB_GRID_QUADRATIC, /* in √t */
  TB_GRID_LOG_RATIO, /* in λ */
  TB_GRID_KARRAS     /* in (σ/α)^{1/7} (Karras et al. 2022) */
} tb_time_grid;
void tb_process_grid(const tb_process *, tb_time_grid, double from, double to, size_t n, double *times);

#endif
