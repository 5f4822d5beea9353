/* random.c compiled once more for each instruction set, and its transforms of single words. */
#ifndef TB_TESTS_RANDOM_VARIANT_H
#define TB_TESTS_RANDOM_VARIANT_H

#include <tiebreak/random.h>

#define DECLARE_VARIANT(name)                                                                                          \
  void name##_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);                           \
  uint32_t name##_use(const char *purpose);                                                                            \
  void name##_bits(tb_key key, uint64_t first, size_t count, uint32_t *out);                                           \
  void name##_uniform(tb_key key, uint64_t first, size_t count, double *out);                                          \
  void name##_normal(tb_key key, uint64_t first, size_t count, double *out);                                           \
  void name##_uniform_float(tb_key key, uint64_t first, size_t count, float *out);                                     \
  void name##_normal_float(tb_key key, uint64_t first, size_t count, float *out);                                      \
  uint64_t name##_below(tb_key key, uint64_t index, uint64_t bound);                                                   \
  void name##_permutation(tb_key key, size_t count, uint32_t *out);                                                    \
  double name##_log(double x);                                                                                         \
  float name##_log_float(float x);                                                                                     \
  double name##_uniform_of(uint64_t word);                                                                             \
  float name##_uniform_float_of(uint32_t word);                                                                        \
  void name##_normals_of(uint64_t radius, uint64_t angle, double z[2]);                                                \
  void name##_normals_float_of(uint32_t radius, uint32_t angle, float z[2]);

DECLARE_VARIANT(plain) /* the compiler's baseline, unoptimised */
#ifdef __x86_64__
DECLARE_VARIANT(v2)
DECLARE_VARIANT(v3)
DECLARE_VARIANT(v4)
#endif

#endif
