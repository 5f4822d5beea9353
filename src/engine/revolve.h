/* Which states of a chain of steps to keep while it is walked backwards: binomial checkpointing. */
#ifndef TB_ENGINE_REVOLVE_H
#define TB_ENGINE_REVOLVE_H

#include <stddef.h>

/* A chain of n ≥ 1 steps is to be walked backwards, with its start in one of `slots` ≥ 1 places for states.  How far to
 * run from the start (1 … n − 1) to the next state that is kept; n − 1 with one slot: nothing more is kept.  n ≥ 2. */
size_t tb_revolve_advance(size_t n, size_t slots);

/* Steps run in all to bring every step's entry, from the last one to the first: the fewest possible.  A step's own run
 * with its tape, once each, is not among them. */
double tb_revolve_steps(size_t n, size_t slots);

/* The most times that a step is run so. */
size_t tb_revolve_repeats(size_t n, size_t slots);

/* How a chain of `length` steps is walked back within `bytes`. */
typedef struct tb_revolve_plan {
  size_t block; /* steps whose tape is kept at a time */
  size_t slots; /* states kept, each at the start of a block, the chain's start among them */
} tb_revolve_plan;

/* The fewest steps again for a tape of `tape` and a state of `carry` bytes a step: block·(tape + carry) for the block
 * at hand, a carry where it ends, and one for each slot.  Where not even one step and one slot fit, these. */
tb_revolve_plan tb_revolve_choose(size_t length, double tape, double carry, double bytes);

/* Blocks of a chain, and the steps that are run again while it is walked back once: `afresh` where nothing but its
 * start is kept when the walk begins, else with the last block's tape and the states that the first run left. */
size_t tb_revolve_blocks(tb_revolve_plan, size_t length);
double tb_revolve_again(tb_revolve_plan, size_t length, int afresh);

#endif
