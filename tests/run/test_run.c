/* Running: results in order, the same for any number of threads, folders as promised, stopping and going on. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <tiebreak/tiebreak.h>

#include "io/csv.h"
#include "io/npz.h"

static char root[] = "/tmp/tiebreak-run-XXXXXX";

static int setup(void **state) {
  *state = tb_context_new(NULL, NULL);
  tb_clear_stop();
  return 0;
}

static int teardown(void **state) {
  tb_context_free(*state);
  return 0;
}

static tb_batch *ask(tb_context *context, size_t n, const char *const *words) {
  char keys[8][64];
  tb_assignment overrides[8];
  tb_batch *batch;
  for (size_t i = 0; i < n; i++) {
    const char *equals = strchr(words[i], '=');
    snprintf(keys[i], sizeof keys[i], "%.*s", (int)(equals - words[i]), words[i]);
    overrides[i] = (tb_assignment){ .key = keys[i], .text = equals + 1, .origin = "command line" };
  }
  if (tb_batch_new(context, "toy", n, overrides, &batch))
    fail_msg("%s", tb_context_message(context));
  return batch;
}

#define ASK(...) ask(context, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), (const char *[]){ __VA_ARGS__ })

/* ---- what the callbacks saw ---- */

typedef struct seen {
  size_t started, finished, failed, warnings, next;
  double last_fraction;
  tb_text lines;
  char failure[200];
} seen;

static void on_started(void *user, size_t run, const char *name) {
  ((seen *)user)->started++;
}

static void on_warned(void *user, size_t run, const char *message) {
  ((seen *)user)->warnings++;
}

static void on_failed(void *user, size_t run, const tb_context *why) {
  seen *s = user;
  s->failed++;
  snprintf(s->failure, sizeof s->failure, "%s", tb_context_message(why));
}

static void on_finished(void *user, size_t run, tb_status status, const char *record) {
  seen *s = user;
  assert_int_equal(run, s->next++); /* in order */
  assert_true((status == TB_OK) == (record != NULL));
  s->finished += status == TB_OK;
  if (record)
    tb_text_add(&s->lines, record);
}

static void on_progress(void *user, size_t finished, size_t runs, double fraction, double left, const char *what) {
  ((seen *)user)->last_fraction = fraction;
}

static tb_status run(tb_context *context, tb_batch *batch, int threads, seen *s) {
  *s = (seen){ .lines = tb_text_new(context) };
  tb_run_options options = { .folder = root,
                             .threads = threads,
                             .user = s,
                             .started = on_started,
                             .warned = on_warned,
                             .failed = on_failed,
                             .finished = on_finished,
                             .progress = on_progress };
  return tb_batch_run(context, batch, &options);
}

/* A JSON line without what may differ between equal runs: name, folder, times, threads. */
static char *essence(const char *line) {
  json_t *object = json_loads(line, 0, NULL);
  assert_non_null(object);
  json_object_del(object, "run");
  json_object_del(object, "files");
  json_object_del(object, "seconds");
  json_object_del(object, "threads");
  char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17));
  json_decref(object);
  return text;
}

static char *read_text(const char *folder, const char *name) {
  char path[4096];
  static char text[1 << 20];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "r");
  if (!file)
    return NULL;
  size_t size = fread(text, 1, sizeof text - 1, file);
  text[size] = 0;
  fclose(file);
  return text;
}

static bool has(const char *folder, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return tb_file_exists(path);
}

/* ---- one run ---- */

