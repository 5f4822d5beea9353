/* Reductions, softmax and log-softmax.  Sums along a row keep 4 × MAX_LANES partial sums (element i goes to partial
 * i mod 4·MAX_LANES), added in a fixed tree: the same bits for every vector width.  Rows up to SHORT are turned,
 * MAX_LANES of them side by side, and each sums in order.  Sums down columns go row by row, in runs of RUN rows whose
 * sums are added in order. */
#include "engine/kernels/vectors.h"

enum { GROUPS = 4, STRIPE = GROUPS * MAX_LANES, RUN = 64, BUFFER = 256, SHORT = 2 * MAX_LANES };
#define ALIGNED __attribute__((aligned(64)))

#if TB_REAL_BITS == 32
typedef int32_t lane_mask __attribute__((vector_size(VECTOR_BYTES)));
#else
typedef int64_t lane_mask __attribute__((vector_size(VECTOR_BYTES)));
#endif

INLINE vector add(vector a, vector b) {
  return a + b;
}

/* The larger; NaN wins. */
INLINE vector larger(vector a, vector b) {
  const lane_mask take = (lane_mask)(a > b) | (lane_mask)(a != a);
  return (vector)((take & (lane_mask)a) | (~take & (lane_mask)b));
}

INLINE vector smaller(vector a, vector b) {
  const lane_mask take = (lane_mask)(a < b) | (lane_mask)(a != a);
  return (vector)((take & (lane_mask)a) | (~take & (lane_mask)b));
}

/* The first count lanes of p, the others of fill. */
INLINE vector load_filled(const real *p, size_t count, real fill) {
  real t[LANES];
  for (size_t i = 0; i < LANES; i++)
    t[i] = i < count ? p[i] : fill;
  return load(t);
}

