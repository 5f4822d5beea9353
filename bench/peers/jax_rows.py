"""The standard workloads as a JAX expert writes them: one jitted step, and many steps under lax.scan in one jit."""
from common import layers, main, median_seconds, report, unpack

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", False)
MANY = 200  # steps inside one jit


def network(params, x):
    for w, b in params[:-1]:
        x = jnp.tanh(x @ w + b)
    w, b = params[-1]
    return (x @ w + b)[:, 0]


def loss_of(params, x, y):
    return 0.5 * jnp.mean((network(params, x) - y) ** 2)


def start_of(start):
    return [(jnp.asarray(w), jnp.asarray(b)) for w, b in layers(start)], jnp.asarray(start["x"]), jnp.asarray(start["y"])


def train(row, start, step, state, many=MANY):
    """step: (state, _) -> (state, loss)."""
    once = jax.jit(lambda s: step(s, None))
    loop = jax.jit(lambda s: jax.lax.scan(step, s, None, length=many))
    losses = loop(state)[1]
    seconds = median_seconds(lambda: jax.block_until_ready(loop(state))) / many
    report("jax", "one jit", row, seconds, loss_first=float(losses[0]), loss_100=float(losses[min(99, many - 1)]))
    seconds = median_seconds(lambda: jax.block_until_ready(once(state)))
    report("jax", "a call a step", row, seconds, loss_first=float(losses[0]), loss_100=float(losses[min(99, many - 1)]))


def adam(row, start, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    params, x, y = start_of(start)
    zeros = jax.tree_util.tree_map(jnp.zeros_like, params)

    def step(state, _):
        p, m, v, k = state
        loss, g = jax.value_and_grad(loss_of)(p, x, y)
        k = k + 1
        m = jax.tree_util.tree_map(lambda a, b: b1 * a + (1 - b1) * b, m, g)
        v = jax.tree_util.tree_map(lambda a, b: b2 * a + (1 - b2) * b * b, v, g)
        c1, c2 = 1 - b1**k, 1 - b2**k
        p = jax.tree_util.tree_map(lambda a, m, v: a - lr * (m / c1) / (jnp.sqrt(v / c2) + eps), p, m, v)
        return (p, m, v, k), loss

    train(row, start, step, (params, zeros, zeros, jnp.float32(0)))


def hvp(row, start):
    params, x, y = start_of(start)
    flat, unflatten = jax.flatten_util.ravel_pytree(params)
    v = jax.flatten_util.ravel_pytree([(jnp.asarray(w), jnp.asarray(b)) for w, b in unpack(start["v"], start)])[0]
    gradient = jax.grad(lambda p: loss_of(unflatten(p), x, y))
    product = jax.jit(lambda p, v: jax.jvp(gradient, (p,), (v,))[1])
    norm = float(jnp.linalg.norm(product(flat, v)))
    seconds = median_seconds(lambda: jax.block_until_ready(product(flat, v)))
    report("jax", "a call a step", row, seconds, norm=norm)

    @jax.jit
    def many(p, v):  # the forward pass does not depend on v: XLA hoists it out of the loop
        return jax.lax.scan(lambda v, _: ((u := jax.jvp(gradient, (p,), (v,))[1]) / jnp.linalg.norm(u), None), v, None, length=MANY)[0]

    report("jax", "one jit", row, median_seconds(lambda: jax.block_until_ready(many(flat, v))) / MANY, norm=norm)


def natural(row, start, lr=0.1, damping=1e-6):
    params, x, y = start_of(start)
    flat, unflatten = jax.flatten_util.ravel_pytree(params)
    n = x.shape[0]
    one = lambda p, x: network(unflatten(p), x[None])[0]

    def step(p, _):
        f, j = jax.vmap(jax.value_and_grad(one), (None, 0))(p, x)
        r = f - y
        k = j @ j.T / n + damping * jnp.eye(n)
        c = jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(k, lower=True), r / n)
        return p - lr * (j.T @ c), 0.5 * jnp.mean(r**2)

    train(row, start, step, flat, many=5)


if __name__ == "__main__":
    import jax.flatten_util  # noqa: F401
    main({"mlp32": adam, "mlp64": adam, "hvp": hvp, "natural_gradient_200": natural, "natural_gradient_500": natural})
