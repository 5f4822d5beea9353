/* The user's documents and prompts of the study `icl`: tokens of the mixture, parted by blanks. */
#include "study/icl.h"

#include <stdio.h>
#include <string.h>

#include "io/csv_text.h"

static size_t word_length(const char *s) {
  return strcspn(s, " \t\r\n");
}

static const char *skip_blanks(const char *s) {
  return s + strspn(s, " \t\r");
}

static size_t count_words(const char *s) {
  size_t count = 0;
  for (s = skip_blanks(s); word_length(s) > 0; s = skip_blanks(s + word_length(s)))
    count++;
  return count;
}

/* tokens[count_words(text)]; returns the unknown word, or NULL. */
static const char *read_words(const tb_hmm *m, const char *text, uint32_t *tokens) {
  for (const char *s = skip_blanks(text); word_length(s) > 0; s = skip_blanks(s + word_length(s))) {
    const size_t token = tb_hmm_token(m, s, word_length(s));
    if (token == SIZE_MAX)
      return s;
    *tokens++ = (uint32_t)token;
  }
  return NULL;
}

/* ---- documents ---- */

static tb_status unknown_in_line(const icl *s, const char *path, const char *line, size_t number, const char *word) {
  char place[4352];
  const size_t column = (size_t)(word - line) + 1;
  snprintf(place, sizeof place, "%s:%zu:%zu", path, number, column);
  tb_fail(s->context, TB_BAD_DATA, place, "tokens are those of the mixture, parted by blanks",
          "'%.*s' is no token of the mixture", (int)word_length(word), word);
  tb_fail_excerpt(s->context, line, column);
  return TB_BAD_DATA;
}

tb_status icl_read_documents(icl *s, const char *path) {
  char *text;
  size_t size, lines = 0, number = 0;
  tb_status status = tb_file_read(s->context, path, &text, &size);
  if (status)
    return status;
  for (const char *c = text; *c; c += strcspn(c, "\n") + (c[strcspn(c, "\n")] == '\n'))
    lines++;
  s->documents = tb_arena_allocate(s->arena, lines + 1, sizeof *s->documents);
  if (!s->documents)
    status = TB_NO_MEMORY;
  for (const char *line = text, *next; *line && !status; line = next) {
    const size_t length = strcspn(line, "\n"), count = count_words(line);
    next = line + length + (line[length] == '\n');
    number++;
    if (count == 0)
      continue;
    uint32_t *tokens = tb_arena_allocate(s->arena, count, sizeof *tokens);
    if (!tokens) {
      status = TB_NO_MEMORY;
      break;
    }
    const char *unknown = read_words(s->given, line, tokens);
    if (unknown)
      status = unknown_in_line(s, path, line, number, unknown);
    s->documents[s->document_count++] = (icl_document){ count, tokens };
  }
  if (!status && s->document_count == 0)
    status =
        tb_fail(s->context, TB_BAD_DATA, path, "a document a line, tokens by spaces", "'%s' holds no document", path);
  tb_release(s->context, text);
  return status;
}

/* ---- prompts ---- */

static tb_status unknown_in_field(const icl *s, const tb_text_table *t, size_t row, size_t col, const char *word) {
  const char *field = t->fields[row * t->cols + col];
  return tb_text_table_fail(s->context, t, row, col, (size_t)(word - field),
                            "tokens are those of the mixture, parted by blanks", "'%.*s' is no token of the mixture",
                            (int)word_length(word), word);
}

static tb_status read_prompt(icl *s, const tb_text_table *t, size_t row, size_t prompt_col, size_t label_col) {
  const char *text = t->fields[row * t->cols + prompt_col], *label_text = t->fields[row * t->cols + label_col];
  const size_t length = count_words(text);
  uint32_t *tokens = tb_arena_allocate(s->arena, length + 1, sizeof *tokens), label[1];
  if (!tokens)
    return TB_NO_MEMORY;
  const char *unknown = read_words(s->given, text, tokens);
  if (unknown)
    return unknown_in_field(s, t, row, prompt_col, unknown);
  if (count_words(label_text) != 1)
    return tb_text_table_fail(s->context, t, row, label_col, 0, NULL, "a label is one token");
  unknown = read_words(s->given, label_text, label);
  if (unknown)
    return unknown_in_field(s, t, row, label_col, unknown);
  s->prompts[row] = (tb_hmm_prompt){ length, tokens, label[0], SIZE_MAX };
  return TB_OK;
}

tb_status icl_read_prompts(icl *s, const char *path) {
  tb_text_table t;
  tb_status status = tb_csv_read_text(s->context, s->arena, path, &t);
  if (status)
    return status;
  const long prompt = tb_text_table_column(&t, "prompt"), label = tb_text_table_column(&t, "label");
  if (prompt < 0 || label < 0)
    return tb_fail(s->context, TB_BAD_DATA, path, "begin the file with a line `prompt,label`",
                   "'%s' has no column `%s`", path, prompt < 0 ? "prompt" : "label");
  if (t.rows == 0)
    return tb_fail(s->context, TB_BAD_DATA, path, NULL, "'%s' holds no prompt", path);
  s->prompts = tb_arena_allocate(s->arena, t.rows, sizeof *s->prompts);
  s->prompt_count = t.rows;
  status = s->prompts ? TB_OK : TB_NO_MEMORY;
  for (size_t row = 0; row < t.rows && !status; row++)
    status = read_prompt(s, &t, row, (size_t)prompt, (size_t)label);
  return status;
}
