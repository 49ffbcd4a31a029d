"""A network with binary weights: an autograd.Function, hooks on tensors, and gradient checks."""

import torch
import torch.nn as nn
from torch.autograd import Function, gradcheck
from torch.nn.parameter import Parameter


class Binarize(Function):
    """The sign, with a straight-through gradient inside [-1, 1]."""

    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.sign()

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * (input.abs() <= 1).to(grad_output.dtype)


class ScaledSquare(Function):
    @staticmethod
    def forward(ctx, input, scale):
        ctx.save_for_backward(input)
        ctx.scale = scale
        return scale * input * input

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * 2 * ctx.scale * input, None


class BinaryLinear(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = Parameter(torch.empty(out_features, in_features))
        self.scale = Parameter(torch.ones(out_features, 1))
        self.bias = Parameter(torch.zeros(out_features))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.xavier_uniform_(self.weight, gain=nn.init.calculate_gain("relu"))

    def forward(self, x):
        weight = Binarize.apply(self.weight) * self.scale
        return nn.functional.linear(x, weight, self.bias)

    def extra_repr(self):
        return "{}, {}".format(self.weight.size(1), self.weight.size(0))


torch.manual_seed(0)
x = torch.randn(5, dtype=torch.double, requires_grad=True)
print("gradcheck", gradcheck(lambda t: ScaledSquare.apply(t, 3.0), (x,), eps=1e-6, atol=1e-4))

net = nn.Sequential(BinaryLinear(8, 32), nn.ReLU(), BinaryLinear(32, 1))
print(net)
inputs = torch.randn(64, 8)
targets = (inputs[:, :3].sum(1, keepdim=True) > 0).float()
optimizer = torch.optim.SGD(
    [
        {"params": [p for n, p in net.named_parameters() if "scale" not in n]},
        {"params": [p for n, p in net.named_parameters() if "scale" in n], "lr": 0.01},
    ],
    lr=0.1,
    momentum=0.9,
    nesterov=True,
)
seen = []
net[0].weight.register_hook(lambda grad: seen.append(grad.abs().mean().item()))
loss_fn = nn.BCEWithLogitsLoss()
for epoch in range(10):
    optimizer.zero_grad()
    output = net(inputs)
    penalty = sum(ScaledSquare.apply(p, 0.5).sum() for p in net.parameters())
    loss = loss_fn(output, targets) + 1e-3 * penalty
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for module in net:
            if isinstance(module, BinaryLinear):
                module.weight.clamp_(-1, 1)
    if epoch % 3 == 0:
        accuracy = ((output > 0).float() == targets).float().mean()
        print(f"epoch {epoch} loss {loss.item():.5f} accuracy {accuracy.item():.3f}")
print("hooks", len(seen), seen[-1])
values = Binarize.apply(net[0].weight.detach()).unique()
print("values", values.tolist())
