/* gnuplot writes a point for every row of data and two decimals of each; a pixel shows neither.
 *
 * Ramer, Douglas and Peucker: of a line the two ends are kept, and, where some point lies farther than the tolerance
 * from the chord, the farthest one, with both halves treated alike.  The data beside the picture keep every row. */
#include "report/svg_path.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double tolerance = 0.15; /* pixels */

enum { MOST_POINTS = 1024, MOST_PARTS = 64 };

typedef struct line {
  size_t n;
  double x[MOST_POINTS], y[MOST_POINTS];
  bool keep[MOST_POINTS];
} line;

/* How far point k lies from the chord a…b. */
static double distance(const line *l, size_t a, size_t b, size_t k) {
  const double dx = l->x[b] - l->x[a], dy = l->y[b] - l->y[a], px = l->x[k] - l->x[a], py = l->y[k] - l->y[a];
  const double length = dx * dx + dy * dy;
  double along = length > 0 ? (px * dx + py * dy) / length : 0;
  along = fmin(fmax(along, 0), 1);
  return hypot(px - along * dx, py - along * dy);
}

static void thin(line *l) {
  size_t ends[MOST_PARTS][2], parts = 0;
  memset(l->keep, 0, l->n * sizeof *l->keep);
  l->keep[0] = l->keep[l->n - 1] = true;
  ends[parts][0] = 0;
  ends[parts++][1] = l->n - 1;
  while (parts) {
    const size_t a = ends[--parts][0], b = ends[parts][1];
    size_t farthest = a;
    double worst = tolerance;
    for (size_t k = a + 1; k < b; k++)
      if (distance(l, a, b, k) > worst)
        worst = distance(l, a, b, farthest = k);
    if (farthest == a)
      continue;
    l->keep[farthest] = true;
    if (parts + 2 > MOST_PARTS) { /* cannot be told apart in time: keep the rest as it is */
      for (size_t k = a; k < b; k++)
        l->keep[k] = true;
      continue;
    }
    ends[parts][0] = a;
    ends[parts++][1] = farthest;
    ends[parts][0] = farthest;
    ends[parts++][1] = b;
  }
}

/* A tenth of a pixel: 12, 12.3 */
static void add_number(tb_text *page, double value) {
  const long tenths = lround(10 * value), size = labs(tenths);
  tb_text_format(page, "%s%ld", tenths < 0 ? "-" : "", size / 10);
  if (size % 10)
    tb_text_format(page, ".%ld", size % 10);
}

static void add_line(tb_text *page, line *l, const char *command) {
  if (l->n == 0)
    return;
  thin(l);
  tb_text_add(page, command);
  for (size_t k = 0; k < l->n; k++)
    if (l->keep[k]) {
      if (k > 0)
        tb_text_add(page, " ");
      add_number(page, l->x[k]);
      tb_text_add(page, ",");
      add_number(page, l->y[k]);
    }
  l->n = 0;
}

/* -12.34, whatever the locale; where it ends, or NULL. */
static const char *read_number(const char *s, double *value) {
  const bool negative = *s == '-';
  double unit = 1;
  *value = 0;
  s += negative;
  if (*s < '0' || *s > '9')
    return NULL;
  for (; *s >= '0' && *s <= '9'; s++)
    *value = 10 * *value + (*s - '0');
  if (*s == '.')
    for (s++; *s >= '0' && *s <= '9'; s++)
      *value += (unit /= 10) * (*s - '0');
  *value = negative ? -*value : *value;
  return s;
}

static const char *read_point(const char *s, line *l) {
  double x, y;
  const char *comma = read_number(s, &x), *end = comma && *comma == ',' ? read_number(comma + 1, &y) : NULL;
  if (end) {
    l->x[l->n] = x;
    l->y[l->n++] = y;
  }
  return end;
}

void tb_svg_line(tb_text *page, const char *coordinates, size_t length) {
  const char *end = coordinates + length, *command = ""; /* a polygon has none */
  line l = { .n = 0 };
  if (strspn(coordinates, "MLZ0123456789.,- \t\r\n") < length) {
    tb_text_add_bytes(page, coordinates, length);
    return;
  }
  for (const char *s = coordinates; s && s < end;) {
    if (*s == 'M' || *s == 'Z') {
      add_line(page, &l, command);
      command = *s == 'M' ? "M" : "Z";
      if (*s++ == 'Z')
        tb_text_add(page, "Z");
    } else if (strchr("L, \t\r\n", *s)) {
      s++;
    } else if (l.n == MOST_POINTS) { /* goes on where it was */
      const double x = l.x[l.n - 1], y = l.y[l.n - 1];
      add_line(page, &l, command);
      command = *command ? "L" : " ";
      l.x[0] = x;
      l.y[0] = y;
      l.n = 1;
    } else {
      s = read_point(s, &l);
    }
  }
  add_line(page, &l, command);
}
