/* The construction of constructed.h. */
#include "diffusion/constructed.h"

#include <math.h>
#include <string.h>

#include <tiebreak/random.h>

void tb_constructed_points(uint64_t seed, size_t count, size_t dims, double *points) {
  tb_random_normal((tb_key){ .seed = seed, .use = tb_use("frozen points") }, 0, count * dims, points);
}

/* ---- direct evaluation ---- */

static double inner(size_t n, const double *a, const double *b) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

static bool trigonometric(const tb_family *f) {
  if (!f->frequency)
    return false;
  for (size_t k = 0; k < f->count * f->dims; k++)
    if (f->mean[k] != 0 || f->sd[k] != f->sigma)
      return false;
  return true;
}

/* N⁻¹ Σ_n cos(w·(c x + σ√τ z_n)) = C cos(c w·x) − S sin(c w·x), with C and S the means of cos and sin of σ√τ w·z_n. */
bool tb_constructed_table(const tb_constructed *net, double t, double *table) {
  const tb_family *f = net->family;
  if (!trigonometric(f))
    return false;
  const double spread = f->sigma * sqrt(tb_smoothing_at(net->process, t).spread);
  for (size_t j = 0; j < f->count; j++) {
    double cosine = 0, sine = 0;
    for (size_t n = 0; n < net->count; n++) {
      const double phase = spread * inner(f->dims, f->frequency + j * f->dims, net->points + n * f->dims);
      cosine += cos(phase);
      sine += sin(phase);
    }
    table[2 * j] = cosine / (double)net->count;
    table[2 * j + 1] = sine / (double)net->count;
  }
  return true;
}

static double average_of_table(const tb_constructed *net, double keep, const double *table, const double *x,
                               double *gradient) {
  const tb_family *f = net->family;
  double value = 0;
  for (size_t i = 0; gradient && i < f->dims; i++)
    gradient[i] = 0;
  for (size_t j = 0; j < f->count; j++) {
    const double *w = f->frequency + j * f->dims, phase = keep * inner(f->dims, w, x);
    const double a = f->weight[j] * cos(phase), b = f->weight[j] * sin(phase);
    value += table[2 * j] * a - table[2 * j + 1] * b;
    for (size_t i = 0; gradient && i < f->dims; i++)
      gradient[i] -= keep * w[i] * (table[2 * j] * b + table[2 * j + 1] * a);
  }
  return value;
}

void tb_constructed_coefficients(const tb_family *f, double *coefficients) {
  const size_t d = f->dims;
  double *constant = coefficients, *quadratic = constant + f->count, *linear = quadratic + f->count * d;
  for (size_t j = 0; j < f->count; j++) {
    constant[j] = 0;
    for (size_t i = 0; i < d; i++) {
      const double m = f->mean[j * d + i], s = f->sd[j * d + i];
      quadratic[j * d + i] = 0.5 / (f->sigma * f->sigma) - 0.5 / (s * s);
      linear[j * d + i] = m / (s * s);
      constant[j] += log(f->sigma / s) - 0.5 * m * m / (s * s);
    }
  }
}

enum { MOST_DIMS = 64 };

/* f(y), and slope[d] += weight ∇f(y) */
static double density_ratio(const tb_constructed *net, const double *y, double weight, double *slope) {
  const tb_family *f = net->family;
  const size_t d = f->dims;
  const double *constant = net->coefficients, *quadratic = constant + f->count, *linear = quadratic + f->count * d;
  double value = 0;
  for (size_t j = 0; j < f->count; j++) {
    const double *q = quadratic + j * d, *l = linear + j * d, *w = f->frequency ? f->frequency + j * d : NULL;
    double exponent = constant[j];
    for (size_t i = 0; i < d; i++)
      exponent += (q[i] * y[i] + l[i]) * y[i];
    const double phase = w ? inner(d, w, y) : 0, size = f->weight[j] * exp(exponent);
    const double one = w ? size * cos(phase) : size, across = w ? size * sin(phase) : 0;
    value += one;
    for (size_t i = 0; slope && i < d; i++)
      slope[i] += weight * (one * (2 * q[i] * y[i] + l[i]) - (w ? across * w[i] : 0));
  }
  return value;
}

double tb_constructed_average(const tb_constructed *net, double t, const double *table, const double *x,
                              double *gradient) {
  const tb_family *f = net->family;
  const size_t d = f->dims;
  const tb_smoothing at = tb_smoothing_at(net->process, t);
  if (table)
    return average_of_table(net, at.keep, table, x, gradient);
  const double spread = f->sigma * sqrt(at.spread), share = 1 / (double)net->count;
  double value = 0, y[MOST_DIMS];
  for (size_t i = 0; gradient && i < d; i++)
    gradient[i] = 0;
  for (size_t n = 0; n < net->count; n++) {
    for (size_t i = 0; i < d; i++)
      y[i] = at.keep * x[i] + spread * net->points[n * d + i];
    value += density_ratio(net, y, share * at.keep, gradient);
  }
  return value * share;
}

