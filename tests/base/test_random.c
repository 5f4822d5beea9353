/* Random numbers: Philox against its published answers and Random123, the transforms against libm in long double,
 * the distributions against their moments and Kolmogorov-Smirnov, the bits against other vector widths. */
#include "testing.h"

#include <tiebreak/random.h>

#include <math.h>
#include <stdio.h>

#include "random_variant.h"
#ifdef HAVE_RANDOM123
#include <Random123/philox.h>
#endif

static const tb_key key = { .seed = 0x123456789abcdef0u, .step = 17, .use = 99 };

/* ---- the block function ---- */

static void philox_known_answers(void **state) {
  static const uint32_t cases[][10] = {
    /* counter, key, answer: kat_vectors of Random123 */
    { 0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 },
    { ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd },
    { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
      0x24126ea1 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint32_t out[4];
    tb_philox4x32(cases[i], cases[i] + 4, out);
    assert_memory_equal(out, cases[i] + 6, sizeof out);
  }
}

static void philox_equals_random123(void **state) {
#ifdef HAVE_RANDOM123
  uint32_t w[6];
  for (uint32_t i = 0; i < 20000; i++) {
    tb_random_bits(key, (uint64_t)i * 6, 6, w);
    philox4x32_ctr_t counter = { { w[0], w[1], w[2], w[3] } };
    philox4x32_key_t k = { { w[4], w[5] } };
    philox4x32_ctr_t expected = philox4x32_R(10, counter, k);
    uint32_t out[4];
    tb_philox4x32(w, w + 4, out);
    assert_memory_equal(out, expected.v, sizeof out);
  }
#else
  print_message("Random123 is not installed\n");
  skip();
#endif
}

/* ---- addressing ---- */

static void bits_are_the_blocks_of_the_key(void **state) {
  /* 4 before and after a carry into the counter's second word */
  static const uint64_t starts[] = { 0, ((uint64_t)1 << 34) - 8, ((uint64_t)1 << 50) + 4 };
  for (size_t s = 0; s < 3; s++) {
    uint32_t bits[600];
    tb_random_bits(key, starts[s], 600, bits);
    for (uint64_t i = 0; i < 600; i += 4) {
      uint64_t block = (starts[s] + i) / 4;
      uint32_t counter[4] = { (uint32_t)block, (uint32_t)(block >> 32), key.step, key.use }, out[4];
      uint32_t k[2] = { (uint32_t)key.seed, (uint32_t)(key.seed >> 32) };
      tb_philox4x32(counter, k, out);
      assert_memory_equal(out, bits + i, sizeof out);
    }
  }
}

/* Any range gives the elements of the whole. */
#define CHECK_RANGES(function, type)                                                                                   \
  do {                                                                                                                 \
    static type whole[1500], part[1500];                                                                               \
    function(key, 0, 1500, whole);                                                                                     \
    for (size_t i = 0; i < 200; i++) {                                                                                 \
      size_t first = tb_random_below(key, 2 * i, 1500), count = tb_random_below(key, 2 * i + 1, 1501 - first);         \
      part[count < 1500 ? count : 1499] = 7;                                                                           \
      function(key, first, count, part);                                                                               \
      assert_memory_equal(part, whole + first, count * sizeof *part);                                                  \
      if (count < 1500)                                                                                                \
        assert_true(part[count] == 7);                                                                                 \
    }                                                                                                                  \
  } while (0)

static void ranges_are_parts_of_the_whole(void **state) {
  CHECK_RANGES(tb_random_bits, uint32_t);
  CHECK_RANGES(tb_random_uniform, double);
  CHECK_RANGES(tb_random_normal, double);
  CHECK_RANGES(tb_random_uniform_float, float);
  CHECK_RANGES(tb_random_normal_float, float);
}

static void keys_separate(void **state) {
  tb_key keys[5] = { key, key, key, key, key };
  keys[1].seed ^= 1;
  keys[2].seed ^= (uint64_t)1 << 63;
  keys[3].step++;
  keys[4].use++;
  uint32_t bits[5][64];
  for (int i = 0; i < 5; i++) {
    tb_random_bits(keys[i], 0, 64, bits[i]);
    for (int j = 0; j < i; j++)
      for (int k = 0; k < 64; k++)
        assert_int_not_equal(bits[i][k], bits[j][k]);
  }
  assert_int_equal(tb_use(""), 2166136261u);
  assert_int_equal(tb_use("a"), 0xe40c292cu); /* published FNV-1a vectors */
  assert_int_equal(tb_use("foobar"), 0xbf9cf968u);
}

/* ---- the transforms ---- */

static void uniforms_stay_inside(void **state) {
  assert_true(plain_uniform_of(0) == 0x1p-53);
  assert_true(plain_uniform_of(UINT64_MAX) == 1 - 0x1p-53);
  assert_true(plain_uniform_of((uint64_t)1 << 63) == 0.5 + 0x1p-53);
  assert_true(plain_uniform_float_of(0) == 0x1p-24f);
  assert_true(plain_uniform_float_of(UINT32_MAX) == 1 - 0x1p-24f);
}

static double ulps(double value, long double exact) {
  return (double)fabsl(((long double)value - exact) / (exact == 0 ? 1 : exact)) * 0x1p53;
}

static void logarithms_are_accurate(void **state) {
  double worst = 0, worst_float = 0;
  for (uint64_t i = 0; i < 200000; i++) {
    uint64_t word = tb_random_below(key, i, UINT64_MAX);
    double u = plain_uniform_of(i % 2 ? word : word >> i % 53); /* small ones, too */
    worst = fmax(worst, ulps(plain_log(u), logl(u)));
    float v = (float)plain_uniform_of(i % 2 ? word : word >> i % 33);
    if (v < 1)
      worst_float = fmax(worst_float, ulps(plain_log_float(v), logl(v)) * 0x1p-29);
  }
  for (int i = 1; i <= 100; i++) { /* just below 1 */
    worst = fmax(worst, ulps(plain_log(1 - i * 0x1p-53), log1pl(-i * 0x1p-53L)));
    worst_float = fmax(worst_float, ulps(plain_log_float(1 - (float)i * 0x1p-24f), log1pl(-i * 0x1p-24L)) * 0x1p-29);
  }
  print_message("           log: within %.2f (double) and %.2f (float) units of 2^-53, 2^-24\n", worst, worst_float);
  assert_true(worst < 2 && worst_float < 2.5);
  assert_true(plain_log(1) == 0);
  assert_true(plain_log_float(1) == 0);
}

static void normals_are_box_muller(void **state) {
  const long double turn = 2 * 3.14159265358979323846264338327950288L;
  double worst = 0, worst_float = 0;
  for (uint64_t i = 0; i < 200000; i++) {
    uint64_t r = tb_random_below(key, 2 * i, UINT64_MAX), a = tb_random_below(key, 2 * i + 1, UINT64_MAX);
    if (i % 8 == 0)
      a = (a & 7) << 61; /* axes and diagonals */
    if (i % 3 == 0)
      r >>= i % 60;
    double z[2];
    plain_normals_of(r, a, z);
    long double radius = sqrtl(-2 * logl(((long double)(r >> 12) + 0.5L) * 0x1p-52L));
    long double angle = turn * ((long double)a * 0x1p-64L);
    worst = fmax(worst, (double)fabsl(z[0] - radius * cosl(angle)) / (double)radius);
    worst = fmax(worst, (double)fabsl(z[1] - radius * sinl(angle)) / (double)radius);
    float f[2];
    uint32_t r32 = (uint32_t)r, a32 = (uint32_t)(a >> 32);
    plain_normals_float_of(r32, a32, f);
    radius = sqrtl(-2 * logl(((long double)r32 + 0.5L) * 0x1p-32L));
    angle = turn * ((long double)a32 * 0x1p-32L);
    if (radius > 0.01L) {
      worst_float = fmax(worst_float, (double)fabsl(f[0] - radius * cosl(angle)) / (double)radius);
      worst_float = fmax(worst_float, (double)fabsl(f[1] - radius * sinl(angle)) / (double)radius);
    }
  }
  print_message("           Box-Muller: within %.2g (double), %.2g (float) of the radius\n", worst, worst_float);
  assert_true(worst < 8e-16); /* the angle is used to 52 bits */
  assert_true(worst_float < 1e-3);
  /* the far ends of the tails, and the centre */
  double z[2];
  float f[2];
  plain_normals_of(0, 0, z);
  assert_true(fabs(z[0] - sqrt(106 * log(2))) < 1e-14);
  plain_normals_of(UINT64_MAX, 0, z);
  assert_true(z[0] > 0 && z[0] < 2e-8);
  plain_normals_float_of(0, 0x80000000u, f);
  assert_true(fabs(f[0] + sqrt(66 * log(2))) < 1e-6);
  plain_normals_float_of(UINT32_MAX, 0, f);
  assert_true(f[0] >= 0 && f[0] < 4e-4);
}

/* ---- the distributions ---- */

enum { MANY = 1 << 20 };
static double numbers[MANY];
static float numbers_float[MANY];

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* √n times the largest distance of the empirical distribution from the true one; exceeds 1.95 once in 1000. */
static double kolmogorov_smirnov(double *x, size_t n, double (*distribution)(double)) {
  qsort(x, n, sizeof *x, by_size);
  double d = 0;
  for (size_t i = 0; i < n; i++) {
    double p = distribution(x[i]);
    d = fmax(d, fmax((double)(i + 1) / (double)n - p, p - (double)i / (double)n));
  }
  return d * sqrt((double)n);
}

static double normal_distribution(double x) {
  return 0.5 * erfc(-x / sqrt(2));
}

static double uniform_distribution(double x) {
  return x;
}

/* Means of z^1 … z^6 within 4.5 standard deviations of theirs, and no correlation of neighbours in value or size. */
static void check_moments(const double *z, size_t n) {
  static const double even[7] = { 1, 1, 3, 15, 105, 945, 10395 }; /* E z^(2k) */
  for (int power = 1; power <= 6; power++) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
      sum += pow(z[i], power);
    double mean = power % 2 ? 0 : even[power / 2], variance = even[power] - mean * mean;
    double deviations = (sum / (double)n - mean) / sqrt(variance / (double)n);
    if (!(fabs(deviations) < 4.5))
      fail_msg("moment %d is off by %.1f standard deviations", power, deviations);
  }
  for (size_t lag = 1; lag <= 4; lag++) {
    double product = 0, squares = 0;
    for (size_t i = 0; i + lag < n; i++) {
      product += z[i] * z[i + lag];
      squares += (z[i] * z[i] - 1) * (z[i + lag] * z[i + lag] - 1);
    }
    assert_true(fabs(product) / sqrt((double)n) < 4.5);
    assert_true(fabs(squares) / (2 * sqrt((double)n)) < 4.5);
  }
}

