"""A small convolutional network on made-up images of bars, in the way of the MNIST example."""

from __future__ import print_function

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 16, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(16 * 4 * 4, 32)
        self.fc2 = nn.Linear(32, 4)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = self.dropout2(x)
        return F.log_softmax(self.fc2(x), dim=1)


def bars(n):
    """Images of 12 × 12 with one bright row, column or diagonal."""
    labels = torch.randint(0, 4, (n,))
    images = 0.3 * torch.rand(n, 1, 12, 12)
    for i in range(n):
        place = int(torch.randint(2, 10, (1,)))
        kind = labels[i].item()
        if kind == 0:
            images[i, 0, place, :] += 0.7
        elif kind == 1:
            images[i, 0, :, place] += 0.7
        else:
            eye = torch.eye(12)
            images[i, 0] += 0.7 * (eye if kind == 2 else eye.flip(1))
    return images, labels


def batches(x, y, size, shuffle):
    order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
    for chunk in order.split(size):
        yield x[chunk], y[chunk]


def train(args, model, device, data, optimizer, epoch):
    model.train()
    for batch_idx, (x, target) in enumerate(batches(*data, args.batch_size, True)):
        x, target = x.to(device), target.to(device)
        optimizer.zero_grad()
        output = model(x)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        if batch_idx % args.log_interval == 0:
            print("Train Epoch: {} [{}/{}]\tLoss: {:.5f}".format(
                epoch, batch_idx * len(x), len(data[0]), loss.item()))


def test(model, device, data):
    model.eval()
    test_loss = 0
    correct = 0
    with torch.no_grad():
        for x, target in batches(*data, 64, False):
            x, target = x.to(device), target.to(device)
            output = model(x)
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.max(1, keepdim=True)[1]
            correct += pred.eq(target.view_as(pred)).sum().item()
    test_loss /= len(data[0])
    print("Test set: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)".format(
        test_loss, correct, len(data[0]), 100.0 * correct / len(data[0])))


def main():
    parser = argparse.ArgumentParser(description="bars")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N")
    parser.add_argument("--epochs", type=int, default=3, metavar="N")
    parser.add_argument("--lr", type=float, default=0.002, metavar="LR")
    parser.add_argument("--no-cuda", action="store_true", default=False)
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--log-interval", type=int, default=4, metavar="N")
    args = parser.parse_args()
    use_cuda = not args.no_cuda and torch.cuda.is_available()
    torch.manual_seed(args.seed)
    torch.backends.cudnn.benchmark = True
    device = torch.device("cuda" if use_cuda else "cpu")
    train_data, test_data = bars(256), bars(64)
    model = Net().to(device)
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    for epoch in range(1, args.epochs + 1):
        train(args, model, device, train_data, optimizer, epoch)
        test(model, device, test_data)


if __name__ == "__main__":
    main()
