/* The table of colours and its two spellings. */
#include "report/palette.h"

#include <string.h>

/* c1 … c8 are the lines, in the order in which they are given out. */
const tb_colour tb_palette[] = {
  { "paper", "#ffffff", "#15171a", false },
  { "panel", "#f6f5f1", "#1e2125", false },
  { "ink", "#1b1d20", "#eceae4", true },
  { "muted", "#585c63", "#a9adb4", true },
  { "faint", "#e3e1db", "#34383e", true },
  { "link", "#0b5fa5", "#7cc0f5", false },
  { "holds", "#0d6b45", "#55cf9b", false },
  { "fails", "#b3261e", "#ff8f85", false },
  { "undecided", "#7a5a00", "#e6bf55", false },
  { "holds-ground", "#e4f3ea", "#14332a", false },
  { "fails-ground", "#fbe4e1", "#451d1b", false },
  { "undecided-ground", "#f8efd2", "#3a3015", false },
  { "c1", "#0072b2", "#5cb3f2", true },
  { "c2", "#d55e00", "#ff9350", true },
  { "c3", "#008a63", "#35c996", true },
  { "c4", "#b0508c", "#e993c6", true },
  { "c5", "#a37500", "#e8bd45", true },
  { "c6", "#3f8fc4", "#a5d8fb", true },
  { "c7", "#7b5ea7", "#b9a1ea", true },
  { "c8", "#70757c", "#b4b8be", true },
};
const size_t tb_palette_count = sizeof tb_palette / sizeof *tb_palette;

void tb_palette_css(tb_text *text, bool dark) {
  for (size_t i = 0; i < tb_palette_count; i++)
    tb_text_format(text, "--%s:%s;", tb_palette[i].name, dark ? tb_palette[i].dark : tb_palette[i].light);
}

void tb_palette_gnuplot(tb_text *text) {
  const char *separator = "";
  for (size_t i = 0; i < tb_palette_count; i++)
    if (tb_palette[i].drawn && tb_palette[i].name[0] != 'c') {
      tb_text_format(text, "%s%s = '%s'", separator, tb_palette[i].name, tb_palette[i].light);
      separator = "; ";
    }
  tb_text_format(text, "\narray colour[%d] = [", TB_LINE_COLOURS);
  separator = "";
  for (size_t i = 0; i < tb_palette_count; i++)
    if (tb_palette[i].drawn && tb_palette[i].name[0] == 'c') {
      tb_text_format(text, "%s'%s'", separator, tb_palette[i].light);
      separator = ", ";
    }
  tb_text_add(text, "]\n");
}
