"""The record of one op, and the registry of all ops.

A primitive defines everything about an op in one place: the formula (its docstring), the rule for
shape and dtype (`infer`), the NumPy reference (`forward`), the derivative (`vjp`) and the samples
that test it. ::

    @primitive
    class exp:
        '''y = eˣ, elementwise.   ∂y/∂x = y.'''
        infer, samples = same_spec, uniform(-3, 3)
        def forward(x): return np.exp(x)
        def vjp(g, y):  return g * y,

The derivative is written with differentiable ops, so higher orders need no further code. The tape
saves only what the names of its parameters ask for:

- `y` is the output; of an op with several, `ys` are all outputs, and `y0`, `y1`, ... single ones;
- the name of an input is that input; `x_spec` is only the shape and dtype of input `x`;
- the name of a parameter of the op is that parameter;
- `needs` is a tuple of booleans: which inputs need a gradient.

Parameter names have the same meaning in all records: `dim` and `dims` count dimensions from the
front, `shape` is the shape of the output, `index` is an index into the first input, `dtype` is the
dtype of the output. Batching adds a dimension in front, and so knows which parameters to change.
Inputs have the names of the formula. Callers write PyTorch's: `input` for x, and `input` and
`other` for a and b.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NoReturn, Protocol, TypeVar

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, GraphError, listing
from chainrule.kinds import Elementwise, Kind, Moving, View, other
from chainrule.settings import current
from chainrule.signatures import as_called, of_tensor, output_position, parameters_of

F = TypeVar("F", bound=Callable[..., Any])
DType = np.dtype[Any]
Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]


class SpecLike(Protocol):
    """Anything that has a shape and a dtype: a Spec, an array, a value of a graph."""

    @property
    def shape(self) -> Shape: ...
    @property
    def dtype(self) -> DType: ...


class Spec:
    """The shape and dtype of a tensor, without its numbers.

    >>> spec = Spec((64, 784), np.float32)
    >>> spec, spec.ndim, spec.size, spec.nbytes
    (float32(64, 784), 2, 50176, 200704)
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
    """Return the dtype, in the machine's byte order. Raises DTypeError if tensors cannot have it.

    >>> supported("float32")
    dtype('float32')
    """
    try:
        return _SAME.get(dtype) or DTYPES[np.dtype(dtype).name]
    except (KeyError, TypeError):
        raise DTypeError(
            "this dtype is not supported", given=dtype, expected=", ".join(DTYPES)
        ) from None


SCALARS = (bool, int, float, np.number, np.bool_)
"""The types that ops accept as a number among their tensors."""

RANK = {"b": 0, "u": 1, "i": 1, "f": 2}
"""Kinds of dtypes; numbers can be converted to a kind of the same or a higher rank."""


def array_of(value: Any, dtype: DType) -> Array:
    """Convert a number, or nested lists of numbers, to an array of `dtype`.

    Raises DTypeError if the numbers are of a wider kind than `dtype` (a float for an integer dtype)
    and ArgumentError if an integer is out of its range.
    """
    kind = "i" if value.__class__ is int else np.asarray(value).dtype.kind
    if RANK.get(kind, 3) > RANK[dtype.kind]:
        raise DTypeError(f"{value!r} does not go into a tensor of {dtype}")
    try:
        with np.errstate(over="ignore"):
            return np.asarray(value, dtype)
    except OverflowError:
        raise ArgumentError(f"{value!r} does not fit into {dtype}") from None


Promotion = Literal["none", "common", "float"]
Sample = tuple[tuple[Any, ...], dict[str, Any]]


