/* The table of figures, and the making of all pictures of a report. */
#include "report/figure.h"

#include <string.h>

#include "report/assets.h"
#include "report/palette.h"
#include "report/write.h"

const tb_figure *const *tb_figures(void) {
  static const tb_figure *const table[] = {
    &tb_figure_rules,   &tb_figure_twins,          &tb_figure_measures,   &tb_figure_size,     &tb_figure_reversal,
    &tb_figure_bounds,  &tb_figure_orders,         &tb_figure_recovery,   &tb_figure_spectrum, &tb_figure_width,
    &tb_figure_damping, &tb_figure_generalisation, &tb_figure_invariance, &tb_figure_angles,   &tb_figure_path,
    &tb_figure_margins, &tb_figure_context,        &tb_figure_finetune,   &tb_figure_loss,     NULL,
  };
  return table;
}

static bool is_taken(size_t count, const tb_picture *pictures, const char *name) {
  for (size_t p = 0; p < count; p++)
    if (strcmp(pictures[p].name, name) == 0)
      return true;
  return false;
}

/* "part-figure", with a number where another picture is called so already. */
static tb_status name_picture(tb_context *context, tb_arena *arena, size_t count, tb_picture *pictures) {
  tb_picture *picture = &pictures[count];
  tb_text slug = tb_text_new(context);
  tb_write_slug(&slug, picture->chapter->name);
  if (slug.length > 60)
    slug.data[slug.length = 60] = '\0';
  tb_text_format(&slug, "-%s", picture->figure->id);
  tb_status status = tb_text_finish(&slug);
  if (status == TB_OK) {
    picture->name = tb_arena_text(arena, slug.data);
    for (size_t number = 2; picture->name && is_taken(count, pictures, picture->name); number++)
      picture->name = tb_arena_format(arena, "%s-%zu", slug.data, number);
    picture->file = picture->name ? tb_arena_format(arena, "%s.csv", picture->name) : NULL;
    if (!picture->file)
      status = tb_context_status(context);
  }
  tb_text_free(&slug);
  return status;
}

static void script_head(tb_picture *picture) {
  tb_text *script = &picture->script;
  tb_text_add(script, "# ");
  tb_text_add(script, picture->figure->title);
  tb_text_format(script,
                 ". The data: %s, beside this file.\n"
                 "# gnuplot -e \"kind='png'; output='%s.png'\" %s.gp      kind: png, pdf, svg, text\n\n",
                 picture->file, picture->name, picture->name);
}

static void script_tail(tb_picture *picture) {
  tb_palette_gnuplot(&picture->script);
  tb_text_add(&picture->script, tb_asset_style_gp);
  tb_text_add(&picture->script, picture->figure->size);
  tb_text_add(&picture->script, tb_asset_canvas_gp);
  tb_text_add(&picture->script, picture->figure->body);
}

static tb_status draw(tb_context *context, tb_arena *arena, size_t *count, tb_picture *pictures, size_t n_groups,
                      tb_group *groups) {
  tb_picture *picture = &pictures[*count];
  picture->csv = tb_text_new(context);
  picture->script = tb_text_new(context);
  tb_status status = name_picture(context, arena, *count, pictures);
  if (status == TB_OK) {
    script_head(picture);
    status = picture->figure->draw(context, arena, picture->chapter, n_groups, groups, picture);
  }
  if (status == TB_OK) /* before asking whether there is any */
    status = tb_text_finish(&picture->csv);
  bool shown = status == TB_OK && picture->csv.length > 0;
  if (shown) {
    script_tail(picture);
    status = tb_text_finish(&picture->script);
  }
  if (shown && status == TB_OK)
    ++*count;
  else
    tb_pictures_free(1, picture);
  return status;
}

enum { LEADING = 2 }; /* pictures of a part that are shown in full */

tb_status tb_pictures_of(tb_context *context, tb_arena *arena, size_t n_chapters, const tb_chapter *chapters,
                         size_t *count, tb_picture **out) {
  size_t n_figures = 0;
  while (tb_figures()[n_figures])
    n_figures++;
  *count = 0;
  tb_picture *pictures = *out = tb_arena_allocate(arena, n_chapters * n_figures + 1, sizeof *pictures);
  if (!pictures)
    return tb_context_status(context);
  for (size_t c = 0; c < n_chapters; c++) {
    size_t n_groups, before = *count;
    tb_group *groups;
    tb_status status = tb_groups_of(context, arena, chapters[c].n, chapters[c].runs, &n_groups, &groups);
    for (size_t f = 0; f < n_figures && status == TB_OK && n_groups > 0; f++) {
      pictures[*count] =
          (tb_picture){ .figure = tb_figures()[f], .chapter = &chapters[c], .lead = *count - before < LEADING };
      status = draw(context, arena, count, pictures, n_groups, groups);
    }
    if (status != TB_OK)
      return status;
  }
  return TB_OK;
}

void tb_pictures_free(size_t count, tb_picture *pictures) {
  for (size_t i = 0; i < count; i++) {
    tb_text_free(&pictures[i].csv);
    tb_text_free(&pictures[i].script);
  }
}
