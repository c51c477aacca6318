"""Loss and gradients of a small LIF network by PyTorch (run with 2.15.0) in double precision: the numbers of tests/src/golden.rs.

Three inputs, four LIF neurons (soft reset, gradient through the reset, surrogate arctan with alpha = 2), two integrators, six
steps, cross-entropy of the mean membrane; two samples. Weights are printed as [pre][post].
"""
import math

import torch

torch.set_default_dtype(torch.float64)


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x >= 0).double()

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad / (1 + (math.pi * x) ** 2)


w = torch.tensor([[0.8, 0.2, 0.6, 0.5], [0.4, 0.9, -0.3, 0.5], [0.3, 0.5, 0.7, 0.5]], requires_grad=True)
u = torch.tensor([[0.5, -0.3], [-0.4, 0.6], [0.3, 0.1], [0.2, -0.2]], requires_grad=True)
x = torch.tensor([[0.9, 0.3, 0.6], [0.2, 0.8, 0.5]])
v, y, mean = torch.zeros(2, 4), torch.zeros(2, 2), torch.zeros(2, 2)
for _ in range(6):
    v = math.exp(-0.1) * v + x @ w
    spikes = Spike.apply(v - 1)
    v = v - spikes
    y = math.exp(-0.05) * y + spikes @ u
    mean = mean + y / 6
loss = torch.nn.functional.cross_entropy(mean, torch.tensor([0, 1]))
loss.backward()
print(loss.item(), w.grad.tolist(), u.grad.tolist(), sep="\n")
