/* Symmetries of the transformer: the same logits, gradients that obey the chain rule, the closed forms of their ratios,
 * maps whose transposes are transposes. */
#include "model_testing.h"

#include "model/symmetry.h"
#include "model/tokens.h"

enum { BATCH = 3, LENGTH = 5, SYMBOLS = 4 };

static const tb_transformer_shape base = { .vocabulary = SYMBOLS,
                                           .width = 6,
                                           .heads = 2,
                                           .feedforward = 7,
                                           .layers = 2,
                                           .length = LENGTH,
                                           .activation = TB_RELU,
                                           .epsilon = 1e-3 };

/* Logits, loss and gradient of a shape at theta, in float64. */
static void evaluate(const tb_transformer_shape *s, const double *theta, double *logits, double *gradient) {
  const size_t p = tb_transformer_parameters(s);
  int32_t tokens[BATCH * LENGTH], targets[BATCH * LENGTH];
  for (uint64_t i = 0; i < BATCH * LENGTH; i++) {
    tokens[i] = (int32_t)tb_random_below((tb_key){ 1, 0, tb_use("tokens") }, i, SYMBOLS);
    targets[i] = (int32_t)tb_random_below((tb_key){ 1, 0, tb_use("targets") }, i, SYMBOLS);
  }
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, p });
  const tb_value in = tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ BATCH, LENGTH });
  const tb_value out = tb_input(g, "targets", TB_INT32, 2, (size_t[]){ BATCH, LENGTH });
  tb_value y[2] = { tb_transformer_logits(g, s, t, in) };
  const tb_value loss = tb_reshape(g, tb_next_token_loss(g, y[0], out, NULL), 0, NULL);
  check(tb_gradient(g, loss, 1, &t, &y[1]));
  run(g, 3, (const void *[]){ theta, tokens, targets }, 2, y, (void *[]){ logits, gradient });
}

static double norm(size_t n, const double *x) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += x[i] * x[i];
  return sqrt(sum);
}

static double largest_difference(size_t n, const double *x, const double *y) {
  double most = 0;
  for (size_t i = 0; i < n; i++)
    most = fmax(most, fabs(x[i] - y[i]));
  return most;
}

static void same(const tb_transformer_shape *shape, tb_symmetry kind, double alpha, double first, double second) {
  tb_symmetry_map map;
  check(tb_symmetry_open(context, kind, shape, alpha, (tb_key){ 5, 0, tb_use("symmetry") }, &map));
  const size_t p = tb_transformer_parameters(&map.from), q = tb_transformer_parameters(&map.to);
  const size_t n = BATCH * LENGTH * SYMBOLS;
  double *theta = numbers(p), *moved = numbers(q), *a = numbers(n), *b = numbers(n), *g = numbers(p), *h = numbers(q);
  double *pulled = numbers(p), *x = numbers(p), *y = numbers(q), one[2], two[2], dot = 0, tod = 0, distance;
  draw("theta", p, theta);
  check(tb_symmetry_move(context, &map, theta, moved));
  evaluate(&map.from, theta, a, g);
  evaluate(&map.to, moved, b, h);
  assert_true(largest_difference(n, a, b) <= 1e-12);
  check(tb_symmetry_pull(context, &map, h, pulled));
  assert_true(largest_difference(p, g, pulled) <= 1e-13);
  tb_symmetry_norms(&map, &map.from, g, one);
  tb_symmetry_norms(&map, &map.to, h, two);
  if (first > 0) {
    near(two[0] / one[0], first, 1e-12);
    near(two[1] / one[1], second, 1e-12);
  }
  draw("x", p, x);
  draw("y", q, y);
  check(tb_symmetry_move(context, &map, x, moved));
  check(tb_symmetry_pull(context, &map, y, pulled));
  for (size_t i = 0; i < q; i++)
    dot += moved[i] * y[i];
  for (size_t i = 0; i < p; i++)
    tod += x[i] * pulled[i];
  near(dot, tod, 1e-12);
  check(tb_symmetry_distance(context, &map, theta, &distance));
  if (p == q) {
    check(tb_symmetry_move(context, &map, theta, moved));
    for (size_t i = 0; i < p; i++)
      moved[i] -= theta[i];
    near(distance, norm(p, moved) / norm(p, theta), 1e-14);
  } else {
    assert_true(distance > 0.1);
  }
  double *all[] = { theta, moved, a, b, g, h, pulled, x, y };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    free(all[i]);
}

static void every_symmetry_keeps_the_function(void **state) {
  for (int position = 0; position <= TB_POSITION_ALIBI; position++)
    for (int post = 0; post < 2; post++) {
      tb_transformer_shape s = base;
      s.position = (tb_position)position;
      s.post_norm = post;
      if (position == TB_POSITION_ROPE)
        s.width = 8;
      same(&s, TB_SYMMETRY_RESCALE, 4, 0.25, 4);
      same(&s, TB_SYMMETRY_RESCALE, 0.01, 100, 0.01);
      same(&s, TB_SYMMETRY_PERMUTATION, 1, 1, 1);
      same(&s, TB_SYMMETRY_WIDEN, 3, 1 / sqrt(3), sqrt(3));
      same(&s, TB_SYMMETRY_RELU_SCALE, 100, 1, 1);
      if (position != TB_POSITION_ROPE)
        same(&s, TB_SYMMETRY_HEADS, 4, 0, 0);
    }
  tb_transformer_shape s = base;
  s.heads = s.width; /* GL(1): q, v ← α q, α v */
  same(&s, TB_SYMMETRY_HEADS, 4, 0.25, 4);
}

static void what_is_no_symmetry_is_refused(void **state) {
  tb_symmetry_map map;
  const tb_key key = { 0 };
  tb_transformer_shape s = base;
  assert_int_equal(tb_symmetry_open(context, TB_SYMMETRY_WIDEN, &s, 1.5, key, &map), TB_USAGE);
  assert_int_equal(tb_symmetry_open(context, TB_SYMMETRY_RESCALE, &s, 0, key, &map), TB_USAGE);
  s.position = TB_POSITION_ROPE;
  assert_int_equal(tb_symmetry_open(context, TB_SYMMETRY_HEADS, &s, 2, key, &map), TB_USAGE);
  s.activation = TB_GELU;
  assert_int_equal(tb_symmetry_open(context, TB_SYMMETRY_RESCALE, &s, 2, key, &map), TB_USAGE);
  tb_context_clear(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_symmetry_keeps_the_function),
    cmocka_unit_test(what_is_no_symmetry_is_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
