"""Models as ONNX files. Needs the extra `onnx`."""

from chainrule.errors import missing_dependency

try:
    import onnx as _onnx  # noqa: F401
except ImportError as error:
    raise missing_dependency("onnx", "onnx", "ONNX") from error

from chainrule.formats.onnx.export import export
from chainrule.formats.onnx.module import load

__all__ = ["export", "load"]
