/* Doubles to text and back, whatever the locale.
 *
 * Reading: a number is m 10^e with an integer m.  Where m has at most 19 digits and |e| ≤ 19, which is nearly all of
 * them, exact 128-bit integer arithmetic gives the rounded value: m 10^e itself, or the quotient m 2^k / 10^−e with the
 * remainder kept as a sticky bit.  The rest goes to the C library. */
#include "number.h"

#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 wide;

static const uint64_t powers[20] = {
  1u,
  10u,
  100u,
  1000u,
  10000u,
  100000u,
  1000000u,
  10000000u,
  100000000u,
  1000000000u,
  10000000000u,
  100000000000u,
  1000000000000u,
  10000000000000u,
  100000000000000u,
  1000000000000000u,
  10000000000000000u,
  100000000000000000u,
  1000000000000000000u,
  10000000000000000000u,
};

/* m 10^e, |e| ≤ 19, rounded to nearest even. */
static double scaled(uint64_t m, int e) {
  if (m <= (uint64_t)1 << 53 && e >= -19) {
    if (e >= 0 && e <= 15 && m <= ((uint64_t)1 << 53) / powers[e])
      return (double)(m * powers[e]);
    if (e < 0 && powers[-e] <= (uint64_t)1 << 53)
      return (double)m / (double)powers[-e]; /* both exact: one rounding */
  }
  if (e >= 0)
    return (double)((wide)m * powers[e]);
  int shift = __builtin_clzll(m);
  wide dividend = (wide)(m << shift) << 64, divisor = powers[-e];
  wide quotient = dividend / divisor; /* ≥ 2⁶³: the sticky bit is far below the rounding place */
  quotient |= quotient * divisor != dividend;
  return ldexp((double)quotient, -64 - shift);
}

static int digit(char c) {
  return (unsigned char)(c - '0') <= 9;
}

const char *tb_number_read(const char *text, double *value) {
  const char *s = text;
  int negative = *s == '-', digits = 0, exponent = 0, any = 0, long_number = 0;
  uint64_t m = 0;
  if (*s == '-' || *s == '+')
    s++;
  for (int fraction = 0;; s++) {
    if (digit(*s)) {
      any = 1;
      if (digits < 19) {
        m = m * 10 + (uint64_t)(*s - '0');
        digits += m > 0; /* leading zeros do not count */
        exponent -= fraction;
      } else {
        long_number = 1;
      }
    } else if (*s == '.' && !fraction) {
      fraction = 1;
    } else {
      break;
    }
  }
  if (!any)
    return NULL;
  if (*s == 'e' || *s == 'E') {
    const char *t = s + 1;
    int minus = *t == '-', e = 0;
    if (*t == '-' || *t == '+')
      t++;
    if (digit(*t)) {
      for (; digit(*t); t++)
        e = e < 100000 ? 10 * e + (*t - '0') : e;
      exponent += minus ? -e : e;
      s = t;
    }
  }
  if (m == 0 && !long_number)
    *value = negative ? -0.0 : 0.0;
  else if (!long_number && exponent >= -19 && exponent <= 19)
    *value = negative ? -scaled(m, exponent) : scaled(m, exponent);
  else
    *value = strtod_l(text, NULL, newlocale(LC_ALL_MASK, "C", (locale_t)0));
  return s;
}

size_t tb_number_text(char text[TB_NUMBER_SIZE], double value) {
  if (isnan(value))
    return (size_t)sprintf(text, "nan");
  if (isinf(value))
    return (size_t)sprintf(text, value < 0 ? "-inf" : "inf");
  /* 15 digits are always kept by a double, so a shorter text is among those once zeros are dropped; subnormal numbers
   * keep fewer. */
  char raw[64], digits[32];
  int exponent = 0, count = 0;
  for (int precision = fabs(value) < 2.3e-308 ? 1 : 15; precision <= 17; precision++) {
    snprintf(raw, sizeof raw, "%.*e", precision - 1, value);
    count = 0;
    const char *s = raw;
    for (; *s && *s != 'e'; s++) /* the decimal point is the locale's: take the digits only */
      if (digit(*s))
        digits[count++] = *s;
    exponent = atoi(s + 1);
    double back;
    snprintf(raw, sizeof raw, "%s%.1s.%.*se%d", signbit(value) ? "-" : "", digits, count - 1, digits + 1, exponent);
    if (tb_number_read(raw, &back) && back == value)
      break;
  }
  while (count > 1 && digits[count - 1] == '0')
    count--;
  digits[count] = 0;
  int point = exponent + 1; /* digits before the point */
  size_t length = 0;
  if (signbit(value))
    text[length++] = '-';
  if (exponent < -4 || exponent >= 16) { /* d.ddde±x */
    text[length++] = digits[0];
    if (count > 1)
      text[length++] = '.';
    memcpy(text + length, digits + 1, (size_t)count - 1);
    length += (size_t)count - 1;
    return length + (size_t)snprintf(text + length, 7, "e%d", exponent);
  }
  for (int i = point < 1 ? point - 1 : 0; i < count || i < point; i++) {
    if (i == point)
      text[length++] = '.';
    text[length++] = i >= 0 && i < count ? digits[i] : '0';
  }
  text[length] = 0;
  return length;
}
