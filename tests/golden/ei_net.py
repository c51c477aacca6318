"""Outputs and gradients of circuits of excitation and inhibition by NumPy (run with 2.4.6) in double precision: the numbers of
tests/src/golden/ei.rs. And what E-I Init makes of the digits, for tests/suite/inits/ei_conv.snn.

Written from the equations of the papers (DeepEISNN, arXiv 2509.23253; Cornford et al. 2021). Gradients are complex steps: the imaginary
part of the loss when one parameter has an imaginary part of 1e-30. What is held fixed in the backward pass is held fixed here: of
a replaced divisor the difference to what was replaced, of a spike everything but the surrogate. Weights of windows are printed as
[channel in][row][column][channel out], matrices as [pre][post].

    python3 tests/golden/ei_net.py
"""
import gzip
import pathlib

import numpy as np

STEP = 1e-30


def gradients(loss, params):
    """Gradient of a loss for each parameter, in the shape of the parameter."""
    result = {}
    for name, values in params.items():
        grad = np.zeros(values.shape)
        for at in np.ndindex(values.shape):
            moved = {k: v.astype(complex) for k, v in params.items()}
            moved[name][at] += STEP * 1j
            grad[at] = loss(moved).imag / STEP
        result[name] = grad
    return result


def guarded(d, straight):
    """Divisors [samples, ...]: 0 takes the smallest of its sample that is not 0, or infinity."""
    out = d.copy()
    for s in range(len(d)):
        flat, new = d[s].reshape(-1), out[s].reshape(-1)
        known = flat[flat.real != 0]
        # Equal ones share the gradient.
        least = known[known.real == known.real.min()].mean() if len(known) else complex(np.inf)
        for k in range(len(flat)):
            if flat[k].real == 0:
                new[k] = flat[k] - flat[k].real + least.real if straight else least
        out[s] = new.reshape(d[s].shape)
    return out


