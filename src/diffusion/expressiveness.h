/* The expressiveness theorem's numbers (Vargas, Reu and Kerekes 2023, Corollary 3.13 and Proposition 3.1, as corrected;
 * Tzen and Raginsky 2019), with its unspecified absolute constant taken as C = 1:
 *
 *   δ = c² √ε / (16 L),   R = 9 d L² (√d + L/c) / (c² ε)
 *   N = ⌈((√d/δ) L ((R ∨ 1) + √(2d) + √6) (16 √(6π R d) + 5 √(ln 4(d+1))))²⌉
 *
 * f and ∇f are L-Lipschitz, f ≥ c, and N frozen points suffice for KL ≤ ε by the OU process; by the Brownian one √d
 * stands in place of √(2d). */
#ifndef TB_DIFFUSION_EXPRESSIVENESS_H
#define TB_DIFFUSION_EXPRESSIVENESS_H

#include "diffusion/semigroup.h"

typedef struct tb_regularity {
  double lipschitz;   /* L: of f and of ∇f; inf: neither */
  double least, most; /* c = inf f, and sup f */
} tb_regularity;

/* L from Σ|a|‖w‖ and Σ|a|‖w‖² where f is a trigonometric polynomial, else the largest ‖∇f‖ and ‖∇²f‖ met; least and
 * most: values met, polished.  Looked at on a grid that covers the terms and [−8σ, 8σ]^d (d ≤ 2), else at 10⁴ normal
 * points of 2σ.  L is inf where a term is wider than the reference, or as wide and elsewhere; c is 0 where all terms
 * are narrower, so that f vanishes at infinity. */
tb_regularity tb_regularity_of(const tb_family *);

typedef struct tb_expressiveness {
  double delta, radius, points; /* δ, R, N */
} tb_expressiveness;

/* inf where c = 0 or L = inf.  Valid for 0 < ε < 16 L²/c². */
tb_expressiveness tb_expressiveness_of(tb_diffusion, size_t dims, const tb_regularity *, double kl);

#endif
