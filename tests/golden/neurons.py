"""Gradients of single neurons for tests/src/golden, by dual numbers in plain Python, written from the equations in the doc
comments of stdlib/neuron.snn and independent of the compiler. Prints spikes, membranes and gradients of f = sum (t + 1) s_t.

    python3 tests/golden/neurons.py
"""
import math


class Dual:
    def __init__(self, v, d):
        self.v, self.d = v, d

    def __add__(a, b):
        b = lift(b)
        return Dual(a.v + b.v, merge(a.d, 1, b.d, 1))

    def __sub__(a, b):
        b = lift(b)
        return Dual(a.v - b.v, merge(a.d, 1, b.d, -1))

    def __mul__(a, b):
        b = lift(b)
        return Dual(a.v * b.v, merge(a.d, b.v, b.d, a.v))

    def __truediv__(a, b):
        b = lift(b)
        return Dual(a.v / b.v, merge(a.d, 1 / b.v, b.d, -a.v / b.v**2))

    def __radd__(a, b):
        return lift(b) + a

    def __rsub__(a, b):
        return lift(b) - a

    def __rmul__(a, b):
        return lift(b) * a

    def __neg__(a):
        return 0 - a


def lift(x):
    return x if isinstance(x, Dual) else Dual(float(x), {})


def merge(a, ka, b, kb):
    return {k: ka * a.get(k, 0.0) + kb * b.get(k, 0.0) for k in a.keys() | b.keys()}


def call(x, y, slope):
    """A function with value y and derivative slope."""
    return Dual(y, {k: slope * d for k, d in x.d.items()})


def tanh(x):
    y = math.tanh(x.v)
    return call(x, y, 1 - y * y)


def sigmoid(x):
    y = 1 / (1 + math.exp(-x.v))
    return call(x, y, y * (1 - y))


def relu(x):
    return call(x, max(x.v, 0.0), float(x.v > 0))


def absolute(x):
    return call(x, abs(x.v), math.copysign(1, x.v) if x.v else 0.0)


def where(c, a, b):
    """A choice by a spike: c a + (1 - c) b."""
    a, b = lift(a), lift(b)
    return c * a + (1 - c) * b


def fire(x, surrogate, strict=False):
    x = lift(x)
    return call(x, float(x.v > 0 if strict else x.v >= 0), surrogate(x.v))


# Surrogates with the defaults of stdlib/surrogate.snn.
atan = lambda x: 1 / (1 + (math.pi * x) ** 2)
fast_sigmoid = lambda x: 1 / (1 + 10 * abs(x)) ** 2
rect = lambda x: float(abs(x) <= 0.5)
triangle = lambda x: max(1 - abs(x), 0.0)
damped = lambda x: 0.3 * max(1 - abs(x), 0.0)
sigmoid1 = lambda x: (lambda s: s * (1 - s))(1 / (1 + math.exp(-x)))


def leak(steps):
    return math.exp(-1 / steps)


def late_lif(x):
    v = s = lift(0)
    for i in x:
        v = leak(20) * v + i
        v = where(s, v - 1, v)
        s = fire(v - 1, atan)
        yield s, v


def cuba_lif(x):
    c = v = lift(0)
    for i in x:
        c = leak(5) * c + i
        v = leak(20) * v + c
        s = fire(v - 1, fast_sigmoid)
        v = where(s, v - 1, v)
        yield s, v


def alpha_lif(x):
    y = c = v = lift(0)
    for i in x:
        c = leak(5) * (c + 0.2 * y)
        y = leak(5) * y + math.e * i
        v = leak(20) * v + c
        s = fire(v - 1, fast_sigmoid)
        v = where(s, v - 1, v)
        yield s, v


def alif(x):
    v = b = lift(0)
    for i in x:
        v = leak(20) * v + i
        level = 1 + 0.2 * b
        s = fire(v - level, atan)
        v = v - s * level
        b = leak(200) * b + s
        yield s, v


def lsnn(x):
    v = b = s = lift(0)
    for i in x:
        b = leak(200) * b + (1 - leak(200)) * s
        level = 0.01 + 1.6 * b
        after = leak(20) * v + (1 - leak(20)) * i - s * level
        s = fire((v - level) / level, damped, strict=True)
        v = after
        yield s, v


def spike_net_lif(x):
    v, theta = lift(0), lift(1)
    for i in x:
        v = v + (i - v) / 2
        s = fire(v - theta, sigmoid1, strict=True)
        v = (1 - s) * v
        theta = 0.2 * s + 0.7 * theta
        yield s, v


def plif(x, w):
    v = lift(0)
    for i in x:
        v = v + (i - v) * sigmoid(w)
        s = fire(v - 1, atan)
        v = where(s, 0, v)
        yield s, v


def ar_lif_memoryless(x, a):
    v = lift(0)
    for i in x:
        v = 0.2 * v + i
        shift = tanh(a) * tanh(i)
        s = fire(v - 1 - shift, triangle, strict=True)
        m = where(s, 1, -1) * sigmoid(i)
        v = v - s * (1 + sigmoid(m) + shift)
        yield s, v


def ternary_lif(x, size):
    u = s = lift(0)
    for i in x:
        u = 0.25 * u * (1 - s) + i
        s = fire(absolute(u) - 0.5, rect)
        yield size * math.copysign(1, u.v) * s, u


def integer_lif(x):
    u = lift(0)
    for i in x:
        u = leak(20) * u + i
        n = min(max(round(u.v), 0), 4)
        n = call(u, float(n), float(0 < u.v < 4))
        u = u - n
        yield n, u


CASES = [
    (late_lif, [0.6, 0.7, 0.9, 0.2, 0.8, 0.4], {}),
    (cuba_lif, [0.4, 0.3, -0.2, 0.5, 0.1, 0.3], {}),
    (alpha_lif, [0.9, 0.5, -0.4, 0.8, 0.6, 0.3], {}),
    (alif, [0.6, 0.7, 0.9, 0.2, 1.1, 0.4], {}),
    (lsnn, [0.1, 0.2, 0.15, 0.1, 0.3, 0.2], {}),
    (spike_net_lif, [0.9, 1.9, 0.4, 0.9, 0.3, 0.2], {}),
    (plif, [1.2, 0.9, 1.5, 0.3, 1.2, 0.4], {"w": 0.0}),
    (ar_lif_memoryless, [0.8, 0.9, 1.5, -0.3, 1.2, 0.4], {"a": 0.3}),
    (ternary_lif, [0.4, 0.4, -0.9, 0.2, 1.3], {"size": 1.5}),
    (integer_lif, [0.4, 1.3, -0.9, 2.2, 5.9, 0.3], {}),
]

if __name__ == "__main__":
    for neuron, x, learned in CASES:
        inputs = [Dual(v, {t: 1.0}) for t, v in enumerate(x)]
        rows = list(neuron(inputs, *[Dual(v, {name: 1.0}) for name, v in learned.items()]))
        f = sum(((t + 1) * s for t, (s, _) in enumerate(rows)), lift(0))
        print(neuron.__name__, x, learned)
        print("  s", [round(s.v, 9) for s, _ in rows], " v", [round(v.v, 9) for _, v in rows])
        print("  df/dx", [round(f.d.get(t, 0.0), 9) for t in range(len(x))])
        for name in learned:
            print(f"  df/d{name}", round(f.d[name], 9))
