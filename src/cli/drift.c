/* tiebreak drift TARGET t=… x=…: the exact semigroup, its log-gradient and the score at a point. */
#include <stdio.h>

#include "cli.h"

static tb_status drift(cli *c) {
  return ask_of_target(c, "drift");
}

const verb verb_drift = {
  .name = "drift",
  .usage = "TARGET t=… x=… [key=value …]",
  .summary = "exact drift of a target's diffusion: semigroup, gradient of its logarithm and score at a point",
  .details =
      "f is the target's density over N(0, sigma²I). process=ou: t is noising time, 0 the data; process=brownian:\n"
      "t is the time of the Föllmer process, 1 the data. Closed forms: gaussian, mixture, cosine, gmm9,\n"
      "gmm25, gmm40; funnels by quadrature; every target at the data end.",
  .flags = 0,
  .least = 1,
  .most = 1000000,
  .run = drift,
};
