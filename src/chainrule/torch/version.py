"""`torch.version`: whose names these are, and that there is no GPU."""

from importlib.metadata import PackageNotFoundError, version

try:
    _own = version("chainrule")
except PackageNotFoundError:
    _own = "0"

__version__ = f"2.13.0+chainrule.{_own}"
cuda = hip = xpu = git_version = None
debug = False
