/* Keyed random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), uniforms, Box-Muller normals.
 *
 *   (L, R) → (hi(M R) ^ k ^ L', lo(M R)), ten times, the key bumped by Weyl constants between rounds;
 *   z = √(−2 log u) (cos 2πv, sin 2πv)
 *
 * The transforms are plain C over lanes that the compiler turns into vectors of whatever width the processor has; only
 * the integer rounds are written for each width.  Every floating-point operation is written out (own logarithm and
 * sine, no fused multiply-add, sqrt is exact everywhere), so the bits are the same for every width and compiler.  Must
 * not use libm's functions: their bits vary. */
#include <tiebreak/random.h>

#include <math.h>
#include <string.h>

/* One version a vector width, chosen when the program is loaded.  Tests take one width: TB_BLOCKS is its name below,
 * or `plain` for the loops alone.  ThreadSanitizer instruments the choice, which comes before it is ready itself. */
#ifdef __has_feature
#define THREADS_WATCHED __has_feature(thread_sanitizer)
#elif defined(__SANITIZE_THREAD__)
#define THREADS_WATCHED 1
#else
#define THREADS_WATCHED 0
#endif
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(TB_BLOCKS) && !THREADS_WATCHED
#define EACH_WIDTH __attribute__((target_clones("avx512f", "avx2", "default")))
#define TB_BLOCKS  blocks_widest
#else
#define EACH_WIDTH
#endif
#ifdef __x86_64__
#include <immintrin.h>
#endif
#define INLINE static inline __attribute__((always_inline))
#define UNUSED __attribute__((unused)) /* in one of the builds */

enum { BLOCKS = 64 }; /* counters taken through the rounds together */

/* ---- the block function ---- */

INLINE void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
#pragma GCC unroll 10
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t hi0 = (uint32_t)(p0 >> 32), lo0 = (uint32_t)p0, hi1 = (uint32_t)(p1 >> 32), lo1 = (uint32_t)p1;
    c[0] = hi1 ^ c[1] ^ k0;
    c[1] = lo1;
    c[2] = hi0 ^ c[3] ^ k1;
    c[3] = lo0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

void tb_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c[4];
  memcpy(c, counter, sizeof c);
  philox(c, key[0], key[1]);
  memcpy(out, c, sizeof c);
}

/* Words of the blocks block … block + BLOCKS − 1: words[w][j] is word w of block + j. */
typedef void blocks_function(tb_key key, uint64_t block, uint32_t words[4][BLOCKS]);

static UNUSED void plain(tb_key key, uint64_t block, uint32_t words[4][BLOCKS]) {
  uint32_t low = (uint32_t)block, high = (uint32_t)(block >> 32);
  for (uint32_t j = 0; j < BLOCKS; j++) {
    uint32_t lane = low + j;
    uint32_t c[4] = { lane, high + (lane < low), key.step, key.use };
    philox(c, (uint32_t)key.seed, (uint32_t)(key.seed >> 32));
    for (int w = 0; w < 4; w++)
      words[w][j] = c[w];
  }
}

#ifdef __x86_64__
/* The same over vectors of 64-bit lanes, two 32-bit counters in each, two vectors at a time to hide latencies.
 * Compilers make three multiplications of the 32 × 32 → 64-bit one that x86 has, so it is named; the rest is vector
 * operators. */
#define DEFINE_BLOCKS(name, set, bytes, multiply)                                                                      \
  typedef uint64_t name##_vector __attribute__((vector_size(bytes)));                                                  \
  __attribute__((target(set))) static UNUSED void name(tb_key key, uint64_t block, uint32_t words[4][BLOCKS]) {        \
    enum { LANES = bytes / 4, GROUP = 2 };                                                                             \
    const uint64_t both = 0x100000001u, upper = 0xffffffff00000000u;                                                   \
    const name##_vector zero = { 0 }, m0 = zero + 0xD2511F53u, m1 = zero + 0xCD9E8D57u;                                \
    uint32_t low = (uint32_t)block, high = (uint32_t)(block >> 32);                                                    \
    for (uint32_t j = 0; j < BLOCKS; j += GROUP * LANES) {                                                             \
      uint32_t start[2][GROUP * LANES];                                                                                \
      for (uint32_t i = 0; i < GROUP * LANES; i++) {                                                                   \
        start[0][i] = low + j + i;                                                                                     \
        start[1][i] = high + (start[0][i] < low);                                                                      \
      }                                                                                                                \
      name##_vector c[4][GROUP];                                                                                       \
      memcpy(c, start, sizeof start);                                                                                  \
      for (int g = 0; g < GROUP; g++) {                                                                                \
        c[2][g] = zero + both * key.step;                                                                              \
        c[3][g] = zero + both * key.use;                                                                               \
      }                                                                                                                \
      uint32_t k0 = (uint32_t)key.seed, k1 = (uint32_t)(key.seed >> 32);                                               \
      for (int round = 0; round < 10; round++) {                                                                       \
        _Pragma("GCC unroll 2") for (int g = 0; g < GROUP; g++) {                                                      \
          name##_vector even0 = multiply(c[0][g], m0), odd0 = multiply(c[0][g] >> 32, m0);                             \
          name##_vector even1 = multiply(c[2][g], m1), odd1 = multiply(c[2][g] >> 32, m1);                             \
          c[0][g] = ((even1 >> 32) | (odd1 & upper)) ^ c[1][g] ^ (both * k0);                                          \
          c[1][g] = (even1 & ~upper) | (odd1 << 32);                                                                   \
          c[2][g] = ((even0 >> 32) | (odd0 & upper)) ^ c[3][g] ^ (both * k1);                                          \
          c[3][g] = (even0 & ~upper) | (odd0 << 32);                                                                   \
        }                                                                                                              \
        k0 += 0x9E3779B9u;                                                                                             \
        k1 += 0xBB67AE85u;                                                                                             \
      }                                                                                                                \
      for (int w = 0; w < 4; w++)                                                                                      \
        memcpy(&words[w][j], c[w], sizeof c[w]);                                                                       \
    }                                                                                                                  \
  }
