/* From a POSIX extended expression to an automaton: parse to Thompson's nondeterministic one over bytes, then subsets
 * over symbols.  Anchors are accepted where they mean nothing: at the two ends. */
#include "regex.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <num/linear.h>

enum { MOST_NODES = 4096, MOST_STATES = 2000, MOST_REPEATS = 255, WORDS = MOST_NODES / 64, DEEPEST = 100 };

typedef struct node {
  enum { BYTES, SPLIT, ACCEPT } kind;
  int next, other; /* -1: not yet */
  uint64_t set[4]; /* bytes */
} node;

/* A piece: from `in`, with one dangling exit, the `next` of `out`, which is a SPLIT used as a joint. */
typedef struct piece {
  int in, out;
} piece;

typedef struct parser {
  tb_context *context;
  const char *pattern, *at;
  node *nodes;
  int n_nodes;
  size_t fault;
  int depth;
  bool full;
} parser;

static tb_status fail(parser *p, const char *at, const char *message) {
  p->fault = (size_t)(at - p->pattern);
  return tb_fail(p->context, TB_USAGE, "", "a POSIX extended regular expression that matches the whole string", "%s",
                 message);
}

/* When there is no room node 0 is handed out, and the next atom complains. */
static int node_new(parser *p, int kind) {
  p->full |= p->n_nodes == MOST_NODES;
  if (p->full)
    return 0;
  p->nodes[p->n_nodes] = (node){ .kind = kind, .next = -1, .other = -1 };
  return p->n_nodes++;
}

static void set_add(uint64_t set[4], unsigned char c) {
  set[c / 64] |= (uint64_t)1 << c % 64;
}

/* ---- atoms ---- */

static const struct {
  const char *name;
  int (*is)(int);
} classes[] = {
  { "[:alpha:]", isalpha }, { "[:digit:]", isdigit }, { "[:alnum:]", isalnum }, { "[:upper:]", isupper },
  { "[:lower:]", islower }, { "[:space:]", isspace }, { "[:punct:]", ispunct }, { "[:blank:]", isblank },
  { "[:print:]", isprint }, { "[:graph:]", isgraph }, { "[:cntrl:]", iscntrl }, { "[:xdigit:]", isxdigit }
};

static bool read_class(parser *p, uint64_t set[4]) {
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
    size_t n = strlen(classes[i].name);
    if (strncmp(p->at, classes[i].name, n) == 0) {
      for (int c = 1; c < 128; c++)
        if (classes[i].is(c))
          set_add(set, (unsigned char)c);
      p->at += n;
      return true;
    }
  }
  return false;
}

/* Behind '[': the bytes of a bracket expression. */
static tb_status read_bracket(parser *p, const char *open, uint64_t set[4]) {
  bool negated = *p->at == '^';
  p->at += negated;
  for (bool first = true; first || *p->at != ']'; first = false) {
    if (!*p->at)
      return fail(p, open, "'[' without ']'");
    if (read_class(p, set))
      continue;
    if (p->at[0] == '[' && strchr(":.=", p->at[1]) && p->at[1])
      return fail(p, p->at, "unknown character class");
    unsigned char low = (unsigned char)*p->at++, high = low;
    if (p->at[0] == '-' && p->at[1] && p->at[1] != ']') {
      high = (unsigned char)p->at[1];
      if (high < low)
        return fail(p, p->at, "a range that runs backwards");
      p->at += 2;
    }
    if (low > 127 || high > 127)
      return fail(p, p->at - 1, "a bracket expression takes ASCII characters");
    for (int c = low; c <= high; c++)
      set_add(set, (unsigned char)c);
  }
  p->at++;
  if (negated) {
    for (int i = 0; i < 4; i++)
      set[i] = ~set[i];
    set[0] &= ~(uint64_t)1;
  }
  return TB_OK;
}

static piece joint(parser *p, int in) {
  return (piece){ in, node_new(p, SPLIT) };
}

static piece of_bytes(parser *p, const uint64_t set[4]) {
  int index = node_new(p, BYTES);
  piece out = joint(p, index);
  memcpy(p->nodes[index].set, set, sizeof p->nodes[index].set);
  p->nodes[index].next = out.out;
  return out;
}

