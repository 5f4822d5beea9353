/* Memory: the n-th allocation fails, for every n until a whole life of a graph succeeds (build, differentiate, compile,
 * run, print); each failure is reported as TB_NO_MEMORY and everything is released. */
#include <tiebreak/tiebreak.h>

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROWS = 3 };

typedef struct budget {
  long left; /* allocations until the first that fails; all later ones fail too */
  long live; /* blocks not yet released */
} budget;

static void *allocate(void *user, void *block, size_t old_size, size_t new_size) {
  budget *b = user;
  if (new_size == 0) {
    b->live -= block != NULL;
    free(block);
    return NULL;
  }
  if (b->left <= 0)
    return NULL;
  b->left--;
  b->live += block == NULL;
  return realloc(block, new_size);
}

static tb_status recurrent(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry,
                           size_t n_slice, const tb_value *slices, size_t n_const, const tb_value *consts,
                           tb_value *carry_out, size_t n_out, tb_value *outs) {
  carry_out[0] = tb_tanh(g, tb_add(g, tb_matmul(g, carry[0], false, consts[0], true), slices[0]));
  outs[0] = tb_reduce(g, TB_SUM, carry_out[0], 1u << 1, false);
  return tb_graph_status(g);
}

static tb_status compile_and_run(tb_context *context, tb_graph *g, tb_program_options options,
                                 const tb_value *outputs) {
  tb_program *program;
  tb_status status = tb_program_new(context, g, 3, outputs, &options, &program);
  double h[2 * ROWS] = { 1, 2 }, xs[6 * ROWS] = { 0 }, w[4] = { 1, 0, 0, 1 }, loss, gradient[4], tangent;
  if (status == TB_OK)
    status = tb_program_run(program, 3, (const void *[]){ h, xs, w }, 3, (void *[]){ &loss, gradient, &tangent });
  tb_text text = tb_text_new(context);
  if (status == TB_OK)
    status = tb_program_print(program, &text);
  tb_text_free(&text);
  tb_program_free(program);
  return status;
}

/* A recurrent net with its gradient and a tangent, under both executors, and in tiles of a row with next to no tape. */
static tb_status whole_life(tb_context *context) {
  tb_graph *g;
  tb_status status = tb_graph_new(context, &g);
  if (status != TB_OK)
    return status;
  tb_value h = tb_input(g, "h", TB_FLOAT64, 2, (size_t[]){ ROWS, 2 });
  tb_value xs = tb_input(g, "xs", TB_FLOAT64, 3, (size_t[]){ 3, ROWS, 2 });
  tb_value w = tb_input(g, "w", TB_FLOAT64, 2, (size_t[]){ 2, 2 }), last, sums, outputs[3];
  tb_scan(g, 3, false, recurrent, NULL, 1, &h, 1, &xs, 1, &w, &last, 1, &sums);
  outputs[0] = tb_add(g, tb_sum(g, sums), tb_reduce(g, TB_LOGSUMEXP, last, 3, false));
  tb_gradient(g, outputs[0], 1, &w, &outputs[1]);
  tb_jvp(g, 1, outputs, 1, &w, &w, &outputs[2]);
  tb_text text = tb_text_new(context);
  status = tb_graph_status(g);
  if (status == TB_OK)
    status = tb_graph_print(g, &text);
  tb_text_free(&text);
  if (status == TB_OK)
    status = compile_and_run(context, g, (tb_program_options){ .executor = TB_NAIVE }, outputs);
  if (status == TB_OK)
    status = compile_and_run(context, g, (tb_program_options){ .threads = 1 }, outputs);
  if (status == TB_OK)
    status =
        compile_and_run(context, g, (tb_program_options){ .threads = 2, .tile_rows = 1, .tape_bytes = 1 }, outputs);
  tb_graph_free(g);
  return status;
}

static void test_allocations_fail(void **state) {
  for (long n = 0;; n++) {
    budget b = { n, 0 };
    tb_context *context = tb_context_new(allocate, &b);
    if (context) {
      tb_status status = whole_life(context);
      if (status != TB_OK && status != TB_NO_MEMORY)
        fail_msg("allocation %ld: %s: %s", n, tb_status_name(status), tb_context_message(context));
      tb_context_free(context);
      if (status == TB_OK) {
        assert_int_equal(b.live, 0);
        print_message("a whole life takes %ld allocations\n", n);
        return;
      }
    }
    if (b.live != 0)
      fail_msg("allocation %ld: %ld blocks leak", n, b.live);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_allocations_fail) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
