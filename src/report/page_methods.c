/* Methods and provenance: how numbers and pictures came about, what the metrics mean, which program and machine made
 * them (from the runs' manifests). */
#include <jansson.h>
#include <string.h>
#include <tiebreak/tiebreak.h>

#include "report/page.h"
#include "report/write.h"

static const char methods[] =
    "<p>A <em>claim</em> is a sentence with a number in it, checked against a reference obtained without the code "
    "under "
    "test: a closed form, a linear or quadratic programme, quadrature, enumeration, a published table. It "
    "<em>holds</em> "
    "or <em>fails</em>; it stays <em>undecided</em> when there are too few seeds or the interval is too wide. A claim "
    "that fails is a result and is shown as one.</p>\n"
    "<p>Lines over time are medians over seeds with bands from the 10 % to the 90 % quantile (linear between order "
    "statistics); bars are means with 95 % intervals (Student). Runs that differ in nothing but the seed are taken "
    "together. Time is the flow's own, or counts steps where the method takes steps.</p>\n";

/* ---- metrics ---- */

static void add_metrics(tb_text *page, const tb_study *study) {
  tb_text_add(page, "<details><summary>The metrics of <code>");
  tb_write_html(page, study->name);
  tb_text_add(page,
              "</code></summary>\n<table class=\"options\">\n<thead><tr><th scope=\"col\">Metric</th>"
              "<th scope=\"col\">Unit</th><th scope=\"col\">Meaning</th><th scope=\"col\">Source</th></tr></thead>\n"
              "<tbody>\n");
  for (size_t m = 0; m < study->n_metrics; m++) {
    const tb_metric *metric = &study->metrics[m];
    tb_text_add(page, "<tr><th scope=\"row\"><code>");
    tb_write_html(page, metric->name);
    tb_text_add(page, "</code></th><td data-label=\"Unit\">");
    tb_write_html(page, metric->unit && *metric->unit ? metric->unit : "—");
    tb_text_add(page, "</td><td data-label=\"Meaning\">");
    tb_write_html(page, metric->summary);
    if (metric->formula && *metric->formula) {
      tb_text_add(page, " <span class=\"formula\">");
      tb_write_html(page, metric->formula);
      tb_text_add(page, "</span>");
    }
    tb_text_add(page, "</td><td data-label=\"Source\">");
    tb_write_html(page, metric->source && *metric->source ? metric->source : "—");
    tb_text_add(page, "</td></tr>\n");
  }
  tb_text_add(page, "</tbody>\n</table></details>\n");
}

static void add_all_metrics(tb_text *page, const tb_source *source) {
  for (size_t c = 0; c < source->n_chapters; c++) {
    bool known = source->chapters[c].study->n_metrics == 0;
    for (size_t b = 0; b < c; b++)
      known = known || source->chapters[b].study == source->chapters[c].study;
    if (!known)
      add_metrics(page, source->chapters[c].study);
  }
}

/* ---- provenance ---- */

static const struct {
  const char *key, *label;
} facts[] = {
  { "tiebreak", "Version" }, { "version", "Version" }, { "commit", "Commit" },   { "compiler", "Compiler" },
  { "cpu", "Processor" },    { "kernels", "Kernels" }, { "threads", "Threads" },
};
enum { FACTS = sizeof facts / sizeof *facts };

/* The manifest's value of a fact as text in the arena, NULL when there is none. */
static const char *fact_of(tb_arena *arena, const json_t *manifest, const char *key) {
  const json_t *value = json_object_get(manifest, key);
  if (json_is_string(value) && *json_string_value(value))
    return tb_arena_text(arena, json_string_value(value));
  if (json_is_integer(value))
    return tb_arena_format(arena, "%lld", (long long)json_integer_value(value));
  return NULL;
}

typedef struct provenance {
  size_t manifests;
  size_t counts[FACTS];
  const char **values[FACTS];     /* the distinct ones */
  const char *started, *finished; /* first and last */
} provenance;

