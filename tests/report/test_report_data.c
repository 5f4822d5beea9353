/* From runs to numbers: grouping, labels, bands, intervals, crossings and axes against values worked out by hand. */
#include "testing.h"

#include <math.h>
#include <stdio.h>

#include "exhibits.h"
#include "report/curves.h"
#include "report/layout.h"
#include "report/path.h"
#include "report/plot.h"
#include "report/svg_path.h"
#include "report/write.h"

/* ---- small runs made by hand ---- */

typedef struct hand {
  tb_outcome outcome;
  tb_metrics *final, *snapshots[8];
  tb_config *config;
  tb_exhibit exhibit;
} hand;

static hand hand_new(tb_context *context, const char *settings, size_t n, const double (*points)[2]) {
  hand h = { .config = NULL };
  assert_int_equal(tb_config_new(context, fair_study.n_tables, fair_study.tables, &h.config), TB_OK);
  char copy[200], *state = NULL;
  snprintf(copy, sizeof copy, "%s", settings);
  for (char *word = strtok_r(copy, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
    char *equals = strchr(word, '=');
    *equals = '\0';
    assert_int_equal(tb_config_set(h.config, word, equals + 1, "test"), TB_OK);
  }
  assert_int_equal(tb_metrics_new(context, &h.final), TB_OK);
  for (size_t i = 0; i < n; i++) {
    assert_int_equal(tb_metrics_new(context, &h.snapshots[i]), TB_OK);
    assert_int_equal(tb_metrics_real(h.snapshots[i], "t", points[i][0]), TB_OK);
    assert_int_equal(tb_metrics_real(h.snapshots[i], "value", points[i][1]), TB_OK);
  }
  h.outcome = (tb_outcome){ "run", h.config, h.final, n, NULL };
  return h;
}

static void hand_bind(hand *h) {
  h->outcome.snapshots = h->snapshots;
  h->exhibit = (tb_exhibit){ &h->outcome, &fair_study, "part", "", "", "", "finished", 1 };
}

static void hand_free(hand *h) {
  for (size_t i = 0; i < h->outcome.n_snapshots; i++)
    tb_metrics_free(h->snapshots[i]);
  tb_metrics_free(h->final);
  tb_config_free(h->config);
}

static void near(double a, double b) {
  if (!(fabs(a - b) <= 1e-12 * fmax(1, fabs(b))))
    fail_msg("%.17g is not %.17g", a, b);
}

/* ---- curves ---- */

static void band_of_equal_times(void **state) {
  tb_context *context = *state;
  tb_arena *arena = tb_arena_new(context);
  /* values 1 … 5 at t = 0 and 10, 20, … 50 at t = 2: quantiles of five are at positions 0.4, 2 and 3.6 */
  hand h[5];
  const tb_exhibit *runs[5];
  for (int i = 0; i < 5; i++) {
    char settings[32];
    snprintf(settings, sizeof settings, "seed=%d", i);
    h[i] = hand_new(context, settings, 2, (double[2][2]){ { 0, i + 1 }, { 2, 10 * (i + 1) } });
    hand_bind(&h[i]);
    runs[i] = &h[i].exhibit;
  }
  tb_group group = { "g", "", "", 0, 5, runs };
  tb_curve curve;
  assert_int_equal(tb_curve_of(context, arena, &group, tb_read_real, "value", &curve), TB_OK);
  assert_int_equal(curve.n, 2);
  near(curve.t[0], 0);
  assert_true(isinf(curve.log_t[0]) && curve.log_t[0] < 0);
  near(curve.median[0], 3);
  near(curve.low[0], 1.4);
  near(curve.high[0], 4.6);
  near(curve.log_t[1], log(2));
  near(curve.median[1], 30);
  near(curve.low[1], 14);
  near(curve.high[1], 46);
  assert_int_equal(curve.runs[1], 5);
  for (int i = 0; i < 5; i++)
    hand_free(&h[i]);
  tb_arena_free(arena);
}

static void band_of_different_times(void **state) {
  tb_context *context = *state;
  tb_arena *arena = tb_arena_new(context);
  /* b is read at t = 2 half-way in log t between 1 and 4; at t = 8 only one of three has a value: left out */
  hand a = hand_new(context, "seed=0", 3, (double[3][2]){ { 1, 0 }, { 2, 7 }, { 4, 9 } });
  hand b = hand_new(context, "seed=1", 2, (double[2][2]){ { 1, 1 }, { 4, 5 } });
  hand c = hand_new(context, "seed=2", 4, (double[4][2]){ { 1, 2 }, { 2, 3 }, { 4, 4 }, { 8, 100 } });
  hand_bind(&a), hand_bind(&b), hand_bind(&c);
  tb_group group = { "g", "", "", 0, 3, (const tb_exhibit *[]){ &a.exhibit, &b.exhibit, &c.exhibit } };
  tb_curve curve;
  assert_int_equal(tb_curve_of(context, arena, &group, tb_read_real, "value", &curve), TB_OK);
  assert_int_equal(curve.n, 3);
  near(curve.t[1], 2);
  near(curve.median[1], 3); /* of 7, 3, 3 */
  near(curve.low[1], 3);
  near(curve.high[1], 6.2);
  near(curve.median[2], 5);
  assert_int_equal(tb_curve_of(context, arena, &group, tb_read_real, "absent", &curve), TB_OK);
  assert_int_equal(curve.n, 0);
  hand_free(&a), hand_free(&b), hand_free(&c);
  tb_arena_free(arena);
}

static void crossings(void **state) {
  tb_context *context = *state;
  /* from 80 at t = 1 to 20 at t = e²: 45 is 35/60 of the way in log t */
  hand a = hand_new(context, "seed=0", 4, (double[4][2]){ { 0, 90 }, { 1, 80 }, { exp(2), 20 }, { 20, 60 } });
  hand_bind(&a);
  near(tb_crossing_of(&a.outcome, "value", 45), 2 * 35.0 / 60);
  near(tb_value_at(&a.outcome, "value", 2 * 35.0 / 60), 45);
  assert_true(isnan(tb_value_at(&a.outcome, "value", 10)));
  assert_true(isnan(tb_crossing_of(&a.outcome, "value", 5)));
  assert_true(isnan(tb_crossing_of(&a.outcome, "absent", 5)));
  hand_free(&a);
}

/* ---- bars ---- */

static void bar_with_interval(void **state) {
  tb_context *context = *state;
  /* 1, 2, 3, 4: mean 2.5, s = √(5/3), t(0.975; 3) = 3.182446305284263 (tables) */
  hand h[4];
  const tb_exhibit *runs[4];
  for (int i = 0; i < 4; i++) {
    h[i] = hand_new(context, "seed=0", 0, NULL);
    hand_bind(&h[i]);
    assert_int_equal(tb_metrics_real(h[i].final, "error", i + 1), TB_OK);
    runs[i] = &h[i].exhibit;
  }
  tb_group group = { "g", "", "", 0, 4, runs };
  tb_bar bar;
  assert_int_equal(tb_bar_of(context, &group, "error", &bar), TB_OK);
  double half = 3.182446305284263 * sqrt(5.0 / 3) / 2;
  assert_int_equal(bar.n, 4);
  near(bar.mean, 2.5);
  assert_true(fabs(bar.low - (2.5 - half)) < 1e-9 && fabs(bar.high - (2.5 + half)) < 1e-9);
  near(bar.least, 1);
  near(bar.most, 4);
  group.n = 1;
  assert_int_equal(tb_bar_of(context, &group, "error", &bar), TB_OK);
  near(bar.mean, 1);
  assert_true(isnan(bar.low) && isnan(bar.high));
  assert_int_equal(tb_bar_of(context, &group, "absent", &bar), TB_OK);
  assert_int_equal(bar.n, 0);
  for (int i = 0; i < 4; i++)
    hand_free(&h[i]);
}

/* ---- groups ---- */

static void groups_and_labels(void **state) {
  tb_context *context = *state;
  tb_arena *arena = tb_arena_new(context);
  static const char *const settings[] = {
    "seed=0 method=gf model=linear",           "seed=1 method=gf model=linear",
    "seed=0 method=gf model=diagonal depth=3", "seed=0 method=ngf model=diagonal fisher=parameter depth=2",
    "seed=0 method=ngf model=linear",
  };
  enum { N = sizeof settings / sizeof *settings };
  hand h[N];
  const tb_exhibit *runs[N];
  for (int i = 0; i < N; i++) {
    h[i] = hand_new(context, settings[i], 0, NULL);
    hand_bind(&h[i]);
    runs[i] = &h[i].exhibit;
  }
  size_t count;
  tb_group *groups;
  assert_int_equal(tb_groups_of(context, arena, N, runs, &count, &groups), TB_OK);
  assert_int_equal(count, 4);
  assert_int_equal(groups[0].n, 2);
  assert_string_equal(groups[0].label, "gradient flow, linear");
  assert_string_equal(groups[1].label, "gradient flow, diagonal, depth 3");
  assert_string_equal(groups[2].label, "natural gradient flow, parameter Fisher, diagonal, depth 2");
  assert_string_equal(groups[3].label, "natural gradient flow, predictor Fisher, linear");
  assert_string_equal(groups[2].rest, "diagonal, depth 2");
  assert_int_equal(groups[1].method_index, 0);
  assert_int_equal(groups[3].method_index, 2);
  tb_layout layout;
  assert_int_equal(tb_layout_of(context, arena, count, groups, &layout), TB_OK);
  assert_int_equal(layout.n_panels, 3);
  assert_int_equal(layout.n_series, 3);
  assert_int_equal(layout.series_of[3], 0);
  h[3].exhibit.state = "unfinished";
  assert_int_equal(tb_groups_of(context, arena, N, runs, &count, &groups), TB_OK);
  assert_int_equal(count, 3);
  assert_int_equal(tb_groups_of(context, arena, 1, runs, &count, &groups), TB_OK);
  assert_string_equal(groups[0].label, "gradient flow");
  assert_int_equal(tb_groups_of(context, arena, 0, runs, &count, &groups), TB_OK);
  assert_int_equal(count, 0);
  for (int i = 0; i < N; i++)
    hand_free(&h[i]);
  tb_arena_free(arena);
}

static void labels_tell_lengths_only_where_needed(void **state) {
  tb_context *context = *state;
  tb_arena *arena = tb_arena_new(context);
  hand a = hand_new(context, "time=1", 0, NULL), b = hand_new(context, "time=2", 0, NULL);
  hand_bind(&a), hand_bind(&b);
  size_t count;
  tb_group *groups;
  assert_int_equal(tb_groups_of(context, arena, 2, (const tb_exhibit *[]){ &a.exhibit, &b.exhibit }, &count, &groups),
                   TB_OK);
  assert_int_equal(count, 2);
  assert_string_equal(groups[1].label, "time 2");
  hand_free(&a), hand_free(&b);
  tb_arena_free(arena);
}

/* ---- paths ---- */

static void add_beta(hand *h, size_t i, size_t d, const double *beta) {
  assert_int_equal(tb_metrics_vector(h->snapshots[i], "beta", d, beta), TB_OK);
}

/* Two groups of one run each, in one panel. */
static tb_status find_paths(tb_context *context, tb_arena *arena, hand *a, hand *b, size_t *count, tb_path **paths) {
  tb_group groups[2] = { { "a", "", "", 0, 1, (const tb_exhibit *[]){ &a->exhibit } },
                         { "b", "", "", 0, 1, (const tb_exhibit *[]){ &b->exhibit } } };
  tb_layout layout;
  double radius;
  tb_status status = tb_layout_of(context, arena, 2, groups, &layout);
  return status == TB_OK ? tb_paths_of(context, arena, 2, groups, &layout, count, paths, &radius) : status;
}

static void paths_end_with_the_shortest(void **state) {
  tb_context *context = *state;
  tb_arena *arena = tb_arena_new(context);
  const double t[3][2] = { { 0, 0 }, { 1, 0 }, { 2, 0 } };
  hand a = hand_new(context, "seed=0", 3, t), b = hand_new(context, "seed=0 model=dense", 3, t);
  for (size_t i = 0; i < 3; i++) {
    add_beta(&a, i, 2, (double[2]){ 3.0 * (double)i, 4.0 * (double)i }); /* norms 0, 5, 10 */
    add_beta(&b, i, 2, (double[2]){ 0, 3.75 * (double)i });              /* 0, 3.75, 7.5 */
  }
  hand_bind(&a), hand_bind(&b);
  size_t count;
  tb_path *paths;
  tb_plane plane;
  assert_int_equal(find_paths(context, arena, &a, &b, &count, &paths), TB_OK);
  assert_int_equal(count, 2);
  assert_int_equal(paths[0].n, 3);
  near(paths[0].points[4], 4.5); /* (6, 8) cut to norm 7.5 */
  near(paths[0].points[5], 6);
  near(paths[1].points[5], 7.5);
  assert_int_equal(tb_plane_of(context, arena, count, paths, &plane), TB_OK);
  assert_true(plane.coordinates);
  /* other data, as a reference tells: not to be compared */
  assert_int_equal(tb_metrics_vector(a.final, "reference.l2_svm", 2, (double[2]){ 1, 0 }), TB_OK);
  assert_int_equal(tb_metrics_vector(b.final, "reference.l2_svm", 2, (double[2]){ 0, 1 }), TB_OK);
  assert_int_equal(find_paths(context, arena, &a, &b, &count, &paths), TB_OK);
  assert_int_equal(count, 1);
  hand_free(&a), hand_free(&b);
  tb_arena_free(arena);
}

static void plane_of_principal_directions(void **state) {
  tb_context *context = *state;
  tb_arena *arena = tb_arena_new(context);
  const double t[3][2] = { { 0, 0 }, { 1, 0 }, { 2, 0 } };
  hand a = hand_new(context, "seed=0", 3, t), b = hand_new(context, "seed=0 model=dense", 3, t);
  /* along −e3 (norms 1, 2) and e1 (2, 4, cut to 2): squared lengths 5 and 8 */
  for (size_t i = 0; i < 3; i++) {
    add_beta(&a, i, 4, (double[4]){ 0, 0, -1.0 * (double)i, 0 });
    add_beta(&b, i, 4, (double[4]){ 2.0 * (double)i, 0, 0, 0 });
  }
  hand_bind(&a), hand_bind(&b);
  size_t count;
  tb_path *paths;
  tb_plane plane;
  assert_int_equal(find_paths(context, arena, &a, &b, &count, &paths), TB_OK);
  assert_int_equal(tb_plane_of(context, arena, count, paths, &plane), TB_OK);
  near(plane.u[0], 1);
  near(plane.v[2], -1);
  near(plane.share_u, 8.0 / 13);
  near(plane.share_v, 5.0 / 13);
  hand_free(&a), hand_free(&b);
  tb_arena_free(arena);
}

/* ---- axes and words ---- */

static void axes(void **state) {
  tb_axis log_axis = tb_axis_of(3e-7, 90, true), linear = tb_axis_of(10, 20, false), zero = tb_axis_of(0, 20, false);
  near(log_axis.low, 1e-7);
  near(log_axis.high, 100);
  assert_string_equal(log_axis.format, "10^{%T}");
  near(linear.low, 9.5);
  near(linear.high, 20.5);
  near(zero.low, 0);
  near(zero.high, 21);
  tb_axis one = tb_axis_of(5, 5, false), none = tb_axis_of(INFINITY, -INFINITY, false), decade = tb_axis_of(1, 1, true);
  assert_true(one.low < 5 && one.high > 5);
  assert_true(none.low < none.high);
  assert_true(decade.low < decade.high);
}

/* A tenth of a pixel is what is drawn: points on the chord go, corners stay, what is not understood stays as it is. */
static void thinned(void **state) {
  static const char *const cases[][2] = {
    { "M0.00,0.00 L1.00,1.04 L2.00,2.00\n\t\tL10.00,10.00", "M0,0 10,10" },
    { "M0.00,0.00 L5.00,5.00 L10.00,0.00 M3.25,-4.06 L3.00,4.00", "M0,0 5,5 10,0M3.3,-4.1 3,4" },
    { "0.00,0.00 5.00,0.00 10.00,0.00 10.00,5.00 0.00,5.00", "0,0 10,0 10,5 0,5" },
    { "M1.00,1.00 L1.00,1.00 L9.00,1.00 Z", "M1,1 9,1Z" },
    { "M-1,0 h2 M0,-1 v2", "M-1,0 h2 M0,-1 v2" },
    { "M1.00,2.00", "M1,2" },
    { "", "" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tb_text text = tb_text_new(*state);
    tb_svg_line(&text, cases[i][0], strlen(cases[i][0]));
    assert_string_equal(text.data ? text.data : "", cases[i][1]);
    tb_text_free(&text);
  }
  tb_text line = tb_text_new(*state), text = tb_text_new(*state); /* longer than one piece; a wave keeps its shape */
  for (int i = 0; i < 5000; i++)
    tb_text_format(&line, "%s%.2f,%.2f ", i ? "L" : "M", i / 10.0, 50 + 40 * sin(i / 200.0));
  tb_svg_line(&text, line.data, line.length);
  assert_true(text.length > 500 && text.length < line.length / 10);
  tb_text_free(&line), tb_text_free(&text);
}

static void written(tb_context *context, void (*write)(tb_text *, const char *), const char *from, const char *to) {
  tb_text text = tb_text_new(context);
  write(&text, from);
  assert_string_equal(text.data ? text.data : "", to);
  tb_text_free(&text);
}

static void escapes(void **state) {
  tb_context *context = *state;
  written(context, tb_write_html, "<a href=\"x\">&'", "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  written(context, tb_write_html,
          "a\xff"
          "b\n\xc3\xa9\xed\xa0\x80",
          "a\xef\xbf\xbd"
          "b \xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  written(context, tb_write_csv, "a\"b,\n", "\"a\"\"b, \"");
  written(context, tb_write_gnuplot, "it's `x` @y $z\\n\n", "'it’s `x` @y $z\\n '");
  written(context, tb_write_shell, "a=b.csv", "a=b.csv");
  written(context, tb_write_shell, "it's $(x)", "'it'\\''s $(x)'");
  written(context, tb_write_shell, "", "''");
  written(context, tb_write_slug, "../GD_svm <x>", "gd-svm-x");
  written(context, tb_write_slug, "∇", "part");
  written(context, tb_write_path, "a b/\"%\xc3", "a%20b/%22%25%C3");
}

static void numbers(void **state) {
  static const struct {
    double value;
    const char *text;
  } cases[] = { { 0.203267054915, "0.203267" },
                { -1.3e-11, "−1.3e−11" },
                { 1e-10, "1e−10" },
                { 0, "0" },
                { INFINITY, "∞" },
                { -INFINITY, "−∞" },
                { NAN, "—" },
                { 1e6, "1e6" } };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tb_text text = tb_text_new(*state);
    tb_write_number(&text, cases[i].value, 6);
    assert_string_equal(text.data, cases[i].text);
    tb_text_free(&text);
  }
}

static void base64(void **state) {
  /* RFC 4648, section 10 */
  static const char *const cases[][2] = { { "", "" },        { "f", "Zg==" },          { "fo", "Zm8=" },
                                          { "foo", "Zm9v" }, { "foobar", "Zm9vYmFy" }, { "fooba", "Zm9vYmE=" } };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tb_text text = tb_text_new(*state);
    tb_write_base64(&text, cases[i][0], strlen(cases[i][0]));
    assert_string_equal(text.data ? text.data : "", cases[i][1]);
    tb_text_free(&text);
  }
}

