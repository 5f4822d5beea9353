/* Files: whole reads, atomic writes, appended lines, folders.
 *
 * A write goes to a temporary file beside the target, is synced, renamed over it, and the folder is synced: a crash or
 * a full disk leaves the old content or the new.  Devices and pipes (/dev/stdout) are written directly, and a symbolic
 * link keeps pointing to its file. */
#include <tiebreak/base.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- messages ---- */

/* The system's reason in English whatever the locale. */
static const char *reason(int error) {
  return strerror_l(error, newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

/* Folder part of a path: "." when there is none. */
static void folder_of(const char *path, char *folder, size_t size) {
  const char *slash = strrchr(path, '/');
  if (!slash)
    snprintf(folder, size, ".");
  else if (slash == path)
    snprintf(folder, size, "/");
  else
    snprintf(folder, size, "%.*s", (int)(slash - path), path);
}

static tb_status write_failed(tb_context *context, const char *path, int error) {
  char folder[PATH_MAX], hint[PATH_MAX + 64] = "";
  folder_of(path, folder, sizeof folder);
  if (error == ENOSPC || error == EDQUOT)
    snprintf(hint, sizeof hint, "free some space on that disk, or write elsewhere");
  else if (error == EFBIG)
    snprintf(hint, sizeof hint, "the file would be larger than the system or a limit (ulimit -f) allows");
  else if (error == ENOENT)
    snprintf(hint, sizeof hint, "is '%s' an existing folder?", folder);
  else if (error == EACCES || error == EPERM || error == EROFS)
    snprintf(hint, sizeof hint, "'%s' is not writable for you: choose another folder", folder);
  return tb_fail(context, TB_NO_DISK, path, hint, "cannot write '%s': %s", path, reason(error));
}

/* A file of nearly that name in the same folder, else "". */
static void similar_file(const char *path, char *found, size_t size) {
  char folder[PATH_MAX];
  folder_of(path, folder, sizeof folder);
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  found[0] = 0;
  DIR *dir = opendir(folder);
  if (!dir)
    return;
  /* Pairwise: the best so far against the next, so that nothing needs memory. */
  char best[NAME_MAX + 1] = "";
  for (struct dirent *entry; (entry = readdir(dir));) {
    const char *candidates[2] = { best, entry->d_name };
    const char *winner =
        entry->d_name[0] == '.' ? NULL : tb_suggest(name, best[0] ? candidates : candidates + 1, best[0] ? 2 : 1);
    if (winner && winner != best)
      snprintf(best, sizeof best, "%s", winner);
  }
  closedir(dir);
  if (best[0])
    snprintf(found, size, "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, best);
}

static tb_status read_failed(tb_context *context, const char *path, int error) {
  char similar[PATH_MAX] = "", hint[PATH_MAX + 32] = "";
  if (error == ENOENT) {
    similar_file(path, similar, sizeof similar);
    if (similar[0])
      snprintf(hint, sizeof hint, "did you mean '%s'?", similar);
    return tb_fail(context, TB_BAD_DATA, path, hint, "no such file '%s'", path);
  }
  if (error == EISDIR)
    return tb_fail(context, TB_BAD_DATA, path, "give a file inside it", "'%s' is a folder, not a file", path);
  return tb_fail(context, TB_BAD_DATA, path, NULL, "cannot read '%s': %s", path, reason(error));
}

/* ---- writing ---- */

/* 0 or errno. */
static int write_all(int file, const char *data, size_t size) {
  while (size > 0) {
    ssize_t n = write(file, data, size < SSIZE_MAX ? size : SSIZE_MAX);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno;
    data += n;
    size -= (size_t)n;
  }
  return 0;
}

/* 0 or errno; pipes and some file systems cannot sync, which is no failure. */
static int sync_file(int file) {
  return fsync(file) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS ? 0 : errno;
}

static int write_and_close(int file, const void *data, size_t size) {
  int error = write_all(file, data, size);
  if (!error)
    error = sync_file(file);
  if (close(file) != 0 && !error)
    error = errno;
  return error;
}

static void sync_folder(const char *path) {
  char folder[PATH_MAX];
  folder_of(path, folder, sizeof folder);
  int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file >= 0) {
    fsync(file); /* best effort: the rename has happened */
    close(file);
  }
}

/* Opens a new file beside path; its name is stored in temporary. */
static int open_temporary(const char *path, char *temporary, size_t size) {
  for (int attempt = 0; attempt < 100; attempt++) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int length = snprintf(temporary, size, "%s.%lx-%lx%x.tmp", path, (long)getpid(), now.tv_nsec, (unsigned)attempt);
    if (length < 0 || (size_t)length >= size) {
      errno = ENAMETOOLONG;
      return -1;
    }
    int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0 || errno != EEXIST)
      return file;
  }
  return -1;
}

