"""The Tensor: an array, how it was computed, and the one way to change it.

`assign` replaces the array of a tensor and never changes an array in place. So the values saved on
the tape and the arrays returned by `.numpy()` keep their numbers, and a capture records every
write. A compiled step writes in place only into an array to which no other reference exists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any
from weakref import ref

import numpy as np

from chainrule import aliases, tape
from chainrule.conversion import Conversion
from chainrule.engine import shortcut
from chainrule.errors import CaptureError, DTypeError, GradientError, ShapeError
from chainrule.graph import StandIn
from chainrule.handles import RemovableHandle
from chainrule.interpreters import top, unrecorded
from chainrule.methods import Methods
from chainrule.primitive import SCALARS, Array, DType, Shape, Spec, array_of, supported
from chainrule.settings import current, not_here, use

Scalar = bool | int | float


class Tensor(Conversion, Methods):
    """An n-dimensional array of one dtype that records how it was computed.

    Tensors are made by `cr.tensor`, `cr.zeros`, ... and by ops. `requires_grad=True` marks a tensor
    to differentiate by: after `loss.backward()`, `x.grad` is ∂loss/∂x, in the shape and dtype of x.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4., 6.])
    """

    __slots__ = (
        "__weakref__",
        "_alias",
        "_data",
        "_grad",
        "_hooks",
        "_node",
        "_output",
        "_requires_grad",
        "_version",
        "_written",
    )
    __array_ufunc__ = None  # `array + tensor` calls the tensor's method, whose error explains.

    _data: Any
    _node: tape.Node | None
    _hooks: list[Callable[[Tensor], Tensor | None]] | None
    _written: tape.Place | None
    _alias: aliases.Alias | None

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if not isinstance(data, (np.ndarray, StandIn)):
            raise DTypeError(
                "a Tensor is made around a NumPy array",
                given=type(data).__name__,
                instead="Use cr.tensor(x).",
            )
        self._data = top().adopt(self, data)
        self._grad: Tensor | None = None
        self._node = None
        self._output = 0
        self._version = 0
        self._hooks = None
        self._written = None
        self._alias = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

    # -- what it is ----------------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        """The size of each dimension."""
        return self._data.shape

    @property
    def dtype(self) -> DType:
        """The element type, a NumPy dtype."""
        return self._data.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._data.shape)

    @property
    def spec(self) -> Spec:
        """The shape and dtype."""
        return Spec(self._data.shape, self._data.dtype)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op computed this tensor."""
        return self._node is None

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are computed for this tensor."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.dtype.kind != "f":
            raise DTypeError(
                "only floating tensors can require gradients",
                given=self.dtype,
                instead="Convert first: x.float().requires_grad_().",
            )
        if not value and self._node is not None:
            raise GradientError(
                "a computed tensor cannot stop requiring gradients", instead="Use x.detach()."
            )
        self._requires_grad = bool(value)
        if value:
            aliases.mark_own(self)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` and return the tensor."""
        self.requires_grad = requires_grad
        return self

    def __copy__(self) -> Tensor:
        if self._node is not None:
            raise GradientError("a computed tensor cannot be copied", instead="Use x.detach().")
        copied = type(self).__new__(type(self))
        Tensor.__init__(copied, self._numbers("copy"), self._requires_grad)
        getattr(copied, "__dict__", {}).update(getattr(self, "__dict__", {}))
        aliases.pair(self, copied)
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise GradientError(
                "a computed tensor cannot be deep-copied", instead="Use x.detach().clone()."
            )
        copied = type(self).__new__(type(self))
        Tensor.__init__(copied, self._numbers("deepcopy").copy(), self._requires_grad)
        memo[id(self)] = copied
        aliases.share_copies(self, copied, memo)
        copied._grad = deepcopy(self._grad, memo)
        for name, value in getattr(self, "__dict__", {}).items():
            setattr(copied, name, deepcopy(value, memo))
        return copied

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickle the numbers, the gradient and attributes, but no hooks: for other processes."""
        if self._node is not None:
            raise GradientError("a computed tensor cannot be pickled", instead="Use x.detach().")
        attributes = getattr(self, "__dict__", {})
        numbers = self._numbers("pickle")
        return _unpickled, (type(self), numbers, self._requires_grad, self._grad, attributes)

    # -- state ---------------------------------------------------------------------------------

    def assign(self, value: Tensor | Array | Scalar) -> Tensor:
        """Replace the numbers of this tensor, and return it. No other function changes state.

        `value` has the same shape and dtype, or is a number that fills the tensor. The write
        reaches all tensors that share these numbers: the base of a view, views, and tensors from
        `detach()`. Raises GradientError for a leaf that requires gradients outside `cr.no_grad()`.
        """
        new = _fitting(self, value)
        aliases.check_writable(self)
        if current().gradients and (new.is_leaf if new._requires_grad else self._requires_grad):
            new = self.index_put(..., new)  # recorded, so that the old value gets the gradient 0
        self._take(new)
        if self._alias is not None:
            aliases.spread(self)
        return self

    def _take(self, new: Tensor) -> None:
        """Take over the data of another tensor and, while gradients are recorded, its node."""
        self._written = tape.caller()
        self._version += 1
        top().write(self, new)
        if current().gradients and (new._requires_grad or self._node is not None):
            self._node, self._output = new._node, new._output
            self._requires_grad = new._requires_grad

    def _put(self, data: Array) -> None:
        """Replace the array, which is never changed in place. The order of dimensions in memory
        stays, since it decides which reshapes are views."""
        if self._alias is None or self._alias.base is None:
            if self._data.flags.c_contiguous:
                data = np.asarray(data, order="C")
            else:
                kept = np.empty_like(self._data)
                kept[...] = data
                data = kept
            if data.base is not None and data.base.nbytes != data.nbytes:
                data = data.copy()  # a small slice must not keep a large array alive
        self._data = data

    def __setitem__(self, index: Any, value: Any) -> None:
        self.assign(self.index_put(index, value))

    def detach(self) -> Tensor:
        """A tensor with the same numbers, without gradients. A write to one reaches both."""
        detached = wrap(top().detached(self))
        aliases.pair(self, detached)
        return detached

    def detach_(self) -> Tensor:
        """Forget how this tensor was computed. Raises GradientError for a view of another one."""
        if self._node is not None and self._alias is not None and self._alias.base is not None:
            raise GradientError("a view keeps its history", instead="Use x.detach().")
        self._node, self._output, self._requires_grad = None, 0, False
        return self

    def become(self, view: Callable[[Tensor], Tensor]) -> Tensor:
        """Make this tensor a view of what it was, and return it: `x.t_()` is `x.become(cr.t)`.

        Its aliases stay aliases. Raises GradientError for a leaf that requires gradients outside
        `cr.no_grad()`, CaptureError for a tensor from outside of a captured function.
        """
        aliases.check_writable(self)
        data = top().read(self)
        if isinstance(data, StandIn) and not isinstance(self._data, StandIn):
            raise CaptureError(
                "a captured function cannot change the shape of a tensor from outside",
                given=self.spec,
                instead="Use the op that returns a new tensor.",
            )
        before = wrap(data, self._node, self._output)
        before._requires_grad = self._requires_grad
        with use(gradients=self._node is not None or current().gradients):
            after = view(before)
        if after is not before:
            aliases.hand_over(self, before, after)
            self._data, self._version = after._data, self._version + 1
            self._node, self._output = after._node, after._output
        return self

    @property
    def data(self) -> Tensor:
        """As `detach()`. After `x.data = value`, x shares the numbers of `value`, of any spec."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            value = _fitting(self, value)
        top().separate(self)
        aliases.leave(self)
        if not isinstance(self._data, StandIn) and isinstance(top().read(self), StandIn):
            with use(gradients=False):
                self._take(_fitting(self, value))
            if value._alias is None:
                aliases.pair(self, value)  # later writes to `value` in the capture
        else:
            self._data, self._version = value._data, self._version + 1
            aliases.pair(value, self)

    # -- gradients -----------------------------------------------------------------------------

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated by `backward`, or None."""
        return top().read_grad(self)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and (not isinstance(value, Tensor) or value.shape != self.shape):
            raise ShapeError(
                "a gradient has the shape of its tensor",
                given=getattr(value, "shape", type(value).__name__),
                expected=self.shape,
            )
        top().write_grad(self, value)

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Add ∂self/∂x to `x.grad` for every leaf `x` that requires gradients.

        `gradient` is the upstream gradient, in this tensor's spec; a scalar needs none. With
        `create_graph`, the gradients can be differentiated again. The tape is freed unless
        `retain_graph` (by default: `create_graph`). Raises GradientError if no leaf requires
        gradients or the tape was freed, ShapeError for an upstream gradient of another spec.
        """
        seed = seed_for(self, gradient)
        for leaf, g in differentiate([(self, seed)], retain_graph, create_graph):
            if g is not None:
                leaf._accumulate(g, in_place=not create_graph)

    def _accumulate(self, g: Tensor, in_place: bool) -> None:
        """Add a gradient to `grad`; `in_place` keeps the tensor and assigns the sum to it."""
        total = self.grad
        if total is None:
            self.grad = g
        elif in_place:
            with use(gradients=not_here()):
                total.assign(total + g)
        else:
            self.grad = total + g

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(g)` with this tensor's gradient; a tensor that it returns replaces `g`.

        Returns a handle with `remove()`. Raises GradientError unless `requires_grad` is true.
        """
        if not self._requires_grad:
            raise GradientError("a hook needs a tensor that requires gradients")
        if self._node is None:
            self._hooks = hooks = self._hooks if self._hooks is not None else []
        else:
            self._node.hooks = self._node.hooks if self._node.hooks is not None else {}
            hooks = self._node.hooks.setdefault(self._output, [])
        hooks.append(hook)
        return RemovableHandle(lambda: hooks.remove(hook))

    def retain_grad(self) -> None:
        """Make `backward` accumulate `.grad` for this computed tensor, as it does for leaves."""
        if not self._requires_grad:
            raise GradientError("only a tensor that requires gradients can retain its own")
        if self._node is not None and not self.retains_grad:
            self.register_hook(_Retained(self))

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on this computed tensor."""
        hooks = {} if self._node is None else self._node.hooks or {}
        own = [hook for hook in hooks.get(self._output, []) if isinstance(hook, _Retained)]
        return any(hook.owner() is self for hook in own)


