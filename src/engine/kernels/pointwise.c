/* Binary and ternary operations over a block: loops that the compiler turns into vectors, one kernel a form.
 * Comparisons give 0 or 1.  maximum and minimum hand on NaN. */
#include "engine/kernels/real.h"

#define ARGUMENTS                                                                                                      \
  size_t rows, size_t cols, void *out, size_t ldo, const void *a_, size_t lda, const void *b_, size_t ldb
#define TERNARY_ARGUMENTS ARGUMENTS, const void *c_, size_t ldc
#define EACH_ROW          for (size_t r = 0; r < rows; r++)
#define EACH              LOOP for (size_t i = 0; i < cols; i++)

/* A row at a time: y the result, a and b vectors or (p, q) scalars of the row. */
#define BINARY(name, expression)                                                                                       \
  static void name##_vv(ARGUMENTS) {                                                                                   \
    EACH_ROW {                                                                                                         \
      real *y = (real *)out + r * ldo;                                                                                 \
      const real *u = (const real *)a_ + r * lda, *v = (const real *)b_ + r * ldb;                                     \
      EACH {                                                                                                           \
        const real a = u[i], b = v[i];                                                                                 \
        y[i] = expression;                                                                                             \
      }                                                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
  static void name##_vs(ARGUMENTS) {                                                                                   \
    EACH_ROW {                                                                                                         \
      real *y = (real *)out + r * ldo;                                                                                 \
      const real *u = (const real *)a_ + r * lda, b = ((const real *)b_)[r * ldb];                                     \
      EACH {                                                                                                           \
        const real a = u[i];                                                                                           \
        y[i] = expression;                                                                                             \
      }                                                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
  static void name##_sv(ARGUMENTS) {                                                                                   \
    EACH_ROW {                                                                                                         \
      real *y = (real *)out + r * ldo;                                                                                 \
      const real a = ((const real *)a_)[r * lda], *v = (const real *)b_ + r * ldb;                                     \
      EACH {                                                                                                           \
        const real b = v[i];                                                                                           \
        y[i] = expression;                                                                                             \
      }                                                                                                                \
    }                                                                                                                  \
  }

BINARY(add, a + b)
BINARY(subtract, a - b)
BINARY(multiply, a *b)
BINARY(divide, a / b)
BINARY(maximum, a > b || a != a ? a : b)
BINARY(minimum, a < b || a != a ? a : b)
BINARY(less, a < b ? REAL(1.0) : REAL(0.0))
BINARY(less_equal, a <= b ? REAL(1.0) : REAL(0.0))
BINARY(equal, a == b ? REAL(1.0) : REAL(0.0))

#define FUSED(name, sign)                                                                                              \
  static void name##_v(TERNARY_ARGUMENTS) {                                                                            \
    EACH_ROW {                                                                                                         \
      real *y = (real *)out + r * ldo;                                                                                 \
      const real *u = (const real *)a_ + r * lda, *v = (const real *)b_ + r * ldb, *w = (const real *)c_ + r * ldc;    \
      EACH y[i] = fused(sign u[i], v[i], w[i]);                                                                        \
    }                                                                                                                  \
  }                                                                                                                    \
  static void name##_s(TERNARY_ARGUMENTS) {                                                                            \
    EACH_ROW {                                                                                                         \
      real *y = (real *)out + r * ldo;                                                                                 \
      const real *u = (const real *)a_ + r * lda, b = ((const real *)b_)[r * ldb], *w = (const real *)c_ + r * ldc;    \
      EACH y[i] = fused(sign u[i], b, w[i]);                                                                           \
    }                                                                                                                  \
  }

FUSED(multiply_add, +)
FUSED(negative_multiply_add, -)

static void select_kernel(TERNARY_ARGUMENTS) {
  EACH_ROW {
    real *y = (real *)out + r * ldo;
    const real *u = (const real *)a_ + r * lda, *v = (const real *)b_ + r * ldb, *w = (const real *)c_ + r * ldc;
    EACH {
      const real yes = v[i], no = w[i];
      y[i] = u[i] != 0 ? yes : no;
    }
  }
}