/* ---- piecewise linear functions at equal error ---- */

/* The chord of 1/x over [p, q] errs by at most (1/√p − 1/√q)²: knots are uniform in 1/√x. */
static double reciprocal_knot(const tb_constructed *net, size_t k) {
  const double error = net->accuracy / (4 * net->lipschitz * sqrt((double)net->family->dims));
  const double root = 1 / sqrt(net->floor) - (double)k * sqrt(error);
  return root > 1 / sqrt(net->ceiling) ? 1 / (root * root) : net->ceiling;
}

static double reciprocal(const tb_constructed *net, double x) {
  if (net->accuracy == 0)
    return 1 / x;
  const double error = net->accuracy / (4 * net->lipschitz * sqrt((double)net->family->dims));
  x = fmin(fmax(x, net->floor), net->ceiling);
  const size_t k = (size_t)fmax(0, (1 / sqrt(net->floor) - 1 / sqrt(x)) / sqrt(error));
  const double p = reciprocal_knot(net, k), q = reciprocal_knot(net, k + 1);
  return q > p ? 1 / p - (x - p) / (p * q) : 1 / p;
}

/* The chord of x² over a step h errs by at most h²/4; two squares and the division by 4 leave half of that. */
static double square_step(const tb_constructed *net) {
  return 2 * sqrt(2 * net->accuracy / (4 * sqrt((double)net->family->dims)));
}

static size_t square_knots(const tb_constructed *net) {
  return (size_t)ceil(4 * net->largest / square_step(net)) + 1;
}

static double square(const tb_constructed *net, double x) {
  const double h = square_step(net), first = -2 * net->largest, last = first + h * (double)(square_knots(net) - 1);
  x = fmin(fmax(x, first), last);
  const double p = first + h * floor((x - first) / h);
  return p * p + (2 * p + h) * (x - p);
}

static double product(const tb_constructed *net, double a, double b) {
  return net->accuracy == 0 ? a * b : (square(net, a + b) - square(net, a - b)) / 4;
}

void tb_constructed_drift(const tb_constructed *net, double t, const double *table, const double *x, double *drift) {
  const double r = reciprocal(net, tb_constructed_average(net, t, table, x, drift));
  for (size_t i = 0; i < net->family->dims; i++)
    drift[i] = fmin(fmax(product(net, r, drift[i]), -net->clip), net->clip);
}

/* ---- the circuit ---- */

typedef struct builder {
  const tb_constructed *net;
  tb_circuit *c;
  tb_context *context;
  tb_wire *y; /* [d]: inputs of a copy of f */
} builder;

/* One term of f at y: a_j σ^d/Πs exp(Σ y²/2σ² − (y−m)²/2s²) cos(w·y) */
static tb_wire term(builder *b, size_t j) {
  const tb_family *f = b->net->family;
  tb_circuit *c = b->c;
  bool has_exponent = false, has_phase = false;
  double factor = f->weight[j];
  tb_wire exponent = 0, phase = 0;
  for (size_t i = 0; i < f->dims; i++) {
    const double m = f->mean[j * f->dims + i], s = f->sd[j * f->dims + i];
    const double w = f->frequency ? f->frequency[j * f->dims + i] : 0;
    const double quadratic = 0.5 / (f->sigma * f->sigma) - 0.5 / (s * s), linear = m / (s * s);
    factor *= f->sigma / s;
    if (quadratic != 0 || linear != 0) { /* y (linear + quadratic y) − m²/2s² */
      const tb_wire inside = tb_circuit_shift(c, linear, tb_circuit_scale(c, quadratic, b->y[i]));
      const tb_wire one = tb_circuit_shift(c, -0.5 * m * linear, tb_circuit_multiply(c, b->y[i], inside));
      exponent = has_exponent ? tb_circuit_add(c, exponent, one) : one;
      has_exponent = true;
    }
    if (w != 0) {
      const tb_wire one = tb_circuit_scale(c, w, b->y[i]);
      phase = has_phase ? tb_circuit_add(c, phase, one) : one;
      has_phase = true;
    }
  }
  const tb_wire scale = tb_circuit_constant(c, factor);
  tb_wire value = scale;
  if (has_exponent)
    value = tb_circuit_multiply(c, value, tb_circuit_apply(c, TB_GATE_EXP, exponent));
  if (has_phase)
    value = tb_circuit_multiply(c, value, tb_circuit_apply(c, TB_GATE_COS, phase));
  return value;
}

/* c and σ√τ of the input t */
static void time_gates(builder *b, tb_wire t, tb_wire *keep, tb_wire *spread) {
  tb_circuit *c = b->c;
  tb_wire left;
  if (b->net->process == TB_DIFFUSION_OU) {
    *keep = tb_circuit_apply(c, TB_GATE_EXP, tb_circuit_scale(c, -1, t));
    left = tb_circuit_shift(c, 1, tb_circuit_scale(c, -1, tb_circuit_multiply(c, *keep, *keep)));
  } else {
    *keep = tb_circuit_constant(c, 1);
    left = tb_circuit_shift(c, 1, tb_circuit_scale(c, -1, t));
  }
  *spread = tb_circuit_scale(c, b->net->family->sigma, tb_circuit_apply(c, TB_GATE_SQRT, left));
}

