/* Suggestions for mistyped words: the optimal string alignment distance (Levenshtein's with swaps of neighbours).
 *
 * Letter case and the joints - _ . and space cost half of a real difference.  An unfinished word ("meth") counts as one
 * difference from what it begins.  Suggested is what differs in at most a third of its letters. */
#include <tiebreak/base.h>

#include <string.h>

enum { LONGEST = 64, WHOLE = 2, HALF = 1 };

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c == '-' || c == '.' || c == ' ' ? '_' : c;
}

static int difference(char a, char b) {
  return a == b ? 0 : lower(a) == lower(b) ? HALF : WHOLE;
}

static int least(int a, int b) {
  return a < b ? a : b;
}

/* In halves of a difference. */
static int distance(const char *a, size_t n, const char *b, size_t m) {
  int rows[3][LONGEST + 1]; /* the row before the last, the last, this one; [i][j]: first i of a, first j of b */
  int *before = rows[0], *last = rows[1], *row = rows[2];
  for (size_t j = 0; j <= m; j++)
    last[j] = WHOLE * (int)j;
  for (size_t i = 1; i <= n; i++) {
    row[0] = WHOLE * (int)i;
    for (size_t j = 1; j <= m; j++) {
      int best = least(last[j], row[j - 1]) + WHOLE;
      best = least(best, last[j - 1] + difference(a[i - 1], b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] != b[j - 1] && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        best = least(best, before[j - 2] + WHOLE);
      row[j] = best;
    }
    int *oldest = before;
    before = last;
    last = row;
    row = oldest;
  }
  return last[m];
}

const char *tb_suggest(const char *word, const char *const *candidates, size_t count) {
  size_t n = strlen(word);
  const char *nearest = NULL;
  int nearest_distance = 0;
  if (n == 0 || n > LONGEST)
    return NULL;
  for (size_t i = 0; i < count; i++) {
    size_t m = strlen(candidates[i]);
    if (m == 0 || m > LONGEST)
      continue;
    int d = distance(word, n, candidates[i], m);
    int allowed = WHOLE * (int)((n > m ? n : m) / 3);
    if (n >= 3 && strncmp(word, candidates[i], n) == 0) {
      d = least(d, WHOLE);
      allowed = WHOLE;
    }
    if (d <= (allowed > WHOLE ? allowed : WHOLE) && d < WHOLE * (int)(n < m ? n : m) &&
        (!nearest || d < nearest_distance)) {
      nearest = candidates[i];
      nearest_distance = d;
    }
  }
  return nearest;
}
