"""A multi-layer perceptron on two spirals: Dataset, DataLoader, Adam, a schedule, accuracy."""

import argparse
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Dataset, random_split


class Spirals(Dataset):
    def __init__(self, n=300):
        t = torch.rand(n) * 3 * math.pi
        label = torch.arange(n) % 2
        sign = 1.0 - 2.0 * label.float()
        x = torch.stack([sign * t * torch.cos(t), sign * t * torch.sin(t)], dim=1) / 10
        self.x = x + 0.01 * torch.randn(n, 2)
        self.y = label

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


class Net(nn.Module):
    def __init__(self, hidden=64, depth=2, dropout=0.1):
        super().__init__()
        layers = []
        width = 2
        for _ in range(depth):
            layers += [nn.Linear(width, hidden), nn.Tanh(), nn.Dropout(dropout)]
            width = hidden
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.body(x))


def train(model, device, loader, optimizer):
    model.train()
    total, seen = 0.0, 0
    for data, target in loader:
        data, target = data.to(device), target.to(device, non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(data), target)
        loss.backward()
        optimizer.step()
        total += loss.item() * data.size(0)
        seen += data.size(0)
    return total / seen


@torch.no_grad()
def test(model, device, loader):
    model.eval()
    loss, correct, count = 0.0, 0, 0
    for data, target in loader:
        data, target = data.to(device), target.to(device)
        output = model(data)
        loss += F.cross_entropy(output, target, reduction="sum").item()
        correct += output.argmax(dim=1, keepdim=True).eq(target.view_as(output[:, :1])).sum().item()
        count += len(data)
    return loss / count, correct / count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset = Spirals()
    train_set, test_set = random_split(dataset, [250, 50])
    train_loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=50)
    model = Net().to(device)
    print(model)
    print("parameters", sum(p.numel() for p in model.parameters() if p.requires_grad))
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    scheduler = StepLR(optimizer, step_size=2, gamma=0.5)
    for epoch in range(1, args.epochs + 1):
        loss = train(model, device, train_loader, optimizer)
        test_loss, accuracy = test(model, device, test_loader)
        print(f"epoch {epoch} lr {optimizer.param_groups[0]['lr']:.5f} loss {loss:.5f}")
        print(f"test {test_loss:.5f} accuracy {accuracy:.3f}")
        scheduler.step()


if __name__ == "__main__":
    main()
