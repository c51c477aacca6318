"""Loss, gradients and running statistics of a small network with membrane potential batch norm by NumPy (run with 2.4.6) in double
precision: the numbers of tests/src/golden/norm.rs.

Three inputs; four neurons in two channels of two, u <- u / 4 + x w, spikes where gain (u - mean) / sqrt(variance + 1e-5) + shift > 1/2
with the mean and the biased variance of the step, surrogate of the hyperbolic tangent (k = 3); carried on is the raw potential after a
hard reset ("raw") or the normalised one ("normalised"); or statistics of all steps together between the projection and a leaky neuron
("tdbn", alpha theta = 1/2). Two integrators, four steps, cross-entropy of the mean membrane, three samples. Gradients
are forward mode: one tangent for each parameter. The inputs change from step to step. Weights are printed as [pre][post].
"""
import math

import numpy as np

X = np.array([
    [[0.9, 0.3, 0.6], [0.1, 0.7, 0.2], [0.8, 0.8, 0.1], [0.3, 0.5, 0.9]],
    [[0.2, 0.8, 0.5], [0.9, 0.1, 0.4], [0.3, 0.2, 0.7], [0.6, 0.9, 0.2]],
    [[0.5, 0.1, 0.9], [0.4, 0.6, 0.8], [0.1, 0.9, 0.3], [0.7, 0.2, 0.4]],
])  # [sample][step][input]
CLASSES = [0, 1, 1]
W = np.array([[0.8, 0.2, 0.6, 0.5], [0.4, 0.9, -0.3, 0.5], [0.3, 0.5, 0.7, -0.5]])
U = np.array([[0.5, -0.3], [-0.4, 0.6], [0.3, 0.1], [0.2, -0.2]])
GAIN, SHIFT = np.array([0.9, -0.7]), np.array([0.3, 0.4])
MEAN, VARIANCE = np.array([0.1, -0.2]), np.array([0.8, 1.3])
STEPS, SAMPLES = 4, 3


class Dual:
    """A value and its tangents, which have one more axis at the end."""

    def __init__(self, value, tangent=None):
        self.value = np.asarray(value, float)
        self.tangent = np.zeros(self.value.shape + (DIRECTIONS,)) if tangent is None else tangent

    def __add__(self, other):
        other = other if isinstance(other, Dual) else Dual(other)
        return Dual(self.value + other.value, self.tangent + other.tangent)

    def __mul__(self, other):
        other = other if isinstance(other, Dual) else Dual(other)
        value = self.value * other.value
        return Dual(value, self.tangent * other.value[..., None] + other.tangent * self.value[..., None])

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + (-other if isinstance(other, Dual) else Dual(-np.asarray(other, float)))

    def of(self, value, slope):
        return Dual(value, self.tangent * slope[..., None])

    def mean(self, axes):
        return Dual(self.value.mean(axes), self.tangent.mean(axes))

    def __getitem__(self, at):
        return Dual(self.value[at], self.tangent[at])


def product(x, w):
    return Dual(x.value @ w.value, np.einsum("bkd,kn->bnd", x.tangent, w.value) + np.einsum("bk,knd->bnd", x.value, w.tangent))


def parameters():
    """Weights, readout, gain, shift with a unit tangent each."""
    arrays, at, out = [W, U, GAIN, SHIFT], 0, []
    for array in arrays:
        dual = Dual(array)
        for k in range(array.size):
            dual.tangent.reshape(array.size, DIRECTIONS)[k, at + k] = 1.0
        at += array.size
        out.append(dual)
    return out


DIRECTIONS = W.size + U.size + GAIN.size + SHIFT.size


def spike(u, theta):
    x = u.value - theta
    window = np.where(abs(x) <= 0.5, 3 * (1 - np.tanh(3 * x) ** 2) / (2 * math.tanh(1.5)), 0.0)
    return u.of((x > 0).astype(float), window)


def channels(u):
    """Neurons as [..., channel, neuron]."""
    shape = u.value.shape[:-1] + (2, 2)
    return Dual(u.value.reshape(shape), u.tangent.reshape(shape + (DIRECTIONS,)))


def flat(u):
    shape = u.value.shape[:-2] + (4,)
    return Dual(u.value.reshape(shape), u.tangent.reshape(shape + (DIRECTIONS,)))


def normalise(u, axes, statistics):
    """u has channels at axis -2; axes are all others. Updates the running statistics."""
    c = channels(u)
    mean = c.mean(axes)
    centred = c - mean[:, None]
    square = centred * centred
    variance = square.mean(axes)
    count = c.value.size // 2
    statistics[0] = 0.9 * statistics[0] + 0.1 * mean.value
    statistics[1] = 0.9 * statistics[1] + 0.1 * variance.value * count / (count - 1)
    deviation = np.sqrt(variance.value + 1e-5)
    inverse = variance.of(1 / deviation, -0.5 / deviation**3)
    return centred * inverse[:, None]


def run(kind):
    w, u_out, gain, shift = parameters()
    statistics = [MEAN.copy(), VARIANCE.copy()]
    currents = [product(Dual(X[:, t]), w) for t in range(STEPS)]
    if kind == "tdbn":
        both = Dual(np.stack([c.value for c in currents]), np.stack([c.tangent for c in currents]))
        both = normalise(both, (0, 1, 3), statistics) * gain[:, None] * 0.5 + shift[:, None]
        both = flat(both)
        currents = [both[t] for t in range(STEPS)]
    u, y, mean = Dual(np.zeros((SAMPLES, 4))), Dual(np.zeros((SAMPLES, 2))), Dual(np.zeros((SAMPLES, 2)))
    for t in range(STEPS):
        u = u * 0.25 + currents[t]
        if kind == "tdbn":
            s = spike(u, 0.5)
        else:
            hat = flat(normalise(u, (0, 2), statistics) * gain[:, None] + shift[:, None])
            s = spike(hat, 0.5)
            u = hat if kind == "normalised" else u
        u = u * (Dual(np.ones((SAMPLES, 4))) - s)
        y = y * math.exp(-0.05) + product(s, u_out)
        mean = mean + y * (1 / STEPS)
    loss, gradient = 0.0, np.zeros(DIRECTIONS)
    for b, wanted in enumerate(CLASSES):
        e = np.exp(mean.value[b])
        share = e / e.sum()
        loss -= math.log(share[wanted]) / SAMPLES
        share[wanted] -= 1
        gradient += share @ mean.tangent[b] / SAMPLES
    print(kind, "loss", loss)
    names, at = [("w", W), ("u", U), ("gain", GAIN), ("shift", SHIFT)], 0
    for name, array in names:
        print(name, gradient[at : at + array.size].tolist())
        at += array.size
    print("mean", statistics[0].tolist(), "variance", statistics[1].tolist())


for kind in ["raw", "normalised", "tdbn"]:
    run(kind)
