"""A variational autoencoder on made-up pictures: reparameterization, BCE and KL divergence."""

import torch
import torch.utils.data
from torch import nn, optim
from torch.nn import functional as F

SIZE = 64
LATENT = 4


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(SIZE, 32)
        self.fc21 = nn.Linear(32, LATENT)
        self.fc22 = nn.Linear(32, LATENT)
        self.fc3 = nn.Linear(LATENT, 32)
        self.fc4 = nn.Linear(32, SIZE)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, SIZE))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, SIZE), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


def blobs(n):
    """Pictures of 8 × 8 with one soft spot."""
    centers = torch.rand(n, 2) * 7
    rows = torch.arange(8).float()
    dy = (rows[None, :] - centers[:, :1]) ** 2
    dx = (rows[None, :] - centers[:, 1:]) ** 2
    return torch.exp(-(dy[:, :, None] + dx[:, None, :]) / 4).unsqueeze(1)


class Pictures(torch.utils.data.Dataset):
    def __init__(self, n):
        self.x = blobs(n)

    def __len__(self):
        return self.x.shape[0]

    def __getitem__(self, i):
        return self.x[i], 0


torch.manual_seed(1)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
kwargs = {"num_workers": 1, "pin_memory": True} if torch.cuda.is_available() else {}
train_loader = torch.utils.data.DataLoader(Pictures(200), batch_size=32, shuffle=True, **kwargs)
test_loader = torch.utils.data.DataLoader(Pictures(40), batch_size=20, shuffle=False, **kwargs)
model = VAE().to(device)
optimizer = optim.Adam(model.parameters(), lr=3e-3)


def train(epoch):
    model.train()
    train_loss = 0
    for batch_idx, (data, _) in enumerate(train_loader):
        data = data.to(device)
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
    average = train_loss / len(train_loader.dataset)
    print("====> Epoch: {} Average loss: {:.4f}".format(epoch, average))


def test(epoch):
    model.eval()
    test_loss = 0
    with torch.no_grad():
        for data, _ in test_loader:
            data = data.to(device)
            recon_batch, mu, logvar = model(data)
            test_loss += loss_function(recon_batch, data, mu, logvar).item()
    test_loss /= len(test_loader.dataset)
    print("====> Test set loss: {:.4f}".format(test_loss))


if __name__ == "__main__":
    for epoch in range(1, 5):
        train(epoch)
        test(epoch)
        with torch.no_grad():
            sample = model.decode(torch.randn(3, LATENT).to(device)).cpu()
            print("sample", sample.mean().item())
