/* The study `invariance` from the inside: one problem, every parametrisation, every method. */
#ifndef TB_STUDY_INVARIANCE_H
#define TB_STUDY_INVARIANCE_H

#include "model/model.h"
#include "study/common.h"

enum { INVARIANCE_METHODS = 9, INVARIANCE_MODELS = 6, INVARIANCE_FRESH = 50 };

/* A method as the metrics name it: "ngf.predictor". */
typedef struct invariance_method {
  const char *method, *fisher; /* fisher: NULL where there is none */
} invariance_method;
extern const invariance_method invariance_methods[INVARIANCE_METHODS];

/* A configuration made concrete. */
typedef struct invariance {
  tb_context *context;
  const tb_config *config;
  tb_arena *arena;
  tb_loss loss;
  size_t n, d, points; /* points: of a path, the start not counted */
  double *x, *y;       /* n×d, n */
  double *fresh;       /* INVARIANCE_FRESH×d */
  double *times;       /* points: of flows */
  double *steps;       /* points: of discrete methods */
  tb_method_options options;
} invariance;

/* What was found: [method][point], NaN where nothing is defined. */
typedef struct invariance_found {
  double *on, *off;           /* largest |f − f_linear| up to that point, over max(1, largest |f_linear|) */
  double *size_on, *size_off; /* largest |f_linear| */
} invariance_found;

tb_status invariance_open(invariance *, tb_context *, const tb_config *);
void invariance_close(invariance *);
/* Follows a method from every start of model k and adds what it finds.  *warning (of the arena) where a path ended
 * early. */
tb_status invariance_compare(invariance *, size_t method, size_t model, invariance_found *, const char **warning);
/* Whether the method is asked for, and defined for the model. */
bool invariance_wanted(const invariance *, size_t method);
bool invariance_defined(size_t method, size_t model);

enum { INVARIANCE_CLAIMS = 6 };
extern const tb_claim *const invariance_claims[INVARIANCE_CLAIMS];
extern const tb_study tb_study_invariance;

#endif
