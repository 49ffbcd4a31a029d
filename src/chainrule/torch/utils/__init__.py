"""`torch.utils`: data, checkpoints, TensorBoard."""

from chainrule.torch.adapter import names

__getattr__, __dir__ = names.facade(__name__)
