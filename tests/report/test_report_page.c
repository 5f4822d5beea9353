/* The page made in memory, without gnuplot: every allocation may fail, an empty report is a report, verdicts are shown
 * as they are.  (The page as a file is judged by check_page.py, in a browser by browser_test.py.) */
#include "testing.h"

#include "exhibits.h"
#include "report/page.h"

/* The page of a fair's first runs; the caller frees *page. */
static tb_status make_page(tb_context *context, const fair *f, size_t n_runs, size_t n_verdicts, tb_text *page) {
  tb_arena *arena = tb_arena_new(context);
  if (!arena)
    return tb_context_status(context);
  tb_source source = { .out = "report.html",
                       .figures = "figures",
                       .n_runs = n_runs,
                       .runs = f->runs,
                       .n_verdicts = n_verdicts,
                       .verdicts = f->verdicts,
                       .gnuplot = "",
                       .trouble = "" };
  tb_chapter *chapters;
  tb_picture *pictures = NULL;
  tb_status status = tb_chapters_of(context, arena, n_runs, f->runs, &source.n_chapters, &chapters);
  if (status == TB_OK) {
    source.chapters = chapters;
    status = tb_pictures_of(context, arena, source.n_chapters, chapters, &source.n_pictures, &pictures);
  }
  if (status == TB_OK) {
    source.pictures = pictures;
    status = tb_page_write(context, arena, &source, page);
  }
  if (pictures)
    tb_pictures_free(source.n_pictures, pictures);
  tb_arena_free(arena);
  return status;
}

/* Equal up to the time of writing. */
static bool same_page(const tb_text *a, const tb_text *b) {
  const char *end = strstr(b->data, "What made these results");
  return end && a->data && strncmp(a->data, b->data, (size_t)(end - b->data)) == 0;
}

static void every_allocation_may_fail(void **state) {
  fair f = fair_new(*state, false);
  tb_text whole = tb_text_new(*state);
  assert_int_equal(make_page(*state, &f, f.n_runs, f.n_verdicts, &whole), TB_OK);
  meter m = { 0 };
  long last = 1;
  for (long fail_at = 0; fail_at <= last; fail_at += 1 + fail_at / 16) {
    m = (meter){ .fail_at = fail_at };
    tb_context *context = tb_context_new(meter_allocate, &m);
    if (context) {
      tb_text page = tb_text_new(context);
      tb_status status = make_page(context, &f, f.n_runs, f.n_verdicts, &page);
      /* Succeeding is right only where what could not be had was not needed. */
      assert_true(status == (fail_at ? TB_NO_MEMORY : TB_OK) || same_page(&page, &whole));
      tb_text_free(&page);
      tb_context_free(context);
    }
    assert_int_equal(m.live, 0);
    if (fail_at == 0)
      last = m.calls;
  }
  tb_text_free(&whole);
  fair_free(&f);
}

/* Runs of two papers: a page each, with its own claims. */
static void a_page_for_each_paper(void **state) {
  fair f = fair_new(*state, false);
  tb_study other = *f.runs[f.n_runs - 1].study;
  tb_text page = tb_text_new(*state);
  other.paper = "Another Paper (Some One 2020)";
  other.n_claims = 0;
  f.runs[f.n_runs - 1].study = &other;
  assert_int_equal(make_page(*state, &f, f.n_runs, f.n_verdicts, &page), TB_OK);
  assert_non_null(strstr(page.data, "<a href=\"#paper-2\"><b>Another Paper</b>"));
  const char *first = strstr(page.data, "<article class=\"page\" id=\"paper-1\">"), *claim, *second, *none;
  assert_non_null(first);
  claim = strstr(first, "id=\"claim-4-fair-broken\"");
  second = strstr(first, "<article class=\"page\" id=\"paper-2\">");
  none = strstr(page.data, "No claim applies to these runs");
  assert_true(claim && second && none && claim < second && second < none);
  assert_non_null(strstr(second, "<p class=\"paper\">Some One 2020</p>"));
  assert_non_null(strstr(second, "<section id=\"runs-2\">"));
  tb_text_free(&page);
  fair_free(&f);
}

static void verdicts_are_shown(void **state) {
  fair f = fair_new(*state, false);
  tb_text page = tb_text_new(*state);
  assert_int_equal(make_page(*state, &f, f.n_runs, f.n_verdicts, &page), TB_OK);
  assert_non_null(strstr(page.data, "<b>3</b> claims hold"));
  assert_non_null(strstr(page.data, "<b>1</b> fails"));
  assert_non_null(strstr(page.data, "<b>1</b> undecided"));
  assert_non_null(strstr(page.data, "<tr class=\"fails\" id=\"claim-4-fair-broken\">"));
  assert_non_null(strstr(page.data, "worst run: population-3"));
  assert_non_null(strstr(page.data, "<data value=\"0.20326705491"));
  assert_non_null(strstr(page.data, "[−0.25, −0.212]"));
  assert_non_null(strstr(page.data, "tiebreak run separable seed=2 method=ngf damping=0.01<"));
  tb_text_free(&page);
  fair_free(&f);
}

static void nothing_is_a_report_too(void **state) {
  fair f = fair_new(*state, false);
  tb_text page = tb_text_new(*state);
  assert_int_equal(make_page(*state, &f, 0, 0, &page), TB_OK);
  assert_non_null(strstr(page.data, "No runs"));
  assert_non_null(strstr(page.data, "No claim applies"));
  tb_text_free(&page);
  page = tb_text_new(*state);
  f.runs[0].state = "failed";
  assert_int_equal(make_page(*state, &f, 1, 0, &page), TB_OK);
  assert_non_null(strstr(page.data, "run not finished"));
  assert_non_null(strstr(page.data, "nothing to draw"));
  tb_text_free(&page);
  fair_free(&f);
}

static int set_up(void **state) {
  *state = tb_context_new(NULL, NULL);
  return *state == NULL;
}

static int tear_down(void **state) {
  tb_context_free(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(every_allocation_may_fail, set_up, tear_down),
    cmocka_unit_test_setup_teardown(a_page_for_each_paper, set_up, tear_down),
    cmocka_unit_test_setup_teardown(verdicts_are_shown, set_up, tear_down),
    cmocka_unit_test_setup_teardown(nothing_is_a_report_too, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
