/* Judging a claim over finished runs.
 *
 * Exact kinds look at the worst run: |v − r|, v − r or r − v against the tolerance.  BELOW compares two arms: the mean
 * over seeds of v₀ − v₁, paired by seed and by every option that both arms vary in the same way, with Student's 95 %
 * interval of that mean.  MEAN compares the mean over seeds of v − r with the tolerance plus the interval's half width.
 * LESS is BELOW with the reference of the same run in place of another arm.
 * SLOPE fits v = a + b r over the runs of each seed and compares the mean of b with 1.
 * A seed counts once however many runs share it.  Nothing here knows a study by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiebreak/study.h>

#include <tiebreak/statistics.h>

typedef struct observation {
  const tb_outcome *outcome;
  double value, reference;
  int arm;
  const char *seed;
  const char *key; /* what a pair must share besides the seed */
} observation;

typedef struct sample {
  tb_context *context;
  tb_arena *arena;
  observation *items; /* sorted by seed and key before they are grouped */
  size_t count;
  double *per_seed; /* scratch: one number a seed */
} sample;

static const char *option_text(const tb_config *config, const char *name) {
  for (size_t i = 0; i < tb_config_count(config); i++)
    if (strcmp(tb_config_option(config, i)->name, name) == 0)
      return tb_config_text(config, i);
  return "";
}

