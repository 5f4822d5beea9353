/* Which program this is: version, commit, compiler. */
#ifndef TB_RUN_BUILD_H
#define TB_RUN_BUILD_H

const char *tb_build_commit(void);   /* "f4f57e3a90b1", with "+" when files were changed; "unknown" outside a clone */
const char *tb_build_compiler(void); /* "gcc 12.2.0" */
/* Version and commit in one: what wrote a checkpoint. */
const char *tb_build_identity(void);

#endif
