/* A first model: logistic regression by gradient descent, in the public API alone.
 *
 * Row i of x is y_i x_i (a label ±1 times its features), so the margins are x w and the loss is mean log(1 + e^{−x w}).
 * Build:  cc first_model.c -ltiebreak …  Output: the loss every ten steps, then the weights. */
#include <tiebreak/tiebreak.h>

#include <stdio.h>

static const double x_data[8][3] = {
  { 0.9, 0.1, -0.4 }, { 1.3, -0.2, 0.5 }, { 0.2, 0.8, 0.1 },  { 0.7, -0.6, 0.9 },
  { 0.4, 0.3, -0.2 }, { 1.1, 0.5, 0.6 },  { 0.3, -0.1, 0.7 }, { 0.8, 0.2, -0.9 },
};

/* loss and gradient [3] of w [3] on x [8,3] */
static tb_status build(tb_context *context, tb_program **program) {
  tb_graph *g;
  tb_status status = tb_graph_new(context, &g);
  if (status != TB_OK)
    return status;
  tb_value w = tb_input(g, "w", TB_FLOAT64, 1, (size_t[]){ 3 });
  tb_value x = tb_input(g, "x", TB_FLOAT64, 2, (size_t[]){ 8, 3 });
  tb_value loss = tb_mean(g, tb_softplus(g, tb_negate(g, tb_matvec(g, x, w))));
  tb_value gradient;
  tb_gradient(g, loss, 1, &w, &gradient);
  status = tb_program_new(context, g, 2, (tb_value[]){ loss, gradient }, NULL, program);
  tb_graph_free(g);
  return status;
}

static tb_status descend(tb_program *program) {
  double w[3] = { 0 }, loss, gradient[3];
  for (int step = 0; step <= 50; step++) {
    tb_status status = tb_program_run(program, 2, (const void *[]){ w, x_data }, 2, (void *[]){ &loss, gradient });
    if (status != TB_OK)
      return status;
    if (step % 10 == 0)
      printf("step %2d  loss %.6f\n", step, loss);
    for (int i = 0; i < 3; i++)
      w[i] -= 0.5 * gradient[i];
  }
  printf("weights %.6f %.6f %.6f\n", w[0], w[1], w[2]);
  return TB_OK;
}

int main(void) {
  tb_context *context = tb_context_new(NULL, NULL);
  if (!context)
    return 4;
  tb_program *program = NULL;
  tb_status status = build(context, &program);
  if (status == TB_OK)
    status = descend(program);
  if (status != TB_OK)
    fprintf(stderr, "%s: %s\n", tb_context_place(context), tb_context_message(context));
  tb_program_free(program);
  tb_context_free(context);
  return tb_status_exit_code(status);
}
