"""The standard workloads as a JAX expert writes them: one jitted step, and many steps under lax.scan in one jit."""
import sys

from common import CORES, layers, main, median_seconds, report, unpack

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", sys.argv[1] in ("rollout64", "factorisation64", "icl_bayes"))
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


def train(row, start, step, state, many=MANY, first=None):
    """step: (state, _) -> (state, loss); first: the loss of the starting point where it can't be read off the steps."""
    once = jax.jit(lambda s: step(s, None))
    loop = jax.jit(lambda s: jax.lax.scan(step, s, None, length=many))
    losses = loop(state)[1]
    first = float(losses[0]) if first is None else first
    seconds = median_seconds(lambda: jax.block_until_ready(loop(state))) / many
    report("jax", "one jit", row, seconds, loss_first=first, loss_100=float(losses[min(99, many - 1)]))
    seconds = median_seconds(lambda: jax.block_until_ready(once(state)))
    report("jax", "a call a step", row, seconds, loss_first=first, loss_100=float(losses[min(99, many - 1)]))


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


def hvp_many(row, start, count=32):
    """v ← H v/‖H v‖, all in one jit, which gets the point anew each time."""
    params, x, y = start_of(start)
    flat, unflatten = jax.flatten_util.ravel_pytree(params)
    v = jax.flatten_util.ravel_pytree([(jnp.asarray(w), jnp.asarray(b)) for w, b in unpack(start["v"], start)])[0]

    gradient = jax.grad(lambda p: loss_of(unflatten(p), x, y))

    def direct(p):
        return lambda v: jax.jvp(gradient, (p,), (v,))[1]

    def linearised(p):
        return jax.linearize(gradient, p)[1]

    for way, product_of in (("one jit", direct), ("one jit, linearised", linearised)):

        @jax.jit
        def many(p, v):
            product = product_of(p)  # noqa: B023
            return jax.lax.scan(lambda v, _: ((u := product(v)) / jnp.linalg.norm(u), None), v, None, length=count)[0]

        report("jax", way, row, median_seconds(lambda: jax.block_until_ready(many(flat, v))), norm=float(jnp.linalg.norm(many(flat, v))))


