/* Two layers with a positive part between them, y = relu(x W₁ + b₁) W₂, and their reverse, for few columns of x and y
 * and many hidden values, which never leave the nearest cache:
 *
 *   h = relu(x W₁ + b₁),  W̄₂ = hᵀ ȳ,  d = (ȳ W₂ᵀ where h > 0),  b̄₁ = Σ d,  W̄₁ = xᵀ d,  x̄ = d W₁ᵀ
 *
 * Forward, rows stand side by side in the lanes and hidden values pass by one after the other.  Reverse computes h
 * again, STRIP hidden values at a time in the lanes, CHUNK rows after one another; only x̄ wants them turned.  Each
 * output sums in order of what it sums over, whatever the vector width. */
#include "engine/kernels/transpose.h"

enum {
  MOST = TB_FEED_MOST,
  ABREAST = VECTOR_BYTES == 64 ? 2 : 1, /* vectors of hidden values */
  STRIP = ABREAST * LANES,
  CHUNK = 64,
};

#define ALIGNED __attribute__((aligned(64)))
#define EACH    UNROLL for (int v = 0; v < ABREAST; v++)

/* Runs call(n) with n a constant of 1 … MOST. */
#define CASE(n, call)                                                                                                  \
  case n:                                                                                                              \
    call(n);                                                                                                           \
    break;
#define BY_COLUMNS(n, call)                                                                                            \
  switch (n) {                                                                                                         \
    CASE(1, call)                                                                                                      \
    CASE(2, call)                                                                                                      \
    CASE(3, call)                                                                                                      \
    CASE(4, call)                                                                                                      \
    CASE(5, call)                                                                                                      \
    CASE(6, call)                                                                                                      \
    CASE(7, call)                                                                                                      \
    CASE(8, call)                                                                                                      \
    CASE(9, call)                                                                                                      \
    CASE(10, call)                                                                                                     \
    CASE(11, call)                                                                                                     \
    CASE(12, call)                                                                                                     \
  }

typedef struct matrix {
  const real *at;
  tb_feed_strides by;
} matrix;

static real entry(matrix m, size_t row, size_t col) {
  return m.at[row * m.by.row + col * m.by.col];
}

/* ---- forward ---- */

/* LANES rows: y[n, LANES] from x[n, LANES]; parts holds W₁'s column, b₁ and W₂'s row of each hidden value. */
INLINE void rows_through(int n, size_t hidden, const real *parts, const real *x, real *y) {
  vector in[MOST], out[MOST];
  UNROLL for (int k = 0; k < n; k++) {
    in[k] = load(x + k * LANES);
    out[k] = (vector){ 0 };
  }
  for (size_t j = 0; j < hidden; j++, parts += 2 * n + 1) {
    vector h = spread(parts[n]);
    UNROLL for (int k = 0; k < n; k++) h = fused_vector(in[k], spread(parts[k]), h);
    h = larger_of((vector){ 0 }, h);
    UNROLL for (int k = 0; k < n; k++) out[k] = fused_vector(h, spread(parts[n + 1 + k]), out[k]);
  }
  UNROLL for (int k = 0; k < n; k++) store(y + k * LANES, out[k]);
}

static void pack_parts(const tb_feed_forward *f, size_t n, matrix first, const real *bias, matrix second, real *parts) {
  for (size_t j = 0; j < f->hidden; j++) {
    for (size_t k = 0; k < n; k++) {
      parts[k] = k < f->in ? entry(first, k, j) : 0;
      parts[n + 1 + k] = k < f->out ? entry(second, j, k) : 0;
    }
    parts[n] = bias[j * f->bias_step];
    parts += 2 * n + 1;
  }
}

static void forward(const tb_feed_forward *f, const void *x_, const void *first, const void *bias, const void *second,
                    void *out_, void *scratch) {
  const size_t n = f->in > f->out ? f->in : f->out;
  const real *x = x_;
  real *parts = scratch, *out = out_, turned[MOST * LANES] ALIGNED, y[MOST * LANES] ALIGNED;
  pack_parts(f, n, (matrix){ first, f->first }, bias, (matrix){ second, f->second }, parts);
  memset(turned, 0, sizeof turned);
  for (size_t i = 0; i < f->rows; i += LANES) {
    const size_t count = f->rows - i < LANES ? f->rows - i : LANES;
    if (count < LANES)
      memset(turned, 0, sizeof turned);
    NAME(transpose)(count, f->in, x + i * f->ld_x, f->ld_x, turned, LANES);
#define THROUGH(n) rows_through(n, f->hidden, parts, turned, y)
    BY_COLUMNS(n, THROUGH)
    NAME(transpose)(f->out, count, y, LANES, out + i * f->ld_out, f->ld_out);
  }
}

