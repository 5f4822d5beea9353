/* Tiles of rows in training: the same bits for every number of threads and both tables of fused arithmetic, on an MLP,
 * a roll-out, a transformer and an LSTM; the numbers of the untiled plan; memory of a tile, not of the batch; a failure
 * is the one of the lowest row. */
#include "random_rows.h"
#include "testing.h"

#include <tiebreak/random.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "diffusion/rollout.h"
#include "engine/kernels/kernels.h"
#include "model/lstm.h"
#include "model/model.h"
#include "model/tokens.h"
#include "model/transformer.h"
#include "optim/training.h"

static tb_context *context;

static int set_up(void **state) {
  context = tb_context_new(NULL, NULL);
  return context ? 0 : -1;
}

static int tear_down(void **state) {
  tb_context_free(context);
  return 0;
}

static void check(tb_status status) {
  if (status != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
}

/* ---- networks ---- */

enum { BATCH = 11, STEPS = 4, DIMS = 4, LENGTH = 5, SYMBOLS = 5, INPUTS = 3 };

static const tb_model_shape mlp_shape = { .inputs = INPUTS, .depth = 3, .width = 16, .activation = TB_TANH };
static const tb_drift_shape drift_shape = { .dims = DIMS, .width = 8, .layers = 2 };
static const tb_transformer_shape transformer_shape = { .vocabulary = SYMBOLS,
                                                        .width = 8,
                                                        .heads = 2,
                                                        .feedforward = 16,
                                                        .layers = 2,
                                                        .length = LENGTH,
                                                        .activation = TB_GELU,
                                                        .position = TB_POSITION_LEARNED,
                                                        .epsilon = 1e-5 };
static const tb_lstm_shape lstm_shape = { .inputs = INPUTS, .hidden = 8, .layers = 1 };

static tb_value mlp(void *user, tb_graph *g, tb_value theta, const tb_value *in, tb_value keys, tb_value *notes) {
  const tb_value f = tb_model_find("mlp")->output(g, &mlp_shape, theta, in[0]); /* [R,n] */
  return tb_reduce(g, TB_MEAN, tb_square(g, tb_shift(g, f, -0.3)), 1u << 1, false);
}

static tb_value rollout(void *user, tb_graph *g, tb_value theta, const tb_value *in, tb_value keys, tb_value *notes) {
  const tb_density funnel = tb_density_funnel(DIMS, 3);
  double numbers[TB_CHAIN_ARRAYS * STEPS];
  tb_chain chain;
  tb_chain_fill(TB_CHAIN_DDS, TB_CHAIN_COS4, true, STEPS, 3, 1, 0.7, numbers, &chain);
  const tb_rollout_shape shape = { .drift = drift_shape, .chain = &chain, .batch = BATCH, .density = &funnel };
  const tb_value key = tb_reshape(g, tb_slice(g, keys, 0, 0, 1), 1, (size_t[]){ 3 });
  const tb_rollout paths = tb_rollout_build(g, &shape, theta, key);
  return tb_rollout_loss(g, &paths, tb_rollout_terminal(g, &shape, &paths, &funnel));
}

static tb_value transformer(void *user, tb_graph *g, tb_value theta, const tb_value *in, tb_value keys,
                            tb_value *notes) {
  return tb_next_token_loss(g, tb_transformer_logits(g, &transformer_shape, theta, in[0]), in[0], NULL);
}

static tb_value lstm(void *user, tb_graph *g, tb_value theta, const tb_value *in, tb_value keys, tb_value *notes) {
  const tb_value states = tb_lstm_states(g, &lstm_shape, theta, in[0]); /* [T,R,B,H] */
  return tb_reduce(g, TB_MEAN, tb_square(g, tb_shift(g, states, -0.1)), 1u << 0 | 1u << 2 | 1u << 3, false);
}

typedef struct network {
  const char *name;
  tb_value (*loss)(void *user, tb_graph *, tb_value theta, const tb_value *in, tb_value keys, tb_value *notes);
  tb_training_input input; /* of one replica */
} network;

static const network networks[] = {
  { "mlp", mlp, { "x", TB_FLOAT64, 3, { 1, BATCH, INPUTS } } },
  { "rollout", rollout, { "unused", TB_FLOAT64, 1, { 1 } } },
  { "transformer", transformer, { "tokens", TB_INT32, 3, { 1, BATCH, LENGTH } } },
  { "lstm", lstm, { "x", TB_FLOAT64, 4, { 1, LENGTH, BATCH, INPUTS } } },
};
enum { NETWORKS = sizeof networks / sizeof *networks, MOST_PARAMETERS = 8192, MOST_INPUTS = 2048, MOST_REPLICAS = 3 };

static size_t start(const network *n, double *theta) {
  const tb_key key = { .seed = 1 };
  size_t count;
  if (n->loss == mlp) {
    count = tb_model_find("mlp")->parameters(&mlp_shape);
    tb_random_normal(key, 0, count, theta);
    for (size_t i = 0; i < count; i++)
      theta[i] *= 0.3;
  } else if (n->loss == rollout) {
    count = tb_drift_parameters(&drift_shape);
    tb_drift_initialise(&drift_shape, key, theta);
  } else if (n->loss == transformer) {
    count = tb_transformer_parameters(&transformer_shape);
    tb_transformer_initialise(&transformer_shape, key, theta);
  } else {
    count = tb_lstm_parameters(&lstm_shape);
    tb_lstm_initialise(&lstm_shape, key, theta);
  }
  assert_true(count <= MOST_PARAMETERS);
  return count;
}

static void fill(const tb_training_input *input, tb_dtype dtype, void *data) {
  size_t count = 1;
  for (size_t i = 0; i < input->rank; i++)
    count *= input->dims[i];
  assert_true(count <= MOST_INPUTS);
  for (size_t i = 0; i < count; i++)
    if (dtype == TB_INT32)
      ((int32_t *)data)[i] = (int32_t)tb_random_below((tb_key){ .seed = 2 }, i, SYMBOLS);
    else if (dtype == TB_FLOAT64)
      ((double *)data)[i] = sin(1.3 * (double)i);
    else
      ((float *)data)[i] = (float)sin(1.3 * (double)i);
}

/* θ of all replicas after some steps of Adam. */
static size_t train(const network *n, tb_dtype dtype, size_t replicas, size_t steps, const tb_program_options *options,
                    double *theta) {
  static double data[MOST_INPUTS];
  double first[MOST_PARAMETERS], losses[MOST_REPLICAS];
  const double rates[MOST_REPLICAS] = { 1e-2, 2e-2, 3e-3 };
  const uint64_t seeds[MOST_REPLICAS] = { 7, 7, 7 };
  tb_training_input input = n->input;
  input.dtype = input.dtype == TB_INT32 ? TB_INT32 : dtype;
  if (n->loss != rollout)
    input.dims[0] = replicas;
  const tb_training_shape shape = { .dtype = dtype,
                                    .replicas = replicas,
                                    .parameters = start(n, first),
                                    .update = TB_UPDATE_ADAM,
                                    .beta1 = 0.9,
                                    .beta2 = 0.99,
                                    .epsilon = 1e-6,
                                    .n_inputs = 1,
                                    .inputs = &input,
                                    .loss = n->loss };
  tb_training *t;
  fill(&input, input.dtype, data);
  check(tb_training_new(context, &shape, options, &t));
  for (size_t r = 0; r < replicas; r++)
    tb_training_start(t, r, first);
  for (size_t k = 0; k < steps; k++) {
    const uint64_t allocations = tb_context_allocations(context);
    check(tb_training_step(t, (const void *[]){ data }, rates, seeds, losses, NULL));
    assert_int_equal(tb_context_allocations(context), allocations);
    assert_true(isfinite(losses[0]));
  }
  for (size_t r = 0; r < replicas; r++)
    tb_training_point(t, r, theta + r * shape.parameters);
  tb_training_free(t);
  return replicas * shape.parameters;
}

static double expected[MOST_REPLICAS * MOST_PARAMETERS], got[MOST_REPLICAS * MOST_PARAMETERS];

/* ---- bits ---- */

static void same_for_threads(const network *n, tb_dtype dtype, size_t replicas, size_t tile_rows, size_t steps) {
  static const uint32_t teams[] = { 1, 2, 3, 4, 8 };
  static const char *const tables[] = { "v3", "v4" };
  const tb_kernels *available[TB_KERNELS_MAX];
  size_t count = tb_kernels_available(TB_FLOAT32, available), known = 0;
  for (size_t table = 0; table < 2; table++) {
    bool runs = false;
    for (size_t i = 0; i < count; i++)
      runs = runs || strcmp(available[i]->name, tables[table]) == 0;
    if (!runs)
      continue;
    setenv("TIEBREAK_KERNELS", tables[table], 1);
    for (size_t i = 0; i < sizeof teams / sizeof *teams; i++) {
      const tb_program_options options = { .threads = teams[i], .tile_rows = tile_rows };
      const size_t p = train(n, dtype, replicas, steps, &options, known ? got : expected);
      if (known++ && memcmp(expected, got, p * sizeof *got) != 0)
        fail_msg("%s: %s with %u threads gives other bits", n->name, tables[table], teams[i]);
    }
    unsetenv("TIEBREAK_KERNELS");
  }
}

static void test_same_bits(void **state) {
  for (size_t k = 0; k < NETWORKS; k++)
    same_for_threads(&networks[k], TB_FLOAT32, 1, 2, 100);
}

static void test_same_bits_of_replicas(void **state) {
  for (size_t k = 0; k < NETWORKS; k++) {
    same_for_threads(&networks[k], TB_FLOAT64, MOST_REPLICAS, 1, 3);
    same_for_threads(&networks[k], TB_FLOAT32, 1, 4, 3);
  }
}

/* ---- numbers ---- */

static void test_same_numbers(void **state) {
  for (size_t k = 0; k < NETWORKS; k++)
    for (size_t replicas = 1; replicas <= 2; replicas++)
      for (size_t rows = 1; rows <= BATCH; rows += rows < 6 ? 1 : 9) {
        train(&networks[k], TB_FLOAT64, replicas, 3, NULL, expected);
        const size_t p =
            train(&networks[k], TB_FLOAT64, replicas, 3, &(tb_program_options){ .threads = 1, .tile_rows = rows }, got);
        for (size_t i = 0; i < p; i++)
          if (!(fabs(expected[i] - got[i]) <= 1e-9 * (1 + fabs(expected[i]))))
            fail_msg("%s, tiles of %zu: parameter %zu is %.17g, not %.17g", networks[k].name, rows, i, got[i],
                     expected[i]);
      }
}

/* ---- random work on rows ---- */

static double *numbers(const tb_graph *g, tb_value a, double phase) {
  double *data = calloc(tb_elements(g, a) + 1, sizeof *data);
  for (size_t i = 0; i < tb_elements(g, a); i++)
    data[i] = 0.8 * sin(2.3 * (double)i + phase);
  return data;
}

static void run_random(const random_rows *r, tb_program_options options, void *const *in, double **out) {
  tb_program *program;
  check(tb_program_new(context, r->graph, r->n_out, r->out, &options, &program));
  for (size_t i = 0; i < r->n_out; i++)
    out[i] = calloc(tb_elements(r->graph, r->out[i]) + 1, sizeof *out[i]);
  check(tb_program_run(program, r->n_in, (const void *const *)in, r->n_out, (void *const *)out));
  const uint64_t allocations = tb_context_allocations(context);
  check(tb_program_run(program, r->n_in, (const void *const *)in, r->n_out, (void *const *)out));
  assert_true(options.executor == TB_NAIVE || tb_context_allocations(context) == allocations);
  tb_program_free(program);
}

static void compare_random(const random_rows *r, uint64_t seed, double *const *naive, double *const *tiled) {
  for (size_t i = 0; i < r->n_out; i++) {
    double scale = 1;
    for (size_t k = 0; k < tb_elements(r->graph, r->out[i]); k++)
      scale = fmax(scale, fabs(naive[i][k]));
    for (size_t k = 0; k < tb_elements(r->graph, r->out[i]); k++)
      if (!(fabs(naive[i][k] - tiled[i][k]) <= 1e-10 * scale))
        fail_msg("rows %d: output %zu element %zu is %.17g, not %.17g", (int)seed, i, k, tiled[i][k], naive[i][k]);
  }
}

static void test_random_rows(void **state) {
  enum { SEEDS = 160 };
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    random_rows r;
    int32_t key[3] = { 5, 0, 100 };
    if (random_rows_make(context, seed, &r) != TB_OK)
      fail_msg("rows %d: %s: %s", (int)seed, tb_context_place(context), tb_context_message(context));
    void *in[ROWS_INPUTS] = { NULL };
    double *naive[ROWS_OUTPUTS], *tiled[ROWS_OUTPUTS], *again[ROWS_OUTPUTS];
    for (size_t i = 0; i + 1 < r.n_in; i++)
      in[i] = numbers(r.graph, r.in[i], (double)(seed + i));
    in[ROWS_INPUTS - 1] = key;
    const size_t rows = 1 + seed % 3;
    run_random(&r, (tb_program_options){ .executor = TB_NAIVE }, in, naive);
    run_random(&r, (tb_program_options){ .threads = 1, .tile_rows = rows }, in, tiled);
    run_random(&r, (tb_program_options){ .threads = seed % 8 ? 1 : 2, .tile_rows = rows, .tape_bytes = 1 }, in, again);
    compare_random(&r, seed, naive, tiled);
    for (size_t i = 0; i < r.n_out; i++) {
      if (memcmp(tiled[i], again[i], tb_elements(r.graph, r.out[i]) * sizeof(double)) != 0)
        fail_msg("rows %d: output %zu depends on threads or tape", (int)seed, i);
      free(naive[i]);
      free(tiled[i]);
      free(again[i]);
    }
    for (size_t i = 0; i + 1 < r.n_in; i++)
      free(in[i]);
    tb_graph_free(r.graph);
  }
}

