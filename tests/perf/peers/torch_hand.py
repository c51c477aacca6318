"""The benchmarks of this folder as somebody who knows PyTorch writes them by hand: one product for all steps where there is no
recurrence, a loop over the steps for the neurons, Adam. Prints a JSON line for each measurement, for ../compare.py.

    python3 torch_hand.py WORKLOAD [--eager] [--threads N] [--steps N] [--serve] [--first] [--rss]

WORKLOAD: a, adig, b, a_ar, onm, c. `--serve` measures again for each line of standard input. `--first` stops after the first training
step and prints the seconds since the process began, `--rss` after three with the most memory it had.
"""
import time

START = time.time()
import argparse
import json
import math
import resource
import statistics
import sys

import torch
from torch import nn
from torch.nn import functional

SIZES = {"a": (784, 512, 512, 10), "a_ar": (784, 512, 512, 10), "adig": (64, 128, 10), "b": (700, 256, 20), "onm": (512, 512), "c": (3, 32, 64, 128, 10)}
STEPS = {"b": 100, "onm": 500, "c": 4}
BATCH = {"onm": 16, "c": 32}
RATE = {"adig": 0.305, "b": 0.03}


class Arctan(torch.autograd.Function):
    """A spike; its derivative is taken for 1 / (1 + (pi u)^2)."""

    @staticmethod
    def forward(ctx, over):
        ctx.save_for_backward(over)
        return (over > 0).to(over.dtype)

    @staticmethod
    def backward(ctx, d):
        (over,) = ctx.saved_tensors
        return d / (1 + (math.pi * over) ** 2)


class Rect(torch.autograd.Function):
    """A spike; its derivative is taken for 1 near the threshold."""

    @staticmethod
    def forward(ctx, over):
        ctx.save_for_backward(over)
        return (over >= 0).to(over.dtype)

    @staticmethod
    def backward(ctx, d):
        (over,) = ctx.saved_tensors
        return d * (over.abs() <= 0.5).to(d.dtype)


def leaky(current, keep=0.9):
    v = torch.zeros_like(current[0])
    spikes = []
    for i in current.unbind(0):
        v = keep * v + i
        fired = Arctan.apply(v - 1)
        v = v - fired.detach()
        spikes.append(fired)
    return torch.stack(spikes)


def readout(current):
    v = torch.zeros_like(current[0])
    total = torch.zeros_like(v)
    for i in current.unbind(0):
        v = 0.9 * v + i
        total = total + v
    return total


class Adaptive(nn.Module):
    """AR-LIF with the clipped memory of its authors' code."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(()))
        self.c = nn.Parameter(torch.ones(()))

    def forward(self, current):
        v = torch.zeros_like(current[0])
        m = torch.zeros_like(v)
        spikes = []
        for x in current.unbind(0):
            v = 0.5 * v + x
            shift = torch.tanh(self.a) * torch.tanh(x)
            fired = Rect.apply(v - 1 - shift)
            keep = torch.sigmoid(self.c * x)
            m = torch.relu(m) * keep - torch.relu(-m) * (1 - keep)
            m = m + (2 * fired.detach() - 1) * torch.sigmoid(x)
            v = v - fired * (1 + torch.sigmoid(m) + shift)
            spikes.append(fired)
        return torch.stack(spikes)


class Feedforward(nn.Module):
    def __init__(self, sizes, own):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.own = nn.ModuleList(Adaptive() for _ in sizes[2:]) if own else None

    def forward(self, x):
        for k, layer in enumerate(self.layers[:-1]):
            x = self.own[k](layer(x)) if self.own else leaky(layer(x))
        return readout(self.layers[-1](x))


class Recurrent(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.enter = nn.Linear(sizes[0], sizes[1])
        self.again = nn.Linear(sizes[1], sizes[1], bias=False)
        self.leave = nn.Linear(sizes[1], sizes[2])
        nn.init.normal_(self.enter.weight, 0, 0.08)

    def forward(self, x):
        x = self.enter(x)
        v = torch.zeros_like(x[0])
        i, fired, spikes = v, v, []
        for now in x.unbind(0):
            i = 0.8 * i + now + self.again(fired)
            v = 0.9 * v + 0.2 * i - fired.detach()
            fired = Arctan.apply(v - 1)
            spikes.append(fired)
        return readout(self.leave(torch.stack(spikes)))


class Convolutional(nn.Module):
    """Convolutions with batch norm over steps and samples; the steps are part of the batch where nothing is recurrent."""

    def __init__(self, sizes):
        super().__init__()
        pairs = list(zip(sizes[:-2], sizes[1:-1]))
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b in pairs)
        self.leave = nn.Linear(sizes[-2] * 16, sizes[-1])

    def forward(self, x):
        steps, batch = x.shape[:2]
        x = x.flatten(0, 1)
        for conv, norm in zip(self.convs, self.norms):
            spikes = leaky(norm(conv(x)).unflatten(0, (steps, batch)), 0.5)
            x = functional.avg_pool2d(spikes.flatten(0, 1), 2)
        return self.leave(x.flatten(1)).unflatten(0, (steps, batch)).sum(0)


class Layer(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.layer = nn.Linear(*sizes)

    def forward(self, x):
        return leaky(self.layer(x)).sum(0)


def blocks(work):
    """Seven blocks of a quarter of a second: seconds of each turn by the clock and by the processor."""
    work()
    begin = time.perf_counter()
    work()
    turns = max(1, round(0.25 / (time.perf_counter() - begin)))
    wall, cpu = [], []
    for _ in range(7):
        w, c = time.perf_counter(), time.process_time()
        for _ in range(turns):
            work()
        wall.append((time.perf_counter() - w) / turns)
        cpu.append((time.process_time() - c) / turns)
    return {
        "wall_min": min(wall), "wall_med": statistics.median(wall), "cpu_min": min(cpu), "cpu_med": statistics.median(cpu),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=sorted(SIZES))
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--rss", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    sizes = SIZES[args.workload]
    batch, classes = BATCH.get(args.workload, 128), sizes[-1]
    steps = args.steps or STEPS.get(args.workload, 25)
    x = (torch.rand(steps, batch, sizes[0]) < RATE.get(args.workload, 0.1)).float()
    if args.workload == "c":
        x = torch.rand(batch, 3, 32, 32).expand(steps, -1, -1, -1, -1)
    y = torch.randint(0, classes, (batch,))
    nets = {"b": lambda: Recurrent(sizes), "onm": lambda: Layer(sizes), "c": lambda: Convolutional(sizes)}
    net = nets.get(args.workload, lambda: Feedforward(sizes, args.workload == "a_ar"))()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    loss = lambda x, y: functional.cross_entropy(net(x), y)
    if not args.eager:
        torch._dynamo.config.cache_size_limit = 64
        loss = torch.compile(loss)

    def train():
        optimizer.zero_grad(set_to_none=True)
        loss(x, y).backward()
        if args.workload != "onm":
            optimizer.step()

    def infer():
        with torch.no_grad():
            loss(x, y)

    names = {"peer": "torch by hand", "variant": "eager" if args.eager else "compile", "torch": torch.__version__}
    if args.first:
        train()
        print(json.dumps({**names, "first_s": time.time() - START}))
        return
    if args.rss:
        for _ in range(3):
            train()
        print(json.dumps({**names, "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    for _ in sys.stdin if args.serve else [""]:
        print(json.dumps({**names, "train": blocks(train), "infer": blocks(infer)}), flush=True)


main()