static void the_folder_of_a_run(void **state) {
  tb_context *context = *state;
  seen s;
  tb_batch *batch = ASK("steps=20", "at=5,10", "loud=true", "seed=4");
  assert_int_equal(run(context, batch, 2, &s), TB_OK);
  assert_int_equal(s.started, 1);
  assert_int_equal(s.finished, 1);
  assert_int_equal(s.warnings, 2);
  assert_true(s.last_fraction == 1);
  const char *folder = tb_batch_folder(batch);
  const char *const files[] = { "study.yaml",  "resolved.yaml", "manifest.json", "metrics.csv",
                                "record.json", "snapshots.npz", "log.txt" };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    assert_true(has(folder, files[i]));
  assert_false(has(folder, "checkpoint"));
  assert_string_equal(read_text(folder, "record.json"), s.lines.data);

  json_t *line = json_loads(s.lines.data, 0, NULL);
  assert_string_equal(json_string_value(json_object_get(line, "study")), "toy");
  assert_string_equal(json_string_value(json_object_get(line, "tiebreak")), TB_VERSION);
  const json_t *config = json_object_get(line, "config");
  assert_int_equal(json_object_size(config), 9);
  assert_int_equal(json_integer_value(json_object_get(config, "steps")), 20);
  assert_true(json_is_true(json_object_get(config, "loud")));
  assert_true(json_real_value(json_object_get(config, "rate")) == 3.9);
  assert_int_equal(json_array_size(json_object_get(config, "at")), 2);
  assert_int_equal(json_array_size(json_object_get(line, "snapshots")), 3);
  assert_int_equal(json_array_size(json_object_get(line, "claims")), 2);
  assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(line, "claims"), 0), "verdict")),
                      "holds");
  assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(line, "claims"), 1), "verdict")),
                      "undecided");
  assert_int_equal(json_array_size(json_object_get(json_object_get(line, "metrics"), "warnings")), 2);
  json_decref(line);

  json_t *manifest = json_loads(read_text(folder, "manifest.json"), 0, NULL);
  const char *const keys[] = { "tiebreak", "commit",  "compiler", "cpu",  "kernels", "threads",
                               "seed",     "started", "finished", "exit", "seconds", "state" };
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    assert_non_null(json_object_get(manifest, keys[i]));
  assert_int_equal(json_integer_value(json_object_get(manifest, "exit")), 0);
  assert_int_equal(json_integer_value(json_object_get(manifest, "seed")), 4);
  json_decref(manifest);
  tb_text_free(&s.lines);
  tb_batch_free(batch);
}

static void tables_and_arrays_have_a_row_a_snapshot(void **state) {
  tb_context *context = *state;
  seen s;
  char path[4096];
  tb_batch *batch = ASK("steps=20", "at=5,10");
  assert_int_equal(run(context, batch, 1, &s), TB_OK);
  snprintf(path, sizeof path, "%s/metrics.csv", tb_batch_folder(batch));
  tb_table *table;
  assert_int_equal(tb_csv_read(context, path, &table), TB_OK);
  assert_int_equal(table->rows, 3);
  assert_int_equal(table->cols, 1 + 1 + 3 + 4);
  assert_true(tb_table_column(table, "t") == 0 && tb_table_column(table, "orbit[1]") == 2);
  assert_true(tb_table_column(table, "outer[2][1]") == 7);

  snprintf(path, sizeof path, "%s/snapshots.npz", tb_batch_folder(batch));
  tb_arena *arena = tb_arena_new(context);
  tb_array *arrays;
  size_t count;
  assert_int_equal(tb_npz_read(context, arena, path, &count, &arrays), TB_OK);
  assert_int_equal(count, 4);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(arrays[i].dims[0], 3);
    if (strcmp(arrays[i].name, "orbit") == 0) {
      assert_int_equal(arrays[i].rank, 2);
      for (size_t r = 0; r < 3; r++)
        assert_true(((const double *)arrays[i].data)[3 * r] == table->values[table->cols * r + 2]);
    }
    if (strcmp(arrays[i].name, "t") == 0)
      assert_true(arrays[i].type == TB_ARRAY_INT64 && ((const int64_t *)arrays[i].data)[2] == 10);
  }
  tb_table_free(context, table);
  tb_arena_free(arena);
  tb_text_free(&s.lines);
  tb_batch_free(batch);
}

