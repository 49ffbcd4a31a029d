"""Generators draw the random numbers of PyTorch on a CPU.

After `torch.manual_seed(0)`, layers have PyTorch's initial weights, loaders use PyTorch's order,
dropout drops the same elements, and distributions have PyTorch's samples (where PyTorch does not
call Intel's library).
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.ops.random import Generator, default_generator
from chainrule.ops.shape import sizes
from chainrule.settings import current, use
from chainrule.tensor import Tensor, from_numpy
from chainrule.torch.adapter.attributes import add, add_all, teach
from chainrule.torch.adapter.placement import CPU, require_cpu
from chainrule.torch.adapter.twister import SIZE, mersenne_twister, seeded

_DEFAULT_SEED = 67280421310721
_INTEGERS = np.dtype(np.int64)
_OWN = {n: getattr(Generator, n) for n in ("_draw", "integers", "log_normal", "permutation")}


class GeneratorAttributes:
    """The draws of generators while PyTorch's attributes are active."""

    def __init__(self: Any, device: Any = None, seed: int = _DEFAULT_SEED) -> None:
        require_cpu(None if isinstance(device, int) else device)
        seed = device if isinstance(device, int) else seed
        self.state = from_numpy(seeded(operator.index(seed)))

    def manual_seed(self: Any, seed: int) -> Any:
        """Restart the stream with a seed."""
        seed = operator.index(seed)
        if not -(2**63) <= seed < 2**64:
            raise ArgumentError("a seed is an integer of 64 bits", given=seed)
        self.state = from_numpy(seeded(seed)) if _is_own(self) else self.state.assign(seeded(seed))
        return self

    def _draw(self: Any, draw: str, shape: Any, dtype: Any, *parameters: Tensor) -> Tensor:
        """Numbers of a distribution, and the state moved past those that were used for them."""
        if _is_own(self):
            return _OWN["_draw"](self, draw, shape, dtype, *parameters)
        return _run(self, draw, shape, np.dtype(dtype or current().default_dtype), *parameters)

    def integers(self: Any, low: int, high: int, shape: Any) -> Tensor:
        """Integers of {low, …, high − 1}."""
        if not 0 < high - low < 2**64:
            raise ArgumentError("the range holds no integer", given=f"{low} … {high - 1}")
        if _is_own(self):
            return _OWN["integers"](self, low, high, shape)
        return _run(self, "integers", tuple(shape), _INTEGERS, limits=(int(low), int(high)))

    def permutation(self: Any, n: int) -> Tensor:
        """The numbers 0 … n − 1 in random order."""
        return (
            _OWN["permutation"](self, n)
            if _is_own(self)
            else _run(self, "permutation", (n,), _INTEGERS)
        )

    def log_normal(self: Any, mean: float, std: float, *shape: Any) -> Tensor:
        """exp of N(mean, std²), of a shape, from normal numbers drawn one after the other."""
        if _is_own(self):
            return _OWN["log_normal"](self, mean, std, *shape)
        z = _run(self, "one_normal", sizes(shape), np.dtype(np.float64))
        return (z * std + mean).exp()

    def bernoulli(self: Any, p: float, *shape: Any) -> Tensor:
        """True with probability p, of a shape."""
        return self.uniform(*shape, dtype=np.float64) < p

    device = property(lambda self: CPU)

    def clone_state(self: Any) -> Any:
        """A generator of its own that continues from the same state."""
        copied = type(self)()
        copied.set_state(self.state)
        return copied

    def get_state(self: Any) -> Tensor:
        """The state, as a tensor that `set_state` takes."""
        return self.state.detach().clone()

    def set_state(self: Any, new_state: Tensor) -> None:
        """Continue from a state that `get_state` returned."""
        self.state.assign(new_state)

    def initial_seed(self: Any) -> int:
        """The seed of the stream."""
        return int(np.int64(self.state[-1].item()).astype(np.uint64))

    def seed(self: Any) -> int:
        """Reseed with a number from the operating system."""
        seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        self.manual_seed(seed)
        return seed


def _is_own(generator: Any) -> bool:
    """Whether a generator still has the state of the package's own generator."""
    return bool(generator.state._data.shape != (SIZE,))


def _run(
    generator: Any, draw: str, shape: Any, dtype: Any, *parameters: Tensor, limits: Any = ()
) -> Tensor:
    with use(gradients=False):
        y, state = mersenne_twister(
            generator.state, *parameters, draw=draw, shape=shape, dtype=dtype, limits=limits
        )
        generator.state.assign(state)
    return y


def install() -> None:
    """Make generators draw PyTorch's numbers. The default generator starts from the seed 0."""
    add_all(Generator, GeneratorAttributes)
    add(default_generator, "state", from_numpy(seeded(0)))
    teach(Generator, "torch.Generator")
