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

bool tb_page_shows(const tb_source *source, const tb_study *study) {
  return !source->paper || (study && study->paper && strcmp(study->paper, source->paper) == 0);
}

void tb_page_section(tb_text *page, const tb_source *source, const char *id, const char *heading) {
  tb_text_format(page, "<section id=\"%s", id);
  if (source->page)
    tb_text_format(page, "-%zu", source->page);
  tb_text_format(page, "\">\n<h2>%s</h2>\n", heading);
}

tb_status tb_page_paper(tb_arena *arena, const char *paper, const char **title, const char **authors) {
  const char *open = strrchr(paper, '(');
  const size_t length = strlen(paper);
  const bool apart = open && open > paper + 1 && open[-1] == ' ' && paper[length - 1] == ')';
  *title = apart ? tb_arena_format(arena, "%.*s", (int)(open - 1 - paper), paper) : paper;
  *authors = apart ? tb_arena_format(arena, "%.*s", (int)(paper + length - 1 - (open + 1)), open + 1) : NULL;
  return *title && (!apart || *authors) ? TB_OK : TB_NO_MEMORY;
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

static tb_status add_title(tb_text *page, tb_arena *arena, const char *paper) {
  const char *title, *authors;
  tb_status status = tb_page_paper(arena, paper, &title, &authors);
  if (status != TB_OK)
    return status;
  tb_text_add(page, "<p class=\"paper\">tiebreak report on</p>\n<h1>");
  tb_write_html(page, title);
  tb_text_add(page, "</h1>\n");
  if (authors) {
    tb_text_add(page, "<p class=\"paper\">");
    tb_write_html(page, authors);
    tb_text_add(page, "</p>\n");
  }
  return TB_OK;
}

static void add_count(tb_text *page, const char *css_class, size_t count, const char *one, const char *many) {
  tb_text_format(page, "<li class=\"%s\"><b>%zu</b> %s</li>\n", css_class, count, count == 1 ? one : many);
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
  size_t finished = count_finished(source), fails = tb_page_claims_of(source, TB_FAILS);
  tb_text_add(page, "<ul class=\"summary\" aria-label=\"Summary\">\n");
  add_count(page, "holds", tb_page_claims_of(source, TB_HOLDS), "claim holds", "claims hold");
  add_count(page, fails ? "fails" : "fails none", fails, "fails", "fail");
  add_count(page, "undecided", tb_page_claims_of(source, TB_UNDECIDED), "undecided", "undecided");
  add_count(page, "plain", finished, "run", "runs");
  if (finished < source->n_runs)
    add_count(page, "plain warned", source->n_runs - finished, "run not finished", "runs not finished");
  tb_text_add(page, "<li class=\"plain\"><b>");
  const bool hours = seconds >= 7200, minutes = seconds >= 120;
  tb_write_number(page, hours ? seconds / 3600 : minutes ? seconds / 60 : seconds, 3);
  tb_text_format(page, "</b> %s of computing</li>\n</ul>\n", hours ? "hours" : minutes ? "minutes" : "s");
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

static void add_theme_button(tb_text *page) {
  tb_text_add(page, "<button id=\"theme\" type=\"button\" hidden>Theme: system</button></nav>\n");
}

static void add_navigation(tb_text *page) {
  tb_text_add(page, "<nav aria-label=\"Sections\"><a href=\"#claims\">Claims</a><a href=\"#figures\">Figures</a>"
                    "<a href=\"#runs\">Runs</a><a href=\"#methods\">Methods and provenance</a>");
  add_theme_button(page);
}

/* ---- several papers: a page each ---- */

enum { MOST_PAPERS = 64 };

static const char *paper_of(const tb_study *study) {
  return study->paper ? study->paper : "";
}

/* The papers in the order of the parts. */
static size_t list_papers(const tb_source *source, const char *papers[MOST_PAPERS]) {
  size_t count = 0;
  for (size_t c = 0; c < source->n_chapters; c++) {
    const char *here = paper_of(source->chapters[c].study);
    size_t k = 0;
    while (k < count && strcmp(papers[k], here) != 0)
      k++;
    if (k == count && count < MOST_PAPERS)
      papers[count++] = here;
  }
  return count;
}

/* A line a paper: what became of its claims, and the way to its page. */
static tb_status add_papers(tb_text *page, tb_arena *arena, const tb_source *source, size_t count,
                            const char *const *papers) {
  tb_text_add(page, "<nav class=\"papers\" aria-label=\"Papers\">\n");
  for (size_t k = 0; k < count; k++) {
    const char *title, *authors;
    tb_source one = *source;
    one.paper = papers[k];
    tb_status status = tb_page_paper(arena, *papers[k] ? papers[k] : "Other studies", &title, &authors);
    if (status != TB_OK)
      return status;
    const size_t fails = tb_page_claims_of(&one, TB_FAILS), undecided = tb_page_claims_of(&one, TB_UNDECIDED);
    tb_text_format(page, "<a href=\"#paper-%zu\"><b>", k + 1);
    tb_write_html(page, title);
    tb_text_format(page, "</b><span><span class=\"holds\">%zu hold</span>", tb_page_claims_of(&one, TB_HOLDS));
    if (fails)
      tb_text_format(page, " <span class=\"fails\">%zu fail%s</span>", fails, fails == 1 ? "s" : "");
    if (undecided)
      tb_text_format(page, " <span class=\"undecided\">%zu undecided</span>", undecided);
    tb_text_add(page, "</span></a>\n");
  }
  tb_text_add(page, "<a href=\"#methods\"><b>Methods and provenance</b></a>");
  add_theme_button(page);
  return TB_OK;
}

static tb_status add_paper_pages(tb_context *context, tb_arena *arena, tb_text *page, const tb_source *source,
                                 size_t count, const char *const *papers) {
  tb_status status = TB_OK;
  for (size_t k = 0; k < count && status == TB_OK; k++) {
    const char *title, *authors;
    tb_source one = *source;
    one.paper = papers[k];
    one.page = k + 1;
    status = tb_page_paper(arena, *papers[k] ? papers[k] : "Other studies", &title, &authors);
    if (status != TB_OK)
      break;
    tb_text_format(page, "<article class=\"page\" id=\"paper-%zu\">\n<header class=\"paper\"><h2>", k + 1);
    tb_write_html(page, title);
    tb_text_add(page, "</h2>\n<p class=\"paper\">");
    tb_write_html(page, authors ? authors : "");
    tb_text_format(page,
                   "</p>\n<nav aria-label=\"Sections of this paper\"><a href=\"#claims-%zu\">Claims</a>"
                   "<a href=\"#figures-%zu\">Figures</a><a href=\"#runs-%zu\">Runs</a></nav></header>\n",
                   k + 1, k + 1, k + 1);
    tb_page_claims(page, &one);
    tb_page_figures(page, &one);
    status = tb_page_runs(context, page, &one);
    tb_text_add(page, "</article>\n");
  }
  return status;
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
  const char *papers[MOST_PAPERS], *names = "";
  if (list_papers(source, papers) > 1)
    return "Which one do you get?";
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
  const char *papers[MOST_PAPERS], *title = make_title(arena, source);
  const size_t count = list_papers(source, papers);
  if (!title)
    return tb_context_status(context);
  add_head(page, title);
  tb_text_add(page, "<body>\n<header>\n");
  tb_status status = add_title(page, arena, title);
  tb_text_format(page, "<p class=\"lead\">%s</p>\n", explanation);
  add_summary(page, source);
  if (count <= 1)
    add_navigation(page);
  else if (status == TB_OK)
    status = add_papers(page, arena, source, count, papers);
  tb_text_add(page, "</header>\n<main>\n");
  if (status == TB_OK && count > 1) {
    status = add_paper_pages(context, arena, page, source, count, papers);
  } else if (status == TB_OK) {
    tb_page_claims(page, source);
    tb_page_figures(page, source);
    status = tb_page_runs(context, page, source);
  }
  if (status == TB_OK)
    status = tb_page_methods(context, arena, page, source);
  if (status != TB_OK)
    return status;
  tb_text_add(page, "</main>\n<script>\n");
  tb_text_add(page, tb_asset_page_js);
  tb_text_add(page, "</script>\n</body>\n</html>\n");
  return tb_text_finish(page);
}
