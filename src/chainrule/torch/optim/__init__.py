"""`torch.optim`: the package's optimizers."""

from chainrule.torch.adapter import names

__getattr__, __dir__ = names.facade(__name__)
