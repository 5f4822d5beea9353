/* GINC, the generated in-context learning data set (Xie et al. 2022): hidden states (value, slot), a memory
 * M[value, slot] of tokens that is shared by all concepts, slot 0 always the delimiter.
 *
 *   slots    T = Σ_i w_i P_i over ten random permutations, w = softmax((u − ½)/0.1): each concept its own
 *   values   0.9 I + 0.1 T', T' drawn alike, shared by all
 *   states   T_value ⊗ T_slot;  start softmax((u − ½)/10) */
#include "hmm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VALUES = TB_GINC_VALUES, SLOTS = TB_GINC_SLOTS, STATES = VALUES * SLOTS, PERMUTATIONS = 10 };

/* p[count] = softmax((u − ½)/temperature) */
static void random_law(tb_key key, double temperature, size_t count, double *p) {
  double sum = 0;
  tb_random_uniform(key, 0, count, p);
  for (size_t i = 0; i < count; i++)
    sum += p[i] = exp((p[i] - 0.5) / temperature);
  for (size_t i = 0; i < count; i++)
    p[i] /= sum;
}

/* t[10×10], a convex combination of permutations; number `index` of a seed and purpose */
static void mixed_permutations(uint64_t seed, uint32_t index, const char *purpose, double *t) {
  double w[PERMUTATIONS];
  uint32_t permutation[SLOTS];
  random_law((tb_key){ seed, index, tb_use(purpose) }, 0.1, PERMUTATIONS, w);
  memset(t, 0, SLOTS * SLOTS * sizeof *t);
  for (uint32_t i = 0; i < PERMUTATIONS; i++) {
    tb_random_permutation((tb_key){ seed, index * PERMUTATIONS + i, tb_use(purpose) ^ tb_use("permutation") }, SLOTS,
                          permutation);
    for (size_t s = 0; s < SLOTS; s++)
      t[s * SLOTS + permutation[s]] += w[i];
  }
}

/* "/", "a" … "z", "aa", "ab", … */
static tb_status name_tokens(tb_hmm *m) {
  for (size_t y = 0; y < m->n_tokens; y++) {
    if (y == 0)
      m->tokens[y] = "/";
    else if (y <= 26)
      m->tokens[y] = tb_arena_format(m->arena, "%c", (int)('a' + y - 1));
    else
      m->tokens[y] = tb_arena_format(m->arena, "%c%c", (int)('a' + (y - 27) / 26), (int)('a' + (y - 27) % 26));
    if (!m->tokens[y])
      return TB_NO_MEMORY;
  }
  return TB_OK;
}

static tb_status add_concept(tb_hmm *m, uint64_t seed, uint32_t k, const double *value, const uint32_t *memory,
                             double *transition) {
  double slot[SLOTS * SLOTS], start[STATES];
  mixed_permutations(seed, k, "ginc slots", slot);
  random_law((tb_key){ seed, k, tb_use("ginc start") }, 10, STATES, start);
  for (size_t i = 0; i < STATES; i++)
    for (size_t j = 0; j < STATES; j++)
      transition[i * STATES + j] = value[i / SLOTS * VALUES + j / SLOTS] * slot[i % SLOTS * SLOTS + j % SLOTS];
  return tb_hmm_set(m, k, 1.0 / TB_GINC_CONCEPTS, STATES, start, transition, NULL, memory);
}

tb_status tb_hmm_ginc(tb_context *context, size_t vocabulary, uint64_t seed, tb_hmm **mixture) {
  tb_hmm *m;
  tb_status status = tb_hmm_new(context, vocabulary, TB_GINC_CONCEPTS, &m);
  *mixture = NULL;
  if (status)
    return status;
  uint32_t memory[STATES];
  double value[VALUES * VALUES];
  double *transition = tb_arena_allocate(m->arena, STATES * STATES, sizeof *transition);
  status = transition ? name_tokens(m) : TB_NO_MEMORY;
  for (size_t j = 0; j < STATES; j++)
    memory[j] = j % SLOTS == 0
                    ? 0
                    : 1 + (uint32_t)tb_random_below((tb_key){ seed, 0, tb_use("ginc memory") }, j, vocabulary - 1);
  mixed_permutations(seed, 0, "ginc values", value);
  for (size_t i = 0; i < VALUES * VALUES; i++)
    value[i] = 0.1 * value[i] + (i / VALUES == i % VALUES ? 0.9 : 0);
  for (uint32_t k = 0; k < TB_GINC_CONCEPTS && !status; k++)
    status = add_concept(m, seed, k, value, memory, transition);
  m->ginc = true;
  if (status)
    tb_hmm_free(m);
  else
    *mixture = m;
  return status;
}
