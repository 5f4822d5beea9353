/* Attention of one head, out = softmax(scale q kᵀ + bias) v, and its reverse, without a matrix of scores:
 *
 *   w = softmax(s),  s = scale q kᵀ + bias;   v̄ = wᵀ ō,  s̄ = w ∘ (ō vᵀ − Σ w ∘ ō vᵀ),  q̄ = scale s̄ k,  k̄ = scale s̄ᵀ q
 *
 * BLOCK queries at a time stand side by side in the lanes, so that maxima, exponentials and sums need no shuffles; keys
 * pass by one after the other, as far as any query of the block sees them.  Reverse computes the weights again.  Only
 * k̄ and v̄, which sum over queries, want the weights turned: squares of BLOCK × BLOCK.  Each output sums in order of
 * keys (of even and of odd ones) or of queries, whatever the vector width. */
#include "engine/kernels/transpose.h"
#include "engine/kernels/vectors.h"

enum {
  BLOCK = MAX_LANES,
  FEATURES = VECTOR_BYTES == 64 ? 8 : 4, /* taken at once */
};

#define ALIGNED   __attribute__((aligned(64)))
#define EACH_WIDE UNROLL for (int w = 0; w < WIDE; w++)

/* ---- the parts of a block ---- */

/* s[j, .] += Σ_f x[f, .] y[j, f]; x[features, BLOCK], y[count, features…], s[count, BLOCK] */
INLINE void scores_of(int features, bool first, size_t count, const real *x, const real *y, size_t ldy, real *s) {
  vector lanes[FEATURES][WIDE];
  UNROLL for (int f = 0; f < features; f++) {
    UNROLL for (int w = 0; w < WIDE; w++) lanes[f][w] = load(x + f * BLOCK + w * LANES);
  }
  for (size_t j = 0; j < count; j++, y += ldy, s += BLOCK) {
    UNROLL for (int w = 0; w < WIDE; w++) {
      vector sum = first ? (vector){ 0 } : load(s + w * LANES);
      UNROLL for (int f = 0; f < features; f++) sum = fused_vector(lanes[f][w], spread(y[f]), sum);
      store(s + w * LANES, sum);
    }
  }
}

/* out[f, .] = Σ_j s[j, .] y[j, f] */
INLINE void weigh(int features, size_t count, const real *s, const real *y, size_t ldy, real *out) {
  vector sum[2][FEATURES][WIDE];
  UNROLL for (int f = 0; f < features; f++) {
    UNROLL for (int w = 0; w < WIDE; w++) sum[0][f][w] = sum[1][f][w] = (vector){ 0 };
  }
  size_t j = 0;
  for (; j + 2 <= count; j += 2) {
    UNROLL for (int odd = 0; odd < 2; odd++) {
      UNROLL for (int w = 0; w < WIDE; w++) {
        const vector lanes = load(s + (j + (size_t)odd) * BLOCK + w * LANES);
        UNROLL for (int f = 0; f < features; f++) sum[odd][f][w] =
            fused_vector(lanes, spread(y[(j + (size_t)odd) * ldy + (size_t)f]), sum[odd][f][w]);
      }
    }
  }
  UNROLL for (int f = 0; f < features; f++) {
    UNROLL for (int w = 0; w < WIDE; w++) {
      if (j < count)
        sum[0][f][w] = fused_vector(load(s + j * BLOCK + w * LANES), spread(y[j * ldy + (size_t)f]), sum[0][f][w]);
      store(out + f * BLOCK + w * LANES, sum[0][f][w] + sum[1][f][w]);
    }
  }
}

/* out[f, keys] += Σ_i x[f, i] turned[i, keys] */
INLINE void gather_keys(int features, size_t count, const real *x, const real *turned, real *out, size_t ldo) {
  vector sum[FEATURES][WIDE];
  UNROLL for (int f = 0; f < features; f++) {
    UNROLL for (int w = 0; w < WIDE; w++) sum[f][w] = load(out + (size_t)f * ldo + w * LANES);
  }
  for (size_t i = 0; i < count; i++) {
    UNROLL for (int w = 0; w < WIDE; w++) {
      const vector lanes = load(turned + i * BLOCK + w * LANES);
      UNROLL for (int f = 0; f < features; f++) sum[f][w] =
          fused_vector(spread(x[f * BLOCK + (int)i]), lanes, sum[f][w]);
    }
  }
  UNROLL for (int f = 0; f < features; f++) {
    UNROLL for (int w = 0; w < WIDE; w++) store(out + (size_t)f * ldo + w * LANES, sum[f][w]);
  }
}

