"""Linear regression three ways: by hand, with autograd, and with nn and optim."""

import torch
import torch.nn as nn

torch.manual_seed(1)


def make_data(n=200, noise=0.1):
    x = torch.rand(n, 3) * 4 - 2
    w = torch.tensor([[1.5], [-2.0], [0.75]])
    y = x @ w + 0.5 + noise * torch.randn(n, 1)
    return x, y


def by_hand(x, y, steps=50, lr=0.1):
    w = torch.zeros(3, 1)
    b = torch.zeros(1)
    for step in range(steps):
        error = x @ w + b - y
        loss = (error**2).mean()
        w -= lr * 2 * x.t() @ error / len(x)
        b -= lr * 2 * error.mean()
        if step % 10 == 0:
            print(f"by hand {step:3d} loss {loss.item():.6f}")
    return w, b


def with_autograd(x, y, steps=50, lr=0.1):
    w = torch.zeros(3, 1, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    for step in range(steps):
        loss = ((x.mm(w) + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
            w.grad.zero_()
            b.grad.zero_()
        if step % 10 == 0:
            print("autograd {:3d} loss {:.6f}".format(step, loss.item()))
    return w, b


class LinearRegression(nn.Module):
    def __init__(self, in_features):
        super(LinearRegression, self).__init__()
        self.linear = nn.Linear(in_features, 1)

    def forward(self, x):
        return self.linear(x)


def with_modules(x, y, epochs=20, batch_size=50):
    model = LinearRegression(3)
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(epochs):
        permutation = torch.randperm(len(x))
        total = 0.0
        for i in range(0, len(x), batch_size):
            indices = permutation[i : i + batch_size]
            optimizer.zero_grad()
            loss = criterion(model(x[indices]), y[indices])
            loss.backward()
            optimizer.step()
            total += loss.item()
        if epoch % 5 == 0:
            print("modules", epoch, "loss", round(total / (len(x) / batch_size), 6))
    return model


x, y = make_data()
print("data", x.shape, y.shape, x.dtype)
w, b = by_hand(x, y)
print("weights", [round(v, 3) for v in w.flatten().tolist()], round(b.item(), 3))
w, b = with_autograd(x, y)
print("weights", [round(v, 3) for v in w.detach().view(-1).tolist()], round(b.item(), 3))
model = with_modules(x, y)
print(model)
for name, parameter in model.named_parameters():
    print(name, tuple(parameter.shape), parameter.data.abs().sum().item())
with torch.no_grad():
    prediction = model(torch.tensor([[1.0, 0.0, -1.0]]))
print("prediction %.3f" % prediction)
