"""The vision transformer: a picture read as a sentence of patches."""

from __future__ import annotations

from chainrule import nn
from chainrule.errors import ArgumentError
from chainrule.ops.creation import zeros
from chainrule.ops.shape import cat
from chainrule.tensor import Tensor


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.dropout(self.attention(y, y, y, need_weights=False)[0])
        return x + self.dropout(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    """The picture is cut into patches; each becomes a token; a class token gathers the answer.

    Shapes: (N, in_channels, image_size, image_size) → (N, num_classes). A patch of `patch_size` ×
    `patch_size` pixels is mapped to `width` numbers by a convolution whose stride is its size.
    Dosovitskiy et al., "An image is worth 16×16 words" (2021); its ViT-B/16 is
    `VisionTransformer(224, 16, num_classes=1000)`.

    >>> import chainrule as cr
    >>> model = VisionTransformer(8, 2, in_channels=1, width=16, layers=2, heads=2)
    >>> model(cr.zeros(3, 1, 8, 8)).shape
    (3, 10)
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        dropout: float = 0.0,
    ) -> None:
        if image_size % patch_size:
            raise ArgumentError(
                "patches must cover the picture",
                given=f"image_size {image_size}, patch_size {patch_size}",
                expected="patch_size divides image_size",
            )
        patches = (image_size // patch_size) ** 2
        self.patches = nn.Conv2d(in_channels, width, patch_size, stride=patch_size)
        self.class_token = nn.Parameter(zeros(1, 1, width))
        self.positions = nn.Parameter(zeros(1, patches + 1, width))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.blocks = nn.Sequential(*[Block(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, num_classes)

    def forward(self, input: Tensor) -> Tensor:
        x = self.patches(input).flatten(2).transpose(1, 2)
        x = cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])