/* ---- for any number of features: full chunks, then what is left ---- */

/* Runs call(n) with n a constant of 1 … FEATURES. */
#if VECTOR_BYTES == 64
#define BY_FEATURES(n, call)                                                                                           \
  switch (n) {                                                                                                         \
  case 1:                                                                                                              \
    call(1);                                                                                                           \
    break;                                                                                                             \
  case 2:                                                                                                              \
    call(2);                                                                                                           \
    break;                                                                                                             \
  case 3:                                                                                                              \
    call(3);                                                                                                           \
    break;                                                                                                             \
  case 4:                                                                                                              \
    call(4);                                                                                                           \
    break;                                                                                                             \
  case 5:                                                                                                              \
    call(5);                                                                                                           \
    break;                                                                                                             \
  case 6:                                                                                                              \
    call(6);                                                                                                           \
    break;                                                                                                             \
  case 7:                                                                                                              \
    call(7);                                                                                                           \
    break;                                                                                                             \
  default:                                                                                                             \
    call(8);                                                                                                           \
    break;                                                                                                             \
  }
#else
#define BY_FEATURES(n, call)                                                                                           \
  switch (n) {                                                                                                         \
  case 1:                                                                                                              \
    call(1);                                                                                                           \
    break;                                                                                                             \
  case 2:                                                                                                              \
    call(2);                                                                                                           \
    break;                                                                                                             \
  case 3:                                                                                                              \
    call(3);                                                                                                           \
    break;                                                                                                             \
  default:                                                                                                             \
    call(4);                                                                                                           \
    break;                                                                                                             \
  }
#endif

static void all_scores(size_t features, size_t count, const real *x, const real *y, size_t ldy, real *s) {
  for (size_t f = 0; f < features; f += FEATURES) {
    const size_t n = features - f < FEATURES ? features - f : FEATURES;
#define FIRST(n) scores_of(n, true, count, x, y, ldy, s)
#define NEXT(n)  scores_of(n, false, count, x + f * BLOCK, y + f, ldy, s)
    if (f == 0)
      BY_FEATURES(n, FIRST)
    else
      BY_FEATURES(n, NEXT)
  }
}

static void weigh_all(size_t features, size_t count, const real *s, const real *y, size_t ldy, real *out) {
  for (size_t f = 0; f < features; f += FEATURES) {
    const size_t n = features - f < FEATURES ? features - f : FEATURES;
#define WEIGH(n) weigh(n, count, s, y + f, ldy, out + f * BLOCK)
    BY_FEATURES(n, WEIGH)
  }
}

static void gather_all(size_t features, size_t count, const real *x, const real *turned, real *out, size_t ldo) {
  for (size_t f = 0; f < features; f += FEATURES) {
    const size_t n = features - f < FEATURES ? features - f : FEATURES;
#define GATHER(n) gather_keys(n, count, x + f * BLOCK, turned, out + f * ldo, ldo)
    BY_FEATURES(n, GATHER)
  }
}

/* ---- weights of a block of queries ---- */

typedef struct block {
  size_t first, count; /* queries */
  size_t keys;         /* that any of them sees */
  real *s;             /* [keys, BLOCK]: exp(s − largest) */
  real sum[BLOCK];     /* of these */
} block;

/* x[count, features] → out[features, BLOCK], the rest of the lanes zero, times a factor */
static void turn_in(size_t count, size_t features, const real *x, size_t ldx, real factor, real *out) {
  if (count < BLOCK)
    memset(out, 0, features * BLOCK * sizeof(real));
  NAME(transpose)(count, features, x, ldx, out, BLOCK);
  if (factor != 1)
    LOOP for (size_t i = 0; i < features * BLOCK; i++) out[i] *= factor;
}

