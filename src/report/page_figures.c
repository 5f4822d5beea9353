/* The figures, part by part: the telling ones in full, the others under "more figures"; each with its data and script
 * inside the page. */
#include <string.h>

#include "report/page.h"
#include "report/svg.h"
#include "report/write.h"

/* Packed; the page's script unpacks it on the way to the reader. */
static void add_download(tb_text *page, const char *name, const char *extension, const tb_text *data,
                         const char *words) {
  tb_text_format(page, "<a class=\"download\" download=\"%s.%s.gz\" href=\"data:application/gzip;base64,", name,
                 extension);
  tb_write_packed(page, data->data, data->length);
  tb_text_format(page, "\">%s</a> ", words);
}

static void add_drawing(tb_text *page, const char *svg, const char *css_class, const char *name, char suffix) {
  char prefix[160];
  size_t length = strlen(name) < sizeof prefix - 3 ? strlen(name) : sizeof prefix - 3;
  memcpy(prefix, name, length);
  prefix[length] = '-';
  prefix[length + 1] = suffix;
  prefix[length + 2] = '\0';
  tb_svg_inline(page, svg, css_class, prefix);
}

static void add_picture(tb_text *page, const tb_source *source, size_t p) {
  const tb_picture *picture = &source->pictures[p];
  const tb_drawn *drawn = source->drawn ? &source->drawn[p] : NULL;
  tb_text_add(page, "<figure id=\"");
  tb_page_anchor(page, "figure", p, picture->name);
  tb_text_add(page, "\">\n");
  if (drawn && drawn->wide) {
    tb_text_add(page, "<div class=\"picture\" role=\"img\" aria-label=\"");
    tb_write_html(page, picture->figure->title);
    tb_text_add(page, ". ");
    tb_write_html(page, tb_chapter_heading(picture->chapter));
    tb_text_add(page, ". ");
    tb_write_html(page, picture->figure->caption);
    if (picture->note) {
      tb_text_add(page, " ");
      tb_write_html(page, picture->note);
    }
    tb_text_add(page, "\">\n");
    add_drawing(page, drawn->wide, drawn->narrow ? "wide" : "any", picture->name, 'w');
    if (drawn->narrow)
      add_drawing(page, drawn->narrow, "narrow", picture->name, 'n');
    tb_text_add(page, "\n</div>\n");
  } else {
    tb_text_add(page, "<div class=\"picture missing\"><p>No picture: ");
    tb_text_add(page, *source->gnuplot ? "gnuplot could not draw it" : "gnuplot is not installed");
    tb_text_add(page, ". Its data and script are here.</p></div>\n");
  }
  tb_text_add(page, "<figcaption><h4>");
  tb_write_html(page, picture->figure->title);
  tb_text_add(page, "</h4>\n<p>");
  tb_write_html(page, picture->figure->caption);
  if (picture->note) {
    tb_text_add(page, " ");
    tb_write_html(page, picture->note);
  }
  tb_text_add(page, "</p>\n<p class=\"downloads\">");
  add_download(page, picture->name, "csv", &picture->csv, "Data (CSV)");
  add_download(page, picture->name, "gp", &picture->script, "Script (gnuplot)");
  tb_text_add(page, "</p></figcaption>\n</figure>\n");
}

static size_t add_pictures(tb_text *page, const tb_source *source, const tb_chapter *chapter, bool lead) {
  size_t count = 0;
  for (size_t p = 0; p < source->n_pictures; p++)
    if (source->pictures[p].chapter == chapter && source->pictures[p].lead == lead) {
      if (page)
        add_picture(page, source, p);
      count++;
    }
  return count;
}

void tb_page_figures(tb_text *page, const tb_source *source) {
  size_t shown = 0;
  tb_page_section(page, source, "figures", "Figures");
  if (*source->trouble) {
    tb_text_add(page, "<p class=\"warned\">");
    tb_write_html(page, source->trouble);
    tb_text_add(page, "</p>\n");
  }
  for (size_t c = 0; c < source->n_chapters; c++) {
    const tb_chapter *chapter = &source->chapters[c];
    if (!tb_page_shows(source, chapter->study))
      continue;
    size_t lead = add_pictures(NULL, source, chapter, true), more = add_pictures(NULL, source, chapter, false);
    if (lead + more == 0)
      continue;
    shown++;
    tb_text_add(page, "<section class=\"part\" id=\"");
    tb_page_anchor(page, "part", c, chapter->name);
    tb_text_add(page, "\">\n<h3>");
    tb_write_html(page, tb_chapter_heading(chapter));
    tb_text_add(page, "</h3>\n");
    add_pictures(page, source, chapter, true);
    if (more) {
      tb_text_format(page, "<details%s><summary>%zu more figure%s of this part</summary>\n", lead ? "" : " open", more,
                     more == 1 ? "" : "s");
      add_pictures(page, source, chapter, false);
      tb_text_add(page, "</details>\n");
    }
    tb_text_add(page, "</section>\n");
  }
  if (shown == 0)
    tb_text_add(page, "<p>These runs have nothing to draw (figures need several snapshots or several runs).</p>\n");
  tb_text_add(page, "</section>\n");
}
