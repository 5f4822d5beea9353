/* The limits of a classification problem, computed when first asked for.  The limit programme of natural gradient flow
 * has a file of its own. */
#include "bias/limits.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "bias/limits_private.h"

static const char *const names[TB_LIMITS] = { "l2_svm", "l1_svm", "linf_svm", "min_norm", "min_l1", "lp_limit" };

const char *tb_limit_name(tb_limit limit) {
  return names[limit];
}

/* Rank by singular values above max(n, d)·eps·σ₁; row_basis[rank×d] spans the rows of X. */
static tb_status find_rank(tb_limits *l, const tb_classification *p) {
  tb_context *context = l->context;
  size_t r = p->n < p->d ? p->n : p->d;
  double *x = tb_allocate(context, p->n * p->d, sizeof *x), *s = tb_allocate(context, r, sizeof *s);
  l->row_basis = tb_arena_allocate(l->arena, r * p->d, sizeof *l->row_basis);
  tb_status status = TB_NO_MEMORY;
  if (x && s && l->row_basis) {
    memcpy(x, p->x, p->n * p->d * sizeof *x);
    status = tb_singular_values(context, p->n, p->d, x, s, NULL, l->row_basis);
  }
  if (!status) {
    double cut = (double)(p->n > p->d ? p->n : p->d) * DBL_EPSILON * s[0];
    while (l->rank < r && s[l->rank] > cut)
      l->rank++;
    l->condition = l->rank ? s[0] / s[l->rank - 1] : NAN;
  }
  tb_release(context, x);
  tb_release(context, s);
  return status;
}

/* z[rows×d]: the distinct rows of Z; row_of[n]: the distinct row of each row; multiplicity[rows]. */
static tb_status merge_rows(tb_limits *l, const tb_classification *p) {
  l->z = tb_arena_allocate(l->arena, p->n * p->d, sizeof *l->z);
  l->row_of = tb_arena_allocate(l->arena, p->n, sizeof *l->row_of);
  l->multiplicity = tb_arena_allocate(l->arena, p->n, sizeof *l->multiplicity);
  if (!l->z || !l->row_of || !l->multiplicity)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < p->n; i++) {
    if (p->copy_of[i] == i) {
      memcpy(l->z + l->rows * p->d, p->z + i * p->d, p->d * sizeof *l->z);
      l->row_of[i] = l->rows++;
    } else
      l->row_of[i] = l->row_of[p->copy_of[i]];
    l->multiplicity[l->row_of[i]] += 1;
  }
  return TB_OK;
}

tb_status tb_limits_new(tb_context *context, const tb_classification *p, const double *start_beta,
                        const double *start_margins, tb_limits **limits) {
  *limits = NULL;
  tb_arena *arena = tb_arena_new(context);
  tb_limits *l = arena ? tb_arena_allocate(arena, 1, sizeof *l) : NULL;
  if (!l) {
    tb_arena_free(arena);
    return TB_NO_MEMORY;
  }
  l->context = context;
  l->arena = arena;
  l->problem = p;
  l->start_beta = tb_arena_allocate(arena, p->d, sizeof(double));
  l->start_margins = tb_arena_allocate(arena, p->n, sizeof(double));
  tb_status status = TB_NO_MEMORY;
  if (l->start_beta && l->start_margins) {
    memcpy(l->start_beta, start_beta, p->d * sizeof(double));
    memcpy(l->start_margins, start_margins, p->n * sizeof(double));
    status = merge_rows(l, p);
  }
  if (!status)
    status = find_rank(l, p);
  if (status)
    tb_arena_free(arena);
  else
    *limits = l;
  return status;
}

void tb_limits_free(tb_limits *l) {
  if (l)
    tb_arena_free(l->arena);
}

size_t tb_limits_rank(const tb_limits *l) {
  return l->rank;
}

double tb_limits_condition(const tb_limits *l) {
  return l->condition;
}

double *limits_unknown(tb_limits *l, size_t count) {
  double *values = tb_arena_allocate(l->arena, count, sizeof *values);
  for (size_t i = 0; values && i < count; i++)
    values[i] = NAN;
  return values;
}

/* ---- separability ---- */

tb_status tb_limits_separable(tb_limits *l, bool *separable, const double **certificate) {
  if (!l->separability_known) {
    tb_reference answer = { 0 };
    tb_status status = tb_separability_check(l->context, l->rows, l->problem->d, l->z, &answer);
    if (status)
      return status;
    l->separable = answer.separable == TB_SEPARABLE;
    if (!l->separable) {
      l->certificate = tb_arena_allocate(l->arena, l->problem->n, sizeof *l->certificate);
      for (size_t i = 0; l->certificate && i < l->problem->n; i++)
        l->certificate[i] = answer.dual[l->row_of[i]] / l->multiplicity[l->row_of[i]];
    }
    tb_reference_free(l->context, &answer);
    if (!l->separable && !l->certificate)
      return TB_NO_MEMORY;
    l->separability_known = true;
  }
  *separable = l->separable;
  if (certificate)
    *certificate = l->certificate;
  return TB_OK;
}

