/* How BLAS and LAPACK may be called: see blas.c. */
#ifndef TB_NUM_BLAS_H
#define TB_NUM_BLAS_H

/* Around every call that uses the library's work space: BLAS of level 2 and 3, LAPACK, and what calls them. */
#define TB_BLAS(...)                                                                                                   \
  do {                                                                                                                 \
    tb_blas_enter();                                                                                                   \
    __VA_ARGS__;                                                                                                       \
    tb_blas_leave();                                                                                                   \
  } while (0)

void tb_blas_enter(void);
void tb_blas_leave(void);

#endif