static void records_come_back_as_they_were(void **state) {
  tb_context *context = *state;
  seen s;
  tb_batch *batch = ASK("steps=30", "at=5,10", "loud=true", "method=shifted");
  assert_int_equal(run(context, batch, 1, &s), TB_OK);
  tb_record *record;
  assert_int_equal(tb_record_open(context, tb_batch_folder(batch), &record), TB_OK);
  assert_string_equal(tb_record_json(record), s.lines.data);
  assert_string_equal(tb_record_state(record), "finished");
  const tb_outcome *outcome = tb_record_outcome(record);
  assert_int_equal(outcome->n_snapshots, 3);
  assert_true(tb_config_is(outcome->config, "method", "shifted"));
  assert_true(tb_metrics_get(outcome->metrics, "t") == 30);
  assert_int_equal(tb_metrics_find(outcome->metrics, "outer").rows, 2);
  tb_record_free(record);
  tb_text_free(&s.lines);
  tb_batch_free(batch);
}

static void the_resolved_file_asks_for_the_same_run(void **state) {
  tb_context *context = *state;
  seen first, second;
  char path[4096];
  tb_batch *batch = ASK("steps=25", "at=5,10", "rate=3.7", "seed=2");
  assert_int_equal(run(context, batch, 1, &first), TB_OK);
  snprintf(path, sizeof path, "%s/resolved.yaml", tb_batch_folder(batch));
  tb_batch *again;
  assert_int_equal(tb_batch_new(context, path, 0, NULL, &again), TB_OK);
  assert_int_equal(run(context, again, 1, &second), TB_OK);
  char *a = essence(first.lines.data), *b = essence(second.lines.data);
  assert_string_equal(a, b);
  assert_string_not_equal(tb_batch_folder(batch), tb_batch_folder(again));
  free(a);
  free(b);
  tb_text_free(&first.lines);
  tb_text_free(&second.lines);
  tb_batch_free(batch);
  tb_batch_free(again);
}

/* ---- many runs ---- */

static void any_number_of_threads_gives_the_same(void **state) {
  tb_context *context = *state;
  char *expected = NULL;
  for (int threads = 1; threads <= 5; threads += 2) {
    seen s;
    tb_batch *batch = ASK("steps=2000", "seed=0:11", "at=3,700", "method=plain,shifted");
    assert_int_equal(run(context, batch, threads, &s), TB_OK);
    assert_int_equal(s.finished, 24);
    tb_text all = tb_text_new(context);
    for (char *line = strtok(s.lines.data, "\n"); line; line = strtok(NULL, "\n")) {
      char *text = essence(line);
      tb_text_format(&all, "%s\n", text);
      free(text);
    }
    if (!expected)
      expected = strdup(all.data);
    assert_string_equal(all.data, expected);
    tb_text_free(&all);
    tb_text_free(&s.lines);
    tb_batch_free(batch);
  }
  free(expected);
}

static void verdicts_over_a_batch(void **state) {
  tb_context *context = *state;
  seen s;
  tb_batch *batch = ASK("seed=0:4", "method=plain,shifted");
  assert_int_equal(run(context, batch, 2, &s), TB_OK);
  tb_arena *arena = tb_arena_new(context);
  const char **folders;
  size_t count, n_verdicts;
  assert_int_equal(tb_runs_resolve(context, arena, root, tb_batch_folder(batch), &count, &folders), TB_OK);
  assert_int_equal(count, 10);
  tb_record *records[10];
  for (size_t i = 0; i < count; i++)
    assert_int_equal(tb_record_open(context, folders[i], &records[i]), TB_OK);
  tb_verdict *verdicts;
  assert_int_equal(tb_claims_judge(context, arena, count, records, &n_verdicts, &verdicts), TB_OK);
  assert_int_equal(n_verdicts, 2);
  assert_string_equal(verdicts[0].claim->id, "toy.bounded");
  assert_int_equal(verdicts[1].word, TB_HOLDS);
  assert_true(fabs(verdicts[1].value + 1) < 1e-12 && verdicts[1].seeds == 5);

  tb_text csv = tb_text_new(context);
  assert_int_equal(tb_records_csv(context, count, records, &csv), TB_OK);
  assert_memory_equal(csv.data, "run,t,x,", 8);
  tb_text_free(&csv);
  for (size_t i = 0; i < count; i++)
    tb_record_free(records[i]);
  tb_arena_free(arena);
  tb_text_free(&s.lines);
  tb_batch_free(batch);
}

