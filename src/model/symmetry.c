/* The maps of symmetry.h, block by block of the parameter vector. */
#include "model/symmetry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

tb_status tb_symmetry_open(tb_context *context, tb_symmetry kind, const tb_transformer_shape *shape, double alpha,
                           tb_key key, tb_symmetry_map *map) {
  *map = (tb_symmetry_map){ .kind = kind, .alpha = alpha, .key = key, .from = *shape, .to = *shape };
  if (!(alpha > 0) || isinf(alpha))
    return tb_fail(context, TB_USAGE, "option alpha", "give a positive number", "alpha=%g", alpha);
  if (kind == TB_SYMMETRY_WIDEN && (alpha < 2 || alpha > 64 || alpha != floor(alpha)))
    return tb_fail(context, TB_USAGE, "option alpha", "give a whole number from 2 to 64",
                   "symmetry=widen repeats units alpha=%g times", alpha);
  if ((kind == TB_SYMMETRY_RESCALE || kind == TB_SYMMETRY_RELU_SCALE) && shape->activation != TB_RELU)
    return tb_fail(context, TB_USAGE, "option symmetry", NULL, "only ReLU is positively homogeneous");
  if (kind == TB_SYMMETRY_HEADS && shape->position == TB_POSITION_ROPE)
    return tb_fail(context, TB_USAGE, "option positions",
                   "take other positions=", "symmetry=heads does not commute with the turning of positions=rope");
  if (kind == TB_SYMMETRY_WIDEN)
    map->to.feedforward *= (size_t)alpha;
  if (kind == TB_SYMMETRY_RELU_SCALE)
    map->to.activation_scale = alpha;
  return TB_OK;
}

/* ---- random elements of GL(h) ---- */

/* q[h×h] with orthonormal rows, from normal numbers, by Gram and Schmidt twice over. */
static void random_rotation(tb_key key, uint64_t first, size_t h, double *q) {
  tb_random_normal(key, first, h * h, q);
  for (size_t i = 0; i < h; i++)
    for (int pass = 0; pass < 2; pass++) {
      double *row = q + i * h, norm = 0;
      for (size_t k = 0; k < i; k++) {
        double dot = 0;
        for (size_t j = 0; j < h; j++)
          dot += row[j] * q[k * h + j];
        for (size_t j = 0; j < h; j++)
          row[j] -= dot * q[k * h + j];
      }
      for (size_t j = 0; j < h; j++)
        norm += row[j] * row[j];
      for (size_t j = 0; j < h; j++)
        row[j] /= sqrt(norm);
    }
}

/* a = Uᵀ diag(s) V and its inverse Vᵀ diag(1/s) U, s from 1 to alpha in equal ratios (alpha alone for h = 1) */
static void random_linear(tb_key key, uint64_t number, double alpha, size_t h, double *scratch, double *a,
                          double *inverse) {
  double *u = scratch, *v = scratch + h * h;
  random_rotation(key, 2 * number * h * h, h, u);
  random_rotation(key, (2 * number + 1) * h * h, h, v);
  memset(a, 0, h * h * sizeof *a);
  memset(inverse, 0, h * h * sizeof *inverse);
  for (size_t k = 0; k < h; k++) {
    const double s = pow(alpha, h == 1 ? 1 : (double)k / (double)(h - 1));
    for (size_t i = 0; i < h; i++)
      for (size_t j = 0; j < h; j++) {
        a[i * h + j] += u[k * h + i] * s * v[k * h + j];
        inverse[i * h + j] += v[k * h + i] / s * u[k * h + j];
      }
  }
}

/* ---- blocks ---- */

typedef struct mover {
  tb_context *context;
  const tb_symmetry_map *map;
  bool transposed; /* Mᵀ: from `to` back to `from` */
  const double *in;
  double *out;
  size_t layer;     /* from 0 */
  double *matrices; /* [8, h×h]: A, A⁻¹, B, B⁻¹ of a head, scratch */
  uint32_t *order;  /* a permutation */
} mover;

/* out[h×cols] = X in[h×cols] or Xᵀ in */
static void multiply_left(size_t h, size_t cols, const double *x, bool transposed, const double *in, double *out) {
  for (size_t i = 0; i < h; i++)
    for (size_t j = 0; j < cols; j++) {
      double sum = 0;
      for (size_t k = 0; k < h; k++)
        sum += (transposed ? x[k * h + i] : x[i * h + k]) * in[k * cols + j];
      out[i * cols + j] = sum;
    }
}

/* out[rows, a head's columns] = in X or in Xᵀ, rows `stride` apart */
static void multiply_right(size_t h, size_t rows, size_t stride, const double *x, bool transposed, const double *in,
                           double *out) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < h; j++) {
      double sum = 0;
      for (size_t k = 0; k < h; k++)
        sum += in[i * stride + k] * (transposed ? x[j * h + k] : x[k * h + j]);
      out[i * stride + j] = sum;
    }
}

