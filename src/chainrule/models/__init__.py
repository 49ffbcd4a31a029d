"""Well-known models, each in one file that can be read on its own.

`mlp`, `lenet`, `vgg`, `resnet`, `vit` classify; `unet` labels each pixel; `autoencoder` and `vae`
compress; `char_rnn` and `gpt` continue a text.
"""

from chainrule.models.autoencoder import Autoencoder
from chainrule.models.char_rnn import CharRNN
from chainrule.models.gpt import GPT
from chainrule.models.lenet import LeNet5
from chainrule.models.mlp import MLP
from chainrule.models.resnet import (
    BasicBlock,
    Bottleneck,
    ResNet,
    resnet18,
    resnet20,
    resnet34,
    resnet50,
    resnet56,
)
from chainrule.models.unet import UNet
from chainrule.models.vae import VAE
from chainrule.models.vgg import VGG, vgg11, vgg13, vgg16, vgg19
from chainrule.models.vit import VisionTransformer

__all__ = [
    "GPT",
    "MLP",
    "VAE",
    "VGG",
    "Autoencoder",
    "BasicBlock",
    "Bottleneck",
    "CharRNN",
    "LeNet5",
    "ResNet",
    "UNet",
    "VisionTransformer",
    "resnet18",
    "resnet20",
    "resnet34",
    "resnet50",
    "resnet56",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
]
