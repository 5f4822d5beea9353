/* The study `score` from the inside: what its configuration means, and what is measured on a score. */
#ifndef TB_STUDY_SCORE_H
#define TB_STUDY_SCORE_H

#include <tiebreak/study.h>

#include "diffusion/density.h"
#include "diffusion/score_net.h"
#include "diffusion/shapes.h"

/* A configuration made concrete.  Zero before score_open; closed in any state.  The process acts on z, where
 * x = center + scale·z: data of a file or a shape are standardised, a target is left as it is (its law after noising is
 * known in its own coordinates). */
typedef struct score {
  tb_context *context;
  const tb_config *config;
  tb_arena *arena;
  uint64_t seed;
  bool learned; /* network=trained */
  bool compare; /* samples= is given: nothing but comparisons */
  tb_dtype dtype;
  /* data */
  tb_density *density;    /* of target=; NULL: data= */
  const tb_shape *shape;  /* NULL: target= or a file */
  size_t d, n_data;       /* training points */
  double *data;           /* [n_data,d]: z */
  double *center, *scale; /* [d] */
  size_t n_test;
  double *test;      /* [n_test,d]: x to compare with, and at which nll is taken */
  size_t n_samples;  /* of samples= */
  double *samples;   /* [n_samples,d] */
  tb_noised *law;    /* of a target where it is known exactly; NULL: unknown */
  tb_noised *exact;  /* what network=exact scores: law, or the data set itself */
  double *mean, *sd; /* [d] of z: the law's where it is Gaussian, else the training points' */
  bool gaussian;     /* the law is Gaussian */
  /* process and sampler */
  tb_process process;
  double first, last; /* sampling goes from time `first` down to `last` */
  double train_from, train_to;
  const tb_reverse_sampler *sampler;
  tb_time_grid grid;
  tb_reverse_options options;
  size_t sampler_steps, draws;
  bool from_marginal; /* start=marginal */
  /* network */
  tb_score_net net;
  size_t p, steps, batch;
  tb_learned *network; /* from score_start on, where trained */
} score;

/* Reads files and checks that the options go together: TB_USAGE, TB_BAD_DATA. */
tb_status score_open(score *, tb_context *, const tb_config *);
/* Draws the points, and knows then what depends on them: data, test, center, scale, mean, sd, exact. */
tb_status score_fill(score *);
void score_close(score *);
/* Exact draws [n,d] of the target or shape, in x; `stream` tells training, test and other draws apart. */
void score_draw(const score *, uint32_t stream, size_t n, double *x);
enum { SCORE_TRAINING, SCORE_TEST, SCORE_OTHERS, SCORE_START, SCORE_LOOKS, SCORE_PATHS };

/* Floating-point work of the whole training, and of one look at everything. */
void score_work(const score *, double *training, double *look);

/* Every metric of the score at hand after `steps` steps of training; writes draws.npz where run isn't NULL. */
typedef struct score_walk {
  tb_run *run;     /* asked whether to stop; may be NULL */
  double from, to; /* progress of the run that the walk takes */
} score_walk;
tb_status score_measure(score *, const score_walk *, double steps, bool keep_draws, tb_metrics *);

enum { SCORE_METRICS = 26, SCORE_CLAIMS = 23 };
extern const tb_metric score_metrics[SCORE_METRICS];
extern const tb_claim *const score_claims[SCORE_CLAIMS];
extern const tb_study tb_study_score;

#endif