#define MULTIPLY_16(a, b) ((blocks_16_vector)_mm_mul_epu32((__m128i)(a), (__m128i)(b)))
#define MULTIPLY_32(a, b) ((blocks_32_vector)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#define MULTIPLY_64(a, b) ((blocks_64_vector)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))
DEFINE_BLOCKS(blocks_16, "sse2", 16, MULTIPLY_16)
DEFINE_BLOCKS(blocks_32, "avx2", 32, MULTIPLY_32)
DEFINE_BLOCKS(blocks_64, "avx512f", 64, MULTIPLY_64)

static UNUSED void blocks_widest(tb_key key, uint64_t block, uint32_t words[4][BLOCKS]) {
  blocks_function *widest = __builtin_cpu_supports("avx512f") ? blocks_64
                            : __builtin_cpu_supports("avx2")  ? blocks_32
                                                              : blocks_16;
  widest(key, block, words);
}
#endif

static void blocks(tb_key key, uint64_t block, uint32_t words[4][BLOCKS]) {
#ifdef TB_BLOCKS
  TB_BLOCKS(key, block, words);
#else
  plain(key, block, words);
#endif
}

/* ---- bits to numbers ---- */

INLINE double as_double(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

INLINE uint64_t double_bits(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

INLINE float as_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

INLINE uint32_t float_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* (k + 1/2) 2⁻⁵² of the upper 52 bits k: exact, symmetric about 1/2, never 0 or 1. */
INLINE double uniform_double(uint64_t word) {
  return as_double(word >> 12 | 0x3ff0000000000000u) - (1 - 0x1p-53);
}

/* (k + 1/2) 2⁻²³ of the upper 23 bits k. */
INLINE float uniform_float(uint32_t word) {
  return as_float(word >> 9 | 0x3f800000u) - (1 - 0x1p-24f);
}

/* log x for normal x > 0, within 1 ulp: x = 2^e m, m in [√½, √2), s = f / (2 + f), f = m − 1, and the series of
 * log m = 2 atanh s.  Coefficients: Sun's fdlibm. */
INLINE double log_double(double x) {
  uint64_t bits = double_bits(x) - 0x3fe6a09e667f3bcdu; /* exponent relative to √½ */
  /* the exponent as a double without a 64-bit integer conversion: bias it into the mantissa of 1.5 2⁵² */
  double e = as_double((uint64_t)((int64_t)bits >> 52) + 0x4338000000000000u) - 0x1.8p52;
  double f = as_double((bits & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
  double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  double r = 1.479819860511658591e-01;
  r = r * z + 1.531383769920937332e-01;
  r = r * z + 1.818357216161805012e-01;
  r = r * z + 2.222219843214978396e-01;
  r = r * z + 2.857142874366239149e-01;
  r = r * z + 3.999999999940941908e-01;
  r = r * z + 6.666666666666735130e-01;
  r = r * z;
  return e * 6.93147180369123816490e-01 - ((half - (s * (half + r) + e * 1.90821492927058770002e-10)) - f);
}

/* The same in float: log(1 + f) = f − f²/2 + f³ p(f), coefficients: Cephes. */
INLINE float log_float(float x) {
  uint32_t bits = float_bits(x) - 0x3f3504f3u;
  float e = (float)((int32_t)bits >> 23);
  float f = as_float((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f, z = f * f;
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  p = p * f * z + e * -2.12194440e-4f;
  p = p - 0.5f * z;
  return f + p + e * 0.693359375f;
}

/* Sine and cosine of 2π word / 2⁶⁴.  The quarter turn nearest to the angle comes from the upper bits, exactly; the
 * remainder x in [−π/4, π/4) goes through Cephes' polynomials. */
INLINE void circle_double(uint64_t word, double *cosine, double *sine) {
  uint64_t turned = word + 0x2000000000000000u, quarter = turned >> 62;
  double x = (as_double((turned << 2) >> 12 | 0x3ff0000000000000u) - 1.5) * 1.57079632679489661923, z = x * x;
  double s = 1.58962301576546568060e-10, c = -1.13585365213876817300e-11;
  s = s * z - 2.50507477628578072866e-8;
  s = s * z + 2.75573136213857245213e-6;
  s = s * z - 1.98412698295895385996e-4;
  s = s * z + 8.33333333332211858878e-3;
  s = s * z - 1.66666666666666307295e-1;
  s = x + x * z * s;
  c = c * z + 2.08757008419747316778e-9;
  c = c * z - 2.75573141792967388112e-7;
  c = c * z + 2.48015872888517045348e-5;
  c = c * z - 1.38888888888730564116e-3;
  c = c * z + 4.16666666666665929218e-2;
  c = 1.0 - 0.5 * z + z * z * c;
  /* odd quarters swap; cosine is negative in quarters 1 and 2, sine in 2 and 3 */
  uint64_t swap = -(quarter & 1), sb = double_bits(s), cb = double_bits(c), both = (sb ^ cb) & swap;
  *cosine = as_double((cb ^ both) ^ ((quarter + 1) & 2) << 62);
  *sine = as_double((sb ^ both) ^ (quarter & 2) << 62);
}

INLINE void circle_float(uint32_t word, float *cosine, float *sine) {
  uint32_t turned = word + 0x20000000u, quarter = turned >> 30;
  float x = (float)((int32_t)(turned & 0x3fffffffu) - 0x20000000) * (1.57079632679489661923f * 0x1p-30f), z = x * x;
  float s = -1.9515295891e-4f, c = 2.443315711809948e-5f;
  s = s * z + 8.3321608736e-3f;
  s = s * z - 1.6666654611e-1f;
  s = x + x * z * s;
  c = c * z - 1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  c = 1.0f - 0.5f * z + z * z * c;
  uint32_t swap = -(quarter & 1), sb = float_bits(s), cb = float_bits(c), both = (sb ^ cb) & swap;
  *cosine = as_float((cb ^ both) ^ ((quarter + 1) & 2) << 30);
  *sine = as_float((sb ^ both) ^ (quarter & 2) << 30);
}

/* A pair of normals.  Radii reach √(−2 log 2⁻⁵³) = 8.57 (double) and √(−2 log 2⁻³³) = 6.76 (float). */
INLINE void normals_double(uint64_t radius, uint64_t angle, double z[2]) {
  double r = sqrt(-2.0 * log_double(uniform_double(radius))), c, s;
  circle_double(angle, &c, &s);
  z[0] = r * c;
  z[1] = r * s;
}

INLINE void normals_float(uint32_t radius, uint32_t angle, float z[2]) {
  /* (radius + 1/2) 2⁻³², rounded once: small values, which make the tails, keep all their bits */
  float u = ((float)(int32_t)(radius >> 16) * 65536.0f + ((float)(int32_t)(radius & 0xffff) + 0.5f)) * 0x1p-32f;
  float l = log_float(u), c, s;
  float r = sqrtf(l < 0.0f ? -2.0f * l : 0.0f);
  circle_float(angle, &c, &s);
  z[0] = r * c;
  z[1] = r * s;
}

/* ---- whole blocks: out[4 × BLOCKS] words or floats, out[2 × BLOCKS] doubles ---- */

EACH_WIDTH static void bits_blocks(tb_key key, uint64_t block, void *to) {
  uint32_t words[4][BLOCKS], *out = to;
  blocks(key, block, words);
  for (size_t j = 0; j < BLOCKS; j++)
    for (size_t w = 0; w < 4; w++)
      out[4 * j + w] = words[w][j];
}

EACH_WIDTH static void uniform_blocks(tb_key key, uint64_t block, void *to) {
  uint32_t words[4][BLOCKS];
  double *out = to;
  blocks(key, block, words);
  for (size_t j = 0; j < BLOCKS; j++) {
    out[2 * j] = uniform_double((uint64_t)words[1][j] << 32 | words[0][j]);
    out[2 * j + 1] = uniform_double((uint64_t)words[3][j] << 32 | words[2][j]);
  }
}

EACH_WIDTH static void normal_blocks(tb_key key, uint64_t block, void *to) {
  uint32_t words[4][BLOCKS];
  double *out = to;
  blocks(key, block, words);
  for (size_t j = 0; j < BLOCKS; j++) {
    double z[2];
    normals_double((uint64_t)words[1][j] << 32 | words[0][j], (uint64_t)words[3][j] << 32 | words[2][j], z);
    out[2 * j] = z[0];
    out[2 * j + 1] = z[1];
  }
}

EACH_WIDTH static void uniform_float_blocks(tb_key key, uint64_t block, void *to) {
  uint32_t words[4][BLOCKS];
  float *out = to;
  blocks(key, block, words);
  for (size_t j = 0; j < BLOCKS; j++)
    for (size_t w = 0; w < 4; w++)
      out[4 * j + w] = uniform_float(words[w][j]);
}

EACH_WIDTH static void normal_float_blocks(tb_key key, uint64_t block, void *to) {
  uint32_t words[4][BLOCKS];
  float *out = to;
  blocks(key, block, words);
  for (size_t j = 0; j < BLOCKS; j++) {
    float a[2], b[2];
    normals_float(words[0][j], words[1][j], a);
    normals_float(words[2][j], words[3][j], b);
    out[4 * j] = a[0];
    out[4 * j + 1] = a[1];
    out[4 * j + 2] = b[0];
    out[4 * j + 3] = b[1];
  }
}

/* ---- any range ---- */

/* Elements first … first + count − 1, per_block of them a block; whole groups of blocks go straight to out. */
static void fill(void (*whole)(tb_key, uint64_t, void *), tb_key key, uint64_t first, size_t count, unsigned per_block,
                 size_t size, unsigned char *out) {
  const size_t group = (size_t)per_block * BLOCKS;
  double scratch[2 * BLOCKS];
  uint64_t block = first / per_block;
  size_t skip = (size_t)(first % per_block);
  while (count > 0) {
    size_t n = group - skip < count ? group - skip : count;
    if (n == group) {
      whole(key, block, out);
    } else {
      whole(key, block, scratch);
      memcpy(out, (unsigned char *)scratch + skip * size, n * size);
    }
    out += n * size;
    count -= n;
    block += BLOCKS;
    skip = 0;
  }
}

void tb_random_bits(tb_key key, uint64_t first, size_t count, uint32_t *out) {
  fill(bits_blocks, key, first, count, 4, sizeof *out, (unsigned char *)out);
}

void tb_random_uniform(tb_key key, uint64_t first, size_t count, double *out) {
  fill(uniform_blocks, key, first, count, 2, sizeof *out, (unsigned char *)out);
}

void tb_random_normal(tb_key key, uint64_t first, size_t count, double *out) {
  fill(normal_blocks, key, first, count, 2, sizeof *out, (unsigned char *)out);
}

void tb_random_uniform_float(tb_key key, uint64_t first, size_t count, float *out) {
  fill(uniform_float_blocks, key, first, count, 4, sizeof *out, (unsigned char *)out);
}

void tb_random_normal_float(tb_key key, uint64_t first, size_t count, float *out) {
  fill(normal_float_blocks, key, first, count, 4, sizeof *out, (unsigned char *)out);
}

/* ---- integers ---- */

uint32_t tb_use(const char *purpose) {
  uint32_t hash = 2166136261u;
  for (; *purpose; purpose++)
    hash = (hash ^ (unsigned char)*purpose) * 16777619u;
  return hash;
}

/* ⌊word bound / 2⁶⁴⌋ */
static uint64_t scale(uint64_t word, uint64_t bound) {
  return (uint64_t)(((unsigned __int128)word * bound) >> 64);
}

uint64_t tb_random_below(tb_key key, uint64_t index, uint64_t bound) {
  uint64_t block = index / 2;
  uint32_t c[4] = { (uint32_t)block, (uint32_t)(block >> 32), key.step, key.use };
  philox(c, (uint32_t)key.seed, (uint32_t)(key.seed >> 32));
  const uint32_t *word = c + 2 * (index % 2);
  return scale((uint64_t)word[1] << 32 | word[0], bound);
}

void tb_random_permutation(tb_key key, size_t count, uint32_t *out) {
  uint32_t words[4 * BLOCKS];
  for (size_t i = 0; i < count; i++)
    out[i] = (uint32_t)i;
  for (size_t i = 0; i < count; i++) { /* place i: from what is left, drawn as tb_random_below(key, i, count − i) */
    size_t k = i % (2 * BLOCKS);
    if (k == 0)
      bits_blocks(key, i / 2, words);
    size_t j = i + scale((uint64_t)words[2 * k + 1] << 32 | words[2 * k], count - i);
    uint32_t taken = out[j];
    out[j] = out[i];
    out[i] = taken;
  }
}