class Primitive:
    """One op: its name, kind, formula, spec rule, NumPy reference, derivative and samples.

    Calling a record runs the op on tensors. `forward` and `infer` are required. Optional fields:

    vjp: `vjp(g, ...)`, the gradients of the inputs (see placed.py), given `g`, the output's.
    samples: `samples(rng)`, inputs and parameters that test the op; see samples.py.
    name: the name of the op, if it is not that of the class.
    kind: the kind of the op (see kinds.py). Generic code reads the kind, not the name.
    promote: how the gateway treats mixed dtypes. "none" leaves them to the spec rule, "common"
        casts integers to one dtype, "float" also casts integers to the default floating dtype.
    partial: for an op with several outputs, whether `vjp` receives None instead of zeros for an
        output without a gradient.
    arguments: a function that turns the arguments of a call into inputs and parameters.
    steps: `steps(m, *inputs, **params)`, the formula in the ops of the engine's elementwise machine
        `m`. Needed only where the steps cannot be read from the reference.
    flops: `flops(*input_specs, **params)`, the number of additions and multiplications.
    tangent: `tangent(inputs, outputs, tangents, params)`, the tangents of the outputs; of an input
        without one it is None. Needed only where they do not follow from the kind and the `vjp`.
    composed: `composed(*inputs, **params)`, the outputs by other ops. It gives `vmap` and forward
        mode their rules for an op whose derivative has no derivative.
    batch: `batch(inputs, batched, params)`, the op where some inputs have an additional leading
        dimension; see transforms/batching.py.
    fill: `fill(*outputs, *inputs, **params)`: `forward` into arrays, for what comes from elsewhere.
    in_place: pairs (output, input): a kernel may write that output into the memory of that input.
    neutral: for each input a number or None. If it equals that everywhere, y is the other input.
    involution: f(f(x)) = x.   idempotent: f(f(x)) = f(x).   Both for equal parameters.
    positive_zeros: whether no result is −0.
    unchanged: `unchanged(x, y, **params)`, whether the output equals the input, given their specs.
    merged: `merged(first, second)`, the parameters of one application that equals two in a row.
    write_back: for a view, `write_back(base, y, **params)`: the base, with `y` in the place that
        the view shows.
    in_place_form: whether Tensor has the method `name_`, if the op is public; else by its kind.

    The reference runs without floating-point warnings: in IEEE 754, ∞ and NaN are results.
    """

    __slots__ = ("__dict__", "__weakref__", "calls")

    calls: Any
    """What the engine knows of the op's calls; see engine/cpp/eager/calls.h."""
    gateway: ClassVar[Callable[..., Any]]
    """`apply`. gateway.py sets it, so that records can be called."""
    evaluator: ClassVar[Callable[[Primitive], Callable[..., Any]]] = lambda record: record.forward
    """Makes the `native` of a record. gateway.py sets it, since the engine is on a higher floor."""

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
        arguments = fields.get("arguments")
        self.arguments: Callable[..., Any] | None = arguments and of_tensor(self.name, arguments)
        self.samples: Callable[[np.random.Generator], Iterable[Sample]] | None = fields.get(
            "samples"
        )
        self._read_facts(fields)
        self.__name__, self.__doc__ = source.__name__, source.__doc__
        self.__module__, self.__qualname__ = source.__module__, source.__qualname__
        self._read_signatures()

    def _read_facts(self, fields: Mapping[str, Any]) -> None:
        """Read the optional fields beyond value and derivative."""
        self.steps: Callable[..., Any] | None = fields.get("steps")
        self.counted: Callable[..., int] | None = fields.get("flops")
        self.tangent: Callable[..., Any] | None = fields.get("tangent")
        self.batch: Callable[..., Any] | None = fields.get("batch")
        self.fill: Callable[..., None] | None = fields.get("fill")
        self.composed: Callable[..., Any] | None = fields.get("composed")
        self.in_place: tuple[tuple[int, int], ...] = fields.get("in_place", ())
        self.neutral: tuple[float | None, ...] = fields.get("neutral", ())
        self.involution: bool = fields.get("involution", False)
        self.idempotent: bool = fields.get("idempotent", False)
        self.unchanged: Callable[..., bool] | None = fields.get("unchanged")
        self.write_back: Callable[..., Any] | None = fields.get("write_back")
        self.merged: Callable[..., dict[str, Any]] | None = fields.get("merged")
        self.positive_zeros: bool = fields.get("positive_zeros", False)
        self.in_place_form: bool = fields.get("in_place_form", isinstance(self.kind, Elementwise))

    def _read_signatures(self) -> None:
        """Find out which inputs, outputs, specs and parameters the derivative needs."""
        fixed, stars, own = parameters_of(self.forward)
        self.inputs = [*fixed, *stars]
        self.variadic_from = len(fixed) if stars else -1
        asked = [name for part in parameters_of(self.vjp) for name in part][1:] if self.vjp else []
        self.saved_inputs = [n for n in asked if n in self.inputs]
        self.saved_positions = [self.inputs.index(n) for n in self.saved_inputs]
        others = [n for n in asked if n not in (*self.inputs, *own)]
        self.saved_specs = [n for n in others if n.removesuffix("_spec") in self.inputs]
        self.spec_positions = [self.inputs.index(n.removesuffix("_spec")) for n in self.saved_specs]
        outputs = {n: at for n in others if (at := output_position(n)) is not None}
        self.saved_outputs, self.output_positions = [*outputs], [*outputs.values()]
        self.saved_params = [n for n in asked if n in own]
        self.asks_needs = "needs" in asked
        known = {*self.saved_inputs, *self.saved_specs, *self.saved_outputs, *self.saved_params}
        if strangers := [n for n in asked if n not in known | {"needs"}]:
            raise GraphError(
                f"the derivative of `{self.name}` asks for {listing(strangers)}",
                expected=f"inputs {self.inputs}, parameters {sorted(own)}, y, ys, y0, y1, ..., "
                "needs, or an input's name with _spec",
            )

    def flops(self, inputs: Sequence[SpecLike], outputs: Sequence[SpecLike], params: Any) -> int:
        """The number of additions and multiplications.

        A record may count them itself. Otherwise it is 0 for views and copies, and the number of
        elements of the largest input or output for all other ops.
        """
        if self.counted is not None:
            return self.counted(*inputs, **params)
        if isinstance(self.kind, (View, Moving)):
            return 0
        return max(math.prod(x.shape) for x in (*outputs, *inputs))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if "input" in kwargs or "other" in kwargs:
            bound = self.__signature__.bind(*args, **kwargs)
            args, kwargs = bound.args, bound.kwargs
        if self.arguments is not None:
            args, kwargs = self.arguments(*args, **kwargs)
        return Primitive.gateway(self, *args, **kwargs)

    def evaluate(self, *arrays: Array, **params: Any) -> Any:
        """Compute the op on arrays: one array, or a tuple of them for several outputs.

        Uses the native kernel if the engine in use has one, else the NumPy reference.
        """
        compute = self.native if current().engine == "native" else self.reference
        return compute(*arrays, **params)

    def reference(self, *arrays: Array, **params: Any) -> Any:
        """`forward` from and to arrays in C order: neither a bit of a result nor its aliases depend
        on the layout of operands. A view is made of the array as it is."""
        if self.view is not None:
            return self.forward(*arrays, **params)
        y = self.forward(*[_in_order(x) for x in arrays], **params)
        return tuple(map(_in_order, y)) if isinstance(y, tuple) else _in_order(y)

    @functools.cached_property
    def __signature__(self) -> inspect.Signature:
        return as_called(inspect.signature(self.arguments or self.forward))

    @functools.cached_property
    def native(self) -> Callable[..., Any]:
        """`forward`, computed by native kernels where the engine has them."""
        return Primitive.evaluator(self)

    def __repr__(self) -> str:
        return f"<primitive {self.name}: {self.formula.splitlines()[0] if self.formula else ''}>"

    def __reduce__(self) -> str:
        return self.__qualname__