static tb_status read_choice(parser *p, piece *out);

static tb_status read_atom(parser *p, piece *out) {
  const char *open = p->at;
  uint64_t set[4] = { 0 };
  tb_status status;
  if (p->full)
    return fail(p, p->at, "the expression is too large");
  switch (*p->at) {
  case '(':
    if (++p->depth > DEEPEST)
      return fail(p, open, "parentheses are nested too deeply");
    p->at++;
    if ((status = read_choice(p, out)))
      return status;
    p->depth--;
    if (*p->at != ')')
      return fail(p, open, "'(' without ')'");
    p->at++;
    return TB_OK;
  case '[':
    p->at++;
    if ((status = read_bracket(p, open, set)))
      return status;
    break;
  case '.':
    p->at++;
    memset(set, 0xff, sizeof set);
    set[0] &= ~(uint64_t)1;
    break;
  case '\\':
    if (!p->at[1] || isalnum((unsigned char)p->at[1]))
      return fail(p, open, "a backslash stands before a special character");
    set_add(set, (unsigned char)p->at[1]);
    p->at += 2;
    break;
  case '*':
  case '+':
  case '?':
  case '{':
    return fail(p, open, "nothing to repeat here");
  case '^':
  case '$':
    return fail(p, open, "the expression matches the whole string: no anchors within");
  default:
    set_add(set, (unsigned char)*p->at++);
  }
  *out = of_bytes(p, set);
  return TB_OK;
}

/* ---- repetition ---- */

static piece copy(parser *p, int first, int last, piece from) {
  int shift = p->n_nodes - first;
  for (int i = first; i < last && !p->full; i++) {
    int index = node_new(p, BYTES);
    p->nodes[index] = p->nodes[i];
    p->nodes[index].next += p->nodes[index].next >= first ? shift : 0;
    p->nodes[index].other += p->nodes[index].other >= first ? shift : 0;
  }
  return p->full ? from : (piece){ from.in + shift, from.out + shift };
}

/* The body or a way past it; with loop the body again. */
static piece optional(parser *p, piece body, bool loop) {
  int split = node_new(p, SPLIT);
  piece around = joint(p, split);
  p->nodes[split].next = body.in;
  p->nodes[split].other = around.out;
  p->nodes[body.out].next = loop ? split : around.out;
  return around;
}

static bool read_count(parser *p, int *value) {
  if (!isdigit((unsigned char)*p->at))
    return false;
  for (*value = 0; isdigit((unsigned char)*p->at) && *value <= MOST_REPEATS; p->at++)
    *value = 10 * *value + *p->at - '0';
  return true;
}

static tb_status read_bounds(parser *p, int *least, int *most) {
  const char *open = p->at++;
  *most = -1;
  if (!read_count(p, least))
    return fail(p, open, "expected {m}, {m,} or {m,n}");
  if (*p->at == ',') {
    p->at++;
    if (*p->at != '}' && !read_count(p, most))
      return fail(p, open, "expected {m}, {m,} or {m,n}");
  } else {
    *most = *least;
  }
  if (*p->at != '}')
    return fail(p, open, "expected {m}, {m,} or {m,n}");
  p->at++;
  if (*least > MOST_REPEATS || *most > MOST_REPEATS || (*most >= 0 && *most < *least))
    return fail(p, open, "repetitions must be ordered and at most 255");
  return TB_OK;
}

/* The nodes first…last hold one copy, whose exit dangles; builds least…most of them (most < 0: any number). */
static piece repeat(parser *p, int first, int last, piece one, int least, int most) {
  int head = node_new(p, SPLIT), copies = most < 0 ? least + 1 : most;
  piece whole = { head, head }, body = one;
  for (int i = 0; i < copies && !p->full; i++) {
    piece next = i + 1 < copies ? copy(p, first, last, one) : body; /* before this one is tied up */
    piece wrapped = i >= least ? optional(p, body, most < 0) : body;
    p->nodes[whole.out].next = wrapped.in;
    whole.out = wrapped.out;
    body = next;
  }
  return whole;
}

