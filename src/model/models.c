/* The table of models, and what every model asks of its shape. */
#include <string.h>

#include "model/build.h"

static const tb_model *const table[] = { &tb_model_linear, &tb_model_diagonal, &tb_model_dense, &tb_model_mlp, NULL };

enum { MOST_DEPTH = 1000, MOST_PARAMETERS = 1 << 28 };

const tb_model *const *tb_models(void) {
  return table;
}

const tb_model *tb_model_find(const char *name) {
  for (const tb_model *const *model = table; *model; model++)
    if (strcmp((*model)->name, name) == 0)
      return *model;
  return NULL;
}

tb_status tb_model_check(tb_context *context, const tb_model *model, const tb_model_shape *shape) {
  if (shape->inputs == 0)
    return tb_fail(context, TB_USAGE, NULL, "give at least one input column", "model %s has no inputs", model->name);
  if (shape->depth < 1 || shape->depth > MOST_DEPTH)
    return tb_fail(context, TB_USAGE, "option depth", "depth counts weight layers", "depth %d is not in 1 … %d",
                   shape->depth, MOST_DEPTH);
  if (shape->outputs > 1 && model != &tb_model_mlp)
    return tb_fail(context, TB_USAGE, NULL, "use model mlp", "model %s has one output, not %zu", model->name,
                   shape->outputs);
  char name[32];
  size_t rows, cols;
  for (size_t k = 0; model->block(shape, k, name, &rows, &cols); k++)
    if (rows == 0 || cols == 0)
      return tb_fail(context, TB_USAGE, "option width", "every hidden layer needs at least one unit",
                     "block %s of model %s is empty", name, model->name);
  const size_t p = model->parameters(shape);
  if (p > MOST_PARAMETERS)
    return tb_fail(context, TB_USAGE, "option width", "take smaller width=, depth= or fewer inputs",
                   "model %s would have %.3g parameters, more than %d", model->name, (double)p, MOST_PARAMETERS);
  return TB_OK;
}
