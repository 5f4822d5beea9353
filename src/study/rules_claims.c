/* Claims of `rules`. */
#include "study/rules.h"

const tb_claim *const rules_claims[RULES_CLAIMS + 1] = { NULL };