static void relative_links(void **state) {
  tb_context *context = *state;
  tb_text text = tb_text_new(context);
  assert_int_equal(tb_write_relative(context, &text, "/tmp/report.html", "/tmp/runs"), TB_OK);
  assert_string_equal(text.data, "runs");
  tb_text_free(&text);
  text = tb_text_new(context);
  assert_int_equal(tb_write_relative(context, &text, "/usr/lib/report.html", "/usr/share"), TB_OK);
  assert_string_equal(text.data, "../share");
  tb_text_free(&text);
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
    cmocka_unit_test_setup_teardown(band_of_equal_times, set_up, tear_down),
    cmocka_unit_test_setup_teardown(band_of_different_times, set_up, tear_down),
    cmocka_unit_test_setup_teardown(crossings, set_up, tear_down),
    cmocka_unit_test_setup_teardown(bar_with_interval, set_up, tear_down),
    cmocka_unit_test_setup_teardown(groups_and_labels, set_up, tear_down),
    cmocka_unit_test_setup_teardown(labels_tell_lengths_only_where_needed, set_up, tear_down),
    cmocka_unit_test_setup_teardown(paths_end_with_the_shortest, set_up, tear_down),
    cmocka_unit_test_setup_teardown(plane_of_principal_directions, set_up, tear_down),
    cmocka_unit_test_setup_teardown(axes, set_up, tear_down),
    cmocka_unit_test_setup_teardown(escapes, set_up, tear_down),
    cmocka_unit_test_setup_teardown(numbers, set_up, tear_down),
    cmocka_unit_test_setup_teardown(base64, set_up, tear_down),
    cmocka_unit_test_setup_teardown(thinned, set_up, tear_down),
    cmocka_unit_test_setup_teardown(relative_links, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
