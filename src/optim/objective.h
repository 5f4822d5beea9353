/* An objective: a model on data with a loss, compiled to the few programs that any method needs.
 *
 * No method sees a vanishing quantity: it asks for outputs and for Jᵀc with a cotangent c of its own scale. */
#ifndef TB_OPTIM_OBJECTIVE_H
#define TB_OPTIM_OBJECTIVE_H

#include "model/model.h"

typedef enum tb_loss { TB_LOSS_LOGISTIC, TB_LOSS_SQUARE } tb_loss;

typedef struct tb_objective tb_objective;
typedef struct tb_structure tb_structure; /* structure.h: an objective that is no graph */

/* x[n×d], y[n] (±1 for logistic) are copied.  Programs compute in dtype; all arrays here are float64.
 * Errors: TB_USAGE for a shape the model refuses, TB_BAD_DATA for n = 0, entries that aren't finite, labels that aren't
 * ±1.  Programs are compiled when first asked for. */
tb_status tb_objective_new(tb_context *, const tb_model *, const tb_model_shape *, tb_loss, tb_dtype, size_t n,
                           const double *x, const double *y, tb_objective **);
void tb_objective_free(tb_objective *);
tb_context *tb_objective_context(const tb_objective *);
size_t tb_objective_rows(const tb_objective *);       /* n */
size_t tb_objective_inputs(const tb_objective *);     /* d */
size_t tb_objective_parameters(const tb_objective *); /* p */
tb_loss tb_objective_loss_kind(const tb_objective *);
tb_dtype tb_objective_dtype(const tb_objective *);
const double *tb_objective_x(const tb_objective *);
const double *tb_objective_y(const tb_objective *);
bool tb_objective_has_predictor(const tb_objective *);
/* The population's inputs, x ~ N(0, diag covariance[d]) (copied; square loss), for the Fisher matrix over them; without
 * it N(0, I). */
tb_status tb_objective_set_covariance(tb_objective *, const double *covariance);
const double *tb_objective_covariance(const tb_objective *); /* NULL: I */

/* f[n] */
tb_status tb_objective_outputs(tb_objective *, const double *theta, double *f);
/* gradient[p] = Jᵀ c, J = ∂f/∂θ [n×p] */
tb_status tb_objective_pullback(tb_objective *, const double *theta, const double *c, double *f /* may be NULL */,
                                double *gradient);
/* f_dot[n] = J v, v[p] */
tb_status tb_objective_push(tb_objective *, const double *theta, const double *v, double *f_dot);
/* descent[p] = exp(log_factor)·(−∇L): the factor goes into the exponent of each residual, so that exp(s)·(−∇L) is right
 * where both exp(s) and ∇L have left the range of double.  descent = NULL is not allowed. */
tb_status tb_objective_descent(tb_objective *, const double *theta, double log_factor, double *descent);
/* product[p] = exp(log_factor)·(−∇²L) v */
tb_status tb_objective_descent_product(tb_objective *, const double *theta, double log_factor, const double *v,
                                       double *product);
/* jacobian[n×p], f[n] (may be NULL).  By blocks of rows; TB_NO_MEMORY with a remedy when n·p is absurd. */
tb_status tb_objective_jacobian(tb_objective *, const double *theta, double *f, double *jacobian);
/* gram[n×n] = JJᵀ without J, where the model is made of layers; and [d×d] = DDᵀ where it also has a predictor. */
bool tb_objective_has_gram(const tb_objective *);
tb_status tb_objective_gram(tb_objective *, const double *theta, double *gram);
tb_status tb_objective_predictor_gram(tb_objective *, const double *theta, double *gram);
/* beta[d]; and D = ∂β/∂θ [d×p] (may be NULL).  Only where the model has a predictor (else TB_USAGE). */
tb_status tb_objective_predictor(tb_objective *, const double *theta, double *beta, double *d_beta);
/* beta_dot[d] = D v, v[p]; gradient[p] = Dᵀ c, c[d]; likewise. */
tb_status tb_objective_predictor_push(tb_objective *, const double *theta, const double *v, double *beta_dot);
tb_status tb_objective_predictor_pullback(tb_objective *, const double *theta, const double *c, double *gradient);

/* Logistic: log L with L = mean log(1 + e^{−m_i}); square: log of half the mean squared residual.  Never under- or
 * overflows. */
double tb_objective_log_loss(const tb_objective *, const double *f);
/* −∂L/∂f_i as exp(*log_scale)·r_i with max |r_i| = 1 (all zero: log_scale −inf). */
void tb_objective_residual(const tb_objective *, const double *f, double *r, double *log_scale);
/* min_i y_i f_i */
double tb_objective_least_margin(const tb_objective *, const double *f);

/* log(1 + e^x) and its logarithm, right to rounding for every x. */
double tb_softplus_scalar(double x);
double tb_log_softplus_scalar(double x);

#endif
