/* NumPy's .npz over libzip: a zip of .npy members, each a magic, a Python dictionary and the elements.
 *
 *   \x93NUMPY major minor length {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), } blanks newline data
 *
 * Members are stored uncompressed and dated 1980, so the same arrays give the same bytes.  What is read is not trusted:
 * sizes are checked against the archive before memory is asked for. */
#include "npz.h"

#include <base/utf8.h>

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are written as they lie in memory");

enum { MAX_RANK = 8, HEADER_ALIGNMENT = 64, MAX_HEADER = 1 << 20 };

static const struct {
  const char *descr;
  size_t size;
} types[] = {
  [TB_ARRAY_FLOAT64] = { "<f8", 8 },
  [TB_ARRAY_FLOAT32] = { "<f4", 4 },
  [TB_ARRAY_INT64] = { "<i8", 8 },
};

/* libzip learns what a source must be able to do when it opens its first archive, without a lock: another thread at the
 * same moment may be given one that it may not write to (1.7.3). */
static zip_t *open_archive(zip_source_t *source, int flags, zip_error_t *error) {
  static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&opening);
  zip_t *zip = zip_open_from_source(source, flags, error);
  pthread_mutex_unlock(&opening);
  return zip;
}

/* ---- writing ---- */

static bool count_elements(size_t rank, const size_t *dims, size_t *count) {
  *count = 1;
  for (size_t i = 0; i < rank; i++)
    if (__builtin_mul_overflow(*count, dims[i], count))
      return false;
  return true;
}

/* The code point at *text, which moves behind it; malformed bytes give U+FFFD. */
static uint32_t next_code_point(const char **text) {
  const unsigned char *s = (const unsigned char *)*text;
  size_t n = tb_utf8_length(*text);
  *text += n ? n : 1;
  if (n == 0)
    return 0xfffd;
  uint32_t code = n == 1 ? s[0] : s[0] & (0x7fu >> n);
  for (size_t i = 1; i < n; i++)
    code = code << 6 | (s[i] & 0x3f);
  return code;
}

/* Words as rows of *width code points, zero-padded. */
static tb_status encode_words(tb_arena *arena, const tb_array *array, size_t count, size_t *width,
                              const void **encoded) {
  *width = 1;
  for (size_t i = 0; i < count; i++) {
    size_t length = 0;
    for (const char *s = array->words[i]; *s; length++)
      next_code_point(&s);
    *width = length > *width ? length : *width;
  }
  uint32_t *codes = tb_arena_allocate(arena, count, *width * sizeof *codes);
  if (!codes)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < count; i++) {
    const char *s = array->words[i];
    for (uint32_t *c = codes + i * *width; *s; c++)
      *c = next_code_point(&s);
  }
  *encoded = codes;
  return TB_OK;
}

