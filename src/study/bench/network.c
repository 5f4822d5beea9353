/* Data and starting point of the network workloads: x ~ N(0, 1), y = sin(Σ x / √d), weights N(0, 1/fan_in), biases 0.
 */
#include "io/npz.h"
#include "study/bench/workload.h"

#include <math.h>

void tb_network_data_free(tb_context *context, tb_network_data *data) {
  tb_release(context, data->x);
  tb_release(context, data->y);
  tb_release(context, data->theta);
}

tb_status tb_network_data_new(tb_context *context, size_t n, size_t d, int depth, size_t width, tb_network_data *data) {
  const tb_model *mlp = tb_model_find("mlp");
  *data = (tb_network_data){ .n = n,
                             .d = d,
                             .shape = { .inputs = d, .depth = depth, .width = width, .activation = TB_TANH } };
  data->p = mlp->parameters(&data->shape);
  data->x = tb_allocate(context, n * d, sizeof *data->x);
  data->y = tb_allocate(context, n, sizeof *data->y);
  data->theta = tb_allocate(context, data->p, sizeof *data->theta);
  if (!data->x || !data->y || !data->theta) {
    tb_network_data_free(context, data);
    return TB_NO_MEMORY;
  }
  tb_random_normal_float((tb_key){ .seed = 0, .use = tb_use("inputs") }, 0, n * d, data->x);
  for (size_t i = 0; i < n; i++) {
    float sum = 0;
    for (size_t j = 0; j < d; j++)
      sum += data->x[i * d + j];
    data->y[i] = sinf(sum / sqrtf((float)d));
  }
  char name[32];
  size_t rows, cols, at = 0;
  for (size_t k = 0; mlp->block(&data->shape, k, name, &rows, &cols); k++) {
    if (name[0] == 'W') { /* [out × in] */
      tb_random_normal_float((tb_key){ .seed = 0, .use = tb_use("initial weights") }, at, rows * cols,
                             data->theta + at);
      for (size_t i = 0; i < rows * cols; i++)
        data->theta[at + i] /= sqrtf((float)cols);
    }
    at += rows * cols;
  }
  return TB_OK;
}

tb_status tb_network_data_save(tb_context *context, const tb_network_data *data, const char *path,
                               const char *more_name, const float *more, size_t more_count) {
  enum { MOST = 32 };
  const tb_model *mlp = tb_model_find("mlp");
  tb_array arrays[MOST] = {
    { .name = "x", .type = TB_ARRAY_FLOAT32, .rank = 2, .dims = { data->n, data->d }, .data = data->x },
    { .name = "y", .type = TB_ARRAY_FLOAT32, .rank = 1, .dims = { data->n }, .data = data->y },
  };
  char names[MOST][32];
  size_t count = 2, rows, cols, at = 0;
  if (more)
    arrays[count++] =
        (tb_array){ .name = more_name, .type = TB_ARRAY_FLOAT32, .rank = 1, .dims = { more_count }, .data = more };
  for (size_t k = 0; count < MOST && mlp->block(&data->shape, k, names[k], &rows, &cols); k++) {
    arrays[count++] = (tb_array){
      .name = names[k], .type = TB_ARRAY_FLOAT32, .rank = 2, .dims = { rows, cols }, .data = data->theta + at
    };
    at += rows * cols;
  }
  return tb_npz_write(context, path, count, arrays);
}