/* ---- reverse ---- */

/* sums[i, STRIP] = start[STRIP] + Σ_k x[i, k] w[k, STRIP], its positive part or where h[i, STRIP] is positive */
INLINE void strip_of(int n, bool first, size_t count, const real *x, size_t ldx, const real *w, const real *start,
                     const real *h, real *sums) {
  vector weights[MOST][ABREAST], from[ABREAST];
  UNROLL for (int k = 0; k < n; k++) EACH weights[k][v] = load(w + k * STRIP + v * LANES);
  EACH from[v] = first ? load(start + v * LANES) : (vector){ 0 };
  for (size_t i = 0; i < count; i++, x += ldx) {
    vector sum[ABREAST];
    EACH sum[v] = from[v];
    UNROLL for (int k = 0; k < n; k++) {
      const vector lanes = spread(x[k]);
      EACH sum[v] = fused_vector(lanes, weights[k][v], sum[v]);
    }
    EACH {
      const size_t at = i * STRIP + (size_t)v * LANES;
      store(sums + at, first ? larger_of((vector){ 0 }, sum[v]) : where_positive(load(h + at), sum[v]));
    }
  }
}

static void hidden_of(size_t n, size_t count, const real *x, size_t ldx, const real *w, const real *start, real *h) {
#define HIDDEN(n) strip_of(n, true, count, x, ldx, w, start, NULL, h)
  BY_COLUMNS(n, HIDDEN)
}

static void slopes_of(size_t n, size_t count, const real *bar, size_t ld, const real *w, const real *h, real *d){
#define SLOPES(n) strip_of(n, false, count, bar, ld, w, NULL, h, d)
  BY_COLUMNS(n, SLOPES)
}

/* sums[k, STRIP] += Σ_i x[i, k] h[i, STRIP] */
INLINE void gather(int n, size_t count, const real *x, size_t ldx, const real *h, real *sums) {
  vector sum[MOST][ABREAST];
  UNROLL for (int k = 0; k < n; k++) EACH sum[k][v] = load(sums + k * STRIP + v * LANES);
  for (size_t i = 0; i < count; i++, x += ldx, h += STRIP) {
    vector lanes[ABREAST];
    EACH lanes[v] = load(h + v * LANES);
    UNROLL for (int k = 0; k < n; k++) {
      const vector factor = spread(x[k]);
      EACH sum[k][v] = fused_vector(factor, lanes[v], sum[k][v]);
    }
  }
  UNROLL for (int k = 0; k < n; k++) EACH store(sums + k * STRIP + v * LANES, sum[k][v]);
}

static void gather_rows(size_t n, size_t count, const real *x, size_t ldx, const real *h, real *sums){
#define GATHER(n) gather(n, count, x, ldx, h, sums)
  BY_COLUMNS(n, GATHER)
}

/* sums[k, LANES] += Σ_j w[j, k] d[j, LANES], rows in the lanes; w[STRIP, n] */
INLINE void pull(int n, const real *w, const real *d, real *sums, size_t ld) {
  vector sum[MOST];
  UNROLL for (int k = 0; k < n; k++) sum[k] = load(sums + (size_t)k * ld);
  for (size_t j = 0; j < STRIP; j++, w += n) {
    const vector lanes = load(d + j * LANES);
    UNROLL for (int k = 0; k < n; k++) sum[k] = fused_vector(spread(w[k]), lanes, sum[k]);
  }
  UNROLL for (int k = 0; k < n; k++) store(sums + (size_t)k * ld, sum[k]);
}

static void pull_rows(size_t n, size_t count, const real *w, const real *d, real *sums, size_t ld) {
  real turned[STRIP * LANES] ALIGNED;
  for (size_t i = 0; i < count; i += LANES) { /* rows behind the last are zeros */
    EACH transpose_square(d + i * STRIP + v * LANES, STRIP, turned + v * LANES * LANES, LANES);
#define PULL(n) pull(n, w, turned, sums + i, ld)
    BY_COLUMNS(n, PULL)
  }
}

