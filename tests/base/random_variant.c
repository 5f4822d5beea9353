/* Made with -DVARIANT=name, -DTB_BLOCKS=function and the flags of an instruction set. */
#include "random_variant.h"

#define JOIN2(a, b)             a##_##b
#define JOIN(a, b)              JOIN2(a, b)
#define tb_philox4x32           JOIN(VARIANT, philox4x32)
#define tb_use                  JOIN(VARIANT, use)
#define tb_random_bits          JOIN(VARIANT, bits)
#define tb_random_uniform       JOIN(VARIANT, uniform)
#define tb_random_normal        JOIN(VARIANT, normal)
#define tb_random_uniform_float JOIN(VARIANT, uniform_float)
#define tb_random_normal_float  JOIN(VARIANT, normal_float)
#define tb_random_below         JOIN(VARIANT, below)
#define tb_random_permutation   JOIN(VARIANT, permutation)
#include "../../src/base/random.c"

double JOIN(VARIANT, log)(double x) {
  return log_double(x);
}

float JOIN(VARIANT, log_float)(float x) {
  return log_float(x);
}

double JOIN(VARIANT, uniform_of)(uint64_t word) {
  return uniform_double(word);
}

float JOIN(VARIANT, uniform_float_of)(uint32_t word) {
  return uniform_float(word);
}

void JOIN(VARIANT, normals_of)(uint64_t radius, uint64_t angle, double z[2]) {
  normals_double(radius, angle, z);
}

void JOIN(VARIANT, normals_float_of)(uint32_t radius, uint32_t angle, float z[2]) {
  normals_float(radius, angle, z);
}
