/* A twin of `finetune`: its loss as a graph, its training, and what is measured before it is fine-tuned: equality of
 * the function, how gradients are transformed, and the curvature at the point. */
#include "study/finetune.h"

#include <math.h>
#include <string.h>

#include "measure/sharpness.h"
#include "model/tokens.h"

static const tb_transformer_shape *shape_of(const finetune *f, int twin) {
  return twin == MOVED ? &f->map.to : &f->map.from;
}

/* ---- losses ---- */

/* theta[R,2] → w2·relu(w1) [R,1] */
static tb_value scalar_output(tb_graph *g, tb_value theta) {
  const tb_value first = tb_slice(g, theta, 1, 0, 1), second = tb_slice(g, theta, 1, 1, 1);
  return tb_multiply(g, second, tb_relu(g, first));
}

double finetune_scalar_output(const double *theta) {
  return theta[1] * fmax(theta[0], 0);
}

tb_value finetune_loss(const finetune_part *part, tb_graph *g, tb_value theta, const tb_value *inputs) {
  const finetune *f = part->f;
  if (f->scalar) {
    const tb_value off = tb_shift(g, scalar_output(g, theta), part->loss == SOURCE ? -1 : -2);
    return tb_reduce(g, TB_SUM, tb_scale(g, tb_square(g, off), 0.5), 1u << 1, false);
  }
  const tb_value logits = tb_transformer_logits(g, shape_of(f, part->twin), theta, inputs[0]);
  const tb_value nats = tb_next_token_nats(g, logits, inputs[1]);
  return tb_reduce(g, TB_SUM, tb_multiply(g, nats, inputs[2]), 1u << 1 | 1u << 2, false);
}

static tb_value training_loss(void *user, tb_graph *g, tb_value theta, const tb_value *inputs, tb_value keys,
                              tb_value *notes) {
  return finetune_loss(user, g, theta, inputs);
}

static tb_value curvature_loss(void *user, tb_graph *g, tb_value theta, const tb_value *data) {
  return finetune_loss(user, g, theta, data);
}

tb_status finetune_training(finetune_part *part, tb_update update, tb_training **training) {
  const finetune *f = part->f;
  const finetune_text *t = &f->text[part->loss];
  const tb_training_input inputs[] = { { "tokens", TB_INT32, 2, { t->rows, t->places } },
                                       { "targets", TB_INT32, 2, { t->rows, t->places } },
                                       { "weights", f->dtype, 2, { t->rows, t->places } } };
  const bool plain = part->loss == SOURCE; /* pre-training is plain Adam */
  const tb_training_shape shape = { .dtype = f->dtype,
                                    .replicas = 1,
                                    .parameters = f->parameters[part->twin],
                                    .update = update,
                                    .momentum = tb_config_real(f->config, "momentum"),
                                    .beta1 = plain ? 0.9 : tb_config_real(f->config, "beta1"),
                                    .beta2 = plain ? 0.999 : tb_config_real(f->config, "beta2"),
                                    .epsilon = plain ? 1e-8 : tb_config_real(f->config, "epsilon"),
                                    .n_inputs = f->scalar ? 0 : 3,
                                    .inputs = inputs,
                                    .loss = training_loss,
                                    .user = part };
  return tb_training_new(f->context, &shape, NULL, training);
}

tb_status finetune_step(const finetune_part *part, tb_training *training, double lr, double *value) {
  const finetune_text *t = &part->f->text[part->loss];
  return tb_training_step(training, (const void *[]){ t->tokens, t->targets, t->typed_weights }, &lr, NULL, value,
                          NULL);
}

/* ---- equality ---- */

