"""The parts of `torchvision` that tutorials use: `datasets`, `transforms`, `utils`.

Pictures are Pillow's (the extra `images`) or tensors (C, H, W). Random transforms draw from the
default generator, so `torch.manual_seed` fixes them.
"""

from chainrule.torch.adapter import names
from chainrule.torch.version import __version__ as __version__

__getattr__, __dir__ = names.facade(__name__)