static int compare_texts(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct texts of an option in one arm, sorted; returns their number. */
static size_t texts_of_arm(const sample *s, int arm, size_t option, const char **texts) {
  size_t count = 0, distinct = 0;
  for (size_t i = 0; i < s->count; i++)
    if (s->items[i].arm == arm)
      texts[count++] = tb_config_text(s->items[i].outcome->config, option);
  qsort(texts, count, sizeof *texts, compare_texts);
  for (size_t i = 0; i < count; i++)
    if (i == 0 || strcmp(texts[i], texts[distinct - 1]) != 0)
      texts[distinct++] = texts[i];
  return distinct;
}

/* An option takes part in the pairing when both arms vary it over the same set of values. */
static bool pairs_by(const sample *s, size_t option, const char **scratch) {
  const char **first = scratch, **second = scratch + s->count;
  size_t n_first = texts_of_arm(s, 0, option, first), n_second = texts_of_arm(s, 1, option, second);
  if (n_first < 2 || n_first != n_second)
    return false;
  for (size_t i = 0; i < n_first; i++)
    if (strcmp(first[i], second[i]) != 0)
      return false;
  return true;
}

/* Writes every item's key.  All outcomes of a claim are of one study, so their option tables are the same. */
static tb_status make_keys(sample *s) {
  size_t options = s->count ? tb_config_count(s->items[0].outcome->config) : 0, kept = 0;
  const char **scratch = tb_arena_allocate(s->arena, 2 * s->count + 1, sizeof *scratch);
  size_t *pairing = tb_arena_allocate(s->arena, options + 1, sizeof *pairing);
  if (!scratch || !pairing)
    return TB_NO_MEMORY;
  for (size_t k = 0; k < options; k++)
    if (strcmp(tb_config_option(s->items[0].outcome->config, k)->name, "seed") != 0 && pairs_by(s, k, scratch))
      pairing[kept++] = k;
  for (size_t i = 0; i < s->count; i++) {
    tb_text key = tb_text_new(s->context);
    tb_text_add(&key, "");
    for (size_t k = 0; k < kept; k++)
      tb_text_format(&key, "%s\n", tb_config_text(s->items[i].outcome->config, pairing[k]));
    tb_status status = tb_text_finish(&key);
    s->items[i].key = status ? NULL : tb_arena_text(s->arena, key.data ? key.data : "");
    tb_text_free(&key);
    if (!s->items[i].key)
      return TB_NO_MEMORY;
  }
  return TB_OK;
}

static int compare_items(const void *a, const void *b) {
  const observation *first = a, *second = b;
  int seeds = strcmp(first->seed, second->seed), keys = strcmp(first->key, second->key);
  if (seeds || keys)
    return seeds ? seeds : keys;
  return (first->outcome > second->outcome) - (first->outcome < second->outcome);
}

/* per_seed[] = mean over a seed's runs of value, or of value − reference; returns the number of seeds. */
static size_t means_by_seed(sample *s, bool difference) {
  size_t seeds = 0;
  for (size_t i = 0, end; i < s->count; i = end) {
    double sum = 0;
    for (end = i; end < s->count && strcmp(s->items[end].seed, s->items[i].seed) == 0; end++)
      sum += difference ? s->items[end].value - s->items[end].reference : s->items[end].value;
    s->per_seed[seeds++] = sum / (double)(end - i);
  }
  return seeds;
}

/* per_seed[] = mean over a seed's keys of (mean of arm 0 − mean of arm 1); seeds that lack an arm are left out. */
static size_t paired_differences(sample *s) {
  size_t seeds = 0;
  for (size_t i = 0, end; i < s->count; i = end) {
    double sum = 0;
    size_t pairs = 0;
    for (end = i; end < s->count && strcmp(s->items[end].seed, s->items[i].seed) == 0;) {
      const char *key = s->items[end].key;
      double arms[2] = { 0, 0 };
      size_t counts[2] = { 0, 0 };
      for (; end < s->count && strcmp(s->items[end].seed, s->items[i].seed) == 0 && strcmp(s->items[end].key, key) == 0;
           end++) {
        arms[s->items[end].arm] += s->items[end].value;
        counts[s->items[end].arm]++;
      }
      if (counts[0] && counts[1]) {
        sum += arms[0] / (double)counts[0] - arms[1] / (double)counts[1];
        pairs++;
      }
    }
    if (pairs)
      s->per_seed[seeds++] = sum / (double)pairs;
  }
  return seeds;
}

/* How far a run is beyond its reference in the direction that the claim forbids; NaN counts as infinitely far. */
static double excess(tb_claim_kind kind, double value, double reference) {
  if (value == reference)
    return 0; /* also equal infinities */
  double difference = kind == TB_CLAIM_AT_LEAST ? reference - value : value - reference;
  if (kind == TB_CLAIM_AGREES)
    difference = fabs(difference);
  return isnan(difference) ? INFINITY : difference;
}

static void TB_PRINTF(2, 3) undecided(tb_verdict *verdict, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  verdict->word = TB_UNDECIDED;
  vsnprintf(verdict->note, sizeof verdict->note, format, arguments);
  va_end(arguments);
}

static bool enough_seeds(tb_verdict *verdict) {
  int least = verdict->claim->min_seeds > 2 ? verdict->claim->min_seeds : 2;
  if (verdict->seeds >= (size_t)least)
    return true;
  undecided(verdict, "%zu of at least %d seeds", verdict->seeds, least);
  return false;
}

static void judge_exact(sample *s, tb_verdict *verdict) {
  const tb_claim *claim = verdict->claim;
  size_t worst = 0;
  for (size_t i = 1; i < s->count; i++)
    if (excess(claim->kind, s->items[i].value, s->items[i].reference) >
        excess(claim->kind, s->items[worst].value, s->items[worst].reference))
      worst = i;
  verdict->value = s->items[worst].value;
  verdict->reference = s->items[worst].reference;
  verdict->seeds = means_by_seed(s, false);
  tb_mean_interval(verdict->seeds, s->per_seed, 0.95, &verdict->low, &verdict->high);
  bool holds = excess(claim->kind, verdict->value, verdict->reference) <= claim->tolerance;
  verdict->word = holds ? TB_HOLDS : TB_FAILS;
  if (holds && claim->min_seeds > 1 && !enough_seeds(verdict))
    return;
  if (s->count > 1)
    snprintf(verdict->note, sizeof verdict->note, "worst of %zu runs: %.100s", s->count, s->items[worst].outcome->run);
}

/* How many seeds would decide nine times in ten if mean and spread are what these say: ((1.96 + 1.28) sd / distance)².
 */
static void straddling(const sample *s, tb_verdict *verdict) {
  enum { MOST = 10000 };
  const double distance = fabs(verdict->value + verdict->claim->tolerance);
  const double sd = tb_sd_of(verdict->seeds, s->per_seed), root = 3.24 * sd / distance;
  if (root * root <= MOST)
    undecided(verdict, "the interval over %zu seeds straddles the threshold; at this mean and spread %.0f would decide",
              verdict->seeds, fmax(ceil(root * root), (double)verdict->seeds + 1));
  else
    undecided(verdict, "the interval over %zu seeds straddles the threshold, and the mean lies at it", verdict->seeds);
}

/* per_seed[seeds] holds differences. */
static void judge_differences(sample *s, tb_verdict *verdict) {
  const tb_claim *claim = verdict->claim;
  verdict->value = tb_mean_of(verdict->seeds, s->per_seed);
  tb_mean_interval(verdict->seeds, s->per_seed, 0.95, &verdict->low, &verdict->high);
  if (!enough_seeds(verdict))
    return;
  if (verdict->high < -claim->tolerance)
    verdict->word = TB_HOLDS;
  else if (verdict->low > -claim->tolerance)
    verdict->word = TB_FAILS;
  else
    straddling(s, verdict);
}

static tb_status judge_below(sample *s, tb_verdict *verdict) {
  if (make_keys(s))
    return TB_NO_MEMORY;
  qsort(s->items, s->count, sizeof *s->items, compare_items);
  verdict->reference = 0;
  verdict->seeds = paired_differences(s);
  if (verdict->seeds == 0) {
    verdict->value = NAN;
    undecided(verdict, "no seed ran on both sides of the comparison");
    return TB_OK;
  }
  judge_differences(s, verdict);
  return TB_OK;
}

static void judge_less(sample *s, tb_verdict *verdict) {
  verdict->reference = 0;
  verdict->seeds = means_by_seed(s, true);
  judge_differences(s, verdict);
}

static void judge_mean(sample *s, tb_verdict *verdict) {
  const tb_claim *claim = verdict->claim;
  verdict->seeds = means_by_seed(s, true);
  double difference = tb_mean_of(verdict->seeds, s->per_seed), low, high;
  tb_mean_interval(verdict->seeds, s->per_seed, 0.95, &low, &high);
  double half = (high - low) / 2;
  means_by_seed(s, false);
  verdict->value = tb_mean_of(verdict->seeds, s->per_seed);
  verdict->reference = verdict->value - difference;
  verdict->low = verdict->value - half;
  verdict->high = verdict->value + half;
  if (enough_seeds(verdict))
    verdict->word = fabs(difference) <= claim->tolerance + half ? TB_HOLDS : TB_FAILS;
}

/* Least-squares slopes of value over reference, one a seed; seeds whose references are all the same have none. */
static size_t slopes_by_seed(sample *s) {
  size_t seeds = 0;
  for (size_t i = 0, end; i < s->count; i = end) {
    double r = 0, v = 0, rr = 0, rv = 0;
    for (end = i; end < s->count && strcmp(s->items[end].seed, s->items[i].seed) == 0; end++)
      r += s->items[end].reference, v += s->items[end].value;
    for (size_t j = i; j < end; j++) {
      double centred = s->items[j].reference - r / (double)(end - i);
      rr += centred * centred;
      rv += centred * (s->items[j].value - v / (double)(end - i));
    }
    if (rr != 0)
      s->per_seed[seeds++] = rv / rr;
  }
  return seeds;
}

static void judge_slope(sample *s, tb_verdict *verdict) {
  const tb_claim *claim = verdict->claim;
  verdict->reference = 1;
  verdict->seeds = slopes_by_seed(s);
  verdict->value = verdict->seeds ? tb_mean_of(verdict->seeds, s->per_seed) : NAN;
  tb_mean_interval(verdict->seeds, s->per_seed, 0.95, &verdict->low, &verdict->high);
  if (verdict->seeds == 0)
    undecided(verdict, "no seed has two points of the line");
  else if (enough_seeds(verdict))
    verdict->word = fabs(verdict->value - 1) <= claim->tolerance ? TB_HOLDS : TB_FAILS;
}

/* Measures the claim on every outcome it applies to.  *problem: the first run on which it cannot be measured. */
static tb_status measure_all(sample *s, const tb_claim *claim, size_t n, const tb_outcome *outcomes,
                             const char **problem) {
  *problem = NULL;
  for (size_t i = 0; i < n; i++) {
    int arm = claim->arm(outcomes[i].config);
    if (arm < 0)
      continue;
    observation *item = &s->items[s->count++];
    *item = (observation){ .outcome = &outcomes[i], .arm = arm, .value = NAN, .reference = NAN, .key = "" };
    item->seed = option_text(outcomes[i].config, "seed");
    tb_status status = claim->measure(s->context, &outcomes[i], &item->value, &item->reference);
    if (status == TB_NO_MEMORY)
      return status;
    if (!status && isnan(item->value) && isnan(item->reference))
      s->count--; /* the measure found that the claim does not apply */
    if (status && !*problem)
      *problem = tb_arena_text(s->arena, tb_context_message(s->context));
  }
  return TB_OK;
}

tb_status tb_claim_judge(tb_context *context, const tb_claim *claim, size_t n, const tb_outcome *outcomes,
                         bool *applies, tb_verdict *verdict) {
  *verdict =
      (tb_verdict){ .claim = claim, .word = TB_UNDECIDED, .value = NAN, .reference = NAN, .low = NAN, .high = NAN };
  *applies = false;
  sample s = { .context = context, .arena = tb_arena_new(context) };
  if (!s.arena)
    return TB_NO_MEMORY;
  tb_status status = TB_NO_MEMORY;
  const char *problem;
  s.items = tb_arena_allocate(s.arena, n + 1, sizeof *s.items);
  s.per_seed = tb_arena_allocate(s.arena, n + 1, sizeof *s.per_seed);
  if (!s.items || !s.per_seed || (status = measure_all(&s, claim, n, outcomes, &problem)))
    goto done;
  *applies = s.count > 0;
  verdict->runs = s.count;
  qsort(s.items, s.count, sizeof *s.items, compare_items);
  if (problem) {
    verdict->seeds = means_by_seed(&s, false);
    snprintf(verdict->note, sizeof verdict->note, "%.150s", problem);
    tb_context_clear(context);
  } else if (s.count == 0)
    ;
  else if (claim->kind == TB_CLAIM_BELOW)
    status = judge_below(&s, verdict);
  else if (claim->kind == TB_CLAIM_LESS)
    judge_less(&s, verdict);
  else if (claim->kind == TB_CLAIM_MEAN)
    judge_mean(&s, verdict);
  else if (claim->kind == TB_CLAIM_SLOPE)
    judge_slope(&s, verdict);
  else
    judge_exact(&s, verdict);
done:
  tb_arena_free(s.arena);
  return status;
}
