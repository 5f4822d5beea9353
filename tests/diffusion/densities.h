/* Opening densities in tests: `density_of(context, "target=logistic", "data=FILE", NULL)`. */
#ifndef TESTS_DIFFUSION_DENSITIES_H
#define TESTS_DIFFUSION_DENSITIES_H

#include <stdarg.h>
#include <string.h>

#include "diffusion/density.h"

static inline tb_status open_density(tb_context *context, tb_density **density, va_list list) {
  const tb_option_table *table = &tb_target_options;
  tb_config *config;
  *density = NULL;
  tb_status status = tb_config_new(context, 1, &table, &config);
  for (const char *word; !status && (word = va_arg(list, const char *));) {
    char key[64];
    const size_t length = strcspn(word, "=");
    memcpy(key, word, length);
    key[length] = 0;
    status = tb_config_set(config, key, word + length + 1, "test");
  }
  if (!status)
    status = tb_density_open(context, config, density);
  tb_config_free(config);
  return status;
}

static inline tb_status try_density(tb_context *context, tb_density **density, ...) {
  va_list list;
  va_start(list, density);
  tb_status status = open_density(context, density, list);
  va_end(list);
  return status;
}

#endif
