/* tiebreak sample TARGET: the study `sample` on one target, as a verb. */
#include <stdio.h>

#include "cli.h"

static tb_status sample(cli *c) {
  size_t count;
  tb_assignment *overrides;
  tb_status status = target_overrides(c, &count, &overrides);
  return status ? status : run_study(c, "sample", count, overrides);
}

const verb verb_sample = {
  .name = "sample",
  .usage = "TARGET [key=value …]",
  .summary = "draws and log normaliser of a density: built-in, your .so, your data",
  .details =
      "TARGET is a built-in density (`tiebreak explain target`), `plugin` with so=FILE.so, or `stan` with\n"
      "so=MODEL_model.so data=FILE.json. method= names the sampler: smc, hmc, nuts, dds, pis, … The run's folder\n"
      "holds draws.npz; options sweep as those of `tiebreak run sample`, which this is.",
  .flags = FLAG_THREADS | FLAG_OUT | FLAG_RUNS | FLAG_DRY_RUN | FLAG_STRICT | FLAG_RUNNING,
  .least = 1,
  .most = 1000000,
  .run = sample,
};