static void copy_kernel(size_t rows, size_t cols, void *out, size_t ldo, const void *a, size_t lda) {
  EACH_ROW memmove((real *)out + r * ldo, (const real *)a + r * lda, cols * sizeof(real));
}

static void spread_kernel(size_t rows, size_t cols, void *out, size_t ldo, const void *a, size_t lda) {
  EACH_ROW {
    real *y = (real *)out + r * ldo;
    const real x = ((const real *)a)[r * lda];
    EACH y[i] = x;
  }
}

static void adam(size_t rows, size_t cols, const double numbers[TB_ADAM_NUMBERS], void *const out[TB_ADAM_OUTPUTS],
                 const size_t ldo[TB_ADAM_OUTPUTS], const void *const in[TB_ADAM_VECTORS],
                 const size_t ldi[TB_ADAM_VECTORS], const void *const scalars[TB_ADAM_SCALARS],
                 const size_t lds[TB_ADAM_SCALARS]) {
  const real beta1 = (real)numbers[0], rest1 = (real)numbers[1], beta2 = (real)numbers[2], rest2 = (real)numbers[3];
  const real epsilon = (real)numbers[4], decay = (real)numbers[5];
  EACH_ROW {
    const real *theta = (const real *)in[TB_ADAM_THETA] + r * ldi[TB_ADAM_THETA];
    const real *m = (const real *)in[TB_ADAM_M] + r * ldi[TB_ADAM_M];
    const real *v = (const real *)in[TB_ADAM_V] + r * ldi[TB_ADAM_V];
    const real *g = (const real *)in[TB_ADAM_G] + r * ldi[TB_ADAM_G];
    real *theta_out = (real *)out[TB_ADAM_THETA] + r * ldo[TB_ADAM_THETA];
    real *m_out = (real *)out[TB_ADAM_M] + r * ldo[TB_ADAM_M], *v_out = (real *)out[TB_ADAM_V] + r * ldo[TB_ADAM_V];
    const real rate = ((const real *)scalars[TB_ADAM_RATE])[r * lds[TB_ADAM_RATE]];
    const real c1 = ((const real *)scalars[TB_ADAM_C1])[r * lds[TB_ADAM_C1]];
    const real c2 = ((const real *)scalars[TB_ADAM_C2])[r * lds[TB_ADAM_C2]];
    EACH {
      const real slope = g[i], first = fused(slope, rest1, beta1 * m[i]);
      const real second = fused(slope * slope, rest2, beta2 * v[i]), x = second * c2;
      const real root =
          (TB_REAL_BITS == 32 ? (real)__builtin_sqrtf((float)x) : (real)__builtin_sqrt((double)x)) + epsilon;
      const real before = theta[i], move = fused(before, decay, first * c1 / root);
      m_out[i] = first;
      v_out[i] = second;
      theta_out[i] = fused(-move, rate, before);
    }
  }
}

#define FORMS(name)                                                                                                    \
  { name##_vv, name##_vs, name##_sv }

const tb_kernel_pointwise NAME(pointwise) = {
  .binary = {
    [TB_ADD] = FORMS(add),
    [TB_SUBTRACT] = FORMS(subtract),
    [TB_MULTIPLY] = FORMS(multiply),
    [TB_DIVIDE] = FORMS(divide),
    [TB_MAXIMUM] = FORMS(maximum),
    [TB_MINIMUM] = FORMS(minimum),
    [TB_LESS] = FORMS(less),
    [TB_LESS_EQUAL] = FORMS(less_equal),
    [TB_EQUAL] = FORMS(equal),
  },
  .fused = { [TB_MULTIPLY_ADD] = { multiply_add_v, multiply_add_s },
             [TB_NEGATIVE_MULTIPLY_ADD] = { negative_multiply_add_v, negative_multiply_add_s } },
  .select = select_kernel,
  .copy = copy_kernel,
  .adam = adam,
  .spread = spread_kernel,
};
