/* The machine and the libraries this program runs on, for manifests and `doctor`. */
#include <coin/Clp_C_Interface.h>
#include <ctype.h>
#include <jansson.h>
#include <libfyaml.h>
#include <limits.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <zip.h>

#include <cblas.h>
#include <sundials/sundials_version.h>

#include <tiebreak/tiebreak.h>

#include "run/build.h"

/* ---- the processor, read once ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char cpu_name[200];

/* The value of the first line "key : value" of /proc/cpuinfo. */
static bool cpu_field(const char *key, char *value, size_t size) {
  FILE *file = fopen("/proc/cpuinfo", "r");
  char line[4096];
  bool found = false;
  while (file && !found && fgets(line, sizeof line, file)) {
    char *colon = strchr(line, ':');
    if (!colon || strncmp(line, key, strlen(key)) != 0)
      continue;
    colon++;
    colon += strspn(colon, " \t");
    colon[strcspn(colon, "\n")] = 0;
    snprintf(value, size, "%s", colon);
    found = true;
  }
  if (file)
    fclose(file);
  return found;
}

static void read_cpu(void) {
  struct utsname system;
  if (cpu_field("model name", cpu_name, sizeof cpu_name))
    return;
  snprintf(cpu_name, sizeof cpu_name, "%s", uname(&system) == 0 ? system.machine : "unknown");
}

const char *tb_machine_cpu(void) {
  pthread_once(&once, read_cpu);
  return cpu_name;
}

const char *tb_machine_kernels(void) {
  return tb_kernels_name();
}

int tb_machine_cores(void) {
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
  return cores > 0 ? cores : 1;
}

static void memory_pages(long *resident, long *mapped) {
  FILE *file = fopen("/proc/self/statm", "r");
  *resident = *mapped = 0;
  if (file) {
    if (fscanf(file, "%*s %ld %ld", resident, mapped) != 2)
      *resident = *mapped = 0;
    fclose(file);
  }
}

double tb_machine_resident(void) {
  long resident, mapped;
  memory_pages(&resident, &mapped);
  return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

double tb_machine_mapped(void) {
  long resident, mapped;
  memory_pages(&resident, &mapped);
  return (double)mapped * (double)sysconf(_SC_PAGESIZE);
}

/* ---- facts ---- */

typedef struct list {
  tb_arena *arena;
  tb_fact items[64];
  size_t count;
  bool failed;
} list;

static void TB_PRINTF(4, 5) add(list *l, const char *topic, const char *name, const char *format, ...) {
  char value[2000];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(value, sizeof value, format, arguments);
  va_end(arguments);
  const char *copy = tb_arena_text(l->arena, value);
  if (copy && l->count < sizeof l->items / sizeof *l->items)
    l->items[l->count++] = (tb_fact){ topic, name, copy };
  l->failed |= !copy;
}

/* Those of the features that decide which kernels can run. */
static void add_features(list *l) {
  static const char *const wanted[] = { "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512dq", "avx512vl" };
  char flags[4096], found[200] = "";
  if (!cpu_field("flags", flags, sizeof flags))
    return;
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    const char *at = flags;
    size_t n = strlen(wanted[i]);
    while ((at = strstr(at, wanted[i])) && ((at > flags && at[-1] != ' ') || (at[n] && at[n] != ' ')))
      at += n;
    if (at)
      snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", *found ? " " : "", wanted[i]);
  }
  add(l, "machine", "features", "%s", *found ? found : "none of sse4_2 … avx512");
}

tb_status tb_machine_facts(tb_context *context, tb_arena *arena, size_t *count, tb_fact **facts) {
  struct utsname system;
  list l = { .arena = arena };
  double page = (double)sysconf(_SC_PAGESIZE);
  add(&l, "machine", "processor", "%s", tb_machine_cpu());
  add_features(&l);
  add(&l, "machine", "cores", "%d usable", tb_machine_cores());
  add(&l, "machine", "memory", "%.1f GiB, %.1f free", (double)sysconf(_SC_PHYS_PAGES) * page / 1073741824,
      (double)sysconf(_SC_AVPHYS_PAGES) * page / 1073741824);
  if (uname(&system) == 0)
    add(&l, "machine", "system", "%s %s %s", system.sysname, system.release, system.machine);
  add(&l, "program", "version", "%s", TB_VERSION);
  add(&l, "program", "commit", "%s", tb_build_commit());
  add(&l, "program", "compiler", "%s", tb_build_compiler());
  add(&l, "program", "kernels", "%s", tb_machine_kernels());
  char sundials[40] = "";
  SUNDIALSGetVersion(sundials, sizeof sundials);
  add(&l, "library", "OpenBLAS", "%s, %s core", openblas_get_config(), openblas_get_corename());
  add(&l, "library", "SUNDIALS", "%s", sundials);
  add(&l, "library", "CLP", "%s", Clp_Version());
  add(&l, "library", "libfyaml", "%s", fy_library_version());
  add(&l, "library", "jansson", "%s", jansson_version_str());
  add(&l, "library", "SQLite", "%s", sqlite3_libversion());
  add(&l, "library", "libzip", "%s", zip_libzip_version());
  add(&l, "library", "OpenMP", "%d", _OPENMP);
  *count = l.count;
  *facts = l.failed ? NULL : tb_arena_allocate(arena, l.count, sizeof **facts);
  if (!*facts)
    return TB_NO_MEMORY;
  memcpy(*facts, l.items, l.count * sizeof **facts);
  return TB_OK;
}
