/* stan: a Stan model compiled by BridgeStan (Roualdes, Ward, Carpenter, Seyboldt & Axen 2023), loaded at run time.
 *
 * `make MODEL_model.so` in BridgeStan; its C interface (bridgestan.h, 2.x) is declared here as far as it is called.
 * Log densities are asked for with all constants and with the Jacobian of the unconstraining transform.  An exception
 * of the model at a point means density 0 there, as in Stan's own samplers. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "diffusion/guest.h"
#include "diffusion/target_parts.h"

/* ---- in the child ---- */

typedef struct stan {
  void *model;
  const char *names; /* "mu,theta.1,theta.2" */
  void *(*construct)(const char *data, unsigned seed, char **error);
  void (*free_error)(char *);
  const char *(*param_names)(const void *, bool transformed, bool generated);
  int (*param_num)(const void *, bool transformed, bool generated);
  int (*param_unc_num)(const void *);
  int (*constrain)(const void *, bool transformed, bool generated, const double *x, double *natural, void *rng,
                   char **);
  int (*log_density)(const void *, bool propto, bool jacobian, const double *x, double *value, char **);
  int (*log_density_gradient)(const void *, bool propto, bool jacobian, const double *x, double *value,
                              double *gradient, char **);
} stan;

static stan loaded; /* the child is a process of its own, with one model */

static void *refuse(tb_status *trouble, char *error, size_t size, const char *format, const char *more) {
  snprintf(error, size, format, more);
  *trouble = TB_USAGE;
  return NULL;
}

static void take_text(const stan *s, char *text, char *error, size_t size) {
  snprintf(error, size, "%s", text ? text : "");
  if (text)
    s->free_error(text);
}

static void *load(const char *so, const char *data, tb_status *trouble, char *error, size_t size) {
  void *library = dlopen(so, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return refuse(trouble, error, size, "the Stan model cannot be loaded: %s", dlerror());
  const struct {
    const char *name;
    void **function;
  } symbols[] = { { "bs_model_construct", (void **)&loaded.construct },
                  { "bs_free_error_msg", (void **)&loaded.free_error },
                  { "bs_param_names", (void **)&loaded.param_names },
                  { "bs_param_num", (void **)&loaded.param_num },
                  { "bs_param_unc_num", (void **)&loaded.param_unc_num },
                  { "bs_param_constrain", (void **)&loaded.constrain },
                  { "bs_log_density", (void **)&loaded.log_density },
                  { "bs_log_density_gradient", (void **)&loaded.log_density_gradient } };
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
    if (!(*symbols[i].function = dlsym(library, symbols[i].name)))
      return refuse(trouble, error, size, "it exports no `%s`: it is no model compiled by BridgeStan 2",
                    symbols[i].name);
  char *text = NULL, own[512];
  loaded.model = loaded.construct(data, 0, &text);
  take_text(&loaded, text, own, sizeof own);
  if (!loaded.model)
    return refuse(trouble, error, size, "the Stan model refuses its data: %s", *own ? own : "it does not say why");
  loaded.names = loaded.param_names(loaded.model, false, false);
  return &loaded;
}

static size_t dims(void *self) {
  const stan *s = self;
  return (size_t)s->param_unc_num(s->model);
}

static size_t naturals(void *self) {
  const stan *s = self;
  return (size_t)s->param_num(s->model, false, false);
}

/* theta.1.2 → theta[1,2] */
static bool name(void *self, size_t i, char *out, size_t size) {
  const stan *s = self;
  const char *at = s->names;
  for (; at && i > 0; i--)
    at = (at = strchr(at, ',')) ? at + 1 : NULL;
  if (!at)
    return false;
  bool inside = false;
  size_t k = 0;
  for (; *at && *at != ',' && k + 2 < size; at++, inside |= out[k - 1] == '[')
    out[k++] = *at != '.' ? *at : inside ? ',' : '[';
  if (inside)
    out[k++] = ']';
  out[k] = 0;
  return true;
}

static int evaluate(void *self, size_t n, const double *x, double *value, double *gradient, char *error, size_t size) {
  const stan *s = self;
  const size_t d = dims(self);
  for (size_t i = 0; i < n; i++) {
    char *text = NULL;
    double *slope = gradient ? gradient + i * d : NULL;
    const int failed = slope ? s->log_density_gradient(s->model, false, true, x + i * d, value + i, slope, &text)
                             : s->log_density(s->model, false, true, x + i * d, value + i, &text);
    take_text(s, text, error, size);
    if (!failed)
      continue;
    value[i] = -INFINITY;
    if (slope)
      memset(slope, 0, d * sizeof *slope);
  }
  return 0;
}

static int natural(void *self, size_t n, const double *x, double *out, char *error, size_t size) {
  const stan *s = self;
  const size_t d = dims(self), count = naturals(self);
  for (size_t i = 0; i < n; i++) {
    char *text = NULL;
    const int failed = s->constrain(s->model, false, false, x + i * d, out + i * count, NULL, &text);
    take_text(s, text, error, size);
    if (failed)
      return failed;
  }
  return 0;
}

static const tb_guest_code code = {
  .open = load, .dims = dims, .naturals = naturals, .name = name, .evaluate = evaluate, .natural = natural
};

/* ---- in the host ---- */

static tb_status open(tb_density *density, const tb_config *config) {
  return tb_guest_open(density, config, "Stan model", &code);
}

const tb_target tb_target_stan = {
  .name = "stan",
  .summary = "a Stan model compiled by BridgeStan (so=MODEL_model.so data=FILE.json)",
  .source = "Roualdes et al. 2023",
  .open = open,
  .evaluate = tb_guest_evaluate,
  .natural = tb_guest_natural,
  .close = tb_guest_close,
};
