/* What every test includes: cmocka with the headers it needs, in its order, and an allocator that counts and fails. */
#ifndef TB_TESTS_TESTING_H
#define TB_TESTS_TESTING_H

/* cmocka wants these before itself */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>
#include <string.h>

#include <tiebreak/base.h>

/* Under AddressSanitizer an absurd allocation ends the program instead of returning NULL. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

/* A counting allocator that can fail: pass meter_allocate and a meter to tb_context_new. */
typedef struct meter {
  long live, bytes, calls, fail_at; /* fail_at: number of the allocation that fails, 0 never */
} meter;

static inline void *meter_allocate(void *user, void *block, size_t old_size, size_t new_size) {
  meter *m = user;
  if (new_size == 0) {
    m->live -= block != NULL;
    m->bytes -= (long)old_size;
    free(block);
    return NULL;
  }
  if (++m->calls == m->fail_at)
    return NULL;
  void *fresh = malloc(new_size);
  assert_non_null(fresh);
  memset(fresh, 0xa5, new_size); /* so that what must be zero is seen to be made zero */
  if (block) {
    memcpy(fresh, block, old_size < new_size ? old_size : new_size);
    free(block);
  }
  m->live += block == NULL;
  m->bytes += (long)new_size - (long)old_size;
  return fresh;
}

#endif
