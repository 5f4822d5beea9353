"""NUTS on logistic regression by NumPyro and BlackJAX: effective draws a second, least of all coefficients.

As our row: chains of 500 draws after 500 of warm-up in float64, priors N(0, 10²), features over their standard
deviation, a leading 1; effective draws of split chains by NumPyro for both.  Compilation is not counted."""
import time

from common import main, report

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
ITERATIONS, CHAINS, PRIOR_SD = 500, 8, 10.0


def posterior(table):
    x, y = table[:, :-1], table[:, -1]
    sd = x.std(0)
    z = jnp.array(np.hstack([np.ones((len(x), 1)), x / np.where(sd > 0, sd, np.inf)]) * y[:, None])
    return z.shape[1], lambda w: jax.nn.log_sigmoid(z @ w).sum() - 0.5 * (w @ w) / PRIOR_SD**2


def least_effective(draws):
    from numpyro.diagnostics import effective_sample_size

    halves = draws.reshape(2, len(draws) // 2, -1)
    return min(float(effective_sample_size(halves[..., j])) for j in range(draws.shape[1]))


def measure(peer, way, row, chain):
    """chain(key) -> draws [ITERATIONS,d]"""
    chain(jax.random.PRNGKey(CHAINS))
    seconds, effective, means = [], [], []
    for seed in range(CHAINS):
        begun = time.perf_counter()
        draws = np.asarray(jax.block_until_ready(chain(jax.random.PRNGKey(seed))))
        seconds.append(time.perf_counter() - begun)
        effective.append(least_effective(draws))
        means.append(draws.mean(0))
    report(peer, way, row, float(np.median(seconds)), effective_draws=float(np.mean(effective)),
           effective_draws_per_second=sum(effective) / sum(seconds), first_means=np.mean(means, 0)[:4].round(3).tolist())


def nuts_logistic(row, start):
    d, log_density = posterior(start["table"])
    try:
        from numpyro.infer import MCMC, NUTS
    except ImportError:
        return
    sampler = MCMC(NUTS(potential_fn=lambda w: -log_density(w)), num_warmup=ITERATIONS, num_samples=ITERATIONS, progress_bar=False)

    def numpyro(key):
        sampler.run(key, init_params=jnp.zeros(d))
        return sampler.get_samples()

    measure("numpyro", "NUTS", row, numpyro)
    try:
        import blackjax
    except ImportError:
        return

    @jax.jit
    def black(key):
        first, second = jax.random.split(key)
        (state, tuned), _ = blackjax.window_adaptation(blackjax.nuts, log_density).run(first, jnp.zeros(d), num_steps=ITERATIONS)
        step = blackjax.nuts(log_density, **tuned).step
        one = lambda state, key: ((moved := step(key, state)[0]), moved.position)
        return jax.lax.scan(one, state, jax.random.split(second, ITERATIONS))[1]

    measure("blackjax", "window adaptation and NUTS in one jit", row, black)


if __name__ == "__main__":
    main({"nuts_logistic": nuts_logistic})
