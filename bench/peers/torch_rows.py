"""The standard workloads as a PyTorch expert writes them: fused optimiser, eager and torch.compile."""
from common import layers, main, median_seconds, report, unpack

import torch
from torch import nn

torch.set_num_threads(1)


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
    main({"mlp32": adam, "mlp64": adam, "hvp": hvp, "natural_gradient_200": natural, "natural_gradient_500": natural})