/* ---- what a plan says ---- */

static void test_print(void **state) {
  tb_graph *g;
  tb_program *program;
  check(tb_graph_new(context, &g));
  const tb_value w = tb_input(g, "w", TB_FLOAT32, 2, ((size_t[]){ 8, 8 }));
  const tb_value x = tb_input(g, "x", TB_FLOAT32, 2, ((size_t[]){ 26, 8 }));
  const tb_value y = tb_tanh(g, tb_matmul(g, x, false, w, true));
  tb_value out[3] = { tb_mean(g, tb_square(g, y)), y };
  check(tb_gradient(g, out[0], 1, &w, out + 2));
  check(tb_program_new(context, g, 3, out, &(tb_program_options){ .threads = 2, .tile_rows = 6 }, &program));
  tb_text text = tb_text_new(context);
  check(tb_program_print(program, &text));
  assert_non_null(strstr(text.data, "26 rows: 1 × 6 + 4 × 5, 5 groups, 2 threads"));
  assert_non_null(strstr(text.data, "1 results by rows, 2 sums over rows"));
  tb_text_free(&text);
  tb_program_free(program);
  tb_graph_free(g);
}

/* ---- tapes ---- */

static void test_tapes(void **state) {
  static const size_t budgets[] = { 1, 300, 1000, 3000, 10000, 100000 };
  for (size_t k = 0; k < NETWORKS; k++)
    for (size_t tile = 0; tile <= 3; tile += 3) { /* whole, and in tiles */
      train(&networks[k], TB_FLOAT32, 1, 5, &(tb_program_options){ .threads = 1, .tile_rows = tile }, expected);
      for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
        const tb_program_options options = { .threads = 1, .tile_rows = tile, .tape_bytes = budgets[i] };
        const size_t p = train(&networks[k], TB_FLOAT32, 1, 5, &options, got);
        if (memcmp(expected, got, p * sizeof *got) != 0)
          fail_msg("%s: a tape of %zu bytes gives other bits", networks[k].name, budgets[i]);
      }
    }
}

