/* From a name to folders: a run's or a batch's name in the root, or a path. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/batch.h"

static bool holds(const char *folder, const char *file) {
  char path[PATH_MAX];
  return (size_t)snprintf(path, sizeof path, "%s/%s", folder, file) < sizeof path && tb_file_exists(path);
}

static int compare(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the entries of a folder that hold a run or a batch. */
static tb_status entries(tb_arena *arena, const char *folder, bool with_path, size_t *count, const char ***out) {
  size_t room = 16;
  *count = 0;
  *out = tb_arena_allocate(arena, room, sizeof **out);
  DIR *dir = opendir(folder);
  tb_status status = *out ? TB_OK : TB_NO_MEMORY;
  for (struct dirent *entry; dir && !status && (entry = readdir(dir));) {
    char path[PATH_MAX];
    if (entry->d_name[0] == '.' || (size_t)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= sizeof path ||
        !(holds(path, "manifest.json") || holds(path, "batch.json")))
      continue;
    if (*count == room) {
      const char **larger = tb_arena_allocate(arena, 2 * room, sizeof *larger);
      if (!larger) {
        status = TB_NO_MEMORY;
        break;
      }
      memcpy(larger, *out, room * sizeof *larger);
      *out = larger;
      room *= 2;
    }
    (*out)[*count] = tb_arena_text(arena, with_path ? path : entry->d_name);
    status = (*out)[*count] ? TB_OK : TB_NO_MEMORY;
    *count += !status;
  }
  if (dir)
    closedir(dir);
  if (!status)
    qsort(*out, *count, sizeof **out, compare);
  return status;
}

static tb_status no_such_run(tb_context *context, tb_arena *arena, const char *root, const char *name) {
  size_t count;
  const char **names, *nearest, *hint;
  tb_status status = entries(arena, root, false, &count, &names);
  if (status)
    return status;
  nearest = tb_suggest(name, names, count);
  hint = nearest ? tb_arena_format(arena, "did you mean '%s'?", nearest)
         : count ? "`tiebreak runs` lists them"
                 : tb_arena_format(arena, "there are no runs in '%s' yet", root);
  return tb_fail(context, TB_USAGE, "", hint, "no run of the name '%s' in '%s'", name, root);
}

tb_status tb_runs_resolve(tb_context *context, tb_arena *arena, const char *root, const char *name, size_t *count,
                          const char ***folders) {
  const char *inside = tb_arena_format(arena, "%s/%s", root, name), *folder = NULL;
  *count = 0;
  if (!inside)
    return TB_NO_MEMORY;
  const char *const candidates[] = { inside, name };
  for (size_t i = 0; i < 2 && !folder; i++)
    if (*name && (holds(candidates[i], "manifest.json") || holds(candidates[i], "batch.json")))
      folder = candidates[i];
  if (!folder)
    return no_such_run(context, arena, root, name);
  size_t length = strlen(folder);
  while (length > 1 && folder[length - 1] == '/')
    length--;
  folder = tb_arena_format(arena, "%.*s", (int)length, folder);
  if (!folder)
    return TB_NO_MEMORY;
  if (holds(folder, "batch.json"))
    return entries(arena, folder, true, count, folders);
  *folders = tb_arena_allocate(arena, 1, sizeof **folders);
  if (!*folders)
    return TB_NO_MEMORY;
  (*folders)[0] = folder;
  *count = 1;
  return TB_OK;
}
