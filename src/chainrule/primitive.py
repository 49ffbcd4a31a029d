"""The record of one op, and the registry of all ops.

A primitive says everything about itself in one place: the formula (its docstring), the rule for
shape and dtype (`infer`), the NumPy reference (`forward`), the derivative (`vjp`) and the samples
that test it. ::

    @primitive
    class exp:
        '''y = eˣ, elementwise.   ∂y/∂x = y.'''
        infer, samples = same_spec, uniform(-3, 3)
        def forward(x): return np.exp(x)
        def vjp(g, y):  return g * y,

The derivative is written with differentiable ops, so higher orders are free. The names of its
parameters are what the tape keeps alive: `y` is the output (`ys` all outputs of an op with
several), an input's name is that input, `x_spec` only the shape and dtype of input `x`, a
parameter's name is that parameter, and `needs` says which inputs want a gradient.

Names of parameters have one meaning in all records: `dim` and `dims` count dimensions from the
front, `shape` is the shape of the output, `index` is an index into the first input, `dtype` is the
dtype of the output. So what adds a dimension in front (batching) knows what to change.
"""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NoReturn, Protocol

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, GraphError, listing
from chainrule.kinds import Kind, Moving, View, other
from chainrule.settings import current

DType = np.dtype[Any]
Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]


class SpecLike(Protocol):
    """Whatever has a shape and a dtype: a Spec, an array, a value of a graph."""

    @property
    def shape(self) -> Shape: ...
    @property
    def dtype(self) -> DType: ...


