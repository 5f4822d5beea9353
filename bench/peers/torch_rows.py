"""The standard workloads as a PyTorch expert writes them: fused optimiser, eager and torch.compile."""
import math

from common import CORES, layers, main, median_seconds, report, unpack

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(CORES)


def model_of(start):
    parts = []
    for w, b in layers(start):
        linear = nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w).T)
            linear.bias.copy_(torch.from_numpy(b))
        parts += [linear, nn.Tanh()]
    return nn.Sequential(*parts[:-1]), torch.from_numpy(start["x"]), torch.from_numpy(start["y"])


def train(row, start, optimiser_of):
    for way in ("eager", "compiled"):
        model, x, y = model_of(start)
        optimiser = optimiser_of(model)
        forward = lambda: 0.5 * ((model(x)[:, 0] - y) ** 2).mean()  # noqa: B023
        if way == "compiled":
            try:
                forward = torch.compile(forward)
                forward()
            except Exception:  # no C++ compiler, an unsupported platform
                continue

        def step():
            loss = forward()  # noqa: B023
            optimiser.zero_grad(set_to_none=True)  # noqa: B023
            loss.backward()
            optimiser.step()  # noqa: B023
            return loss

        losses = [float(step()) for _ in range(100 if x.shape[0] * x.shape[1] < 10000 else 5)]
        report("torch", way, row, median_seconds(step), loss_first=losses[0], loss_100=losses[-1])


def adam(row, start):
    train(row, start, lambda m: torch.optim.Adam(m.parameters(), lr=1e-3, fused=True))


def plain(row, start, parameters, loss_of, optimiser_of, ways=("eager", "compiled"), first=None, before=5):
    """loss_of(parameters): tensors by name to a scalar.  optimiser_of(parameters), None: the gradient only."""
    for way in ways:
        p = {name: torch.from_numpy(a.copy()).requires_grad_() for name, a in parameters.items()}
        optimiser = optimiser_of(list(p.values())) if optimiser_of else None
        forward = loss_of
        if way == "compiled":
            try:
                forward = torch.compile(loss_of)
                forward(p).backward()
            except Exception:  # no C++ compiler, an unsupported platform
                continue

        def step():
            for a in p.values():  # noqa: B023
                a.grad = None
            loss = forward(p)  # noqa: B023
            loss.backward()
            if optimiser:  # noqa: B023
                optimiser.step()  # noqa: B023
            return loss

        losses = [float(step().detach()) for _ in range(before)]
        report("torch", way, row, median_seconds(step), loss_first=losses[0] if first is None else first)


def parameters_of(start, *data):
    return {name: a for name, a in start.items() if name not in data}


def adam_of(lr):
    return lambda p: torch.optim.Adam(p, lr=lr, fused=True)


def seeds(row, start):
    """mlp32 for all replicas as batched products."""
    theta, x, y = start["theta"], torch.from_numpy(start["x"]), torch.from_numpy(start["y"])
    p, at = {}, 0
    for k, (i, o) in enumerate([(10, 32), (32, 32), (32, 1)]):
        p[f"W{k}"] = theta[:, at:at + i * o].reshape(-1, o, i).transpose(0, 2, 1).copy()
        p[f"b{k}"] = theta[:, None, at + i * o:at + i * o + o].copy()
        at += i * o + o

    def loss_of(p):
        h = torch.tanh(torch.baddbmm(p["b0"], x, p["W0"]))
        h = torch.tanh(torch.baddbmm(p["b1"], h, p["W1"]))
        f = torch.baddbmm(p["b2"], h, p["W2"])[..., 0]
        return 0.5 * ((f - y) ** 2).mean(1).sum()

    first = float(loss_of({name: torch.from_numpy(a) for name, a in p.items()})) / x.shape[0]
    plain(row, start, p, loss_of, adam_of(1e-3), first=first)


