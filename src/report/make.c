/* Making a report: figures' files in their folder, pictures by gnuplot, then the page.
 *
 * The page never fails for want of a picture: without gnuplot, or where gnuplot refuses a script, it says so and gives
 * data and script. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/gnuplot.h"
#include "report/page.h"
#include "report/report.h"
#include "report/write.h"

enum { WIDE = 720, NARROW = 380 };

/* ---- files of the figures ---- */

static char *path_in(tb_arena *arena, const char *folder, const char *name, const char *extension) {
  return tb_arena_format(arena, "%s/%s%s", folder, name, extension);
}

static tb_status write_files(tb_context *context, tb_arena *arena, const char *folder, const tb_picture *picture) {
  char *csv = path_in(arena, folder, picture->name, ".csv"), *script = path_in(arena, folder, picture->name, ".gp");
  if (!csv || !script)
    return tb_context_status(context);
  tb_status status = tb_file_write(context, csv, picture->csv.data, picture->csv.length);
  return status == TB_OK ? tb_file_write(context, script, picture->script.data, picture->script.length) : status;
}

/* Draws all kinds of one picture in one gnuplot and reads the SVGs; status of gnuplot. */
static tb_status draw_picture(tb_context *context, tb_arena *arena, const char *folder, const tb_picture *picture,
                              bool pdf, tb_drawn *drawn) {
  char *narrow = tb_arena_format(arena, "%s-narrow.svg", picture->name);
  char *names[4], *script = tb_arena_format(arena, "%s.gp", picture->name);
  static const char *const extensions[] = { "svg", "png", "pdf" };
  for (size_t i = 0; i < 3; i++)
    names[i] = tb_arena_format(arena, "%s.%s", picture->name, extensions[i]);
  char *wide_path = path_in(arena, folder, picture->name, ".svg");
  char *narrow_path = path_in(arena, folder, picture->name, "-narrow.svg");
  if (!narrow || !script || !names[0] || !names[1] || !names[2] || !wide_path || !narrow_path)
    return tb_context_status(context);
  tb_drawing drawings[] = {
    { "svg", names[0], WIDE, 0 }, { "svg", narrow, NARROW, 0 }, { "png", names[1], 0, 0 }, { "pdf", names[2], 0, 0 }
  };
  tb_status status = tb_gnuplot_run(context, folder, script, pdf ? 4 : 3, drawings, NULL);
  size_t size;
  if (status == TB_OK)
    status = tb_file_read(context, wide_path, &drawn->wide, &size);
  if (status == TB_OK)
    status = tb_file_read(context, narrow_path, &drawn->narrow, &size);
  unlink(narrow_path); /* for the page alone */
  return status;
}

/* All pictures; the first that gnuplot refused is told in source->trouble, with the number of others. */
static tb_status draw_all(tb_context *context, tb_arena *arena, tb_source *source, tb_drawn *drawn, bool pdf) {
  size_t refused = 0;
  const char *first = NULL;
  for (size_t p = 0; p < source->n_pictures; p++) {
    tb_status status = draw_picture(context, arena, source->figures, &source->pictures[p], pdf, &drawn[p]);
    if (status == TB_NO_MEMORY)
      return status;
    if (status == TB_OK)
      continue;
    if (refused++ == 0)
      first = tb_arena_format(arena, "%s: %s", source->pictures[p].name, tb_context_message(context));
    tb_context_clear(context);
  }
  if (refused == 0)
    return TB_OK;
  source->trouble = tb_arena_format(arena, "%zu of %zu pictures are missing. The first, %s", refused,
                                    source->n_pictures, first ? first : "");
  return source->trouble ? TB_OK : tb_context_status(context);
}

/* ---- the report ---- */

/* "report.html" → "report-figures". */
static char *figures_folder(tb_arena *arena, const char *out) {
  size_t length = strlen(out);
  if (length > 5 && strcmp(out + length - 5, ".html") == 0)
    length -= 5;
  return tb_arena_format(arena, "%.*s-figures", (int)length, out);
}

static tb_status make_figures(tb_context *context, tb_arena *arena, tb_source *source, tb_drawn *drawn, bool pdf) {
  tb_status status = source->n_pictures ? tb_folder_create(context, source->figures) : TB_OK;
  for (size_t p = 0; p < source->n_pictures && status == TB_OK; p++)
    status = write_files(context, arena, source->figures, &source->pictures[p]);
  if (status == TB_OK && *source->gnuplot)
    status = draw_all(context, arena, source, drawn, pdf);
  else if (status == TB_OK && source->n_pictures)
    source->trouble = "gnuplot is not installed, so the figures are not drawn; their data and scripts are below "
                      "(Debian, Ubuntu: apt install gnuplot-nox, then write the report again).";
  return status;
}

