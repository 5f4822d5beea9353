/* Tapes on a budget: the binomial schedule against dynamic programming; bodies of real plans counted as they run; the
 * same bits for every budget where one loop, or several, read a tape; what a plan says of it. */
#include "engine/plan.h"

#include <tiebreak/tiebreak.h>

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static tb_context *context;

static void check(tb_status status) {
  if (status != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
}

/* ---- the schedule ---- */

enum { LONGEST = 200, MOST_SLOTS = 12 };
static double fewest[MOST_SLOTS + 1][LONGEST + 1];

/* The fewest steps by trying every state to keep next: run x steps, keep, walk back what lies behind with a slot less,
 * then what lies before. */
static void try_all(void) {
  for (int slots = 1; slots <= MOST_SLOTS; slots++)
    for (int n = 1; n <= LONGEST; n++) {
      fewest[slots][n] = n * (n - 1) / 2.0;
      for (int x = 1; x < n && slots > 1; x++)
        fewest[slots][n] = fmin(fewest[slots][n], x + fewest[slots - 1][n - x] + fewest[slots][x]);
    }
}

/* Steps that the schedule runs. */
static double follow(size_t n, size_t slots) {
  if (n == 1)
    return 0;
  const size_t x = tb_revolve_advance(n, slots);
  assert_in_range(x, 1, n - 1);
  if (slots == 1) {
    assert_int_equal(x, n - 1);
    return (double)x + follow(n - 1, 1);
  }
  return (double)x + follow(n - x, slots - 1) + follow(x, slots);
}

static void test_schedule(void **state) {
  try_all();
  for (size_t slots = 1; slots <= MOST_SLOTS; slots++)
    for (size_t n = 1; n <= LONGEST; n++) {
      assert_true(tb_revolve_steps(n, slots) == fewest[slots][n]);
      assert_true(follow(n, slots) == fewest[slots][n]);
    }
  assert_int_equal(tb_revolve_repeats(286, 10), 3); /* β(10, 3) = 286 */
  assert_int_equal(tb_revolve_repeats(287, 10), 4);
  assert_true(tb_revolve_steps(1000000, 1000000) == 999999);
  assert_true(tb_revolve_steps(1u << 31, 40) < 9.0 * (1u << 31)); /* β(40, 8) = 3.8e8, β(40, 9) = 2e9 */
}

/* Blocks and slots against every pair that fits. */
static void test_choice(void **state) {
  static const double sizes[][2] = { { 0, 8 }, { 40, 8 }, { 8, 40 }, { 24, 0 } };
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
    for (size_t length = 1; length <= 60; length += 7)
      for (double bytes = 10; bytes < 4000; bytes *= 1.3) {
        const double tape = sizes[k][0], carry = sizes[k][1];
        const tb_revolve_plan plan = tb_revolve_choose(length, tape, carry, bytes);
        double least = INFINITY;
        for (size_t block = 1; block <= length; block++)
          for (size_t slots = 1; slots <= length; slots++)
            if ((double)block * (tape + carry) + carry + (double)slots * carry <= bytes)
              least = fmin(least, tb_revolve_again((tb_revolve_plan){ block, slots }, length, 0));
        if (isinf(least))
          assert_true(plan.block == 1 && plan.slots == 1);
        else
          assert_true(tb_revolve_again(plan, length, 0) == least);
      }
}

/* ---- bodies that run ---- */

enum { ROWS = 3, WIDTH = 4 };

static tb_status step(void *user, tb_graph *g, tb_value k, size_t n_carry, const tb_value *carry, size_t n_slice,
                      const tb_value *slices, size_t n_const, const tb_value *consts, tb_value *carry_out, size_t n_out,
                      tb_value *outs) {
  const tb_value x = tb_add(g, tb_matmul(g, carry[0], false, consts[0], false), slices[0]);
  carry_out[0] = tb_tanh(g, x);
  outs[0] = tb_sum(g, tb_multiply(g, tb_sin(g, x), carry[0]));
  return tb_graph_status(g);
}

typedef struct recurrent {
  tb_graph *graph;
  tb_value loss, w, h, xs, last;
  size_t length;
} recurrent;

static recurrent make(size_t length, bool reverse) {
  recurrent r = { .length = length };
  tb_value sums;
  check(tb_graph_new(context, &r.graph));
  r.w = tb_input(r.graph, "w", TB_FLOAT64, 2, ((size_t[]){ WIDTH, WIDTH }));
  r.h = tb_input(r.graph, "h", TB_FLOAT64, 2, ((size_t[]){ ROWS, WIDTH }));
  r.xs = tb_input(r.graph, "xs", TB_FLOAT64, 3, ((size_t[]){ length, ROWS, WIDTH }));
  check(tb_scan(r.graph, length, reverse, step, NULL, 1, &r.h, 1, &r.xs, 1, &r.w, &r.last, 1, &sums));
  r.loss = tb_add(r.graph, tb_sum(r.graph, sums), tb_sum(r.graph, tb_square(r.graph, r.last)));
  return r;
}

static double *numbers(size_t count, double phase) {
  double *x = malloc((count + 1) * sizeof *x);
  for (size_t i = 0; i < count; i++)
    x[i] = sin(1.3 * (double)i + phase);
  return x;
}

static size_t counted;
static void (*counted_run)(const tb_instruction *, tb_frame *);
static void count_run(const tb_instruction *instruction, tb_frame *frame) {
  counted++;
  counted_run(instruction, frame);
}

/* The forward loop of a plan: the first one. */
static const tb_loop *forward_loop(const tb_plan *plan) {
  for (uint32_t i = 0; i < plan->count; i++)
    if (plan->instructions[i].run == tb_run_loop)
      return plan->instructions[i].detail;
  fail_msg("no loop");
  return NULL;
}

/* Plans the outputs on a budget and runs them, counting the steps of the forward loop. */
static tb_loop plan_and_count(const recurrent *r, size_t n_out, const tb_value *out, size_t budget, double **results) {
  uint32_t wanted[8], found[8];
  tb_graph *simple;
  tb_plan *plan;
  tb_arena *arena = tb_arena_new(context);
  const tb_limits limits = { .threads = 1, .tape_bytes = budget };
  for (size_t i = 0; i < n_out; i++)
    wanted[i] = tb_index(r->graph, out[i]);
  check(tb_simplify(context, r->graph, n_out, wanted, found, &simple));
  check(tb_plan_graph(context, arena, simple, n_out, found, &limits, true, &plan));
  const tb_loop *l = forward_loop(plan);
  counted = 0;
  counted_run = l->body->instructions[0].run;
  l->body->instructions[0].run = count_run;
  double *in[] = { numbers(WIDTH * WIDTH, 0.2), numbers(ROWS * WIDTH, 0.5), numbers(r->length * ROWS * WIDTH, 0.9) };
  char *bases[TB_BASE_FIRST + 3 + 8] = { calloc(plan->arena_bytes + 64, 1), plan->constants };
  for (int i = 0; i < 3; i++)
    bases[TB_BASE_FIRST + i] = (char *)in[i];
  for (size_t i = 0; i < n_out; i++)
    bases[TB_BASE_FIRST + 3 + i] = (char *)(results[i] = calloc(tb_elements(r->graph, out[i]), sizeof(double)));
  tb_frame frame = { .context = context, .bases = bases };
  tb_plan_execute(plan, &frame);
  assert_int_equal(frame.status, TB_OK);
  const tb_loop copy = *l;
  for (int i = 0; i < 3; i++)
    free(in[i]);
  free(bases[0]);
  tb_arena_free(arena);
  tb_graph_free(simple);
  return copy;
}

/* The gradient from the whole tape and from every number of slots, down to one: same bits, and as many steps as the
 * formula says. */
static void test_counts(void **state) {
  static const size_t lengths[] = { 1, 2, 7, 36, 100 };
  for (int reverse = 0; reverse < 2; reverse++)
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
      const size_t length = lengths[k], steps = ROWS * WIDTH * sizeof(double);
      const recurrent r = make(length, reverse);
      tb_value out[3] = { r.loss };
      check(tb_gradient(r.graph, r.loss, 2, (tb_value[]){ r.w, r.h }, out + 1));
      double *whole[3], *pieces[3];
      tb_loop l = plan_and_count(&r, 3, out, SIZE_MAX / 2, whole);
      assert_int_equal(l.blocks.block, 0);
      assert_int_equal(counted, length);
      size_t least = SIZE_MAX;
      for (size_t budget = 1; budget < 5 * length * steps; budget += budget < 20 * steps ? steps / 2 : 7 * steps) {
        l = plan_and_count(&r, 3, out, budget, pieces);
        const size_t block = l.blocks.block, blocks = block ? (length + block - 1) / block : 1;
        if (budget == 1)
          assert_true(block == 1 && l.blocks.slots == 1);
        /* all steps once; β's formula for blocks; no step more with more memory */
        const double again = block && blocks <= LONGEST && l.blocks.slots <= MOST_SLOTS
                                 ? (double)block * fewest[l.blocks.slots][blocks]
                             : block ? tb_revolve_again(l.blocks, length, 0)
                                     : 0;
        assert_true((double)counted == (double)length + again);
        assert_true(counted <= least);
        least = counted;
        for (int i = 0; i < 3; i++) {
          assert_memory_equal(whole[i], pieces[i], tb_elements(r.graph, out[i]) * sizeof(double));
          free(pieces[i]);
        }
      }
      assert_int_equal(least, length);
      for (int i = 0; i < 3; i++)
        free(whole[i]);
      tb_graph_free(r.graph);
    }
}