/* h ← tanh(h W), and its gradient: the states of all steps are kept, of a tile only. */
static tb_status step(void *user, tb_graph *g, tb_value k, size_t n_carry, const tb_value *carry, size_t n_slice,
                      const tb_value *slices, size_t n_const, const tb_value *consts, tb_value *carry_out, size_t n_out,
                      tb_value *outs) {
  carry_out[0] = tb_tanh(g, tb_matmul(g, carry[0], false, consts[0], false));
  return TB_OK;
}

static void test_memory(void **state) {
  enum { ROWS = 1000, WIDTH = 32, LONG = 100 };
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value w = tb_input(g, "w", TB_FLOAT32, 2, ((size_t[]){ WIDTH, WIDTH }));
  const tb_value h = tb_input(g, "h", TB_FLOAT32, 2, ((size_t[]){ ROWS, WIDTH }));
  tb_value end, out[2];
  check(tb_scan(g, LONG, false, step, NULL, 1, &h, 0, NULL, 1, &w, &end, 0, NULL));
  out[0] = tb_mean(g, end);
  check(tb_gradient(g, out[0], 1, &w, out + 1));
  double bytes[3], flop[2];
  for (uint32_t threads = 1; threads <= 2; threads++) {
    tb_program *program;
    check(tb_program_new(context, g, 2, out, &(tb_program_options){ .threads = threads }, &program));
    bytes[threads] = tb_program_cost(program).arena_bytes;
    tb_program_free(program);
  }
  const double tape = (double)ROWS * WIDTH * LONG * 4;
  assert_true(bytes[1] < 0.6 * tape); /* it would be more than the tape without tiles */
  assert_true(bytes[2] > 1.2 * bytes[1] && bytes[2] < 2 * bytes[1]);
  /* on a budget of a quarter, of what its states and their slopes take an eighth: steps run 1.2 times again */
  for (size_t k = 0; k < 2; k++) {
    const size_t budget = k ? (size_t)tape / 4 : 0;
    const tb_program_options options = { .threads = 1, .tile_rows = ROWS, .tape_bytes = budget };
    tb_program *program;
    check(tb_program_new(context, g, 2, out, &options, &program));
    bytes[k] = tb_program_cost(program).arena_bytes;
    flop[k] = tb_program_cost(program).flop;
    tb_text text = tb_text_new(context);
    check(tb_program_print(program, &text));
    assert_int_equal(strstr(text.data, "steps again") != NULL, k);
    tb_text_free(&text);
    tb_program_free(program);
  }
  assert_true(bytes[1] < 0.2 * bytes[0]);
  assert_true(flop[1] > 1.2 * flop[0] && flop[1] < 1.45 * flop[0]);
  tb_graph_free(g);
}