static tb_wire average(builder *b, const tb_wire *x, tb_wire t) {
  const tb_constructed *net = b->net;
  const size_t d = net->family->dims;
  tb_circuit *c = b->c;
  tb_wire keep, spread, sum = 0;
  time_gates(b, t, &keep, &spread);
  tb_wire *kept = b->y + d;
  for (size_t i = 0; i < d; i++)
    kept[i] = net->process == TB_DIFFUSION_OU ? tb_circuit_multiply(c, keep, x[i]) : x[i];
  for (size_t n = 0; n < net->count; n++) {
    for (size_t i = 0; i < d; i++)
      b->y[i] = tb_circuit_add(c, kept[i], tb_circuit_scale(c, net->points[n * d + i], spread));
    tb_wire value = term(b, 0);
    for (size_t j = 1; j < net->family->count; j++)
      value = tb_circuit_add(c, value, term(b, j));
    sum = n ? tb_circuit_add(c, sum, value) : value;
  }
  return tb_circuit_scale(c, 1 / (double)net->count, sum);
}

static tb_wire reciprocal_gates(builder *b, tb_wire a) {
  const tb_constructed *net = b->net;
  size_t knots = 1;
  if (net->accuracy == 0)
    return tb_circuit_apply(b->c, TB_GATE_RECIPROCAL, a);
  while (reciprocal_knot(net, knots - 1) < net->ceiling)
    knots++;
  double *at = tb_allocate(b->context, 2 * knots, sizeof *at), *values = at + knots;
  tb_wire out = 0;
  for (size_t k = 0; at && k < knots; k++) {
    at[k] = reciprocal_knot(net, k);
    values[k] = 1 / at[k];
  }
  if (at)
    out = tb_circuit_piecewise(b->c, a, knots, at, values);
  tb_release(b->context, at);
  return out;
}

static tb_wire square_gates(builder *b, tb_wire a, size_t knots, const double *at) {
  return tb_circuit_piecewise(b->c, a, knots, at, at + knots);
}

static tb_wire product_gates(builder *b, tb_wire a, tb_wire e) {
  const tb_constructed *net = b->net;
  tb_circuit *c = b->c;
  if (net->accuracy == 0)
    return tb_circuit_multiply(c, a, e);
  const size_t knots = square_knots(net);
  double *at = tb_allocate(b->context, 2 * knots, sizeof *at);
  tb_wire out = 0;
  for (size_t k = 0; at && k < knots; k++) {
    at[k] = -2 * net->largest + square_step(net) * (double)k;
    at[knots + k] = at[k] * at[k];
  }
  if (at) {
    const tb_wire sum = square_gates(b, tb_circuit_add(c, a, e), knots, at);
    const tb_wire difference = square_gates(b, tb_circuit_add(c, a, tb_circuit_scale(c, -1, e)), knots, at);
    out = tb_circuit_scale(c, 0.25, tb_circuit_add(c, sum, tb_circuit_scale(c, -1, difference)));
  }
  tb_release(b->context, at);
  return out;
}

/* −B + relu(a + B) − relu(a − B) */
static tb_wire clip_gates(builder *b, tb_wire a) {
  const double bound = b->net->clip;
  if (isinf(bound))
    return a;
  return tb_circuit_piecewise(b->c, a, 2, (double[]){ -bound, bound }, (double[]){ -bound, bound });
}

tb_status tb_constructed_circuit(tb_context *context, const tb_constructed *net, tb_circuit **circuit, tb_wire *wires) {
  const size_t d = net->family->dims;
  builder b = { .net = net, .context = context };
  *circuit = b.c = tb_circuit_new(context);
  b.y = tb_allocate(context, 4 * d, sizeof *b.y); /* y, c·x, x, ∇φ̂ */
  tb_status status = b.c && b.y ? TB_OK : TB_NO_MEMORY;
  if (!status) {
    tb_wire *x = b.y + 2 * d, *gradient = b.y + 3 * d;
    for (size_t i = 0; i < d; i++)
      x[i] = tb_circuit_input(b.c);
    const tb_wire t = tb_circuit_input(b.c), value = average(&b, x, t);
    tb_circuit_gradient(b.c, value, d, x, gradient);
    const tb_wire inverse = reciprocal_gates(&b, value);
    for (size_t i = 0; i < d; i++)
      wires[i] = clip_gates(&b, product_gates(&b, inverse, gradient[i]));
    wires[d] = value;
    status = tb_circuit_status(b.c);
  }
  tb_release(context, b.y);
  if (status) {
    tb_circuit_free(b.c);
    *circuit = NULL;
  }
  return status;
}
