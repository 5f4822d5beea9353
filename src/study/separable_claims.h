/* The claims of `separable`, by file: what natural gradient flow does, where gradient flow ends, what the word Fisher
 * and damping hide, who generalises.  A claim is one record; separable_claims.c lists them. */
#ifndef TB_STUDY_SEPARABLE_CLAIMS_H
#define TB_STUDY_SEPARABLE_CLAIMS_H

#include "study/separable_evidence.h"

extern const tb_claim claim_margin_law_linear, claim_margin_law_diagonal, claim_margin_law_dense, claim_margin_law_mlp;
extern const tb_claim claim_gradient_law, claim_ray;
extern const tb_claim claim_trajectory_linear, claim_trajectory_diagonal, claim_trajectory_dense, claim_newton_path;
extern const tb_claim claim_lp_vertex, claim_lp_offset, claim_ngf_svm_iff;
extern const tb_claim claim_ngd_direction, claim_ngd_recursion, claim_ngd_order;

extern const tb_claim claim_gf_l2_linear, claim_gf_l2_dense, claim_gf_l1_margin, claim_gf_l1_diagonal, claim_gf_mirror;
extern const tb_claim claim_real_data_ends;

extern const tb_claim claim_parameter_l1, claim_population_velocity, claim_population_freezes, claim_population_end;
extern const tb_claim claim_empirical_blow_up, claim_empirical_loss;
extern const tb_claim claim_damping_crossing, claim_damping_slope, claim_damping_turns;

extern const tb_claim claim_gd_diagonal_beats_ngf, claim_gd_diagonal_beats_linear, claim_gd_diagonal_beats_parameter;
extern const tb_claim claim_parameter_beats_ngf;
/* An exponent at which e^−x no longer shows in an angle of 1e-6 degrees: e^-25 = 1.4e-11. */
static const double separable_negligible = 25;

/* Degrees that coordinates off the support of a sparse limit b still open at β ≈ scale·b, when a diagonal network of
 * depth two started from u = v = init; inf where b is no regular vertex.  To leading order: a limit is judged where
 * this is small, against a few times as much. */
tb_status separable_sparse_leftover(const evidence *, const double *b, double scale, double init, double *degrees);

/* Means of the published-style table: method, then (d, n, k). */
extern const tb_claim claim_table_gd_linear_100_40_1, claim_table_gd_diagonal_100_40_1, claim_table_ngf_100_40_1;
extern const tb_claim claim_table_ngf_parameter_100_40_1, claim_table_gd_linear_100_40_3,
    claim_table_gd_diagonal_100_40_3;
extern const tb_claim claim_table_ngf_100_40_3, claim_table_ngf_parameter_100_40_3, claim_table_gd_linear_100_60_5;
extern const tb_claim claim_table_gd_diagonal_100_60_5, claim_table_ngf_100_60_5, claim_table_ngf_parameter_100_60_5;
extern const tb_claim claim_table_gd_linear_200_100_5, claim_table_gd_diagonal_200_100_5, claim_table_ngf_200_100_5;
extern const tb_claim claim_table_ngf_parameter_200_100_5, claim_table_gd_linear_50_200_3,
    claim_table_gd_diagonal_50_200_3;
extern const tb_claim claim_table_ngf_50_200_3, claim_table_gd_linear_50_500_3, claim_table_gd_diagonal_50_500_3;
extern const tb_claim claim_table_ngf_50_500_3;

#endif
