/* The runs: what each was asked, by the exact command, and where it lies; then every option of each part. */
#include <string.h>

#include "report/page.h"
#include "report/write.h"

/* `tiebreak run STUDY key=value …` with every option that differs from its default: it does the same run again. */
static tb_status add_command(tb_text *page, tb_text *scratch, const tb_exhibit *run) {
  tb_text_free(scratch);
  *scratch = tb_text_new(scratch->context);
  tb_text_format(scratch, "tiebreak run %s", run->study->name);
  const tb_config *config = run->outcome->config;
  for (size_t i = 0; i < tb_config_count(config); i++) {
    const char *name = tb_config_option(config, i)->name;
    if (tb_config_is_default(config, name))
      continue;
    tb_text_format(scratch, " %s=", name);
    if (*tb_config_text(config, i))
      tb_write_shell(scratch, tb_config_text(config, i));
  }
  tb_text_add(page, "<code class=\"command\">");
  tb_write_html(page, scratch->data);
  tb_text_add(page, "</code>");
  return tb_text_finish(scratch);
}

static tb_status add_run(tb_context *context, tb_text *page, tb_text *scratch, const tb_source *source,
                         const tb_exhibit *run) {
  tb_status status = TB_OK;
  tb_text_add(page, "<tr><th scope=\"row\">");
  if (*run->folder) {
    tb_text_free(scratch);
    *scratch = tb_text_new(context);
    status = tb_write_relative(context, scratch, source->out, run->folder);
    if (status == TB_OK)
      status = tb_text_finish(scratch);
    tb_text_add(page, "<a href=\"");
    tb_write_path(page, scratch->data ? scratch->data : run->folder);
    tb_text_add(page, "/\">");
  }
  tb_write_html(page, run->outcome->run);
  if (*run->folder)
    tb_text_add(page, "</a>");
  tb_text_format(page, "</th>\n<td data-label=\"State\"%s>", strcmp(run->state, "finished") ? " class=\"warned\"" : "");
  tb_write_html(page, run->state);
  tb_metric_value stopped = tb_metrics_find(run->outcome->metrics, "stopped");
  if (stopped.name && stopped.words) {
    tb_text_add(page, " (");
    tb_write_html(page, stopped.words[0]);
    tb_text_add(page, ")");
  }
  tb_text_format(page,
                 "</td>\n<td class=\"number\" data-label=\"Snapshots\">%zu</td>\n<td class=\"number\" "
                 "data-label=\"Seconds\">",
                 run->outcome->n_snapshots);
  tb_write_number(page, run->seconds, 3);
  tb_text_add(page, "</td>\n<td data-label=\"Command\">");
  if (status == TB_OK)
    status = add_command(page, scratch, run);
  tb_metric_value warnings = tb_metrics_find(run->outcome->metrics, "warnings");
  for (size_t w = 0; warnings.name && warnings.words && w < warnings.cols; w++) {
    tb_text_add(page, "<p class=\"note\">");
    tb_write_html(page, warnings.words[w]);
    tb_text_add(page, "</p>");
  }
  tb_text_add(page, "</td></tr>\n");
  return status;
}

/* ---- all options of a part ---- */

enum { VALUES_SHOWN = 8 };

static void add_values(tb_text *page, const tb_chapter *chapter, size_t option) {
  size_t distinct = 0;
  for (size_t r = 0; r < chapter->n; r++) {
    const char *text = tb_config_text(chapter->runs[r]->outcome->config, option);
    bool known = false;
    for (size_t q = 0; q < r && !known; q++)
      known = strcmp(text, tb_config_text(chapter->runs[q]->outcome->config, option)) == 0;
    if (known || ++distinct > VALUES_SHOWN)
      continue;
    tb_text_add(page, distinct > 1 ? ", " : "");
    tb_write_html(page, *text ? text : "—");
  }
  if (distinct > VALUES_SHOWN)
    tb_text_format(page, ", … (%zu values)", distinct);
}

static void add_options(tb_text *page, const tb_chapter *chapter) {
  tb_text_add(page, "<details><summary>Every option of this part, defaults included</summary>\n<table "
                    "class=\"options\">\n<thead><tr><th scope=\"col\">Option</th><th scope=\"col\">Value</th>"
                    "<th scope=\"col\">Default</th><th scope=\"col\">Meaning</th></tr></thead>\n<tbody>\n");
  const tb_config *first = chapter->runs[0]->outcome->config;
  for (size_t i = 0; i < tb_config_count(first); i++) {
    const tb_option *option = tb_config_option(first, i);
    bool set = false;
    for (size_t r = 0; r < chapter->n; r++)
      set = set || !tb_config_is_default(chapter->runs[r]->outcome->config, option->name);
    tb_text_format(page, "<tr%s><th scope=\"row\"><code>", set ? " class=\"set\"" : "");
    tb_write_html(page, option->name);
    tb_text_add(page, "</code></th><td data-label=\"Value\">");
    add_values(page, chapter, i);
    tb_text_add(page, "</td><td data-label=\"Default\">");
    tb_write_html(page, *option->fallback ? option->fallback : "—");
    tb_text_add(page, "</td><td data-label=\"Meaning\">");
    tb_write_html(page, option->summary);
    tb_text_add(page, "</td></tr>\n");
  }
  tb_text_add(page, "</tbody>\n</table></details>\n");
}

enum { RUNS_IN_SIGHT = 3 };

tb_status tb_page_runs(tb_context *context, tb_text *page, const tb_source *source) {
  tb_text scratch = tb_text_new(context);
  tb_status status = TB_OK;
  tb_page_section(page, source, "runs", "Runs");
  tb_text_add(page, "<p>Each command does its run again; options it does not name are at their defaults.</p>\n");
  for (size_t c = 0; c < source->n_chapters && status == TB_OK; c++) {
    const tb_chapter *chapter = &source->chapters[c];
    if (!tb_page_shows(source, chapter->study))
      continue;
    tb_text_add(page, "<section class=\"part\">\n<h3>");
    tb_write_html(page, tb_chapter_heading(chapter));
    tb_text_format(page, "</h3>\n<p>%zu run%s of the study <code>", chapter->n, chapter->n == 1 ? "" : "s");
    tb_write_html(page, chapter->study->name);
    tb_text_add(page, "</code>, part <code>");
    tb_write_html(page, chapter->name);
    tb_text_format(page, "</code>.</p>\n<details%s><summary>The runs and their commands</summary>\n",
                   chapter->n <= RUNS_IN_SIGHT ? " open" : "");
    tb_text_add(page, "<table class=\"runs\">\n<thead><tr><th scope=\"col\">Run</th><th scope=\"col\">State</th>"
                      "<th scope=\"col\" class=\"number\">Snapshots</th><th scope=\"col\" class=\"number\">Seconds</th>"
                      "<th scope=\"col\">Command</th></tr></thead>\n<tbody>\n");
    for (size_t r = 0; r < chapter->n && status == TB_OK; r++)
      status = add_run(context, page, &scratch, source, chapter->runs[r]);
    tb_text_add(page, "</tbody>\n</table></details>\n");
    add_options(page, chapter);
    tb_text_add(page, "</section>\n");
  }
  tb_text_add(page, "</section>\n");
  tb_text_free(&scratch);
  return status;
}
