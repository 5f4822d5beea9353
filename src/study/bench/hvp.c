/* hvp: a Hessian-vector product of the loss of MLP 10-64-64-1 on a batch of 128, forward over reverse (jvp of vjp). */
#include "study/bench/workload.h"

#include <math.h>

struct tb_workload {
  tb_context *context;
  tb_network_data data;
  tb_program *program;
  float *v, *product; /* [p] */
};

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
  tb_value v = tb_input(g, "v", TB_FLOAT32, 1, (size_t[]){ p });
  tb_value f =
      tb_reshape(g, mlp->output(g, &w->data.shape, tb_reshape(g, theta, 2, (size_t[]){ 1, p }), x), 1, (size_t[]){ n });
  tb_value loss = tb_scale(g, tb_mean(g, tb_square(g, tb_subtract(g, f, y))), 0.5), gradient, product;
  tb_gradient(g, loss, 1, &theta, &gradient);
  tb_jvp(g, 1, &gradient, 1, &theta, &v, &product);
  status = tb_program_new(w->context, g, 1, &product, NULL, &w->program);
  tb_graph_free(g);
  return status;
}

static void hvp_close(tb_workload *w) {
  tb_context *context = w->context;
  tb_program_free(w->program);
  tb_release(context, w->v);
  tb_release(context, w->product);
  tb_network_data_free(context, &w->data);
  tb_release(context, w);
}

static tb_status hvp_open(tb_context *context, tb_workload **out) {
  tb_workload *w = tb_allocate(context, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  w->context = context;
  tb_status status = tb_network_data_new(context, 128, 10, 3, 64, &w->data);
  if (!status)
    status = compile(w);
  if (!status && (!(w->v = tb_allocate(context, w->data.p, sizeof(float))) ||
                  !(w->product = tb_allocate(context, w->data.p, sizeof(float)))))
    status = TB_NO_MEMORY;
  if (status) {
    hvp_close(w);
    return status;
  }
  tb_random_normal_float((tb_key){ .seed = 0, .use = tb_use("direction") }, 0, w->data.p, w->v);
  *out = w;
  return TB_OK;
}

static tb_status hvp_step(tb_workload *w, double *loss) {
  *loss = NAN;
  return tb_program_run(w->program, 4, (const void *[]){ w->data.theta, w->data.x, w->data.y, w->v }, 1,
                        (void *[]){ w->product });
}

static double hvp_flop(const tb_workload *w) {
  return tb_program_cost(w->program).flop;
}

static const void *hvp_parameters(const tb_workload *w, size_t *bytes) {
  *bytes = w->data.p * sizeof(float);
  return w->product;
}

static tb_status hvp_save(tb_workload *w, const char *path) {
  return tb_network_data_save(w->context, &w->data, path, "v", w->v, w->data.p);
}

const tb_workload_record tb_workload_hvp = { "hvp",     "Hessian-vector product, MLP 10-64-64-1, batch 128",
                                             "float32", 1000,
                                             hvp_open,  hvp_step,
                                             hvp_flop,  hvp_parameters,
                                             hvp_save,  hvp_close };
