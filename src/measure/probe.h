/* Random probe vectors z with E zzᵀ = 1, keyed. Private to src/measure. */
#ifndef TB_MEASURE_PROBE_H
#define TB_MEASURE_PROBE_H

#include "measure/hutchinson.h"

/* z[count×p]: probes first … first + count − 1 of the key; a probe depends on (kind, key, its number, p) only.
 * Rademacher signs are bits of Philox words. */
void tb_probes(tb_probe kind, tb_key key, size_t p, size_t first, size_t count, double *z);

#endif
