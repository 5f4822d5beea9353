/* Unnormalised densities γ = Z π on R^d: what every sampler samples from, and nothing that it could not know.
 *
 * A target is the record of a family ("funnel"): its name, options and functions.  A density is a target opened with a
 * configuration: dimension, coordinates, numbers.  Samplers move in unconstrained coordinates x; people read natural
 * ones (a scale instead of its logarithm).  ln γ is a density in x: it holds the transform's log-Jacobian, and all
 * constants.  Built-in targets are graphs, so a roll-out can compile them in; plug-ins only give values. */
#ifndef TB_DIFFUSION_DENSITY_H
#define TB_DIFFUSION_DENSITY_H

#include <tiebreak/graph.h>
#include <tiebreak/options.h>
#include <tiebreak/random.h>

typedef struct tb_density tb_density;

typedef struct tb_target {
  const char *name, *summary;
  const char *formula, *source; /* may be NULL */
  /* Sets dims and what else is known (names, naturals, log_normaliser, improper, self) from the options; what it needs
   * lives in the density's arena.  TB_USAGE, TB_BAD_DATA; TB_FAILED from a plug-in. */
  tb_status (*open)(tb_density *, const tb_config *);
  /* ln γ of y[…,d] → […], computed in y's type.  NULL: a plug-in. */
  tb_value (*build)(const tb_density *, tb_graph *, tb_value y);
  /* Instead of build: x[n,d] → value[n], gradient[n,d] (NULL: not wanted), in float64. */
  tb_status (*evaluate)(tb_density *, size_t n, const double *x, double *value, double *gradient);
  /* Natural coordinates [n,naturals] of x[n,d]; NULL: x itself. */
  tb_status (*natural)(tb_density *, size_t n, const double *x, double *natural);
  /* Exact draws `first`, `first` + 1, … of π: x[n,d], unconstrained.  NULL: there are none. */
  void (*draw)(const tb_density *, tb_key, uint64_t first, size_t n, double *x);
  void (*close)(tb_density *); /* NULL: the arena was all */
  bool sized;                  /* takes any d= */
} tb_target;

struct tb_density {
  const tb_target *target;
  size_t dims;              /* d of x */
  size_t naturals;          /* natural coordinates; mostly d */
  const char *const *names; /* [naturals] */
  double log_normaliser;    /* ln Z where there is a closed form; NaN: unknown */
  const char *improper;     /* why Z = ∞, where the target can tell; else NULL */
  double spread;            /* of the funnels */
  void *self;               /* the target's own */
  bool probing;             /* far from where anyone samples: a guest's NaN is a density of 0 */
  uint64_t evaluations;     /* rows with gradient asked for so far; a sampler may reset it */
  tb_context *context;
  tb_arena *arena;
  struct tb_density_programs *programs; /* of build, one a batch size */
};

/* ---- targets ---- */

/* The table, ended by NULL. */
const tb_target *const *tb_targets(void);
const tb_target *tb_target_find(const char *name);
/* Options of all targets, `target` itself among them: for the tables of verbs and studies. */
extern const tb_option_table tb_target_options;

/* ---- densities ---- */

/* The density that `target=` and its options describe.  Frees with tb_density_close (NULL is allowed).  It belongs to
 * one thread at a time. */
tb_status tb_density_open(tb_context *, const tb_config *, tb_density **);
void tb_density_close(tb_density *);
/* A funnel for graphs alone: nothing to close, no values. */
tb_density tb_density_funnel(size_t dims, double spread);

/* x[n,d] → value[n], gradient[n,d] (NULL: not wanted).  value may be −∞ (γ = 0); a NaN or +∞ in value, or anything not
 * finite in the gradient where value is finite, is TB_FAILED and names the coordinate. */
tb_status tb_density_values(tb_density *, size_t n, const double *x, double *value, double *gradient);
/* x[n,d] → [n,naturals] */
tb_status tb_density_natural(tb_density *, size_t n, const double *x, double *natural);
/* Largest |gradient − central difference| / max(1, |gradient|) over the coordinates of x[n,d]: steps of five-point
 * differences of different lengths, the best of each coordinate. */
tb_status tb_density_gradient_error(tb_density *, size_t n, const double *x, double *error);
/* TB_FAILED with "improper" where Z is infinite: the target says so, or ln γ does not fall along a ray. */
tb_status tb_density_proper(tb_density *, uint64_t seed);

/* ∇ ln γ(y) […,d] in a graph, taken as constant by later derivatives. */
tb_value tb_density_score(const tb_density *, tb_graph *, tb_value y);
/* ln N(y; location, spread² I) of y[…,d] → […] */
tb_value tb_log_normal(tb_graph *, tb_value y, double location, double spread);

#endif
