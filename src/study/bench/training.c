/* mlp32 and mlp64: forward, backward and Adam's update as one program, parameters swapped between two buffers. */
#include "study/bench/workload.h"

#include <math.h>

typedef struct training_sizes {
  size_t n, d, width;
  int depth;
} training_sizes;

static const training_sizes mlp32 = { 32, 10, 32, 3 }, mlp64 = { 128, 10, 64, 3 };

struct tb_workload {
  tb_context *context;
  tb_network_data data;
  tb_program *program;
  float *state[2]; /* each θ, m, v of p numbers */
  int now;         /* which of the two holds the current point */
  uint64_t step;
};

static const double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

/* Kingma & Ba (2015) with the bias corrections c1 = 1/(1 − β1^k), c2 = 1/(1 − β2^k) as inputs. */
static void adam_update(tb_graph *g, tb_value theta, tb_value m, tb_value v, tb_value c, tb_value gradient,
                        tb_value out[3]) {
  tb_value c1 = tb_slice(g, c, 0, 0, 1), c2 = tb_slice(g, c, 0, 1, 1);
  out[1] = tb_add(g, tb_scale(g, m, beta1), tb_scale(g, gradient, 1 - beta1));
  out[2] = tb_add(g, tb_scale(g, v, beta2), tb_scale(g, tb_square(g, gradient), 1 - beta2));
  tb_value root = tb_shift(g, tb_sqrt(g, tb_multiply(g, out[2], c2)), epsilon);
  out[0] = tb_subtract(g, theta, tb_scale(g, tb_divide(g, tb_multiply(g, out[1], c1), root), lr));
}

static tb_status compile(tb_workload *w) {
  const tb_model *mlp = tb_model_find("mlp");
  size_t p = w->data.p, n = w->data.n, d = w->data.d;
  tb_graph *g;
  tb_status status = tb_graph_new(w->context, &g);
  if (status)
    return status;
  tb_value theta = tb_input(g, "theta", TB_FLOAT32, 1, (size_t[]){ p });
  tb_value x = tb_input(g, "x", TB_FLOAT32, 2, (size_t[]){ n, d });
  tb_value y = tb_input(g, "y", TB_FLOAT32, 1, (size_t[]){ n });
  tb_value f =
      tb_reshape(g, mlp->output(g, &w->data.shape, tb_reshape(g, theta, 2, (size_t[]){ 1, p }), x), 1, (size_t[]){ n });
  tb_value loss = tb_scale(g, tb_mean(g, tb_square(g, tb_subtract(g, f, y))), 0.5), gradient, out[4];
  tb_gradient(g, loss, 1, &theta, &gradient);
  tb_value m = tb_input(g, "m", TB_FLOAT32, 1, (size_t[]){ p }), v = tb_input(g, "v", TB_FLOAT32, 1, (size_t[]){ p });
  tb_value c = tb_input(g, "corrections", TB_FLOAT32, 1, (size_t[]){ 2 });
  adam_update(g, theta, m, v, c, gradient, out + 1);
  out[0] = loss;
  status = tb_program_new(w->context, g, 4, out, NULL, &w->program);
  tb_graph_free(g);
  return status;
}

static void training_close(tb_workload *w) {
  tb_context *context = w->context;
  tb_program_free(w->program);
  tb_release(context, w->state[0]);
  tb_release(context, w->state[1]);
  tb_network_data_free(context, &w->data);
  tb_release(context, w);
}

static tb_status training_open(tb_context *context, const training_sizes *sizes, tb_workload **out) {
  tb_workload *w = tb_allocate(context, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  w->context = context;
  tb_status status = tb_network_data_new(context, sizes->n, sizes->d, sizes->depth, sizes->width, &w->data);
  if (!status)
    status = compile(w);
  for (int k = 0; !status && k < 2; k++)
    if (!(w->state[k] = tb_allocate(context, 3 * w->data.p, sizeof(float))))
      status = TB_NO_MEMORY;
  for (size_t i = 0; !status && i < w->data.p; i++)
    w->state[0][i] = w->data.theta[i];
  if (status) {
    training_close(w);
    return status;
  }
  *out = w;
  return TB_OK;
}

static tb_status training_step(tb_workload *w, double *loss) {
  size_t p = w->data.p;
  const float *from = w->state[w->now];
  float *to = w->state[!w->now], value;
  double k = (double)++w->step;
  float corrections[2] = { (float)(1 / (1 - pow(beta1, k))), (float)(1 / (1 - pow(beta2, k))) };
  tb_status status =
      tb_program_run(w->program, 6, (const void *[]){ from, w->data.x, w->data.y, from + p, from + 2 * p, corrections },
                     4, (void *[]){ &value, to, to + p, to + 2 * p });
  w->now = !w->now;
  *loss = value;
  return status;
}

static double training_flop(const tb_workload *w) {
  return tb_program_cost(w->program).flop;
}

static const void *training_parameters(const tb_workload *w, size_t *bytes) {
  *bytes = w->data.p * sizeof(float);
  return w->state[w->now];
}

static tb_status training_save(tb_workload *w, const char *path) {
  return tb_network_data_save(w->context, &w->data, path, NULL, NULL, 0);
}

static tb_status mlp32_open(tb_context *context, tb_workload **out) {
  return training_open(context, &mlp32, out);
}

static tb_status mlp64_open(tb_context *context, tb_workload **out) {
  return training_open(context, &mlp64, out);
}

#define TRAINING(id, text, default_steps)                                                                              \
  const tb_workload_record tb_workload_##id = { #id,           text,          "float32",     default_steps,            \
                                                id##_open,     training_step, training_flop, training_parameters,      \
                                                training_save, training_close }

TRAINING(mlp32, "MLP 10-32-32-1, batch 32, tanh, squared error, Adam", 4000);
TRAINING(mlp64, "MLP 10-64-64-1, batch 128, tanh, squared error, Adam", 2000);
