/* Version, commit and compiler of this program, put in by the build. */
#include "run/build.h"

#include <tiebreak/tiebreak.h>

#include "commit.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

const char *tb_build_commit(void) {
  return TB_COMMIT;
}

const char *tb_build_compiler(void) {
  return COMPILER;
}

const char *tb_build_identity(void) {
  return "tiebreak " TB_VERSION " " TB_COMMIT;
}