/* ---- sums over steps ---- */

/* h ← tanh(h W) Uᵀ: a slope is summed with its rows on the left, the other's on the right. */
static tb_status two_weights(void *user, tb_graph *g, tb_value k, size_t n_carry, const tb_value *carry, size_t n_slice,
                             const tb_value *slices, size_t n_const, const tb_value *consts, tb_value *carry_out,
                             size_t n_out, tb_value *outs) {
  carry_out[0] = tb_matmul(g, tb_tanh(g, tb_matmul(g, carry[0], false, consts[0], false)), false, consts[1], true);
  return TB_OK;
}

/* Slopes summed a group of steps at a time: the numbers of the naive executor, whatever is left over in the last group,
 * and the same bits on any tape. */
static void test_sums_of_steps(void **state) {
  enum { ROWS = 19, WIDTH = 6 };
  static const size_t lengths[] = { 1, 2, 4, 5, 6, 23 };
  double w[WIDTH * WIDTH], u[WIDTH * WIDTH], h[ROWS * WIDTH], slopes[3][2][WIDTH * WIDTH], loss;
  for (size_t i = 0; i < WIDTH * WIDTH; i++) {
    w[i] = 0.6 * sin(1.3 * (double)i + 0.2);
    u[i] = 0.6 * cos(0.9 * (double)i);
  }
  for (size_t i = 0; i < ROWS * WIDTH; i++)
    h[i] = sin(0.37 * (double)i);
  for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++) {
    tb_graph *g;
    check(tb_graph_new(context, &g));
    const tb_value x[] = { tb_input(g, "w", TB_FLOAT64, 2, ((size_t[]){ WIDTH, WIDTH })),
                           tb_input(g, "u", TB_FLOAT64, 2, ((size_t[]){ WIDTH, WIDTH })),
                           tb_input(g, "h", TB_FLOAT64, 2, ((size_t[]){ ROWS, WIDTH })) };
    tb_value end, out[3];
    check(tb_scan(g, lengths[n], false, two_weights, NULL, 1, &x[2], 0, NULL, 2, x, &end, 0, NULL));
    out[0] = tb_mean(g, tb_square(g, end));
    check(tb_gradient(g, out[0], 2, x, out + 1));
    const tb_program_options options[] = { { .executor = TB_NAIVE },
                                           { .threads = 1 },
                                           { .threads = 1, .tape_bytes = 1 } };
    for (size_t o = 0; o < 3; o++) {
      tb_program *program;
      check(tb_program_new(context, g, 3, out, &options[o], &program));
      tb_text text = tb_text_new(context);
      check(tb_program_print(program, &text));
      assert_int_equal(strstr(text.data, "products 6×6×19") != NULL, o > 0 && lengths[n] > 1);
      tb_text_free(&text);
      check(
          tb_program_run(program, 3, (const void *[]){ w, u, h }, 3, (void *[]){ &loss, slopes[o][0], slopes[o][1] }));
      tb_program_free(program);
    }
    for (size_t k = 0; k < 2; k++)
      for (size_t i = 0; i < WIDTH * WIDTH; i++)
        assert_float_equal(slopes[1][k][i], slopes[0][k][i], 1e-15);
    assert_memory_equal(slopes[1], slopes[2], sizeof slopes[1]);
    tb_graph_free(g);
  }
}