/* The parts of the matrices that belong to a strip of hidden values, zeros behind the last. */
typedef struct strip {
  real first[MOST * STRIP] ALIGNED, second[MOST * STRIP] ALIGNED; /* [in, STRIP], [out, STRIP] */
  real back[STRIP * MOST] ALIGNED, bias[STRIP] ALIGNED;           /* [STRIP, in] */
  real first_bar[MOST * STRIP] ALIGNED, second_bar[MOST * STRIP] ALIGNED, bias_bar[STRIP] ALIGNED;
  real h[CHUNK * STRIP] ALIGNED, d[CHUNK * STRIP] ALIGNED;
} strip;

static void take_strip(const tb_feed_forward *f, size_t from, matrix first, const real *bias, matrix second,
                       matrix back, strip *s) {
  memset(s, 0, sizeof *s);
  for (size_t j = 0; j < STRIP && from + j < f->hidden; j++) {
    s->bias[j] = bias[(from + j) * f->bias_step];
    for (size_t k = 0; k < f->in; k++) {
      s->first[k * STRIP + j] = entry(first, k, from + j);
      s->back[j * f->in + k] = entry(back, from + j, k);
    }
    for (size_t k = 0; k < f->out; k++)
      s->second[k * STRIP + j] = entry(second, k, from + j);
  }
}

static void put(size_t n, size_t count, const real *sums, real *out, tb_feed_strides by) {
  for (size_t k = 0; k < n && out; k++)
    for (size_t j = 0; j < count; j++)
      out[k * by.row + j * by.col] = sums[k * STRIP + j];
}

static void rows_back(const tb_feed_forward *f, size_t count, const real *x, const real *bar, strip *s, real *x_sums,
                      size_t ld) {
  hidden_of(f->in, count, x, f->ld_x, s->first, s->bias, s->h);
  slopes_of(f->out, count, bar, f->ld_bar, s->second, s->h, s->d);
  gather_rows(f->out, count, bar, f->ld_bar, s->h, s->second_bar);
  gather_rows(f->in, count, x, f->ld_x, s->d, s->first_bar);
  vector sum[ABREAST];
  EACH sum[v] = load(s->bias_bar + v * LANES);
  for (size_t i = 0; i < count; i++)
    EACH sum[v] += load(s->d + i * STRIP + v * LANES);
  EACH store(s->bias_bar + v * LANES, sum[v]);
  if (!x_sums)
    return;
  const size_t whole = (count + LANES - 1) / LANES * LANES;
  memset(s->d + count * STRIP, 0, (whole - count) * STRIP * sizeof(real));
  pull_rows(f->in, count, s->back, s->d, x_sums, ld);
}

static void backward(const tb_feed_forward *f, const void *x_, const void *first, const void *bias, const void *second,
                     const void *back, const void *bar_, void *x_bar, void *first_bar, void *bias_bar, void *second_bar,
                     void *scratch) {
  const size_t ld = (f->rows + LANES - 1) / LANES * LANES;
  const real *x = x_, *bar = bar_;
  real *x_sums = x_bar ? scratch : NULL; /* [in, ld] */
  strip s;
  if (x_sums)
    memset(x_sums, 0, f->in * ld * sizeof(real));
  for (size_t j = 0; j < f->hidden; j += STRIP) {
    const size_t count = f->hidden - j < STRIP ? f->hidden - j : STRIP;
    take_strip(f, j, (matrix){ first, f->first }, bias, (matrix){ second, f->second }, (matrix){ back, f->back }, &s);
    for (size_t i = 0; i < f->rows; i += CHUNK)
      rows_back(f, f->rows - i < CHUNK ? f->rows - i : CHUNK, x + i * f->ld_x, bar + i * f->ld_bar, &s,
                x_sums ? x_sums + i : NULL, ld);
    put(f->in, count, s.first_bar, (real *)first_bar + j * f->first_bar.col, f->first_bar);
    put(f->out, count, s.second_bar, (real *)second_bar + j * f->second_bar.col, f->second_bar);
    put(1, count, s.bias_bar, bias_bar ? (real *)bias_bar + j : NULL, (tb_feed_strides){ 0, 1 });
  }
  if (x_sums)
    NAME(transpose)(f->in, f->rows, x_sums, ld, x_bar, f->ld_x_bar);
}

static size_t scratch_of(const tb_feed_forward *f, bool reverse) {
  const size_t n = f->in > f->out ? f->in : f->out;
  return reverse ? f->in * ((f->rows + LANES - 1) / LANES * LANES) : f->hidden * (2 * n + 1);
}

const tb_kernel_feed NAME(feed) = { .scratch = scratch_of, .forward = forward, .backward = backward };