static void normals_are_normal(void **state) {
  tb_random_normal(key, 0, MANY, numbers);
  check_moments(numbers, MANY);
  double ks = kolmogorov_smirnov(numbers, MANY, normal_distribution);
  tb_random_normal_float(key, 0, MANY, numbers_float);
  for (size_t i = 0; i < MANY; i++)
    numbers[i] = (double)numbers_float[i];
  check_moments(numbers, MANY);
  double ks_float = kolmogorov_smirnov(numbers, MANY, normal_distribution);
  print_message("           Kolmogorov-Smirnov: %.2f, %.2f\n", ks, ks_float);
  assert_true(ks < 1.95 && ks_float < 1.95);
}

static void normals_have_tails(void **state) {
  size_t beyond[2] = { 0, 0 }; /* |z| > 4 and > 5 */
  float largest = 0;
  enum { ROUNDS = 24 };
  for (uint64_t round = 0; round < ROUNDS; round++) {
    tb_random_normal_float(key, round * MANY, MANY, numbers_float);
    for (size_t i = 0; i < MANY; i++) {
      float size = fabsf(numbers_float[i]);
      beyond[0] += size > 4;
      beyond[1] += size > 5;
      largest = fmaxf(largest, size);
    }
  }
  double n = (double)ROUNDS * MANY, expected4 = n * erfc(4 / sqrt(2)), expected5 = n * erfc(5 / sqrt(2));
  print_message("           beyond 4: %zu (%.0f expected), beyond 5: %zu (%.1f), largest %.2f\n", beyond[0], expected4,
                beyond[1], expected5, (double)largest);
  assert_true(fabs((double)beyond[0] - expected4) < 4.5 * sqrt(expected4));
  assert_true(fabs((double)beyond[1] - expected5) < 4.5 * sqrt(expected5));

  /* beyond 5.5: look among the radius words first, which is quick */
  size_t found = 0;
  static uint32_t bits[MANY];
  for (uint64_t round = 0; round < 24; round++) {
    tb_random_bits(key, round * MANY, MANY, bits);
    for (size_t i = 0; i < MANY; i += 2)
      if (bits[i] < 600) { /* radius > 5.6 */
        float z[2];
        tb_random_normal_float(key, round * MANY + i, 2, z);
        assert_true(hypotf(z[0], z[1]) > 5.6f);
        found += fabsf(z[0]) > 5.5f || fabsf(z[1]) > 5.5f;
      }
  }
  print_message("           beyond 5.5: %zu\n", found);
  assert_true(found > 0);
}