def conv(x, w, stride, padding):
    """x [samples, in, height, width], w [out, in, height, width]."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    (s, _, h, v), (o, _, k, l) = x.shape, w.shape
    out = np.zeros((s, o, (h - k) // stride + 1, (v - l) // stride + 1), complex)
    for r in range(out.shape[2]):
        for c in range(out.shape[3]):
            patch = x[:, :, r * stride:r * stride + k, c * stride:c * stride + l]
            out[:, :, r, c] = np.tensordot(patch, w, axes=([1, 2, 3], [1, 2, 3]))
    return out


def ei_conv(p, x, stride=1, padding=1, straight=True):
    i = conv(x, p["w_ie"], stride, padding)
    n = conv(x, p["w_ee"], stride, padding) - conv(i, p["w_ei"], 1, 0)
    d = conv(i * p["g_i"][:, None, None], p["w_ei"], 1, 0)
    return p["g_e"][:, None, None] * n / guarded(d, straight) + p["b_e"][:, None, None]


def printed(name, values):
    print(f"  {name}: {[float(v) for v in np.asarray(values).reshape(-1).real]}")


def stored(values):
    """Axes as the compiler stores them."""
    if values.ndim == 4:
        return values.transpose(1, 2, 3, 0)
    return values.T if values.ndim == 2 else values


def sixteenths(*values):
    """Numbers that single precision holds exactly."""
    return np.array(values) / 16


EI = {
    "w_ee": sixteenths(3, 2, 5, 0, 8, 2, 3, 6, 0, 5, 2, 3, 6, 3, 0, 2).reshape(2, 2, 2, 2),
    "w_ie": sixteenths(6, 0, 3, 2, 0, 0, 5, 3, 2, 0, 5, 0, 3, 0, 2, 8).reshape(2, 2, 2, 2),
    "w_ei": sixteenths(8, 6, 4, 0).reshape(2, 2, 1, 1),
    "g_i": sixteenths(13, 19),
    "g_e": sixteenths(16, 32),
    "b_e": sixteenths(0, 2),
}
X = np.array([
    [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]],
    [[[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]],
])  # [sample][channel][row][column]


def conv_case(title, stride, padding, straight, shape):
    """The loss is the sum of all outputs times `target`."""
    size = int(np.prod(shape))
    target = (np.arange(2 * size) % 7 - 3.0).reshape(2, *shape)
    print(f"EiConv, {title}; target {[float(v) for v in target.reshape(-1)]}")
    out = ei_conv({k: v.astype(complex) for k, v in EI.items()}, X.astype(complex), stride, padding, straight)
    printed("output", out)
    print(f"  loss: {float((out * target).sum().real)!r}")
    grads = gradients(lambda p: (ei_conv(p, X.astype(complex), stride, padding, straight) * target).sum(), EI)
    grads["w_ei"] /= 2 * 2 * 2  # inputs of a window
    for name, grad in grads.items():
        printed(name, stored(grad))
    for s in range(2):
        one = {"x": X[s:s + 1]}
        fixed = {k: v.astype(complex) for k, v in EI.items()}
        back = gradients(lambda p: (ei_conv(fixed, p["x"], stride, padding, straight) * target[s:s + 1]).sum(), one)
        printed(f"x of sample {s}", back["x"])


def relu(z):
    return np.where(z.real > 0, z, 0)


DANN = {
    "w_ex": sixteenths(3, 2, 5, 0, 8, 2, 6, 5, 3, 2, 10, 8).reshape(4, 3),
    "w_ix": sixteenths(6, 2, 3, 2, 3, 5).reshape(2, 3),
    "w_ei": sixteenths(8, 8, 4, 12, 10, 2, 5, 6).reshape(4, 2),
    "alpha": sixteenths(-3, 5),
    "g": sixteenths(16, 32, 8, 24),
    "b": sixteenths(2, 3, 1, -2),
}
PIXELS = sixteenths(14, 5, 10, 3, 13, 8).reshape(2, 3)


def dann(p, x):
    i = x @ p["w_ix"].T
    n = x @ p["w_ex"].T - i @ p["w_ei"].T
    d = i @ (np.exp(p["alpha"]) * p["w_ei"]).T + 1e-8
    return relu(p["g"] * n / d + p["b"])


def dann_case():
    target = np.array([[1.0, -1.0, 0.5, 2.0], [0.5, 3.0, -2.0, 1.0]])
    out = dann({k: v.astype(complex) for k, v in DANN.items()}, PIXELS)
    print("Dann, four rectified units")
    printed("output", out)
    print(f"  loss: {float((out * target).sum().real)!r}")
    grads = gradients(lambda p: (dann(p, PIXELS) * target).sum(), DANN)
    n, d = DANN["w_ex"].shape
    grads["w_ix"] /= np.sqrt(n)
    grads["w_ei"] /= d
    grads["alpha"] /= np.sqrt(n) * d
    for name, grad in grads.items():
        printed(name, stored(grad))


COLUMNS = {
    "a.w_ee": sixteenths(14, 6, 5, 3, 13, 8, 11, 2, 10, 5, 14, 13).reshape(4, 3),
    "a.w_ie": sixteenths(8, 10, 11, 6, 14, 3).reshape(2, 3),
    "a.b_e": sixteenths(2, -3, 0, -2),
    "a.b_i": sixteenths(-5, 1),
    "b.w_ee": sixteenths(13, 8, 5, 14, 10, 14, 11, 3).reshape(2, 4),
    "b.w_ie": sixteenths(11, 6, 14, 5).reshape(1, 4),
    "b.w_ei": sixteenths(5, 6, 3, 8).reshape(2, 2),
    "b.w_ii": sixteenths(2, 10).reshape(1, 2),
    "b.b_e": sixteenths(1, -2),
    "b.b_i": sixteenths(3),
}
STEPS = 4


def lif(v, i):
    """v <- v / 2 + i, a spike from 1 on, sigmoid surrogate of steepness 4, soft reset without a gradient."""
    v = v / 2 + i
    smooth = 1 / (1 + np.exp(-4 * (v - 1)))
    s = (v.real >= 1) + 1j * smooth.imag
    return v - s.real, s


def columns(p, target):
    loss, v = 0, {"ae": 0, "ai": 0, "be": 0, "bi": 0}
    spikes = []
    for t in range(STEPS):
        v["ae"], ae = lif(v["ae"], PIXELS @ p["a.w_ee"].T + p["a.b_e"])
        v["ai"], ai = lif(v["ai"], PIXELS @ p["a.w_ie"].T + p["a.b_i"])
        v["be"], be = lif(v["be"], ae @ p["b.w_ee"].T - ai @ p["b.w_ei"].T + p["b.b_e"])
        v["bi"], bi = lif(v["bi"], ae @ p["b.w_ie"].T - ai @ p["b.w_ii"].T + p["b.b_i"])
        loss = loss + (t + 1) * ((be * target).sum() + 0.5 * bi.sum())
        spikes.append([ae.real, ai.real, be.real, bi.real])
    return loss, spikes


def columns_case():
    target = np.array([[1.0, -2.0], [0.5, 3.0]])
    loss, spikes = columns({k: v.astype(complex) for k, v in COLUMNS.items()}, target)
    print("ColumnEiFirst and ColumnEi")
    for t, (ae, ai, be, bi) in enumerate(spikes):
        print(f"  step {t}: {ae.tolist()} {ai.tolist()} {be.tolist()} {bi.tolist()}")
    print(f"  loss: {float(loss.real)!r}")
    for name, grad in gradients(lambda p: columns(p, target)[0], COLUMNS).items():
        printed(name, stored(grad))


def digits_case():
    data = pathlib.Path(__file__).parents[2] / "runtime/data/digits-images.idx3.gz"
    raw = np.frombuffer(gzip.decompress(data.read_bytes()), np.uint8, offset=16)
    x = raw.reshape(-1, 64).astype(float)
    print(f"Digits: {len(x)}, largest {x.max()}")
    x /= 16
    q, m, d = (x * x).mean(), x.mean(), 9
    v = x.var(axis=0, ddof=1).mean()  # an image that stays is one sample, however many steps
    print(f"  E-I Init of a kernel of 3 on one channel: scale {float(np.sqrt(v / (d * (q + v))))!r}, g_i {float(np.sqrt(q + v) / (m * np.sqrt(d)))!r}")


conv_case("stride 1, padding 1", 1, 1, True, (2, 3, 3))
conv_case("stride 2, padding 1, not straight through", 2, 1, False, (2, 2, 2))
dann_case()
columns_case()
digits_case()
