"""Views, copies, reductions, products, windows and rows in ONNX."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import helper

from chainrule.formats.onnx.table import Call, translation, unknown
from chainrule.ops.positions import HERE, spelled_out
from chainrule.primitive import DType, Shape

# -- views and copies ----------------------------------------------------------------------------


@translation("reshape")
def reshape(call: Call, shape: Shape) -> str:
    first, second = call.spec.shape, call.other.outputs[0].shape
    changing = [d for d, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    if len(changing) == 1:
        sizes = [-1 if d in changing else n for d, n in enumerate(first)]
        return call.build.node("Reshape", *call.inputs, call.build.ints(sizes))
    return call.build.node("Reshape", *call.inputs, call.output_shape())


@translation("permute")
def permute(call: Call, dims: Shape) -> str:
    return call.build.node("Transpose", *call.inputs, perm=list(dims))


@translation("expand")
def expand(call: Call, **_: Any) -> str:
    return call.build.node("Expand", *call.inputs, call.output_shape())


@translation("barrier", "clone")
def identity(call: Call) -> str:
    return call.build.node("Identity", *call.inputs)


@translation("slice")
def slice_(call: Call, index: tuple[Any, ...]) -> str:
    build, sizes = call.build, call.equation.inputs[0].shape
    index = _parts(index, sizes)
    if None in index:
        raise unknown(call.equation, f" with the index {index}")
    far = np.iinfo(np.int64)
    parts = []
    for d, part in enumerate(index):
        if isinstance(part, int):
            parts.append((d, part, part + 1 if part != -1 else far.max, 1))
        elif part != slice(None):
            step = 1 if part.step is None else part.step
            start = part.start if part.start is not None else (0 if step > 0 else sizes[d] - 1)
            stop = part.stop if part.stop is not None else (far.max if step > 0 else far.min)
            parts.append((d, start, stop, step))
    y = call.inputs[0]
    if parts:
        dims, starts, stops, steps = map(list, zip(*parts, strict=True))
        y = build.node("Slice", y, *map(build.ints, (starts, stops, dims, steps)))
    dropped = [d for d, part in enumerate(index) if isinstance(part, int)]
    return build.node("Squeeze", y, build.ints(dropped)) if dropped else y


def _parts(index: tuple[Any, ...], shape: Shape) -> tuple[Any, ...]:
    """A part of the index for every dimension."""
    return tuple(part for part in spelled_out(index, shape) if part is not Ellipsis)


@translation("flip")
def flip(call: Call, dims: Shape) -> str:
    build, n = call.build, len(dims)
    low = int(np.iinfo(np.int64).min)
    ends = [build.ints(part) for part in ([-1] * n, [low] * n, list(dims), [-1] * n)]
    return build.node("Slice", *call.inputs, *ends)


@translation("cat")
def cat(call: Call, dim: int) -> str:
    return call.build.node("Concat", *call.inputs, axis=dim)


@translation("pad")
def pad(call: Call, widths: Any, value: float) -> str:
    ends = [before for before, _ in widths] + [after for _, after in widths]
    number = call.build.constant(value, call.spec.dtype)
    return call.build.node("Pad", *call.inputs, call.build.ints(ends), number)


@translation("roll")
def roll(call: Call, shifts: Shape, dims: Shape) -> str:
    build, y = call.build, call.inputs[0]
    for shift, d in zip(shifts, dims, strict=True):
        n = call.equation.inputs[0].shape[d]
        cut, axis = build.ints([-(shift % n) if n else 0]), build.ints([d])
        if not n or shift % n == 0:
            continue
        last = build.node("Slice", y, cut, build.ints([np.iinfo(np.int64).max]), axis)
        y = build.node("Concat", last, build.node("Slice", y, build.ints([0]), cut, axis), axis=d)
    return build.node("Identity", y)


@translation("tril", "triu")
def triangle(call: Call, diagonal: int) -> str:
    upper = int(call.equation.primitive.name == "triu")
    return call.build.node("Trilu", *call.inputs, call.build.constant(diagonal), upper=upper)


# -- reductions ----------------------------------------------------------------------------------

_REDUCTIONS = {
    "sum": "ReduceSum",
    "mean": "ReduceMean",
    "amax": "ReduceMax",
    "amin": "ReduceMin",
    "prod": "ReduceProd",
    "logsumexp": "ReduceLogSumExp",
}


def _reduced(call: Call, kind: str, x: str, dims: Shape, keepdim: bool) -> str:
    """A reduction; before opset 18 most have their axes as an attribute."""
    if kind == "ReduceSum" or call.build.opset >= 18:
        axes = call.build.ints(dims)
        return call.build.node(kind, x, axes, keepdims=int(keepdim), noop_with_empty_axes=1)
    if not dims:
        return call.build.node("Identity", x)
    return call.build.node(kind, x, axes=list(dims), keepdims=int(keepdim))


@translation(*_REDUCTIONS)
def reduction(call: Call, dims: Shape, keepdim: bool) -> str:
    name = call.equation.primitive.name
    x = call.inputs[0]
    if call.equation.inputs[0].dtype != call.spec.dtype:
        x = _cast(call, x, call.spec.dtype)
    return _reduced(call, _REDUCTIONS[name], x, dims, keepdim)


@translation("var")
def var(call: Call, dims: Shape, correction: float, keepdim: bool) -> str:
    build, x = call.build, call.inputs[0]
    sizes, others = call.equation.inputs[0].shape, call.other.inputs[0].shape
    if any(sizes[d] != others[d] for d in dims):
        raise unknown(call.equation, " over the batch")
    count = math.prod(sizes[d] for d in dims)
    centred = build.node("Sub", x, _reduced(call, "ReduceMean", x, dims, True))
    squares = build.node("Mul", centred, centred)
    total = _reduced(call, "ReduceSum", squares, dims, keepdim)
    return build.node("Div", total, build.constant(max(count - correction, 0), call.spec.dtype))


@translation("all", "any")
def truth(call: Call, dims: Shape, keepdim: bool) -> str:
    kind = "ReduceMin" if call.equation.primitive.name == "all" else "ReduceMax"
    numbers = _cast(call, call.inputs[0], np.dtype("int32"))
    return _cast(call, _reduced(call, kind, numbers, dims, keepdim), np.dtype("bool"))


@translation("argmax", "argmin")
def argmax(call: Call, dim: int | None, keepdim: bool) -> str:
    kind = "ArgMax" if call.equation.primitive.name == "argmax" else "ArgMin"
    x, build = call.inputs[0], call.build
    if dim is None:
        flat = build.node(kind, build.node("Reshape", x, build.ints([-1])), axis=0, keepdims=0)
        return build.node("Reshape", flat, call.output_shape())
    return build.node(kind, x, axis=dim, keepdims=int(keepdim))


def _cast(call: Call, x: str, dtype: DType) -> str:
    return call.build.node("Cast", x, to=helper.np_dtype_to_tensor_dtype(dtype))


# -- products ------------------------------------------------------------------------------------


@translation("matmul")
def matmul(call: Call) -> str:
    return call.build.node("MatMul", *call.inputs)


@translation("linear")
def linear(call: Call) -> str:
    """A Gemm for rows, else a product with the transposed weights."""
    x, w, *bias = call.inputs
    if call.ndim() == 2:
        return call.build.node("Gemm", x, w, *bias, transB=1)
    transposed = call.build.node("Transpose", w, perm=[1, 0])
    y = call.build.node("MatMul", x, transposed)
    return call.build.node("Add", y, bias[0]) if bias else y


@translation("einsum")
def einsum(call: Call, formula: str) -> str:
    return call.build.node("Einsum", *call.inputs, equation=formula)


# -- windows -------------------------------------------------------------------------------------


def _moves(geometry: Any) -> dict[str, Any]:
    pads = [before for before, _ in geometry.padding] + [after for _, after in geometry.padding]
    return {"strides": list(geometry.stride), "dilations": list(geometry.dilation), "pads": pads}


@translation("convolution")
def convolution(call: Call, geometry: Any) -> str:
    kernel = list(call.equation.inputs[1].shape[2:])
    moves = _moves(geometry)
    return call.build.node(
        "Conv", *call.inputs, kernel_shape=kernel, group=geometry.groups, **moves
    )


def _beyond(shape: Shape, kernel: Shape, given: Shape, geometry: Any) -> list[int]:
    """How many elements the output has beyond those that the last position of the kernel meets."""
    return [
        n - (s * (m - 1) + d * (k - 1) + 1 - before - after)
        for n, m, k, s, (before, after), d in zip(
            shape[2:],
            given,
            kernel,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            strict=True,
        )
    ]


@translation("convolution_input")
def transposed_convolution(call: Call, shape: Shape, geometry: Any) -> str:
    kernel, given = call.equation.inputs[1].shape[2:], call.equation.inputs[0].shape[2:]
    return call.build.node(
        "ConvTranspose",
        *call.inputs,
        kernel_shape=list(kernel),
        group=geometry.groups,
        output_padding=_beyond(shape, kernel, given, geometry),
        **_moves(geometry),
    )


@translation("max_pool")
def max_pool(call: Call, kernel: Shape, geometry: Any) -> list[str]:
    """The positions count within a channel here, and through the whole array in ONNX."""
    y, positions = call.build.node(
        "MaxPool", *call.inputs, outputs=2, kernel_shape=list(kernel), **_moves(geometry)
    )
    size = call.build.constant(math.prod(call.equation.inputs[0].shape[2:]), np.dtype("int64"))
    return [y, call.build.node("Mod", positions, size)]


@translation("avg_pool")
def avg_pool(call: Call, kernel: Shape, geometry: Any, divisor: int) -> str:
    moves = _moves(geometry)
    if call.build.opset < 19:
        moves.pop("dilations")
        if any(d != 1 for d in geometry.dilation):
            raise unknown(call.equation, " with a dilation before opset 19")
    y = call.build.node(
        "AveragePool", *call.inputs, kernel_shape=list(kernel), count_include_pad=1, **moves
    )
    scale = math.prod(kernel) / divisor
    return (
        y if scale == 1 else call.build.node("Mul", y, call.build.constant(scale, call.spec.dtype))
    )


@translation("avg_pool_input")
def spread_average(call: Call, shape: Shape, kernel: Shape, geometry: Any, divisor: int) -> str:
    """The transposed convolution of each channel with a kernel of 1/divisor."""
    channels = shape[1]
    weights = np.full((channels, 1, *kernel), 1 / divisor, call.spec.dtype)
    given = call.equation.inputs[0].shape[2:]
    return call.build.node(
        "ConvTranspose",
        *call.inputs,
        call.build.constant(weights),
        kernel_shape=list(kernel),
        group=channels,
        output_padding=_beyond(shape, kernel, given, geometry),
        **_moves(geometry),
    )


# -- rows ----------------------------------------------------------------------------------------


@translation("softmax", "log_softmax")
def softmax(call: Call, dim: int) -> str:
    kind = "Softmax" if call.equation.primitive.name == "softmax" else "LogSoftmax"
    return call.build.node(kind, *call.inputs, axis=dim)


@translation("normalize")
def normalize(call: Call, dims: Shape, eps: float) -> list[str]:
    build, (x, *affine) = call.build, call.inputs
    mean = _reduced(call, "ReduceMean", x, dims, True)
    centred = build.node("Sub", x, mean)
    variance = _reduced(call, "ReduceMean", build.node("Mul", centred, centred), dims, True)
    shifted = build.node("Add", variance, build.constant(eps, call.spec.dtype))
    y = build.node("Div", centred, build.node("Sqrt", shifted))
    for kind, number in zip(("Mul", "Add"), affine, strict=False):
        y = build.node(kind, y, number)
    return [y, mean, variance]


@translation("cumsum")
def cumsum(call: Call, dim: int) -> str:
    x = call.inputs[0]
    if call.equation.inputs[0].dtype != call.spec.dtype:
        x = _cast(call, x, call.spec.dtype)
    return call.build.node("CumSum", x, call.build.constant(dim))


@translation("argsort")
def argsort(call: Call, dim: int, **params: Any) -> str:
    if params.get("descending"):
        raise unknown(call.equation, " in descending order")
    n = call.build.ints([call.spec.shape[dim]])
    return call.build.node("TopK", *call.inputs, n, outputs=2, axis=dim, largest=0)[1]


@translation("one_hot")
def one_hot(call: Call, num_classes: int, dtype: DType) -> str:
    values = call.build.constant(np.array([0, 1]), dtype)
    return call.build.node("OneHot", *call.inputs, call.build.ints([num_classes]), values, axis=-1)


@translation("class_labels")
def class_labels(call: Call, **_: Any) -> str:
    return _cast(call, call.inputs[0], np.dtype("int64"))


@translation("embedding")
def embedding(call: Call, padding: int | None) -> str:
    i, w = call.inputs
    return call.build.node("Gather", w, i, axis=0)


@translation("take")
def take(call: Call, index: tuple[Any, ...]) -> str:
    """A Gather for one index tensor; a GatherND for several that stand side by side."""
    x, *indices = call.inputs
    index = _parts(index, call.equation.inputs[0].shape)
    if any(part is not HERE and part != slice(None) for part in index):
        raise unknown(call.equation, " beside other slices")
    places = [d for d, part in enumerate(index) if part is HERE]
    if len(indices) == 1:
        return call.build.node("Gather", x, *indices, axis=places[0])
    first, rank = places[0], call.ndim()
    if places != [*range(first, first + len(places))]:
        raise unknown(call.equation, " of index tensors that do not stand side by side")
    build, depth = call.build, len(call.spec.shape) - rank + len(places)
    kept = slice(first, first + depth)
    shape = build.shape(call.spec.shape[kept], call.other.outputs[0].shape[kept])
    spread = [build.node("Expand", i, shape) for i in indices]
    last = [build.node("Unsqueeze", i, build.ints([depth])) for i in spread]
    rest = [d for d in range(rank) if d not in places]
    front = build.node("Transpose", x, perm=[*places, *rest])
    found = build.node("GatherND", front, build.node("Concat", *last, axis=depth))
    order = [*range(depth, depth + first), *range(depth)]
    return build.node("Transpose", found, perm=[*order, *range(depth + first, depth + len(rest))])


@translation("gather")
def gather(call: Call, dim: int) -> str:
    return call.build.node("GatherElements", *call.inputs, axis=dim)


@translation("scatter_add")
def scatter_add(call: Call, shape: Shape, dim: int) -> str:
    zeros = call.build.node("Expand", call.build.constant(0, call.spec.dtype), call.output_shape())
    x, index = call.inputs
    return call.build.node("ScatterElements", zeros, index, x, axis=dim, reduction="add")


@translation("attention")
def attention(call: Call, causal: bool, scale: float) -> list[str]:
    """softmax(s·q·kᵀ + mask)·v, and the logarithm of the softmax's divisor."""
    build, (q, k, v, *masks) = call.build, call.inputs
    dtype, rank = call.spec.dtype, call.ndim(1)
    order = [*range(rank - 2), rank - 1, rank - 2]
    scaled = build.node("Mul", q, build.constant(scale, dtype))
    scores = build.node("MatMul", scaled, build.node("Transpose", k, perm=order))
    hidden = build.constant(-np.inf, dtype)
    if causal:
        sizes = call.equation.inputs[0].shape[-2], call.equation.inputs[1].shape[-2]
        seen = build.constant(np.tri(*sizes, dtype=np.bool_))
        scores = build.node("Where", seen, scores, hidden)
    for i, mask in enumerate(masks):
        if call.equation.inputs[3 + i].dtype.kind == "b":
            scores = build.node("Where", mask, scores, hidden)
        else:
            scores = build.node("Add", scores, mask)
    level = _reduced(call, "ReduceLogSumExp", scores, (rank - 1,), False)
    return [build.node("MatMul", build.node("Softmax", scores, axis=-1), v), level]
