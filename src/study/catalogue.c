/* Methods, models, samplers and targets as one public list: their tables stand on floors that the command line must not
 * see. */
#include <tiebreak/catalogue.h>

#include "diffusion/sampler.h"
#include "model/model.h"
#include "optim/method.h"

/* Takes entry i of a NULL-terminated table of records with these fields, or lowers i by its length. */
#define TAKE(kind, type, table)                                                                                        \
  for (const type *const *record = table; *record; record++)                                                           \
    if (i-- == 0) {                                                                                                    \
      *entry =                                                                                                         \
          (tb_catalogue_entry){ kind, (*record)->name, (*record)->summary, (*record)->formula, (*record)->source };    \
      return true;                                                                                                     \
    }

bool tb_catalogue_at(size_t i, tb_catalogue_entry *entry) {
  TAKE("method", tb_method, tb_methods());
  TAKE("model", tb_model, tb_models());
  TAKE("sampler", tb_sampler, tb_samplers());
  TAKE("target", tb_target, tb_targets());
  return false;
}