/* Magic and dictionary, padded so that the data starts at a multiple of 64. */
static tb_status make_header(tb_context *context, tb_arena *arena, const char *descr, const tb_array *array,
                             const char **header, size_t *size) {
  tb_text text = tb_text_new(context);
  tb_text_add_bytes(&text, "\x93NUMPY\1\0\0\0", 10);
  tb_text_format(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
  for (size_t i = 0; i < array->rank; i++)
    tb_text_format(&text, "%zu%s", array->dims[i], array->rank == 1 ? "," : i + 1 < array->rank ? ", " : "");
  tb_text_add(&text, "), }");
  while (!text.failed && text.length % HEADER_ALIGNMENT != HEADER_ALIGNMENT - 1)
    tb_text_add_bytes(&text, " ", 1);
  tb_text_add_bytes(&text, "\n", 1);
  tb_status status = tb_text_finish(&text);
  if (!status) {
    text.data[8] = (char)((text.length - 10) & 0xff);
    text.data[9] = (char)((text.length - 10) >> 8);
    char *copy = tb_arena_allocate(arena, text.length, 1);
    if (copy)
      memcpy(copy, text.data, text.length);
    else
      status = TB_NO_MEMORY;
    *header = copy;
    *size = text.length;
  }
  tb_text_free(&text);
  return status;
}

static tb_status zip_failed(tb_context *context, zip_error_t *error, const char *path) {
  bool memory = zip_error_code_zip(error) == ZIP_ER_MEMORY;
  return tb_fail(context, memory ? TB_NO_MEMORY : TB_FAILED, path, NULL, "cannot make '%s': %s", path,
                 zip_error_strerror(error));
}

/* Adds one array; its bytes must stay until the archive is closed. */
static tb_status add_array(tb_context *context, tb_arena *arena, zip_t *zip, const char *path, const tb_array *array) {
  size_t count, element, header_size;
  const char *header, *name = tb_arena_format(arena, "%s.npy", array->name);
  const void *data = array->data;
  char descr[32];
  if (!name)
    return TB_NO_MEMORY;
  if (array->rank > MAX_RANK || !count_elements(array->rank, array->dims, &count))
    return tb_fail(context, TB_FAILED, path, NULL, "array '%s' has an impossible shape", array->name);
  tb_status status = TB_OK;
  if (array->type == TB_ARRAY_TEXT) {
    size_t width = 1;
    status = encode_words(arena, array, count, &width, &data);
    element = 4 * width;
    snprintf(descr, sizeof descr, "<U%zu", width);
  } else {
    element = types[array->type].size;
    snprintf(descr, sizeof descr, "%s", types[array->type].descr);
  }
  if (!status)
    status = make_header(context, arena, descr, array, &header, &header_size);
  if (status)
    return status;
  zip_buffer_fragment_t parts[2] = {
    { .data = (zip_uint8_t *)(uintptr_t)header, .length = header_size },
    { .data = (zip_uint8_t *)(uintptr_t)data, .length = count * element },
  };
  zip_source_t *source = zip_source_buffer_fragment(zip, parts, count ? 2 : 1, 0);
  if (!source)
    return zip_failed(context, zip_get_error(zip), path);
  zip_int64_t index = zip_file_add(zip, name, source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    zip_source_free(source);
    if (zip_error_code_zip(zip_get_error(zip)) == ZIP_ER_EXISTS)
      return tb_fail(context, TB_FAILED, path, NULL, "two arrays are named '%s'", array->name);
    return zip_failed(context, zip_get_error(zip), path);
  }
  if (zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0) ||
      zip_file_set_dostime(zip, (zip_uint64_t)index, 0, 1 << 5 | 1, 0))
    return zip_failed(context, zip_get_error(zip), path);
  return TB_OK;
}

/* Copies the finished archive out of its source and writes it. */
static tb_status write_source(tb_context *context, const char *path, zip_source_t *source) {
  zip_stat_t info;
  if (zip_source_stat(source, &info) || !(info.valid & ZIP_STAT_SIZE) || zip_source_open(source))
    return zip_failed(context, zip_source_error(source), path);
  char *bytes = tb_allocate(context, info.size, 1);
  tb_status status = bytes ? TB_OK : TB_NO_MEMORY;
  if (!status && zip_source_read(source, bytes, info.size) != (zip_int64_t)info.size)
    status = zip_failed(context, zip_source_error(source), path);
  zip_source_close(source);
  if (!status)
    status = tb_file_write(context, path, bytes, info.size);
  tb_release(context, bytes);
  return status;
}

tb_status tb_npz_write(tb_context *context, const char *path, size_t count, const tb_array *arrays) {
  static const char empty[22] = "PK\5\6"; /* libzip makes no archive of nothing */
  if (count == 0)
    return tb_file_write(context, path, empty, sizeof empty);
  tb_status status = TB_NO_MEMORY;
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t *source = NULL;
  zip_t *zip = NULL;
  tb_arena *arena = tb_arena_new(context);
  if (!arena)
    goto done;
  source = zip_source_buffer_create(NULL, 0, 0, &error);
  if (source)
    zip = open_archive(source, ZIP_TRUNCATE, &error);
  if (!zip) {
    status = zip_failed(context, &error, path);
    goto done;
  }
  zip_source_keep(source); /* the archive frees its own reference */
  status = TB_OK;
  for (size_t i = 0; i < count && !status; i++)
    status = add_array(context, arena, zip, path, &arrays[i]);
  if (!status && zip_close(zip) != 0)
    status = zip_failed(context, zip_get_error(zip), path);
  else if (!status)
    zip = NULL;
  if (!status)
    status = write_source(context, path, source);
done:
  if (zip)
    zip_discard(zip);
  if (source)
    zip_source_free(source);
  zip_error_fini(&error);
  tb_arena_free(arena);
  return status;
}