def _unpickled(
    kind: type[Tensor],
    numbers: Array,
    requires_grad: bool,
    grad: Tensor | None,
    attributes: dict[str, Any],
) -> Tensor:
    """Rebuild a tensor from what `__reduce_ex__` returned."""
    tensor = kind.__new__(kind)
    Tensor.__init__(tensor, numbers, requires_grad)
    tensor._grad = grad
    for name, value in attributes.items():
        setattr(tensor, name, value)
    return tensor


class _Retained:
    """The hook of `retain_grad`. Its reference to the tensor is weak, to avoid a cycle."""

    def __init__(self, owner: Tensor) -> None:
        self.owner = ref(owner)

    def __call__(self, g: Tensor) -> None:
        tensor = self.owner()
        if tensor is not None:
            tensor.grad = _own(g) if tensor.grad is None else tensor.grad + g


def wrap(data: Any, node: tape.Node | None = None, output: int = 0) -> Tensor:
    """Make a tensor from an array or a stand-in, without the checks of `Tensor(...)`."""
    if data.__class__ is not np.ndarray and not isinstance(data, StandIn):
        data = np.asarray(data)
    tensor = object.__new__(Tensor)
    tensor._data = data
    tensor._grad = tensor._hooks = tensor._written = None
    tensor._node = node
    tensor._output = output
    tensor._requires_grad = node is not None
    tensor._version = 0
    tensor._alias = None
    return tensor


