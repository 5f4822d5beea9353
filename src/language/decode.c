/* The loop of decode.h. */
#include "language/decode.h"

#include <math.h>
#include <string.h>

size_t tb_likeliest(const tb_language *l, const double *scores) {
  size_t best = 0;
  for (size_t a = 1; a <= tb_token_end(l); a++)
    if (scores[a] > scores[best])
      best = a;
  return best;
}

/* Inversion over alphabet and end, in that order. */
static size_t draw(const tb_language *l, const double *scores, const double *log_sums, double u) {
  const size_t choices = tb_token_end(l) + 1;
  double most = -INFINITY, total = 0, sum = 0;
  size_t last = 0;
  for (size_t a = 0; a < choices; a++)
    most = fmax(most, scores[a] - (log_sums ? log_sums[a] : 0));
  for (size_t a = 0; a < choices; a++)
    total += exp(scores[a] - (log_sums ? log_sums[a] : 0) - most);
  for (size_t a = 0; a < choices; a++) {
    const double weight = exp(scores[a] - (log_sums ? log_sums[a] : 0) - most);
    sum += weight;
    if (weight > 0)
      last = a;
    if (u * total < sum)
      return last;
  }
  return last;
}

typedef struct batch {
  tb_reader *reader;
  const tb_language *l;
  const tb_decoding *how;
  size_t first, count, most; /* number of the first prompt; rows in use; longest prompt */
  const tb_prompt *prompts;
  tb_completion *completions;
  int32_t *tokens;
  double *scores, *log_sums; /* [batch × V]; ln Σ over places of e^score, for over_time */
} batch;

static double log_add(double a, double b) {
  const double most = fmax(a, b);
  return most == -INFINITY ? most : most + log(exp(a - most) + exp(b - most));
}

/* The token that row i reads after place t, and whether the row goes on. */
static bool next(batch *b, size_t i, size_t t) {
  const tb_prompt *prompt = &b->prompts[i];
  tb_completion *c = &b->completions[i];
  const size_t v = b->reader->vocabulary;
  double *scores = b->scores + i * v, *sums = b->log_sums + i * v;
  if (b->how->over_time)
    for (size_t a = 0; a < v; a++)
      sums[a] = t == 0 ? scores[a] : log_add(sums[a], scores[a]);
  if (t < prompt->count) {
    b->tokens[i] = prompt->symbols[t];
    return true;
  }
  if (c->finished || c->count == b->how->cap)
    return false;
  size_t chosen;
  if (b->how->sample) {
    double u;
    tb_random_uniform((tb_key){ b->how->seed, (uint32_t)t, tb_use("sampled decoding") }, b->first + i, 1, &u);
    chosen = draw(b->l, scores, b->how->over_time ? sums : NULL, u);
  } else
    chosen = tb_likeliest(b->l, scores);
  b->tokens[i] = (int32_t)chosen;
  c->finished = chosen == tb_token_end(b->l);
  if (!c->finished)
    c->symbols[c->count++] = (uint16_t)chosen;
  return !c->finished && c->count < b->how->cap;
}

static tb_status run(batch *b) {
  tb_reader *r = b->reader;
  bool open = true;
  for (size_t i = 0; i < r->batch; i++)
    b->tokens[i] = (int32_t)tb_token_start(b->l);
  tb_status status = tb_reader_start(r);
  for (size_t t = 0; open && t < r->length && !status; t++) {
    status = tb_reader_read(r, b->tokens, b->scores);
    open = false;
    for (size_t i = 0; i < b->count && !status; i++)
      open |= next(b, i, t);
  }
  return status;
}

tb_status tb_decode(tb_context *context, tb_arena *arena, tb_reader *r, const tb_language *l, size_t count,
                    const tb_prompt *prompts, const tb_decoding *how, tb_completion *completions) {
  const size_t numbers = r->batch * r->vocabulary;
  batch b = { .reader = r, .l = l, .how = how };
  b.tokens = tb_allocate(context, r->batch, sizeof *b.tokens);
  b.scores = tb_allocate(context, numbers, sizeof *b.scores);
  b.log_sums = tb_allocate(context, numbers, sizeof *b.log_sums);
  tb_status status = b.tokens && b.scores && b.log_sums ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < count && !status; i++) {
    completions[i] = (tb_completion){ .symbols = tb_arena_allocate(arena, how->cap + 1, sizeof(uint16_t)) };
    if (!completions[i].symbols)
      status = TB_NO_MEMORY;
  }
  for (b.first = 0; b.first < count && !status; b.first += r->batch) {
    b.count = count - b.first < r->batch ? count - b.first : r->batch;
    b.prompts = prompts + b.first;
    b.completions = completions + b.first;
    status = run(&b);
  }
  tb_release(context, b.tokens);
  tb_release(context, b.scores);
  tb_release(context, b.log_sums);
  return status;
}