/* ---- reading: the dictionary ---- */

typedef struct dictionary {
  char descr[32];
  bool fortran_order;
  size_t rank, dims[MAX_RANK];
} dictionary;

static const char *skip_space(const char *s) {
  while (isspace((unsigned char)*s))
    s++;
  return s;
}

/* A quoted word; returns the place behind it, NULL when there is none or it is too long. */
static const char *read_word(const char *s, char *out, size_t size) {
  char quote = *s;
  if (quote != '\'' && quote != '"')
    return NULL;
  const char *end = strchr(s + 1, quote);
  if (!end || (size_t)(end - s) > size)
    return NULL;
  memcpy(out, s + 1, (size_t)(end - s) - 1);
  out[end - s - 1] = 0;
  return end + 1;
}

static const char *read_shape(const char *s, dictionary *d) {
  if (*s++ != '(')
    return NULL;
  for (s = skip_space(s); *s != ')'; s = skip_space(s)) {
    if (d->rank == MAX_RANK || !isdigit((unsigned char)*s))
      return NULL;
    size_t dim = 0;
    for (; isdigit((unsigned char)*s); s++)
      if (__builtin_mul_overflow(dim, 10, &dim) || __builtin_add_overflow(dim, (size_t)(*s - '0'), &dim))
        return NULL;
    d->dims[d->rank++] = dim;
    s = skip_space(s + (*s == 'L'));
    if (*s == ',')
      s++;
    else if (*s != ')')
      return NULL;
  }
  return s + 1;
}

static bool read_dictionary(const char *s, dictionary *d) {
  unsigned seen = 0;
  *d = (dictionary){ 0 };
  s = skip_space(s);
  if (*s++ != '{')
    return false;
  for (s = skip_space(s); *s != '}'; s = skip_space(s)) {
    char key[32];
    if (!(s = read_word(s, key, sizeof key)))
      return false;
    s = skip_space(s);
    if (*s++ != ':')
      return false;
    s = skip_space(s);
    if (strcmp(key, "descr") == 0) {
      seen |= 1;
      if (*s == '[') { /* a record type, of no interest: the rest is not read */
        strcpy(d->descr, "|V");
        return true;
      }
      s = read_word(s, d->descr, sizeof d->descr);
    } else if (strcmp(key, "fortran_order") == 0) {
      seen |= 2;
      d->fortran_order = strncmp(s, "True", 4) == 0;
      s = d->fortran_order ? s + 4 : strncmp(s, "False", 5) == 0 ? s + 5 : NULL;
    } else if (strcmp(key, "shape") == 0 && d->rank == 0) {
      seen |= 4;
      s = read_shape(s, d);
    } else {
      return false;
    }
    if (!s)
      return false;
    s = skip_space(s);
    if (*s == ',')
      s++;
    else if (*s != '}')
      return false;
  }
  return seen == 7;
}

/* ---- reading: elements ---- */

/* What an element type becomes. */
static const struct {
  const char *descr;
  size_t size;
  tb_array_type type;
  bool is_signed;
} readable[] = {
  { "<f8", 8, TB_ARRAY_FLOAT64, true }, { "<f4", 4, TB_ARRAY_FLOAT32, true }, { "<i8", 8, TB_ARRAY_INT64, true },
  { "<i4", 4, TB_ARRAY_INT64, true },   { "<i2", 2, TB_ARRAY_INT64, true },   { "|i1", 1, TB_ARRAY_INT64, true },
  { "<u4", 4, TB_ARRAY_INT64, false },  { "<u2", 2, TB_ARRAY_INT64, false },  { "|u1", 1, TB_ARRAY_INT64, false },
  { "|b1", 1, TB_ARRAY_INT64, false },
};

/* Widens integers of size bytes to 64 bits. */
static void widen(const unsigned char *from, size_t count, size_t size, bool is_signed, int64_t *to) {
  for (size_t i = 0; i < count; i++) {
    uint64_t word = 0;
    memcpy(&word, from + i * size, size);
    if (is_signed && size < 8 && (word >> (8 * size - 1) & 1))
      word |= ~(uint64_t)0 << 8 * size;
    to[i] = (int64_t)word;
  }
}

