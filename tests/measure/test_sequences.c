/* Curvature of sequence models, scans and attention included: Hessian products against central differences of the
 * gradient, Gauss–Newton and empirical Fisher forms against differences of logits and losses, float32 against float64.
 */
#include "fixture.h"

#include "measure/curvature.h"
#include "model/lstm.h"
#include "model/tokens.h"
#include "model/transformer.h"
#include "num/linear.h"

enum { B = 2, T = 5, V = 4, ROWS = B * T, MOST_P = 700, BLOCK = 3 };

static const tb_lstm_shape lstm = { .vocabulary = V, .inputs = 3, .hidden = 4, .layers = 1 };
static const tb_transformer_shape transformer = { .vocabulary = V,
                                                  .width = 4,
                                                  .heads = 2,
                                                  .feedforward = 6,
                                                  .layers = 1,
                                                  .length = T,
                                                  .activation = TB_GELU,
                                                  .position = TB_POSITION_ROPE,
                                                  .epsilon = 1e-5 };
static const int32_t tokens[ROWS] = { 0, 1, 3, 2, 1, 2, 2, 0, 1, 3 }, next[ROWS] = { 1, 3, 2, 1, 0, 2, 0, 1, 3, 1 };

typedef struct sequence_model {
  size_t p;
  bool attention, scalar; /* scalar: builds the loss itself */
  double theta[MOST_P], targets[ROWS];
} sequence_model;

static tb_value logits_of(const sequence_model *m, tb_graph *g, tb_value theta, tb_value symbols) {
  return m->attention ? tb_transformer_logits(g, &transformer, theta, symbols)
                      : tb_lstm_logits(g, &lstm, theta, symbols);
}

static tb_value build(void *user, tb_graph *g, tb_value theta, const tb_value *data) {
  const sequence_model *m = user;
  const tb_value logits = logits_of(m, g, theta, data[0]);
  if (m->scalar)
    return tb_next_token_loss(g, logits, data[1], NULL);
  return tb_reshape(g, logits, 3, (size_t[]){ tb_dim(g, theta, 0), ROWS, V });
}

static sequence_model make(bool attention) {
  sequence_model m = { .attention = attention };
  m.p = attention ? tb_transformer_parameters(&transformer) : tb_lstm_parameters(&lstm);
  assert_true(m.p <= MOST_P);
  if (attention)
    tb_transformer_initialise(&transformer, (tb_key){ .seed = 1 }, m.theta);
  else
    tb_lstm_initialise(&lstm, (tb_key){ .seed = 1 }, m.theta);
  for (size_t i = 0; i < ROWS; i++)
    m.targets[i] = next[i];
  return m;
}

static tb_function function_of(sequence_model *m, tb_dtype dtype, tb_row_loss loss) {
  const tb_function_data symbols = { .integer = true, .rank = 2, .dims = { B, T }, .values = tokens };
  tb_function f = { .parameters = m->p, .dtype = dtype, .data_count = loss == TB_ROW_NONE ? 2 : 1, .build = build };
  f.data[0] = f.data[1] = symbols;
  f.data[1].values = next;
  f.user = m;
  f.loss = loss;
  f.targets = loss == TB_ROW_NONE ? NULL : m->targets;
  m->scalar = loss == TB_ROW_NONE;
  return f;
}

static void products(sequence_model *m, tb_dtype dtype, tb_row_loss loss, tb_curvature_kind kind, const double *v,
                     double *out) {
  const tb_function f = function_of(m, dtype, loss);
  tb_curvature *curvature;
  check(tb_curvature_new(context, &f, kind, BLOCK, &curvature));
  tb_curvature_move(curvature, m->theta);
  const tb_operator op = tb_curvature_operator(curvature);
  check(tb_operator_apply(&op, BLOCK, v, out));
  tb_curvature_free(curvature);
}

/* Gradient of the loss and logits at one point by a program of their own. */
typedef struct plain {
  tb_program *program;
  double gradient[MOST_P], logits[ROWS * V];
} plain;

static void open_plain(const sequence_model *m, plain *q) {
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value theta = tb_input(g, "theta", TB_FLOAT64, 2, ((size_t[]){ 1, m->p }));
  const tb_value symbols = tb_input(g, "tokens", TB_INT32, 2, ((size_t[]){ B, T }));
  const tb_value wanted = tb_input(g, "next", TB_INT32, 2, ((size_t[]){ B, T }));
  tb_value out[2];
  out[1] = logits_of(m, g, theta, symbols);
  check(tb_gradient(g, tb_sum(g, tb_next_token_loss(g, out[1], wanted, NULL)), 1, &theta, &out[0]));
  check(tb_program_new(context, g, 2, out, NULL, &q->program));
  tb_graph_free(g);
}