static void a_failing_run_does_not_stop_the_others(void **state) {
  tb_context *context = *state;
  seen s;
  tb_batch *batch = ASK("seed=0:3", "ending=failed,well");
  assert_int_equal(run(context, batch, 2, &s), TB_FAILED);
  assert_int_equal(s.finished, 4);
  assert_int_equal(s.failed, 4);
  assert_string_equal(s.failure, "the map diverged");
  assert_string_equal(tb_context_message(context), "the map diverged");
  assert_string_equal(tb_context_hint(context), "take another ending");
  tb_record *record;
  assert_int_equal(tb_record_open(context, tb_batch_run_folder(batch, 0), &record), TB_OK);
  assert_string_equal(tb_record_state(record), "failed");
  tb_record_free(record);
  tb_text_free(&s.lines);
  tb_batch_free(batch);
}

static void every_ending_has_its_status(void **state) {
  tb_context *context = *state;
  const struct {
    const char *word;
    tb_status status;
  } endings[] = { { "ending=failed", TB_FAILED },
                  { "ending=usage", TB_USAGE },
                  { "ending=data", TB_BAD_DATA },
                  { "ending=memory", TB_NO_MEMORY } };
  for (size_t i = 0; i < 4; i++) {
    seen s;
    tb_batch *batch = ask(context, 1, &endings[i].word);
    assert_int_equal(run(context, batch, 1, &s), endings[i].status);
    tb_text_free(&s.lines);
    tb_batch_free(batch);
  }
}

static void names_are_never_taken_twice(void **state) {
  tb_context *context = *state;
  seen s;
  tb_run_options options = { .folder = root, .name = "mine", .threads = 1 };
  tb_batch *batch = ASK("seed=1"), *again = ASK("seed=1"), *counted = ASK("seed=1");
  assert_int_equal(tb_batch_run(context, batch, &options), TB_OK);
  assert_int_equal(tb_batch_run(context, again, &options), TB_USAGE);
  assert_non_null(strstr(tb_context_message(context), "'mine'"));
  assert_int_equal(run(context, counted, 1, &s), TB_OK);
  tb_text_free(&s.lines);
  tb_batch_free(batch);
  tb_batch_free(again);
  tb_batch_free(counted);
}

/* ---- stopping ---- */

static void stop_at_half(void *user, size_t finished, size_t runs, double fraction, double left, const char *what) {
  if (fraction > 0.3)
    tb_request_stop(TB_INTERRUPTED);
}

static void a_stopped_batch_goes_on_to_the_same_result(void **state) {
  tb_context *context = *state;
  seen whole, rest;
  tb_batch *batch = ASK("steps=40", "pause=0.005", "seed=0:3", "at=10,35", "loud=true");
  assert_int_equal(run(context, batch, 2, &whole), TB_OK);
  tb_batch_free(batch);

  tb_run_options options = { .folder = root, .threads = 2, .progress = stop_at_half };
  batch = ASK("steps=40", "pause=0.005", "seed=0:3", "at=10,35", "loud=true");
  assert_int_equal(tb_batch_run(context, batch, &options), TB_INTERRUPTED);
  assert_non_null(strstr(tb_context_hint(context), "tiebreak resume toy-"));
  char *folder = strdup(tb_batch_folder(batch));
  tb_record *record;
  assert_int_equal(tb_record_open(context, tb_batch_run_folder(batch, 0), &record), TB_OK);
  assert_string_equal(tb_record_state(record), "unfinished");
  assert_true(tb_record_outcome(record)->n_snapshots >= 1);
  tb_record_free(record);
  tb_batch_free(batch);

  tb_clear_stop();
  assert_int_equal(tb_batch_open(context, folder, &batch), TB_OK);
  assert_int_equal(tb_batch_runs(batch), 4);
  assert_int_equal(run(context, batch, 2, &rest), TB_OK);
  assert_int_equal(rest.finished, 4);
  char *more, *other;
  for (char *a = strtok_r(whole.lines.data, "\n", &more), *b = strtok_r(rest.lines.data, "\n", &other); a;
       a = strtok_r(NULL, "\n", &more), b = strtok_r(NULL, "\n", &other)) {
    char *x = essence(a), *y = essence(b);
    assert_string_equal(x, y);
    free(x);
    free(y);
  }
  tb_batch_free(batch);
  free(folder);
  tb_text_free(&whole.lines);
  tb_text_free(&rest.lines);
}

