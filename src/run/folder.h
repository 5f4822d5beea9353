/* Run folders: made whole beside their place and renamed into it, so that a folder that is there is complete. */
#ifndef TB_RUN_FOLDER_H
#define TB_RUN_FOLDER_H

#include <tiebreak/run.h>

typedef struct tb_folder_file {
  const char *name;
  const char *data;
  size_t size;
} tb_folder_file;

/* Makes root/NAME with these files in it; *taken: the name is in use and nothing was done.  *path belongs to the arena.
 * Safe among processes: the rename decides.  Errors: TB_NO_DISK, and then nothing is left. */
tb_status tb_folder_make(tb_context *, tb_arena *, const char *root, const char *name, size_t n_files,
                         const tb_folder_file *files, const char **path, bool *taken);
/* One more than the largest N of the names base-N in root. */
unsigned long tb_folder_next(const char *root, const char *base);
/* Removes what processes that are gone left half-made in root. */
void tb_folder_sweep(const char *root);

/* Holds a folder for this process until closed (close(handle)); handle < 0 and TB_USAGE when another process has it. */
tb_status tb_folder_hold(tb_context *, const char *path, int *handle);

#endif
