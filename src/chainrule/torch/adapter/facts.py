"""Functions of `torch` that query or set something, and exist for compatibility only."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import grad_mode, settings
from chainrule.autograd import AnomalyDetector
from chainrule.engine import num_threads as get_num_threads
from chainrule.engine import set_num_threads as set_num_threads
from chainrule.errors import ArgumentError
from chainrule.primitive import supported
from chainrule.tensor import Tensor
from chainrule.torch.adapter import tensors
from chainrule.torch.adapter.dtypes import by_name, dtype, torch_dtype
from chainrule.torch.adapter.placement import CPU, device, require_cpu


def is_tensor(obj: Any) -> bool:
    """Whether something is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj: Any) -> bool:
    """Return False: there are no storages."""
    return False


def is_nonzero(input: Any) -> bool:
    """Whether the one number of a tensor is not 0."""
    return bool(input)


def typename(obj: Any) -> str:
    """The name of a tensor's type, or of another object's class."""
    if isinstance(obj, Tensor):
        return str(obj.type())  # type: ignore[attr-defined]
    kind = obj if isinstance(obj, type) else type(obj)
    home = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{home}{kind.__qualname__}"


# -- dtypes ------------------------------------------------------------------------------------


def get_default_dtype() -> dtype:
    """The dtype of Python floats and of new parameters: `torch.float32` at the start."""
    return torch_dtype(settings.get_default_dtype())


def set_default_dtype(d: Any) -> None:
    """Set the dtype of Python floats and of new parameters."""
    settings.set_default_dtype(np.dtype(d))


def set_default_tensor_type(t: Any) -> None:
    """Set the dtype of Python floats and of new parameters by the name of a type."""
    name = t if isinstance(t, str) else t.__name__
    require_cpu("cuda" if ".cuda." in name else None)
    set_default_dtype(tensors.dtype_of(name))


def promote_types(type1: Any, type2: Any) -> dtype:
    """The dtype of a result of operands with these dtypes."""
    first, second = np.dtype(type1), np.dtype(type2)
    floats = [d for d in (first, second) if d.kind == "f"]
    common = floats[0] if len(floats) == 1 else np.result_type(first, second)
    return torch_dtype(supported(common))


def can_cast(from_: Any, to: Any) -> bool:
    """Whether a dtype converts to another one implicitly. Floats do not convert to integers."""
    rank = {"b": 0, "u": 1, "i": 1, "f": 2}
    return rank[np.dtype(from_).kind] <= rank[np.dtype(to).kind]


class LegacyType(type):
    """The metaclass of `torch.FloatTensor` and the like, for calls and isinstance."""

    stored: Any

    def __call__(cls, *data: Any, device: Any = None) -> Tensor:
        require_cpu(device)
        return Tensor(tensors.legacy(data, cls.stored.name))

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance._data.dtype == cls.stored

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


def legacy_types() -> dict[str, LegacyType]:
    """`FloatTensor`, `LongTensor`, ...: PyTorch's legacy constructors."""
    return {
        name: LegacyType(name, (), {"stored": by_name(kind).stored, "__module__": "torch"})
        for name, kind in tensors.LEGACY.items()
    }


class layout(str):
    """How tensors lie in memory: `torch.strided`. It has no meaning here."""

    __repr__ = str.__str__


class memory_format(layout):
    """The order of dimensions in memory: `torch.contiguous_format`. It has no meaning here."""


# -- gradients ---------------------------------------------------------------------------------


def inference_mode(mode: Any = True) -> Any:
    """Disable gradients, as `no_grad`; with `mode=False` enable them."""
    if callable(mode):
        return grad_mode.no_grad(mode)
    return grad_mode.no_grad() if mode else grad_mode.enable_grad()


def is_inference_mode_enabled() -> bool:
    """Whether gradients are off."""
    return not settings.current().gradients


# -- the machine -------------------------------------------------------------------------------


def get_default_device() -> device:
    """The CPU."""
    return CPU


def set_default_device(device: Any) -> None:
    """Accept the CPU, the only device."""
    require_cpu(device)


get_num_interop_threads = get_num_threads


def set_num_interop_threads(n: int) -> None:
    """Do nothing: ops run one after the other."""


_PRECISIONS = ("highest", "high", "medium")


def set_float32_matmul_precision(precision: str) -> None:
    """Do nothing: products of float32 have full precision."""
    if precision not in _PRECISIONS:
        raise ArgumentError("unknown precision", given=precision, expected=", ".join(_PRECISIONS))


def get_float32_matmul_precision() -> str:
    """Return "highest": products of float32 have full precision."""
    return "highest"


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Do nothing: all computations are deterministic."""


def are_deterministic_algorithms_enabled() -> bool:
    """Return True: all computations are deterministic."""
    return True


def set_deterministic_debug_mode(debug_mode: Any) -> None:
    """Do nothing: all computations are deterministic."""


def get_deterministic_debug_mode() -> int:
    """Return 0, PyTorch's default: nothing warns."""
    return 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Return False: nothing warns."""
    return False


def set_warn_always(b: bool) -> None:
    """Do nothing: warnings are those of Python's `warnings`."""


is_warn_always_enabled = is_vulkan_available = is_deterministic_algorithms_warn_only_enabled


def is_anomaly_enabled() -> bool:
    """Whether NaN and infinity raise an error."""
    return isinstance(settings.current().interpreter, AnomalyDetector)


is_anomaly_check_nan_enabled = is_anomaly_enabled


def is_distributed(input: Tensor) -> bool:
    """Return False: there is one process."""
    return False


def set_flush_denormal(mode: bool) -> bool:
    """Return False: subnormal numbers are kept."""
    return False


__all__ = [
    "are_deterministic_algorithms_enabled",
    "can_cast",
    "get_default_device",
    "get_default_dtype",
    "get_deterministic_debug_mode",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_distributed",
    "is_inference_mode_enabled",
    "is_nonzero",
    "is_storage",
    "is_tensor",
    "is_vulkan_available",
    "is_warn_always_enabled",
    "layout",
    "memory_format",
    "promote_types",
    "set_default_device",
    "set_default_dtype",
    "set_default_tensor_type",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
    "set_num_threads",
    "set_warn_always",
    "typename",
    "use_deterministic_algorithms",
]
