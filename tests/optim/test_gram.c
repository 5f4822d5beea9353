/* The Gram matrix from the layers against J Jᵀ of the dense Jacobian, and f against the outputs. */
#include "fixture.h"

#include "optim/gram.h"

typedef struct gram_case {
  int depth;
  size_t width, n, d;
  tb_unary activation;
} gram_case;

static const gram_case cases[] = {
  { 1, 1, 4, 3, TB_TANH },     { 2, 6, 5, 3, TB_TANH }, { 3, 4, 1, 1, TB_GELU },
  { 4, 7, 9, 2, TB_SOFTPLUS }, { 3, 5, 7, 4, TB_RELU },
};

static void equals_dense_product(void **state) {
  const tb_model *mlp = tb_model_find("mlp");
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    const gram_case *c = &cases[k];
    tb_model_shape shape = { .inputs = c->d, .depth = c->depth, .width = c->width, .activation = c->activation };
    size_t n = c->n, p = mlp->parameters(&shape);
    double x[64], y[16], theta[512], f[16], jacobian[16 * 512], gram[256], outputs[16];
    tb_random_normal((tb_key){ .seed = k, .use = 1 }, 0, n * c->d, x);
    tb_random_normal((tb_key){ .seed = k, .use = 2 }, 0, p, theta);
    for (size_t i = 0; i < n; i++)
      y[i] = i % 2 ? 1 : -1;
    tb_objective *objective;
    check(tb_objective_new(context, mlp, &shape, TB_LOSS_SQUARE, TB_FLOAT64, n, x, y, &objective));
    check(tb_objective_jacobian(objective, theta, f, jacobian));

    tb_graph *g;
    tb_program *program;
    check(tb_graph_new(context, &g));
    tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, p }), out[2];
    tb_value data = tb_input(g, "x", TB_FLOAT64, 2, (size_t[]){ n, c->d });
    out[0] = tb_gram(g, mlp, &shape, t, data, &out[1]);
    check(tb_program_new(context, g, 2, out, NULL, &program));
    check(tb_program_run(program, 2, (const void *[]){ theta, x }, 2, (void *[]){ gram, outputs }));
    for (size_t i = 0; i < n; i++) {
      assert_near(outputs[i], f[i], 1e-14 * fmax(1, fabs(f[i])));
      for (size_t j = 0; j < n; j++) {
        double sum = 0, size = 0;
        for (size_t q = 0; q < p; q++) {
          sum += jacobian[i * p + q] * jacobian[j * p + q];
          size += fabs(jacobian[i * p + q] * jacobian[j * p + q]);
        }
        assert_near(gram[i * n + j], sum, 1e-13 * fmax(1, size));
      }
    }
    tb_program_free(program);
    tb_graph_free(g);
    tb_objective_free(objective);
  }
}

/* Row i of J is, layer after layer, δ_i a_iᵀ and δ_i. */
static void factors_give_every_row(void **state) {
  const tb_model *mlp = tb_model_find("mlp");
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    const gram_case *c = &cases[k];
    const tb_model_shape shape = { .inputs = c->d, .depth = c->depth, .width = c->width, .activation = c->activation };
    const size_t n = c->n, p = mlp->parameters(&shape);
    double x[64], y[16], theta[512], f[16], jacobian[16 * 512];
    tb_random_normal((tb_key){ .seed = k, .use = 1 }, 0, n * c->d, x);
    tb_random_normal((tb_key){ .seed = k, .use = 2 }, 0, p, theta);
    for (size_t i = 0; i < n; i++)
      y[i] = 1;
    tb_objective *objective;
    check(tb_objective_new(context, mlp, &shape, TB_LOSS_SQUARE, TB_FLOAT64, n, x, y, &objective));
    check(tb_objective_jacobian(objective, theta, f, jacobian));

    tb_graph *g;
    tb_program *program;
    check(tb_graph_new(context, &g));
    const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, p });
    const tb_value data = tb_input(g, "x", TB_FLOAT64, 2, (size_t[]){ n, c->d });
    tb_jacobian_factor factors[TB_MAX_LAYERS];
    tb_value out[9];
    size_t count;
    tb_jacobian_factors(g, mlp, &shape, t, data, factors, &count, &out[8]);
    assert_int_equal(count, c->depth);
    double memory[9][128];
    for (size_t l = 0; l < count; l++) {
      out[2 * l] = factors[l].input;
      out[2 * l + 1] = factors[l].signal;
    }
    out[2 * count] = out[8];
    void *where[9] = {
      memory[0], memory[1], memory[2], memory[3], memory[4], memory[5], memory[6], memory[7], memory[8]
    };
    check(tb_program_new(context, g, 2 * count + 1, out, NULL, &program));
    check(tb_program_run(program, 2, (const void *[]){ theta, x }, 2 * count + 1, where));
    for (size_t i = 0; i < n; i++) {
      const double *row = jacobian + i * p;
      assert_near(memory[2 * count][i], f[i], 1e-14 * fmax(1, fabs(f[i])));
      for (size_t l = 0; l < count; l++) {
        const size_t in = tb_dim(g, factors[l].input, 1), outputs = tb_dim(g, factors[l].signal, 1);
        assert_true(factors[l].bias);
        for (size_t o = 0; o < outputs; o++)
          for (size_t j = 0; j < in; j++, row++)
            assert_near(memory[2 * l + 1][i * outputs + o] * memory[2 * l][i * in + j], *row,
                        1e-13 * fmax(1, fabs(*row)));
        for (size_t o = 0; o < outputs; o++, row++)
          assert_near(memory[2 * l + 1][i * outputs + o], *row, 1e-13 * fmax(1, fabs(*row)));
      }
    }
    tb_program_free(program);
    tb_graph_free(g);
    tb_objective_free(objective);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(equals_dense_product),
                                      cmocka_unit_test(factors_give_every_row) };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
