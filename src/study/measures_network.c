/* One network of `measures`: trained until it has the loss, then measured, then watched where the loss says nothing. */
#include <math.h>
#include <string.h>

#include "measure/curvature.h"
#include "measure/sharpness.h"
#include "model/symmetry.h"
#include "model/tokens.h"
#include "study/measures.h"

/* ---- training ---- */

/* Where mass of strings of up to 8 symbols obeys a rule by nine parts in ten for the first time. */
static tb_status look_at_rules(measures *m, rules_readers *readers, rules_trainer *trainer, measures_row *row) {
  double mass[4]; /* both, r1 only, r2 only, neither */
  const size_t most = readers->fit->length - 1 < 8 ? readers->fit->length - 1 : 8;
  rules_trainer_point(trainer, m->theta);
  rules_readers_move(readers, m->theta);
  tb_status status = tb_measure_short_strings(m->context, readers->fit, m->source.language, most, mass);
  const double all = mass[0] + mass[1] + mass[2] + mass[3];
  for (int k = 0; k < 2 && !status; k++)
    if (isinf(row->learnt[k]) && mass[0] + mass[1 + k] >= 0.9 * all)
      row->learnt[k] = (double)rules_trainer_steps(trainer);
  return status;
}

/* Until the loss is reached; *reached false where it is not within steps=. */
static tb_status train(measures *m, rules_readers *readers, measures_row *row, bool *reached) {
  enum { LOOK = 20 };
  const double level = (1 + tb_config_real(m->config, "excess")) * m->source.facts.optimal_loss;
  rules_trainer *trainer;
  tb_status status = rules_trainer_new(&m->source, &trainer);
  *reached = false;
  row->learnt[0] = row->learnt[1] = INFINITY;
  while (!status && !*reached && rules_trainer_steps(trainer) < m->settings.steps) {
    double loss;
    const uint64_t step = rules_trainer_steps(trainer);
    if (step % LOOK == 0) {
      tb_run_progress(m->run, ((double)m->done + 0.7 * fmin(1, (double)step / MEASURES_USUAL_STEPS)) / (double)m->count,
                      "training");
      status = tb_run_should_stop(m->run) ? measures_stop(m) : look_at_rules(m, readers, trainer, row);
    }
    rules_trainer_point(trainer, m->theta); /* the loss is of the point before the step */
    if (!status)
      status = rules_trainer_step(trainer, &loss);
    *reached = !status && loss <= level;
    row->values[MEASURES_STEPS] = (double)step;
  }
  rules_trainer_free(trainer);
  return status;
}

/* ---- measures ---- */

static tb_value loss_of(void *user, tb_graph *g, tb_value theta, const tb_value *data) {
  const rules *r = user;
  const tb_value logits = r->model->logits(g, &r->shape, theta, data[0], 0, (tb_value){ -1 });
  const tb_value nats = tb_next_token_nats(g, logits, data[1]);
  return tb_reduce(g, TB_SUM, tb_multiply(g, nats, data[2]), 1u << 1 | 1u << 2, false);
}

static tb_status curvature_new(measures *m, tb_curvature **curvature) {
  enum { BLOCK = 8 };
  rules *r = &m->source;
  const rules_batch *b = &r->main;
  const size_t n = b->rows * b->places;
  double *weights = tb_allocate(m->context, n, sizeof *weights);
  tb_status status = weights ? rules_fill(r, 0) : TB_NO_MEMORY;
  for (size_t i = 0; i < n && !status; i++)
    weights[i] = r->settings.dtype == TB_FLOAT64 ? ((double *)b->weights)[i] : (double)((float *)b->weights)[i];
  const tb_function f = { .parameters = r->parameters,
                          .dtype = r->settings.dtype,
                          .data_count = 3,
                          .data = { { true, 2, { b->rows, b->places }, b->tokens },
                                    { true, 2, { b->rows, b->places }, b->targets },
                                    { false, 2, { b->rows, b->places }, weights } },
                          .build = loss_of,
                          .user = r,
                          .loss = TB_ROW_NONE };
  if (!status)
    status = tb_curvature_new(m->context, &f, TB_HESSIAN, BLOCK, curvature);
  tb_release(m->context, weights);
  return status;
}

/* The network's rescaled twin: the same function, other parameters. */
static tb_status move(measures *m) {
  const tb_sequence_shape *s = &m->source.shape;
  const tb_transformer_shape shape = { .vocabulary = s->vocabulary,
                                       .width = s->width,
                                       .heads = s->heads,
                                       .feedforward = s->feedforward,
                                       .layers = s->layers,
                                       .length = s->length,
                                       .post_norm = s->post_norm,
                                       .activation = TB_RELU,
                                       .position = s->position };
  tb_symmetry_map map;
  tb_status status = tb_symmetry_open(m->context, TB_SYMMETRY_RESCALE, &shape, 4, (tb_key){ 0 }, &map);
  return status ? status : tb_symmetry_move(m->context, &map, m->theta, m->moved);
}

