/* The natural-gradient paper as the claims of its studies cite it: group headings are the sentences of its abstract. */
#ifndef TB_STUDY_NATURAL_GRADIENT_H
#define TB_STUDY_NATURAL_GRADIENT_H

#define ABSTRACT_BIAS      "The implicit bias of gradient descent depends on the parametrisation of the model"
#define ABSTRACT_INVARIANT "Natural gradient descent is invariant to the parametrisation: one trajectory, one optimum"
#define ABSTRACT_SEPARABLE "Natural gradient flow is characterised for deep linear networks in separable classification"
#define ABSTRACT_FACTORED  "Natural gradient flow is characterised for deep matrix factorisation"
#define ABSTRACT_NONLINEAR "Part of the characterisation extends to nonlinear networks with enough parameters"
#define ABSTRACT_FAILS                                                                                                 \
  "There are problems where natural gradient descent fails to generalise and gradient descent with the right "         \
  "architecture succeeds"
#define BEYOND_FISHER "Beyond the abstract: the word Fisher hides a choice, and damping another"

#define PAPER_NGD "Depth Without the Magic (Kerekes, Meszaros, Huszar 2021)"

#endif
