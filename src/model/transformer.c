/* The transformer's parameters (one table of blocks) and forward pass:
 *
 *   post-norm  h ← N(h + A(h)),  h ← N(h + F(h));     pre-norm  h ← h + A(N(h)),  h ← h + F(N(h))
 *   A: softmax(q kᵀ/√(d/H) + mask) v in each head;    F: W2 a(W1 h + b1) + b2;    N: gain (h − mean)/√(var + ε) + shift
 *
 * Activations are [R, B·T, d]: every layer is one product over all places of the batch.  Decoding takes the
 * same pass with T = 1 in stages that end where a layer's attention begins: who decodes keeps keys and values. */
#include "model/transformer.h"

#include <math.h>
#include <stdio.h>

#include "model/blocks.h"
#include "model/dropout.h"
#include "model/tokens.h"

/* ---- parameters ---- */

typedef enum size_name { UNIT, WIDTH, THREE_WIDTHS, FOUR_WIDTHS, FEEDFORWARD, VOCABULARY, LENGTH } size_name;

static size_t size_of(const tb_transformer_shape *s, size_name name) {
  const size_t sizes[] = { 1, s->width, 3 * s->width, 4 * s->width, s->feedforward, s->vocabulary, s->length };
  return sizes[name];
}

/* A uniform start has half-width √(gain/inputs). */
typedef struct entry {
  const char *name;
  size_name rows, cols;
  tb_start start;
  double gain;
  size_name inputs;
} entry;

static const entry embedding = { "E", VOCABULARY, WIDTH, TB_START_NORMAL, 1, UNIT };
static const entry places = { "P", LENGTH, WIDTH, TB_START_NORMAL, 1, UNIT };
static const entry layer[] = {
  { "gain1", UNIT, WIDTH, TB_START_ONE, 0, UNIT },
  { "shift1", UNIT, WIDTH, TB_START_ZERO, 0, UNIT },
  { "Wqkv", THREE_WIDTHS, WIDTH, TB_START_UNIFORM, 6, FOUR_WIDTHS },
  { "bqkv", UNIT, THREE_WIDTHS, TB_START_ZERO, 0, UNIT },
  { "Wo", WIDTH, WIDTH, TB_START_UNIFORM, 1, WIDTH },
  { "bo", UNIT, WIDTH, TB_START_ZERO, 0, UNIT },
  { "gain2", UNIT, WIDTH, TB_START_ONE, 0, UNIT },
  { "shift2", UNIT, WIDTH, TB_START_ZERO, 0, UNIT },
  { "W1", FEEDFORWARD, WIDTH, TB_START_UNIFORM, 1, WIDTH },
  { "b1", UNIT, FEEDFORWARD, TB_START_UNIFORM, 1, WIDTH },
  { "W2", WIDTH, FEEDFORWARD, TB_START_UNIFORM, 1, FEEDFORWARD },
  { "b2", UNIT, WIDTH, TB_START_UNIFORM, 1, FEEDFORWARD },
};
static const entry last_norm[] = { { "gain", UNIT, WIDTH, TB_START_ONE, 0, UNIT },
                                   { "shift", UNIT, WIDTH, TB_START_ZERO, 0, UNIT } };
static const entry read_out[] = { { "U", VOCABULARY, WIDTH, TB_START_UNIFORM, 1, WIDTH },
                                  { "u", UNIT, VOCABULARY, TB_START_UNIFORM, 1, WIDTH } };
enum { IN_LAYER = sizeof layer / sizeof *layer };

/* The k-th entry and its layer (0: outside the layers); NULL past the last. */
static const entry *entry_of(const tb_transformer_shape *s, size_t k, size_t *number) {
  *number = 0;
  if (k == 0)
    return &embedding;
  k--;
  if (s->position == TB_POSITION_LEARNED && k-- == 0)
    return &places;
  if (k / IN_LAYER < s->layers) {
    *number = k / IN_LAYER + 1;
    return &layer[k % IN_LAYER];
  }
  k -= IN_LAYER * s->layers;
  if (!s->post_norm) {
    if (k < 2)
      return &last_norm[k];
    k -= 2;
  }
  return k < 2 ? &read_out[k] : NULL;
}