static tb_status measure_curvature(measures *m, size_t i, measures_row *row) {
  enum { MOST_BASIS = 80 };
  const size_t p = m->source.parameters;
  const tb_sharpness_options options = { .probes = (size_t)tb_config_integer(m->config, "probes"),
                                         .most = p < MOST_BASIS ? p : MOST_BASIS,
                                         .tolerance = 1e-4,
                                         .key = { m->source.settings.seed, 0, tb_use("measures probes") } };
  tb_curvature *curvature;
  tb_sharpness s;
  tb_status status = curvature_new(m, &curvature);
  if (status)
    return status;
  const tb_operator h = tb_curvature_operator(curvature);
  tb_curvature_move(curvature, m->theta);
  status = tb_sharpness_of(&h, m->theta, &options, &s);
  row->values[MEASURES_TRACE] = s.trace.value;
  row->values[MEASURES_TOP] = s.top;
  row->values[MEASURES_ADAPTIVE_TRACE] = s.adaptive_trace.value;
  row->values[MEASURES_ADAPTIVE_TOP] = s.adaptive_top;
  if (!status && i == 0)
    status = move(m);
  if (!status && i == 0) {
    tb_curvature_move(curvature, m->moved);
    status = tb_sharpness_of(&h, m->moved, &options, &s);
    row->moved_trace = s.trace.value;
    row->moved_adaptive_trace = s.adaptive_trace.value;
  }
  tb_curvature_free(curvature);
  return status;
}

static tb_status measure_transfer(measures *m, measures_row *row) {
  const uint64_t steps = (uint64_t)tb_config_integer(m->config, "transfer_steps");
  rules_trainer *trainer;
  tb_status status = rules_prepare(&m->target);
  if (status)
    return status;
  status = rules_trainer_new(&m->target, &trainer);
  if (!status)
    rules_trainer_start(trainer, m->theta);
  for (uint64_t k = 0; k <= steps && !status; k++) /* the last step tells the loss after the others */
    status = rules_trainer_step(trainer, &row->values[MEASURES_TRANSFER]);
  rules_trainer_free(trainer);
  return status;
}

static tb_status measure_network(measures *m, size_t i, rules_readers *readers, measures_row *row) {
  rules_behaviour behaviour;
  tb_arena *arena = tb_arena_new(m->context);
  tb_status status = arena ? TB_OK : TB_NO_MEMORY;
  double squares = 0;
  for (size_t k = 0; k < m->source.parameters; k++)
    squares += m->theta[k] * m->theta[k];
  row->values[MEASURES_NORM] = sqrt(squares);
  rules_readers_move(readers, m->theta);
  if (!status)
    status = rules_measure(&m->source, readers, arena, &behaviour);
  if (!status) {
    row->values[MEASURES_EXCESS] = behaviour.excess / m->source.facts.optimal_loss;
    row->values[MEASURES_OOD_R1] = behaviour.ood.r1[0];
    row->values[MEASURES_OOD_FINISHED] =
        behaviour.ood.prompts ? (double)behaviour.ood.finished / (double)behaviour.ood.prompts : NAN;
    status = measure_curvature(m, i, row);
  }
  if (!status)
    status = measure_transfer(m, row);
  tb_arena_free(arena);
  return status;
}

/* Trains and measures network i.  A network that does not reach the loss has a row of NaN. */
tb_status measures_take(measures *m, size_t i) {
  measures_row *row = &m->rows[i];
  rules_readers readers = { 0 };
  bool reached = false;
  measures_close(m);
  tb_status status = measures_open(m, i);
  row->rate = m->source.settings.lr;
  if (!status)
    status = rules_prepare(&m->source);
  if (!status)
    status = rules_readers_new(&m->source, &readers);
  if (!status)
    status = train(m, &readers, row, &reached);
  if (!status && reached)
    status = measure_network(m, i, &readers, row);
  else if (!status)
    status = tb_run_warn(m->run, "network %zu (learning rate %g) did not reach the loss in %zu steps: left out", i + 1,
                         m->source.settings.lr, m->settings.steps);
  for (int k = 0; k < MEASURES_COLUMNS && !reached; k++)
    row->values[k] = NAN;
  rules_readers_free(&readers);
  return status;
}