def _fitting(target: Tensor, value: Any) -> Tensor:
    """Convert `value` to a tensor of the target's spec, for `assign`."""
    if value.__class__ is Tensor and value.shape == target.shape and value.dtype is target.dtype:
        return value
    if isinstance(value, SCALARS):
        value = wrap(np.full(target.shape, array_of(value, target.dtype)))
    elif isinstance(value, np.ndarray):
        value = wrap(value.copy())
    elif not isinstance(value, Tensor):
        raise DTypeError("assign takes a tensor, an array or a number", given=type(value).__name__)
    if value.shape != target.shape:
        raise ShapeError("assign keeps the shape", given=value.shape, expected=target.shape)
    if value.dtype != target.dtype:
        raise DTypeError(
            "assign keeps the dtype",
            given=value.dtype,
            expected=target.dtype,
            instead=f"Convert the value with .to(cr.{target.dtype}).",
        )
    return value


# -- differentiation ---------------------------------------------------------------------------


def seed_for(output: Tensor, gradient: Tensor | None) -> Tensor:
    """The upstream gradient of an output: the given one, or 1 for a scalar."""
    if not output._requires_grad:
        raise GradientError(
            "this tensor does not depend on anything that requires gradients",
            instead="Check for .detach(), cr.no_grad() or integer steps on the way, "
            "and set requires_grad=True on what to differentiate by.",
        )
    if gradient is None:
        if output.shape != () and output._data.shape != (1,) * output.ndim:
            raise GradientError(
                f"a gradient starts from a scalar, this tensor has shape {output.shape}",
                instead="Reduce it first (.sum() or .mean()), or pass gradient=.",
            )
        return Tensor(np.ones(output.shape, output.dtype))
    if not isinstance(gradient, Tensor):
        raise DTypeError(
            "the upstream gradient is a tensor",
            given=type(gradient).__name__,
            instead="Use cr.tensor(x).",
        )
    if gradient.shape != output.shape or gradient.dtype != output.dtype:
        raise ShapeError(
            "the upstream gradient has the spec of the output",
            given=gradient.spec,
            expected=output.spec,
        )
    return gradient