/* ---- several readers ---- */

/* Two losses' gradients: two loops walk back along one tape. */
static void test_two_readers(void **state) {
  enum { LENGTH = 50 };
  const recurrent r = make(LENGTH, false);
  tb_value out[4] = { r.loss, tb_sum(r.graph, tb_tanh(r.graph, r.last)) };
  check(tb_gradient(r.graph, out[0], 1, &r.w, out + 2));
  check(tb_gradient(r.graph, out[1], 1, &r.w, out + 3));
  double *whole[4], *pieces[4];
  plan_and_count(&r, 4, out, SIZE_MAX / 2, whole);
  assert_int_equal(counted, LENGTH);
  for (size_t budget = 1; budget < 30000; budget = budget * 3 / 2 + 100) {
    const tb_loop l = plan_and_count(&r, 4, out, budget, pieces);
    if (l.blocks.block)
      assert_true((double)counted ==
                  LENGTH + tb_revolve_again(l.blocks, LENGTH, 0) + tb_revolve_again(l.blocks, LENGTH, 1));
    if (budget == 1)
      assert_true(l.blocks.block == 1 && l.blocks.slots == 1);
    for (int i = 0; i < 4; i++) {
      assert_memory_equal(whole[i], pieces[i], tb_elements(r.graph, out[i]) * sizeof(double));
      free(pieces[i]);
    }
  }
  for (int i = 0; i < 4; i++)
    free(whole[i]);
  tb_graph_free(r.graph);
}

