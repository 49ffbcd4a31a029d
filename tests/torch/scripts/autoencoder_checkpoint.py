"""A denoising autoencoder that is saved in the middle, loaded into new objects, and goes on."""

import os
import tempfile
from collections import OrderedDict

import torch
from torch import nn


class Autoencoder(nn.Module):
    def __init__(self, size=20, code=5):
        super().__init__()
        self.encoder = nn.Sequential(
            OrderedDict(
                [
                    ("fc1", nn.Linear(size, 16)),
                    ("act1", nn.ReLU()),
                    ("fc2", nn.Linear(16, code)),
                ]
            )
        )
        self.decoder = nn.Sequential(
            nn.Linear(code, 16), nn.ELU(), nn.Linear(16, size), nn.Sigmoid()
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


def step(model, optimizer, x, noise):
    optimizer.zero_grad()
    loss = nn.functional.smooth_l1_loss(model(x + noise), x)
    loss.backward()
    optimizer.step()
    return loss.item()


def build():
    model = Autoencoder()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.005, momentum=0.5)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.95)
    return model, optimizer, scheduler


torch.manual_seed(11)
basis = torch.rand(3, 20)
x = torch.rand(64, 3) @ basis / 3
model, optimizer, scheduler = build()
print(model)
for epoch in range(5):
    loss = step(model, optimizer, x, 0.1 * torch.randn(64, 20))
    scheduler.step()
    print("epoch", epoch, "loss", loss)

path = os.path.join(tempfile.mkdtemp(), "checkpoint.pt")
torch.save(
    {
        "epoch": epoch,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "rng": torch.get_rng_state(),
        "loss": loss,
    },
    path,
)
for epoch in range(5, 8):
    print("straight on", step(model, optimizer, x, 0.1 * torch.randn(64, 20)))
    scheduler.step()

checkpoint = torch.load(path, map_location=torch.device("cpu"))
model2, optimizer2, scheduler2 = build()
print(model2.load_state_dict(checkpoint["model"]))
optimizer2.load_state_dict(checkpoint["optimizer"])
scheduler2.load_state_dict(checkpoint["scheduler"])
torch.set_rng_state(checkpoint["rng"])
for epoch in range(checkpoint["epoch"] + 1, 8):
    print("loaded", step(model2, optimizer2, x, 0.1 * torch.randn(64, 20)))
    scheduler2.step()
print("lr", optimizer2.param_groups[0]["lr"], scheduler2.get_last_lr())
pairs = zip(model.state_dict().values(), model2.state_dict().values())
same = all(torch.equal(a, b) for a, b in pairs)
print("same", same)