static size_t keys_seen(const tb_attention *a, size_t query) {
  return a->seen ? (size_t)a->seen[query] : a->keys;
}

/* Queries do not see keys from seen[.] on. */
static void hide(const tb_attention *a, const block *b) {
  size_t least = a->keys;
  real seen[BLOCK];
  for (size_t i = 0; i < BLOCK; i++) {
    const size_t keys = i < b->count ? keys_seen(a, b->first + i) : a->keys;
    seen[i] = (real)keys;
    least = keys < least ? keys : least;
  }
  for (size_t j = least; j < b->keys; j++) {
    real *s = b->s + j * BLOCK;
    LOOP for (size_t i = 0; i < BLOCK; i++) s[i] = seen[i] > (real)j ? s[i] : -INFINITE;
  }
}

static void add_bias(const tb_attention *a, const block *b, const real *bias, real *room) {
  turn_in(b->count, b->keys, bias + b->first * a->ld_bias, a->ld_bias, 1, room);
  LOOP for (size_t i = 0; i < b->keys * BLOCK; i++) b->s[i] += room[i];
}

static void exponentiate(block *b) {
  vector most[WIDE], sum[WIDE];
  EACH_WIDE {
    most[w] = spread(-INFINITE);
    sum[w] = (vector){ 0 };
  }
  for (size_t j = 0; j < b->keys; j++)
    EACH_WIDE most[w] = larger_of(load(b->s + j * BLOCK + w * LANES), most[w]);
  for (size_t j = 0; j < b->keys; j++)
    EACH_WIDE {
      real *s = b->s + j * BLOCK + w * LANES;
      const vector e = exp_falling_vector(load(s) - most[w]);
      store(s, e);
      sum[w] += e;
    }
  EACH_WIDE store(b->sum + w * LANES, sum[w]);
}

/* The block from a query on: turned[width, BLOCK] queries, b.s and b.sum. */
static block weights_of(const tb_attention *a, size_t first, const real *q, const real *k, const real *bias,
                        real *turned, real *s, real *room) {
  block b = { .first = first, .count = a->queries - first < BLOCK ? a->queries - first : BLOCK, .s = s };
  for (size_t i = 0; i < b.count; i++)
    b.keys = keys_seen(a, first + i) > b.keys ? keys_seen(a, first + i) : b.keys;
  turn_in(b.count, a->width, q + first * a->ld_q, a->ld_q, (real)a->scale, turned);
  all_scores(a->width, b.keys, turned, k, a->ld_k, s);
  if (bias)
    add_bias(a, &b, bias, room);
  if (a->seen)
    hide(a, &b);
  exponentiate(&b);
  return b;
}

static void turn_out(size_t count, size_t features, real *x, const real *factors, real *out, size_t ldo) {
  for (size_t f = 0; f < features; f++)
    LOOP for (size_t i = 0; i < BLOCK; i++) x[f * BLOCK + i] *= factors[i];
  NAME(transpose)(features, count, x, BLOCK, out, ldo);
}

/* ---- a head ---- */

static size_t scratch_of(const tb_attention *a, bool reverse) {
  const size_t keys = (a->keys + BLOCK - 1) / BLOCK * BLOCK, features = a->width + a->value_width;
  return BLOCK * (features + a->width + 2 * keys) + (reverse ? features * keys : 0);
}

static void forward(const tb_attention *a, const void *q, const void *k, const void *v, const void *bias, void *out,
                    void *scratch) {
  real *turned = scratch, *gathered = turned + a->width * BLOCK, *s = gathered + a->value_width * BLOCK;
  real *room = s + a->keys * BLOCK;
  for (size_t i = 0; i < a->queries; i += BLOCK) {
    block b = weights_of(a, i, q, k, bias, turned, s, room);
    weigh_all(a->value_width, b.keys, s, v, a->ld_v, gathered);
    for (size_t l = 0; l < BLOCK; l++)
      b.sum[l] = 1 / b.sum[l];
    turn_out(b.count, a->value_width, gathered, b.sum, (real *)out + i * a->ld_out, a->ld_out);
  }
}

