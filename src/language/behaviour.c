/* Measures over batches of strings that grow in step. */
#include "language/behaviour.h"

#include <math.h>
#include <string.h>

/* scores[V] → the law, in place; returns its likeliest token. */
static void normalise(size_t v, double *scores) {
  double most = -INFINITY, sum = 0;
  for (size_t a = 0; a < v; a++)
    most = fmax(most, scores[a]);
  for (size_t a = 0; a < v; a++)
    sum += scores[a] = exp(scores[a] - most);
  for (size_t a = 0; a < v; a++)
    scores[a] /= sum;
}

/* ln of the law, in place */
static void log_normalise(size_t v, double *scores) {
  double most = -INFINITY, sum = 0;
  for (size_t a = 0; a < v; a++)
    most = fmax(most, scores[a]);
  for (size_t a = 0; a < v; a++)
    sum += exp(scores[a] - most);
  for (size_t a = 0; a < v; a++)
    scores[a] -= most + log(sum);
}

typedef struct scratch {
  tb_context *context;
  int32_t *tokens; /* [batch] */
  double *scores;  /* [batch × V] */
} scratch;

static tb_status scratch_new(tb_context *context, const tb_reader *r, scratch *s) {
  *s = (scratch){ .context = context,
                  .tokens = tb_allocate(context, r->batch, sizeof(int32_t)),
                  .scores = tb_allocate(context, r->batch * r->vocabulary, sizeof(double)) };
  return s->tokens && s->scores ? TB_OK : TB_NO_MEMORY;
}

static void scratch_free(scratch *s) {
  tb_release(s->context, s->tokens);
  tb_release(s->context, s->scores);
}

/* ---- fit ---- */

/* KL of the exact law at place t of a string to ln q. */
static double divergence(size_t width, const double *law, const double *log_q) {
  double sum = 0;
  for (size_t a = 0; a < width; a++)
    if (law[a] > 0)
      sum += law[a] * (log(law[a]) - log_q[a]);
  return sum;
}

typedef struct sums {
  double kl, right, padding, log_mass;
} sums;

static tb_status fit_batch(tb_reader *r, const tb_language *l, const tb_corpus *c, size_t first, size_t count,
                           bool padding, scratch *s, sums *out) {
  const size_t v = r->vocabulary, end = tb_token_end(l), pad = tb_token_padding(l);
  size_t longest = 0;
  for (size_t i = 0; i < count; i++) {
    const size_t n = c->strings[first + i].count;
    longest = n > longest ? n : longest;
    out[i] = (sums){ 0 };
  }
  const size_t places = padding ? tb_language_max_length(l) + 1 : longest + 1;
  for (size_t i = 0; i < r->batch; i++)
    s->tokens[i] = (int32_t)tb_token_start(l);
  tb_status status = tb_reader_start(r);
  for (size_t t = 0; t < places && !status; t++) {
    status = tb_reader_read(r, s->tokens, s->scores);
    for (size_t i = 0; i < count && !status; i++) {
      const tb_corpus_string *string = &c->strings[first + i];
      double *log_q = s->scores + i * v;
      log_normalise(v, log_q);
      if (t > string->count) {
        out[i].padding -= log_q[pad];
        s->tokens[i] = (int32_t)pad;
        continue;
      }
      const double *law = string->law + t * (end + 1);
      const size_t next = t < string->count ? string->symbols[t] : end;
      out[i].kl += divergence(end + 1, law, log_q);
      out[i].right += law[tb_likeliest(l, log_q)];
      out[i].log_mass += log_q[next];
      s->tokens[i] = (int32_t)next;
    }
  }
  return status;
}

tb_status tb_measure_fit(tb_context *context, tb_reader *r, const tb_language *l, const tb_corpus *c, bool padding,
                         tb_fit *fit) {
  const double positions = (double)tb_language_max_length(l) + 1;
  scratch s;
  double square = 0, mass = 0;
  sums *out = tb_allocate(context, r->batch, sizeof *out);
  *fit = (tb_fit){ 0 };
  tb_status status = scratch_new(context, r, &s);
  if (!out)
    status = TB_NO_MEMORY;
  for (size_t first = 0; first < c->count && !status; first += r->batch) {
    const size_t count = c->count - first < r->batch ? c->count - first : r->batch;
    status = fit_batch(r, l, c, first, count, padding, &s, out);
    for (size_t i = 0; i < count && !status; i++) {
      const tb_corpus_string *string = &c->strings[first + i];
      fit->kl += string->weight * out[i].kl;
      square += string->weight * out[i].kl * out[i].kl;
      fit->padding += padding ? string->weight * out[i].padding : 0;
      fit->accuracy += string->weight * (out[i].right + positions - (double)string->count - 1) / positions;
      mass += exp(out[i].log_mass);
    }
  }
  fit->mass = c->whole ? mass : NAN;
  fit->kl_se = c->whole ? 0 : sqrt(fmax(0, square - fit->kl * fit->kl) / (double)c->count);
  tb_release(context, out);
  scratch_free(&s);
  return status;
}

