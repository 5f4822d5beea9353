#!/usr/bin/env python3
"""NUTS on Bayesian logistic regression beside NumPyro: effective draws a CPU second on one core, least of all weights.

usage: bench/peers/nuts_logistic.py PROGRAM [FOLDER OF DATA, default $TIEBREAK_DATA]
Needs jax and numpyro.  Both take 500 + 500 iterations from the same posterior in float64; NumPyro's compilation is not
counted, the program's start is.  Effective draws are NumPyro's for both.
"""
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["OMP_NUM_THREADS"] = "1"
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.diagnostics import effective_sample_size
from numpyro.infer import MCMC, NUTS

jax.config.update("jax_enable_x64", True)

SETS = {"ionosphere": ("true", 1.0), "sonar": ("true", 1.0), "german_credit": ("scale", 10.0)}
ITERATIONS, SEEDS = 500, 3


def least_effective(draws):
    return min(effective_sample_size(draws[None, :, j]) for j in range(draws.shape[1]))


def ours(program, path, standardise, prior_sd, seed):
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([program, "sample", "logistic", f"data={path}", f"standardise={standardise}",
                               f"prior_sd={prior_sd}", "method=nuts", "chains=1", f"warmup={ITERATIONS}",
                               f"draws={ITERATIONS}", f"seed={seed}", "--json", "--quiet", "--threads", "1",
                               "--out", folder], check=True, stdout=subprocess.PIPE)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        record = json.loads(done.stdout)
        draws = np.load(record["files"]["draws"])["draws"]
    return least_effective(draws) / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def posterior(path, standardise, prior_sd):
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    x, y = table[:, :-1], table[:, -1]
    sd = x.std(0)
    x = (x - x.mean(0) if standardise == "true" else x) / np.where(sd > 0, sd, np.inf)
    z = jnp.array(np.hstack([np.ones((len(x), 1)), x]) * y[:, None])
    return z.shape[1], lambda w: -(jax.nn.log_sigmoid(z @ w).sum() - 0.5 * (w @ w) / prior_sd**2)


def main():
    program, folder = os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else os.environ["TIEBREAK_DATA"]
    print(f"{'data':<14} {'tiebreak':>9} {'numpyro':>9} {'ratio':>6}   effective draws a CPU second, mean of {SEEDS} seeds")
    for name, (standardise, prior_sd) in SETS.items():
        path = os.path.join(folder, name + ".csv")
        d, potential = posterior(path, standardise, prior_sd)
        sampler = MCMC(NUTS(potential_fn=potential), num_warmup=ITERATIONS, num_samples=ITERATIONS, progress_bar=False)
        rates = [[], []]
        for seed in range(SEEDS + 1):
            begun = time.process_time()
            sampler.run(jax.random.PRNGKey(seed), init_params=jnp.zeros(d))
            draws = np.array(sampler.get_samples())
            seconds = time.process_time() - begun
            if seed:  # the first one compiled
                rates[0].append(least_effective(draws) / seconds)
                rates[1].append(ours(program, path, standardise, prior_sd, seed))
        peer, own = np.mean(rates[0]), np.mean(rates[1])
        print(f"{name:<14} {own:>9.1f} {peer:>9.1f} {own / peer:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
