/* The abstract of "Expressiveness Remarks for Denoising Diffusion Models and Samplers", a heading a sentence: what the
 * claims of all its studies are grouped by. */
#ifndef TB_STUDY_DIFFUSION_ABSTRACT_H
#define TB_STUDY_DIFFUSION_ABSTRACT_H

#define PAPER_DIFFUSION                                                                                                \
  "Expressiveness Remarks for Denoising Diffusion Models and Samplers (Vargas, Reu, Kerekes, Bronstein 2023)"

#define DIFFUSION_REVERSAL                                                                                             \
  "A diffusion turns data into Gaussian noise; samples come from simulating an approximation of its time reversal"
#define DIFFUSION_SAMPLING                                                                                             \
  "Denoising diffusions have been adapted to sampling from unnormalised densities and inference"
#define DIFFUSION_CONTROL                                                                                              \
  "Seen as stochastic control, the drift is a relative of the Föllmer drift, and what networks can approximate of "   \
  "that "                                                                                                              \
  "carries over"
#define DIFFUSION_PROCESSES                                                                                            \
  "Beyond the abstract: which noise, Ornstein-Uhlenbeck or pinned Brownian motion, asks less of a network"

#endif
