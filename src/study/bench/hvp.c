/* Hessian-vector products of the loss of MLP 10-64-64-1 on a batch of 128, forward over reverse (jvp of vjp).
 *
 *   hvp        one product
 *   hvp_many   32 products at one point, v ← H v/‖H v‖: what depends on the point alone is computed once */
#include "study/bench/workload.h"

#include <math.h>

enum { MANY = 32 };

struct tb_workload {
  tb_context *context;
  tb_network_data data;
  tb_program *program;
  float *v, *product; /* [p] */
};

/* ∇²L v at θ, leaves = θ [p], x [n,d], y [n] */
static tb_value hessian_product(tb_graph *g, const tb_model_shape *shape, const tb_value *leaves, tb_value v) {
  const size_t p = tb_dim(g, leaves[0], 0), n = tb_dim(g, leaves[2], 0);
  const tb_value theta = tb_reshape(g, leaves[0], 2, (size_t[]){ 1, p });
  const tb_value f = tb_reshape(g, tb_model_find("mlp")->output(g, shape, theta, leaves[1]), 1, (size_t[]){ n });
  const tb_value loss = tb_scale(g, tb_mean(g, tb_square(g, tb_subtract(g, f, leaves[2]))), 0.5);
  tb_value gradient, product = v;
  tb_gradient(g, loss, 1, leaves, &gradient);
  tb_jvp(g, 1, &gradient, 1, leaves, &v, &product);
  return product;
}

static tb_status power_step(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry,
                            size_t n_slice, const tb_value *slices, size_t n_const, const tb_value *consts,
                            tb_value *carry_out, size_t n_out, tb_value *outs) {
  const tb_value u = hessian_product(g, user, consts, carry[0]);
  carry_out[0] = tb_divide(g, u, tb_sqrt(g, tb_sum(g, tb_square(g, u))));
  return TB_OK;
}

static tb_status compile(tb_workload *w, bool many) {
  const size_t p = w->data.p, n = w->data.n, d = w->data.d;
  tb_graph *g;
  tb_status status = tb_graph_new(w->context, &g);
  if (status)
    return status;
  const tb_value leaves[] = { tb_input(g, "theta", TB_FLOAT32, 1, (size_t[]){ p }),
                              tb_input(g, "x", TB_FLOAT32, 2, (size_t[]){ n, d }),
                              tb_input(g, "y", TB_FLOAT32, 1, (size_t[]){ n }) };
  const tb_value v = tb_input(g, "v", TB_FLOAT32, 1, (size_t[]){ p });
  tb_value product = v;
  if (many)
    status = tb_scan(g, MANY, false, power_step, &w->data.shape, 1, &v, 0, NULL, 3, leaves, &product, 0, NULL);
  else
    product = hessian_product(g, &w->data.shape, leaves, v);
  if (!status)
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

static tb_status open_row(tb_context *context, bool many, tb_workload **out) {
  tb_workload *w = tb_allocate(context, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  w->context = context;
  tb_status status = tb_network_data_new(context, 128, 10, 3, 64, &w->data);
  if (!status)
    status = compile(w, many);
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

static tb_status hvp_open(tb_context *context, tb_workload **out) {
  return open_row(context, false, out);
}

static tb_status hvp_many_open(tb_context *context, tb_workload **out) {
  return open_row(context, true, out);
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

const tb_workload_record tb_workload_hvp_many = { "hvp_many",    "32 Hessian-vector products in sequence at one point",
                                                  "float32",     200,
                                                  hvp_many_open, hvp_step,
                                                  hvp_flop,      hvp_parameters,
                                                  hvp_save,      hvp_close };