static tb_status read_repeated(parser *p, piece *out) {
  int first = p->n_nodes;
  tb_status status = read_atom(p, out);
  while (!status && *p->at && strchr("*+?{", *p->at)) {
    int least = 0, most = 1;
    if (*p->at == '{')
      status = read_bounds(p, &least, &most);
    else {
      least = *p->at == '+';
      most = *p->at == '?' ? 1 : -1;
      p->at++;
    }
    if (!status)
      *out = repeat(p, first, p->n_nodes, *out, least, most);
  }
  return status;
}

static tb_status read_sequence(parser *p, piece *out) {
  int head = node_new(p, SPLIT);
  tb_status status = TB_OK;
  *out = (piece){ head, head };
  while (!status && *p->at && !strchr("|)", *p->at)) {
    piece next;
    if (*p->at == '$' && !p->at[1] && p->depth == 0) {
      p->at++;
      break;
    }
    status = read_repeated(p, &next);
    if (!status) {
      p->nodes[out->out].next = next.in;
      out->out = next.out;
    }
  }
  return status;
}

static tb_status read_choice(parser *p, piece *out) {
  tb_status status = read_sequence(p, out);
  while (!status && *p->at == '|') {
    piece right;
    p->at++;
    status = read_sequence(p, &right);
    if (status)
      break;
    int split = node_new(p, SPLIT);
    piece both = joint(p, split);
    p->nodes[split].next = out->in;
    p->nodes[split].other = right.in;
    p->nodes[out->out].next = both.out;
    p->nodes[right.out].next = both.out;
    *out = both;
  }
  return status;
}

/* ---- subsets ---- */

typedef struct subset {
  uint64_t bits[WORDS];
} subset;

static void close_over(const parser *p, subset *s, int *stack, int from) {
  int top = 0;
  stack[top++] = from;
  while (top > 0) {
    int i = stack[--top];
    if (i < 0 || (s->bits[i / 64] >> (i % 64) & 1))
      continue;
    s->bits[i / 64] |= (uint64_t)1 << i % 64;
    if (p->nodes[i].kind == SPLIT) {
      stack[top++] = p->nodes[i].next;
      stack[top++] = p->nodes[i].other;
    }
  }
}

static void feed(const parser *p, subset *s, int *stack, unsigned char c) {
  subset next = { 0 };
  for (int i = 0; i < p->n_nodes; i++)
    if ((s->bits[i / 64] >> (i % 64) & 1) && p->nodes[i].kind == BYTES && (p->nodes[i].set[c / 64] >> c % 64 & 1))
      close_over(p, &next, stack, p->nodes[i].next);
  *s = next;
}

typedef struct builder {
  tb_context *context;
  const parser *p;
  subset *sets;  /* [MOST_STATES] */
  bool *initial; /* nothing was read yet: no blank before the next symbol */
  size_t n_states;
  int accept, *stack;
} builder;

static tb_status state_of(builder *b, const subset *s, bool initial, size_t *state) {
  for (*state = 0; *state < b->n_states; ++*state)
    if (b->initial[*state] == initial && memcmp(&b->sets[*state], s, sizeof *s) == 0)
      return TB_OK;
  if (b->n_states == MOST_STATES)
    return tb_fail(b->context, TB_FAILED, "", NULL, "the expression's automaton has more than %d states", MOST_STATES);
  b->sets[b->n_states] = *s;
  b->initial[b->n_states++] = initial;
  return TB_OK;
}

static tb_status build(builder *b, tb_regex *r, const char *const *symbols, bool joined, uint32_t *next) {
  subset s = { 0 };
  size_t state;
  tb_status status;
  close_over(b->p, &s, b->stack, 0);
  status = state_of(b, &s, !joined, &state);
  for (size_t i = 0; i < b->n_states && !status; i++)
    for (size_t a = 0; a < r->n_symbols && !status; a++) {
      s = b->sets[i];
      if (!joined && !b->initial[i])
        feed(b->p, &s, b->stack, ' ');
      for (const char *c = symbols[a]; *c; c++)
        feed(b->p, &s, b->stack, (unsigned char)*c);
      status = state_of(b, &s, false, &state);
      next[i * r->n_symbols + a] = (uint32_t)state;
    }
  return status;
}

