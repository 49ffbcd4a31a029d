"""Parametrizations: a module computes a parameter or buffer of another one from other tensors."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.nn import computed
from chainrule.nn.containers import ModuleDict, ModuleList
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.settings import use
from chainrule.tensor import Tensor


class _Cache(threading.local):
    """The values of parametrized tensors inside `cached` blocks, by module and name."""

    depth = 0

    def __init__(self) -> None:
        self.values: dict[tuple[Module, str], Tensor] = {}


_cache = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor at most once inside the block, when it is first read.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> with cached():
    ...     layer.weight is layer.weight
    True
    """
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.values.clear()


class _Parametrized(computed.Computed):
    """The attribute `name`: the result of `module.parametrizations[name]`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, module: Any) -> Tensor:
        parametrization = module.parametrizations[self.name]
        if not _cache.depth:
            return parametrization()
        key = (module, self.name)
        if key not in _cache.values:
            _cache.values[key] = parametrization()
        return _cache.values[key]

    def assign(self, module: Any, name: str, value: Any) -> None:
        module.parametrizations[name].right_inverse(value)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied one after another, and what they start from.

    That is `original`, or `original0`, `original1`, ... where `right_inverse` of the first one
    gives several tensors. A call returns the parametrized tensor.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> class Doubled(nn.Module):
    ...     def forward(self, x):
    ...         return 2 * x
    >>> ParametrizationList([Doubled()], nn.Parameter(cr.ones(2)))().detach()
    tensor([2., 2.])
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        spec = original.spec
        with use(gradients=False):
            new = _inverted(self, original, required=False)
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if isinstance(new, Tensor) else len(new)
        if isinstance(new, Tensor):
            _register(self, "original", _set(original, new))
        else:
            for i, tensor in enumerate(new):
                part = isinstance(original, Parameter)
                own = Parameter(tensor.detach(), original.requires_grad) if part else tensor
                _register(self, f"original{i}", own)
        if not unsafe:
            _check_same("a parametrization", self(), spec)

    @property
    def originals(self) -> list[Any]:
        """The tensors that the first parametrization gets."""
        return [getattr(self, name) for name in self._names()]

    def _names(self) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]

    def forward(self) -> Tensor:
        first, *rest = self
        x: Tensor = first(*self.originals)
        for parametrization in rest:
            x = parametrization(x)
        return x

    def right_inverse(self, value: Tensor) -> None:
        """Set the original tensors so that the parametrized one is `value`.

        Calls `right_inverse` of each parametrization, the last one first. Raises ArgumentError if
        one has none.
        """
        with use(gradients=False):
            new = _inverted(self, value, required=True)
            found = [new] if isinstance(new, Tensor) else list(new)
            if len(found) != self.ntensors:
                raise ArgumentError(
                    "right_inverse gives another number of tensors",
                    given=len(found),
                    expected=self.ntensors,
                )
            for name, tensor in zip(self._names(), found, strict=True):
                setattr(self, name, _set(getattr(self, name), tensor))


def _inverted(modules: ModuleList, value: Tensor, required: bool) -> Tensor | Sequence[Tensor]:
    """What the parametrizations have to start from to give `value`. One without a `right_inverse`
    is refused, or taken for the identity if none is required."""
    new: Any = value
    for module in reversed(list(modules)):
        inverse = getattr(module, "right_inverse", None)
        if inverse is None and required:
            raise ArgumentError(
                f"{type(module).__name__} has no right_inverse, so its result cannot be set",
                instead="Define right_inverse(self, value) in it.",
            )
        try:
            new = new if inverse is None else inverse(new)
        except NotImplementedError:
            if required:
                raise
    several = isinstance(new, (tuple, list)) and all(isinstance(x, Tensor) for x in new)
    if not several and not isinstance(new, Tensor):
        raise DTypeError("right_inverse returns a tensor or several", given=type(new).__name__)
    return new


def _set(tensor: Tensor, value: Tensor) -> Tensor:
    """A tensor with other numbers, perhaps of another shape. A parameter keeps its identity."""
    if value.dtype != tensor.dtype:
        raise DTypeError(
            "right_inverse changes the dtype", given=value.dtype, expected=tensor.dtype
        )
    if value.shape == tensor.shape:
        with use(gradients=False):
            return tensor if tensor is value else tensor.assign(value)
    if not isinstance(tensor, Parameter):
        return value.detach()
    tensor.grad = None
    tensor.convert(lambda _: value)
    return tensor


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _check_same(name: str, value: Any, spec: Any) -> None:
    """Raise DTypeError or ShapeError unless a value is a tensor of this spec."""
    if not isinstance(value, Tensor):
        raise DTypeError(f"{name} returns a tensor", given=type(value).__name__)
    if value.spec != spec:
        kind = ShapeError if value.shape != spec.shape else DTypeError
        raise kind(
            f"{name} changes the tensor",
            given=value.spec,
            expected=spec,
            instead="Pass unsafe=True if that is intended.",
        )


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute a parameter or buffer of a module by another module, and return the first one.

    `module.name` is now `parametrization(original)`, where the original is the parameter
    `module.parametrizations.name.original`. Further parametrizations of the same tensor get the
    result of the one before. If the parametrization has a method `right_inverse(value)`, it gives
    the original for which the result is `value`: it is called now, and when `module.name` is set.
    It may return several tensors: then `forward` takes several. Raises ShapeError or DTypeError if
    the shape or dtype changes, unless `unsafe`; UnknownNameError if there is no such tensor.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> (layer.weight == layer.weight.T).all().item(), [*layer.state_dict()]
    (True, ['bias', 'parametrizations.weight.original'])
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        existing: Any = module.parametrizations[tensor_name]
        if not unsafe:
            _check_further(parametrization, getattr(module, tensor_name))
        existing.append(parametrization)
        existing.unsafe = existing.unsafe or unsafe
        return module
    original = computed.own_tensor(module, tensor_name)
    parametrizations = ParametrizationList([parametrization], original, unsafe)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    computed.replace(module, tensor_name, _Parametrized(tensor_name))
    module.parametrizations[tensor_name] = parametrizations
    return module


def _check_further(parametrization: Any, value: Tensor) -> None:
    """Check that a further parametrization keeps the spec, and so does its inverse."""
    with use(gradients=False):
        result = parametrization(value)
        _check_same("a parametrization", result, value.spec)
        if hasattr(parametrization, "right_inverse"):
            try:
                inverse = parametrization.right_inverse(result)
            except NotImplementedError:
                return
            _check_same("right_inverse", inverse, value.spec)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of a module is parametrized, or any of its tensors.

    >>> from chainrule import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> is_parametrized(layer, "weight"), is_parametrized(layer, "bias")
    (True, False)
    """
    parametrizations = vars(module).get("parametrizations")
    if not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make a parametrized tensor a parameter or buffer again, and return the module.

    It keeps its present value, or with `leave_parametrized=False` gets the original. Raises
    UnknownNameError if it is not parametrized, ArgumentError for `leave_parametrized=False` where
    there are several originals.

    >>> from chainrule import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> [*remove_parametrizations(layer, "weight").state_dict()]
    ['bias', 'weight']
    """
    computed.found(module, tensor_name, _Parametrized)
    parametrizations = module.parametrizations[tensor_name]
    value = getattr(module, tensor_name)
    original, *more = parametrizations.originals
    if more and not leave_parametrized:
        raise ArgumentError(
            f"{tensor_name} is computed from several tensors: none is the original",
            instead="Use leave_parametrized=True.",
        )
    if not parametrizations.is_tensor:
        original = Parameter(value.detach()) if value.requires_grad else value
    elif leave_parametrized:
        original = _set(original, value.detach())
    del module.parametrizations[tensor_name]
    computed.restore(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
    return module


def type_before_parametrizations(module: Module) -> type[Module]:
    """The class of a module. (PyTorch changes it; here a parametrized module keeps its class.)

    >>> from chainrule import nn
    >>> type_before_parametrizations(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))
    <class 'chainrule.nn.linear.Linear'>
    """
    return type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Parametrize the tensors of a module as those of another one, with its originals.

    All of them, or one. Returns the module.

    >>> from chainrule import nn
    >>> source = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> target = transfer_parametrizations_and_params(source, nn.Linear(2, 2))
    >>> (source.weight == target.weight).all().item()
    True
    """
    if not is_parametrized(from_module):
        return to_module
    names = [*from_module.parametrizations] if tensor_name is None else [tensor_name]
    for name in names:
        source = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization, unsafe=source.unsafe)
        target = to_module.parametrizations[name]
        for part, _ in [
            *target.named_parameters(recurse=False),
            *target.named_buffers(recurse=False),
        ]:
            setattr(target, part, getattr(source, part))
    return to_module
