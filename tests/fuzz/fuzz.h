/* A fuzz target: bytes become a file in memory, which a reader reads by its path. */
#ifndef TB_TESTS_FUZZ_H
#define TB_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tiebreak/base.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One file for the whole process; its path outlives the call. */
static inline const char *fuzz_file(const uint8_t *data, size_t size) {
  static int file = -1;
  static char path[64];
  if (file < 0) {
    file = memfd_create("fuzz", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  }
  if (file < 0 || ftruncate(file, 0) || pwrite(file, data, size, 0) != (ssize_t)size)
    abort();
  return path;
}

/* A reader must answer with success, or with one of the allowed failures and a message. */
static inline void fuzz_check(tb_context *context, tb_status status, tb_status allowed) {
  if (status != TB_OK && (status != allowed || tb_context_status(context) != status || !*tb_context_message(context)))
    abort();
}

#endif