/* ---- replicas ---- */

/* Replicas know nothing of each other: threads share them out even where all of them stay in cache, weights are updated
 * in place, and no bit depends on it. */
static void test_replicas_shared_out(void **state) {
  enum { REPLICAS = 5, ROWS = 96, WIDTH = 48, COUNT = REPLICAS * WIDTH * WIDTH };
  static float theta[2][COUNT], data[REPLICAS * ROWS * WIDTH], loss[REPLICAS];
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value w = tb_input(g, "w", TB_FLOAT32, 3, ((size_t[]){ REPLICAS, WIDTH, WIDTH }));
  const tb_value x = tb_input(g, "x", TB_FLOAT32, 3, ((size_t[]){ REPLICAS, ROWS, WIDTH }));
  const tb_value y = tb_gelu(g, tb_matmul(g, tb_tanh(g, tb_matmul(g, x, false, w, true)), false, w, false));
  tb_value gradient, out[2];
  out[0] = tb_reduce(g, TB_MEAN, tb_square(g, y), 1u << 1 | 1u << 2, false);
  check(tb_gradient(g, tb_sum(g, out[0]), 1, &w, &gradient));
  out[1] = tb_subtract(g, w, tb_scale(g, gradient, 0.1));
  for (size_t i = 0; i < sizeof data / sizeof *data; i++)
    data[i] = (float)sin(0.7 * (double)i);
  for (uint32_t threads = 1; threads <= 4; threads++) {
    float *now = theta[threads > 1];
    tb_program *program;
    for (size_t i = 0; i < COUNT; i++)
      now[i] = (float)cos(1.1 * (double)i);
    check(tb_program_new(context, g, 2, out, &(tb_program_options){ .threads = threads }, &program));
    tb_text text = tb_text_new(context);
    check(tb_program_print(program, &text));
    assert_int_equal(strstr(text.data, "threads") != NULL, threads > 1);
    tb_text_free(&text);
    for (int k = 0; k < 3; k++)
      check(tb_program_run(program, 2, (const void *[]){ now, data }, 2, (void *[]){ loss, now }));
    tb_program_free(program);
    if (threads > 1)
      assert_memory_equal(theta[0], theta[1], sizeof theta[0]);
  }
  tb_graph_free(g);
}

