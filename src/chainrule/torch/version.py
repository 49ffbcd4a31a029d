"""`torch.version`: the version of PyTorch whose names are used, and no GPU libraries."""

from importlib.metadata import PackageNotFoundError, version

try:
    _own = version("chainrule")
except PackageNotFoundError:
    _own = "0"

__version__ = f"2.13.0+chainrule.{_own}"
cuda = hip = xpu = git_version = None
debug = False
