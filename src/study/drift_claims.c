/* The claims of `drift`. */
#include "study/drift.h"
const tb_claim *const drift_claims[DRIFT_CLAIMS] = { NULL };
