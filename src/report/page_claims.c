/* The claims: by paper, then by the sentence of its abstract that they support. */
#include <math.h>
#include <string.h>

#include "report/page.h"
#include "report/write.h"

static const struct {
  const char *css_class, *word, *mark;
} verdict_words[] = {
  [TB_HOLDS] = { "holds", "holds", "✓" },
  [TB_FAILS] = { "fails", "fails", "✗" },
  [TB_UNDECIDED] = { "undecided", "undecided", "?" },
};

/* How value and reference have to compare. */
static const struct {
  const char *relation, *meaning;
} claim_kinds[] = {
  [TB_CLAIM_AGREES] = { "=", "The value must agree with the reference within the tolerance in every run; the worst run "
                             "is shown." },
  [TB_CLAIM_AT_MOST] = { "≤",
                         "The value must not exceed the reference by more than the tolerance in any run; the worst "
                         "run is shown." },
  [TB_CLAIM_AT_LEAST] = { "≥", "The value must not fall below the reference by more than the tolerance in any run; the "
                               "worst run is shown." },
  [TB_CLAIM_BELOW] = { "<", "The difference of two arms, paired by seed: its mean and the whole 95 % interval must lie "
                            "below zero by more than the tolerance." },
  [TB_CLAIM_LESS] = { "<", "The difference of value and reference in each run: its mean over seeds and the whole 95 % "
                           "interval must lie below zero by more than the tolerance." },
  [TB_CLAIM_MEAN] = { "≈", "The mean over seeds must agree with the reference within the tolerance plus its 95 % "
                           "interval." },
  [TB_CLAIM_SLOPE] = { "≈", "A slope, fitted in each seed by least squares: its mean over seeds must be 1 within the "
                            "tolerance." },
};

/* Six digits where they mean something, three of a rounding error. */
static void add_number(tb_text *page, double value) {
  if (isfinite(value))
    tb_text_format(page, "<data value=\"%.17g\">", value);
  tb_write_number(page, value, fabs(value) < 1e-4 ? 3 : 6);
  if (isfinite(value))
    tb_text_add(page, "</data>");
}

static void add_details(tb_text *page, const tb_verdict *verdict) {
  const tb_claim *claim = verdict->claim;
  tb_text_add(page, "<details><summary>How the reference is obtained</summary>\n<p>");
  tb_write_html(page, claim->reference);
  tb_text_format(page, "</p>\n<p>%s", claim_kinds[claim->kind].meaning);
  if (claim->min_seeds > 0)
    tb_text_format(page, " At least %d seeds are asked for.", claim->min_seeds);
  if (claim->kind == TB_CLAIM_AGREES && isfinite(verdict->value - verdict->reference)) {
    tb_text_add(page, " Here value − reference = ");
    tb_write_number(page, verdict->value - verdict->reference, 3);
    tb_text_add(page, ".");
  }
  if (*verdict->note && verdict->word == TB_HOLDS) {
    tb_text_add(page, " (");
    tb_write_html(page, verdict->note);
    tb_text_add(page, ".)");
  }
  tb_text_add(page, "</p>\n<p>Id: <code>");
  tb_write_html(page, claim->id);
  tb_text_add(page, "</code></p></details>\n");
}

static void add_claim(tb_text *page, size_t index, const tb_verdict *verdict) {
  const tb_claim *claim = verdict->claim;
  const char *css_class = verdict_words[verdict->word].css_class;
  tb_text_format(page, "<tr class=\"%s\" id=\"", css_class);
  tb_page_anchor(page, "claim", index, claim->id);
  tb_text_format(
      page,
      "\">\n<td class=\"verdict\"><span class=\"badge %s\"><span aria-hidden=\"true\">%s</span> %s</span></td>\n"
      "<th scope=\"row\"><p>",
      css_class, verdict_words[verdict->word].mark, verdict_words[verdict->word].word);
  tb_write_html(page, claim->statement);
  tb_text_add(page, "</p>");
  if (*verdict->note && verdict->word != TB_HOLDS) {
    tb_text_add(page, "<p class=\"note\">");
    tb_write_html(page, verdict->note);
    tb_text_add(page, "</p>");
  }
  tb_text_add(page, "<p class=\"origin\">");
  tb_write_html(page, claim->source);
  tb_text_add(page, "</p>");
  add_details(page, verdict);
  tb_text_add(page, "</th>\n<td class=\"number\" data-label=\"Value\">");
  add_number(page, verdict->value);
  if (claim->unit && *claim->unit) {
    tb_text_add(page, " <span class=\"unit\">");
    tb_write_html(page, claim->unit);
    tb_text_add(page, "</span>");
  }
  tb_text_format(page, "</td>\n<td class=\"number\" data-label=\"Reference\"><span class=\"relation\">%s</span> ",
                 claim_kinds[claim->kind].relation);
  add_number(page, verdict->reference);
  tb_text_add(page, "</td>\n<td class=\"number\" data-label=\"Tolerance\">");
  add_number(page, claim->tolerance);
  tb_text_add(page, "</td>\n<td class=\"number\" data-label=\"95 % interval\">");
  if (isnan(verdict->low) || isnan(verdict->high)) {
    tb_text_add(page, "—");
  } else {
    tb_text_add(page, "[");
    tb_write_number(page, verdict->low, 3);
    tb_text_add(page, ", ");
    tb_write_number(page, verdict->high, 3);
    tb_text_add(page, "]");
  }
  tb_text_format(page, "</td>\n<td class=\"number\" data-label=\"Runs (seeds)\">%zu (%zu)</td>\n</tr>\n", verdict->runs,
                 verdict->seeds);
}