static void at(const sequence_model *m, plain *q, const double *v, double step) {
  double theta[MOST_P];
  for (size_t i = 0; i < m->p; i++)
    theta[i] = m->theta[i] + step * v[i];
  check(
      tb_program_run(q->program, 3, (const void *[]){ theta, tokens, next }, 2, (void *[]){ q->gradient, q->logits }));
}

static double hessian[BLOCK * MOST_P], other[BLOCK * MOST_P], v[BLOCK * MOST_P];

static void draw_vectors(size_t p) {
  tb_random_normal((tb_key){ .seed = 4 }, 0, BLOCK * p, v);
  for (size_t k = 0; k < BLOCK; k++) {
    const double size = tb_norm(p, v + k * p);
    for (size_t i = 0; i < p; i++)
      v[k * p + i] /= size;
  }
}

static void hessian_products(void **state) {
  for (int attention = 0; attention < 2; attention++) {
    sequence_model m = make(attention);
    static plain up, down;
    draw_vectors(m.p);
    products(&m, TB_FLOAT64, TB_ROW_SOFTMAX, TB_HESSIAN, v, hessian);
    open_plain(&m, &up);
    down = up;
    const double step = 1e-5;
    for (size_t k = 0; k < BLOCK; k++) {
      at(&m, &up, v + k * m.p, step);
      at(&m, &down, v + k * m.p, -step);
      for (size_t i = 0; i < m.p; i++)
        assert_near(hessian[k * m.p + i], (up.gradient[i] - down.gradient[i]) / (2 * step), 1e-8);
    }
    tb_program_free(up.program);
    assert_near(tb_dot(m.p, v, hessian + m.p), tb_dot(m.p, v + m.p, hessian), 1e-13); /* vᵀHw = wᵀHv */
    products(&m, TB_FLOAT64, TB_ROW_NONE, TB_HESSIAN, v, other);
    for (size_t i = 0; i < BLOCK * m.p; i++)
      assert_near(hessian[i], other[i], 1e-12);
    products(&m, TB_FLOAT32, TB_ROW_SOFTMAX, TB_HESSIAN, v, other);
    for (size_t i = 0; i < BLOCK * m.p; i++)
      assert_near(hessian[i], other[i], 1e-5);
  }
}

/* vᵀGv = mean over rows of the variance of u = Jv under softmax; vᵀEv of its squared distance from the label's. */
static void gauss_newton_and_fisher_forms(void **state) {
  for (int attention = 0; attention < 2; attention++) {
    sequence_model m = make(attention);
    static plain here, up, down;
    static double fisher[BLOCK * MOST_P], empirical[BLOCK * MOST_P];
    draw_vectors(m.p);
    products(&m, TB_FLOAT64, TB_ROW_SOFTMAX, TB_FISHER, v, fisher);
    products(&m, TB_FLOAT64, TB_ROW_SOFTMAX, TB_EMPIRICAL_FISHER, v, empirical);
    open_plain(&m, &here);
    up = down = here;
    const double step = 1e-5;
    at(&m, &here, v, 0);
    for (size_t k = 0; k < BLOCK; k++) {
      at(&m, &up, v + k * m.p, step);
      at(&m, &down, v + k * m.p, -step);
      double form = 0, labelled = 0;
      for (size_t i = 0; i < ROWS; i++) {
        double total = 0, mean = 0, square = 0, u[V];
        for (size_t c = 0; c < V; c++) {
          const double weight = exp(here.logits[i * V + c]);
          u[c] = (up.logits[i * V + c] - down.logits[i * V + c]) / (2 * step);
          total += weight;
          mean += weight * u[c];
          square += weight * u[c] * u[c];
        }
        mean /= total;
        form += (square / total - mean * mean) / ROWS;
        labelled += pow(mean - u[next[i]], 2) / ROWS;
      }
      assert_near(tb_dot(m.p, v + k * m.p, fisher + k * m.p), form, 1e-9);
      assert_near(tb_dot(m.p, v + k * m.p, empirical + k * m.p), labelled, 1e-9);
    }
    tb_program_free(here.program);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(hessian_products),
    cmocka_unit_test(gauss_newton_and_fisher_forms),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