def mlp1024(row, start):
    x, y = torch.from_numpy(start["x"]), torch.from_numpy(start["y"])

    def loss_of(p):
        h = x
        for k in range(1, 6):
            h = F.linear(h, p[f"W{k}"], p[f"b{k}"][:, 0])
            if k < 5:
                h = F.relu(h)
        return 0.5 * ((h - y) ** 2).mean()

    plain(row, start, parameters_of(start, "x", "y"), loss_of, lambda p: torch.optim.SGD(p, lr=1e-2, fused=True), ways=("eager",))


def factorisation(row, start, lr=1e-3):
    m = torch.from_numpy(start["matrix"])
    loss_of = lambda p: 0.5 * ((p["W3"] @ (p["W2"] @ p["W1"]) - m) ** 2).sum()
    plain(row, start, parameters_of(start, "matrix"), loss_of, lambda p: torch.optim.SGD(p, lr=lr, fused=True))

    w = [torch.from_numpy(start[f"W{k}"].copy()) for k in (1, 2, 3)]  # the three derivatives by hand

    def step():
        a = w[1] @ w[0]
        r = w[2] @ a - m
        left = w[2].T @ r
        d1, d2, d3 = w[1].T @ left, left @ w[0].T, r @ a.T
        for x, d in zip(w, (d1, d2, d3)):
            x.sub_(d, alpha=lr)
        return r

    first = float(0.5 * (step() ** 2).sum())
    report("torch", "by hand", row, median_seconds(step), loss_first=first)


def completion(row, start, lr=1.0):
    """In float32, the type PyTorch users take."""
    single = {k: a.astype(np.float32) if a.dtype == np.float64 else a for k, a in start.items()}
    places, values = torch.from_numpy(single["entries"]), torch.from_numpy(single["values"])
    loss_of = lambda p: 0.5 * (((p["W2"] @ p["W1"]).reshape(-1)[places] - values) ** 2).mean()
    plain(row, single, {k: single[k] for k in ("W1", "W2")}, loss_of, lambda p: torch.optim.SGD(p, lr=lr, fused=True))

    w1, w2 = (torch.from_numpy(single[k].copy()) for k in ("W1", "W2"))  # the derivatives by hand
    residual = torch.zeros(w2.shape[0] * w1.shape[1])

    def step():
        r = (w2 @ w1).view(-1)[places] - values
        residual[places] = r / len(r)
        dense = residual.view(w2.shape[0], -1)
        d2, d1 = dense @ w1.T, w2.T @ dense
        w2.sub_(d2, alpha=lr)
        w1.sub_(d1, alpha=lr)
        return r

    first = float(0.5 * (step() ** 2).mean())
    report("torch", "by hand", row, median_seconds(step), loss_first=first)


def completion_natural(row, start):
    """The Jacobian of 2,000 outputs by hand (that of autograd takes seconds), kernel, Cholesky; float64 as ours."""
    w = [torch.from_numpy(start[f"W{k}"]) for k in (1, 2, 3)]
    places, values = torch.from_numpy(start["entries"]), torch.from_numpy(start["values"])
    row_of, col_of = places // w[0].shape[1], places % w[0].shape[1]

    def step():
        b, a = w[1] @ w[0], w[2] @ w[1]
        r = (w[2] @ b).view(-1)[places] - values
        s1, s2, t2, t3 = a @ a.T, w[2] @ w[2].T, w[0].T @ w[0], b.T @ b
        same_row, same_col = row_of[:, None] == row_of, col_of[:, None] == col_of
        k = s1[row_of][:, row_of] * same_col + s2[row_of][:, row_of] * t2[col_of][:, col_of] + same_row * t3[col_of][:, col_of]
        c = torch.cholesky_solve(r[:, None], torch.linalg.cholesky(k))[:, 0]
        dense = torch.zeros(w[2].shape[0] * w[0].shape[1], dtype=c.dtype).index_put_((places,), c).view(w[2].shape[0], -1)
        left = w[2].T @ dense
        return w[1].T @ left, left @ w[0].T, dense @ b.T

    report("torch", "structured kernel by hand", row, median_seconds(step))