/* ---- conduct ---- */

uint16_t *tb_completed(tb_arena *arena, const tb_prompt *p, const tb_completion *c, size_t from, size_t *count) {
  *count = p->count - from + c->count;
  uint16_t *whole = tb_arena_allocate(arena, *count + 1, sizeof *whole);
  if (whole && p->count > from)
    memcpy(whole, p->symbols + from, (p->count - from) * sizeof *whole);
  if (whole && c->count)
    memcpy(whole + p->count - from, c->symbols, c->count * sizeof *whole);
  return whole;
}

bool tb_completion_holds(tb_arena *arena, const tb_language *l, size_t rule, const tb_prompt *p,
                         const tb_completion *c) {
  size_t count;
  const uint16_t *string = tb_completed(arena, p, c, p->completed, &count);
  return string && tb_rule_holds(l, rule, count, string);
}

tb_status tb_measure_conduct(tb_context *context, const tb_language *l, size_t count, const tb_prompt *prompts,
                             const tb_completion *completions, bool id, tb_conduct *out) {
  const size_t r1 = tb_language_rule_find(l, "r1"), r2 = tb_language_rule_find(l, "r2");
  double held[3] = { 0 };
  tb_arena *arena = tb_arena_new(context);
  tb_status status = arena ? TB_OK : TB_NO_MEMORY;
  *out = (tb_conduct){ 0 };
  for (size_t i = 0; i < count && !status; i++) {
    const tb_prompt *p = &prompts[i];
    const tb_completion *c = &completions[i];
    if (p->id != id)
      continue;
    out->prompts++;
    if (!c->finished)
      continue;
    out->finished++;
    size_t n;
    const uint16_t *string = tb_completed(arena, p, c, 0, &n);
    if (!string)
      status = TB_NO_MEMORY;
    else {
      held[0] += r1 != SIZE_MAX && tb_rule_holds(l, r1, n, string);
      held[1] += r2 != SIZE_MAX && tb_rule_holds(l, r2, n, string);
      held[2] += r2 != SIZE_MAX && tb_completion_holds(arena, l, r2, p, c);
    }
  }
  tb_arena_free(arena);
  double *const shares[] = { out->r1, out->r2, out->r2_completion };
  for (size_t k = 0; k < 3; k++) {
    const bool known = (k == 0 ? r1 : r2) != SIZE_MAX;
    shares[k][0] = known && out->prompts ? held[k] / (double)out->prompts : NAN;
    shares[k][1] = known && out->finished ? held[k] / (double)out->finished : NAN;
  }
  return status;
}

/* ---- short strings ---- */

typedef struct tally {
  const tb_language *l;
  size_t r1, r2, v, most;
  double *mass; /* [4] */
} tally;

/* Adds the string symbols[count] of probability p to its class. */
static void add(const tally *y, size_t count, const uint16_t *symbols, double p) {
  const bool first = y->r1 != SIZE_MAX && tb_rule_holds(y->l, y->r1, count, symbols);
  const bool second = y->r2 != SIZE_MAX && tb_rule_holds(y->l, y->r2, count, symbols);
  y->mass[first ? (second ? 0 : 1) : second ? 2 : 3] += p;
}

static size_t power(size_t base, size_t exponent) {
  size_t result = 1;
  while (exponent--)
    result *= base;
  return result;
}

/* Strings number first … of `most` symbols, in alphabetical order.  A prefix counts with the first string that has it.
 */
static tb_status short_batch(tb_reader *r, const tally *y, size_t first, size_t count, scratch *s, double *log_p) {
  const size_t v = r->vocabulary, end = tb_token_end(y->l);
  uint16_t symbols[64];
  for (size_t i = 0; i < r->batch; i++) {
    s->tokens[i] = (int32_t)tb_token_start(y->l);
    log_p[i] = 0;
  }
  tb_status status = tb_reader_start(r);
  for (size_t t = 0; t <= y->most && !status; t++) {
    status = tb_reader_read(r, s->tokens, s->scores);
    const size_t below = power(y->v, y->most - t); /* strings that share a prefix of t symbols */
    for (size_t i = 0; i < count && !status; i++) {
      double *log_q = s->scores + i * v;
      log_normalise(v, log_q);
      size_t rest = first + i;
      for (size_t k = y->most; k-- > 0; rest /= y->v)
        symbols[k] = (uint16_t)(rest % y->v);
      if (t > 0 && (first + i) % below == 0)
        add(y, t, symbols, exp(log_p[i] + log_q[end]));
      if (t < y->most) {
        log_p[i] += log_q[symbols[t]];
        s->tokens[i] = symbols[t];
      }
    }
  }
  return status;
}

