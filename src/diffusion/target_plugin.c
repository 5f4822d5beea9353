/* plugin: a user's log density in a shared object, by the ABI of tiebreak/plugin.h, run as a guest. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <tiebreak/plugin.h>

#include "diffusion/guest.h"
#include "diffusion/target_parts.h"

/* ---- in the child ---- */

typedef struct plugin {
  const struct tiebreak_density *density;
  void *self;
} plugin;

static plugin loaded; /* the child is a process of its own, with one plug-in */

static void *refuse(tb_status status, tb_status *trouble) {
  *trouble = status;
  return NULL;
}

static void *load(const char *so, const char *data, tb_status *trouble, char *error, size_t size) {
  void *library = dlopen(so, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(error, size, "the plug-in cannot be loaded: %s", dlerror());
    return refuse(TB_USAGE, trouble);
  }
  const struct tiebreak_density *density = dlsym(library, "tiebreak_density");
  if (!density) {
    snprintf(error, size, "it is no plug-in: it exports no `tiebreak_density` (see tiebreak/plugin.h)");
    return refuse(TB_USAGE, trouble);
  }
  if (density->abi != TIEBREAK_PLUGIN_ABI) {
    snprintf(error, size, "the plug-in has ABI %d, this program speaks ABI %d: compile it with this tiebreak/plugin.h",
             density->abi, TIEBREAK_PLUGIN_ABI);
    return refuse(TB_USAGE, trouble);
  }
  if (!density->dim || !density->log_density) {
    snprintf(error, size, "the plug-in has no `%s` function", density->dim ? "log_density" : "dim");
    return refuse(TB_USAGE, trouble);
  }
  loaded.density = density;
  if (density->open) {
    char own[512] = "";
    loaded.self = density->open(data, own, sizeof own);
    own[sizeof own - 1] = 0;
    if (!loaded.self) {
      snprintf(error, size, "the plug-in %s refuses: %s", density->name ? density->name : "",
               *own ? own : "it does not say why");
      return refuse(TB_USAGE, trouble);
    }
  }
  return &loaded;
}

static size_t dims(void *self) {
  const plugin *p = self;
  return p->density->dim(p->self);
}

static bool name(void *self, size_t i, char *out, size_t size) {
  const plugin *p = self;
  const char *own = p->density->coordinate ? p->density->coordinate(p->self, i) : NULL;
  if (own)
    snprintf(out, size, "%s", own);
  return own;
}

/* A value that the plug-in forgets to write shows as NaN. */
static int evaluate(void *self, size_t n, const double *x, double *value, double *gradient, char *error, size_t size) {
  const plugin *p = self;
  const size_t d = dims(self);
  for (size_t i = 0; i < n; i++)
    value[i] = NAN;
  for (size_t i = 0; gradient && i < n * d; i++)
    gradient[i] = NAN;
  return p->density->log_density(p->self, n, x, value, gradient);
}

static const tb_guest_code code = { .open = load, .dims = dims, .naturals = dims, .name = name, .evaluate = evaluate };

/* ---- in the host ---- */

static tb_status open(tb_density *density, const tb_config *config) {
  return tb_guest_open(density, config, "plug-in", &code);
}

const tb_target tb_target_plugin = {
  .name = "plugin",
  .summary = "your own log density in a shared object (so=FILE.so data=)",
  .source = "tiebreak/plugin.h",
  .open = open,
  .evaluate = tb_guest_evaluate,
  .close = tb_guest_close,
};
