/* The frame of the page: head, title, the two sentences, the summary, and the sections one after another. */
#include "report/page.h"

#include <stdio.h>
#include <string.h>
#include <tiebreak/tiebreak.h>

#include "report/assets.h"
#include "report/palette.h"
#include "report/write.h"

static const char explanation[] =
    "When many solutions fit equally well, which one do you get, and how do they differ? "
    "tiebreak answers by experiment: every line of the table below is a sentence of a paper, measured on recorded runs "
    "and judged against a reference that was obtained independently of the code under test.";

/* ---- pieces ---- */

void tb_page_anchor(tb_text *page, const char *kind, size_t index, const char *name) {
  tb_text_format(page, "%s-%zu-", kind, index + 1);
  tb_write_slug(page, name);
}

const tb_study *tb_claim_study(const tb_source *source, const tb_claim *claim) {
  for (size_t c = 0; c < source->n_chapters; c++) {
    const tb_study *study = source->chapters[c].study;
    for (size_t i = 0; i < study->n_claims; i++)
      if (study->claims[i] == claim)
        return study;
  }
  return NULL;
}

const char *tb_chapter_heading(const tb_chapter *chapter) {
  return chapter->title && *chapter->title ? chapter->title : chapter->name;
}

/* ---- head ---- */

static void add_head(tb_text *page, const char *title) {
  tb_text_add(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                    "'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>");
  tb_write_html(page, title);
  tb_text_add(page, " · tiebreak");
  tb_text_add(page, "</title>\n<style>\n:root{color-scheme:light dark;");
  tb_palette_css(page, false);
  tb_text_add(page, "}\n@media (prefers-color-scheme:dark){:root:not([data-theme=light]){");
  tb_palette_css(page, true);
  tb_text_add(page, "}}\n:root[data-theme=dark]{color-scheme:dark;");
  tb_palette_css(page, true);
  tb_text_add(page, "}\n:root[data-theme=light]{color-scheme:light}\n");
  tb_text_add(page, tb_asset_page_css);
  tb_text_add(page, "</style>\n</head>\n");
}

/* ---- title and summary ---- */

/* "A paper (its authors 2021)": the authors go below. */
static void add_title(tb_text *page, const char *title) {
  const char *authors = strrchr(title, '(');
  size_t length = strlen(title);
  bool apart = authors && authors > title + 1 && authors[-1] == ' ' && title[length - 1] == ')';
  char part[300];
  snprintf(part, sizeof part, "%.*s", apart ? (int)(authors - 1 - title) : (int)length, title);
  tb_text_add(page, "<p class=\"paper\">tiebreak report on</p>\n<h1>");
  tb_write_html(page, part);
  tb_text_add(page, "</h1>\n");
  if (!apart)
    return;
  snprintf(part, sizeof part, "%.*s", (int)(title + length - 1 - (authors + 1)), authors + 1);
  tb_text_add(page, "<p class=\"paper\">");
  tb_write_html(page, part);
  tb_text_add(page, "</p>\n");
}

static void add_count(tb_text *page, const char *css_class, size_t count, const char *one, const char *many) {
  tb_text_format(page, "<li class=\"%s\"><b>%zu</b> %s</li>\n", css_class, count, count == 1 ? one : many);
}

static size_t count_verdicts(const tb_source *source, tb_verdict_word word) {
  size_t count = 0;
  for (size_t v = 0; v < source->n_verdicts; v++)
    count += source->verdicts[v].word == word;
  return count;
}

static size_t count_finished(const tb_source *source) {
  size_t count = 0;
  for (size_t r = 0; r < source->n_runs; r++)
    count += strcmp(source->runs[r].state, "finished") == 0;
  return count;
}