/* The reduction of one row by join, whose neutral element is neutral. */
#define ROW(name, join, neutral)                                                                                       \
  static real name(size_t count, const real *a) {                                                                      \
    vector acc[GROUPS][WIDE];                                                                                          \
    UNROLL for (int g = 0; g < GROUPS; g++) {                                                                          \
      UNROLL for (int w = 0; w < WIDE; w++) acc[g][w] = spread(neutral);                                               \
    }                                                                                                                  \
    size_t i = 0;                                                                                                      \
    for (; i + STRIPE <= count; i += STRIPE) {                                                                         \
      UNROLL for (int g = 0; g < GROUPS; g++) {                                                                        \
        UNROLL for (int w = 0; w < WIDE; w++) acc[g][w] = join(acc[g][w], load(a + i + g * MAX_LANES + w * LANES));    \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL for (int g = 0; g < GROUPS; g++) {                                                                          \
      UNROLL for (int w = 0; w < WIDE; w++) {                                                                          \
        const size_t q = i + (size_t)(g * MAX_LANES + w * LANES);                                                      \
        if (q + LANES <= count)                                                                                        \
          acc[g][w] = join(acc[g][w], load(a + q));                                                                    \
        else if (q < count)                                                                                            \
          acc[g][w] = join(acc[g][w], load_filled(a + q, count - q, neutral));                                         \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL for (int w = 0; w < WIDE; w++) acc[0][w] = join(join(acc[0][w], acc[2][w]), join(acc[1][w], acc[3][w]));    \
    vector t = acc[0][0];                                                                                              \
    if (WIDE == 4)                                                                                                     \
      t = join(join(t, acc[0][2 % WIDE]), join(acc[0][1 % WIDE], acc[0][3 % WIDE]));                                   \
    else if (WIDE == 2)                                                                                                \
      t = join(t, acc[0][1 % WIDE]);                                                                                   \
    if (LANES > 8)                                                                                                     \
      t = join(t, TURN8(t));                                                                                           \
    if (LANES > 4)                                                                                                     \
      t = join(t, TURN4(t));                                                                                           \
    if (LANES > 2)                                                                                                     \
      t = join(t, TURN2(t));                                                                                           \
    t = join(t, TURN1(t));                                                                                             \
    return t[0];                                                                                                       \
  }

ROW(row_sum, add, REAL(0.0))
ROW(row_max, larger, -INFINITE)
ROW(row_min, smaller, INFINITE)

/* At most MAX_LANES short rows, turned: [count, MAX_LANES], lanes without a row zero. */
static void turn_rows(size_t rows, size_t count, const real *a, size_t stride, real *turned) {
  if (rows < MAX_LANES)
    memset(turned, 0, count * MAX_LANES * sizeof(real));
  NAME(transpose)(rows, count, a, stride, turned, MAX_LANES);
}

#define SHORT_ROWS(name, join, neutral)                                                                                \
  static void name(size_t rows, size_t count, const real *a, size_t stride, real *out) {                               \
    if (rows == 1) { /* in the same order, so that a row's bits do not depend on its neighbours */                     \
      vector only = spread(neutral);                                                                                   \
      for (size_t j = 0; j < count; j++)                                                                               \
        only = join(only, spread(a[j]));                                                                               \
      out[0] = only[0];                                                                                                \
      return;                                                                                                          \
    }                                                                                                                  \
    real turned[SHORT * MAX_LANES] ALIGNED, result[MAX_LANES] ALIGNED;                                                 \
    turn_rows(rows, count, a, stride, turned);                                                                         \
    vector acc[WIDE];                                                                                                  \
    UNROLL for (int w = 0; w < WIDE; w++) acc[w] = spread(neutral);                                                    \
    for (size_t j = 0; j < count; j++) {                                                                               \
      UNROLL for (int w = 0; w < WIDE; w++) acc[w] = join(acc[w], load(turned + j * MAX_LANES + w * LANES));           \
    }                                                                                                                  \
    UNROLL for (int w = 0; w < WIDE; w++) store(result + w * LANES, acc[w]);                                           \
    memcpy(out, result, rows * sizeof(real));                                                                          \
  }

SHORT_ROWS(short_sum, add, REAL(0.0))
SHORT_ROWS(short_max, larger, -INFINITE)
SHORT_ROWS(short_min, smaller, INFINITE)

/* Down the columns: out[i] = join over r of a[r·stride + i]. */
#define COLUMNS(name, join, neutral)                                                                                   \
  static void name(size_t count, size_t inner, const real *a, size_t stride, real *out) {                              \
    size_t i = 0;                                                                                                      \
    for (; i + 4 * LANES <= inner; i += 4 * LANES) {                                                                   \
      vector total[4];                                                                                                 \
      UNROLL for (int v = 0; v < 4; v++) total[v] = spread(neutral);                                                   \
      for (size_t r = 0; r < count;) {                                                                                 \
        const size_t end = count - r < RUN ? count : r + RUN;                                                          \
        vector acc[4];                                                                                                 \
        UNROLL for (int v = 0; v < 4; v++) acc[v] = spread(neutral);                                                   \
        for (; r < end; r++) {                                                                                         \
          UNROLL for (int v = 0; v < 4; v++) acc[v] = join(acc[v], load(a + r * stride + i + (size_t)v * LANES));      \
        }                                                                                                              \
        UNROLL for (int v = 0; v < 4; v++) total[v] = join(total[v], acc[v]);                                          \
      }                                                                                                                \
      UNROLL for (int v = 0; v < 4; v++) store(out + i + v * LANES, total[v]);                                         \
    }                                                                                                                  \
    for (; i < inner; i += LANES) {                                                                                    \
      const size_t lanes = inner - i < LANES ? inner - i : LANES;                                                      \
      vector total = spread(neutral);                                                                                  \
      for (size_t r = 0; r < count;) {                                                                                 \
        const size_t end = count - r < RUN ? count : r + RUN;                                                          \
        vector acc = spread(neutral);                                                                                  \
        for (; r < end; r++)                                                                                           \
          acc = join(acc, lanes == LANES ? load(a + r * stride + i) : load_part(a + r * stride + i, lanes));           \
        total = join(total, acc);                                                                                      \
      }                                                                                                                \
      if (lanes == LANES)                                                                                              \
        store(out + i, total);                                                                                         \
      else                                                                                                             \
        store_part(out + i, total, lanes);                                                                             \
    }                                                                                                                  \
  }

COLUMNS(columns_sum, add, REAL(0.0))
COLUMNS(columns_max, larger, -INFINITE)
COLUMNS(columns_min, smaller, INFINITE)

#define REDUCE(name, row, low, columns)                                                                                \
  static void name(size_t outer, size_t count, size_t inner, const void *a_, size_t stride_outer, size_t stride_count, \
                   void *out_) {                                                                                       \
    const real *a = a_;                                                                                                \
    real *out = out_;                                                                                                  \
    if (inner == 1 && stride_count == 1 && count <= SHORT) {                                                           \
      for (size_t o = 0; o < outer; o += MAX_LANES)                                                                    \
        low(outer - o < MAX_LANES ? outer - o : MAX_LANES, count, a + o * stride_outer, stride_outer, out + o);        \
      return;                                                                                                          \
    }                                                                                                                  \
    for (size_t o = 0; o < outer; o++) {                                                                               \
      if (inner == 1 && stride_count == 1)                                                                             \
        out[o] = row(count, a + o * stride_outer);                                                                     \
      else                                                                                                             \
        columns(count, inner, a + o * stride_outer, stride_count, out + o * inner);                                    \
    }                                                                                                                  \
  }

REDUCE(reduce_sum, row_sum, short_sum, columns_sum)
REDUCE(reduce_max, row_max, short_max, columns_max)
REDUCE(reduce_min, row_min, short_min, columns_min)

/* ---- with exponentials ---- */

INLINE bool is_finite(real x) {
  return x - x == 0;
}

static void exp_of(size_t n, real *x) {
  NAME(math).unary[TB_EXP][0](1, n, x, 0, x, 0);
}

static real log_of(real x) {
  NAME(math).unary[TB_LOG][0](1, 1, &x, 0, &x, 0);
  return x;
}

static real row_logsumexp(size_t count, const real *a) {
  const real most = row_max(count, a);
  if (!is_finite(most))
    return most;
  real sum = 0, t[BUFFER];
  for (size_t i = 0; i < count; i += BUFFER) {
    const size_t n = count - i < BUFFER ? count - i : BUFFER;
    LOOP for (size_t j = 0; j < n; j++) t[j] = exp_falling(a[i + j] - most);
    sum += row_sum(n, t);
  }
  return most + log_of(sum);
}

static void columns_logsumexp(size_t count, size_t inner, const real *a, size_t stride, real *out) {
  columns_max(count, inner, a, stride, out);
  for (size_t i = 0; i < inner; i += BUFFER) {
    const size_t n = inner - i < BUFFER ? inner - i : BUFFER;
    real shift[BUFFER], sum[BUFFER];
    for (size_t j = 0; j < n; j++) {
      shift[j] = is_finite(out[i + j]) ? out[i + j] : 0;
      sum[j] = 0;
    }
    for (size_t r = 0; r < count; r++) {
      LOOP for (size_t j = 0; j < n; j++) sum[j] += exp_falling(a[r * stride + i + j] - shift[j]);
    }
    NAME(math).unary[TB_LOG][0](1, n, sum, 0, sum, 0);
    for (size_t j = 0; j < n; j++)
      out[i + j] = is_finite(out[i + j]) ? out[i + j] + sum[j] : out[i + j];
  }
}

static void short_logsumexp(size_t rows, size_t count, const real *a, size_t stride, real *out) {
  real turned[SHORT * MAX_LANES] ALIGNED, most[MAX_LANES] ALIGNED, sum[MAX_LANES] ALIGNED = { 0 };
  turn_rows(rows, count, a, stride, turned);
  columns_max(count, MAX_LANES, turned, MAX_LANES, most);
  for (size_t j = 0; j < count; j++)
    LOOP for (size_t i = 0; i < MAX_LANES; i++) sum[i] += exp_falling(turned[j * MAX_LANES + i] - most[i]);
  NAME(math).unary[TB_LOG][0](1, MAX_LANES, sum, 0, sum, 0);
  for (size_t i = 0; i < rows; i++)
    out[i] = is_finite(most[i]) ? most[i] + sum[i] : most[i];
}

REDUCE(reduce_logsumexp, row_logsumexp, short_logsumexp, columns_logsumexp)

/* At most MAX_LANES short rows of softmax, or of its logarithm, side by side. */
static void short_rows(bool logarithm, size_t rows, size_t cols, const real *x, real *y) {
  real turned[SHORT * MAX_LANES] ALIGNED, e[SHORT * MAX_LANES] ALIGNED, most[MAX_LANES] ALIGNED, sum[MAX_LANES] ALIGNED;
  turn_rows(rows, cols, x, cols, turned);
  columns_max(cols, MAX_LANES, turned, MAX_LANES, most);
  for (int w = 0; w < MAX_LANES; w += LANES) {
    vector total = { 0 };
    for (size_t j = 0; j < cols; j++) {
      const size_t at = j * MAX_LANES + (size_t)w;
      const vector lower = load(turned + at) - load(most + w), power = exp_falling_vector(lower);
      store(turned + at, lower);
      store(e + at, power);
      total += power;
    }
    store(sum + w, total);
  }
  if (logarithm)
    NAME(math).unary[TB_LOG][0](1, MAX_LANES, sum, 0, sum, 0);
  for (size_t j = 0; j < cols; j++)
    LOOP for (size_t i = 0; i < MAX_LANES; i++) {
      const size_t at = j * MAX_LANES + i;
      turned[at] = logarithm ? turned[at] - sum[i] : e[at] / sum[i];
    }
  NAME(transpose)(cols, rows, turned, MAX_LANES, y, cols);
}

static void all_short_rows(bool logarithm, size_t rows, size_t cols, const real *x, real *y) {
  for (size_t r = 0; r < rows; r += MAX_LANES)
    short_rows(logarithm, rows - r < MAX_LANES ? rows - r : MAX_LANES, cols, x + r * cols, y + r * cols);
}

/* Rows are taken in runs short enough for the first cache, so that one call exponentiates them all. */
enum { RUN_ELEMENTS = 2048 };

static size_t run_of_rows(size_t rows, size_t cols) {
  const size_t run = cols ? RUN_ELEMENTS / cols : rows;
  return run < 1 ? 1 : run < rows ? run : rows;
}

/* y = x − max of the row; the row's maximum in most */
static void lower_row(size_t cols, const real *x, real *y) {
  const real most = row_max(cols, x);
  LOOP for (size_t j = 0; j < cols; j++) y[j] = x[j] - most;
}

static void softmax(size_t rows, size_t cols, const void *a, void *out) {
  const real *x = a;
  real *y = out;
  const size_t run = run_of_rows(rows, cols);
  if (cols <= SHORT) {
    all_short_rows(false, rows, cols, x, y);
    return;
  }
  for (size_t r = 0; r < rows; r += run) {
    const size_t n = rows - r < run ? rows - r : run;
    for (size_t i = r; i < r + n; i++)
      lower_row(cols, x + i * cols, y + i * cols);
    exp_of(n * cols, y + r * cols);
    for (size_t i = r; i < r + n; i++) {
      const real inverse = 1 / row_sum(cols, y + i * cols);
      LOOP for (size_t j = 0; j < cols; j++) y[i * cols + j] *= inverse;
    }
  }
}

static void log_softmax(size_t rows, size_t cols, const void *a, void *out) {
  const real *x = a;
  real *y = out;
  if (cols <= SHORT) {
    all_short_rows(true, rows, cols, x, y);
    return;
  }
  for (size_t i = 0; i < rows; i++) {
    lower_row(cols, x + i * cols, y + i * cols);
    real sum = 0, t[BUFFER];
    for (size_t j = 0; j < cols; j += BUFFER) {
      const size_t n = cols - j < BUFFER ? cols - j : BUFFER;
      LOOP for (size_t q = 0; q < n; q++) t[q] = exp_falling(y[i * cols + j + q]);
      sum += row_sum(n, t);
    }
    const real shift = log_of(sum);
    LOOP for (size_t j = 0; j < cols; j++) y[i * cols + j] -= shift;
  }
}

const tb_kernel_reduce NAME(reduce) = {
  .reduce = { [TB_SUM] = reduce_sum, [TB_MAX] = reduce_max, [TB_MIN] = reduce_min, [TB_LOGSUMEXP] = reduce_logsumexp },
  .softmax = softmax,
  .log_softmax = log_softmax,
};
