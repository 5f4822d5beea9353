/* One pass over the text: at each place the first matching rewriting is applied, else the character is copied.
 *
 * Colours become `var(--name)`, so that the page's style sheet decides.  What the style sheet says of every picture,
 * groups and marks that draw nothing and what no pixel could show are left out: most of what gnuplot writes. */
#include "report/svg.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/palette.h"
#include "report/svg_path.h"

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
  { "id=\"gnuplot_canvas\"", "" },
  { "xlink:href='#", "href='#%s-" },
  { "xlink:href=\"#", "href=\"#%s-" },
  { "url(#", "url(#%s-" },
  { " id='", " id='%s-" },
  { " id=\"", " id=\"%s-" },
  { " color=\"black\"", "" },
  { "\"black\"", "\"var(--ink)\"" },
  { "'black'", "'var(--ink)'" },
  { " font-family=\"sans-serif\"", "" },
  { " fill=\"none\"", "" }, /* page.css: .picture svg */
  { " stroke-width=\"1.00\"", "" },
  { " stroke-linecap=\"round\" stroke-linejoin=\"round\"", "" },
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

/* <g …></g> around nothing */
static size_t skip_empty_group(const char *s) {
  const char *end = strncmp(s, "<g ", 3) == 0 ? strchr(s, '>') : NULL;
  if (!end)
    return 0;
  end += 1 + strspn(end + 1, " \t\r\n");
  return strncmp(end, "</g>", 4) == 0 ? (size_t)(end - s) + 4 : 0;
}

/* A mark among the definitions (<path id='gpPt3' …/>, <filter id='textbox' …>…</filter>) that nothing refers to. */
static size_t skip_unused_mark(const char *s, const char *svg) {
  static const char *const elements[] = { "<path ", "<rect ", "<circle ", "<use ", "<filter " };
  for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
    if (strncmp(s, elements[i], strlen(elements[i])) != 0)
      continue;
    const char *close = i == 4 ? "</filter>" : "/>", *end = strstr(s, close), *id = strstr(s, " id='");
    char reference[40];
    if (!end || !id || id > end || strcspn(id + 5, "'") + 2 > sizeof reference)
      return 0;
    reference[0] = '#';
    memcpy(reference + 1, id + 5, strcspn(id + 5, "'"));
    reference[1 + strcspn(id + 5, "'")] = '\0';
    for (const char *found = svg; (found = strstr(found, reference)); found++)
      if (strchr("'\")", found[strlen(reference)])) /* gpPt1 is no gpPt12 */
        return 0;
    return (size_t)(end - s) + strlen(close);
  }
  return 0;
}

/* d='…' of a path, points = '…' of a polygon; gnuplot's names of plots. */
static size_t rewrite_attribute(const char *s, tb_text *page) {
  static const struct { const char *from, *to; } lines[] = { { " d='", " d='" }, { " points = '", " points='" } };
  static const char plot[] = " id=\"gnuplot_plot_";
  if (strncmp(s, plot, strlen(plot)) == 0)
    return strlen(plot) + strcspn(s + strlen(plot), "\"") + 1;
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    const size_t start = strlen(lines[i].from);
    if (strncmp(s, lines[i].from, start) != 0)
      continue;
    const size_t length = strcspn(s + start, "'");
    tb_text_add(page, lines[i].to);
    tb_svg_line(page, s + start, length);
    return start + length;
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
  const char *definitions = strstr(svg, "</defs>"); /* where they end */
  bool tag = false;                                 /* rewritings apply inside tags only: text is text */
  for (const char *s = body + 1; *s;) {
    size_t skipped = skip_element(s);
    if (!skipped && *s == '<')
      skipped = skip_empty_group(s);
    if (!skipped && *s == '<' && definitions && s < definitions)
      skipped = skip_unused_mark(s, svg);
    if (!skipped && tag) {
      skipped = rewrite_attribute(s, page);
      if (!skipped)
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