def adam_step(loss_of, lr, decay=0.0, b1=0.9, b2=0.999, eps=1e-8, clip=None, fall=None, gradient=None):
    """(state, _) -> (state, loss) for loss_of(params, k), k the number of steps done; decoupled decay.

    clip: entries of the gradient are cut to ± it; fall: (factor, every) of the rate; gradient: instead of loss_of,
    (params, k) -> (loss, gradient)."""
    tree, gradient = jax.tree_util.tree_map, gradient or jax.value_and_grad(loss_of)
    first = lr

    def step(state, _):
        p, m, v, k = state
        loss, g = gradient(p, k)
        lr = first * fall[0] ** (k // fall[1]) if fall else first
        if clip:
            g = tree(lambda b: jnp.clip(b, -clip, clip), g)
        m = tree(lambda a, b: b1 * a + (1 - b1) * b, m, g)
        v = tree(lambda a, b: b2 * a + (1 - b2) * b * b, v, g)
        c1, c2 = 1 - b1 ** (k + 1), 1 - b2 ** (k + 1)
        p = tree(lambda a, m, v: a * (1 - lr * decay) - lr * (m / c1) / (jnp.sqrt(v / c2) + eps), p, m, v)
        return (p, m, v, k + 1), loss

    return step


def adam_state(params):
    zeros = jax.tree_util.tree_map(jnp.zeros_like, params)
    return params, zeros, zeros, 0


def arrays_of(start, *data):
    return {name: jnp.asarray(a) for name, a in start.items() if name not in data}


def seeds(row, start):
    """mlp32 for all replicas by vmap."""
    theta, x, y = (jnp.asarray(start[name]) for name in ("theta", "x", "y"))
    sizes, params, at = [(10, 32), (32, 32), (32, 1)], [], 0
    for i, o in sizes:
        params.append((theta[:, at:at + i * o].reshape(-1, o, i).transpose(0, 2, 1), theta[:, at + i * o:at + i * o + o]))
        at += i * o + o
    losses = jax.vmap(loss_of)
    step = adam_step(lambda p, k: losses(p, x, y).sum(), 1e-3)
    mean = lambda s, _: ((r := step(s, None))[0], r[1] / x.shape[0])
    train(row, start, mean, adam_state(params))


def mlp1024(row, start, lr=1e-2):
    params, x, y = start_of(start)

    def loss_of(params):
        h = x
        for w, b in params[:-1]:
            h = jax.nn.relu(h @ w + b)
        w, b = params[-1]
        return 0.5 * jnp.mean((h @ w + b - y) ** 2)

    def step(params, _):
        loss, g = jax.value_and_grad(loss_of)(params)
        return jax.tree_util.tree_map(lambda a, b: a - lr * b, params, g), loss

    train(row, start, step, params, many=5)


def factorisation(row, start, lr=1e-3):
    w, m = [jnp.asarray(start[f"W{k}"]) for k in (1, 2, 3)], jnp.asarray(start["matrix"])

    def step(w, _):
        loss, g = jax.value_and_grad(lambda w: 0.5 * jnp.sum((w[2] @ (w[1] @ w[0]) - m) ** 2))(w)
        return [a - lr * b for a, b in zip(w, g)], loss

    train(row, start, step, w)


def lstm(row, start):
    p = arrays_of(start, "x")
    x = jnp.asarray(start["x"][0])  # [T,B,in]
    hidden = p["layer1.V"].shape[1]

    def loss_of(p):
        z = x @ p["layer1.W"].T + (p["layer1.b"] + p["layer1.c"])
        v = p["layer1.V"].T

        def cell(carry, z):
            h, s = carry
            i, f, g, o = jnp.split(z + h @ v, 4, axis=-1)
            s = jax.nn.sigmoid(f) * s + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(s)
            return (h, s), h

        zero = jnp.zeros((x.shape[1], hidden), x.dtype)
        return 0.5 * jnp.mean(jax.lax.scan(cell, (zero, zero), z)[1] ** 2)

    once = jax.jit(jax.value_and_grad(loss_of))
    first = float(once(p)[0])
    report("jax", "a call a step", row, median_seconds(lambda: jax.block_until_ready(once(p))), loss_first=first)


def transformer(row, start, heads, eps, post, published, lr, decay, many):
    p, tokens, targets = arrays_of(start, "tokens", "targets"), start["tokens"].astype("int32"), start["targets"].astype("int32")
    (b, t), (v, d) = tokens.shape, start["E"].shape
    count = sum(1 for name in start if name.endswith("Wqkv"))
    causal = jnp.tril(jnp.ones((t, t), bool))
    if published:
        place, pair = jnp.arange(t)[:, None], jnp.arange(d)[None] // 2
        angle = place / 10000 ** (2 * pair / d)
        code = jnp.where(jnp.arange(d) % 2, jnp.cos(angle), jnp.sin(angle))

    def norm(x, gain, shift):
        mean = x.mean(-1, keepdims=True)
        var = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(var + eps) * gain + shift

    def attention(x, w):
        qkv = (x @ w("Wqkv").T + w("bqkv")).reshape(b, t, 3, heads, d // heads)
        q, k, u = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
        s = jnp.where(causal, (q / (d // heads) ** 0.5) @ k.swapaxes(-1, -2), -1e30)
        o = (jax.nn.softmax(s, -1) @ u).transpose(0, 2, 1, 3).reshape(b, t, d)
        return o @ w("Wo").T + w("bo")

    def feedforward(x, w):
        h = x @ w("W1").T + w("b1")
        h = jax.nn.relu(h) if published else jax.nn.gelu(h, approximate=False)
        return h @ w("W2").T + w("b2")

    def loss_of(p, _):
        h = p["E"][tokens]
        h = h * d**0.5 + code if published else h + p["P"][:t]
        for layer in range(1, count + 1):
            w = lambda name: p[f"layer{layer}.{name}"]  # noqa: B023
            for k, branch in (("1", attention), ("2", feedforward)):
                if post:
                    h = norm(h + branch(h, w), w("gain" + k), w("shift" + k))
                else:
                    h = h + branch(norm(h, w("gain" + k), w("shift" + k)), w)
        if not post:
            h = norm(h, p["gain"], p["shift"])
        z = h @ p["U"].T + p["u"]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), targets[..., None], -1))

    train(row, start, adam_step(loss_of, lr, decay), adam_state(p), many=many)


def funnel(start, spread=3.0):
    d = start["start"].shape[1]

    def log_density(y):
        own = -0.5 * (y[:, 0] / spread) ** 2 - (d - 1) / 2 * y[:, 0] - 0.5 * d * 1.8378770664093453 - jnp.log(spread)
        return own - 0.5 * jnp.exp(-y[:, 0]) * (y[:, 1:] ** 2).sum(-1)

    return log_density


def cox(start, grid=40, variance=1.91, points=126):
    """The published target with its precision matrix computed once: a product a gradient."""
    import numpy as np

    at = np.stack(np.divmod(np.arange(grid * grid), grid), -1).astype(float)
    k = variance * np.exp(-np.linalg.norm(at[:, None] - at[None], axis=-1) * 33 / grid)
    precision, log_determinant = jnp.asarray(np.linalg.inv(k), jnp.float32), float(np.linalg.slogdet(k)[1])
    counts, mean, d = jnp.asarray(start["counts"], jnp.float32), float(np.log(points) - variance / 2), grid * grid

    def log_density(y):
        z = y - mean
        prior = -0.5 * ((z @ precision) * z).sum(-1) - 0.5 * (log_determinant + d * 1.8378770664093453)
        return prior + (y * counts - jnp.exp(y) / d).sum(-1)

    return log_density


def rollout(row, start):
    sampler(row, start, funnel(start), 1e-3, 1.075, many=5)


def dds_funnel(row, start):
    sampler(row, start, funnel(start), 5e-3, 1.075, many=5, clip=1.0, fall=(0.95, 50))


def dds_lgcp(row, start):
    start["times"] = (start["beta"] / 1.5) ** 2
    start["times"] = start["times"].cumsum() - start["times"]
    sampler(row, start, cox(start), 1e-4, 2.1, many=1)


def sampler(row, start, log_density, lr, sigma, many, **update):
    """The chain as one scan; what depends on time only is computed for all steps before it.

    With several cores also the batch spread over as many devices, the gradients averaged."""
    data = {name: jnp.asarray(start[name]) for name in ("start", "noise")}
    p = arrays_of(start, "start", "noise", "times", "beta", "key", "counts")
    dtype = p["p"].dtype
    times, beta = (jnp.asarray(start[name], dtype) for name in ("times", "beta"))
    h, (b, d), steps = p["p"].shape[1], data["start"].shape, times.shape[0]
    speed = jnp.linspace(0.1, 100, h, dtype=dtype)
    gelu = lambda a: jax.nn.gelu(a, approximate=False)
    log_two_pi = 1.8378770664093453

    def loss_of(p, y, draw):
        angle = times[:, None] * speed + p["p"]
        e = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1)
        affine = lambda x, w, c: x @ p[w].T + p[c]
        embedded = affine(gelu(affine(e, "T1", "t1")), "T2", "t2")
        bias = embedded @ p["S1"][:, d:].T + p["s1"]
        gate = affine(e, "G1", "g1")
        for k in "234":
            gate = affine(gelu(gate), "G" + k, "g" + k)
        first = p["S1"][:, :d].T

        def step(carry, at):
            y, cost = carry
            k, beta, bias, gate = at
            score = jax.lax.stop_gradient(jax.grad(lambda y: log_density(y).sum())(y))
            z = gelu(y @ first + bias)
            z = affine(gelu(affine(z, "S2", "s2")), "S3", "s3")
            f = jnp.clip(z, -1e4, 1e4) + gate * jnp.clip(score, -1e2, 1e2)
            cost = cost + 0.5 * (beta / sigma) ** 2 * (f**2).sum(-1)
            return (jnp.sqrt(1 - beta**2) * y + beta**2 * f + sigma * beta * draw(k), cost), None

        (y, cost), _ = jax.lax.scan(step, (sigma * y, jnp.zeros(len(y), dtype)), (jnp.arange(steps), beta, bias, gate))
        reference = -0.5 * (y**2).sum(-1) / sigma**2 - d * (0.5 * log_two_pi + jnp.log(sigma))
        return jnp.mean(cost + reference - log_density(y))

    first = float(jax.jit(lambda p: loss_of(p, data["start"], lambda k: data["noise"][k]))(p))

    def with_draws(p, key, rows):
        draws = jax.random.normal(key, (steps + 1, rows, d), dtype)  # at once: faster than a call a step
        return loss_of(p, draws[steps], lambda k: draws[k])

    keyed = lambda p, n: with_draws(p, jax.random.fold_in(jax.random.PRNGKey(0), n), b)
    keyed_part = lambda p, key: with_draws(p, key, b // CORES)

    train(row, start, adam_step(keyed, lr, **update), adam_state(p), many=many, first=first)
    if CORES > 1 and b % CORES == 0:
        spread(row, keyed_part, lr, p, many, first, **update)


def spread(row, loss_of, lr, p, many, first, **update):
    """loss_of(params, key): of a part of the batch; a device each, replicated parameters."""
    from jax.sharding import Mesh, PartitionSpec as P

    mesh = Mesh(jax.devices()[:CORES], ("part",))

    def gradient(p, n):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.PRNGKey(0), n), jax.lax.axis_index("part"))
        return jax.lax.pmean(jax.value_and_grad(loss_of)(p, key), "part")

    step = adam_step(None, lr, gradient=gradient, **update)
    loop = jax.jit(jax.shard_map(lambda s: jax.lax.scan(step, s, None, length=many)[0], mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False))
    state = jax.device_put(adam_state(p), jax.sharding.NamedSharding(mesh, P()))
    seconds = median_seconds(lambda: jax.block_until_ready(loop(state))) / many
    report("jax", f"one jit, the batch over {CORES} devices", row, seconds, loss_first=first)


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


