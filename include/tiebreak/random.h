/* tiebreak/random.h: keyed random numbers (Philox4x32-10, Salmon et al. 2011).
 *
 * Nothing is streamed: a number is a function of (seed, use, row, column).  Any thread, tile or backward pass draws it
 * again and gets the same bits.  `use` separates purposes ("initial weights", "data", "noise of step k"). */
#ifndef TIEBREAK_RANDOM_H
#define TIEBREAK_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The block function itself: bit-equal to Random123's philox4x32_R(10, counter, key). */
void tb_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A key: 64-bit seed and 32-bit step (training step, resampling round, 0 when there is none) and 32-bit use. */
typedef struct tb_key {
  uint64_t seed;
  uint32_t step;
  uint32_t use;
} tb_key;

/* use of a purpose given by name: a fixed hash (FNV-1a 32) so that uses never collide by renumbering. */
uint32_t tb_use(const char *purpose);

/* Fills out with count numbers; element i depends on (key, i) only.  Counter words: {block low, block high, step, use},
 * key words: seed low, high.  Bits and floats: block i / 4, word i mod 4; doubles: block i / 2, words 2 (i mod 2) and
 * the next.  Uniforms are odd multiples of 2^-24 (float) or 2^-53 (double) in (0, 1), never 0 or 1.  Normals by
 * Box-Muller in pairs: the radius has 32 (float) or 52 (double) bits, so that sizes reach 6.76 or 8.57.  Same bits
 * whatever the compiler and vector width.  Any first and count are fine; multiples of 256 fill fastest. */
void tb_random_bits(tb_key key, uint64_t first, size_t count, uint32_t *out);
void tb_random_uniform(tb_key key, uint64_t first, size_t count, double *out);
void tb_random_normal(tb_key key, uint64_t first, size_t count, double *out);
void tb_random_uniform_float(tb_key key, uint64_t first, size_t count, float *out);
void tb_random_normal_float(tb_key key, uint64_t first, size_t count, float *out);
/* A uniform integer in [0, bound), bound >= 1: the upper half of bound times a 64-bit number, biased by less than
 * bound / 2^64. */
uint64_t tb_random_below(tb_key key, uint64_t index, uint64_t bound);
/* A permutation of 0..count-1 (Fisher-Yates; place i takes the tb_random_below(key, i, count - i)-th of what is left).
 * count < 2^32. */
void tb_random_permutation(tb_key key, size_t count, uint32_t *out);

#ifdef __cplusplus
}
#endif
#endif