/* Column-major to row-major: walks the output in order, the input by strides. */
static void reorder(size_t rank, const size_t *dims, size_t count, size_t size, const unsigned char *from,
                    unsigned char *to) {
  size_t index[MAX_RANK] = { 0 }, stride[MAX_RANK], at = 0;
  for (size_t i = 0, step = 1; i < rank; step *= dims[i++])
    stride[i] = step;
  for (size_t k = 0; k < count; k++) {
    memcpy(to + k * size, from + at * size, size);
    for (size_t axis = rank; axis-- > 0;) {
      at += stride[axis];
      if (++index[axis] < dims[axis])
        break;
      at -= stride[axis] * dims[axis];
      index[axis] = 0;
    }
  }
}

static tb_status malformed(tb_context *context, const char *path, const char *name, const char *what) {
  return tb_fail(context, TB_BAD_DATA, path, NULL, "array '%s' %s", name, what);
}

/* Reads exactly size bytes. */
static bool read_bytes(zip_file_t *file, void *to, size_t size) {
  char *out = to;
  while (size > 0) {
    zip_int64_t n = zip_fread(file, out, size);
    if (n <= 0)
      return false;
    out += n;
    size -= (size_t)n;
  }
  return true;
}

/* Magic, version and dictionary; *used counts their bytes. */
static tb_status read_header(tb_context *context, zip_file_t *file, const char *path, const char *name, size_t size,
                             dictionary *d, size_t *used) {
  unsigned char start[12];
  size_t length;
  if (size < 12 || !read_bytes(file, start, 10) || memcmp(start, "\x93NUMPY", 6) != 0)
    return malformed(context, path, name, "is not in NumPy's format");
  length = start[8] | (size_t)start[9] << 8;
  *used = 10;
  if (start[6] == 2 || start[6] == 3) {
    if (!read_bytes(file, start + 10, 2))
      return malformed(context, path, name, "is cut off");
    length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    *used = 12;
  } else if (start[6] != 1) {
    return malformed(context, path, name, "has an unknown format version");
  }
  if (length > size - *used || length > MAX_HEADER)
    return malformed(context, path, name, "is cut off");
  *used += length;
  char *text = tb_allocate(context, length + 1, 1);
  if (!text)
    return TB_NO_MEMORY;
  tb_status status = TB_OK;
  if (!read_bytes(file, text, length))
    status = malformed(context, path, name, "is cut off");
  else if (!read_dictionary(text, d))
    status = malformed(context, path, name, "has a header that cannot be read");
  tb_release(context, text);
  return status;
}

/* Elements of readable type r into the arena. */
static tb_status read_elements(tb_context *context, tb_arena *arena, zip_file_t *file, const char *path,
                               const dictionary *d, size_t r, size_t available, tb_array *array) {
  size_t count, bytes, size = readable[r].size;
  if (!count_elements(d->rank, d->dims, &count) || __builtin_mul_overflow(count, size, &bytes) || bytes != available)
    return malformed(context, path, array->name, "has a shape that does not fit its size");
  unsigned char *raw = tb_allocate(context, bytes, 1), *ordered = NULL;
  array->type = readable[r].type;
  array->rank = d->rank;
  memcpy(array->dims, d->dims, sizeof array->dims);
  void *data = tb_arena_allocate(arena, count, types[array->type].size);
  array->data = data;
  tb_status status = raw && data ? TB_OK : TB_NO_MEMORY;
  if (!status && !read_bytes(file, raw, bytes))
    status = malformed(context, path, array->name, "is cut off or damaged");
  if (!status && d->fortran_order && d->rank > 1 && count > 0) {
    if (!(ordered = tb_allocate(context, bytes, 1)))
      status = TB_NO_MEMORY;
    else
      reorder(d->rank, d->dims, count, size, raw, ordered);
  }
  const unsigned char *from = ordered ? ordered : raw;
  if (!status && array->type == TB_ARRAY_INT64)
    widen(from, count, size, readable[r].is_signed, data);
  else if (!status)
    memcpy(data, from, bytes);
  tb_release(context, raw);
  tb_release(context, ordered);
  return status;
}

