"""Weights that Keras has saved, for models of the same layers. Needs the extra `keras` (h5py)."""

from chainrule.errors import missing_dependency

try:
    import h5py as _h5py  # noqa: F401
except ImportError as error:
    raise missing_dependency("h5py", "keras", "reading files of Keras") from error

from chainrule.formats.keras.matching import load_weights
from chainrule.formats.keras.reading import read

__all__ = ["load_weights", "read"]