static void a_time_limit_stops_with_a_checkpoint(void **state) {
  tb_context *context = *state;
  tb_run_options options = { .folder = root, .threads = 1, .time_limit = 0.05 };
  tb_batch *batch = ASK("steps=1000", "pause=0.002");
  assert_int_equal(tb_batch_run(context, batch, &options), TB_STOPPED);
  assert_true(has(tb_batch_folder(batch), "checkpoint"));
  tb_batch_free(batch);
}

static void a_damaged_checkpoint_costs_only_time(void **state) {
  tb_context *context = *state;
  char path[4096];
  seen whole, rest;
  tb_batch *batch = ASK("steps=100", "at=10,35");
  assert_int_equal(run(context, batch, 1, &whole), TB_OK);
  tb_batch_free(batch);
  tb_run_options options = { .folder = root, .threads = 1, .time_limit = 0.05 };
  batch = ASK("steps=100", "pause=0.002", "at=10,35");
  assert_int_equal(tb_batch_run(context, batch, &options), TB_STOPPED);
  char *folder = strdup(tb_batch_folder(batch));
  tb_batch_free(batch);
  snprintf(path, sizeof path, "%s/checkpoint", folder);
  FILE *file = fopen(path, "r+");
  fseek(file, 150, SEEK_SET);
  fputs("damage", file);
  fclose(file);
  assert_int_equal(tb_batch_open(context, folder, &batch), TB_OK);
  assert_int_equal(run(context, batch, 1, &rest), TB_OK);
  assert_int_equal(rest.finished, 1);
  tb_batch_free(batch);
  tb_text_free(&whole.lines);
  tb_text_free(&rest.lines);
  free(folder);
}

static void one_process_at_a_time(void **state) {
  tb_context *context = *state;
  tb_run_options options = { .folder = root, .threads = 1, .time_limit = 0.05 };
  tb_batch *batch = ASK("steps=1000", "pause=0.002");
  assert_int_equal(tb_batch_run(context, batch, &options), TB_STOPPED);
  int pipe_ends[2];
  char byte;
  assert_int_equal(pipe(pipe_ends), 0);
  pid_t child = fork();
  if (child == 0) { /* holds the folder as a running process does */
    char command[4200];
    snprintf(command, sizeof command, "exec flock -x %s sh -c 'echo; sleep 10'", tb_batch_folder(batch));
    dup2(pipe_ends[1], 1);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(1);
  }
  assert_int_equal(read(pipe_ends[0], &byte, 1), 1);
  tb_batch *again;
  assert_int_equal(tb_batch_open(context, tb_batch_folder(batch), &again), TB_OK);
  assert_int_equal(tb_batch_run(context, again, &options), TB_USAGE);
  assert_non_null(strstr(tb_context_message(context), "another process"));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  tb_batch_free(batch);
  tb_batch_free(again);
}

/* ---- disks ---- */