/* Logits of a twin on a batch; values[count] in float64. */
static tb_status logits_of(finetune *f, int twin, int loss, const double *theta, size_t count, double *values) {
  const finetune_text *t = &f->text[loss];
  const size_t p = f->parameters[twin], width = f->dtype == TB_FLOAT32 ? sizeof(float) : sizeof(double);
  void *typed = tb_allocate(f->context, p, width), *out = tb_allocate(f->context, count, width);
  tb_graph *g = NULL;
  tb_program *program = NULL;
  tb_status status = typed && out ? tb_graph_new(f->context, &g) : TB_NO_MEMORY;
  if (!status) {
    const tb_value point = tb_input(g, "theta", f->dtype, 2, (size_t[]){ 1, p });
    const tb_value tokens = tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ t->rows, t->places });
    const tb_value logits = tb_transformer_logits(g, shape_of(f, twin), point, tokens);
    status = tb_program_new(f->context, g, 1, &logits, NULL, &program);
  }
  for (size_t i = 0; i < p && !status; i++) {
    if (f->dtype == TB_FLOAT32)
      ((float *)typed)[i] = (float)theta[i];
    else
      ((double *)typed)[i] = theta[i];
  }
  if (!status)
    status = tb_program_run(program, 2, (const void *[]){ typed, t->tokens }, 1, (void *[]){ out });
  for (size_t i = 0; i < count && !status; i++)
    values[i] = f->dtype == TB_FLOAT32 ? (double)((float *)out)[i] : ((double *)out)[i];
  tb_program_free(program);
  tb_graph_free(g);
  tb_release(f->context, typed);
  tb_release(f->context, out);
  return status;
}

static tb_status measure_logits(finetune *f, double *const theta[TWINS], double *difference) {
  tb_status status = TB_OK;
  *difference = 0;
  if (f->scalar) {
    *difference = fabs(finetune_scalar_output(theta[MOVED]) - finetune_scalar_output(theta[UNMOVED]));
    return TB_OK;
  }
  for (int loss = 0; loss < LOSSES && !status; loss++) {
    const size_t count = f->text[loss].rows * f->text[loss].places * f->vocabulary;
    double *a = tb_allocate(f->context, count, sizeof *a), *b = tb_allocate(f->context, count, sizeof *b);
    status = a && b ? logits_of(f, UNMOVED, loss, theta[UNMOVED], count, a) : TB_NO_MEMORY;
    if (!status)
      status = logits_of(f, MOVED, loss, theta[MOVED], count, b);
    for (size_t i = 0; i < count && !status; i++)
      *difference = fmax(*difference, fabs(a[i] - b[i]));
    tb_release(f->context, a);
    tb_release(f->context, b);
  }
  return status;
}

/* ---- gradients ---- */

static tb_status gradient_of(finetune *f, int twin, const double *theta, double *gradient) {
  finetune_part part = { f, twin, TARGET };
  tb_training *training;
  double loss;
  tb_status status = finetune_training(&part, TB_UPDATE_NONE, &training);
  if (status)
    return status;
  tb_training_start(training, 0, theta);
  status = finetune_step(&part, training, 0, &loss);
  const void *typed = tb_training_gradient(training);
  for (size_t i = 0; i < f->parameters[twin] && !status; i++)
    gradient[i] = f->dtype == TB_FLOAT32 ? (double)((const float *)typed)[i] : ((const double *)typed)[i];
  tb_training_free(training);
  return status;
}

static double norm_of(size_t n, const double *x) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum = fma(x[i], x[i], sum);
  return sqrt(sum);
}