class Spec:
    """The shape and dtype of a tensor: all that can be known of it without numbers.

    >>> Spec((64, 784), np.float32)
    float32(64, 784)
    """

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Iterable[int], dtype: Any) -> None:
        self.shape: Shape = shape if shape.__class__ is tuple else tuple(shape)
        self.dtype: DType = dtype if isinstance(dtype, np.dtype) else np.dtype(dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"{self.dtype}{self.shape}"


DTYPES = {
    name: np.dtype(name)
    for name in (
        "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool",
    )
}  # fmt: skip
"""The element types of tensors, in the byte order of the machine."""
_SAME = {dtype: dtype for dtype in DTYPES.values()}


def supported(dtype: Any) -> DType:
    """The dtype, once it is sure that tensors can have it; byte order is the machine's."""
    try:
        return _SAME.get(dtype) or DTYPES[np.dtype(dtype).name]
    except (KeyError, TypeError):
        raise DTypeError(
            "this dtype is not supported", given=dtype, expected=", ".join(DTYPES)
        ) from None


SCALARS = (bool, int, float, np.number, np.bool_)
"""What counts as a number beside tensors."""

_RANK = {"b": 0, "u": 1, "i": 1, "f": 2}


def array_of(value: Any, dtype: DType) -> Array:
    """A number, or nested lists of numbers, as an array of a dtype that can hold them."""
    kind = "i" if value.__class__ is int else np.asarray(value).dtype.kind
    if _RANK.get(kind, 3) > _RANK[dtype.kind]:
        raise DTypeError(f"{value!r} does not go into a tensor of {dtype}")
    try:
        with np.errstate(over="ignore"):
            return np.asarray(value, dtype)
    except OverflowError:
        raise ArgumentError(f"{value!r} does not fit into {dtype}") from None


@functools.cache
def physical_memory() -> int:
    """Bytes of memory in this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def allocatable(shape: Iterable[int], dtype: Any) -> Spec:
    """The spec, once it is sure that memory for it can exist; nothing is touched before that.

    Raises ArgumentError for a negative dimension and MemoryError for more than the machine has.
    """
    spec = Spec(shape, supported(dtype))
    if any(n < 0 for n in spec.shape):
        raise ArgumentError("a dimension is negative", given=spec.shape, expected="sizes ≥ 0")
    if spec.nbytes > physical_memory():
        raise MemoryError(
            f"{spec} needs {spec.nbytes / 2**30:,.0f} GiB, "
            f"this machine has {physical_memory() / 2**30:,.0f} GiB"
        )
    return spec


Promotion = Literal["none", "common", "float"]
Sample = tuple[tuple[Any, ...], dict[str, Any]]


class Primitive:
    """One op: name, kind, formula, spec rule, NumPy reference, derivative and samples.

    Calling it runs it on tensors. Beside the five parts that every record has, it may say:

    kind: what kind of op it is (see kinds.py); what is generic derives from it.
    promote: what the gateway does about mixed dtypes. "none" leaves them to the spec rule, "common"
        casts integers up to one dtype, "float" also casts integers to the default floating dtype.
    partial: the derivative of an op with several outputs takes None, not zeros, for an output that
        no gradient reached.
    arguments: turns the arguments of a call into inputs and parameters.
    steps: `steps(m, *inputs, **params)`, the formula in ops of the engine's elementwise machine
        `m`, where these are not simply those of the reference.
    flops: `flops(*input specs, **params)`, the additions and multiplications.
    tangent: `tangent(inputs, tangents, params)`, the derivative in forward mode, where the kind and
        the `vjp` do not give it.
    batch: `batch(inputs, batched, params)`, the op on inputs of which some have a further dimension
        in front; see transforms/batching.py.
    in_place: pairs (output, input); a kernel may write the output over the input.
    neutral: a number for each input, or None; where one input is its number, the output is the
        other input.
    involution, idempotent: applied twice with the same parameters, it gives back x, or f(x).
    unchanged: `unchanged(x, y, **params)`, whether the output is the input, by specs alone.
    merged: `merged(first, second)`, the parameters of one application that stands for two.
    write_back: `write_back(base, y, **params)`, of a view: the base with y where it is shown.

    The reference runs without floating-point warnings: by IEEE 754, ∞ and NaN are results.
    """

    gateway: ClassVar[Callable[..., Any]]
    """`apply`, put here by gateway.py, so that a record can be called like what it describes."""
    evaluator: ClassVar[Callable[[Primitive], Callable[..., Any]]] = lambda record: record.forward
    """Makes a record's `native`; put here by gateway.py, as the engine is on a higher floor."""

    def __init__(self, source: type) -> None:
        fields = vars(source)
        unknown = {f for f in fields if not f.startswith("__")} - _FIELDS
        if unknown or "forward" not in fields or "infer" not in fields:
            _reject(source.__name__, unknown)
        self.name: str = fields.get("name", source.__name__.rstrip("_"))
        self.formula: str = inspect.cleandoc(source.__doc__ or "")
        self.infer: Callable[..., Any] = fields["infer"]
        self.kind: Kind = fields.get("kind", other)
        self.view: View | None = self.kind if isinstance(self.kind, View) else None
        self.forward: Callable[..., Any] = fields["forward"]
        if self.view is None:
            self.forward = np.errstate(all="ignore")(self.forward)
        self.vjp: Callable[..., Any] | None = fields.get("vjp")
        self.promote: Promotion = fields.get("promote", "none")
        self.promotes = self.promote != "none"
        self.partial: bool = fields.get("partial", False)
        self.arguments: Callable[..., tuple[tuple[Any, ...], dict[str, Any]]] | None = fields.get(
            "arguments"
        )
        self.samples: Callable[[np.random.Generator], Iterable[Sample]] | None = fields.get(
            "samples"
        )
        self._read_facts(fields)
        self.__name__, self.__doc__ = source.__name__, source.__doc__
        self.__module__, self.__qualname__ = source.__module__, source.__qualname__
        self.__signature__ = inspect.signature(self.arguments or self.forward)
        self._read_signatures()

    def _read_facts(self, fields: Mapping[str, Any]) -> None:
        """What is known of the op beyond its value and derivative."""
        self.steps: Callable[..., Any] | None = fields.get("steps")
        self.counted: Callable[..., int] | None = fields.get("flops")
        self.tangent: Callable[..., Any] | None = fields.get("tangent")
        self.batch: Callable[..., Any] | None = fields.get("batch")
        self.in_place: tuple[tuple[int, int], ...] = fields.get("in_place", ())
        self.neutral: tuple[float | None, ...] = fields.get("neutral", ())
        self.involution: bool = fields.get("involution", False)
        self.idempotent: bool = fields.get("idempotent", False)
        self.unchanged: Callable[..., bool] | None = fields.get("unchanged")
        self.write_back: Callable[..., Any] | None = fields.get("write_back")
        self.merged: Callable[..., dict[str, Any]] | None = fields.get("merged")

    def _read_signatures(self) -> None:
        """Find out which inputs, outputs, specs and parameters the derivative asks for."""
        parameters = inspect.signature(self.forward).parameters.values()
        self.inputs = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        stars = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
        self.variadic_from = self.inputs.index(stars[0]) if stars else -1
        asked = list(inspect.signature(self.vjp).parameters)[1:] if self.vjp else []
        own = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        self.saved_inputs = [n for n in asked if n in self.inputs]
        self.saved_positions = [self.inputs.index(n) for n in self.saved_inputs]
        self.saved_specs = [n for n in asked if n.removesuffix("_spec") in self.inputs]
        self.saved_specs = [n for n in self.saved_specs if n not in self.inputs]
        self.spec_positions = [self.inputs.index(n.removesuffix("_spec")) for n in self.saved_specs]
        self.saved_outputs = [n for n in asked if n in ("y", "ys")]
        self.saved_params = [n for n in asked if n in own]
        self.asks_needs = "needs" in asked
        known = {*self.saved_inputs, *self.saved_specs, *self.saved_outputs, *self.saved_params}
        if strangers := [n for n in asked if n not in known | {"needs"}]:
            raise GraphError(
                f"the derivative of `{self.name}` asks for {listing(strangers)}",
                expected=f"inputs {self.inputs}, parameters {sorted(own)}, y, ys, needs, "
                "or an input's name with _spec",
            )

    def flops(self, inputs: Sequence[SpecLike], outputs: Sequence[SpecLike], params: Any) -> int:
        """Additions and multiplications: those that the record counts; else 0 where elements only
        move, and one for each element of the largest input or output elsewhere."""
        if self.counted is not None:
            return self.counted(*inputs, **params)
        if isinstance(self.kind, (View, Moving)):
            return 0
        return max(math.prod(x.shape) for x in (*outputs, *inputs))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.arguments is not None:
            args, kwargs = self.arguments(*args, **kwargs)
        return Primitive.gateway(self, *args, **kwargs)

    def evaluate(self, *arrays: Array, **params: Any) -> Any:
        """The value, one array or a tuple of them: the only place where an op is computed.

        By the native kernel, where the engine in use has one, else by the NumPy reference.
        """
        compute = self.native if current().engine == "native" else self.forward
        return compute(*arrays, **params)

    @functools.cached_property
    def native(self) -> Callable[..., Any]:
        """As `forward`, by native kernels where there are any."""
        return Primitive.evaluator(self)

    def __repr__(self) -> str:
        return f"<primitive {self.name}: {self.formula.splitlines()[0] if self.formula else ''}>"

    def __reduce__(self) -> str:
        return self.__qualname__


_FIELDS = {
    "arguments", "batch", "flops", "forward", "idempotent", "in_place", "infer", "involution",
    "kind", "merged", "name", "neutral", "partial", "promote", "samples", "steps", "tangent",
    "unchanged", "vjp", "write_back",
}  # fmt: skip


def _reject(name: str, unknown: set[str]) -> NoReturn:
    raise GraphError(
        f"`{name}` is not a complete primitive",
        given=f"unknown fields {sorted(unknown)}" if unknown else "no `forward` or no `infer`",
        expected=f"`forward` and `infer`, and any of {sorted(_FIELDS)}",
    )


registry: dict[str, Primitive] = {}
operations: dict[str, Callable[..., Any]] = {}
"""Everything that can be called by name: the primitives, and the compositions of them."""


def composition(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function made of primitives a name by which methods of Tensor find it."""
    operations[function.__name__.rstrip("_")] = function
    return function


def primitive(source: type) -> Primitive:
    """Turn a class that describes an op into its record, and register it under its name.

    >>> @primitive
    ... class cube_demo:
    ...     '''y = x³, elementwise.   ∂y/∂x = 3x².'''
    ...     infer = same_spec
    ...     def forward(x): return x * x * x
    ...     def vjp(g, x): return g * 3 * x * x,
    >>> operations.pop("cube_demo") and registry.pop("cube_demo")
    <primitive cube_demo: y = x³, elementwise.   ∂y/∂x = 3x².>
    """
    record = Primitive(source)
    if record.name in operations:
        raise GraphError(
            f"there is already an op `{record.name}`",
            instead="Give yours another name; one name has one home.",
        )
    registry[record.name] = operations[record.name] = record
    return record


def lookup(name: str) -> Primitive:
    """The record registered under `name`."""
    try:
        return registry[name]
    except KeyError:
        raise GraphError(
            f"there is no primitive `{name}`", expected=listing(sorted(registry), 200)
        ) from None


# Spec rules shared by many ops. They take anything with shape and dtype.


def same_spec(x: SpecLike, *_: SpecLike, **__: Any) -> SpecLike:
    """The output has the spec of the first input."""
    return x


def floating(x: SpecLike, **_: Any) -> SpecLike:
    """The output has the spec of the input, which must be of a floating dtype."""
    if x.dtype.kind != "f":
        raise DTypeError(
            "this needs real numbers", given=x.dtype, expected="a floating dtype",
            instead="Convert with x.float().",
        )  # fmt: skip
    return x
