"""torchvision's datasets, transforms and grids around a small classifier."""

import os
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision
import torchvision.transforms as transforms
from torchvision.utils import make_grid, save_image

torch.manual_seed(0)
train_transform = transforms.Compose(
    [
        transforms.Resize(20),
        transforms.RandomCrop(16, padding=2),
        transforms.RandomHorizontalFlip(),
        transforms.ColorJitter(brightness=0.2, contrast=0.2),
        transforms.ToTensor(),
        transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ]
)
test_transform = transforms.Compose(
    [transforms.Resize(16), transforms.CenterCrop(16), transforms.ToTensor()]
)
trainset = torchvision.datasets.FakeData(48, (3, 24, 24), 3, transform=train_transform)
testset = torchvision.datasets.FakeData(16, (3, 24, 24), 3, transform=test_transform)
trainloader = torch.utils.data.DataLoader(trainset, batch_size=16, shuffle=True)
testloader = torch.utils.data.DataLoader(testset, batch_size=8, shuffle=False)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(6 * 6 * 6, 20)
        self.fc2 = nn.Linear(20, 3)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = torch.flatten(x, 1)
        return self.fc2(F.relu(self.fc1(x)))


net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
for epoch in range(2):
    running_loss = 0.0
    for i, data in enumerate(trainloader, 0):
        inputs, labels = data
        optimizer.zero_grad()
        loss = criterion(net(inputs), labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    print(f"epoch {epoch + 1} loss {running_loss / 3:.3f}")
correct = total = 0
with torch.no_grad():
    for images, labels in testloader:
        _, predicted = torch.max(net(images).data, 1)
        total += labels.size(0)
        correct += (predicted == labels).sum().item()
print(f"{correct} of {total}")
grid = make_grid(images, nrow=4)
path = os.path.join(tempfile.mkdtemp(), "grid.png")
save_image(images, path, nrow=4)
print(grid.shape, os.path.getsize(path) > 0)
