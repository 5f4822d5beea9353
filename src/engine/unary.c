/* The family act^(n): which derivatives are nodes, and how the others are written with those.
 *
 * Smooth activations have native derivatives to order 3 (a planned kernel shares one exponential among them); the
 * fourth is composed of the native ones, so differentiation closes at any depth.  Functions whose derivatives are
 * elementary (exp, log, powers, sin) are rewritten at once. */
#include "engine/node.h"

bool tb_unary_native(tb_unary kind, unsigned order) {
  switch (kind) {
  case TB_TANH:
  case TB_ERF:
  case TB_SIGMOID:
  case TB_GELU:
  case TB_LOG_NORMAL_CDF:
    return order <= 3;
  case TB_RELU:
    return order <= 1;
  default:
    return order == 0;
  }
}

/* f^(order), order 1 … 4, where it is not native. */
tb_value tb_unary_rewrite_at(tb_place place, tb_graph *g, tb_unary kind, int order, tb_value x) {
#define F(n, y)        tb_unary_derivative_at(place, g, kind, n, y)
#define UNARY(f, n, y) tb_unary_derivative_at(place, g, f, n, y)
#define PLUS(a, b)     tb_binary_at(place, g, TB_ADD, a, b)
#define TIMES(a, b)    tb_binary_at(place, g, TB_MULTIPLY, a, b)
#define SCALED(c, a)   tb_scale_at(place, g, a, c)
#define SHIFTED(c, a)  tb_shift_at(place, g, a, c)
#define POWER(a, e)    tb_power_at(place, g, a, e)
#define FILL(c)        tb_fill_like_at(place, g, x, c)
/* Beyond the bound the density is zero in any float; without it, powers of x that meet that zero would be infinite. */
#define CLAMPED(a, bound)                                                                                              \
  tb_binary_at(place, g, TB_MAXIMUM, FILL(-(bound)), tb_binary_at(place, g, TB_MINIMUM, FILL(bound), a))
  static const double factorial_signed[] = { 0, -1, 2, -6, 24 }; /* (1/x)^(n) = (−1)ⁿ n! x^(−n−1) */
  static const double log_signed[] = { 0, 1, -1, 2, -6 };        /* (log x)^(n) = (−1)^(n−1) (n−1)! x^(−n) */
  static const double root[] = { 1, 0.5, -0.25, 0.375, -0.9375 };
  switch (kind) {
  case TB_NEGATE:
    return FILL(order == 1 ? -1 : 0);
  case TB_ABSOLUTE:
    return order == 1 ? UNARY(TB_SIGN, 0, x) : FILL(0);
  case TB_SIGN:
  case TB_FLOOR:
  case TB_RELU: /* order ≥ 2 */
    return FILL(0);
  case TB_EXP:
  case TB_EXPM1:
    return UNARY(TB_EXP, 0, x);
  case TB_LOG:
    return order == 1 ? UNARY(TB_RECIPROCAL, 0, x) : SCALED(log_signed[order], POWER(x, -order));
  case TB_LOG1P:
    return UNARY(TB_LOG, order, SHIFTED(1, x));
  case TB_SQRT:
    return SCALED(root[order], POWER(x, 0.5 - order));
  case TB_RECIPROCAL:
    return SCALED(factorial_signed[order], POWER(x, -1 - order));
  case TB_SQUARE:
    return order == 1 ? SCALED(2, x) : FILL(order == 2 ? 2 : 0);
  case TB_SIN:
  case TB_COS: { /* quarter turns: sin, cos, −sin, −cos */
    int turn = (order + (kind == TB_COS)) % 4;
    tb_value y = UNARY(turn % 2 ? TB_COS : TB_SIN, 0, x);
    return turn < 2 ? y : UNARY(TB_NEGATE, 0, y);
  }
  case TB_SOFTPLUS:
    return UNARY(TB_SIGMOID, order - 1, x);
  case TB_LOG_SIGMOID: { /* σ(−x) and its derivatives */
    tb_value y = UNARY(TB_SIGMOID, order - 1, UNARY(TB_NEGATE, 0, x));
    return order % 2 ? y : UNARY(TB_NEGATE, 0, y);
  }
  /* order 4 of the native families, from f^(3) */
  case TB_TANH: /* t‴ = −2 (t′² + t t″) */
    return SCALED(-2, PLUS(SCALED(3, TIMES(F(1, x), F(2, x))), TIMES(F(0, x), F(3, x))));
  case TB_ERF: { /* e‴ = −2 (e′ + x e″) */
    tb_value c = CLAMPED(x, 30);
    return SCALED(-2, PLUS(SCALED(2, F(2, c)), TIMES(c, F(3, c))));
  }
  case TB_SIGMOID: /* s‴ = s′ (1 − 6 s′) */
    return TIMES(F(2, x), SHIFTED(1, SCALED(-12, F(1, x))));
  case TB_GELU: { /* g = x Φ(x), g⁗ = x Φ⁗ + 4 Φ‴, Φ^(k)(x) = 2^(−1−k/2) erf^(k)(x/√2) */
    tb_value c = CLAMPED(x, 42), u = SCALED(0.70710678118654752440, c);
    tb_value e2 = UNARY(TB_ERF, 2, u), e3 = UNARY(TB_ERF, 3, u);
    tb_value cdf4 = SCALED(-0.25, PLUS(SCALED(2, e2), TIMES(u, e3)));
    return PLUS(TIMES(c, cdf4), SCALED(4 * 0.17677669529663688110, e3));
  }
  case TB_LOG_NORMAL_CDF: { /* h = l′: h′ = −h (x + h), h″ = −h′ (x + h) − h (1 + h′) */
    tb_value h = F(1, x), h1 = F(2, x), h2 = F(3, x);
    tb_value sum = PLUS(TIMES(h2, PLUS(x, h)), TIMES(SCALED(2, h1), SHIFTED(1, h1)));
    return SCALED(-1, PLUS(sum, TIMES(h, h2)));
  }
  }
  return tb_no_value;
#undef F
#undef UNARY
#undef PLUS
#undef TIMES
#undef SCALED
#undef SHIFTED
#undef POWER
#undef FILL
#undef CLAMPED
}