_FIELDS = {
    "arguments", "batch", "composed", "fill", "flops", "forward", "idempotent", "in_place",
    "in_place_form", "infer", "involution", "kind", "merged", "name", "neutral", "partial",
    "positive_zeros", "promote", "samples", "steps", "tangent", "unchanged", "vjp", "write_back",
}  # fmt: skip


def _in_order(x: Array) -> Array:
    """The array itself if it is aligned and in C order, else a copy that is."""
    return x if x.flags.c_contiguous and x.flags.aligned else np.array(x, order="C")


def _reject(name: str, unknown: set[str]) -> NoReturn:
    raise GraphError(
        f"`{name}` is not a complete primitive",
        given=f"unknown fields {sorted(unknown)}" if unknown else "no `forward` or no `infer`",
        expected=f"`forward` and `infer`, and any of {sorted(_FIELDS)}",
    )


registry: dict[str, Primitive] = {}
operations: dict[str, Callable[..., Any]] = {}
"""All functions that can be called by name: the primitives and their compositions."""


def composition(function: F) -> F:
    """Register a function made of primitives under its name."""
    name = function.__name__.rstrip("_")
    operations[name] = made = of_tensor(name, function)
    return made


def in_place_form(function: F) -> F:
    """Give Tensor the method `name_`, which assigns the result of a public composition."""
    function.__dict__["in_place_form"] = True
    return function


def primitive(source: type) -> Primitive:
    """Make the record of an op from a class that describes it, and register it under its name.

    Raises GraphError if `forward` or `infer` is missing, for an unknown field, or for a name that
    is taken.

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
            instead="Choose another name.",
        )
    registry[record.name] = operations[record.name] = record
    return record


def lookup(name: str) -> Primitive:
    """The record registered under `name`. Raises GraphError if there is none."""
    try:
        return registry[name]
    except KeyError:
        raise GraphError(
            f"there is no primitive `{name}`", expected=listing(sorted(registry), 200)
        ) from None


# Spec rules shared by many ops. They take anything with a shape and a dtype.


def same_spec(x: SpecLike, *_: SpecLike, **__: Any) -> SpecLike:
    """The output has the spec of the first input."""
    return x


def floating(x: SpecLike, **_: Any) -> SpecLike:
    """The output has the spec of the input. Raises DTypeError unless its dtype is floating."""
    if x.dtype.kind != "f":
        raise DTypeError(
            "this needs real numbers", given=x.dtype, expected="a floating dtype",
            instead="Convert with x.float().",
        )  # fmt: skip
    return x
