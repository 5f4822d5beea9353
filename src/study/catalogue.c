/* Methods and models as one public list: their tables stand on floors that the command line must not see. */
#include <tiebreak/catalogue.h>

#include "model/model.h"
#include "optim/method.h"

bool tb_catalogue_at(size_t i, tb_catalogue_entry *entry) {
  const tb_method *const *method = tb_methods();
  for (; *method && i > 0; method++)
    i--;
  if (*method) {
    *entry =
        (tb_catalogue_entry){ "method", (*method)->name, (*method)->summary, (*method)->formula, (*method)->source };
    return true;
  }
  const tb_model *const *model = tb_models();
  for (; *model && i > 0; model++)
    i--;
  if (*model)
    *entry = (tb_catalogue_entry){ "model", (*model)->name, (*model)->summary, (*model)->formula, (*model)->source };
  return *model != NULL;
}