static void unwritable_places(void **state) {
  tb_context *context = *state;
  const char *const places[] = { "/dev/full", "/proc/runs", "/dev/null/runs" };
  for (size_t i = 0; i < 3; i++) {
    tb_run_options options = { .folder = places[i], .threads = 1 };
    tb_batch *batch = ASK("seed=1");
    assert_int_equal(tb_batch_run(context, batch, &options), TB_NO_DISK);
    tb_batch_free(batch);
  }
}

static void a_full_disk_leaves_nothing_half_written(void **state) {
  tb_context *context = *state;
  char folder[100];
  snprintf(folder, sizeof folder, "%s/full", root);
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit before, limit = { 0, RLIM_INFINITY };
  getrlimit(RLIMIT_FSIZE, &before);
  limit.rlim_max = before.rlim_max;
  for (rlim_t size = 0; size < 4000; size += 400) {
    limit.rlim_cur = size;
    setrlimit(RLIMIT_FSIZE, &limit);
    tb_run_options options = { .folder = folder, .threads = 1 };
    tb_batch *batch = ASK("steps=20", "at=1,2,3,4,5,6,7,8,9");
    tb_status status = tb_batch_run(context, batch, &options);
    limit.rlim_cur = before.rlim_cur;
    setrlimit(RLIMIT_FSIZE, &limit);
    if (status)
      assert_int_equal(status, TB_NO_DISK);
    if (!tb_batch_folder(batch)) { /* could not even begin */
      DIR *dir = opendir(folder);
      int entries = 0;
      for (struct dirent *entry; dir && (entry = readdir(dir));)
        entries += entry->d_name[0] != '.' || strncmp(entry->d_name, ".new", 4) == 0;
      closedir(dir);
      assert_int_equal(entries, 0);
    } else if (status) { /* can be taken up when there is room again */
      tb_batch *again;
      seen s;
      assert_int_equal(tb_batch_open(context, tb_batch_folder(batch), &again), TB_OK);
      assert_int_equal(run(context, again, 1, &s), TB_OK);
      tb_text_free(&s.lines);
      tb_batch_free(again);
      char command[200];
      snprintf(command, sizeof command, "rm -r %s", folder);
      assert_int_equal(system(command), 0);
      assert_int_equal(mkdir(folder, 0777), 0);
    }
    tb_batch_free(batch);
  }
}

/* ---- looking back ---- */

static void damaged_folders_are_told(void **state) {
  tb_context *context = *state;
  char path[4096];
  seen s;
  tb_batch *batch = ASK("seed=1");
  assert_int_equal(run(context, batch, 1, &s), TB_OK);
  snprintf(path, sizeof path, "%s/record.json", tb_batch_folder(batch));
  assert_int_equal(truncate(path, 50), 0);
  tb_record *record;
  assert_int_equal(tb_record_open(context, tb_batch_folder(batch), &record), TB_BAD_DATA);
  assert_non_null(strstr(tb_context_place(context), "record.json:1:"));
  snprintf(path, sizeof path, "%s/manifest.json", tb_batch_folder(batch));
  assert_int_equal(truncate(path, 50), 0);
  assert_int_equal(tb_record_open(context, tb_batch_folder(batch), &record), TB_BAD_DATA);
  assert_non_null(strstr(tb_context_place(context), "manifest.json:"));
  tb_batch *again;
  assert_int_equal(tb_batch_open(context, tb_batch_folder(batch), &again), TB_BAD_DATA);
  tb_text_free(&s.lines);
  tb_batch_free(batch);
}

static size_t rows_of(tb_context *context, tb_arena *arena, const char *folder, tb_run_row **rows) {
  size_t count;
  assert_int_equal(tb_runs_list(context, arena, folder, &count, rows), TB_OK);
  return count;
}

