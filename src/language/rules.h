/* Rules of strings: predicates that a prefix is tracked towards. */
#ifndef TB_LANGUAGE_RULES_H
#define TB_LANGUAGE_RULES_H

#include <tiebreak/base.h>

#include <language/regex.h>

enum { TB_RULE_MOST_SYMBOLS = 8 };

typedef enum tb_rule_kind {
  TB_RULE_NONE,
  TB_RULE_EQUAL,    /* factor[0]·#symbols[0] = factor[1]·#symbols[1] = … */
  TB_RULE_ORDER,    /* every symbols[0] before every symbols[1] before … */
  TB_RULE_EVEN,     /* the total number of symbols[…] */
  TB_RULE_ODD,      /* likewise */
  TB_RULE_BALANCED, /* symbols[0] opens, symbols[1] closes, others are ignored */
  TB_RULE_FLANKS,   /* x^i y^j x^i with j >= 1, x = symbols[0], y = symbols[1] */
  TB_RULE_REGEX     /* the whole string as text */
} tb_rule_kind;

typedef struct tb_rule {
  const char *name;
  tb_rule_kind kind;
  size_t count;
  uint16_t symbols[TB_RULE_MOST_SYMBOLS];
  int64_t factors[TB_RULE_MOST_SYMBOLS];
  const char *pattern; /* regex */
  const tb_regex *regex;
} tb_rule;

#endif