static bool list(const void *shape, size_t k, tb_block *block) {
  const tb_transformer_shape *s = shape;
  size_t number;
  const entry *e = entry_of(s, k, &number);
  if (!e)
    return false;
  *block = (tb_block){ .rows = size_of(s, e->rows), .cols = size_of(s, e->cols), .start = e->start };
  block->spread = sqrt(e->gain / (double)size_of(s, e->inputs));
  if (number)
    snprintf(block->name, sizeof block->name, "layer%zu.%s", number, e->name);
  else
    snprintf(block->name, sizeof block->name, "%s", e->name);
  return true;
}

size_t tb_transformer_parameters(const tb_transformer_shape *shape) {
  return tb_blocks_count(list, shape);
}

bool tb_transformer_block(const tb_transformer_shape *shape, size_t k, char name[32], size_t *rows, size_t *cols) {
  return tb_block_read(list, shape, k, name, rows, cols);
}

void tb_transformer_initialise(const tb_transformer_shape *shape, tb_key key, double *theta) {
  tb_blocks_start(list, shape, key, theta);
}

tb_status tb_transformer_check(tb_context *context, const tb_transformer_shape *s) {
  enum { MOST_SIZE = 1 << 20, MOST_LAYERS = 1000, MOST_PARAMETERS = 1 << 28 };
  const size_t sizes[] = { s->vocabulary, s->width, s->heads, s->feedforward, s->layers, s->length };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (sizes[i] == 0 || sizes[i] > MOST_SIZE)
      return tb_fail(context, TB_USAGE, NULL, "vocabulary, width, heads, feedforward, layers and length count from 1",
                     "a transformer of vocabulary %zu, width %zu, %zu heads, feedforward %zu, %zu layers, length %zu",
                     s->vocabulary, s->width, s->heads, s->feedforward, s->layers, s->length);
  if (s->layers > MOST_LAYERS || tb_transformer_parameters(s) > MOST_PARAMETERS)
    return tb_fail(context, TB_USAGE, NULL, "take a smaller width, feedforward or fewer layers",
                   "a transformer of more than %d layers or %d parameters", MOST_LAYERS, MOST_PARAMETERS);
  if (s->width % s->heads != 0)
    return tb_fail(context, TB_USAGE, "option heads", "take a number of heads that divides the width",
                   "%zu heads do not divide a width of %zu", s->heads, s->width);
  if (s->position == TB_POSITION_ROPE && s->width / s->heads % 2 != 0)
    return tb_fail(context, TB_USAGE, "option heads", "rope turns pairs: width / heads must be even",
                   "heads of width %zu have no pairs", s->width / s->heads);
  if (!(s->epsilon > 0))
    return tb_fail(context, TB_USAGE, NULL, "1e-5 is usual", "layer norms need a positive epsilon, not %g", s->epsilon);
  return TB_OK;
}

/* ---- position codes, computed in float64 ---- */

static tb_value counter(tb_graph *g, size_t rows, size_t cols, size_t axis) {
  return tb_iota(g, TB_FLOAT64, 2, (size_t[]){ rows, cols }, axis);
}

/* place[T,1] · 10000^(−2 pair/width), pair [1,n] counting planes → [T,n] */
static tb_value angle(tb_graph *g, tb_value place, tb_value pair, size_t width) {
  return tb_multiply(g, place, tb_exp(g, tb_scale(g, pair, -2 * log(10000) / (double)width)));
}

static tb_value sinusoidal(tb_graph *g, tb_value place, size_t width) {
  const tb_value column = counter(g, 1, width, 1), pair = tb_floor(g, tb_scale(g, column, 0.5));
  const tb_value odd = tb_subtract(g, column, tb_scale(g, pair, 2)), turn = angle(g, place, pair, width);
  return tb_select(g, odd, tb_cos(g, turn), tb_sin(g, turn));
}

/* What is added to scores[…,H,T,C] of places [T,1] over places 0 … C−1: nothing can be seen of later ones, and with
 * ALiBi less of distant ones. */
static tb_value score_bias(tb_graph *g, const tb_transformer_shape *s, tb_value place, size_t columns, tb_dtype dtype) {
  const double blocked = -1e30;
  const tb_value row = place, column = counter(g, 1, columns, 1);
  const tb_value later = tb_less(g, row, column);
  if (s->position != TB_POSITION_ALIBI)
    return tb_cast(g, tb_scale(g, later, blocked), dtype);
  const tb_value head = tb_shift(g, tb_iota(g, TB_FLOAT64, 3, (size_t[]){ s->heads, 1, 1 }, 0), 1);
  const tb_value slope = tb_exp(g, tb_scale(g, head, -8 * log(2) / (double)s->heads));
  const tb_value near = tb_multiply(g, slope, tb_subtract(g, column, row)); /* [H,T,T] */
  return tb_cast(g, tb_select(g, later, tb_scalar(g, TB_FLOAT64, blocked), near), dtype);
}

