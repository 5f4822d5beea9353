/* The list of the claims of `sample`. */
#include "study/sample_claims.h"

const tb_claim *const sample_claims[] = { NULL };
