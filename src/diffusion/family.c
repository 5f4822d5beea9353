/* From an open density to the numbers of its closed form. */
#include "diffusion/family.h"

#include <math.h>
#include <string.h>

#include "diffusion/target_cosine.h"
#include "diffusion/target_mixture.h"

typedef struct room {
  double *weight, *mean, *sd, *frequency;
} room;

static tb_status make_room(tb_arena *arena, size_t count, size_t dims, bool waves, tb_family *f, room *r) {
  *r = (room){ tb_arena_allocate(arena, count, sizeof(double)), tb_arena_allocate(arena, count * dims, sizeof(double)),
               tb_arena_allocate(arena, count * dims, sizeof(double)),
               waves ? tb_arena_allocate(arena, count * dims, sizeof(double)) : NULL };
  *f = (tb_family){ dims, 0, f->sigma, r->weight, r->mean, r->sd, r->frequency };
  return r->weight && r->mean && r->sd && (!waves || r->frequency) ? TB_OK : TB_NO_MEMORY;
}

static tb_status of_gaussian(const tb_config *config, tb_arena *arena, size_t dims, tb_family *f, room *r) {
  const double *mean, *sd;
  const size_t means = tb_config_reals(config, "mean", &mean), sds = tb_config_reals(config, "sd", &sd);
  tb_status status = make_room(arena, 2, dims, false, f, r);
  for (size_t i = 0; i < dims && !status; i++) {
    r->mean[i] = means == 0 ? 0 : mean[means == 1 ? 0 : i];
    r->sd[i] = sds == 0 ? 1 : sd[sds == 1 ? 0 : i];
  }
  if (!status)
    r->weight[f->count++] = 1;
  return status;
}

static tb_status of_mixture(const tb_mixture *m, tb_arena *arena, tb_family *f, room *r) {
  tb_status status = make_room(arena, m->components + 1, m->dims, false, f, r);
  for (size_t k = 0; k < m->components && !status; k++, f->count++) {
    r->weight[k] = m->weights[k];
    for (size_t i = 0; i < m->dims; i++) {
      r->mean[k * m->dims + i] = m->means[k * m->dims + i];
      r->sd[k * m->dims + i] = m->sds[k];
    }
  }
  return status;
}

/* π/N(0, I) = constant + Σ a_k cos w_k·x */
static tb_status of_cosine(const tb_cosine *c, tb_arena *arena, tb_family *f, room *r) {
  const size_t d = c->dims;
  tb_status status = make_room(arena, c->terms + 2, d, true, f, r);
  if (status)
    return status;
  r->weight[0] = c->constant;
  for (size_t k = 0; k < (c->terms + 1) * d; k++)
    r->sd[k] = 1;
  for (size_t k = 0; k < c->terms; k++) {
    r->weight[k + 1] = c->amplitudes[k];
    for (size_t i = 0; i < d; i++)
      r->frequency[(k + 1) * d + i] = c->frequencies[k * d + i];
  }
  f->count = c->terms + 1;
  return TB_OK;
}

/* One term more: share·N(0, σ²I). */
static void add_reference(double share, tb_family *f, room *r) {
  const double kept = (1 - share) / tb_family_normaliser(f);
  for (size_t j = 0; j < f->count; j++)
    r->weight[j] *= kept;
  r->weight[f->count] = share;
  for (size_t i = 0; i < f->dims; i++)
    r->sd[f->count * f->dims + i] = f->sigma;
  f->count++;
}

tb_status tb_family_of(const tb_density *density, const tb_config *config, tb_arena *arena, double sigma, double share,
                       tb_family *f) {
  const char *name = density->target->name;
  const tb_mixture *mixture = tb_density_mixture(density);
  const tb_cosine *cosine = tb_density_cosine(density);
  room r = { 0 };
  *f = (tb_family){ .sigma = sigma };
  tb_status status;
  if (mixture)
    status = of_mixture(mixture, arena, f, &r);
  else if (strcmp(name, "gaussian") == 0)
    status = of_gaussian(config, arena, density->dims, f, &r);
  else if (cosine)
    status = of_cosine(cosine, arena, f, &r);
  else
    status = tb_fail(density->context, TB_USAGE, "option target",
                     "take gaussian, mixture, cosine, gmm9, gmm25, gmm10 or gmm40", "no closed form of the drift of %s",
                     name);
  if (!status && share > 0)
    add_reference(share, f, &r);
  return status;
}