/* ---- second derivatives ---- */

static void run(const recurrent *r, size_t n_out, const tb_value *out, tb_program_options options, double **results) {
  tb_program *program;
  double *in[] = { numbers(WIDTH * WIDTH, 0.2), numbers(ROWS * WIDTH, 0.5), numbers(r->length * ROWS * WIDTH, 0.9) };
  check(tb_program_new(context, r->graph, n_out, out, &options, &program));
  for (size_t i = 0; i < n_out; i++)
    results[i] = calloc(tb_elements(r->graph, out[i]), sizeof(double));
  check(tb_program_run(program, 3, (const void *const *)in, n_out, (void *const *)results));
  for (int i = 0; i < 3; i++)
    free(in[i]);
  tb_program_free(program);
}

/* Loss, gradient, and Hessian times gradient: the tangents pushed through the gradient, or a gradient of ⟨g, v⟩. */
static void test_second_derivatives(void **state) {
  enum { LENGTH = 40, OUT = 3 };
  for (int over = 0; over < 2; over++) {
    const recurrent r = make(LENGTH, false);
    tb_value out[OUT] = { r.loss };
    check(tb_gradient(r.graph, r.loss, 1, &r.w, out + 1));
    const tb_value v = tb_sin(r.graph, r.w);
    if (over == 0)
      check(tb_jvp(r.graph, 1, out + 1, 1, &r.w, &v, out + 2));
    else
      check(tb_gradient(r.graph, tb_sum(r.graph, tb_multiply(r.graph, out[1], tb_stop(r.graph, v))), 1, &r.w, out + 2));
    double *naive[OUT], *whole[OUT], *pieces[OUT];
    run(&r, OUT, out, (tb_program_options){ .executor = TB_NAIVE }, naive);
    run(&r, OUT, out, (tb_program_options){ .threads = 1 }, whole);
    for (size_t budget = 1; budget < 100000; budget = budget * 2 + 300) {
      run(&r, OUT, out, (tb_program_options){ .threads = 1, .tape_bytes = budget }, pieces);
      for (int i = 0; i < OUT; i++) {
        const size_t n = tb_elements(r.graph, out[i]);
        assert_memory_equal(whole[i], pieces[i], n * sizeof(double));
        for (size_t j = 0; j < n; j++)
          assert_true(fabs(naive[i][j] - whole[i][j]) <= 1e-11 * (1 + fabs(naive[i][j])));
        free(pieces[i]);
      }
    }
    for (int i = 0; i < OUT; i++) {
      free(naive[i]);
      free(whole[i]);
    }
    tb_graph_free(r.graph);
  }
}

