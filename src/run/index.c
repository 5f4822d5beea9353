/* The index of a folder of runs: an SQLite table that caches what the manifests say.
 *
 * The folders are the truth.  Every look brings the table up to date: a folder whose manifest has another time stamp is
 * read again, rows without a folder go.  A damaged index is thrown away; where none can be written, it lives in memory.
 * Several processes may do this at once: the table is changed in one transaction. */
#include <dirent.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/manifest.h"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY, stamp INTEGER, seen INTEGER, study TEXT, part TEXT,"
    " state TEXT, started TEXT, seconds REAL, summary TEXT);"
    "PRAGMA user_version = 1;";

typedef struct index_file {
  tb_context *context;
  const char *root;
  sqlite3 *db;
  sqlite3_stmt *find, *touch, *put;
  sqlite3_int64 now; /* number of this look */
} index_file;

static void close_index(index_file *x) {
  sqlite3_finalize(x->find);
  sqlite3_finalize(x->touch);
  sqlite3_finalize(x->put);
  x->find = x->touch = x->put = NULL;
  sqlite3_close(x->db);
  x->db = NULL;
}

static bool prepare(index_file *x, const char *path) {
  static const char find[] = "SELECT stamp FROM runs WHERE name = ?1";
  static const char touch[] = "UPDATE runs SET seen = ?2 WHERE name = ?1";
  static const char put[] = "INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
  if (sqlite3_open(path, &x->db) == SQLITE_OK) {
    sqlite3_busy_timeout(x->db, 10000);
    if (sqlite3_exec(x->db, schema, NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_exec(x->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(x->db, find, -1, &x->find, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(x->db, touch, -1, &x->touch, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(x->db, put, -1, &x->put, NULL) == SQLITE_OK)
      return true;
  }
  return false;
}

/* Opens root/index.sqlite in a transaction; a broken file is replaced, an impossible one kept in memory. */
static tb_status open_index(index_file *x) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/index.sqlite", x->root);
  for (int attempt = 0; attempt < 2; attempt++) {
    if (prepare(x, path))
      return TB_OK;
    int error = sqlite3_errcode(x->db);
    close_index(x);
    if (error == SQLITE_CORRUPT || error == SQLITE_NOTADB || error == SQLITE_ERROR)
      unlink(path);
    else
      break;
  }
  if (prepare(x, ":memory:"))
    return TB_OK;
  tb_status status = tb_fail(x->context, TB_NO_MEMORY, path, NULL, "cannot index the runs: %s", sqlite3_errmsg(x->db));
  close_index(x);
  return status;
}

/* ---- one folder ---- */

/* "method=ngf, depth=2, seed=3": what differs from the defaults. */
static tb_status summarise(tb_context *context, const tb_manifest *manifest, tb_text *out) {
  const tb_study *study = tb_study_find(manifest->study);
  tb_config *config;
  tb_text_add(out, "");
  if (!study)
    return tb_text_finish(out);
  if (tb_manifest_config(context, manifest, study, &config)) {
    tb_context_clear(context);
    return tb_text_finish(out);
  }
  for (size_t i = 0; i < tb_config_count(config); i++)
    if (!tb_config_is_default(config, tb_config_option(config, i)->name))
      tb_text_format(out, "%s%s=%s", out->length ? " " : "", tb_config_option(config, i)->name,
                     tb_config_text(config, i));
  tb_config_free(config);
  return tb_text_finish(out);
}

static void put_row(index_file *x, const char *name, sqlite3_int64 stamp, const tb_manifest *m, const char *summary) {
  sqlite3_reset(x->put);
  sqlite3_bind_text(x->put, 1, name, -1, SQLITE_TRANSIENT);
  sqlite3_bind_int64(x->put, 2, stamp);
  sqlite3_bind_int64(x->put, 3, x->now);
  sqlite3_bind_text(x->put, 4, m->study, -1, SQLITE_TRANSIENT);
  sqlite3_bind_text(x->put, 5, m->part, -1, SQLITE_TRANSIENT);
  sqlite3_bind_text(x->put, 6, m->state, -1, SQLITE_TRANSIENT);
  sqlite3_bind_text(x->put, 7, m->started, -1, SQLITE_TRANSIENT);
  sqlite3_bind_double(x->put, 8, m->seconds);
  sqlite3_bind_text(x->put, 9, summary, -1, SQLITE_TRANSIENT);
  sqlite3_step(x->put);
}

static tb_status read_row(index_file *x, const char *name, const char *folder, sqlite3_int64 stamp) {
  tb_arena *arena = tb_arena_new(x->context);
  if (!arena)
    return TB_NO_MEMORY;
  tb_manifest manifest;
  tb_text summary = tb_text_new(x->context);
  tb_status status = tb_manifest_read(x->context, arena, folder, &manifest);
  if (status == TB_BAD_DATA) {
    manifest = (tb_manifest){ .study = "", .part = "", .state = "damaged", .started = "" };
    tb_text_add(&summary, tb_context_message(x->context));
    tb_context_clear(x->context);
    status = tb_text_finish(&summary);
  } else if (!status) {
    status = summarise(x->context, &manifest, &summary);
  }
  if (!status)
    put_row(x, name, stamp, &manifest, summary.data ? summary.data : "");
  tb_text_free(&summary);
  tb_arena_free(arena);
  return status;
}

/* Brings the row of a run's folder up to date; name is relative to the root. */
static tb_status look_at_run(index_file *x, const char *name, const struct stat *manifest) {
  char folder[PATH_MAX];
  sqlite3_int64 stamp = (sqlite3_int64)manifest->st_mtim.tv_sec * 1000000000 + manifest->st_mtim.tv_nsec;
  sqlite3_reset(x->find);
  sqlite3_bind_text(x->find, 1, name, -1, SQLITE_TRANSIENT);
  bool fresh = sqlite3_step(x->find) == SQLITE_ROW && sqlite3_column_int64(x->find, 0) == stamp;
  sqlite3_reset(x->find);
  if (fresh) {
    sqlite3_reset(x->touch);
    sqlite3_bind_text(x->touch, 1, name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(x->touch, 2, x->now);
    sqlite3_step(x->touch);
    return TB_OK;
  }
  if ((size_t)snprintf(folder, sizeof folder, "%s/%s", x->root, name) >= sizeof folder)
    return TB_OK;
  return read_row(x, name, folder, stamp);
}

/* Every folder with a manifest in root/below ("" at first), one level of batches deep. */
static tb_status look_in(index_file *x, const char *below) {
  char path[PATH_MAX], name[PATH_MAX];
  struct stat info;
  tb_status status = TB_OK;
  if ((size_t)snprintf(path, sizeof path, "%s%s%s", x->root, *below ? "/" : "", below) >= sizeof path)
    return TB_OK;
  DIR *dir = opendir(path);
  for (struct dirent *entry; dir && !status && (entry = readdir(dir));) {
    if (entry->d_name[0] == '.' || entry->d_type == DT_REG)
      continue;
    if ((size_t)snprintf(name, sizeof name, "%s%s%s", below, *below ? "/" : "", entry->d_name) >= sizeof name ||
        (size_t)snprintf(path, sizeof path, "%s/%s/manifest.json", x->root, name) >= sizeof path)
      continue;
    if (stat(path, &info) == 0) {
      status = look_at_run(x, name, &info);
    } else if (!*below) {
      if ((size_t)snprintf(path, sizeof path, "%s/%s/batch.json", x->root, name) < sizeof path &&
          stat(path, &info) == 0)
        status = look_in(x, name);
    }
  }
  if (dir)
    closedir(dir);
  return status;
}

/* ---- all ---- */

static tb_status collect(index_file *x, tb_arena *arena, size_t *count, tb_run_row **rows) {
  static const char all[] = "SELECT name, study, part, state, started, summary, seconds FROM runs"
                            " ORDER BY started DESC, name DESC";
  sqlite3_stmt *counter = NULL, *select = NULL;
  tb_status status = TB_OK;
  size_t room = 0;
  if (sqlite3_prepare_v2(x->db, "SELECT count(*) FROM runs", -1, &counter, NULL) == SQLITE_OK &&
      sqlite3_step(counter) == SQLITE_ROW)
    room = (size_t)sqlite3_column_int64(counter, 0);
  sqlite3_finalize(counter);
  *rows = tb_arena_allocate(arena, room + 1, sizeof **rows);
  if (!*rows)
    return TB_NO_MEMORY;
  if (sqlite3_prepare_v2(x->db, all, -1, &select, NULL) == SQLITE_OK)
    while (*count < room && sqlite3_step(select) == SQLITE_ROW && !status) {
      const char *texts[6];
      for (int i = 0; i < 6 && !status; i++) {
        const char *text = (const char *)sqlite3_column_text(select, i);
        texts[i] = tb_arena_text(arena, text ? text : "");
        status = texts[i] ? TB_OK : TB_NO_MEMORY;
      }
      (*rows)[(*count)++] = (tb_run_row){ .name = texts[0],
                                          .study = texts[1],
                                          .part = texts[2],
                                          .state = texts[3],
                                          .started = texts[4],
                                          .summary = texts[5],
                                          .seconds = sqlite3_column_double(select, 6) };
    }
  sqlite3_finalize(select);
  return status;
}

tb_status tb_runs_list(tb_context *context, tb_arena *arena, const char *root, size_t *count, tb_run_row **rows) {
  struct stat info;
  *count = 0;
  *rows = NULL;
  if (stat(root, &info) != 0 || !S_ISDIR(info.st_mode))
    return TB_OK; /* no runs yet, and no folder is made by looking */
  index_file x = { .context = context, .root = root };
  tb_status status = open_index(&x);
  if (status)
    return status;
  sqlite3_stmt *largest = NULL;
  if (sqlite3_prepare_v2(x.db, "SELECT coalesce(max(seen), 0) + 1 FROM runs", -1, &largest, NULL) == SQLITE_OK &&
      sqlite3_step(largest) == SQLITE_ROW)
    x.now = sqlite3_column_int64(largest, 0);
  sqlite3_finalize(largest);
  status = look_in(&x, "");
  char gone[80];
  snprintf(gone, sizeof gone, "DELETE FROM runs WHERE seen <> %lld", (long long)x.now);
  if (!status)
    sqlite3_exec(x.db, gone, NULL, NULL, NULL);
  if (!status)
    status = collect(&x, arena, count, rows);
  sqlite3_exec(x.db, status ? "ROLLBACK" : "COMMIT", NULL, NULL, NULL);
  close_index(&x);
  return status;
}
