/* Contexts of every length up to order − 1 in one hash table, each with the weights of what follows. */
#include "language/ngram.h"

#include <math.h>
#include <string.h>

typedef struct context_counts {
  size_t count;     /* tokens of the context */
  size_t at;        /* where they start in `pool` */
  double *followed; /* [n_symbols + 1] */
} context_counts;

typedef struct ngram {
  tb_arena *arena;
  size_t order, choices; /* choices: alphabet and end */
  size_t count, room;
  context_counts *table; /* [room], a power of two; followed NULL: free */
  uint16_t *pool;        /* tokens of contexts, one after another */
  size_t pool_count, pool_room;
  uint16_t *history; /* [batch × (order − 1)]: the last tokens of each row, newest last */
  size_t *seen;      /* [batch]: how many of them there are */
} ngram;

static uint64_t hash(size_t count, const uint16_t *tokens) {
  uint64_t h = 0xcbf29ce484222325u ^ count;
  for (size_t i = 0; i < count; i++)
    h = (h ^ tokens[i]) * 0x100000001b3u, h ^= h >> 29;
  return h;
}

static context_counts *find(const ngram *n, size_t count, const uint16_t *tokens) {
  size_t at = hash(count, tokens) & (n->room - 1);
  for (; n->table[at].followed; at = (at + 1) & (n->room - 1))
    if (n->table[at].count == count && memcmp(n->pool + n->table[at].at, tokens, count * sizeof *tokens) == 0)
      break;
  return &n->table[at];
}

static tb_status grow(tb_reader *r) {
  ngram *n = r->data;
  context_counts *old = n->table;
  const size_t room = n->room;
  n->room = room ? 2 * room : 256;
  n->table = tb_allocate(r->context, n->room, sizeof *n->table);
  for (size_t i = 0; n->table && i < room; i++)
    if (old[i].followed)
      *find(n, old[i].count, n->pool + old[i].at) = old[i];
  tb_release(r->context, old);
  return n->table ? TB_OK : TB_NO_MEMORY;
}

static tb_status keep_tokens(tb_reader *r, size_t count, const uint16_t *tokens, size_t *at) {
  ngram *n = r->data;
  if (n->pool_count + count > n->pool_room) {
    const size_t room = 2 * (n->pool_room + count + 512);
    uint16_t *wider = tb_reallocate(r->context, n->pool, room, sizeof *wider);
    if (!wider)
      return TB_NO_MEMORY;
    n->pool = wider;
    n->pool_room = room;
  }
  *at = n->pool_count;
  if (count)
    memcpy(n->pool + *at, tokens, count * sizeof *tokens);
  n->pool_count += count;
  return TB_OK;
}

static tb_status observe(tb_reader *r, size_t count, const uint16_t *tokens, size_t next, double weight) {
  ngram *n = r->data;
  tb_status status = 2 * n->count >= n->room ? grow(r) : TB_OK;
  if (status)
    return status;
  context_counts *c = find(n, count, tokens);
  if (!c->followed) {
    if ((status = keep_tokens(r, count, tokens, &c->at)))
      return status;
    c->count = count;
    c->followed = tb_arena_allocate(n->arena, n->choices, sizeof *c->followed);
    if (!c->followed)
      return TB_NO_MEMORY;
    n->count++;
  }
  c->followed[next] += weight;
  return TB_OK;
}

static tb_status learn(tb_reader *r, const tb_language *l, const tb_corpus *corpus) {
  const ngram *n = r->data;
  uint16_t *tokens = tb_allocate(r->context, corpus->longest + 2, sizeof *tokens);
  tb_status status = tokens ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < corpus->count && !status; i++) {
    const tb_corpus_string *s = &corpus->strings[i];
    tokens[0] = (uint16_t)tb_token_start(l);
    for (size_t t = 0; t < s->count; t++)
      tokens[t + 1] = s->symbols[t];
    for (size_t t = 0; t <= s->count && !status; t++) {
      const size_t next = t < s->count ? s->symbols[t] : tb_token_end(l);
      const size_t most = t + 1 < n->order - 1 ? t + 1 : n->order - 1;
      for (size_t k = 0; k <= most && !status; k++) /* the k tokens before place t + 1 */
        status = observe(r, k, tokens + t + 1 - k, next, s->weight);
    }
  }
  tb_release(r->context, tokens);
  return status;
}

static void release(tb_reader *r) {
  ngram *n = r->data;
  tb_arena_free(n->arena);
  tb_release(r->context, n->table);
  tb_release(r->context, n->pool);
  tb_release(r->context, n->history);
  tb_release(r->context, n->seen);
  tb_release(r->context, n);
}

static tb_status start(tb_reader *r) {
  ngram *n = r->data;
  memset(n->seen, 0, r->batch * sizeof *n->seen);
  return TB_OK;
}

static tb_status read(tb_reader *r, const int32_t *tokens, double *scores) {
  ngram *n = r->data;
  const size_t width = n->order - 1;
  for (size_t i = 0; i < r->batch; i++) {
    uint16_t *history = n->history + i * width;
    double *score = scores + i * r->vocabulary, sum = 0;
    if (width) {
      memmove(history, history + 1, (width - 1) * sizeof *history);
      history[width - 1] = (uint16_t)tokens[i];
      n->seen[i] += n->seen[i] < width;
    }
    const context_counts *c = NULL;
    for (size_t k = n->seen[i] + 1; k-- > 0 && !(c && c->followed);)
      c = find(n, k, history + width - k);
    for (size_t a = 0; a < n->choices; a++)
      sum += c->followed[a];
    for (size_t a = 0; a < r->vocabulary; a++)
      score[a] = a < n->choices && c->followed[a] > 0 ? log(c->followed[a] / sum) : -INFINITY;
  }
  return TB_OK;
}

tb_status tb_ngram_reader(tb_context *context, const tb_language *l, const tb_corpus *corpus, size_t order,
                          size_t batch, tb_reader **out) {
  *out = NULL;
  tb_reader *r = tb_allocate(context, 1, sizeof *r);
  ngram *n = r ? tb_allocate(context, 1, sizeof *n) : NULL;
  if (!n) {
    tb_release(context, r);
    return TB_NO_MEMORY;
  }
  *n = (ngram){ .arena = tb_arena_new(context), .order = order, .choices = tb_language_symbols(l) + 1 };
  *r = (tb_reader){ .context = context,
                    .vocabulary = tb_language_symbols(l) + TB_EXTRA_TOKENS,
                    .batch = batch,
                    .length = SIZE_MAX,
                    .start = start,
                    .read = read,
                    .free = release,
                    .data = n };
  n->history = tb_allocate(context, batch * order, sizeof *n->history);
  n->seen = tb_allocate(context, batch, sizeof *n->seen);
  tb_status status = n->arena && n->history && n->seen ? grow(r) : TB_NO_MEMORY;
  if (!status)
    status = learn(r, l, corpus);
  if (status) {
    tb_reader_free(r);
    return status;
  }
  *out = r;
  return TB_OK;
}

size_t tb_ngram_parameters(const tb_reader *r) {
  const ngram *n = r->data;
  return n->count * n->choices;
}
