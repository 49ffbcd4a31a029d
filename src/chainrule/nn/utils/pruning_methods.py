"""Pruning methods: which elements of a parameter are pruned.

A pruned parameter `weight` is `weight_orig·weight_mask`, a parameter and a buffer of the module.
Pruning a parameter again prunes what is left of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from chainrule.nn import computed
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops.creation import ones_like, zeros_like
from chainrule.ops.order import topk
from chainrule.ops.random import default_generator
from chainrule.ops.statistics import kthvalue
from chainrule.settings import use
from chainrule.tensor import Tensor


class BasePruningMethod(computed.Computed):
    """Base class of pruning methods: subclass it and define `compute_mask`.

    PRUNING_TYPE: "unstructured", where elements are pruned, "structured", where whole slices along
    `self.dim` are, or "global".
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name: str

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask: 0 for what is pruned, else `default_mask`. t has the importance of elements."""

    def compute(self, module: Any) -> Tensor:
        return self.apply_mask(module)

    def apply_mask(self, module: Any) -> Tensor:
        """The pruned tensor."""
        original = getattr(module, f"{self._tensor_name}_orig")
        mask: Tensor = getattr(module, f"{self._tensor_name}_mask")
        return mask.to(original.dtype) * original

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> BasePruningMethod:
        """Prune a parameter by the method `cls(*args, **kwargs)`, which is returned.

        The least important elements are pruned, by `importance_scores`, or by the parameter itself.
        Of a pruned parameter, the result is a PruningContainer. Raises ShapeError for scores of
        another shape, UnknownNameError if there is no such parameter.
        """
        method = cls(*args, **kwargs)
        method._tensor_name = name
        earlier = module._computed.get(name)
        if isinstance(earlier, BasePruningMethod):
            return _prune_further(module, name, earlier, method, importance_scores)
        original = computed.own_tensor(module, name)
        with use(gradients=False):
            scores = _scores(original.detach(), importance_scores)
            mask = method.compute_mask(scores, ones_like(scores))
        computed.replace(module, name, method)
        part = original if isinstance(original, Parameter) else Parameter(original, False)
        module.register_parameter(f"{name}_orig", part)
        module.register_buffer(f"{name}_mask", mask)
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """A tensor times its mask."""
        mask = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(_scores(t, importance_scores), mask)

    def remove(self, module: Module) -> None:
        """Make the pruned tensor a parameter again; what is pruned stays 0."""
        name = self._tensor_name
        original = getattr(module, f"{name}_orig")
        with use(gradients=False):
            original.assign(self.apply_mask(module))
        for part in ("orig", "mask"):
            delattr(module, f"{name}_{part}")
        computed.restore(module, name, original)


def _scores(t: Tensor, given: Tensor | None) -> Tensor:
    """The importance of the elements of a tensor."""
    if given is not None and given.shape != t.shape:
        raise ShapeError("a score for each element", given=given.shape, expected=t.shape)
    return t if given is None else given


def _prune_further(
    module: Module,
    name: str,
    earlier: BasePruningMethod,
    method: BasePruningMethod,
    scores: Tensor | None,
) -> PruningContainer:
    several = isinstance(earlier, PruningContainer)
    container = earlier if isinstance(earlier, PruningContainer) else PruningContainer(earlier)
    if not several:
        container._tensor_name = name
    container.add_pruning_method(method)
    mask: Tensor = getattr(module, f"{name}_mask")
    with use(gradients=False):
        t = _scores(getattr(module, name).detach(), scores)
        new = container.compute_mask(t, mask.detach().clone())
    computed.replace(module, name, container)
    module.register_buffer(f"{name}_mask", new)
    return container


class PruningContainer(BasePruningMethod):
    """Pruning methods of one parameter, in the order in which they were applied.

    >>> from chainrule import nn
    >>> layer = nn.Linear(4, 4)
    >>> methods = [L1Unstructured.apply(layer, "weight", amount=4) for _ in range(2)]
    >>> len(methods[-1]), (layer.weight_mask == 0).sum().item()
    (2, 8)
    """

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if args:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Add a method. Raises ArgumentError for one of another parameter."""
        if not isinstance(method, BasePruningMethod):
            raise DTypeError("a container has pruning methods", given=type(method).__name__)
        if method._tensor_name != self._tensor_name:
            raise ArgumentError(
                "the method is of another parameter",
                given=method._tensor_name,
                expected=self._tensor_name,
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of the last method, of what is not pruned yet."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(t.dtype)
        left: Any = (...,)
        if method.PRUNING_TYPE == "unstructured":
            left = mask == 1
        elif method.PRUNING_TYPE == "structured":
            dim = _checked_dim(t, method.dim)  # type: ignore[attr-defined]
            others = [d for d in range(t.ndim) if d != dim]
            left = (*[slice(None)] * dim, mask.sum(others) != 0)
        elif method.PRUNING_TYPE != "global":
            raise ArgumentError("unknown PRUNING_TYPE", given=repr(method.PRUNING_TYPE))
        mask[left] = method.compute_mask(t[left], mask[left]).to(mask.dtype)
        return mask


class Identity(BasePruningMethod):
    """Prunes nothing, and makes a parameter a pruned one."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class _Amount(BasePruningMethod):
    """Base class of methods that prune an amount: a number of elements, or a share in [0, 1]."""

    def __init__(self, amount: float) -> None:
        self.amount = _checked_amount(amount)

    def count(self, size: int) -> int:
        """How many of `size` elements are pruned."""
        n = self.amount if isinstance(self.amount, int) else round(self.amount * size)
        if n > size:
            raise ArgumentError("more would be pruned than there is", given=n, expected=f"≤ {size}")
        return n


class L1Unstructured(_Amount):
    """Prunes the elements of least size."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return _without(default_mask, t.abs().flatten(), self.count(t.numel()), largest=False)


class RandomUnstructured(_Amount):
    """Prunes elements at random."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        draw = default_generator.uniform(t.shape, dtype=t.dtype).flatten()
        return _without(default_mask, draw, self.count(t.numel()), largest=True)


class RandomStructured(_Amount):
    """Prunes slices along a dimension at random."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        dim = _checked_dim(t, self.dim)
        n = self.count(t.shape[dim])
        if n == 0:
            return default_mask
        draw = default_generator.uniform(t.shape[dim])
        return _kept_slices(default_mask, dim, draw > kthvalue(draw, n).values)


class LnStructured(_Amount):
    """Prunes the slices along a dimension that have the least n-norm."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, n: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.n, self.dim = n, dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        dim = _checked_dim(t, self.dim)
        n = self.count(t.shape[dim])
        if n == 0:
            return default_mask
        norms = t.norm(self.n, [d for d in range(t.ndim) if d != dim])
        best = topk(norms, t.shape[dim] - n).indices
        kept = zeros_like(norms).scatter(0, best, 1.0) > 0
        return _kept_slices(default_mask, dim, kept)


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is 0."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if self.mask.shape != default_mask.shape:
            raise ShapeError(
                "a mask has the shape of its parameter",
                given=self.mask.shape,
                expected=default_mask.shape,
            )
        return default_mask * self.mask.to(default_mask.dtype)


def _without(mask: Tensor, importance: Tensor, n: int, largest: bool) -> Tensor:
    """The mask, with 0 at the n largest or smallest of the flat importance."""
    if n == 0:
        return mask.clone()
    pruned = topk(importance, n, largest=largest).indices
    return mask.flatten().index_fill(0, pruned, 0.0).reshape(mask.shape)


def _kept_slices(mask: Tensor, dim: int, kept: Tensor) -> Tensor:
    shape = [-1 if d == dim else 1 for d in range(mask.ndim)]
    return mask * kept.to(mask.dtype).reshape(shape)


def _checked_amount(amount: Any) -> Any:
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise DTypeError("an amount is a number", given=type(amount).__name__)
    if amount < 0 or (isinstance(amount, float) and not amount <= 1):
        raise ArgumentError("an amount is a share in [0, 1], or a number of elements", given=amount)
    return amount


def _checked_dim(t: Tensor, dim: int) -> int:
    if t.ndim < 2:
        raise ShapeError("slices are pruned of tensors of two dimensions or more", given=t.shape)
    if not -t.ndim <= dim < t.ndim:
        raise OutOfRangeError(f"{dim} is no dimension of the tensor", given=t.shape)
    return dim % t.ndim