static void uniforms_are_uniform(void **state) {
  tb_random_uniform(key, 0, MANY, numbers);
  double ks = kolmogorov_smirnov(numbers, MANY, uniform_distribution);
  assert_true(numbers[0] > 0 && numbers[MANY - 1] < 1);
  tb_random_uniform_float(key, 0, MANY, numbers_float);
  for (size_t i = 0; i < MANY; i++)
    numbers[i] = (double)numbers_float[i];
  double ks_float = kolmogorov_smirnov(numbers, MANY, uniform_distribution);
  print_message("           Kolmogorov-Smirnov: %.2f, %.2f\n", ks, ks_float);
  assert_true(ks < 1.95 && ks_float < 1.95);
  assert_true(numbers[0] > 0 && numbers[MANY - 1] < 1);
}

/* Σ (observed − expected)² / expected over equally likely cells. */
static double chi_square(const size_t *counts, size_t cells, size_t n) {
  double expected = (double)n / (double)cells, sum = 0;
  for (size_t i = 0; i < cells; i++)
    sum += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
  return sum;
}

static void integers_below(void **state) {
  size_t counts[7] = { 0 };
  for (uint64_t i = 0; i < 70000; i++)
    counts[tb_random_below(key, i, 7)]++;
  assert_true(chi_square(counts, 7, 70000) < 22.5); /* 6 degrees of freedom, once in 1000 */
  for (uint64_t i = 0; i < 1000; i++) {
    assert_int_equal(tb_random_below(key, i, 1), 0);
    assert_true(tb_random_below(key, i, (uint64_t)1 << 63) < (uint64_t)1 << 63);
  }
}

