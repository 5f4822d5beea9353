/* The sentences of "Understanding LLMs Requires More Than Statistical Generalization" (Reizinger et al. 2024), in our
 * words: the headings under which its claims stand, shared by all studies of the paper. */
#ifndef TB_STUDY_LANGUAGE_ABSTRACT_H
#define TB_STUDY_LANGUAGE_ABSTRACT_H

#define LANGUAGE_EQUAL_LOSS                                                                                            \
  "Models that are zero or near-zero Kullback-Leibler divergence apart, so of equal test loss, behave markedly "       \
  "differently"
#define LANGUAGE_RULES    "Case 1: extrapolating rules to strings never seen is not determined by the likelihood"
#define LANGUAGE_CONTEXT  "Case 2: learning in context is not determined by a likelihood that is nearly optimal"
#define LANGUAGE_FINETUNE "Case 3: how well a model can be fine-tuned is not determined by the function it computes"
#define LANGUAGE_MEASURES                                                                                              \
  "Beyond the test loss: measures of generalisation, transferability and inductive biases tell such models apart"

#endif