/* Wqkv, bqkv and Wo under GL(h).  The map of q is A, of k A⁻ᵀ, of v B, of Wo from the right B⁻¹. */
static void move_heads(mover *m, const char *name, size_t rows, size_t cols) {
  const size_t heads = m->map->from.heads, width = m->map->from.width, h = width / heads, size = h * h;
  double *a = m->matrices, *a_inverse = a + size, *b = a + 2 * size, *b_inverse = a + 3 * size;
  const size_t columns = strcmp(name, "bqkv") == 0 ? 1 : cols; /* a vector [1, 3d] is 3d rows of one */
  for (size_t head = 0; head < heads; head++) {
    const uint64_t number = 2 * (m->layer * heads + head);
    random_linear(m->map->key, number, m->map->alpha, h, a + 4 * size, a, a_inverse);
    random_linear(m->map->key, number + 1, m->map->alpha, h, a + 4 * size, b, b_inverse);
    if (strcmp(name, "Wo") == 0) {
      multiply_right(h, rows, cols, b_inverse, m->transposed, m->in + head * h, m->out + head * h);
      continue;
    }
    for (size_t part = 0; part < 3; part++) {
      const size_t at = (part * width + head * h) * columns;
      const double *x = part == 0 ? a : part == 1 ? a_inverse : b;
      multiply_left(h, columns, x, m->transposed != (part == 1), m->in + at, m->out + at);
    }
  }
}

/* Rows (or, by_column, columns) go in groups of `group` from place i to place order[i]. */
static void permute(mover *m, size_t rows, size_t cols, bool by_column, size_t group) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < cols; j++) {
      const size_t place = by_column ? j : i, moved = m->order[place / group] * group + place % group;
      const size_t from = i * cols + j, to = by_column ? i * cols + moved : moved * cols + j;
      if (m->transposed)
        m->out[from] = m->in[to];
      else
        m->out[to] = m->in[from];
    }
}

static void move_permuted(mover *m, const char *name, size_t rows, size_t cols) {
  const tb_transformer_shape *s = &m->map->from;
  tb_key key = m->map->key;
  key.step = (uint32_t)(2 * m->layer);
  if (strcmp(name, "W1") == 0 || strcmp(name, "b1") == 0 || strcmp(name, "W2") == 0) {
    tb_random_permutation(key, s->feedforward, m->order);
    permute(m, name[0] == 'W' ? rows : 1, cols, strcmp(name, "W1") != 0, 1);
    return;
  }
  if (s->position == TB_POSITION_ALIBI) { /* heads have slopes of their own */
    memcpy(m->out, m->in, rows * cols * sizeof *m->out);
    return;
  }
  key.step++;
  tb_random_permutation(key, s->heads, m->order);
  if (strcmp(name, "Wo") == 0) {
    permute(m, rows, cols, true, s->width / s->heads);
    return;
  }
  const size_t columns = strcmp(name, "bqkv") == 0 ? 1 : cols, part = s->width * columns;
  const double *in = m->in;
  double *out = m->out;
  for (size_t k = 0; k < 3; k++, m->in += part, m->out += part)
    permute(m, s->width, columns, false, s->width / s->heads);
  m->in = in;
  m->out = out;
}

/* rows, cols: of the block before widening.  W1, b1: copies; W2: copies divided by their number. */
static void move_widened(mover *m, const char *name, size_t rows, size_t cols) {
  const size_t copies = (size_t)m->map->alpha;
  const bool by_column = strcmp(name, "W1") != 0;
  const double factor = strcmp(name, "W2") == 0 ? 1 / m->map->alpha : 1;
  if (m->transposed)
    memset(m->out, 0, rows * cols * sizeof *m->out);
  for (size_t c = 0; c < copies; c++)
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < cols; j++) {
        const size_t narrow = i * cols + j;
        const size_t wide = by_column ? i * cols * copies + c * cols + j : (c * rows + i) * cols + j;
        if (m->transposed)
          m->out[narrow] += factor * m->in[wide];
        else
          m->out[wide] = factor * m->in[narrow];
      }
}

static bool among(const char *name, const char *const *names) {
  for (; *names; names++)
    if (strcmp(*names, name) == 0)
      return true;
  return false;
}

static const char *const feedforward[] = { "W1", "b1", "W2", NULL }, *const attention[] = { "Wqkv", "bqkv", "Wo",
                                                                                            NULL };

static void move_block(mover *m, const char *name, size_t rows, size_t cols) {
  const tb_symmetry kind = m->map->kind;
  const bool hidden = among(name, feedforward), heads = among(name, attention);
  if (kind == TB_SYMMETRY_HEADS && heads) {
    move_heads(m, name, rows, cols);
  } else if (kind == TB_SYMMETRY_PERMUTATION && (hidden || heads)) {
    move_permuted(m, name, rows, cols);
  } else if (kind == TB_SYMMETRY_WIDEN && hidden) {
    move_widened(m, name, rows, cols);
  } else {
    const double factor = kind != TB_SYMMETRY_RESCALE || !hidden ? 1
                          : strcmp(name, "W2") == 0              ? 1 / m->map->alpha
                                                                 : m->map->alpha;
    for (size_t i = 0; i < rows * cols; i++)
      m->out[i] = factor * m->in[i];
  }
}