static void permutations_are_uniform(void **state) {
  static uint32_t p[5000];
  static bool seen[5000];
  tb_random_permutation(key, 5000, p);
  for (size_t i = 0; i < 5000; i++) {
    assert_true(p[i] < 5000 && !seen[p[i]]);
    seen[p[i]] = true;
  }
  tb_random_permutation(key, 0, p);
  tb_random_permutation(key, 1, p);
  assert_int_equal(p[0], 0);

  size_t counts[24] = { 0 };
  for (uint32_t i = 0; i < 24000; i++) {
    tb_key k = key;
    k.step = i;
    tb_random_permutation(k, 4, p);
    size_t rank = 0; /* Lehmer code */
    for (size_t a = 0; a < 4; a++) {
      size_t smaller = 0;
      for (size_t b = a + 1; b < 4; b++)
        smaller += p[b] < p[a];
      rank = rank * (4 - a) + smaller;
    }
    counts[rank]++;
  }
  assert_true(chi_square(counts, 24, 24000) < 49.7); /* 23 degrees of freedom, once in 1000 */

  /* place i takes the tb_random_below(key, i, count − i)-th of what is left */
  uint32_t naive[300];
  for (uint32_t i = 0; i < 300; i++)
    naive[i] = i;
  for (uint32_t i = 0; i < 300; i++) {
    size_t j = i + tb_random_below(key, i, 300 - i);
    uint32_t taken = naive[j];
    naive[j] = naive[i];
    naive[i] = taken;
  }
  tb_random_permutation(key, 300, p);
  assert_memory_equal(p, naive, sizeof naive);
}