/* One member: *kept says whether it is a numeric array. */
static tb_status read_member(tb_context *context, tb_arena *arena, zip_t *zip, zip_uint64_t index, const char *path,
                             tb_array *array, bool *kept) {
  zip_stat_t info;
  *kept = false;
  if (zip_stat_index(zip, index, 0, &info) || !info.name || !(info.valid & ZIP_STAT_SIZE) ||
      !(info.valid & ZIP_STAT_COMP_SIZE) || !(info.valid & ZIP_STAT_COMP_METHOD))
    return tb_fail(context, TB_BAD_DATA, path, NULL, "'%s' has a damaged directory", path);
  size_t length = strlen(info.name);
  if (length < 4 || strcmp(info.name + length - 4, ".npy") != 0)
    return TB_OK;
  char *name = tb_arena_text(arena, info.name);
  if (!name)
    return TB_NO_MEMORY;
  name[length - 4] = 0;
  array->name = name;
  bool stored = info.comp_method == ZIP_CM_STORE, deflated = info.comp_method == ZIP_CM_DEFLATE;
  if (!stored && !deflated)
    return malformed(context, path, name, "is compressed in a way that is not supported");
  if ((stored && info.size != info.comp_size) || (deflated && info.size / 1100 > info.comp_size + 1))
    return malformed(context, path, name, "has an impossible size"); /* deflate shrinks to a 1032nd at best */
  zip_file_t *file = zip_fopen_index(zip, index, 0);
  if (!file)
    return malformed(context, path, name, "cannot be opened");
  dictionary d;
  size_t used = 0, r = 0;
  tb_status status = read_header(context, file, path, name, info.size, &d, &used);
  if (!status && strchr("USOVaMm", d.descr[0] ? d.descr[1] : 'V'))
    goto done; /* text, objects, records, dates: not numbers */
  while (!status && r < sizeof readable / sizeof *readable && strcmp(d.descr, readable[r].descr) != 0)
    r++;
  if (!status && r == sizeof readable / sizeof *readable)
    status = tb_fail(context, TB_BAD_DATA, path, "convert it with .astype('float64')",
                     "array '%s' has elements '%s', which are not supported", name, d.descr);
  if (!status)
    status = read_elements(context, arena, file, path, &d, r, info.size - used, array);
  *kept = status == TB_OK;
done:
  zip_fclose(file);
  return status;
}

static tb_status open_failed(tb_context *context, const char *path, zip_error_t *error) {
  if (zip_error_code_zip(error) == ZIP_ER_MEMORY)
    return tb_fail(context, TB_NO_MEMORY, NULL, NULL, "out of memory: reading '%s'", path);
  return tb_fail(context, TB_BAD_DATA, path, "such a file is made by numpy.savez", "'%s' is not a zip archive", path);
}

tb_status tb_npz_read(tb_context *context, tb_arena *arena, const char *path, size_t *count, tb_array **arrays) {
  char *bytes;
  size_t size;
  *count = 0;
  *arrays = NULL;
  tb_status status = tb_file_read(context, path, &bytes, &size);
  if (status)
    return status;
  zip_error_t error;
  zip_error_init(&error);
  zip_t *zip = NULL;
  zip_source_t *source = size ? zip_source_buffer_create(bytes, size, 0, &error) : NULL;
  if (size == 0)
    zip_error_set(&error, ZIP_ER_NOZIP, 0);
  if (source && !(zip = open_archive(source, ZIP_RDONLY, &error)))
    zip_source_free(source);
  if (!zip) {
    status = open_failed(context, path, &error);
    goto done;
  }
  zip_uint64_t members = (zip_uint64_t)zip_get_num_entries(zip, 0);
  *arrays = tb_arena_allocate(arena, members, sizeof **arrays);
  if (!*arrays)
    status = TB_NO_MEMORY;
  for (zip_uint64_t i = 0; i < members && !status; i++) {
    bool kept;
    status = read_member(context, arena, zip, i, path, &(*arrays)[*count], &kept);
    *count += kept;
  }
  if (status) {
    *count = 0;
    *arrays = NULL;
  }
done:
  if (zip)
    zip_discard(zip);
  zip_error_fini(&error);
  tb_release(context, bytes);
  return status;
}
