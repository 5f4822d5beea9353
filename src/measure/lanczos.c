/* Rayleigh–Ritz in a growing Krylov space.
 *
 * Q [size×p] is orthonormal, T = Q A Qᵀ.  A step multiplies the newest block, W = Q_new A; its coefficients W Qᵀ are
 * the new rows of T, what they leave of W is the next block.  With T s = θ s the residual of y = sᵀQ is s_newᵀ(W − W
 * QᵀQ), so that its size needs only the products of what is left: G = (W − WQᵀQ)(W − WQᵀQ)ᵀ.
 *
 * Where nothing is left the space is invariant and holds every eigenvalue that the start vectors touch, each at most
 * `block` times.  A fresh start vector then looks for further copies, until one such search changes nothing. */
#include "measure/lanczos.h"

#include <math.h>
#include <string.h>

#include "measure/orthogonal.h"
#include "num/linear.h"

typedef struct krylov {
  const tb_operator *op;
  tb_lanczos_options options;
  size_t p, block, most, wanted;
  size_t size, fresh; /* rows of Q that are multiplied, and that wait behind them */
  double *q;          /* [(most + block)×p] */
  double *left;       /* [block×p]: W − WQᵀQ */
  double *t;          /* [most×most], leading dimension most */
  double *gram;       /* [block×block]: G of the newest block */
  size_t newest;      /* its length */
  double largest;     /* ‖Q_i A‖, the largest so far: the scale of rounding */
  double *ritz, *s;   /* [size], [size×size]: eigenvalues ascending and eigenvectors of T */
  double *work;       /* [most² + most + block] */
  double *previous;   /* [wanted]: Ritz values at the last invariant space */
  bool invariant, again;
  uint64_t draws;
  size_t products;
} krylov;

static double *room(krylov *k, size_t count) {
  return tb_allocate(k->op->context, count, sizeof(double));
}

static void close_krylov(krylov *k) {
  double *arrays[] = { k->q, k->left, k->t, k->gram, k->ritz, k->s, k->work, k->previous };
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    tb_release(k->op->context, arrays[i]);
}

static tb_status open_krylov(krylov *k, const tb_operator *op, const tb_lanczos_options *options) {
  const size_t p = op->dimension, wanted = options->top + options->bottom;
  *k = (krylov){ .op = op, .options = *options, .p = p, .wanted = wanted };
  if (wanted < 1 || options->top > p || options->bottom > p || wanted > p)
    return tb_fail(op->context, TB_USAGE, NULL, NULL, "%zu + %zu eigenpairs of an operator of dimension %zu",
                   options->top, options->bottom, p);
  k->block = options->block > 0 ? options->block : 1;
  if (k->block > p)
    k->block = p;
  k->most = options->most > 0 ? options->most : 3 * wanted + k->block > 200 ? 3 * wanted + k->block : 200;
  if (k->most < wanted)
    k->most = wanted;
  if (k->most > p)
    k->most = p;
  if (!(k->options.tolerance > 0))
    k->options.tolerance = 1e-8;
  k->q = room(k, (k->most + k->block) * p);
  k->left = room(k, k->block * p);
  k->t = room(k, k->most * k->most);
  k->gram = room(k, k->block * k->block);
  k->ritz = room(k, k->most);
  k->s = room(k, k->most * k->most);
  k->work = room(k, k->most * k->most + k->most + k->block);
  k->previous = room(k, wanted);
  return k->q && k->left && k->t && k->gram && k->ritz && k->s && k->work && k->previous ? TB_OK : TB_NO_MEMORY;
}

/* Fresh start vectors behind the basis, as many as fit. */
static void draw(krylov *k) {
  const size_t space = k->most - k->size, count = k->block < space ? k->block : space;
  while (k->fresh < count) { /* a draw depends on the basis with probability 0 */
    double *v = k->q + (k->size + k->fresh) * k->p;
    tb_random_normal(k->options.key, k->draws, (count - k->fresh) * k->p, v);
    k->draws += (count - k->fresh) * k->p;
    k->fresh += tb_orthonormalise(k->p, k->size + k->fresh, count - k->fresh, k->q, 0, k->work);
  }
}

/* Multiplies the waiting block: new rows of T, what is left of the products, and its size. */
static tb_status multiply(krylov *k) {
  const size_t p = k->p, count = k->fresh, size = k->size + count;
  const tb_status status = tb_operator_apply(k->op, count, k->q + k->size * p, k->left);
  if (status != TB_OK)
    return status;
  k->products += count;
  for (size_t i = 0; i < count; i++)
    k->largest = fmax(k->largest, tb_norm(p, k->left + i * p));
  double *c = k->work; /* [count×size] */
  tb_gemm(false, true, count, size, p, 1, k->left, k->q, 0, c);
  tb_gemm(false, false, count, p, size, -1, c, k->q, 1, k->left);
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < size; j++) {
      const size_t row = k->size + i;
      const double entry = j < k->size ? c[i * size + j] : 0.5 * (c[i * size + j] + c[(j - k->size) * size + row]);
      k->t[row * k->most + j] = k->t[j * k->most + row] = entry;
    }
  tb_gemm(false, true, count, count, p, 1, k->left, k->left, 0, k->gram);
  k->newest = count;
  k->size = size;
  k->fresh = 0;
  return TB_OK;
}