/* ---- the same bits everywhere ---- */

static uint64_t hash(const void *data, size_t size) {
  const unsigned char *bytes = data;
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < size; i++)
    h = (h ^ bytes[i]) * 1099511628211u;
  return h;
}

/* Recorded once: another compiler, processor or library must give the same. */
static void bits_are_golden(void **state) {
  tb_random_normal(key, 0, 100000, numbers);
  assert_int_equal(hash(numbers, 100000 * sizeof *numbers), 0xada211318cb31355u);
  tb_random_normal_float(key, 0, 100000, numbers_float);
  assert_int_equal(hash(numbers_float, 100000 * sizeof *numbers_float), 0xef3114909ef0e814u);
}

#define CHECK_VARIANT(name)                                                                                            \
  do {                                                                                                                 \
    static double d[100000];                                                                                           \
    static float f[100000];                                                                                            \
    tb_random_normal(key, 5, 100000, numbers);                                                                         \
    name##_normal(key, 5, 100000, d);                                                                                  \
    assert_memory_equal(d, numbers, sizeof d);                                                                         \
    tb_random_uniform(key, 5, 100000, numbers);                                                                        \
    name##_uniform(key, 5, 100000, d);                                                                                 \
    assert_memory_equal(d, numbers, sizeof d);                                                                         \
    tb_random_normal_float(key, 5, 100000, numbers_float);                                                             \
    name##_normal_float(key, 5, 100000, f);                                                                            \
    assert_memory_equal(f, numbers_float, sizeof f);                                                                   \
    tb_random_uniform_float(key, 5, 100000, numbers_float);                                                            \
    name##_uniform_float(key, 5, 100000, f);                                                                           \
    assert_memory_equal(f, numbers_float, sizeof f);                                                                   \
  } while (0)

static void bits_do_not_depend_on_the_width(void **state) {
  CHECK_VARIANT(plain);
#ifdef __x86_64__
  if (__builtin_cpu_supports("ssse3"))
    CHECK_VARIANT(v2);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    CHECK_VARIANT(v3);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
    CHECK_VARIANT(v4);
  else
    print_message("           no AVX-512 here: that width is not compared\n");
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(philox_known_answers),
    cmocka_unit_test(philox_equals_random123),
    cmocka_unit_test(bits_are_the_blocks_of_the_key),
    cmocka_unit_test(ranges_are_parts_of_the_whole),
    cmocka_unit_test(keys_separate),
    cmocka_unit_test(uniforms_stay_inside),
    cmocka_unit_test(logarithms_are_accurate),
    cmocka_unit_test(normals_are_box_muller),
    cmocka_unit_test(normals_are_normal),
    cmocka_unit_test(normals_have_tails),
    cmocka_unit_test(uniforms_are_uniform),
    cmocka_unit_test(integers_below),
    cmocka_unit_test(permutations_are_uniform),
    cmocka_unit_test(bits_are_golden),
    cmocka_unit_test(bits_do_not_depend_on_the_width),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
