/* Well-formed UTF-8 (RFC 3629). */
#ifndef TB_BASE_UTF8_H
#define TB_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the character at the beginning of a terminated text: 1 to 4, 0 when it is malformed. */
size_t tb_utf8_length(const char *text);

#endif