tb_status tb_file_write(tb_context *context, const char *path, const void *data, size_t size) {
  char target[PATH_MAX], temporary[PATH_MAX + 64];
  struct stat info;
  if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
    if (S_ISDIR(info.st_mode))
      return write_failed(context, path, EISDIR);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    int error = file < 0 ? errno : write_and_close(file, data, size);
    return error ? write_failed(context, path, error) : TB_OK;
  }
  if (!realpath(path, target)) {
    if (strlen(path) >= sizeof target)
      return write_failed(context, path, ENAMETOOLONG);
    strcpy(target, path);
  }
  int file = open_temporary(target, temporary, sizeof temporary);
  if (file < 0)
    return write_failed(context, path, errno);
  int error = write_and_close(file, data, size);
  if (!error && rename(temporary, target) != 0)
    error = errno;
  if (error) {
    unlink(temporary);
    return write_failed(context, path, error);
  }
  sync_folder(target);
  return TB_OK;
}

tb_status tb_file_append(tb_context *context, const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0)
    return write_failed(context, path, errno);
  struct stat info;
  bool regular = fstat(file, &info) == 0 && S_ISREG(info.st_mode);
  size_t length = strlen(text);
  int error = write_all(file, text, length);
  if (!error && (length == 0 || text[length - 1] != '\n'))
    error = write_all(file, "\n", 1);
  if (error && regular && ftruncate(file, info.st_size) != 0)
    error = errno; /* half a line stays: nothing better to do */
  if (!error)
    error = sync_file(file);
  if (close(file) != 0 && !error)
    error = errno;
  return error ? write_failed(context, path, error) : TB_OK;
}

/* ---- reading ---- */

tb_status tb_file_read(tb_context *context, const char *path, char **data, size_t *size) {
  tb_status status = TB_OK;
  *data = NULL;
  *size = 0;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return read_failed(context, path, errno);
  struct stat info;
  size_t capacity = 4096, length = 0;
  if (fstat(file, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
    capacity = (size_t)info.st_size + 2; /* terminator, and one byte to meet the end without growing */
  char *buffer = tb_allocate(context, capacity, 1);
  if (!buffer) {
    status = TB_NO_MEMORY;
    goto done;
  }
  for (;;) {
    ssize_t n = read(file, buffer + length, capacity - 1 - length);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      status = read_failed(context, path, errno);
      goto done;
    }
    if (n == 0)
      break;
    length += (size_t)n;
    if (length == capacity - 1) {
      char *larger = tb_reallocate(context, buffer, capacity, 2);
      if (!larger) {
        status = TB_NO_MEMORY;
        goto done;
      }
      buffer = larger;
      capacity *= 2;
    }
  }
  buffer[length] = 0;
  *data = buffer;
  *size = length;
  buffer = NULL;
done:
  tb_release(context, buffer);
  close(file);
  return status;
}

bool tb_file_exists(const char *path) {
  return access(path, F_OK) == 0;
}

/* ---- folders ---- */

static tb_status folder_failed(tb_context *context, const char *path, int error) {
  if (error == EEXIST || error == ENOTDIR)
    return tb_fail(context, TB_NO_DISK, path, NULL, "cannot create folder '%s': a file is in the way", path);
  const char *hint = error == ENOSPC || error == EDQUOT ? "free some space on that disk, or write elsewhere"
                     : error == EACCES || error == EPERM || error == EROFS
                         ? "the folder above it is not writable for you: choose another"
                     : error == ENOENT ? "the folder above it does not exist"
                                       : NULL;
  return tb_fail(context, TB_NO_DISK, path, hint, "cannot create folder '%s': %s", path, reason(error));
}

static bool is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

tb_status tb_folder_create(tb_context *context, const char *path) {
  char part[PATH_MAX];
  size_t length = strlen(path);
  if (length == 0)
    return folder_failed(context, path, ENOENT);
  if (length >= sizeof part)
    return folder_failed(context, path, ENAMETOOLONG);
  for (size_t end = 1; end <= length; end++) {
    if (end < length && path[end] != '/')
      continue;
    memcpy(part, path, end);
    part[end] = 0;
    int error = mkdir(part, 0777) == 0 ? 0 : errno;
    if (error && !is_folder(part))
      return folder_failed(context, path, error);
  }
  return TB_OK;
}

tb_status tb_folder_claim(tb_context *context, const char *path, bool *exists) {
  *exists = false;
  if (mkdir(path, 0777) == 0)
    return TB_OK;
  *exists = errno == EEXIST;
  return *exists ? TB_OK : folder_failed(context, path, errno);
}
