"""`torch.amp` on the CPU: all computations run in float32, without casts.

A gradient scaler for the CPU scales and adapts as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ContextDecorator
from typing import Any

from chainrule import tree
from chainrule.errors import ArgumentError
from chainrule.settings import use
from chainrule.torch.adapter import names
from chainrule.torch.adapter.dtypes import by_name, stored
from chainrule.torch.adapter.placement import device


class autocast(ContextDecorator):
    """A `with` block that has no effect: half precision is not faster on the CPU.

    >>> with autocast("cpu", enabled=False):
    ...     pass
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        self.device = device(device_type).type
        self.fast_dtype = by_name("bfloat16") if dtype is None else dtype
        if enabled and self.device == "cpu":
            stored(self.fast_dtype)  # warns once that bfloat16 is stored as float32

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def custom_fwd(fwd: Any = None, *, device_type: str = "cpu", cast_inputs: Any = None) -> Any:
    """Return the function: there are no casts."""
    return fwd if fwd is not None else lambda function: function


custom_bwd = custom_fwd


def is_autocast_available(device_type: str) -> bool:
    """Return False: all computations run in float32."""
    return False


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Return False: all computations run in float32."""
    return False


def get_autocast_dtype(device_type: str) -> Any:
    """PyTorch's dtype of the casts that are not made here."""
    return by_name("bfloat16" if device_type == "cpu" else "float16")


def is_autocast_cache_enabled() -> bool:
    """Return True, PyTorch's default."""
    return True


def clear_autocast_cache(*setting: Any) -> None:
    """Do nothing: there are no casts."""


set_autocast_enabled = set_autocast_dtype = set_autocast_cache_enabled = clear_autocast_cache


class GradScaler:
    """Scales a loss, so that small gradients of float16 do not become 0, and unscales the
    gradients.

    Call `scale(loss).backward()`, then `step(optimizer)`, which skips the update if a gradient is
    not finite, then `update()`. For an absent device the scale is 1.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if growth_factor <= 1 or not 0 < backoff_factor < 1:
            raise ArgumentError(
                "a scale grows and shrinks",
                given=f"{growth_factor} and {backoff_factor}",
                expected="growth_factor > 1, backoff_factor < 1",
            )
        self._enabled = enabled and device == "cpu"
        self._scale = init_scale if self._enabled else 1.0
        self._growth, self._backoff = growth_factor, backoff_factor
        self._interval, self._good_steps = growth_interval, 0
        self._unscaled: dict[int, bool] = {}

    def scale(self, outputs: Any) -> Any:
        """Multiply the outputs, which may be nested, by the scale."""
        if not self._enabled:
            return outputs
        return tree.map_leaves(lambda y: y * self._scale, outputs)

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, before clipping them."""
        if not self._enabled:
            return
        if id(optimizer) in self._unscaled:
            raise ArgumentError("unscale_() was called for this optimizer since the last update()")
        finite = True
        with use(gradients=False):
            for parameter in (p for g in optimizer.param_groups for p in g["params"]):
                gradient = parameter.grad
                if gradient is not None:
                    parameter.grad = gradient * (1 / self._scale)
                    finite = finite and bool((gradient * 0 == 0).all())
        self._unscaled[id(optimizer)] = finite

    def step(self, optimizer: Any, *args: Any, **keywords: Any) -> Any:
        """`optimizer.step()`, unless a gradient is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **keywords)
        if id(optimizer) not in self._unscaled:
            self.unscale_(optimizer)
        return optimizer.step(*args, **keywords) if self._unscaled[id(optimizer)] else None

    def update(self, new_scale: Any = None) -> None:
        """Reduce the scale after a gradient that was not finite. Increase it after many finite
        ones."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not all(self._unscaled.values()):
            self._scale *= self._backoff
            self._good_steps = 0
        else:
            self._good_steps += 1
            if self._good_steps == self._interval:
                self._scale *= self._growth
                self._good_steps = 0
        self._unscaled.clear()

    def get_scale(self) -> float:
        """The factor of losses."""
        return self._scale

    def get_growth_factor(self) -> float:
        """The factor by which the scale grows."""
        return self._growth

    def set_growth_factor(self, new_factor: float) -> None:
        """Set the factor by which the scale grows."""
        self._growth = new_factor

    def get_backoff_factor(self) -> float:
        """The factor by which the scale shrinks."""
        return self._backoff

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set the factor by which the scale shrinks."""
        self._backoff = new_factor

    def get_growth_interval(self) -> int:
        """After how many finite steps the scale grows."""
        return self._interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many finite steps the scale grows."""
        self._interval = new_interval

    def is_enabled(self) -> bool:
        """Whether the scaler is enabled."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The state for `load_state_dict`. It is empty if the scaler is disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth,
            "backoff_factor": self._backoff,
            "growth_interval": self._interval,
            "_growth_tracker": self._good_steps,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue with the scale of an earlier run."""
        if not self._enabled:
            return
        self._scale, self._growth = state_dict["scale"], state_dict["growth_factor"]
        self._backoff, self._interval = state_dict["backoff_factor"], state_dict["growth_interval"]
        self._good_steps = state_dict["_growth_tracker"]


__getattr__, __dir__ = names.facade(__name__)
