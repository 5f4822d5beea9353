/* One pass over the text: at each place the first matching rewriting is applied, else the character is copied.
 *
 * Colours become `var(--name)`, so that the page's style sheet decides; coordinates lose nothing. */
#include "report/svg.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/palette.h"

/* ---- colours ---- */

/* The palette's name for a colour, or NULL. */
static const char *named(unsigned rgb) {
  for (size_t i = 0; i < tb_palette_count; i++)
    if (tb_palette[i].drawn && strtoul(tb_palette[i].light + 1, NULL, 16) == rgb)
      return tb_palette[i].name;
  return rgb == 0 ? "ink" : NULL;
}

/* "rgb( 27,  29,  32)" at s: its length and value, 0 when it is none. */
static size_t match_rgb(const char *s, unsigned *rgb) {
  unsigned r, g, b;
  int length = 0;
  if (sscanf(s, "rgb(%u,%u,%u)%n", &r, &g, &b, &length) != 3 || length == 0)
    return 0;
  *rgb = r << 16 | g << 8 | b;
  return (size_t)length;
}

static size_t rewrite_colour(const char *s, tb_text *page) {
  unsigned rgb = 0;
  size_t length = strncmp(s, "rgb(", 4) == 0 ? match_rgb(s, &rgb) : 0;
  const char *name = length ? named(rgb) : NULL;
  if (!name)
    return 0;
  tb_text_format(page, "var(--%s)", name);
  return length;
}

/* ---- everything else ---- */

/* What is replaced by what; %s is the prefix of ids. */
static const struct {
  const char *from, *to;
} rewritings[] = {
  { "id=\"gnuplot_canvas\"", "" },   { "xlink:href='#", "href='#%s-" }, { "xlink:href=\"#", "href=\"#%s-" },
  { "url(#", "url(#%s-" },           { " id='", " id='%s-" },           { " id=\"", " id=\"%s-" },
  { "\"black\"", "\"var(--ink)\"" }, { "'black'", "'var(--ink)'" },     { " font-family=\"sans-serif\"", "" },
};

static size_t rewrite_word(const char *s, const char *prefix, tb_text *page) {
  for (size_t i = 0; i < sizeof rewritings / sizeof *rewritings; i++) {
    size_t length = strlen(rewritings[i].from);
    if (strncmp(s, rewritings[i].from, length) != 0)
      continue;
    const char *mark = strstr(rewritings[i].to, "%s");
    if (mark) {
      tb_text_add_bytes(page, rewritings[i].to, (size_t)(mark - rewritings[i].to));
      tb_text_add(page, prefix);
      tb_text_add(page, mark + 2);
    } else {
      tb_text_add(page, rewritings[i].to);
    }
    return length;
  }
  return 0;
}

/* <title>Gnuplot</title>, <desc>…</desc>, comments: left out. */
static size_t skip_element(const char *s) {
  static const char *const ends[][2] = { { "<title", "</title>" }, { "<desc", "</desc>" }, { "<!--", "-->" } };
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    if (strncmp(s, ends[i][0], strlen(ends[i][0])) == 0) {
      const char *end = strstr(s, ends[i][1]);
      return end ? (size_t)(end - s) + strlen(ends[i][1]) : 0;
    }
  return 0;
}

void tb_svg_inline(tb_text *page, const char *svg, const char *css_class, const char *prefix) {
  const char *start = strstr(svg, "<svg"), *box = strstr(svg, "viewBox=\"");
  const char *body = start ? strchr(start, '>') : NULL;
  if (!body || !box)
    return;
  tb_text_format(page, "<svg class=\"%s\" aria-hidden=\"true\" focusable=\"false\" %.*s>", css_class,
                 (int)(strcspn(box + 9, "\"") + 10), box);
  bool tag = false; /* rewritings apply inside tags only: text is text */
  for (const char *s = body + 1; *s;) {
    size_t skipped = skip_element(s);
    if (!skipped && tag) {
      skipped = rewrite_colour(s, page);
      if (!skipped)
        skipped = rewrite_word(s, prefix, page);
    }
    if (skipped) {
      s += skipped;
      continue;
    }
    tag = *s == '<' || (tag && *s != '>');
    /* Line ends and indentation between tags are gnuplot's, not the picture's. */
    if (!tag && s > svg && s[-1] == '>' && isspace((unsigned char)*s)) {
      const char *next = s + strspn(s, " \t\r\n");
      if (*next == '<') {
        s = next;
        continue;
      }
    }
    tb_text_add_bytes(page, s++, 1);
  }
}
