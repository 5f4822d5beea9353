/* Which kernel tables this build has, which the processor can run, and which one to use.
 *
 * Chosen from the processor's feature bits, never from its model name (virtual machines mask that).  The environment
 * variable TIEBREAK_KERNELS names another one, for tests and for comparing machines. */
#include "engine/kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

extern const tb_kernels tb_kernels_table_generic_32, tb_kernels_table_generic_64;
#if defined(__x86_64__)
extern const tb_kernels tb_kernels_table_v2_32, tb_kernels_table_v2_64;
extern const tb_kernels tb_kernels_table_v3_32, tb_kernels_table_v3_64;
extern const tb_kernels tb_kernels_table_v4_32, tb_kernels_table_v4_64;

static bool has_v2(void) {
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
}
static bool has_v3(void) {
  return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}
static bool has_v4(void) {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static bool has_generic(void) {
  return true;
}

static const struct {
  const tb_kernels *float32, *float64;
  bool (*runs)(void);
} tables[] = {
#if defined(__x86_64__)
  { &tb_kernels_table_v4_32, &tb_kernels_table_v4_64, has_v4 },
  { &tb_kernels_table_v3_32, &tb_kernels_table_v3_64, has_v3 },
  { &tb_kernels_table_v2_32, &tb_kernels_table_v2_64, has_v2 },
#endif
  { &tb_kernels_table_generic_32, &tb_kernels_table_generic_64, has_generic },
};
enum { TABLES = sizeof tables / sizeof tables[0] };

static const tb_kernels *of_dtype(size_t i, tb_dtype dtype) {
  return dtype == TB_FLOAT64 ? tables[i].float64 : tables[i].float32;
}

size_t tb_kernels_available(tb_dtype dtype, const tb_kernels *found[TB_KERNELS_MAX]) {
  size_t count = 0;
  for (size_t i = 0; i < TABLES; i++)
    if (tables[i].runs())
      found[count++] = of_dtype(i, dtype);
  return count;
}

tb_status tb_kernels_choose(tb_context *context, tb_dtype dtype, const tb_kernels **chosen) {
  const char *name = getenv("TIEBREAK_KERNELS");
  const bool any = !name || !*name;
  for (size_t i = 0; i < TABLES; i++) {
    const tb_kernels *table = of_dtype(i, dtype);
    if (!any && strcmp(name, table->name) != 0)
      continue;
    if (tables[i].runs()) {
      *chosen = table;
      return TB_OK;
    }
    if (!any)
      return tb_fail(context, TB_USAGE, "TIEBREAK_KERNELS", "leave it unset to take the best that runs",
                     "this processor cannot run the kernels '%s'", name);
  }
  return tb_fail(context, TB_USAGE, "TIEBREAK_KERNELS", "generic, v2, v3 or v4; unset takes the best that runs",
                 "no kernels are called '%s'", name);
}

/* The table that programs would use now; the best one where the variable names none. */
static const tb_kernels *current(tb_dtype dtype) {
  const tb_kernels *found[TB_KERNELS_MAX];
  const size_t count = tb_kernels_available(dtype, found);
  const char *name = getenv("TIEBREAK_KERNELS");
  for (size_t i = 0; name && i < count; i++)
    if (strcmp(name, found[i]->name) == 0)
      return found[i];
  return found[0];
}

const char *tb_kernels_name(void) {
  return current(TB_FLOAT32)->name;
}

double tb_machine_peak(tb_dtype dtype) {
  return current(dtype)->peak() * 1e-9;
}
