/* Doubles to text and back, whatever the locale. */
#ifndef TB_BASE_NUMBER_H
#define TB_BASE_NUMBER_H

#include <stddef.h>

enum { TB_NUMBER_SIZE = 32 };

/* The shortest decimal that reads back as the same double ("0.1", "1e-5", "-0", "inf", "-inf", "nan"); returns its
 * length. */
size_t tb_number_text(char text[TB_NUMBER_SIZE], double value);

/* Reads [+-] digits [. digits] [e [+-] digits] at the beginning of a terminated text, correctly rounded.  Returns the
 * first character behind it, NULL when there is no number (inf, nan and hexadecimal are none).  Too large becomes
 * infinite, too small zero. */
const char *tb_number_read(const char *text, double *value);

#endif
