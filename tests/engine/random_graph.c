#include "random_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ELEMENTS = 300, MOST_POOL = 64 };

typedef struct builder {
  tb_graph *g;
  tb_dtype dtype;
  uint64_t state;
  const uint8_t *bytes; /* choices made elsewhere, used first */
  size_t left;
  bool comparable;
  tb_value key;
  size_t count;
  tb_value pool[MOST_POOL];
  double bound[MOST_POOL]; /* |value| ≤ bound, roughly */
} builder;

/* ---- drawing ---- */

static uint32_t word(builder *b) { /* splitmix64 */
  if (b->left >= 4) {
    uint32_t given;
    memcpy(&given, b->bytes, sizeof given);
    b->bytes += 4;
    b->left -= 4;
    return given;
  }
  uint64_t z = (b->state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (uint32_t)((z ^ z >> 31) >> 32);
}
static size_t below(builder *b, size_t n) {
  return word(b) % n;
}
static double between(builder *b, double low, double high) {
  return low + (high - low) * word(b) / 4294967296.0;
}

static size_t some_shape(builder *b, size_t dims[TB_MAX_RANK]) {
  static const size_t sizes[] = { 1, 1, 2, 2, 3, 3, 4, 5, 5, 7, 8, 9, 16, 17, 0 };
  size_t rank = below(b, 4), elements = 1;
  for (size_t i = 0; i < rank; i++) {
    dims[i] = sizes[below(b, sizeof sizes / sizeof *sizes - (below(b, 8) != 0))];
    if (elements * dims[i] > MOST_ELEMENTS)
      dims[i] = 1;
    elements *= dims[i];
  }
  return rank;
}

/* ---- the pool ---- */

typedef struct item {
  tb_value a;
  double bound;
  size_t rank, dims[TB_MAX_RANK], elements;
} item;

static item describe(builder *b, tb_value a, double bound) {
  item it = { a, bound, tb_rank(b->g, a), { 0 }, tb_elements(b->g, a) };
  for (size_t i = 0; i < it.rank; i++)
    it.dims[i] = tb_dim(b->g, a, i);
  return it;
}

static item some(builder *b) {
  size_t i = below(b, 3) ? b->count - 1 - below(b, b->count < 4 ? b->count : 4) : below(b, b->count);
  return describe(b, b->pool[i], b->bound[i]);
}

/* A value of at least rank 2 with few rows and columns. */
static item some_matrix(builder *b) {
  item a = some(b);
  if (a.rank < 2 || a.dims[a.rank - 1] > 9 || a.dims[a.rank - 2] > 9) {
    size_t columns = a.elements % 3 == 0 && a.elements ? 3 : 1;
    a = describe(b, tb_reshape(b->g, a.a, 2, (size_t[]){ a.elements / columns, columns }), a.bound);
  }
  return a;
}

static void add(builder *b, tb_value a, double bound) {
  if (b->count == MOST_POOL || tb_graph_status(b->g) != TB_OK || tb_elements(b->g, a) > 2 * MOST_ELEMENTS ||
      tb_rank(b->g, a) > 4)
    return;
  if (bound > 3) {
    a = tb_scale(b->g, a, 2 / bound);
    bound = 2;
  }
  b->pool[b->count] = a;
  b->bound[b->count++] = bound;
}

static tb_value number(builder *b, double value) {
  return tb_scalar(b->g, b->dtype, value);
}

/* Fixed values of a shape, of order one. */
static tb_value pattern(builder *b, size_t rank, const size_t *dims) {
  if (rank == 0)
    return number(b, between(b, -1, 1));
  tb_value i = tb_iota(b->g, b->dtype, rank, dims, below(b, rank));
  tb_value j = tb_iota(b->g, b->dtype, rank, dims, below(b, rank));
  return tb_sin(b->g, tb_add(b->g, tb_scale(b->g, i, 1.7), tb_shift(b->g, tb_scale(b->g, j, 2.9), between(b, 0, 3))));
}

/* ---- what may grow on the pool ---- */

static void grow_unary(builder *b) {
  static const tb_unary kinds[] = { TB_NEGATE,  TB_SIN,      TB_COS,   TB_TANH,        TB_ERF,
                                    TB_SIGMOID, TB_SOFTPLUS, TB_GELU,  TB_LOG_SIGMOID, TB_LOG_NORMAL_CDF,
                                    TB_EXP,     TB_EXPM1,    TB_SQUARE };
  item a = some(b);
  tb_unary kind = kinds[below(b, sizeof kinds / sizeof *kinds)];
  bool grows = kind == TB_EXP || kind == TB_EXPM1 || kind == TB_LOG_NORMAL_CDF;
  add(b, tb_unary(b->g, kind, a.a), grows ? exp(a.bound) + 2 : a.bound * (a.bound + 1) + 1);
}

static void grow_derivative(builder *b) {
  static const tb_unary kinds[] = { TB_TANH, TB_ERF, TB_SIGMOID, TB_GELU, TB_SOFTPLUS, TB_LOG_SIGMOID, TB_SIN };
  add(b, tb_unary_derivative(b->g, kinds[below(b, 7)], 1 + (int)below(b, 3), some(b).a), 2.5);
}

static void grow_positive(builder *b) { /* functions of a² + ½ */
  static const tb_unary kinds[] = { TB_LOG, TB_LOG1P, TB_SQRT, TB_RECIPROCAL };
  static const double exponents[] = { -1.5, -1, -0.5, 0.5, 1.5, 2, 3 };
  item a = some(b);
  tb_value positive = tb_shift(b->g, tb_square(b->g, a.a), 0.5);
  double bound = 2 + a.bound * a.bound;
  if (below(b, 2))
    add(b, tb_unary(b->g, kinds[below(b, 4)], positive), bound);
  else
    add(b, tb_power(b->g, positive, exponents[below(b, 7)]), bound * bound * bound);
}

static void grow_kink(builder *b) {
  static const tb_unary kinds[] = { TB_RELU, TB_ABSOLUTE, TB_SIGN, TB_FLOOR };
  item a = some(b);
  tb_value shifted = tb_shift(b->g, a.a, 0.0123);
  add(b, tb_unary(b->g, kinds[below(b, b->comparable ? 2 : 4)], shifted), a.bound + 1);
}

/* A partner of a that broadcasts with it. */
static item partner(builder *b, item a) {
  for (int tries = 0; tries < 4; tries++) {
    item c = some(b);
    bool fits = true;
    for (size_t i = 1; i <= a.rank && i <= c.rank; i++) {
      size_t p = a.dims[a.rank - i], q = c.dims[c.rank - i];
      fits = fits && (p == q || p == 1 || q == 1);
    }
    if (fits && a.elements * c.elements <= 16 * MOST_ELEMENTS)
      return c;
  }
  if (a.rank && below(b, 2)) {
    size_t axis = below(b, a.rank);
    return describe(b, tb_reduce(b->g, TB_SUM, a.a, 1u << axis, true), a.bound * (double)(a.dims[axis] + 1));
  }
  return describe(b, pattern(b, a.rank, a.dims), 1);
}

static void grow_binary(builder *b) {
  item a = some(b), c = partner(b, a);
  tb_graph *g = b->g;
  switch (below(b, 6)) {
  case 0:
    add(b, tb_add(g, a.a, c.a), a.bound + c.bound);
    break;
  case 1:
    add(b, tb_subtract(g, a.a, c.a), a.bound + c.bound);
    break;
  case 2:
    add(b, tb_multiply(g, a.a, c.a), a.bound * c.bound + 0.1);
    break;
  case 3:
    add(b, tb_divide(g, a.a, tb_shift(g, tb_sin(g, c.a), 1.5)), 2 * a.bound);
    break;
  case 4:
    add(b, (below(b, 2) ? tb_maximum(g, a.a, tb_shift(g, c.a, 0.013)) : tb_minimum(g, a.a, tb_scale(g, c.a, 0.97))),
        a.bound + c.bound);
    break;
  default:
    add(b, tb_select(g, tb_less(g, tb_cos(g, pattern(b, a.rank, a.dims)), number(b, 0.31)), a.a, c.a),
        a.bound + c.bound);
  }
}

static void grow_comparison(builder *b) {
  item a = some(b);
  tb_value cut = number(b, 0.1234567);
  tb_value flag = below(b, 2) ? tb_less(b->g, a.a, cut) : tb_less_equal(b->g, cut, a.a);
  if (!b->comparable)
    add(b, tb_multiply(b->g, flag, a.a), a.bound);
}

static void grow_affine(builder *b) {
  item a = some(b);
  double factor = between(b, -1.5, 1.5), offset = between(b, -1, 1);
  add(b, tb_shift(b->g, tb_scale(b->g, a.a, factor), offset), 1.5 * a.bound + 1);
}

static void grow_product(builder *b) {
  item a = some_matrix(b);
  bool ta = below(b, 2), tb = below(b, 2);
  size_t inner = a.dims[a.rank - (ta ? 2 : 1)], n = 1 + below(b, 9);
  tb_value c;
  double bound = 1;
  if (below(b, 3) == 0) { /* a with itself */
    c = a.a;
    tb = !ta;
    bound = a.bound;
  } else { /* a shared matrix, or one each */
    size_t dims[TB_MAX_RANK];
    memcpy(dims, a.dims, sizeof dims);
    dims[a.rank - 2] = tb ? n : inner;
    dims[a.rank - 1] = tb ? inner : n;
    bool shared = below(b, 2);
    c = pattern(b, shared ? 2 : a.rank, shared ? dims + a.rank - 2 : dims);
    if (below(b, 2))
      c = tb_multiply(b->g, c, tb_tanh(b->g, tb_reduce(b->g, TB_SUM, a.a, ~0u, false)));
  }
  bool swap = below(b, 2);
  tb_value y = swap ? tb_matmul(b->g, c, !tb, a.a, !ta) : tb_matmul(b->g, a.a, ta, c, tb);
  add(b, y, a.bound * bound * (double)(inner + 1));
}

/* Rows that are told a row which is common to all, before, after or twice, and a product of both, or some columns. */
static void grow_told(builder *b) {
  item a = some_matrix(b);
  tb_graph *g = b->g;
  const uint32_t rows = 1u << (a.rank - 2);
  tb_value row = tb_reduce(g, below(b, 2) ? TB_SUM : TB_MAX, a.a, below(b, 3) ? rows : ~0u, true);
  row = tb_sin(g, tb_scale(g, row, 1 / (1 + (double)a.elements * a.bound))); /* well-conditioned */
  size_t dims[TB_MAX_RANK], parts = 2 + below(b, 2), n = 1 + below(b, 9);
  memcpy(dims, a.dims, sizeof dims);
  if (a.elements == 0)
    return;
  row = tb_broadcast(g, row, a.rank, dims);
  tb_value both[3];
  for (size_t k = 0; k < parts; k++)
    both[k] = below(b, 2) ? row : a.a;
  dims[a.rank - 1] *= parts;
  const size_t wide = dims[a.rank - 1];
  tb_value told = tb_concat(g, a.rank - 1, parts, both);
  const bool tb = below(b, 2);
  const size_t weights[2] = { tb ? n : wide, tb ? wide : n };
  tb_value w = pattern(b, 2, weights);
  if (below(b, 2))
    w = tb_multiply(g, w, tb_tanh(g, tb_reduce(g, TB_SUM, a.a, ~0u, false)));
  tb_value y = tb_add(g, tb_matmul(g, told, false, w, tb), pattern(b, 1, &n));
  if (n > 2 && below(b, 3) == 0)
    y = tb_slice(g, y, a.rank - 1, 1, n - 2);
  add(b, y, (a.bound + 1) * (double)(wide + 1));
}

static void grow_matvec(builder *b) {
  item a = some_matrix(b);
  size_t n = a.dims[a.rank - 1], dims[2] = { 1 + below(b, 3), n };
  bool many = below(b, 2) && a.rank == 2;
  tb_value x = pattern(b, many ? 2 : 1, many ? dims : dims + 1);
  add(b, tb_matvec(b->g, a.a, tb_multiply(b->g, x, tb_sin(b->g, tb_reduce(b->g, TB_SUM, a.a, ~0u, false)))),
      a.bound * (double)(n + 1));
}

/* 1 + a aᵀ of modest condition, its factor, and solves with both. */
static void grow_factorisation(builder *b) {
  item a = some_matrix(b);
  tb_graph *g = b->g;
  size_t n = a.dims[a.rank - 2], k = a.dims[a.rank - 1], square[2] = { n, n };
  if (n > 9 || n == 0)
    return;
  tb_value identity = tb_equal(g, tb_iota(g, b->dtype, 2, square, 0), tb_iota(g, b->dtype, 2, square, 1));
  double weight = 1 / (1 + (double)(n * k) * a.bound * a.bound);
  tb_value m = tb_add(g, tb_scale(g, tb_matmul(g, a.a, false, a.a, true), weight), identity);
  double bound = 2 * a.bound * (double)n;
  switch (below(b, 4)) {
  case 0:
    add(b, tb_cholesky(g, m), 2);
    break;
  case 1:
    add(b, tb_triangular_solve(g, tb_cholesky(g, m), below(b, 2), a.a), bound);
    break;
  case 2:
    add(b, tb_triangular_solve(g, m, below(b, 2), tb_sin(g, a.a)), bound + 4 * (double)n);
    break;
  default:
    add(b, tb_solve(g, tb_add(g, m, tb_scale(g, pattern(b, 2, square), 0.3 / (double)n)), below(b, 2), a.a), 2 * bound);
  }
}

static void grow_shape(builder *b) {
  item a = some(b);
  tb_graph *g = b->g;
  size_t permutation[TB_MAX_RANK], dims[TB_MAX_RANK];
  switch (below(b, 3)) {
  case 0: { /* fold or unfold */
    size_t divisor = a.elements % 2 == 0 ? 2 : a.elements % 3 == 0 ? 3 : 1;
    add(b, tb_reshape(g, a.a, below(b, 2) ? 1 : 2, (size_t[]){ a.elements, 1 }), a.bound);
    add(b, tb_reshape(g, a.a, 2, (size_t[]){ divisor, a.elements / divisor }), a.bound);
    break;
  }
  case 1:
    for (size_t i = 0; i < a.rank; i++)
      permutation[i] = i;
    for (size_t i = a.rank; i > 1; i--) {
      size_t j = below(b, i), swap = permutation[i - 1];
      permutation[i - 1] = permutation[j];
      permutation[j] = swap;
    }
    if (a.rank)
      add(b, tb_transpose(g, a.a, permutation), a.bound);
    break;
  default:
    dims[0] = 1 + below(b, 3);
    memcpy(dims + 1, a.dims, a.rank * sizeof *dims);
    for (size_t i = 1; i <= a.rank; i++)
      if (dims[i] == 1 && below(b, 2))
        dims[i] = below(b, 10) ? 1 + below(b, 4) : 0;
    if (a.rank < 4)
      add(b, tb_broadcast(g, a.a, a.rank + 1, dims), a.bound);
  }
}

static void grow_piece(builder *b) {
  item a = some(b);
  tb_graph *g = b->g;
  if (a.rank == 0)
    return;
  size_t axis = below(b, a.rank), length = a.dims[axis];
  switch (below(b, 4)) {
  case 0: {
    size_t start = length ? below(b, length) : 0;
    size_t count = length && below(b, 20) ? 1 + below(b, length - start) : 0;
    add(b, tb_slice(g, a.a, axis, start, count), a.bound);
    break;
  }
  case 1: {
    tb_value parts[3] = { a.a, tb_sin(g, a.a), tb_slice(g, a.a, axis, 0, length / 2) };
    add(b, tb_concat(g, axis, 2 + below(b, 2), parts), a.bound + 1);
    break;
  }
  default: {
    double index[12];
    size_t count = below(b, 2) ? 1 + below(b, 11) : length < 12 ? length : 12, target = 1 + below(b, 6);
    bool gather = below(b, 2);
    if (!gather && length > 12)
      return;
    count = gather ? count : length;
    if (gather && length == 0)
      return;
    for (size_t i = 0; i < count; i++)
      index[i] = (double)below(b, gather ? length : target);
    tb_value i = tb_constant(g, TB_INT32, 1, &count, index);
    add(b, gather ? tb_gather(g, a.a, axis, i) : tb_scatter_add(g, a.a, axis, i, target),
        a.bound * (gather ? 1 : (double)count + 1));
  }
  }
}

static void grow_reduction(builder *b) {
  item a = some(b);
  tb_reduction kind = (tb_reduction)below(b, 5);
  uint32_t axes = a.rank ? word(b) & ((1u << a.rank) - 1) : 0;
  if (a.elements == 0)
    kind = TB_SUM;
  double scale = kind == TB_SUM ? (double)a.elements + 1 : 1;
  add(b, tb_reduce(b->g, kind, a.a, axes, below(b, 2)), a.bound * scale + (kind == TB_LOGSUMEXP ? 7 : 0));
}

static void grow_softmax(builder *b) {
  item a = some(b);
  if (a.rank)
    add(b, below(b, 2) ? tb_softmax(b->g, a.a) : tb_log_softmax(b->g, a.a), 2 * a.bound + 7);
}

static void grow_cast(builder *b) {
  item a = some(b);
  if (below(b, 3) == 0 && !b->comparable) {
    tb_value integer = tb_cast(b->g, tb_scale(b->g, a.a, 3.3), TB_INT32);
    tb_value odd = tb_maximum(b->g, tb_scale(b->g, tb_square(b->g, integer), 3), tb_shift(b->g, integer, 2));
    add(b, tb_cast(b->g, odd, b->dtype), 40 * (a.bound * a.bound + 1));
  } else if (below(b, 3) == 0) {
    add(b, tb_stop(b->g, a.a), a.bound);
  } else { /* in float64 both ways */
    add(b, tb_cast(b->g, tb_sin(b->g, tb_cast(b->g, a.a, TB_FLOAT64)), b->dtype), 1);
  }
}

static void grow_random(builder *b) {
  item a = some(b);
  tb_dtype dtype = b->comparable ? TB_FLOAT32 : b->dtype;
  tb_value noise = below(b, 2) ? tb_normal(b->g, b->key, word(b), dtype, a.rank, a.dims)
                               : tb_uniform(b->g, b->key, word(b), dtype, a.rank, a.dims);
  noise = tb_cast(b->g, noise, b->dtype);
  add(b, tb_multiply(b->g, tb_sin(b->g, noise), a.a), a.bound + 0.1);
}

/* ---- scans ---- */

typedef struct body_choice {
  builder *b;
  uint32_t bits;
  bool inner; /* a scan within the scan */
} body_choice;

/* carries: like a, and an integer counter; constants: the key, and one that broadcasts with a */
static tb_status scan_body(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry,
                           size_t n_slice, const tb_value *slices, size_t n_const, const tb_value *consts,
                           tb_value *carry_out, size_t n_out, tb_value *outs) {
  body_choice *choice = user;
  tb_dtype dtype = choice->b->dtype;
  uint32_t bits = choice->bits;
  tb_value x = carry[0], drive = bits & 1 ? tb_scale(g, tb_sin(g, consts[1]), 0.3) : consts[1];
  if (n_slice)
    drive = tb_add(g, drive, tb_sin(g, tb_reduce(g, TB_SUM, slices[0], ~0u, false)));
  if (bits & 2) {
    tb_value parts[2] = { tb_slice(g, consts[0], 0, 0, 2), tb_reshape(g, step, 1, (size_t[]){ 1 }) };
    tb_value noise = tb_normal(g, tb_concat(g, 0, 2, parts), bits, TB_FLOAT32, 0, NULL);
    drive = tb_add(g, drive, tb_sin(g, tb_cast(g, noise, dtype)));
  }
  tb_value next = tb_tanh(g, tb_add(g, tb_scale(g, x, bits & 4 ? 0.9 : -1.3), drive));
  if (choice->inner) {
    body_choice again = { choice->b, bits >> 1, false };
    tb_value carries[2] = { next, carry[1] }, ends[2], inner[2];
    tb_scan(g, 2, bits >> 3 & 1, scan_body, &again, 2, carries, 0, NULL, 2, consts, ends, 2, inner);
    next = tb_add(g, tb_scale(g, ends[0], 0.5), tb_scale(g, tb_reduce(g, TB_SUM, inner[0], 1, false), 0.1));
  }
  carry_out[0] = bits & 8 ? tb_add(g, next, tb_scale(g, x, 0.1)) : next;
  carry_out[1] = tb_add(g, carry[1], tb_scalar(g, TB_INT32, 1));
  outs[0] = bits & 16 ? tb_multiply(g, x, tb_cast(g, tb_add(g, step, carry[1]), dtype)) : tb_square(g, next);
  outs[1] = n_slice && bits & 32 ? tb_sin(g, slices[0]) : tb_reduce(g, TB_SUM, x, ~0u, false);
  return TB_OK;
}

static void grow_scan(builder *b) {
  item a = some(b), c = partner(b, a), xs = some(b);
  tb_graph *g = b->g;
  bool sliced = xs.rank > 0 && xs.dims[0] <= 6 && below(b, 4);
  size_t length = sliced ? xs.dims[0] : below(b, 5);
  for (size_t i = 1; i <= c.rank; i++) /* the constant must not widen the carry */
    if (i > a.rank || (c.dims[c.rank - i] != a.dims[a.rank - i] && c.dims[c.rank - i] != 1))
      return;
  if (a.elements * (length + 1) > MOST_ELEMENTS)
    return;
  body_choice choice = { b, word(b), below(b, 4) == 0 };
  tb_value carry[2] = { a.a, tb_scalar(g, TB_INT32, 0) }, consts[2] = { b->key, c.a }, ends[2], outs[2];
  tb_scan(g, length, below(b, 2), scan_body, &choice, 2, carry, sliced, &xs.a, 2, consts, ends, 2, outs);
  add(b, ends[0], a.bound + 2);
  add(b, below(b, 2) ? outs[1] : outs[0], (a.bound + 2) * (double)(a.elements + 10));
  if (below(b, 2))
    add(b, outs[0], 10 * (a.bound + 2));
}

static void (*const grow[])(builder *) = {
  grow_unary,  grow_derivative, grow_positive, grow_kink,   grow_binary,        grow_binary, grow_comparison,
  grow_affine, grow_product,    grow_product,  grow_matvec, grow_factorisation, grow_shape,  grow_piece,
  grow_piece,  grow_reduction,  grow_softmax,  grow_cast,   grow_random,        grow_scan,
};

/* ---- the whole ---- */

static tb_value input_like(builder *b, const char *name, item a) {
  return tb_input(b->g, name, b->dtype, a.rank, a.dims);
}

static void build(builder *b, random_graph *r) {
  b->key = tb_input(b->g, "key", TB_INT32, 1, (size_t[]){ 3 });
  r->parameters = 1 + below(b, RANDOM_PARAMETERS);
  for (size_t i = 0; i < r->parameters; i++) {
    size_t dims[TB_MAX_RANK], rank = some_shape(b, dims);
    r->x[i] = tb_input(b->g, "x", b->dtype, rank, dims);
    r->v[i] = tb_input(b->g, "v", b->dtype, rank, dims);
    r->w[i] = tb_input(b->g, "w", b->dtype, rank, dims);
    add(b, r->x[i], 1.5);
  }
  for (size_t steps = 4 + below(b, 16); steps-- > 0;)
    grow[below(b, sizeof grow / sizeof *grow)](b);
  if (below(b, 2))
    grow_told(b);
  r->results = 1 + below(b, RANDOM_RESULTS);
  for (size_t i = 0; i < r->results; i++) {
    item y = i == 0 ? describe(b, b->pool[b->count - 1], 0) : some(b);
    r->y[i] = y.a;
    r->u[i] = input_like(b, "u", y);
  }
}

static tb_status fill(builder *b, random_graph *r) {
  size_t i = 0;
  tb_value inputs[RANDOM_INPUTS] = { b->key };
  for (i = 0; i < r->parameters; i++) {
    inputs[1 + 3 * i] = r->x[i];
    inputs[2 + 3 * i] = r->v[i];
    inputs[3 + 3 * i] = r->w[i];
  }
  for (i = 0; i < r->results; i++)
    inputs[1 + 3 * r->parameters + i] = r->u[i];
  r->inputs = 1 + 3 * r->parameters + r->results;
  for (i = 0; i < r->inputs; i++) {
    size_t n = tb_elements(b->g, inputs[i]);
    r->data[i] = calloc(n + 1, 8);
    if (!r->data[i])
      return TB_NO_MEMORY;
    for (size_t k = 0; k < n; k++)
      if (i == 0)
        ((int32_t *)r->data[i])[k] = (int32_t)word(b);
      else if (b->dtype == TB_FLOAT64)
        ((double *)r->data[i])[k] = (double)(float)between(b, -1.5, 1.5);
      else
        ((float *)r->data[i])[k] = (float)between(b, -1.5, 1.5);
  }
  return TB_OK;
}

static tb_status make(tb_context *context, builder b, random_graph *r) {
  *r = (random_graph){ .context = context, .dtype = b.dtype };
  tb_status status = tb_graph_new(context, &r->graph);
  if (status != TB_OK)
    return status;
  b.g = r->graph;
  build(&b, r);
  tb_jvp(r->graph, r->results, r->y, r->parameters, r->x, r->v, r->y_dot);
  tb_vjp(r->graph, r->results, r->y, r->u, r->parameters, r->x, r->x_bar);
  tb_jvp(r->graph, r->parameters, r->x_bar, r->parameters, r->x, r->v, r->hv);
  tb_jvp(r->graph, r->parameters, r->x_bar, r->parameters, r->x, r->w, r->hw);
  status = tb_graph_status(r->graph);
  return status == TB_OK ? fill(&b, r) : status;
}

tb_status random_graph_make(tb_context *context, uint64_t seed, tb_dtype dtype, bool comparable, random_graph *r) {
  return make(context, (builder){ .dtype = dtype, .state = seed, .comparable = comparable }, r);
}

tb_status random_graph_read(tb_context *context, const uint8_t *bytes, size_t count, tb_dtype dtype, random_graph *r) {
  return make(context, (builder){ .dtype = dtype, .bytes = bytes, .left = count, .comparable = true }, r);
}

void random_graph_free(random_graph *r) {
  tb_graph_free(r->graph);
  for (size_t i = 0; i < RANDOM_INPUTS; i++)
    free(r->data[i]);
  *r = (random_graph){ 0 };
}