def lstm(row, start):
    x = torch.from_numpy(start["x"][0])
    net = nn.LSTM(x.shape[2], start["layer1.V"].shape[1])
    with torch.no_grad():
        for name, ours in (("weight_ih_l0", "W"), ("weight_hh_l0", "V"), ("bias_ih_l0", "b"), ("bias_hh_l0", "c")):
            a = getattr(net, name)
            a.copy_(torch.from_numpy(start[f"layer1.{ours}"]).reshape(a.shape))

    def step():
        net.zero_grad(set_to_none=True)
        loss = 0.5 * (net(x)[0] ** 2).mean()
        loss.backward()
        return loss

    report("torch", "nn.LSTM", row, median_seconds(step), loss_first=float(step().detach()))


def transformer(row, start, heads, eps, published, optimiser_of, ways):
    tokens, targets = torch.from_numpy(start["tokens"]), torch.from_numpy(start["targets"]).reshape(-1)
    (b, t), (v, d) = tokens.shape, start["E"].shape
    count = sum(1 for name in start if name.endswith("Wqkv"))
    place, pair = torch.arange(t)[:, None], torch.arange(d)[None] // 2
    angle = place / 10000 ** (2 * pair / d)
    code = torch.where(torch.arange(d) % 2 == 1, angle.cos(), angle.sin())

    def attention(h, w):
        q, k, u = (a.view(b, t, heads, d // heads).transpose(1, 2) for a in F.linear(h, w("Wqkv"), w("bqkv")[0]).split(d, -1))
        o = F.scaled_dot_product_attention(q, k, u, is_causal=True)
        return F.linear(o.transpose(1, 2).reshape(b, t, d), w("Wo"), w("bo")[0])

    def feedforward(h, w):
        h = F.linear(h, w("W1"), w("b1")[0])
        return F.linear(F.relu(h) if published else F.gelu(h), w("W2"), w("b2")[0])

    def loss_of(p):
        h = F.embedding(tokens, p["E"])
        h = h * d**0.5 + code if published else h + p["P"][:t]
        norm = lambda h, gain, shift: F.layer_norm(h, (d,), gain[0], shift[0], eps)
        for layer in range(1, count + 1):
            w = lambda name: p[f"layer{layer}.{name}"]  # noqa: B023
            for k, branch in (("1", attention), ("2", feedforward)):
                if published:
                    h = norm(h + branch(h, w), w("gain" + k), w("shift" + k))
                else:
                    h = h + branch(norm(h, w("gain" + k), w("shift" + k)), w)
        if not published:
            h = norm(h, p["gain"], p["shift"])
        return F.cross_entropy(F.linear(h, p["U"], p["u"][0]).view(b * t, v), targets)

    plain(row, start, parameters_of(start, "tokens", "targets"), loss_of, optimiser_of, ways, before=1)


def decode(row, start, heads=5, prompt=8, new=300, eps=6e-3):
    """Greedy decoding with keys and values kept in arrays of full length; the prompt is read at once."""
    p = {name: torch.from_numpy(a) for name, a in start.items()}
    (v, d), count, rows, total = p["E"].shape, sum(1 for name in start if name.endswith("Wqkv")), 2**prompt, prompt + new
    place, pair = torch.arange(total)[:, None], torch.arange(d)[None] // 2
    angle = place / 10000 ** (2 * pair / d)
    code = torch.where(torch.arange(d) % 2 == 1, angle.cos(), angle.sin())
    bits = torch.arange(rows)[:, None] >> torch.arange(prompt - 1, -1, -1) & 1
    first = torch.cat([torch.full((rows, 1), 3), bits], 1)
    keys, values = (torch.zeros(count, rows, heads, total, d // heads) for _ in range(2))

    def read(tokens, at):
        """tokens [rows, t] at places from `at` on → scores of what follows the last"""
        t = tokens.shape[1]
        h = F.embedding(tokens, p["E"]) * d**0.5 + code[at:at + t]
        for layer in range(count):
            w = lambda name: p[f"layer{layer + 1}.{name}"]  # noqa: B023
            q, k, u = (a.view(rows, t, heads, d // heads).transpose(1, 2) for a in F.linear(h, w("Wqkv"), w("bqkv")[0]).split(d, -1))
            keys[layer, :, :, at:at + t], values[layer, :, :, at:at + t] = k, u
            o = F.scaled_dot_product_attention(q, keys[layer, :, :, :at + t], values[layer, :, :, :at + t], is_causal=t > 1)
            o = F.linear(o.transpose(1, 2).reshape(rows, t, d), w("Wo"), w("bo")[0])
            h = F.layer_norm(h + o, (d,), w("gain1")[0], w("shift1")[0], eps)
            o = F.linear(F.relu(F.linear(h, w("W1"), w("b1")[0])), w("W2"), w("b2")[0])
            h = F.layer_norm(h + o, (d,), w("gain2")[0], w("shift2")[0], eps)
        return F.linear(h[:, -1], p["U"], p["u"][0])

    @torch.inference_mode()
    def complete():
        tokens, at, nats = first, 0, 0.0
        for _ in range(new):
            scores = read(tokens, at)
            at += tokens.shape[1]
            best, tokens = scores[:, :2].max(1, keepdim=True)
            nats = nats + (scores.logsumexp(1, keepdim=True) - best).sum()
        return float(nats) / (rows * new)

    report("torch", "cache, eager", row, median_seconds(complete), loss_first=complete())


def rollout(row, start, lr=1e-3, sigma=1.075, spread=3.0):
    """What depends on time only is computed for all steps at once; a step is compiled, the loop is Python's."""
    p0 = parameters_of(start, "start", "noise", "times", "beta", "key")
    dtype = torch.from_numpy(p0["p"]).dtype
    times, beta = (torch.from_numpy(start[name]).to(dtype) for name in ("times", "beta"))
    h, (b, d), steps = p0["p"].shape[1], start["start"].shape, len(start["times"])
    speed, keep = torch.linspace(0.1, 100, h, dtype=dtype), (1 - beta**2).sqrt()
    log_two_pi = 1.8378770664093453
    given = {"start": torch.from_numpy(start["start"]), "noise": torch.from_numpy(start["noise"])}

    def log_density(y):
        own = -0.5 * (y[:, 0] / spread) ** 2 - (d - 1) / 2 * y[:, 0] - 0.5 * d * log_two_pi - math.log(spread)
        return own - 0.5 * torch.exp(-y[:, 0]) * (y[:, 1:] ** 2).sum(-1)

    def score_of(y):  # by hand: autograd inside the loop would cost more
        y = y.detach()
        e, rest = torch.exp(-y[:, :1]), y[:, 1:]
        neck = -y[:, :1] / spread**2 - (d - 1) / 2 + 0.5 * e * (rest**2).sum(-1, keepdim=True)
        return torch.cat([neck, -rest * e], -1)

    def one(y, cost, first, bias, gate, w2, b2, w3, b3, beta, keep, noise):
        z = F.gelu(F.linear(y, first) + bias)
        z = F.linear(F.gelu(F.linear(z, w2, b2)), w3, b3)
        f = z.clamp(-1e4, 1e4) + gate * score_of(y).clamp(-1e2, 1e2)
        return keep * y + beta**2 * f + sigma * beta * noise, cost + 0.5 * (beta / sigma) ** 2 * (f**2).sum(-1)

    def loss_with(p, one, y, noise):
        affine = lambda x, k: F.linear(x, p[k], p[k.lower()][0])
        angle = times[:, None] * speed + p["p"]
        e = torch.cat([angle.sin(), angle.cos()], -1)
        embedded = affine(F.gelu(affine(e, "T1")), "T2")
        bias = F.linear(embedded, p["S1"][:, d:], p["s1"][0])
        gate = affine(e, "G1")
        for k in "234":
            gate = affine(F.gelu(gate), "G" + k)
        y, cost, first = sigma * y, torch.zeros(b, dtype=dtype), p["S1"][:, :d]
        for k in range(steps):
            y, cost = one(y, cost, first, bias[k], gate[k], p["S2"], p["s2"][0], p["S3"], p["s3"][0], beta[k], keep[k], noise[k])
        reference = -0.5 * (y**2).sum(-1) / sigma**2 - d * (0.5 * log_two_pi + math.log(sigma))
        return (cost + reference - log_density(y)).mean()

    first = float(loss_with({name: torch.from_numpy(a) for name, a in p0.items()}, one, given["start"], given["noise"]))
    for way in ("eager", "compiled step"):
        body = one
        if way == "compiled step":
            body = torch.compile(one)
        drawn = lambda p: loss_with(p, body, torch.randn(b, d, dtype=dtype), torch.randn(steps, b, d, dtype=dtype))  # noqa: B023
        try:
            if way != "eager":
                drawn({name: torch.from_numpy(a.copy()).requires_grad_() for name, a in p0.items()}).backward()
        except Exception:  # no C++ compiler, an unsupported platform
            continue
        plain(row, start, p0, drawn, adam_of(lr), ways=(way,), first=first, before=1)


def functional(start):
    model, x, y = model_of(start)
    params = dict(model.named_parameters())
    return (lambda p, x: torch.func.functional_call(model, p, (x,))[:, 0]), params, x, y


def hvp(row, start):
    call, params, x, y = functional(start)
    v = {}
    for k, (w, b) in enumerate(unpack(start["v"], start)):
        v[f"{2 * k}.weight"], v[f"{2 * k}.bias"] = torch.from_numpy(w).T.contiguous(), torch.from_numpy(b)
    gradient = torch.func.grad(lambda p: 0.5 * ((call(p, x) - y) ** 2).mean())
    product = lambda: torch.func.jvp(gradient, (params,), (v,))[1]
    norm = float(sum((t**2).sum() for t in product().values()) ** 0.5)
    report("torch", "eager", row, median_seconds(product), norm=norm)


def natural(row, start, lr=0.1, damping=1e-6):
    call, params, x, y = functional(start)
    n = x.shape[0]
    jacobian = torch.func.vmap(torch.func.grad(lambda p, x: call(p, x[None])[0]), (None, 0))

    def step(params):
        with torch.no_grad():
            f = call(params, x)
            j = jacobian(params, x)
            flat = torch.cat([t.reshape(n, -1) for t in j.values()], 1)
            k = flat @ flat.T / n + damping * torch.eye(n)
            c = torch.cholesky_solve(((f - y) / n)[:, None], torch.linalg.cholesky(k))[:, 0]
            return {name: p - lr * torch.tensordot(c, j[name], 1) for name, p in params.items()}, 0.5 * ((f - y) ** 2).mean()

    state, losses = params, []
    for _ in range(5):
        state, loss = step(state)
        losses.append(float(loss))
    report("torch", "eager", row, median_seconds(lambda: step(params)), loss_first=losses[0], loss_100=losses[-1])


if __name__ == "__main__":
    small = lambda row, start: transformer(row, start, 4, 1e-5, False, adam_of(1e-3), ("eager", "compiled"))
    published = lambda row, start: transformer(
        row, start, 5, 6e-3, True, lambda p: torch.optim.AdamW(p, lr=2e-3, weight_decay=0.01, fused=True), ("eager",))
    main({"rollout": rollout, "rollout64": rollout, "transformer": small, "transformer_published": published, "lstm": lstm,
          "mlp32_seeds": seeds, "mlp1024": mlp1024, "factorisation": factorisation, "factorisation64": factorisation,
          "completion": completion, "completion_natural": completion_natural,
          "mlp32": adam, "mlp64": adam, "hvp": hvp, "decode": decode, "natural_gradient_200": natural, "natural_gradient_500": natural})
