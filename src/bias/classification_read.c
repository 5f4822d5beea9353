/* The door for a user's data: a CSV with header x1,…,xd,y becomes a classification problem, or a message that says
 * where the fault is, why it is one and what to do. */
#include <stdio.h>
#include <string.h>

#include "bias/problem.h"
#include "io/csv.h"

/* The header must read x1,…,xd,y: a mistaken column is a mistaken experiment. */
tb_status problem_check_header(tb_context *context, const tb_table *table) {
  const char *path = table->path;
  char place[512], expected[32];
  size_t d = table->cols - 1;
  long label = tb_table_column(table, "y");
  snprintf(place, sizeof place, "%.480s:1:1", path);
  if (label < 0)
    return tb_fail(context, TB_BAD_DATA, place, "the header is x1,...,xd,y", "no column y among the %zu columns",
                   table->cols);
  if ((size_t)label != d)
    return tb_fail(context, TB_BAD_DATA, place, "the header is x1,...,xd,y",
                   "column y is number %ld of %zu, it must be the last", label + 1, table->cols);
  if (d == 0)
    return tb_fail(context, TB_BAD_DATA, place, "put the features x1,...,xd before y", "no feature columns, only y");
  for (size_t j = 0; j < d; j++) {
    snprintf(expected, sizeof expected, "x%zu", j + 1);
    if (strcmp(table->names[j], expected) != 0)
      return tb_fail(context, TB_BAD_DATA, place, "the header is x1,...,xd,y",
                     "column %zu is called \"%.60s\", expected \"%s\"", j + 1, table->names[j], expected);
  }
  return TB_OK;
}

static tb_status check_labels(tb_context *context, const tb_table *table) {
  size_t y = table->cols - 1, positive = 0;
  for (size_t i = 0; i < table->rows; i++) {
    double label = table->values[i * table->cols + y];
    if (label != 1 && label != -1)
      return tb_table_fail(context, table, i, y,
                           label == 0 ? "write the second class as -1" : "labels are -1 and 1, nothing else",
                           "label %.17g is neither -1 nor 1", label);
    positive += label > 0;
  }
  if (table->rows > 1 && (positive == 0 || positive == table->rows))
    return tb_fail(context, TB_BAD_DATA, table->path, "a classification problem needs rows with y = -1 and with y = 1",
                   "one class only: all %zu labels are %d", table->rows, positive ? 1 : -1);
  return TB_OK;
}

tb_status tb_classification_read(tb_context *context, const char *path, bool bias, tb_classification **problem) {
  *problem = NULL;
  tb_table *table = NULL;
  tb_classification *p = NULL;
  tb_status status = tb_csv_read(context, path, &table);
  if (status || (status = problem_check_header(context, table)))
    goto done;
  if (table->rows == 0) {
    status =
        tb_fail(context, TB_BAD_DATA, path, "add a line for each example under the header", "no rows, only a header");
    goto done;
  }
  if ((status = check_labels(context, table)))
    goto done;
  size_t features = table->cols - 1;
  status = TB_NO_MEMORY;
  p = classification_new(context, table->rows, features + bias);
  if (!p || !(p->path = tb_allocate(context, strlen(path) + 1, 1)) ||
      !(p->lines = tb_allocate(context, p->n, sizeof *p->lines)))
    goto done;
  strcpy(p->path, path);
  for (size_t i = 0; i < p->n; i++) {
    const double *row = table->values + i * table->cols;
    memcpy(p->x + i * p->d, row, features * sizeof *row);
    if (bias)
      p->x[i * p->d + features] = 1;
    p->y[i] = row[features];
    p->lines[i] = table->lines[i];
  }
  status = classification_finish(context, p);
done:
  tb_table_free(context, table);
  if (status)
    tb_classification_free(context, p);
  else
    *problem = p;
  return status;
}
