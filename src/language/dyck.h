/* What the two languages of brackets share. */
#ifndef TB_LANGUAGE_DYCK_H
#define TB_LANGUAGE_DYCK_H

#include "language.h"

/* A closer follows its opener. */
enum { TB_ROUND_OPEN, TB_ROUND_CLOSE, TB_SQUARE_OPEN, TB_SQUARE_CLOSE, TB_BRACKETS };

/* 32 prompts "( [" + w in distribution, 32 ") [" + w out of it, with the same nested prime words w. */
tb_status tb_bracket_prompts(tb_context *, tb_arena *, const tb_language *, size_t length, uint64_t seed, size_t *count,
                             tb_prompt **prompts);

#endif