/* ---- failures ---- */

/* Row i gathers from one table at index[i]; the first index out of range is told. */
static void test_failure(void **state) {
  enum { ROWS = 40 };
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value table = tb_input(g, "table", TB_FLOAT64, 2, ((size_t[]){ 4, 3 }));
  const tb_value index = tb_input(g, "index", TB_INT32, 1, ((size_t[]){ ROWS }));
  const tb_value w = tb_input(g, "w", TB_FLOAT64, 2, ((size_t[]){ 3, 3 }));
  const tb_value loss = tb_sum(g, tb_matmul(g, tb_gather(g, table, 0, index), false, w, false));
  double tables[12] = { 1 }, weights[9] = { 1 }, sum;
  for (uint32_t threads = 1; threads <= 3; threads++) {
    int32_t indices[ROWS] = { 0 };
    tb_program *program;
    check(tb_program_new(context, g, 1, &loss, &(tb_program_options){ .threads = threads, .tile_rows = 2 }, &program));
    const void *in[] = { tables, indices, weights };
    check(tb_program_run(program, 3, in, 1, (void *[]){ &sum }));
    assert_true(sum == ROWS);
    indices[9] = 41;
    indices[30] = 42;
    assert_int_equal(tb_program_run(program, 3, in, 1, (void *[]){ &sum }), TB_BAD_DATA);
    assert_non_null(strstr(tb_context_message(context), "index 41 lies outside [0,4)"));
    indices[9] = indices[30] = 0;
    check(tb_program_run(program, 3, in, 1, (void *[]){ &sum }));
    assert_true(sum == ROWS);
    tb_program_free(program);
  }
  tb_graph_free(g);
}

