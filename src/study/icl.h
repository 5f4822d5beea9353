/* The study `icl` from the inside: in-context learning under a mixture of hidden Markov models. */
#ifndef TB_STUDY_ICL_H
#define TB_STUDY_ICL_H

#include <tiebreak/study.h>

#include "language/hmm.h"
#include "model/sequence.h"

typedef struct icl_document {
  size_t length;
  const uint32_t *tokens;
} icl_document;

/* A configuration made concrete.  Zero before icl_open; closed in any state. */
typedef struct icl {
  tb_context *context;
  const tb_config *config;
  tb_arena *arena;
  tb_hmm *given;         /* the mixture from which prompts, labels and documents are drawn */
  tb_hmm *smooth;        /* its smoothed copy; NULL: smoothing=0 */
  const tb_hmm *mixture; /* the law that predicts: one of the two */
  size_t n, k;
  bool swap;                      /* alter=swap */
  const tb_sequence_model *model; /* predictor=model; else NULL */
  tb_sequence_shape shape;        /* its vocabulary: tokens, then the start */
  size_t prompt_count, document_count;
  tb_hmm_prompt *prompts; /* those of a file from icl_open on, else from icl_draw on */
  icl_document *documents;
} icl;

/* The options' meaning; reads files.  Nothing depends on the seed yet but GINC itself.  TB_USAGE, TB_BAD_DATA. */
tb_status icl_open(icl *, tb_context *, const tb_config *);
/* Draws the prompts and documents that no file gave. */
tb_status icl_draw(icl *);
void icl_close(icl *);

/* A document a line, tokens parted by blanks. */
tb_status icl_read_documents(icl *, const char *path);
/* CSV with columns prompt and label. */
tb_status icl_read_prompts(icl *, const char *path);

/* What a predictor made of a prompt. */
typedef struct icl_answer {
  uint32_t prediction, altered; /* UINT32_MAX: the prompt is impossible, there is none */
  double probability;           /* of the prediction */
  double log_probability;       /* of the prompt */
  double posterior;             /* of the prompt's concept; NaN where unknown */
} icl_answer;

/* Shares over prompts, and files.prompts. */
tb_status icl_report_answers(const icl *, tb_run *, const icl_answer *);
/* What the exact law makes of a prompt; law[V], posterior[n_components]: scratch. */
void icl_answer_exactly(const icl *, tb_hmm_filter *, const tb_hmm_prompt *, double *law, double *posterior,
                        icl_answer *);
/* −ln p of a document under the exact law. */
double icl_document_nats(tb_hmm_filter *, const icl_document *);

tb_status icl_run_bayes(icl *, tb_run *);
tb_status icl_run_model(icl *, tb_run *);

extern const tb_study tb_study_icl;

#endif
