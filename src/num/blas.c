/* BLAS and threads.  Parallelism is over runs and tiles, never inside BLAS, so OpenBLAS is told to use one thread a
 * call: the same bits whatever the number of cores.
 *
 * Its single-threaded build (Debian's libopenblas-serial) keeps one table of work space without a lock: two threads in
 * dpotrf at once now and then get each other's numbers.  There calls go one at a time; the builds with threads are
 * safe. */
#include "num/blas.h"

#include <cblas.h>
#include <pthread.h>

static pthread_mutex_t work_space = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void one_thread_a_call(void) {
  openblas_set_num_threads(1);
}

void tb_blas_enter(void) {
  if (openblas_get_parallel() == OPENBLAS_SEQUENTIAL)
    pthread_mutex_lock(&work_space);
}

void tb_blas_leave(void) {
  if (openblas_get_parallel() == OPENBLAS_SEQUENTIAL)
    pthread_mutex_unlock(&work_space);
}