def icl_bayes(row, start):
    """The forward algorithm of all prompts and concepts as one scan over the tokens; NumPy's twin says more."""
    import numpy as np

    from numpy_rows import hash_of

    token, prompts = start["token"].astype(int), jnp.asarray(start["prompts"].astype("int32"))
    transition, words = jnp.asarray(start["transition"]), jnp.asarray(np.equal.outer(np.arange(token.max() + 1), token), jnp.float64)
    first = jnp.repeat(jnp.asarray(start["start"])[:, None], len(prompts), 1)

    @jax.jit
    def predict(prompts):
        def step(carry, now):
            state, log_weight = carry
            state = state * words[now]
            scale = jnp.maximum(state.sum(-1), 1e-300)
            return (jnp.matmul(state / scale[..., None], transition), log_weight + jnp.log(scale)), None

        (state, log_weight), _ = jax.lax.scan(step, (first, jnp.zeros(first.shape[:2])), prompts.T)
        return jnp.einsum("cp,cps,ws->pw", jax.nn.softmax(log_weight, 0), state, words).argmax(1)

    report("jax", "one jit", row, median_seconds(lambda: jax.block_until_ready(predict(prompts)), least=1), predictions=hash_of(predict(prompts)))


if __name__ == "__main__":
    import jax.flatten_util  # noqa: F401
    small = lambda row, start: transformer(row, start, heads=4, eps=1e-5, post=False, published=False, lr=1e-3, decay=0, many=5)
    published = lambda row, start: transformer(row, start, heads=5, eps=6e-3, post=True, published=True, lr=2e-3, decay=0.01, many=1)
    main({"rollout": rollout, "rollout64": rollout, "dds_funnel": dds_funnel, "dds_lgcp": dds_lgcp, "transformer": small, "transformer_published": published, "lstm": lstm,
          "mlp32_seeds": seeds, "mlp1024": mlp1024, "factorisation": factorisation, "factorisation64": factorisation,
          "icl_bayes": icl_bayes, "mlp32": adam, "mlp64": adam, "hvp": hvp, "hvp_many": hvp_many, "natural_gradient_200": natural, "natural_gradient_500": natural})