static void note_fact(provenance *all, size_t f, const char *value) {
  for (size_t i = 0; value && i < all->counts[f]; i++)
    if (strcmp(all->values[f][i], value) == 0)
      return;
  if (value)
    all->values[f][all->counts[f]++] = value;
}

static tb_status read_manifest(tb_context *context, tb_arena *arena, const char *folder, provenance *all) {
  char *path = tb_arena_format(arena, "%s/manifest.json", folder), *data;
  size_t size;
  if (!path)
    return tb_context_status(context);
  if (!*folder || !tb_file_exists(path))
    return TB_OK;
  tb_status status = tb_file_read(context, path, &data, &size);
  if (status != TB_OK)
    return status;
  json_t *manifest = json_loadb(data, size, 0, NULL);
  tb_release(context, data);
  if (!manifest) /* damaged: the run itself was read all the same */
    return TB_OK;
  all->manifests++;
  for (size_t f = 0; f < FACTS; f++)
    note_fact(all, f, fact_of(arena, manifest, facts[f].key));
  const char *started = fact_of(arena, manifest, "started"), *finished = fact_of(arena, manifest, "finished");
  if (started && (!all->started || strcmp(started, all->started) < 0))
    all->started = started;
  if (finished && (!all->finished || strcmp(finished, all->finished) > 0))
    all->finished = finished;
  json_decref(manifest);
  return TB_OK;
}

static void add_fact(tb_text *page, const char *label, size_t count, const char *const *values) {
  tb_text_format(page, "<tr><th scope=\"row\">%s</th><td>", label);
  for (size_t i = 0; i < count; i++) {
    tb_text_add(page, i ? "; " : "");
    tb_write_html(page, values[i]);
  }
  tb_text_add(page, "</td></tr>\n");
}

tb_status tb_page_methods(tb_context *context, tb_arena *arena, tb_text *page, const tb_source *source) {
  provenance all = { 0 };
  tb_status status = TB_OK;
  for (size_t f = 0; f < FACTS; f++)
    if (!(all.values[f] = tb_arena_allocate(arena, source->n_runs + 1, sizeof *all.values[f])))
      return tb_context_status(context);
  for (size_t r = 0; r < source->n_runs && status == TB_OK; r++)
    status = read_manifest(context, arena, source->runs[r].folder, &all);
  if (status != TB_OK)
    return status;
  tb_text_add(page, "<section id=\"methods\">\n<h2>Methods and provenance</h2>\n");
  tb_text_add(page, methods);
  add_all_metrics(page, source);
  tb_text_add(page, "<h3>What made these results</h3>\n<table class=\"facts\">\n<tbody>\n");
  for (size_t f = 0; f < FACTS; f++)
    if (all.counts[f])
      add_fact(page, facts[f].label, all.counts[f], all.values[f]);
  if (all.started && all.finished)
    add_fact(page, "From, to", 2, (const char *const[]){ all.started, all.finished });
  char now[32];
  tb_clock_utc(now, sizeof now);
  add_fact(page, "This page", 2, (const char *const[]){ now, "tiebreak " TB_VERSION });
  add_fact(page, "Pictures by gnuplot", 1,
           (const char *const[]){ *source->gnuplot ? source->gnuplot : "not installed" });
  tb_text_add(page, "</tbody>\n</table>\n");
  if (all.manifests < source->n_runs)
    tb_text_format(page, "<p>%zu of %zu runs have no manifest.</p>\n", source->n_runs - all.manifests, source->n_runs);
  if (source->n_pictures > 0 && source->figures && *source->figures) {
    tb_text_add(page, "<p>The figures' data and scripts also lie in <code>");
    tb_write_html(page, source->figures);
    tb_text_add(page, "</code>; <code>gnuplot -e \"kind='pdf'; output='x.pdf'\" NAME.gp</code> draws one again (also "
                      "<code>png</code>, <code>svg</code> and, for the terminal, <code>text</code>).</p>\n");
  }
  tb_text_add(page, "</section>\n");
  return TB_OK;
}
