/* The language laboratory's figures: what they draw of runs made by hand, and that they leave other studies alone. */
#include "testing.h"

#include <stdio.h>

#include "report/figure.h"

enum { MOST = 12, MOST_SNAPSHOTS = 5 };

static tb_context *context;
static tb_arena *arena;

typedef struct hand {
  size_t n;
  tb_exhibit exhibits[MOST];
  tb_outcome outcomes[MOST];
  tb_config *configs[MOST];
  tb_metrics *final[MOST], *snapshots[MOST][MOST_SNAPSHOTS];
} hand;

static void check(tb_status status) {
  if (status != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
}

static int set_up(void **state) {
  context = tb_context_new(NULL, NULL);
  arena = tb_arena_new(context);
  return arena ? 0 : -1;
}

static int tear_down(void **state) {
  tb_arena_free(arena);
  tb_context_free(context);
  return 0;
}

/* A run of a study with settings "key=value key=value". */
static tb_metrics *add_run(hand *h, const char *study, const char *settings) {
  const tb_study *s = tb_study_find(study);
  const size_t i = h->n++;
  char copy[200], *state = NULL;
  assert_non_null(s);
  check(tb_config_new(context, s->n_tables, s->tables, &h->configs[i]));
  snprintf(copy, sizeof copy, "%s", settings);
  for (char *word = strtok_r(copy, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
    char *equals = strchr(word, '=');
    *equals = 0;
    check(tb_config_set(h->configs[i], word, equals + 1, "test"));
  }
  check(tb_metrics_new(context, &h->final[i]));
  h->outcomes[i] = (tb_outcome){ "run", h->configs[i], h->final[i], 0, h->snapshots[i] };
  h->exhibits[i] = (tb_exhibit){ &h->outcomes[i], s, "part", "", "", "", "finished", 1 };
  return h->final[i];
}

static void add_snapshot(hand *h, double t, double loss, double unmoved) {
  const size_t i = h->n - 1, k = h->outcomes[i].n_snapshots++;
  check(tb_metrics_new(context, &h->snapshots[i][k]));
  check(tb_metrics_real(h->snapshots[i][k], "t", t));
  check(tb_metrics_real(h->snapshots[i][k], "loss", loss));
  check(tb_metrics_real(h->snapshots[i][k], "unmoved.loss", unmoved));
}

/* The CSV of the figure with that id, or NULL; text of the arena. */
static const char *draw(hand *h, const char *id) {
  size_t n_chapters, count;
  tb_chapter *chapters;
  tb_picture *pictures;
  const char *csv = NULL;
  check(tb_chapters_of(context, arena, h->n, h->exhibits, &n_chapters, &chapters));
  check(tb_pictures_of(context, arena, n_chapters, chapters, &count, &pictures));
  for (size_t i = 0; i < count; i++)
    if (strcmp(pictures[i].figure->id, id) == 0)
      csv = tb_arena_text(arena, pictures[i].csv.data);
  tb_pictures_free(count, pictures);
  return csv;
}

static void free_hand(hand *h) {
  for (size_t i = 0; i < h->n; i++) {
    for (size_t k = 0; k < h->outcomes[i].n_snapshots; k++)
      tb_metrics_free(h->snapshots[i][k]);
    tb_metrics_free(h->final[i]);
    tb_config_free(h->configs[i]);
  }
}

static void accuracy_and_divergence(void **state) {
  hand h = { .n = 0 };
  static const char *const examples[] = { "n=8 alter=swap", "n=0 alter=swap", "n=64 alter=swap" };
  static const double accuracy[] = { 0.5, 0.25, 0.75 }, log_kl[] = { -23.025850929940457, 0, -230.25850929940457 };
  for (size_t i = 0; i < 3; i++) {
    tb_metrics *m = add_run(&h, "icl", examples[i]);
    check(tb_metrics_real(m, "accuracy", accuracy[i]));
    check(tb_metrics_real(m, "accuracy.altered", 1 - accuracy[i]));
    check(tb_metrics_real(m, "log_kl", log_kl[i]));
  }
  assert_string_equal(draw(&h, "context"),
                      "series,x,y,low,high,name\n"
                      "1,0,0.25,0.25,0.25,\"the law\"\n1,8,0.5,0.5,0.5,\"the law\"\n1,64,0.75,0.75,0.75,\"the law\"\n"
                      "2,0,0.75,0.75,0.75,\"overwritten after prompts\"\n"
                      "2,8,0.5,0.5,0.5,\"overwritten after prompts\"\n"
                      "2,64,0.25,0.25,0.25,\"overwritten after prompts\"\n"
                      "3,0,0,0,0,\"divergence (right)\"\n3,8,-10,-10,-10,\"divergence (right)\"\n"
                      "3,64,-100,-100,-100,\"divergence (right)\"\n");
  assert_null(draw(&h, "finetune"));
  assert_null(draw(&h, "measures"));
  free_hand(&h);
}

static void two_points_are_no_curve(void **state) {
  hand h = { .n = 0 };
  for (size_t i = 0; i < 2; i++) {
    tb_metrics *m = add_run(&h, "icl", i ? "n=1 alter=swap" : "n=0 alter=swap");
    check(tb_metrics_real(m, "accuracy", 0.5));
    check(tb_metrics_real(m, "log_kl", -1));
  }
  assert_null(draw(&h, "context"));
  free_hand(&h);
}

static void curves_of_twins(void **state) {
  hand h = { .n = 0 };
  add_run(&h, "finetune", "method=gd");
  add_snapshot(&h, 0, 1, 1);
  add_snapshot(&h, 1, 0.5, 0.75);
  add_snapshot(&h, 2, 0.25, 0.5);
  const char *csv = draw(&h, "finetune");
  assert_non_null(csv);
  assert_non_null(strstr(csv, "\n1,1,2,0.69314718"));
  assert_non_null(strstr(csv, "0.25,0.25,0.25,1,\"\",\"moved\""));
  assert_non_null(strstr(csv, "0.75,0.75,0.75,1,\"\",\"left alone\""));
  assert_null(draw(&h, "context"));
  free_hand(&h);
}

static void points_of_networks(void **state) {
  hand h = { .n = 0 };
  static const double trace[] = { 1, 2, 4, 8, 16, 32 }, r1[] = { 0.5, 0.4, 0.3, 0.2, 0.1, 0 };
  static const double lr[] = { 0.1, 0.2, 0.1, 0.2, 0.1, 0.2 };
  tb_metrics *m = add_run(&h, "measures", "networks=6");
  check(tb_metrics_vector(m, "network.trace", 6, trace));
  check(tb_metrics_vector(m, "network.ood_r1", 6, r1));
  check(tb_metrics_vector(m, "network.lr", 6, lr));
  const char *csv = draw(&h, "measures");
  assert_non_null(csv);
  assert_non_null(strstr(csv, "1,4,0.3,\"learning rate 0.1\""));
  assert_non_null(strstr(csv, "2,32,0,\"learning rate 0.2\""));
  free_hand(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(accuracy_and_divergence),
    cmocka_unit_test(two_points_are_no_curve),
    cmocka_unit_test(curves_of_twins),
    cmocka_unit_test(points_of_networks),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