/* ---- what a plan says ---- */

static void expect_print(const recurrent *r, size_t n_out, const tb_value *out, size_t budget, const char *words) {
  tb_program *program;
  check(tb_program_new(context, r->graph, n_out, out, &(tb_program_options){ .threads = 1, .tape_bytes = budget },
                       &program));
  tb_text text = tb_text_new(context);
  check(tb_program_print(program, &text));
  if (!strstr(text.data, words))
    fail_msg("no “%s” in\n%s", words, text.data);
  tb_text_free(&text);
  tb_program_free(program);
}

static void test_print(void **state) {
  const recurrent r = make(64, false);
  tb_value out[4] = { r.loss };
  check(tb_gradient(r.graph, r.loss, 1, &r.w, out + 1));
  expect_print(&r, 2, out, 1, "tape of 1 step, 1 slot, 63 repeats");
  expect_print(&r, 2, out, 1, "2016 steps again");
  expect_print(&r, 2, out, 1600, "tape of 2 steps, 7 slots, 2 repeats"); /* 32 blocks of β(7, 2) = 36 */
  expect_print(&r, 2, out, 1600, "110 steps again");                     /* 2 (2·32 − β(8, 1)) */
  const tb_value dot = tb_sum(r.graph, tb_multiply(r.graph, out[1], tb_stop(r.graph, out[1])));
  check(tb_gradient(r.graph, dot, 1, &r.w, out + 2));
  expect_print(&r, 3, out, 1, "kept whole: the loop itself reads a tape in blocks");
  tb_graph_free(r.graph);
}

static int begin(void **state) {
  context = tb_context_new(NULL, NULL);
  return context ? 0 : -1;
}
static int end(void **state) {
  tb_context_free(context);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_schedule),
    cmocka_unit_test(test_choice),
    cmocka_unit_test(test_counts),
    cmocka_unit_test(test_two_readers),
    cmocka_unit_test(test_second_derivatives),
    cmocka_unit_test(test_print),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