/* Ratios of the two gradients' norms, and how far they are from g = Mᵀ g'. */
static tb_status measure_gradients(finetune *f, double *const theta[TWINS], finetune_measures *m) {
  const size_t p = f->parameters[UNMOVED];
  double *own = tb_allocate(f->context, p, sizeof *own), *pulled = tb_allocate(f->context, p, sizeof *pulled);
  double *moved = tb_allocate(f->context, f->parameters[MOVED], sizeof *moved), one[2], two[2];
  tb_status status = own && pulled && moved ? gradient_of(f, UNMOVED, theta[UNMOVED], own) : TB_NO_MEMORY;
  if (!status)
    status = gradient_of(f, MOVED, theta[MOVED], moved);
  if (!status && f->scalar) {
    for (int k = 0; k < 2; k++) {
      one[k] = fabs(own[k]);
      two[k] = fabs(moved[k]);
    }
    pulled[0] = f->alpha * moved[0];
    pulled[1] = moved[1] / f->alpha;
  } else if (!status) {
    tb_symmetry_norms(&f->map, &f->map.from, own, one);
    tb_symmetry_norms(&f->map, &f->map.to, moved, two);
    status = tb_symmetry_pull(f->context, &f->map, moved, pulled);
  }
  if (!status) {
    for (int k = 0; k < 2; k++)
      m->gradient_ratio[k] = two[k] / one[k];
    const double size = norm_of(p, own);
    for (size_t i = 0; i < p; i++)
      pulled[i] -= own[i];
    m->gradient_error = norm_of(p, pulled) / size;
  }
  tb_release(f->context, own);
  tb_release(f->context, pulled);
  tb_release(f->context, moved);
  return status;
}

/* ---- curvature of the pre-training loss ---- */

/* What the trace of the Hessian ought to be after a rescaling: of the blocks that it multiplies by α the own trace over
 * α², of those that it divides times α², of the others as before.  Each block has probes of its own. */
static tb_status predict_trace(finetune *f, const tb_operator *h, size_t probes, finetune_measures *m) {
  const size_t p = f->parameters[UNMOVED];
  const double factors[] = { f->alpha, 1 / f->alpha, 1 };
  double *ones = tb_allocate(f->context, p, sizeof *ones), *moved = tb_allocate(f->context, p, sizeof *moved);
  tb_operator_scaled mask;
  tb_operator block;
  tb_status status = tb_operator_scale(h, &mask, &block);
  if (!status && (!ones || !moved))
    status = TB_NO_MEMORY;
  for (size_t i = 0; i < p && !status; i++)
    ones[i] = 1;
  if (!status) /* what the map makes of ones are the coordinates' factors */
    status = tb_symmetry_move(f->context, &f->map, ones, moved);
  double variance = 0;
  m->predicted_trace = 0;
  for (int k = f->alpha == 1 ? 2 : 0; k < 3 && !status; k++) {
    const tb_key key = { f->seed, (uint32_t)k, tb_use("finetune block traces") };
    tb_trace_estimate trace;
    for (size_t i = 0; i < p; i++)
      mask.d[i] = moved[i] == factors[k];
    status = tb_hutchinson_trace(&block, TB_PROBE_RADEMACHER, probes, key, &trace);
    const double change = 1 / (factors[k] * factors[k]);
    m->predicted_trace += change * trace.value;
    variance += change * change * trace.se * trace.se;
  }
  m->predicted_se = sqrt(variance);
  tb_operator_scaled_close(&mask);
  tb_release(f->context, ones);
  tb_release(f->context, moved);
  return status;
}

static tb_function function_of(const finetune *f, finetune_part *part, tb_row_loss loss) {
  const finetune_text *t = &f->text[part->loss];
  return (tb_function){ .parameters = f->parameters[part->twin],
                        .dtype = f->dtype,
                        .data_count = f->scalar ? 0 : 3,
                        .data = { { true, 2, { t->rows, t->places }, t->tokens },
                                  { true, 2, { t->rows, t->places }, t->targets },
                                  { false, 2, { t->rows, t->places }, t->weights } },
                        .build = curvature_loss,
                        .user = part,
                        .loss = loss };
}