static tb_status solve(krylov *k) {
  for (size_t i = 0; i < k->size; i++)
    memcpy(k->work + i * k->size, k->t + i * k->most, k->size * sizeof *k->work);
  return tb_symmetric_eigen(k->op->context, k->size, k->work, k->ritz, k->s);
}

/* Index among the ascending Ritz values of the i-th wanted pair. */
static size_t place_of(const krylov *k, size_t i) {
  return i < k->options.top ? k->size - 1 - i : i - k->options.top;
}

/* Residual of a Ritz pair, from its part in the newest block. */
static double residual(const krylov *k, size_t place) {
  const double *s = k->s + place * k->size + k->size - k->newest;
  double sum = 0;
  for (size_t i = 0; i < k->newest; i++)
    for (size_t j = 0; j < k->newest; j++)
      sum += s[i] * s[j] * k->gram[i * k->newest + j];
  return sqrt(fmax(sum, 0));
}

static double accepted(const krylov *k) {
  return k->options.tolerance * fmax(fabs(k->ritz[0]), fabs(k->ritz[k->size - 1]));
}

static bool all_converged(const krylov *k) {
  if (k->size < k->wanted)
    return false;
  for (size_t i = 0; i < k->wanted; i++)
    if (residual(k, place_of(k, i)) > accepted(k))
      return false;
  return true;
}

/* Whether the wanted values stand as at the last invariant space. */
static bool nothing_new(krylov *k) {
  bool same = k->again;
  for (size_t i = 0; i < k->wanted; i++) {
    const double value = k->ritz[place_of(k, i)];
    same = same && fabs(value - k->previous[i]) <= accepted(k);
    k->previous[i] = value;
  }
  k->again = true;
  return same;
}

/* The next block from what is left.  Where nothing is, says whether the search is over. */
static tb_status advance(krylov *k, bool *over) {
  const size_t space = k->most - k->size;
  if (space == 0) {
    *over = true;
    return solve(k);
  }
  const size_t count = k->newest < space ? k->newest : space;
  memcpy(k->q + k->size * k->p, k->left, count * k->p * sizeof *k->q);
  k->fresh = tb_orthonormalise(k->p, k->size, count, k->q, tb_rounding_floor(k->p, k->largest), k->work);
  if (k->fresh > 0)
    return TB_OK;
  k->invariant = true;
  const tb_status status = solve(k);
  *over = status == TB_OK && k->size >= k->wanted && nothing_new(k);
  if (!*over)
    draw(k);
  return status;
}

static tb_status grow(krylov *k) {
  size_t look = k->wanted;
  bool over = false;
  draw(k);
  while (!over) {
    tb_status status = multiply(k);
    if (status == TB_OK)
      status = advance(k, &over);
    if (status == TB_OK && !over && !k->invariant && k->size >= look) {
      status = solve(k);
      over = status == TB_OK && all_converged(k);
      look = k->size + 1 + k->size / 8; /* so that solving stays cheaper than stepping */
    }
    if (status != TB_OK)
      return status;
  }
  return TB_OK;
}

/* y = sᵀQ and ‖A y − θ y‖ of the wanted pairs. */
static tb_status extract(krylov *k, tb_eigenpairs *pairs) {
  const size_t p = k->p;
  pairs->converged = true;
  for (size_t i = 0; i < k->wanted; i++) {
    const size_t place = place_of(k, i);
    pairs->values[i] = k->ritz[place];
    tb_gemv(true, k->size, p, 1, k->q, k->s + place * k->size, 0, pairs->vectors + i * p);
  }
  for (size_t first = 0; first < k->wanted; first += k->block) {
    const size_t count = k->wanted - first < k->block ? k->wanted - first : k->block;
    const tb_status status = tb_operator_apply(k->op, count, pairs->vectors + first * p, k->left);
    if (status != TB_OK)
      return status;
    for (size_t i = 0; i < count; i++) {
      double *r = k->left + i * p;
      for (size_t j = 0; j < p; j++)
        r[j] -= pairs->values[first + i] * pairs->vectors[(first + i) * p + j];
      pairs->bounds[first + i] = tb_norm(p, r);
      /* rounding of the operator's own products is no lack of convergence */
      pairs->converged = pairs->converged && residual(k, place_of(k, first + i)) <= accepted(k);
    }
    k->products += count;
  }
  pairs->products = k->products;
  pairs->dimension = k->size;
  return TB_OK;
}

tb_status tb_lanczos(const tb_operator *op, const tb_lanczos_options *options, tb_eigenpairs *pairs) {
  krylov k;
  *pairs = (tb_eigenpairs){ .context = op->context };
  tb_status status = open_krylov(&k, op, options);
  if (status != TB_OK)
    goto end;
  pairs->count = k.wanted;
  pairs->values = room(&k, k.wanted);
  pairs->bounds = room(&k, k.wanted);
  pairs->vectors = room(&k, k.wanted * k.p);
  status = pairs->values && pairs->bounds && pairs->vectors ? grow(&k) : TB_NO_MEMORY;
  if (status == TB_OK)
    status = extract(&k, pairs);
end:
  close_krylov(&k);
  if (status != TB_OK)
    tb_eigenpairs_free(pairs);
  return status;
}

void tb_eigenpairs_free(tb_eigenpairs *pairs) {
  tb_release(pairs->context, pairs->values);
  tb_release(pairs->context, pairs->vectors);
  tb_release(pairs->context, pairs->bounds);
  *pairs = (tb_eigenpairs){ .context = pairs->context };
}