static void add_summary(tb_text *page, const tb_source *source) {
  double seconds = 0;
  for (size_t r = 0; r < source->n_runs; r++)
    seconds += source->runs[r].seconds;
  size_t finished = count_finished(source), fails = count_verdicts(source, TB_FAILS);
  tb_text_add(page, "<ul class=\"summary\" aria-label=\"Summary\">\n");
  add_count(page, "holds", count_verdicts(source, TB_HOLDS), "claim holds", "claims hold");
  add_count(page, fails ? "fails" : "fails none", fails, "fails", "fail");
  add_count(page, "undecided", count_verdicts(source, TB_UNDECIDED), "undecided", "undecided");
  add_count(page, "plain", finished, "run", "runs");
  if (finished < source->n_runs)
    add_count(page, "plain warned", source->n_runs - finished, "run not finished", "runs not finished");
  tb_text_add(page, "<li class=\"plain\"><b>");
  tb_write_number(page, seconds, 3);
  tb_text_add(page, "</b> s of computing</li>\n</ul>\n");
  if (fails == 0)
    return;
  tb_text_format(page, "<p class=\"failing\"><strong>%s:</strong> ",
                 fails == 1 ? "This claim fails" : "These claims fail");
  const char *separator = "";
  for (size_t v = 0; v < source->n_verdicts; v++)
    if (source->verdicts[v].word == TB_FAILS) {
      tb_text_format(page, "%s<a href=\"#", separator);
      tb_page_anchor(page, "claim", v, source->verdicts[v].claim->id);
      tb_text_add(page, "\">");
      tb_write_html(page, source->verdicts[v].claim->id);
      tb_text_add(page, "</a>");
      separator = ", ";
    }
  tb_text_add(page, "</p>\n");
}

static void add_navigation(tb_text *page) {
  tb_text_add(page, "<nav aria-label=\"Sections\"><a href=\"#claims\">Claims</a><a href=\"#figures\">Figures</a>"
                    "<a href=\"#runs\">Runs</a><a href=\"#methods\">Methods and provenance</a>"
                    "<button id=\"theme\" type=\"button\" hidden>Theme: system</button></nav>\n");
}

/* The one paper of all runs, NULL when there are none or several. */
static const char *only_paper(const tb_source *source) {
  const char *paper = NULL;
  for (size_t c = 0; c < source->n_chapters; c++) {
    const char *here = source->chapters[c].study->paper;
    if (!here || !*here || (paper && strcmp(paper, here) != 0))
      return NULL;
    paper = here;
  }
  return paper;
}

/* The user's title, else the paper's, else the studies' names. */
static const char *make_title(tb_arena *arena, const tb_source *source) {
  if (source->title && *source->title)
    return source->title;
  if (only_paper(source))
    return only_paper(source);
  const char *names = "";
  for (size_t c = 0; c < source->n_chapters && names; c++) {
    bool known = false;
    for (size_t b = 0; b < c; b++)
      known = known || source->chapters[b].study == source->chapters[c].study;
    if (!known)
      names = tb_arena_format(arena, "%s%s%s", names, *names ? ", " : "", source->chapters[c].study->name);
  }
  return names && !*names ? "No runs" : names;
}

tb_status tb_page_write(tb_context *context, tb_arena *arena, const tb_source *source, tb_text *page) {
  const char *title = make_title(arena, source);
  if (!title)
    return tb_context_status(context);
  add_head(page, title);
  tb_text_add(page, "<body>\n<header>\n");
  add_title(page, title);
  tb_text_format(page, "<p class=\"lead\">%s</p>\n", explanation);
  add_summary(page, source);
  add_navigation(page);
  tb_text_add(page, "</header>\n<main>\n");
  tb_page_claims(page, source);
  tb_page_figures(page, source);
  tb_status status = tb_page_runs(context, page, source);
  if (status == TB_OK)
    status = tb_page_methods(context, arena, page, source);
  if (status != TB_OK)
    return status;
  tb_text_add(page, "</main>\n<script>\n");
  tb_text_add(page, tb_asset_page_js);
  tb_text_add(page, "</script>\n</body>\n</html>\n");
  return tb_text_finish(page);
}
