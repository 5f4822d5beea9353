/* The Fisher matrix of a linear predictor on standard normal inputs, x ~ N(0, I), logistic loss:
 *
 *     F(β) = a(ρ)(I − β̂β̂ᵀ) + c(ρ) β̂β̂ᵀ,   ρ = ‖β‖,   a = E s(ρg),  c = E g² s(ρg),  s = σ(1 − σ),  g ~ N(0, 1) */
#ifndef TB_OPTIM_POPULATION_H
#define TB_OPTIM_POPULATION_H

/* Right to 1e-13 relative for every ρ ≥ 0 (a ≈ 1/(ρ√2π), c ≈ π²/(3ρ³√2π) for large ρ). */
void tb_population_fisher(double rho, double *across, double *along);

#endif
