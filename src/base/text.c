/* Growing strings.  A failed growth is remembered, so a writer checks once at its end instead of at every addition. */
#include <tiebreak/base.h>

#include <stdio.h>
#include <string.h>

tb_text tb_text_new(tb_context *context) {
  return (tb_text){ .context = context };
}

/* Room for count more bytes and the terminator. */
static bool reserve(tb_text *text, size_t count) {
  if (text->failed)
    return false;
  if (text->data && text->capacity - text->length > count)
    return true;
  size_t wanted = text->capacity < 64 ? 64 : text->capacity;
  while (wanted - text->length <= count && wanted <= SIZE_MAX / 2)
    wanted *= 2;
  char *data = wanted - text->length > count ? tb_reallocate(text->context, text->data, wanted, 1)
                                             : tb_reallocate(text->context, NULL, SIZE_MAX, 1);
  if (!data) {
    text->failed = true;
    return false;
  }
  text->data = data;
  text->capacity = wanted;
  return true;
}

void tb_text_add_bytes(tb_text *text, const char *bytes, size_t count) {
  if (!reserve(text, count))
    return;
  if (count > 0)
    memcpy(text->data + text->length, bytes, count);
  text->length += count;
  text->data[text->length] = 0;
}

void tb_text_add(tb_text *text, const char *string) {
  tb_text_add_bytes(text, string, strlen(string));
}

void tb_text_format(tb_text *text, const char *format, ...) {
  va_list list, again;
  va_start(list, format);
  va_copy(again, list);
  int length = vsnprintf(NULL, 0, format, list);
  if (length >= 0 && reserve(text, (size_t)length)) {
    vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
    text->length += (size_t)length;
  }
  va_end(again);
  va_end(list);
}

tb_status tb_text_finish(tb_text *text) {
  if (!text->failed)
    return TB_OK;
  return tb_fail(text->context, TB_NO_MEMORY, NULL, NULL, "out of memory: a text of more than %zu bytes", text->length);
}

void tb_text_free(tb_text *text) {
  tb_release(text->context, text->data);
  *text = tb_text_new(text->context);
}
