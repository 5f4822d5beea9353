/* What the files of the study `score` share besides score.h. */
#ifndef TB_STUDY_SCORE_PARTS_H
#define TB_STUDY_SCORE_PARTS_H

#include "study/score.h"

/* Data, test points, samples and laws, as the options name them; process, sampler and sizes are set before. */
tb_status score_data(score *);
/* Trains from the start or a checkpoint, takes snapshots, stops when asked. */
tb_status score_train(score *, tb_run *);

#endif