tb_status tb_report_make(tb_context *context, size_t n_runs, const tb_exhibit *runs, size_t n_verdicts,
                         const tb_verdict *verdicts, const tb_report_options *options) {
  tb_arena *arena = tb_arena_new(context);
  if (!arena)
    return tb_context_status(context);
  const char *out = options && options->out ? options->out : "report.html";
  tb_source source = { .title = options ? options->title : NULL,
                       .out = out,
                       .n_runs = n_runs,
                       .runs = runs,
                       .n_verdicts = n_verdicts,
                       .verdicts = verdicts,
                       .gnuplot = "",
                       .trouble = "" };
  tb_text version = tb_text_new(context), page = tb_text_new(context);
  tb_chapter *chapters;
  tb_picture *pictures = NULL;
  tb_drawn *drawn = NULL;
  source.figures = options && options->figures ? options->figures : figures_folder(arena, out);
  tb_status status = source.figures ? tb_chapters_of(context, arena, n_runs, runs, &source.n_chapters, &chapters)
                                    : tb_context_status(context);
  if (status == TB_OK) {
    source.chapters = chapters;
    status = tb_pictures_of(context, arena, source.n_chapters, chapters, &source.n_pictures, &pictures);
  }
  if (status == TB_OK && !(drawn = tb_arena_allocate(arena, source.n_pictures + 1, sizeof *drawn)))
    status = tb_context_status(context);
  if (status == TB_OK) {
    source.pictures = pictures;
    source.drawn = drawn;
    if (tb_gnuplot_present(context, &version))
      source.gnuplot = version.data ? version.data : "of unknown version";
    status = make_figures(context, arena, &source, drawn, options && options->pdf);
  }
  if (status == TB_OK)
    status = tb_page_write(context, arena, &source, &page);
  if (status == TB_OK)
    status = tb_file_write(context, out, page.data, page.length);
  for (size_t p = 0; drawn && p < source.n_pictures; p++) {
    tb_release(context, drawn[p].wide);
    tb_release(context, drawn[p].narrow);
  }
  if (pictures)
    tb_pictures_free(source.n_pictures, pictures);
  tb_text_free(&version);
  tb_text_free(&page);
  tb_arena_free(arena);
  return status;
}

/* ---- in the terminal ---- */

static tb_status plot_one(tb_context *context, tb_arena *arena, const char *folder, const tb_picture *picture,
                          int columns, tb_text *out) {
  tb_status status = write_files(context, arena, folder, picture);
  char *script = tb_arena_format(arena, "%s.gp", picture->name);
  if (status != TB_OK || !script)
    return tb_context_status(context);
  tb_write_plain(out, tb_chapter_heading(picture->chapter));
  tb_text_format(out, ": %s\n", picture->figure->title);
  tb_drawing drawing = { "text", NULL, columns, 0 };
  status = tb_gnuplot_run(context, folder, script, 1, &drawing, out);
  unlink(path_in(arena, folder, picture->name, ".csv"));
  unlink(path_in(arena, folder, picture->name, ".gp"));
  return status;
}

tb_status tb_report_plot(tb_context *context, size_t n_runs, const tb_exhibit *runs, int columns, tb_text *out) {
  if (!tb_gnuplot_present(context, NULL))
    return tb_fail(context, TB_FAILED, NULL, "Debian, Ubuntu: apt install gnuplot-nox", "gnuplot is not installed");
  char folder[] = "/tmp/tiebreak-XXXXXX";
  tb_arena *arena = tb_arena_new(context);
  if (!arena)
    return tb_context_status(context);
  tb_chapter *chapters;
  tb_picture *pictures = NULL;
  size_t n_chapters, count = 0;
  tb_status status = tb_chapters_of(context, arena, n_runs, runs, &n_chapters, &chapters);
  if (status == TB_OK)
    status = tb_pictures_of(context, arena, n_chapters, chapters, &count, &pictures);
  if (status == TB_OK && !mkdtemp(folder))
    status = tb_fail(context, TB_NO_DISK, folder, NULL, "a temporary folder could not be made");
  if (status == TB_OK) {
    for (size_t p = 0; p < count && status == TB_OK; p++)
      if (pictures[p].lead)
        status = plot_one(context, arena, folder, &pictures[p], columns, out);
    rmdir(folder);
  }
  if (pictures)
    tb_pictures_free(count, pictures);
  tb_arena_free(arena);
  return status == TB_OK ? tb_text_finish(out) : status;
}