tb_status tb_certificate_text(tb_context *context, const tb_classification *p, const double *certificate,
                              tb_text *text) {
  enum { SHOWN = 6 };
  bool *used = tb_allocate(context, p->n, sizeof *used);
  if (!used)
    return TB_NO_MEMORY;
  size_t weights = 0, shown = 0;
  for (size_t i = 0; i < p->n; i++)
    weights += certificate[i] > 0;
  for (; shown < weights && shown < SHOWN; shown++) {
    size_t best = p->n;
    for (size_t i = 0; i < p->n; i++)
      if (!used[i] && certificate[i] > 0 && (best == p->n || certificate[i] > certificate[best]))
        best = i;
    used[best] = true;
    char name[32];
    tb_classification_row_name(p, best, name);
    tb_text_format(text, "%s%.6g x (%s)", shown ? " + " : "", certificate[best], name);
  }
  if (weights > shown)
    tb_text_format(text, " + %zu more", weights - shown);
  tb_text_add(text, " = 0, each row times its label");
  tb_release(context, used);
  return tb_text_finish(text);
}

/* ---- one limit each ---- */

typedef tb_status (*programme)(tb_context *, size_t n, size_t d, const double *z, tb_reference *);

/* Keeps a solver's answer.  A solver that gives up costs this limit, not the run. */
static tb_status keep(tb_limits *l, tb_limit limit, tb_status status, tb_reference *answer) {
  if (status && status != TB_FAILED)
    return status;
  if (status) {
    l->trouble[limit] = tb_arena_format(l->arena, "%s: %s", names[limit], tb_context_message(l->context));
    tb_context_clear(l->context);
  } else if (answer->b) {
    memcpy(l->solution[limit], answer->b, l->problem->d * sizeof(double));
    l->not_unique[limit] = !answer->unique;
    if (!answer->unique)
      l->trouble[limit] = tb_arena_format(l->arena, "%s is not unique, one of its solutions is shown", names[limit]);
  }
  tb_reference_free(l->context, answer);
  return TB_OK;
}

static tb_status margin_limit(tb_limits *l, tb_limit limit, programme solve) {
  bool separable;
  tb_status status = tb_limits_separable(l, &separable, NULL);
  if (status || !separable)
    return status;
  tb_reference answer = { 0 };
  return keep(l, limit, solve(l->context, l->rows, l->problem->d, l->z, &answer), &answer);
}

static tb_status interpolating_l1(tb_limits *l) {
  double *one = tb_allocate(l->context, l->rows, sizeof *one);
  if (!one)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < l->rows; i++)
    one[i] = 1; /* x_i·b = y_i is z_i·b = 1 */
  tb_reference answer = { 0 };
  tb_status status = tb_interpolate_l1(l->context, l->rows, l->problem->d, l->z, one, &answer);
  tb_release(l->context, one);
  bool inconsistent = status == TB_FAILED && l->rows > l->rank; /* no interpolator: nothing to report */
  status = keep(l, TB_LIMIT_MIN_L1, status, &answer);
  if (inconsistent)
    l->trouble[TB_LIMIT_MIN_L1] = NULL;
  return status;
}

static tb_status solve(tb_limits *l, tb_limit limit) {
  const tb_classification *p = l->problem;
  switch (limit) {
  case TB_LIMIT_L2_SVM:
    return margin_limit(l, limit, tb_svm_l2);
  case TB_LIMIT_L1_SVM:
    return margin_limit(l, limit, tb_svm_l1);
  case TB_LIMIT_LINF_SVM:
    return margin_limit(l, limit, tb_svm_linf);
  case TB_LIMIT_MIN_NORM:
    return tb_least_squares(l->context, p->n, p->d, p->x, 1, p->y, 0, l->solution[limit], NULL, NULL);
  case TB_LIMIT_MIN_L1:
    return interpolating_l1(l);
  default:
    return limits_solve_programme(l);
  }
}

tb_status tb_limits_solution(tb_limits *l, tb_limit limit, const double **b) {
  *b = NULL;
  if (!l->solution[limit]) {
    l->solution[limit] = limits_unknown(l, l->problem->d);
    if (!l->solution[limit])
      return TB_NO_MEMORY;
    tb_status status = solve(l, limit);
    if (status) {
      l->solution[limit] = NULL;
      return status;
    }
  }
  *b = l->solution[limit];
  return TB_OK;
}

const char *tb_limits_trouble(tb_limits *l, tb_limit limit) {
  return l->trouble[limit] ? l->trouble[limit] : "";
}

bool tb_limits_unique(const tb_limits *l, tb_limit limit) {
  return l->solution[limit] && !isnan(l->solution[limit][0]) && !l->not_unique[limit];
}

tb_status tb_limits_programme(tb_limits *l, const double **dual, const double **offset) {
  const double *b;
  tb_status status = tb_limits_solution(l, TB_LIMIT_LP, &b);
  *dual = l->dual;
  *offset = l->offset;
  return status;
}