/* The same with a matrix for every ten rows, which are tiles with tiles within: more threads than these share in them.
 */
static void test_failure_within(void **state) {
  enum { BLOCKS = 3, ROWS = 10 };
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value table = tb_input(g, "table", TB_FLOAT64, 2, ((size_t[]){ 4, 3 }));
  const tb_value index = tb_input(g, "index", TB_INT32, 1, ((size_t[]){ BLOCKS * ROWS }));
  const tb_value w = tb_input(g, "w", TB_FLOAT64, 3, ((size_t[]){ BLOCKS, 3, 3 }));
  const tb_value x = tb_reshape(g, tb_gather(g, table, 0, index), 3, ((size_t[]){ BLOCKS, ROWS, 3 }));
  const tb_value y = tb_matmul(g, x, false, w, false); /* [BLOCKS,ROWS,3] */
  const tb_value gram = tb_matmul(g, x, true, y, false);
  double tables[12] = { 1 }, weights[9 * BLOCKS] = { 1 }, sums[9 * BLOCKS];
  for (uint32_t threads = 1; threads <= 5; threads++) {
    int32_t indices[BLOCKS * ROWS] = { 0 };
    tb_program *program;
    check(tb_program_new(context, g, 1, &gram, &(tb_program_options){ .threads = threads, .tile_rows = 1 }, &program));
    tb_text text = tb_text_new(context);
    char share[40];
    check(tb_program_print(program, &text));
    snprintf(share, sizeof share, "%u threads", threads);
    assert_non_null(strstr(text.data, "3 rows: 3 × 1"));
    assert_non_null(strstr(text.data, "10 rows: 10 × 1"));
    assert_true(threads == 1 || strstr(text.data, share));
    tb_text_free(&text);
    const void *in[] = { tables, indices, weights };
    check(tb_program_run(program, 3, in, 1, (void *[]){ sums }));
    assert_true(sums[0] == ROWS && sums[9] == 0);
    indices[13] = 41;
    indices[17] = 42;
    assert_int_equal(tb_program_run(program, 3, in, 1, (void *[]){ sums }), TB_BAD_DATA);
    assert_non_null(strstr(tb_context_message(context), "index 41 lies outside [0,4)"));
    indices[13] = indices[17] = 0;
    check(tb_program_run(program, 3, in, 1, (void *[]){ sums }));
    assert_true(sums[0] == ROWS);
    tb_program_free(program);
  }
  tb_graph_free(g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_same_bits),
    cmocka_unit_test(test_same_bits_of_replicas),
    cmocka_unit_test(test_same_numbers),
    cmocka_unit_test(test_random_rows),
    cmocka_unit_test(test_print),
    cmocka_unit_test(test_sums_of_steps),
    cmocka_unit_test(test_memory),
    cmocka_unit_test(test_tapes),
    cmocka_unit_test(test_replicas_shared_out),
    cmocka_unit_test(test_failure),
    cmocka_unit_test(test_failure_within),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