/* "layer3.W1" → layer 2, "W1"; outside layers the whole name. */
static const char *local_name(const char *name, size_t *layer) {
  const char *dot = strchr(name, '.');
  *layer = dot ? strtoul(name + strlen("layer"), NULL, 10) - 1 : 0;
  return dot ? dot + 1 : name;
}

static tb_status apply(tb_context *context, const tb_symmetry_map *map, bool transposed, const double *in,
                       double *out) {
  const size_t h = map->from.width / map->from.heads;
  const size_t most = map->from.feedforward > map->from.heads ? map->from.feedforward : map->from.heads;
  mover m = { .context = context, .map = map, .transposed = transposed, .in = in, .out = out };
  m.matrices = tb_allocate(context, 6 * h * h, sizeof *m.matrices);
  m.order = tb_allocate(context, most, sizeof *m.order);
  if (m.matrices && m.order) {
    char name[32], unused[32];
    size_t rows, cols, wide_rows, wide_cols;
    for (size_t k = 0; tb_transformer_block(&map->from, k, name, &rows, &cols); k++) {
      tb_transformer_block(&map->to, k, unused, &wide_rows, &wide_cols);
      const char *local = local_name(name, &m.layer);
      move_block(&m, local, rows, cols);
      m.in += transposed ? wide_rows * wide_cols : rows * cols;
      m.out += transposed ? rows * cols : wide_rows * wide_cols;
    }
  }
  const bool whole = m.matrices && m.order;
  tb_release(context, m.matrices);
  tb_release(context, m.order);
  return whole ? TB_OK : TB_NO_MEMORY;
}

tb_status tb_symmetry_move(tb_context *context, const tb_symmetry_map *map, const double *theta, double *moved) {
  return apply(context, map, false, theta, moved);
}

tb_status tb_symmetry_pull(tb_context *context, const tb_symmetry_map *map, const double *gradient, double *pulled) {
  return apply(context, map, true, gradient, pulled);
}

/* A widened block's first copy stands where θ does; the others are beside units of zero. */
tb_status tb_symmetry_distance(tb_context *context, const tb_symmetry_map *map, const double *theta, double *distance) {
  const size_t p = tb_transformer_parameters(&map->to),
               copies = map->kind == TB_SYMMETRY_WIDEN ? (size_t)map->alpha : 1;
  double *moved = tb_allocate(context, p, sizeof *moved), squares = 0, size = 0;
  tb_status status = moved ? tb_symmetry_move(context, map, theta, moved) : TB_NO_MEMORY;
  char name[32], unused[32];
  size_t rows, cols, wide_rows, wide_cols, layer;
  const double *at = theta, *wide = moved;
  for (size_t k = 0; !status && tb_transformer_block(&map->from, k, name, &rows, &cols); k++) {
    tb_transformer_block(&map->to, k, unused, &wide_rows, &wide_cols);
    const bool by_column = strcmp(local_name(name, &layer), "W1") != 0;
    for (size_t i = 0; i < wide_rows; i++)
      for (size_t j = 0; j < wide_cols; j++) {
        const bool added = copies > 1 && (by_column ? j >= cols : i >= rows);
        const double own = added ? 0 : at[i * cols + j], off = wide[i * wide_cols + j] - own;
        squares += off * off;
        size += own * own;
      }
    at += rows * cols;
    wide += wide_rows * wide_cols;
  }
  *distance = sqrt(squares / size);
  tb_release(context, moved);
  return status;
}

void tb_symmetry_norms(const tb_symmetry_map *map, const tb_transformer_shape *shape, const double *vector,
                       double norms[2]) {
  char name[32];
  size_t rows, cols, layer;
  norms[0] = norms[1] = 0;
  for (size_t k = 0; tb_transformer_block(shape, k, name, &rows, &cols); vector += rows * cols, k++) {
    const char *local = local_name(name, &layer);
    const bool heads = map->kind == TB_SYMMETRY_HEADS;
    for (size_t i = 0; i < rows * cols; i++) {
      const size_t part = i / (shape->width * cols);
      if (heads ? strcmp(local, "Wqkv") == 0 && part != 1 : strcmp(local, "W1") == 0)
        norms[0] += vector[i] * vector[i];
      else if (heads ? strcmp(local, "Wqkv") == 0 || strcmp(local, "Wo") == 0 : strcmp(local, "W2") == 0)
        norms[1] += vector[i] * vector[i];
    }
  }
  norms[0] = sqrt(norms[0]);
  norms[1] = sqrt(norms[1]);
}
