/* natural_gradient_200 and natural_gradient_500: the exact natural-gradient step of an MLP on squared error as one
 * program: Gram matrix of the Jacobian from the layers, Cholesky solve, pull-back.  θ ← θ − lr Jᵀ (J Jᵀ/n + λ I)⁻¹ r/n.
 */
#include "optim/gram.h"
#include "study/bench/workload.h"

static const double lr = 0.1, damping = 1e-6;

struct tb_workload {
  tb_context *context;
  tb_network_data data;
  tb_program *program;
  float *theta[2];
  int now;
};

static tb_status compile(tb_workload *w) {
  size_t p = w->data.p, n = w->data.n, d = w->data.d;
  tb_graph *g;
  tb_status status = tb_graph_new(w->context, &g);
  if (status)
    return status;
  tb_value theta = tb_input(g, "theta", TB_FLOAT32, 1, (size_t[]){ p });
  tb_value x = tb_input(g, "x", TB_FLOAT32, 2, (size_t[]){ n, d });
  tb_value y = tb_input(g, "y", TB_FLOAT32, 1, (size_t[]){ n });
  tb_value f,
      gram = tb_gram(g, tb_model_find("mlp"), &w->data.shape, tb_reshape(g, theta, 2, (size_t[]){ 1, p }), x, &f);
  tb_value residual = tb_subtract(g, f, y), loss = tb_scale(g, tb_mean(g, tb_square(g, residual)), 0.5);
  tb_value row = tb_iota(g, TB_FLOAT32, 2, (size_t[]){ n, n }, 0),
           col = tb_iota(g, TB_FLOAT32, 2, (size_t[]){ n, n }, 1);
  tb_value ridge = tb_scale(g, tb_equal(g, row, col), damping);
  tb_value factor = tb_cholesky(g, tb_add(g, tb_scale(g, gram, 1.0 / (double)n), ridge));
  tb_value c = tb_reshape(g, tb_scale(g, residual, 1.0 / (double)n), 2, (size_t[]){ n, 1 });
  c = tb_triangular_solve(g, factor, true, tb_triangular_solve(g, factor, false, c));
  c = tb_reshape(g, c, 1, (size_t[]){ n });
  tb_value direction;
  tb_vjp(g, 1, &f, &c, 1, &theta, &direction);
  tb_value next = tb_subtract(g, theta, tb_scale(g, direction, lr));
  status = tb_program_new(w->context, g, 2, (tb_value[]){ loss, next }, NULL, &w->program);
  tb_graph_free(g);
  return status;
}

static void natural_close(tb_workload *w) {
  tb_context *context = w->context;
  tb_program_free(w->program);
  tb_release(context, w->theta[0]);
  tb_release(context, w->theta[1]);
  tb_network_data_free(context, &w->data);
  tb_release(context, w);
}

static tb_status natural_open(tb_context *context, size_t n, size_t d, size_t width, tb_workload **out) {
  tb_workload *w = tb_allocate(context, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  w->context = context;
  tb_status status = tb_network_data_new(context, n, d, 3, width, &w->data);
  if (!status)
    status = compile(w);
  for (int k = 0; !status && k < 2; k++)
    if (!(w->theta[k] = tb_allocate(context, w->data.p, sizeof(float))))
      status = TB_NO_MEMORY;
  for (size_t i = 0; !status && i < w->data.p; i++)
    w->theta[0][i] = w->data.theta[i];
  if (status) {
    natural_close(w);
    return status;
  }
  *out = w;
  return TB_OK;
}

static tb_status natural_step(tb_workload *w, double *loss) {
  float value;
  tb_status status = tb_program_run(w->program, 3, (const void *[]){ w->theta[w->now], w->data.x, w->data.y }, 2,
                                    (void *[]){ &value, w->theta[!w->now] });
  w->now = !w->now;
  *loss = value;
  return status;
}

static double natural_flop(const tb_workload *w) {
  return tb_program_cost(w->program).flop;
}

static const void *natural_parameters(const tb_workload *w, size_t *bytes) {
  *bytes = w->data.p * sizeof(float);
  return w->theta[w->now];
}

static tb_status natural_save(tb_workload *w, const char *path) {
  return tb_network_data_save(w->context, &w->data, path, NULL, NULL, 0);
}

static tb_status open_200(tb_context *context, tb_workload **out) {
  return natural_open(context, 200, 10, 32, out);
}

static tb_status open_500(tb_context *context, tb_workload **out) {
  return natural_open(context, 500, 20, 64, out);
}

const tb_workload_record tb_workload_natural_gradient_200 = {
  "natural_gradient_200",
  "exact natural-gradient step, MLP 10-32-32-1, n 200, squared error, damping 1e-6",
  "float32",
  100,
  open_200,
  natural_step,
  natural_flop,
  natural_parameters,
  natural_save,
  natural_close
};

const tb_workload_record tb_workload_natural_gradient_500 = {
  "natural_gradient_500",
  "exact natural-gradient step, MLP 20-64-64-1, n 500, squared error, damping 1e-6",
  "float32",
  20,
  open_500,
  natural_step,
  natural_flop,
  natural_parameters,
  natural_save,
  natural_close
};
