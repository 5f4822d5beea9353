/* Escaping for HTML, CSV, gnuplot and the shell, base64, numbers for readers, relative links. */
#include "report/write.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

/* ---- characters ---- */

/* Length of the UTF-8 sequence at s, 0 when it is none. */
static size_t sequence(const unsigned char *s) {
  size_t length = s[0] < 0x80                   ? 1
                  : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                  : (s[0] & 0xf0) == 0xe0       ? 3
                  : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                : 0;
  for (size_t i = 1; i < length; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
      (s[0] == 0xf4 && s[1] > 0x8f))
    return 0; /* overlong, surrogate, beyond U+10FFFF */
  return length;
}

/* Adds text character by character; `special` may put something else in the place of an ASCII character. */
static void add_clean(tb_text *out, const char *text, const char *(*special)(char)) {
  const unsigned char *s = (const unsigned char *)(text ? text : "");
  while (*s) {
    size_t length = sequence(s);
    const char *other = length == 1 ? special((char)*s) : NULL;
    if (length == 0)
      tb_text_add(out, "\xef\xbf\xbd");
    else if (other)
      tb_text_add(out, other);
    else if (*s < 0x20 || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0))
      tb_text_add(out, " ");
    else
      tb_text_add_bytes(out, (const char *)s, length);
    s += length ? length : 1;
  }
}

static const char *html_special(char c) {
  return c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? "&quot;" : c == '\'' ? "&#39;" : NULL;
}

static const char *nothing_special(char c) {
  return NULL;
}

static const char *csv_special(char c) {
  return c == '"' ? "\"\"" : NULL;
}

/* gnuplot 5.4 doubles a quote inside quotes almost everywhere, but not in the values of an array: a typographic one
 * needs no escape. */
static const char *quote_special(char c) {
  return c == '\'' ? "’" : NULL;
}

static const char *shell_special(char c) {
  return c == '\'' ? "'\\''" : NULL;
}

void tb_write_html(tb_text *out, const char *text) {
  add_clean(out, text, html_special);
}

void tb_write_plain(tb_text *out, const char *text) {
  add_clean(out, text, nothing_special);
}

void tb_write_csv(tb_text *out, const char *text) {
  tb_text_add(out, "\"");
  add_clean(out, text, csv_special);
  tb_text_add(out, "\"");
}

void tb_write_gnuplot(tb_text *out, const char *text) {
  tb_text_add(out, "'");
  add_clean(out, text, quote_special);
  tb_text_add(out, "'");
}

void tb_write_shell(tb_text *out, const char *text) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,/:@%";
  if (*text && strspn(text, plain) == strlen(text)) {
    tb_text_add(out, text);
    return;
  }
  tb_text_add(out, "'");
  add_clean(out, text, shell_special);
  tb_text_add(out, "'");
}

void tb_write_slug(tb_text *out, const char *text) {
  bool gap = false, any = false;
  for (; *text; text++) {
    char c = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
    bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (word && gap && any)
      tb_text_add(out, "-");
    if (word)
      tb_text_add_bytes(out, &c, 1);
    any = any || word;
    gap = !word;
  }
  if (!any)
    tb_text_add(out, "part");
}

void tb_write_path(tb_text *out, const char *path) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.~/";
  for (; *path; path++)
    if (strchr(plain, *path))
      tb_text_add_bytes(out, path, 1);
    else
      tb_text_format(out, "%%%02X", (unsigned)(unsigned char)*path);
}

void tb_write_base64(tb_text *out, const void *data, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char *bytes = data;
  for (size_t i = 0; i < size; i += 3) {
    unsigned block = (unsigned)bytes[i] << 16 | (i + 1 < size ? (unsigned)bytes[i + 1] << 8 : 0) |
                     (i + 2 < size ? (unsigned)bytes[i + 2] : 0);
    char four[4] = { digits[block >> 18], digits[block >> 12 & 63], i + 1 < size ? digits[block >> 6 & 63] : '=',
                     i + 2 < size ? digits[block & 63] : '=' };
    tb_text_add_bytes(out, four, sizeof four);
  }
}

void tb_write_packed(tb_text *out, const void *data, size_t size) {
  enum { GZIP = 16, WINDOW = 15, MEMORY = 8 };
  z_stream stream = { .next_in = (z_const Bytef *)data, .avail_in = (uInt)size };
  unsigned char *packed = NULL;
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, WINDOW + GZIP, MEMORY, Z_DEFAULT_STRATEGY) == Z_OK) {
    const uLong most = deflateBound(&stream, (uLong)size); /* enough for one call */
    packed = tb_allocate(out->context, most, 1);
    stream.next_out = packed;
    stream.avail_out = (uInt)most;
    if (packed && deflate(&stream, Z_FINISH) == Z_STREAM_END)
      tb_write_base64(out, packed, stream.total_out);
    deflateEnd(&stream);
  }
  out->failed = out->failed || !packed;
  tb_release(out->context, packed);
}

/* ---- numbers ---- */

static void add_with_minus(tb_text *out, const char *digits) {
  for (; *digits; digits++)
    if (*digits == '-')
      tb_text_add(out, "−");
    else
      tb_text_add_bytes(out, digits, 1);
}

void tb_write_number(tb_text *out, double value, int digits) {
  char text[40];
  if (isnan(value)) {
    tb_text_add(out, "—");
  } else if (isinf(value)) {
    tb_text_add(out, value < 0 ? "−∞" : "∞");
  } else {
    snprintf(text, sizeof text, "%.*g", digits, value);
    char *exponent = strchr(text, 'e');
    if (exponent) {
      *exponent = '\0';
      add_with_minus(out, text);
      tb_text_add(out, "e");
      snprintf(text, sizeof text, "%d", atoi(exponent + 1));
      add_with_minus(out, text);
    } else {
      add_with_minus(out, text);
    }
  }
}

/* ---- links ---- */

/* The absolute path of what exists of it, symbolic links resolved, the rest appended. */
static bool absolute(const char *path, char out[PATH_MAX]) {
  if (realpath(path, out))
    return true;
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  if (slash && (size_t)(slash - path) >= sizeof folder)
    return false;
  if (slash && slash != path)
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
  else
    snprintf(folder, sizeof folder, "%s", slash ? "/" : ".");
  char parent[PATH_MAX];
  if (!realpath(folder, parent))
    return false;
  const char *name = slash ? slash + 1 : path;
  if (strlen(parent) + 1 + strlen(name) >= PATH_MAX)
    return false;
  size_t length = strlen(parent);
  memcpy(out, parent, length);
  out[length] = '/';
  memcpy(out + length + 1, name, strlen(name) + 1);
  return true;
}

tb_status tb_write_relative(tb_context *context, tb_text *out, const char *file, const char *target) {
  char *from = tb_allocate(context, 2, PATH_MAX);
  if (!from)
    return tb_context_status(context);
  char *to = from + PATH_MAX;
  if (!absolute(file, from) || !absolute(target, to)) {
    tb_text_add(out, target);
  } else {
    size_t common = 0; /* length of the common folders, their last slash included */
    for (size_t i = 0; from[i] && from[i] == to[i]; i++)
      if (from[i] == '/')
        common = i + 1;
    for (const char *rest = from + common; (rest = strchr(rest, '/')); rest++)
      tb_text_add(out, "../");
    tb_text_add(out, to + common);
  }
  tb_release(context, from);
  return TB_OK;
}