/* ---- forward pass ---- */

typedef struct pass {
  tb_graph *g;
  const tb_transformer_shape *s;
  size_t replicas, batch, length; /* R, B, T */
  tb_block_walk walk;
  tb_value place;        /* [T,1] float64 */
  tb_value bias;         /* of the scores */
  tb_value cosine, sine; /* [T, h/2], with rope */
  tb_dropout dropout;
  bool one_place; /* decoding: place is a runtime value */
} pass;

/* x[R,n,d] normalised over d, times gain plus shift [R,1,d] */
static tb_value norm(const pass *p, tb_value x, tb_value gain, tb_value shift) {
  tb_graph *g = p->g;
  const tb_value centred = tb_subtract(g, x, tb_reduce(g, TB_MEAN, x, 1u << 2, true));
  const tb_value variance = tb_reduce(g, TB_MEAN, tb_square(g, centred), 1u << 2, true);
  const tb_value scale = tb_reciprocal(g, tb_sqrt(g, tb_shift(g, variance, p->s->epsilon)));
  return tb_add(g, tb_multiply(g, tb_multiply(g, centred, scale), gain), shift);
}

/* Third `part` of qkv[R,n,3d] by heads: [R,B,H,T,h] */
static tb_value heads_of(const pass *p, tb_value qkv, size_t part) {
  const size_t width = p->s->width, heads = p->s->heads;
  const tb_value own = tb_slice(p->g, qkv, 2, part * width, width);
  const tb_value split = tb_reshape(p->g, own, 5, (size_t[]){ p->replicas, p->batch, p->length, heads, width / heads });
  return tb_transpose(p->g, split, (size_t[]){ 0, 1, 3, 2, 4 });
}

/* x[…,T,h]: the plane of entries i and h/2 + i turned by the place's angle */
static tb_value turn(const pass *p, tb_value x) {
  tb_graph *g = p->g;
  const size_t axis = tb_rank(g, x) - 1, half = tb_dim(g, x, axis) / 2;
  const tb_value a = tb_slice(g, x, axis, 0, half), b = tb_slice(g, x, axis, half, half);
  const tb_value turned[] = {
    tb_subtract(g, tb_multiply(g, a, p->cosine), tb_multiply(g, b, p->sine)),
    tb_add(g, tb_multiply(g, a, p->sine), tb_multiply(g, b, p->cosine)),
  };
  return tb_concat(g, axis, 2, turned);
}

/* q, k, v [R,B,H,T,h] → what each place sees [R,B,H,T,h] */
static tb_value look(const pass *p, tb_value q, tb_value k, tb_value v) {
  const tb_value scores = tb_matmul(p->g, q, false, k, true);
  const tb_value weights = tb_softmax(p->g, tb_add(p->g, scores, p->bias)); /* [R,B,H,T,T] */
  return tb_matmul(p->g, weights, false, v, false);
}

/* Queries (scaled), keys and values of normalised x[R,B·T,d], each [R,B,H,T,h] */
static void queries_of(pass *p, tb_value x, tb_value qkv[3]) {
  const tb_value joint = tb_block_affine(&p->walk, x);
  for (size_t i = 0; i < 3; i++)
    qkv[i] = heads_of(p, joint, i);
  for (size_t i = 0; i < 2 && p->s->position == TB_POSITION_ROPE; i++)
    qkv[i] = turn(p, qkv[i]);
  qkv[0] = tb_scale(p->g, qkv[0], 1 / sqrt((double)(p->s->width / p->s->heads)));
}

static tb_value attention(pass *p, tb_value x) {
  tb_graph *g = p->g;
  tb_value qkv[3];
  queries_of(p, x, qkv);
  const tb_value seen = tb_transpose(g, look(p, qkv[0], qkv[1], qkv[2]), (size_t[]){ 0, 1, 3, 2, 4 });
  const tb_value joined = tb_reshape(g, seen, 3, (size_t[]){ p->replicas, p->batch * p->length, p->s->width });
  return tb_block_affine(&p->walk, joined);
}