tb_status tb_measure_short_strings(tb_context *context, tb_reader *r, const tb_language *l, size_t most,
                                   double mass[4]) {
  enum { MOST_STRINGS = 100000 };
  const tally y = { .l = l,
                    .r1 = tb_language_rule_find(l, "r1"),
                    .r2 = tb_language_rule_find(l, "r2"),
                    .v = tb_language_symbols(l),
                    .most = most,
                    .mass = mass };
  const double strings = pow((double)y.v, (double)most);
  for (size_t k = 0; k < 4; k++)
    mass[k] = strings > MOST_STRINGS ? NAN : 0;
  if (strings > MOST_STRINGS)
    return TB_OK;
  const size_t total = power(y.v, most);
  scratch s;
  double *log_p = tb_allocate(context, r->batch, sizeof *log_p);
  tb_status status = scratch_new(context, r, &s);
  if (!log_p)
    status = TB_NO_MEMORY;
  for (size_t first = 0; first < total && !status; first += r->batch)
    status = short_batch(r, &y, first, total - first < r->batch ? total - first : r->batch, &s, log_p);
  tb_release(context, log_p);
  scratch_free(&s);
  return status;
}

/* ---- next tokens ---- */

tb_status tb_next_laws(tb_context *context, tb_reader *r, const tb_language *l, size_t count, const tb_prompt *prompts,
                       size_t rotate, double *laws) {
  const size_t v = r->vocabulary;
  scratch s;
  tb_status status = scratch_new(context, r, &s);
  for (size_t first = 0; first < count && !status; first += r->batch) {
    const size_t rows = count - first < r->batch ? count - first : r->batch;
    bool open = true;
    for (size_t i = 0; i < r->batch; i++)
      s.tokens[i] = (int32_t)tb_token_start(l);
    status = tb_reader_start(r);
    for (size_t t = 0; open && !status; t++) {
      status = tb_reader_read(r, s.tokens, s.scores);
      open = false;
      for (size_t i = 0; i < rows && !status; i++) {
        const size_t at = first + (i + rotate) % rows;
        const tb_prompt *p = &prompts[at];
        if (t == p->count) {
          memcpy(laws + at * v, s.scores + i * v, v * sizeof *laws);
          normalise(v, laws + at * v);
        }
        if (t < p->count)
          s.tokens[i] = p->symbols[t];
        open |= t < p->count;
      }
    }
  }
  scratch_free(&s);
  return status;
}

double tb_mean_variation(size_t count, size_t width, const double *p, const double *q) {
  double sum = 0;
  for (size_t i = 0; i < count * width; i++)
    sum += fabs(p[i] - q[i]);
  return count ? sum / 2 / (double)count : NAN;
}

tb_status tb_measure_divergence(tb_context *context, tb_reader *first, tb_reader *second, const tb_language *l,
                                const tb_corpus *c, double *kl) {
  const size_t v = first->vocabulary, end = tb_token_end(l), batch = first->batch;
  scratch p, q;
  *kl = 0;
  tb_status status = scratch_new(context, first, &p), other = scratch_new(context, second, &q);
  status = status ? status : other;
  for (size_t at = 0; at < c->count && !status; at += batch) {
    const size_t rows = c->count - at < batch ? c->count - at : batch;
    bool open = true;
    for (size_t i = 0; i < batch; i++)
      p.tokens[i] = (int32_t)tb_token_start(l);
    if (!(status = tb_reader_start(first)))
      status = tb_reader_start(second);
    for (size_t t = 0; open && !status; t++) {
      status = tb_reader_read(first, p.tokens, p.scores);
      if (!status)
        status = tb_reader_read(second, p.tokens, q.scores);
      open = false;
      for (size_t i = 0; i < rows && !status; i++) {
        const tb_corpus_string *string = &c->strings[at + i];
        if (t > string->count)
          continue;
        log_normalise(v, p.scores + i * v);
        log_normalise(v, q.scores + i * v);
        for (size_t a = 0; a < v; a++)
          if (p.scores[i * v + a] > -INFINITY)
            *kl += string->weight * exp(p.scores[i * v + a]) * (p.scores[i * v + a] - q.scores[i * v + a]);
        p.tokens[i] = (int32_t)(t < string->count ? string->symbols[t] : end);
        open = true;
      }
    }
  }
  scratch_free(&p);
  scratch_free(&q);
  return status;
}