static void the_index_follows_the_folders(void **state) {
  tb_context *context = *state;
  char folder[100], command[300];
  tb_run_row *rows;
  tb_arena *arena = tb_arena_new(context);
  snprintf(folder, sizeof folder, "%s/indexed", root);
  assert_int_equal(rows_of(context, arena, folder, &rows), 0);
  assert_false(tb_file_exists(folder));
  tb_run_options options = { .folder = folder, .threads = 1 };
  tb_batch *one = ASK("steps=7"), *many = ASK("seed=0:4");
  assert_int_equal(tb_batch_run(context, one, &options), TB_OK);
  assert_int_equal(rows_of(context, arena, folder, &rows), 1);
  assert_string_equal(rows[0].name, "toy-1");
  assert_string_equal(rows[0].state, "finished");
  assert_string_equal(rows[0].summary, "steps=7");
  assert_int_equal(tb_batch_run(context, many, &options), TB_OK);
  assert_int_equal(rows_of(context, arena, folder, &rows), 6);
  /* thrown away, broken, and behind the folders */
  snprintf(command, sizeof command, "cd %s && echo rubbish > index.sqlite", folder);
  assert_int_equal(system(command), 0);
  assert_int_equal(rows_of(context, arena, folder, &rows), 6);
  snprintf(command, sizeof command, "cd %s && rm index.sqlite", folder);
  assert_int_equal(system(command), 0);
  assert_int_equal(rows_of(context, arena, folder, &rows), 6);
  snprintf(command, sizeof command, "cd %s && rm -r toy-2/0003 && echo rubbish > toy-1/manifest.json", folder);
  assert_int_equal(system(command), 0);
  assert_int_equal(rows_of(context, arena, folder, &rows), 5);
  bool damaged = false;
  for (size_t i = 0; i < 5; i++)
    damaged |= strcmp(rows[i].state, "damaged") == 0 && strcmp(rows[i].name, "toy-1") == 0;
  assert_true(damaged);
  tb_arena_free(arena);
  tb_batch_free(one);
  tb_batch_free(many);
}

static void unknown_runs(void **state) {
  tb_context *context = *state;
  char folder[100];
  const char **folders;
  size_t count;
  tb_arena *arena = tb_arena_new(context);
  snprintf(folder, sizeof folder, "%s/names", root);
  tb_run_options options = { .folder = folder, .name = "margins", .threads = 1 };
  tb_batch *batch = ASK("seed=1");
  assert_int_equal(tb_batch_run(context, batch, &options), TB_OK);
  assert_int_equal(tb_runs_resolve(context, arena, folder, "margin", &count, &folders), TB_USAGE);
  assert_string_equal(tb_context_hint(context), "did you mean 'margins'?");
  assert_int_equal(tb_runs_resolve(context, arena, folder, "margins", &count, &folders), TB_OK);
  assert_int_equal(count, 1);
  assert_int_equal(tb_runs_resolve(context, arena, "elsewhere", tb_batch_folder(batch), &count, &folders), TB_OK);
  assert_int_equal(tb_runs_resolve(context, arena, "elsewhere", "x", &count, &folders), TB_USAGE);
  tb_arena_free(arena);
  tb_batch_free(batch);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    CASE(the_folder_of_a_run),
    CASE(tables_and_arrays_have_a_row_a_snapshot),
    CASE(records_come_back_as_they_were),
    CASE(the_resolved_file_asks_for_the_same_run),
    CASE(any_number_of_threads_gives_the_same),
    CASE(verdicts_over_a_batch),
    CASE(a_failing_run_does_not_stop_the_others),
    CASE(every_ending_has_its_status),
    CASE(names_are_never_taken_twice),
    CASE(a_stopped_batch_goes_on_to_the_same_result),
    CASE(a_time_limit_stops_with_a_checkpoint),
    CASE(a_damaged_checkpoint_costs_only_time),
    CASE(one_process_at_a_time),
    CASE(unwritable_places),
    CASE(a_full_disk_leaves_nothing_half_written),
    CASE(damaged_folders_are_told),
    CASE(the_index_follows_the_folders),
    CASE(unknown_runs),
  };
  if (!mkdtemp(root))
    return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  char command[100];
  snprintf(command, sizeof command, "rm -r %s", root);
  return system(command) ? 1 : failed;
}