static tb_value activate(const pass *p, tb_value z) {
  const double scale = p->s->activation_scale;
  if (scale == 0)
    return tb_unary(p->g, p->s->activation, z);
  return tb_scale(p->g, tb_unary(p->g, p->s->activation, tb_scale(p->g, z, scale)), 1 / scale);
}

static tb_value feedforward(pass *p, tb_value x) {
  const tb_value hidden = activate(p, tb_block_affine(&p->walk, x));
  return tb_block_affine(&p->walk, tb_drop(p->g, &p->dropout, hidden));
}

/* h + branch(h) with its norm before the branch or after the sum. */
static tb_value residual(pass *p, tb_value h, tb_value (*branch)(pass *, tb_value)) {
  const tb_value gain = tb_block_take(&p->walk), shift = tb_block_take(&p->walk);
  if (p->s->post_norm)
    return norm(p, tb_add(p->g, h, tb_drop(p->g, &p->dropout, branch(p, h))), gain, shift);
  return tb_add(p->g, h, tb_drop(p->g, &p->dropout, branch(p, norm(p, h, gain, shift))));
}

/* The rows of P[R,length,d] at these places, [R,1,T,d] */
static tb_value learned(const pass *p, tb_value rows) {
  tb_graph *g = p->g;
  const tb_value taken = p->one_place
                             ? tb_gather(g, rows, 1, tb_reshape(g, tb_cast(g, p->place, TB_INT32), 1, &p->length))
                             : tb_slice(g, rows, 1, 0, p->length);
  return tb_reshape(g, taken, 4, (size_t[]){ p->replicas, 1, p->length, p->s->width });
}

/* What is added to embeddings [R,B,T,d] */
static tb_value code_of(pass *p, tb_dtype dtype) {
  tb_graph *g = p->g;
  const size_t width = p->s->width;
  if (p->s->position == TB_POSITION_LEARNED)
    return learned(p, tb_block_take(&p->walk));
  if (!p->s->place_by_row)
    return tb_cast(g, sinusoidal(g, p->place, width), dtype);
  const tb_value by_row = tb_cast(g, sinusoidal(g, counter(g, p->batch, 1, 0), width), dtype);
  return tb_reshape(g, by_row, 4, (size_t[]){ 1, p->batch, 1, width });
}

/* Embedded tokens with the codes that are added to them, [R, B·T, d] */
static tb_value embed(pass *p, tb_value tokens, tb_dtype dtype) {
  tb_graph *g = p->g;
  const size_t width = p->s->width;
  tb_value h = tb_embed(g, tb_block_take(&p->walk), tokens);
  if (p->s->scale_embedding)
    h = tb_scale(g, h, sqrt((double)width));
  if (p->s->position == TB_POSITION_SINUSOIDAL || p->s->position == TB_POSITION_LEARNED) {
    const tb_value code = code_of(p, dtype);
    h = tb_reshape(g, h, 4, (size_t[]){ p->replicas, p->batch, p->length, width });
    h = tb_reshape(g, tb_add(g, h, code), 3, (size_t[]){ p->replicas, p->batch * p->length, width });
  }
  return tb_drop(g, &p->dropout, h);
}

static void turns_of(pass *p, tb_dtype dtype) {
  const size_t head_width = p->s->width / p->s->heads;
  if (p->s->position != TB_POSITION_ROPE)
    return;
  const tb_value turns = angle(p->g, p->place, counter(p->g, 1, head_width / 2, 1), head_width);
  p->cosine = tb_cast(p->g, tb_cos(p->g, turns), dtype);
  p->sine = tb_cast(p->g, tb_sin(p->g, turns), dtype);
}

/* The last norm of pre-norm networks, and the read-out: h[R,n,d] → [R,n,V] */
static tb_value read_out_of(pass *p, tb_value h) {
  if (!p->s->post_norm) {
    const tb_value gain = tb_block_take(&p->walk), shift = tb_block_take(&p->walk);
    h = norm(p, h, gain, shift);
  }
  return tb_block_affine(&p->walk, h);
}