/* P_i = s ([i accepts] + Σ_a P_next(i,a)), s = 1/(symbols + 1), over the states that are alive. */
static tb_status chances(tb_context *context, tb_regex *r) {
  size_t n = r->n_states;
  double share = 1 / ((double)r->n_symbols + 1);
  double *matrix = tb_allocate(context, n * n, sizeof *matrix);
  tb_status status = matrix ? TB_OK : TB_NO_MEMORY;
  bool singular;
  for (size_t i = 0; i < n && !status; i++) {
    matrix[i * n + i] += 1;
    r->chance[i] = r->accepts[i] ? share : 0;
    for (size_t a = 0; a < r->n_symbols; a++)
      matrix[i * n + r->next[i * r->n_symbols + a]] -= share;
  }
  if (!status)
    status = tb_lu_solve(context, n, matrix, 1, r->chance, &singular);
  tb_release(context, matrix);
  return status;
}

static tb_status finish(tb_context *context, tb_arena *arena, const builder *b, const uint32_t *next, tb_regex *r) {
  r->n_states = b->n_states;
  r->next = tb_arena_allocate(arena, r->n_states * r->n_symbols, sizeof *r->next);
  r->accepts = tb_arena_allocate(arena, r->n_states, sizeof *r->accepts);
  r->alive = tb_arena_allocate(arena, r->n_states, sizeof *r->alive);
  r->chance = tb_arena_allocate(arena, r->n_states, sizeof *r->chance);
  if (!r->next || !r->accepts || !r->alive || !r->chance)
    return TB_NO_MEMORY;
  memcpy(r->next, next, r->n_states * r->n_symbols * sizeof *next);
  for (size_t i = 0; i < r->n_states; i++)
    r->accepts[i] = r->alive[i] = b->sets[i].bits[b->accept / 64] >> (b->accept % 64) & 1;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < r->n_states; i++)
      for (size_t a = 0; a < r->n_symbols && !r->alive[i]; a++)
        if (r->alive[r->next[i * r->n_symbols + a]])
          changed = r->alive[i] = true;
  }
  return chances(context, r);
}

tb_status tb_regex_compile(tb_context *context, tb_arena *arena, const char *pattern, size_t n_symbols,
                           const char *const *symbols, bool joined, size_t *fault, const tb_regex **regex) {
  parser p = { .context = context, .pattern = pattern, .at = pattern };
  builder b = { .context = context, .p = &p };
  piece whole;
  uint32_t *next = NULL;
  tb_regex *r = tb_arena_allocate(arena, 1, sizeof *r);
  p.nodes = tb_allocate(context, MOST_NODES, sizeof *p.nodes);
  tb_status status = r && p.nodes ? TB_OK : TB_NO_MEMORY;
  int root = status ? 0 : node_new(&p, SPLIT);
  if (!status) {
    p.at += *p.at == '^';
    status = read_choice(&p, &whole);
  }
  if (!status && *p.at)
    status = fail(&p, p.at, "')' without '('");
  if (!status)
    b.accept = node_new(&p, ACCEPT);
  if (!status && p.full)
    status = fail(&p, p.at, "the expression is too large");
  if (fault)
    *fault = p.fault;
  if (!status) {
    p.nodes[root].next = whole.in;
    p.nodes[whole.out].next = b.accept;
    r->n_symbols = n_symbols;
    b.sets = tb_allocate(context, MOST_STATES, sizeof *b.sets);
    b.initial = tb_allocate(context, MOST_STATES, sizeof *b.initial);
    b.stack = tb_allocate(context, 2 * MOST_NODES + 2, sizeof *b.stack);
    next = tb_allocate(context, MOST_STATES * n_symbols, sizeof *next);
    status = b.sets && b.initial && b.stack && next ? build(&b, r, symbols, joined, next) : TB_NO_MEMORY;
  }
  if (!status)
    status = finish(context, arena, &b, next, r);
  *regex = r;
  tb_release(context, p.nodes);
  tb_release(context, b.sets);
  tb_release(context, b.initial);
  tb_release(context, b.stack);
  tb_release(context, next);
  return status;
}