/* a[BLOCK, BLOCK] turned */
static void turn_square(const real *a, real *out) {
  for (int r = 0; r < BLOCK; r += LANES)
    for (int c = 0; c < BLOCK; c += LANES)
      transpose_square(a + r * BLOCK + c, BLOCK, out + c * BLOCK + r, BLOCK);
}

/* s̄ in place of w̄ = ō vᵀ, zeros up to a whole number of blocks; inverse becomes 1/sum. */
static void slopes(const block *b, real *bar, real *inverse) {
  real mean[BLOCK] ALIGNED = { 0 };
  const size_t whole = (b->keys + BLOCK - 1) / BLOCK * BLOCK;
  for (size_t j = 0; j < b->keys; j++)
    LOOP for (size_t i = 0; i < BLOCK; i++) mean[i] = fused(b->s[j * BLOCK + i], bar[j * BLOCK + i], mean[i]);
  for (size_t i = 0; i < BLOCK; i++) {
    inverse[i] = 1 / b->sum[i];
    mean[i] *= inverse[i];
  }
  for (size_t j = 0; j < b->keys; j++)
    LOOP for (size_t i = 0; i < BLOCK; i++) bar[j * BLOCK + i] =
        b->s[j * BLOCK + i] * inverse[i] * (bar[j * BLOCK + i] - mean[i]);
  memset(bar + b->keys * BLOCK, 0, (whole - b->keys) * BLOCK * sizeof(real));
  memset(b->s + b->keys * BLOCK, 0, (whole - b->keys) * BLOCK * sizeof(real));
}

static void backward(const tb_attention *a, const void *q, const void *k, const void *v, const void *bias,
                     const void *bar, void *q_bar, void *k_bar, void *v_bar, void *scratch) {
  const size_t ld = (a->keys + BLOCK - 1) / BLOCK * BLOCK, width = a->width, values = a->value_width;
  real *turned = scratch, *turned_bar = turned + width * BLOCK, *gathered = turned_bar + values * BLOCK;
  real *s = gathered + width * BLOCK, *bar_v = s + ld * BLOCK;
  real *k_sum = bar_v + ld * BLOCK, *v_sum = k_sum + width * ld; /* [width, keys], [value_width, keys] */
  memset(k_sum, 0, (width + values) * ld * sizeof(real));
  for (size_t first = 0; first < a->queries; first += BLOCK) {
    const block b = weights_of(a, first, q, k, bias, turned, s, bar_v);
    turn_in(b.count, values, (const real *)bar + first * a->ld_out, a->ld_out, 1, turned_bar);
    all_scores(values, b.keys, turned_bar, v, a->ld_v, bar_v);
    real inverse[BLOCK] ALIGNED, tile[BLOCK * BLOCK] ALIGNED;
    slopes(&b, bar_v, inverse);
    for (size_t f = 0; f < values; f++) /* v̄ sums w ō = exp(s − largest) (ō / sum) */
      LOOP for (size_t i = 0; i < BLOCK; i++) turned_bar[f * BLOCK + i] *= inverse[i];
    for (size_t j = 0; j < b.keys; j += BLOCK) {
      turn_square(bar_v + j * BLOCK, tile);
      gather_all(width, b.count, turned, tile, k_sum + j, ld);
      turn_square(s + j * BLOCK, tile);
      gather_all(values, b.count, turned_bar, tile, v_sum + j, ld);
    }
    weigh_all(width, b.keys, bar_v, k, a->ld_k, gathered);
    for (size_t i = 0; i < BLOCK; i++)
      inverse[i] = (real)a->scale;
    turn_out(b.count, width, gathered, inverse, (real *)q_bar + first * a->ld_q_bar, a->ld_q_bar);
  }
  NAME(transpose)(width, a->keys, k_sum, ld, k_bar, a->ld_k_bar);
  NAME(transpose)(values, a->keys, v_sum, ld, v_bar, a->ld_v_bar);
}

const tb_kernel_attention NAME(attention) = { .scratch = scratch_of, .forward = forward, .backward = backward };