tb_value tb_transformer_logits_dropout(tb_graph *g, const tb_transformer_shape *s, tb_value theta, tb_value tokens,
                                       double rate, tb_value keys) {
  const size_t rank = tb_rank(g, tokens);
  const tb_dtype dtype = tb_value_dtype(g, theta);
  pass p = { .g = g,
             .s = s,
             .replicas = tb_dim(g, theta, 0),
             .batch = tb_dim(g, tokens, rank - 2),
             .length = tb_dim(g, tokens, rank - 1),
             .walk = { .graph = g, .list = list, .shape = s, .theta = theta },
             .dropout = { .rate = rate, .keys = keys } };
  p.place = counter(g, p.length, 1, 0);
  p.bias = score_bias(g, s, p.place, p.length, dtype);
  turns_of(&p, dtype);
  tb_value h = embed(&p, tokens, dtype);
  for (size_t l = 0; l < s->layers; l++) {
    h = residual(&p, h, attention);
    h = residual(&p, h, feedforward);
  }
  return tb_reshape(g, read_out_of(&p, h), 4, (size_t[]){ p.replicas, p.batch, p.length, s->vocabulary });
}

tb_value tb_transformer_logits(tb_graph *g, const tb_transformer_shape *s, tb_value theta, tb_value tokens) {
  return tb_transformer_logits_dropout(g, s, theta, tokens, 0, (tb_value){ -1 });
}

/* ---- decoding ---- */

/* Past `count` blocks. */
static void skip(tb_block_walk *walk, size_t count) {
  tb_block block;
  for (; count; count--) {
    walk->list(walk->shape, walk->next++, &block);
    walk->offset += block.rows * block.cols;
  }
}

/* The rest of a layer behind its attention: what was seen enters h, then the feed-forward block. */
static tb_value finish_layer(pass *p, tb_value h, tb_value seen) {
  const tb_value gain = tb_block_take(&p->walk), shift = tb_block_take(&p->walk);
  skip(&p->walk, 2); /* Wqkv, bqkv */
  h = tb_add(p->g, h, tb_block_affine(&p->walk, seen));
  if (p->s->post_norm)
    h = norm(p, h, gain, shift);
  return residual(p, h, feedforward);
}

/* Queries, keys and values of the next layer, [R,B,d] each. */
static void begin_layer(pass *p, tb_value h, tb_transformer_stage *stage) {
  const size_t flat[] = { p->replicas, p->batch, p->s->width };
  tb_value qkv[3];
  const tb_value gain = tb_block_take(&p->walk), shift = tb_block_take(&p->walk);
  queries_of(p, p->s->post_norm ? h : norm(p, h, gain, shift), qkv);
  stage->query = tb_reshape(p->g, qkv[0], 3, flat);
  stage->key = tb_reshape(p->g, qkv[1], 3, flat);
  stage->value = tb_reshape(p->g, qkv[2], 3, flat);
}

void tb_transformer_step(tb_graph *g, const tb_transformer_shape *s, tb_value theta, size_t k,
                         tb_transformer_stage *stage) {
  const size_t before = 1 + (s->position == TB_POSITION_LEARNED); /* blocks of embeddings */
  const tb_dtype dtype = tb_value_dtype(g, theta);
  pass p = { .g = g,
             .s = s,
             .replicas = tb_dim(g, theta, 0),
             .batch = tb_dim(g, stage->tokens, 1),
             .length = 1,
             .one_place = true,
             .walk = { .graph = g, .list = list, .shape = s, .theta = theta } };
  p.place = tb_reshape(g, tb_cast(g, stage->place, TB_FLOAT64), 2, (size_t[]){ 1, 1 });
  turns_of(&p, dtype);
  tb_value h;
  if (k == 0) {
    h = embed(&p, tb_reshape(g, stage->tokens, 3, (size_t[]){ p.replicas, p.batch, 1 }), dtype);
  } else {
    skip(&p.walk, before + (k - 1) * IN_LAYER);
    h = finish_layer(&p, stage->stream, stage->seen);
  }
  stage->stream = h;
  if (k < s->layers)
    begin_layer(&p, h, stage);
  else
    stage->logits = tb_reshape(g, read_out_of(&p, h), 3, (size_t[]){ p.replicas, p.batch, s->vocabulary });
}

double tb_transformer_slope(const tb_transformer_shape *s, size_t k) {
  return s->position == TB_POSITION_ALIBI ? exp2(-8 * (double)(k + 1) / (double)s->heads) : 0;
}
