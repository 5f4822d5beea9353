/* The constructed network of the expressiveness theorem (Vargas, Reu and Kerekes 2023, Corollary E.2; Tzen and Raginsky
 * 2019, Theorem 5): frozen Gaussian points z_1 … z_N, and
 *
 *   φ̂(x, t) = N⁻¹ Σ_n f(c x + σ√τ z_n),   v̂_i = clip(r(φ̂) · ∂_i φ̂, ±2L/c),   r ≈ 1/·
 *
 * N copies of f that share weights, their gradient in reverse mode, a reciprocal, d products, d clips.  The same
 * function is evaluated directly and built as a literal circuit.  With accuracy 0 reciprocal and products are gates;
 * else sums of ReLU gates: 1/· between floor and ceiling to accuracy/(4L√d), and ab = ((a+b)² − (a−b)²)/4 with squares
 * of entries up to 2·largest, the product right to accuracy/(4√d).  Knots are placed at equal error. */
#ifndef TB_DIFFUSION_CONSTRUCTED_H
#define TB_DIFFUSION_CONSTRUCTED_H

#include "diffusion/circuit.h"
#include "diffusion/semigroup.h"

typedef struct tb_constructed {
  const tb_family *family;    /* f, exact */
  const double *coefficients; /* of it, as tb_constructed_coefficients fills them */
  tb_diffusion process;
  size_t count;                              /* N */
  const double *points;                      /* z [N,d] */
  double clip;                               /* 2L/c; inf: none */
  double accuracy;                           /* 0: exact gates */
  double lipschitz, floor, ceiling, largest; /* L, c/2, largest φ̂, largest factor of a product; with accuracy > 0 */
} tb_constructed;

/* z [N,d]: standard normals of the seed. */
void tb_constructed_points(uint64_t seed, size_t count, size_t dims, double *points);

/* f's terms as a_j exp(k_j + Σ_i (q_ji y_i + l_ji) y_i) cos(w_j·y): k, q, l one after the other, count·(1 + 2d)
 * numbers. */
void tb_constructed_coefficients(const tb_family *, double *coefficients);

/* Where f is a trigonometric polynomial its average depends on the points through 2·terms numbers at each time: fills
 * table[2·terms] and returns true, else false. */
bool tb_constructed_table(const tb_constructed *, double t, double *table);
/* φ̂ at (x, t), and ∇φ̂ [d] where asked for.  table: of that time, or NULL. */
double tb_constructed_average(const tb_constructed *, double t, const double *table, const double *x, double *gradient);
/* v̂ [d] at (x, t) */
void tb_constructed_drift(const tb_constructed *, double t, const double *table, const double *x, double *drift);

/* The circuit of v̂ with inputs x_1 … x_d, t; wires[0 … d−1] are v̂, wires[d] is φ̂. */
tb_status tb_constructed_circuit(tb_context *, const tb_constructed *, tb_circuit **, tb_wire *wires);

#endif