static const char *paper_of(const tb_source *source, const tb_verdict *verdict) {
  const tb_study *study = tb_claim_study(source, verdict->claim);
  return study && study->paper ? study->paper : "";
}

static bool same_group(const tb_source *source, const tb_verdict *a, const tb_verdict *b) {
  return strcmp(a->claim->group ? a->claim->group : "", b->claim->group ? b->claim->group : "") == 0 &&
         strcmp(paper_of(source, a), paper_of(source, b)) == 0;
}

static bool first_of_group(const tb_source *source, size_t v) {
  for (size_t w = 0; w < v; w++)
    if (same_group(source, &source->verdicts[w], &source->verdicts[v]))
      return false;
  return true;
}

static void add_group(tb_text *page, const tb_source *source, size_t first) {
  const tb_verdict *verdicts = source->verdicts;
  const char *group = verdicts[first].claim->group;
  size_t counts[3] = { 0 };
  for (size_t v = first; v < source->n_verdicts; v++)
    if (same_group(source, &verdicts[first], &verdicts[v]))
      counts[verdicts[v].word]++;
  tb_text_add(page, "<section class=\"group\">\n");
  tb_text_add(page, "<h3>");
  tb_write_html(page, group && *group ? group : "Further claims");
  tb_text_add(page, "</h3>\n<p class=\"tally\">");
  for (size_t w = 0; w < 3; w++)
    if (counts[w])
      tb_text_format(page, "<span class=\"%s\">%zu %s</span> ", verdict_words[w].css_class, counts[w],
                     w == TB_UNDECIDED ? "undecided"
                     : counts[w] == 1  ? verdict_words[w].word
                     : w == TB_HOLDS   ? "hold"
                                       : "fail");
  tb_text_add(page,
              "</p>\n<table class=\"claims\">\n<thead><tr><th scope=\"col\">Verdict</th><th scope=\"col\">Claim</th>"
              "<th scope=\"col\" class=\"number\">Value</th><th scope=\"col\" class=\"number\">Reference</th>"
              "<th scope=\"col\" class=\"number\">Tolerance</th><th scope=\"col\" class=\"number\">95 % interval</th>"
              "<th scope=\"col\" class=\"number\">Runs (seeds)</th></tr></thead>\n<tbody>\n");
  for (size_t v = first; v < source->n_verdicts; v++)
    if (same_group(source, &verdicts[first], &verdicts[v]))
      add_claim(page, v, &verdicts[v]);
  tb_text_add(page, "</tbody>\n</table>\n</section>\n");
}

size_t tb_page_claims_of(const tb_source *source, tb_verdict_word word) {
  size_t count = 0;
  for (size_t v = 0; v < source->n_verdicts; v++)
    count +=
        source->verdicts[v].word == word && tb_page_shows(source, tb_claim_study(source, source->verdicts[v].claim));
  return count;
}

void tb_page_claims(tb_text *page, const tb_source *source) {
  size_t shown = 0;
  tb_page_section(page, source, "claims", "Claims");
  for (size_t v = 0; v < source->n_verdicts; v++)
    if (tb_page_shows(source, tb_claim_study(source, source->verdicts[v].claim)) && first_of_group(source, v)) {
      add_group(page, source, v);
      shown++;
    }
  if (shown == 0)
    tb_text_add(page, "<p>No claim applies to these runs.</p>\n");
  tb_text_add(page, "</section>\n");
}
