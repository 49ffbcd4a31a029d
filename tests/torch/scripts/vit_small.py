"""A small vision transformer: patches by convolution, a class token, multi-head attention."""

import torch
from torch import nn


class PatchEmbedding(nn.Module):
    def __init__(self, image_size=12, patch=4, channels=3, dim=24):
        super().__init__()
        self.n = (image_size // patch) ** 2
        self.proj = nn.Conv2d(channels, dim, kernel_size=patch, stride=patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos = nn.Parameter(torch.randn(1, self.n + 1, dim) * 0.02)

    def forward(self, x):
        x = self.proj(x).flatten(2).transpose(1, 2)
        cls = self.cls.expand(x.shape[0], -1, -1)
        return torch.cat([cls, x], dim=1) + self.pos


class Encoder(nn.Module):
    def __init__(self, dim, heads, mlp_ratio=2, dropout=0.0):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, heads, dropout=dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, dim * mlp_ratio),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(dim * mlp_ratio, dim),
        )

    def forward(self, x):
        h = self.norm1(x)
        h, weights = self.attn(h, h, h, need_weights=True)
        x = x + h
        return x + self.mlp(self.norm2(x)), weights


class ViT(nn.Module):
    def __init__(self, classes=3, dim=24, depth=2, heads=4):
        super().__init__()
        self.embed = PatchEmbedding(dim=dim)
        self.blocks = nn.ModuleList([Encoder(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x, weights = block(x)
        return self.head(self.norm(x)[:, 0]), weights


def stripes(n):
    """Images whose stripes run along rows, columns, or nowhere."""
    label = torch.randint(3, (n,))
    wave = torch.sin(torch.arange(12) * 1.5)
    rows = wave.view(1, 1, 12, 1).expand(n, 3, 12, 12)
    columns = wave.view(1, 1, 1, 12).expand(n, 3, 12, 12)
    pick = label.view(n, 1, 1, 1)
    clean = torch.where(pick == 0, rows, torch.where(pick == 1, columns, torch.zeros(1)))
    return clean + 0.3 * torch.randn(n, 3, 12, 12), label


def main():
    torch.manual_seed(42)
    model = ViT()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    x, y = stripes(64)
    test_x, test_y = stripes(32)
    for step in range(12):
        model.train()
        ids = torch.randperm(64)[:24]
        logits, weights = model(x[ids])
        loss = criterion(logits, y[ids])
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        scheduler.step()
        if step % 3 == 2:
            model.eval()
            with torch.inference_mode():
                logits, weights = model(test_x)
                accuracy = (logits.argmax(1) == test_y).float().mean()
            print(f"step {step} loss {loss:.5f} norm {norm:.4f} accuracy {accuracy:.3f}")
    print(weights.shape, weights.sum(-1).mean().item())


if __name__ == "__main__":
    main()
