/* Study `sample`: draws from an unnormalised density and an estimate of its normaliser, by any sampler. */
#ifndef TB_STUDY_SAMPLE_H
#define TB_STUDY_SAMPLE_H

#include <tiebreak/study.h>

#include "diffusion/sampler.h"

enum { SAMPLE_METRICS = 28 };
extern const tb_metric sample_metrics[SAMPLE_METRICS];

/* Metrics, warnings and files of what a sampler left. */
tb_status sample_report(tb_run *, const tb_sampling *, const tb_sampler *, const tb_draws *);

extern const tb_study tb_study_sample;

#endif
