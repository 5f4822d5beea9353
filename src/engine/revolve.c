/* Binomial checkpointing (Griewank & Walther 2000, algorithm 799).
 *
 * With s slots for states, and no step run more than r times to get somewhere, a chain of at most
 *   β(s, r) = (s + r)! / (s! r!)
 * steps can be walked backwards.  A longer chain of n steps, β(s, r − 1) < n ≤ β(s, r), takes r n − β(s + 1, r − 1)
 * steps on the way to all entries, and no other choice of states takes fewer.  The next state is kept where the part
 * behind it is done with a slot less and the part before it with a repeat less.
 *
 * Where memory is left the unit is not a step but a block of them, whose tape is kept at a time. */
#include "engine/revolve.h"

#include <math.h>

/* β(s, r) from β(s, r − 1): whole numbers, exact as far as they are compared with lengths. */
static double next_binomial(double before, size_t slots, size_t r) {
  return round(before * (double)(slots + r) / (double)r);
}

/* β(s − 1, r) = β(s, r) s/(s + r) */
static double with_one_less(double binomial, size_t slots, size_t r) {
  return round(binomial * (double)slots / (double)(slots + r));
}

size_t tb_revolve_repeats(size_t n, size_t slots) {
  if (slots == 1)
    return n - 1; /* β(1, r) = r + 1 */
  size_t r = 0;
  for (double reach = 1; reach < (double)n; reach = next_binomial(reach, slots, r))
    r++;
  return r;
}

static double binomial(size_t slots, size_t r) {
  double reach = 1;
  for (size_t i = 1; i <= r; i++)
    reach = next_binomial(reach, slots, i);
  return reach;
}

size_t tb_revolve_advance(size_t n, size_t slots) {
  if (slots == 1)
    return n - 1;
  const size_t r = tb_revolve_repeats(n, slots);
  const double before = r >= 2 ? binomial(slots, r - 2) : 1, behind = with_one_less(binomial(slots, r), slots, r);
  const double advance = fmax(before, (double)n - behind);
  return advance < 1 ? 1 : (size_t)advance;
}

double tb_revolve_steps(size_t n, size_t slots) {
  const double chain = (double)n;
  if (slots == 1)
    return chain * (chain - 1) / 2;
  const size_t r = tb_revolve_repeats(n, slots);
  /* β(s + 1, r − 1) = β(s, r) r/(s + 1) */
  return r ? (double)r * chain - round(binomial(slots, r) * (double)r / (double)(slots + 1)) : 0;
}

/* ---- blocks ---- */

size_t tb_revolve_blocks(tb_revolve_plan plan, size_t length) {
  return (length + plan.block - 1) / plan.block;
}

double tb_revolve_again(tb_revolve_plan plan, size_t length, int afresh) {
  const size_t blocks = tb_revolve_blocks(plan, length);
  const double again = tb_revolve_steps(blocks, plan.slots) * (double)plan.block;
  return afresh ? again + (double)length : again;
}

tb_revolve_plan tb_revolve_choose(size_t length, double tape, double carry, double bytes) {
  tb_revolve_plan best = { 1, 1 };
  double least = tb_revolve_again(best, length, 0);
  /* of the blocks that make the same number of them, the shortest */
  for (size_t block = length; block >= 1;) {
    const size_t blocks = (length + block - 1) / block;
    block = (length + blocks - 1) / blocks;
    const double left = bytes - (double)block * (tape + carry) - carry;
    const double slots = carry > 0 ? fmin(left / carry, (double)blocks) : (double)blocks;
    if (left >= 0 && slots >= 1) {
      const tb_revolve_plan plan = { block, (size_t)slots };
      const double again = tb_revolve_again(plan, length, 0);
      if (again < least) {
        least = again;
        best = plan;
      }
    }
    block--;
  }
  return best;
}
