/* The study `nonlinear`: natural gradient flow of a multilayer perceptron, and the width at which its law ends. */
#ifndef TB_STUDY_NONLINEAR_H
#define TB_STUDY_NONLINEAR_H

#include <tiebreak/study.h>

extern const tb_study tb_study_nonlinear;

#endif