/* Trace and largest eigenvalue of the Hessian of the pre-training loss at a twin. */
static tb_status measure_curvature(finetune *f, int twin, const double *theta, finetune_measures *m) {
  enum { BLOCK = 8, MOST_BASIS = 80 };
  finetune_part part = { f, twin, SOURCE };
  const size_t p = f->parameters[twin], probes = (size_t)tb_config_integer(f->config, "probes");
  const tb_function function = function_of(f, &part, TB_ROW_NONE);
  const tb_lanczos_options options = { .top = 1,
                                       .most = p < MOST_BASIS ? p : MOST_BASIS,
                                       .tolerance = f->dtype == TB_FLOAT32 ? 1e-4 : 1e-8,
                                       .key = { f->seed, 0, tb_use("finetune lanczos") } };
  tb_curvature *curvature;
  tb_eigenpairs pairs = { 0 };
  tb_trace_estimate trace;
  tb_status status = tb_curvature_new(f->context, &function, TB_HESSIAN, f->scalar ? 1 : BLOCK, &curvature);
  if (status)
    return status;
  tb_curvature_move(curvature, theta);
  const tb_operator h = tb_curvature_operator(curvature);
  if (f->scalar) {
    double a[4];
    status = tb_operator_dense(&h, a);
    trace = (tb_trace_estimate){ .value = a[0] + a[3], .se = 0 };
  } else {
    status =
        tb_hutchinson_trace(&h, TB_PROBE_RADEMACHER, probes, (tb_key){ f->seed, 0, tb_use("finetune trace") }, &trace);
  }
  if (!status)
    status = tb_lanczos(&h, &options, &pairs);
  if (!status) {
    m->trace[twin] = trace.value;
    m->trace_se[twin] = trace.se;
    m->top[twin] = pairs.values[0];
    tb_eigenpairs_free(&pairs);
  }
  if (!status && twin == UNMOVED && !f->scalar && f->map.kind == TB_SYMMETRY_RESCALE)
    status = predict_trace(f, &h, probes, m);
  tb_curvature_free(curvature);
  return status;
}

tb_status finetune_measure(finetune *f, double *const theta[TWINS], finetune_measures *m) {
  *m = (finetune_measures){ .predicted_trace = NAN, .predicted_se = NAN };
  tb_status status = measure_logits(f, theta, &m->logit_difference);
  if (!status)
    status = measure_gradients(f, theta, m);
  for (int twin = 0; twin < TWINS && !status; twin++)
    status = measure_curvature(f, twin, theta[twin], m);
  if (status)
    return status;
  if (!f->scalar)
    return tb_symmetry_distance(f->context, &f->map, theta[UNMOVED], &m->distance);
  m->distance = sqrt((pow(f->alpha - 1, 2) + pow(1 / f->alpha - 1, 2)) / 2);
  return TB_OK;
}

/* ---- the Fisher matrix ---- */

static tb_value outputs(void *user, tb_graph *g, tb_value theta, const tb_value *data) {
  const finetune_part *part = user;
  const finetune *f = part->f;
  if (f->scalar)
    return scalar_output(g, theta);
  const finetune_text *t = &f->text[part->loss];
  const tb_value logits = tb_transformer_logits(g, shape_of(f, part->twin), theta, data[0]);
  return tb_reshape(g, logits, 3, (size_t[]){ tb_dim(g, theta, 0), t->rows * t->places, f->vocabulary });
}

tb_status finetune_fisher(finetune_part *part, tb_curvature **fisher) {
  finetune *f = part->f;
  const finetune_text *t = &f->text[part->loss];
  const size_t n = f->scalar ? 1 : t->rows * t->places;
  double *targets = tb_allocate(f->context, n, sizeof *targets), one = 1;
  tb_status status = targets ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < n && !status && !f->scalar; i++)
    targets[i] = t->targets[i];
  tb_function function = function_of(f, part, f->scalar ? TB_ROW_SQUARE : TB_ROW_SOFTMAX);
  function.data_count = f->scalar ? 0 : 1;
  function.build = outputs;
  function.targets = targets;
  function.weights = f->scalar ? &one : t->weights;
  if (!status)
    status = tb_curvature_new(f->context, &function, TB_FISHER, 1, fisher);
  tb_release(f->context, targets);
  return status;
}
