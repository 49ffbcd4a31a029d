"""A recipe of training: groups of parameters, averaged weights, a custom function, checkpoints."""

import argparse
import copy
import math
import os
import random
import tempfile
from collections import OrderedDict, defaultdict

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor, optim
from torch.cuda.amp import GradScaler, autocast
from torch.nn import Parameter
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Dataset, random_split

torch.backends.cudnn.benchmark = True
torch.backends.cudnn.deterministic = False
torch.set_default_dtype(torch.float32)
torch.autograd.set_detect_anomaly(False)


def set_seed(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)
    torch.cuda.manual_seed_all(s)


set_seed(1)
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=1e-2)
parser.add_argument("--no-cuda", action="store_true", default=False)
args = parser.parse_args()
use_cuda = not args.no_cuda and torch.cuda.is_available()
device = torch.device("cuda" if use_cuda else "cpu")
kwargs = {"num_workers": 0, "pin_memory": True} if use_cuda else {}


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, i):
        result = i * torch.sigmoid(i)
        ctx.save_for_backward(i)
        return result

    @staticmethod
    def backward(ctx, grad_output):
        (i,) = ctx.saved_tensors
        s = torch.sigmoid(i)
        return grad_output * (s * (1 + i * (1 - s)))


@torch.jit.script
def fused_gelu(x):
    return x * 0.5 * (1.0 + torch.erf(x / 1.41421))


class Pos(nn.Module):
    def __init__(self, d, max_len=32):
        super().__init__()
        pe = torch.zeros(max_len, d)
        position = torch.arange(0, max_len, dtype=torch.float).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d, 2).float() * (-math.log(10000.0) / d))
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe.unsqueeze(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pe[:, : x.size(1)].requires_grad_(False)


class Net(nn.Module):
    def __init__(self, d=16, n=3):
        super().__init__()
        self.inp = nn.Linear(8, d)
        self.pos = Pos(d)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"n": nn.LayerNorm(d), "l": nn.Linear(d, d)}) for _ in range(n)
        )
        self.scale = Parameter(torch.ones(1))
        self.bn = nn.BatchNorm1d(d)
        self.out = nn.Linear(d, 3)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.trunc_normal_(m.weight, std=0.02)
                if m.bias is not None:
                    nn.init.constant_(m.bias, 0)
            elif isinstance(m, (nn.LayerNorm, _BatchNorm)):
                nn.init.ones_(m.weight)
                nn.init.zeros_(m.bias)
        for name, p in self.named_parameters():
            if name.endswith("l.weight"):
                nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * n))

    def forward(self, x, mask: Tensor | None = None):
        x = self.pos(self.inp(x))
        for i, b in enumerate(self.blocks):
            h = b["l"](b["n"](x))
            x = x + (Swish.apply(h) if i % 2 else fused_gelu(h)) * self.scale
        x = x.mean(dim=1)
        return self.out(self.bn(x))


class Toy(Dataset):
    def __init__(self, n=96):
        g = torch.Generator().manual_seed(0)
        self.x = torch.randn(n, 5, 8, generator=g)
        self.y = (self.x.sum((1, 2)) > 0).long() + (self.x[:, 0, 0] > 1).long()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return {"x": self.x[i], "y": self.y[i], "i": i}


full = Toy()
tr, va = random_split(full, [80, 16], generator=torch.Generator().manual_seed(42))
loader = DataLoader(tr, batch_size=16, shuffle=True, drop_last=True, **kwargs)
model = Net().to(device)
if torch.cuda.device_count() > 1:
    model = nn.DataParallel(model)
model = nn.DataParallel(model)
print(sum(p.numel() for p in model.parameters() if p.requires_grad))
decay = [p for n, p in model.named_parameters() if p.dim() >= 2]
no_decay = [p for n, p in model.named_parameters() if p.dim() < 2]
opt = optim.AdamW(
    [{"params": decay, "weight_decay": 0.1}, {"params": no_decay, "weight_decay": 0.0}],
    lr=args.lr,
    betas=(0.9, 0.95),
)
sched = OneCycleLR(opt, max_lr=args.lr, total_steps=20)
scaler = GradScaler(enabled=use_cuda)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1).to(device)
ema = copy.deepcopy(model)
for p in ema.parameters():
    p.requires_grad_(False)


@torch.no_grad()
def update(ema, model, decay=0.9):
    for e, m in zip(ema.state_dict().values(), model.state_dict().values(), strict=False):
        if e.dtype.is_floating_point:
            e.mul_(decay).add_(m.detach(), alpha=1 - decay)


@torch.inference_mode()
def evaluate(net):
    net.eval()
    correct = 0
    losses = []
    for b in DataLoader(va, batch_size=8):
        o = net(b["x"].to(device, non_blocking=True))
        losses.append(criterion(o, b["y"].to(device)).item())
        correct += (
            o.argmax(dim=1, keepdim=True)
            .eq(b["y"].view_as(o.argmax(dim=1, keepdim=True)))
            .sum()
            .item()
        )
    net.train()
    return np.mean(losses), correct / len(va)


hist = defaultdict(list)
step = 0
for epoch in range(4):
    for _it, batch in enumerate(loader):
        x, y = batch["x"].to(device), batch["y"].to(device)
        opt.zero_grad(set_to_none=True)
        with autocast(enabled=use_cuda):
            loss = criterion(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(opt)
        gn = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(opt)
        scaler.update()
        sched.step()
        update(ema, model)
        hist["loss"].append(loss.item())
        step += 1
    print(f"epoch {epoch} loss {loss.item():.4f} gn {gn:.4f} lr {sched.get_last_lr()[0]:.6f}")
print("val {:.4f} {:.3f}".format(*evaluate(model)), "ema {:.4f} {:.3f}".format(*evaluate(ema)))
with tempfile.TemporaryDirectory() as d:
    path = os.path.join(d, "ck.pt")
    torch.save(
        {
            "epoch": epoch,
            "model": model.module.state_dict(),
            "opt": opt.state_dict(),
            "sched": sched.state_dict(),
            "args": vars(args),
            "rng": torch.get_rng_state(),
        },
        path,
    )
    ck = torch.load(path, map_location=device, weights_only=False)
sd = OrderedDict((k.replace("module.", ""), v) for k, v in model.state_dict().items())
net2 = Net()
print(net2.load_state_dict(ck["model"]), [k for k in sd][:3], ck["epoch"], ck["args"])
missing = net2.load_state_dict({k: v for k, v in sd.items() if "out" not in k}, strict=False)
print(missing.missing_keys, missing.unexpected_keys)
opt.load_state_dict(ck["opt"])
print("{:.4f} {:.3f}".format(*evaluate(net2)))
net2.out = nn.Linear(16, 5)
for n, p in net2.named_parameters():
    p.requires_grad = n.startswith("out")
print([n for n, p in net2.named_parameters() if p.requires_grad])
print(net2)
print(torch.stack([p.detach().norm() for p in model.parameters()]).norm())
