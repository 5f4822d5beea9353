/* Question `density`: ln γ and its gradient at a point. */
#ifndef TB_STUDY_DENSITY_H
#define TB_STUDY_DENSITY_H

#include <tiebreak/study.h>

extern const tb_study tb_question_density;

#endif
