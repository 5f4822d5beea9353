/* tiebreak/machine.h: what this program runs on, and whether it works here. */
#ifndef TIEBREAK_MACHINE_H
#define TIEBREAK_MACHINE_H

#include <tiebreak/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Model name of the processor, or its architecture where the system does not tell. */
const char *tb_machine_cpu(void);
/* The kernel family chosen for it. */
const char *tb_machine_kernels(void);
int tb_machine_cores(void);       /* usable by this process */
double tb_machine_resident(void); /* bytes that this process has in memory */
double tb_machine_mapped(void);   /* bytes of program and libraries that this process has in memory */

typedef struct tb_fact {
  const char *topic, *name, *value; /* "machine", "memory", "16 GiB" */
} tb_fact;
/* Processor and its features, memory, compiler, libraries with their versions.  The list belongs to the arena. */
tb_status tb_machine_facts(tb_context *, tb_arena *, size_t *count, tb_fact **facts);

/* A check of the whole chain that takes at most seconds, against a number known beforehand. */
typedef struct tb_self_test {
  const char *name, *what; /* "random numbers", "Philox against its published answers" */
  /* measured and the most it may be; TB_OK even when it is more. */
  tb_status (*run)(tb_context *, double *error, double *most);
} tb_self_test;
/* The table; *count of them. */
const tb_self_test *tb_self_tests(size_t *count);

#ifdef __cplusplus
}
#endif
#endif
