/* tiebreak: the program.  Finds the verb, runs it, turns its status into the exit code. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

const verb *const verbs[] = { &verb_studies,    &verb_run,    &verb_reproduce, &verb_explain,
                              &verb_doctor,     &verb_runs,   &verb_show,      &verb_compare,
                              &verb_resume,     &verb_export, &verb_report,    &verb_bench,
                              &verb_language,   &verb_sample, &verb_density,   &verb_drift,
                              &verb_completion, NULL };

const verb *verb_find(const char *name) {
  for (const verb *const *v = verbs; *v; v++)
    if (strcmp((*v)->name, name) == 0)
      return *v;
  return NULL;
}

static tb_status perform(cli *c, int argc, char **argv) {
  tb_status status = arguments_read(c, argc, argv);
  if (c->help) { /* before anything is validated */
    help_print(c);
    return TB_OK;
  }
  if (status)
    return status;
  if (c->version) {
    printf("tiebreak %s\n", TB_VERSION);
    return TB_OK;
  }
  return c->verb->run(c);
}

int main(int argc, char **argv) {
  signal(SIGXFSZ, SIG_IGN); /* a file size limit is a failed write, not a crash */
  cli c = { .context = tb_context_new(NULL, NULL) };
  if (c.context)
    c.arena = tb_arena_new(c.context);
  if (!c.arena) {
    fputs("tiebreak: error: out of memory\n", stderr);
    return tb_status_exit_code(TB_NO_MEMORY);
  }
  tb_status status = perform(&c, argc, argv);
  if ((fflush(stdout) != 0 || ferror(stdout)) && !status)
    status = tb_fail(c.context, TB_NO_DISK, "", NULL, "cannot write to standard output: %s", strerror(errno));
  if (status && !c.failed_aloud)
    message_failure(&c, c.context);
  tb_arena_free(c.arena);
  tb_context_free(c.context);
  return tb_status_exit_code(status);
}
