/* Starting gnuplot with posix_spawnp in a given folder and reading both of its outputs.
 *
 * `-d` keeps the user's own settings out.  Every drawing is a pair of arguments: assignments, then the script. */
#include "report/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- a program's two outputs ---- */

/* Reads both pipes until both end. */
static void drain(int descriptors[2], tb_text *texts[2]) {
  struct pollfd polls[2] = { { descriptors[0], POLLIN, 0 }, { descriptors[1], POLLIN, 0 } };
  char buffer[4096];
  while (polls[0].fd >= 0 || polls[1].fd >= 0) {
    if (poll(polls, 2, -1) < 0 && errno != EINTR)
      return;
    for (int i = 0; i < 2; i++) {
      if (polls[i].fd < 0 || !(polls[i].revents & (POLLIN | POLLHUP | POLLERR)))
        continue;
      ssize_t count = read(polls[i].fd, buffer, sizeof buffer);
      if (count > 0)
        tb_text_add_bytes(texts[i], buffer, (size_t)count);
      else if (count == 0 || errno != EINTR)
        polls[i].fd = -1;
    }
  }
}

/* Starts arguments[0] from the path; returns its exit status, or −1 with errno when it could not be started. */
static int spawn(const char *folder, char *const *arguments, tb_text *out, tb_text *errors) {
  int out_pipe[2], error_pipe[2], result = -1;
  if (pipe2(out_pipe, O_CLOEXEC) != 0)
    return -1;
  if (pipe2(error_pipe, O_CLOEXEC) != 0) {
    close(out_pipe[0]);
    close(out_pipe[1]);
    return -1;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out_pipe[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, error_pipe[1], STDERR_FILENO);
  if (folder)
    posix_spawn_file_actions_addchdir_np(&actions, folder);
  pid_t child;
  int failure = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(out_pipe[1]);
  close(error_pipe[1]);
  if (failure == 0) {
    int state = 0;
    drain((int[2]){ out_pipe[0], error_pipe[0] }, (tb_text *[2]){ out, errors });
    while (waitpid(child, &state, 0) < 0 && errno == EINTR)
      continue;
    result = WIFEXITED(state) ? WEXITSTATUS(state) : 128;
  }
  close(out_pipe[0]);
  close(error_pipe[0]);
  errno = failure;
  return result;
}

bool tb_gnuplot_present(tb_context *context, tb_text *version) {
  tb_text out = tb_text_new(context), errors = tb_text_new(context);
  char *arguments[] = { "gnuplot", "--version", NULL };
  bool present = spawn(NULL, arguments, &out, &errors) == 0;
  if (present && version && out.data) {
    out.data[strcspn(out.data, "\n")] = '\0';
    tb_text_add(version, strncmp(out.data, "gnuplot ", 8) == 0 ? out.data + 8 : out.data);
  }
  tb_text_free(&out);
  tb_text_free(&errors);
  return present;
}

/* ---- scripts ---- */

/* The names that templates look up with exists(); everything else they assign themselves. */
static char *assignments(tb_arena *arena, const tb_drawing *drawing) {
  char *text = tb_arena_format(arena, "undefine kind output width height; kind = '%s'", drawing->kind);
  if (text && drawing->output)
    text = tb_arena_format(arena, "%s; output = '%s'", text, drawing->output);
  if (text && drawing->width > 0)
    text = tb_arena_format(arena, "%s; width = %d", text, drawing->width);
  if (text && drawing->height > 0)
    text = tb_arena_format(arena, "%s; height = %d", text, drawing->height);
  return text;
}

/* The first lines of what gnuplot said, in one. */
static void first_lines(char *text) {
  size_t length = 0, lines = 0;
  for (char *c = text; *c && lines < 6 && length < 400; c++, length++)
    if (*c == '\n') {
      *c = ' ';
      lines++;
    }
  text[length] = '\0';
}

tb_status tb_gnuplot_run(tb_context *context, const char *folder, const char *script, size_t n,
                         const tb_drawing *drawings, tb_text *out) {
  tb_arena *arena = tb_arena_new(context);
  if (!arena)
    return tb_context_status(context);
  tb_text ignored = tb_text_new(context), errors = tb_text_new(context);
  tb_status status = TB_OK;
  char **arguments = tb_arena_allocate(arena, 4 + 3 * n, sizeof *arguments);
  char *script_copy = tb_arena_text(arena, script);
  if (!arguments || !script_copy) {
    status = tb_context_status(context);
    goto done;
  }
  size_t count = 0;
  arguments[count++] = "gnuplot";
  arguments[count++] = "-d";
  for (size_t i = 0; i < n; i++) {
    arguments[count++] = "-e";
    if (!(arguments[count++] = assignments(arena, &drawings[i]))) {
      status = tb_context_status(context);
      goto done;
    }
    arguments[count++] = script_copy;
  }
  int result = spawn(folder, arguments, out ? out : &ignored, &errors);
  if (result != 0) {
    if (errors.data)
      first_lines(errors.data);
    status =
        tb_fail(context, TB_FAILED, script, "run the script by hand: gnuplot -e \"kind='png'; output='x.png'\" FILE.gp",
                result < 0 ? "gnuplot could not be started: %s" : "gnuplot failed: %s",
                result < 0    ? strerror(errno)
                : errors.data ? errors.data
                              : "no message");
  }
done:
  tb_text_free(&ignored);
  tb_text_free(&errors);
  tb_arena_free(arena);
  return status;
}
