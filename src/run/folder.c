/* Run folders: made whole beside their place and renamed into it.
 *
 * A folder is first ROOT/.new-PID-NUMBER with all its files, then renamed; a rename onto a folder with files fails, so
 * two processes never share a name and a kill at any moment leaves a complete folder or none.  A process that works in
 * a folder holds a lock on it that ends with the process. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/folder.h"

static const char half_made[] = ".new-";

/* Removes a folder of plain files. */
static void remove_folder(const char *path) {
  DIR *dir = opendir(path);
  char file[PATH_MAX];
  for (struct dirent *entry; dir && (entry = readdir(dir));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
        (size_t)snprintf(file, sizeof file, "%s/%s", path, entry->d_name) < sizeof file)
      unlink(file);
  if (dir)
    closedir(dir);
  rmdir(path);
}

void tb_folder_sweep(const char *root) {
  DIR *dir = opendir(root);
  char path[PATH_MAX];
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    long pid = strncmp(entry->d_name, half_made, sizeof half_made - 1) == 0
                   ? strtol(entry->d_name + sizeof half_made - 1, NULL, 10)
                   : 0;
    if (pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH &&
        (size_t)snprintf(path, sizeof path, "%s/%s", root, entry->d_name) < sizeof path)
      remove_folder(path);
  }
  if (dir)
    closedir(dir);
}

unsigned long tb_folder_next(const char *root, const char *base) {
  DIR *dir = opendir(root);
  unsigned long largest = 0;
  size_t length = strlen(base);
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    if (strncmp(entry->d_name, base, length) != 0 || entry->d_name[length] != '-')
      continue;
    char *end;
    unsigned long number = strtoul(entry->d_name + length + 1, &end, 10);
    if (*end == 0 && number > largest && number < 1000000000)
      largest = number;
  }
  if (dir)
    closedir(dir);
  return largest + 1;
}

static tb_status fill(tb_context *context, const char *folder, size_t n_files, const tb_folder_file *files) {
  char path[PATH_MAX + 300];
  for (size_t i = 0; i < n_files; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
    tb_status status = tb_file_write(context, path, files[i].data, files[i].size);
    if (status)
      return status;
  }
  return TB_OK;
}

/* Renames the half-made folder to its name.  *taken: the name is in use. */
static tb_status move(tb_context *context, const char *from, const char *to, bool *taken) {
  struct stat info;
  *taken = lstat(to, &info) == 0; /* also an empty folder, which rename would replace */
  if (*taken || rename(from, to) == 0)
    return TB_OK;
  *taken = errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR;
  return *taken ? TB_OK : tb_fail(context, TB_NO_DISK, to, NULL, "cannot create '%s': %s", to, strerror(errno));
}

tb_status tb_folder_make(tb_context *context, tb_arena *arena, const char *root, const char *name, size_t n_files,
                         const tb_folder_file *files, const char **path, bool *taken) {
  static atomic_uint number; /* only keeps names of this process apart */
  char temporary[PATH_MAX];
  bool exists;
  *taken = false;
  *path = tb_arena_format(arena, "%s/%s", root, name);
  if (!*path)
    return TB_NO_MEMORY;
  tb_status status = tb_folder_create(context, root);
  if (status)
    return status;
  if ((size_t)snprintf(temporary, sizeof temporary, "%s/%s%ld-%u", root, half_made, (long)getpid(),
                       atomic_fetch_add(&number, 1)) >= sizeof temporary)
    return tb_fail(context, TB_NO_DISK, root, "choose a shorter folder", "the path '%s' is too long", root);
  remove_folder(temporary); /* of an earlier process with this number */
  status = tb_folder_claim(context, temporary, &exists);
  if (!status)
    status = fill(context, temporary, n_files, files);
  if (status == TB_NO_DISK) { /* the half-made folder is nobody's business */
    const char *colon = strrchr(tb_context_message(context), ':');
    tb_fail(context, TB_NO_DISK, *path, tb_context_hint(context), "cannot create the run folder '%s'%s", *path,
            colon ? colon : "");
  }
  if (!status)
    status = move(context, temporary, *path, taken);
  if (status || *taken)
    remove_folder(temporary);
  return status;
}

tb_status tb_folder_hold(tb_context *context, const char *path, int *handle) {
  *handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*handle < 0)
    return tb_fail(context, TB_NO_DISK, path, NULL, "cannot open the folder '%s': %s", path, strerror(errno));
  if (flock(*handle, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
    return TB_OK; /* a file system without locks is used without */
  close(*handle);
  *handle = -1;
  return tb_fail(context, TB_USAGE, path, "wait until it ends, or stop it", "'%s' is being run by another process",
                 path);
}