def differentiate(
    seeds: Sequence[tuple[Tensor, Tensor]],
    retain_graph: bool | None = None,
    create_graph: bool = False,
    targets: Sequence[Tensor] | None = None,
) -> list[tuple[Tensor, Tensor | None]]:
    """The gradients of Σ ⟨output, seed⟩ by the targets, or by all leaves: (tensor, gradient)."""
    keep = create_graph if retain_graph is None else retain_graph
    with use(gradients=create_graph or not_here()), unrecorded(() if create_graph else seeds):
        pairs = tape.walk(seeds, keep, _wrap_saved, targets)
        return [(x, None if g is None else _own(g)) for x, g in pairs]


def _own(g: Tensor) -> Tensor:
    """A new tensor for a gradient: the backward pass may use one tensor for several inputs."""
    if g._requires_grad and g._node is None:
        return g.clone()
    return wrap(top().read(g), g._node, g._output)


def _wrap_saved(data: Any, node: tape.Node | None, position: int, spec: Any = None) -> Tensor:
    return Tensor(np.zeros(spec.shape, spec.dtype)) if data is None else wrap(data, node, position)


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares the memory of `array`, and never writes to it.

    `cr.tensor(array)` copies. A byte-swapped array is copied into the machine's byte order.
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(
            "from_numpy takes a NumPy array",
            given=type(array).__name__,
            instead="Use cr.tensor(x).",
        )
    dtype = supported(array.dtype)
    return Tensor(array if array.dtype.isnative else array.astype(dtype))


from_numpy = shortcut("tensor", from_numpy)
