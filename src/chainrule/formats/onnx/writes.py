"""Ops that write at positions, and those that find positions, in ONNX."""

from __future__ import annotations

from typing import Any

from onnx import helper

from chainrule.formats.onnx.table import Call, translation, unknown
from chainrule.ops.positions import HERE, indexed_shape, spelled_out
from chainrule.primitive import Shape


@translation("slice_into")
def slice_into(call: Call, shape: Shape, index: tuple[Any, ...]) -> str:
    return _padded(call, 0, shape, index)


def _padded(call: Call, number: int, shape: Shape, index: tuple[Any, ...]) -> str:
    """The input with this number in a slice: zeros between the elements for a step, then zeros
    before and after them."""
    build, y, rank = call.build, call.inputs[number], call.ndim(number)
    parts = [part for part in spelled_out(index, shape) if part is not Ellipsis]
    if any(not isinstance(part, slice) for part in parts):
        raise unknown(call.equation, f" with the index {index}")
    zero = build.constant(0, call.spec.dtype)
    sizes = list(call.equation.inputs[number].shape), list(call.other.inputs[number].shape)
    before, after = [0] * rank, [0] * rank
    for d, part in enumerate(parts):
        start, stop, step = part.indices(shape[d])
        count = len(range(start, stop, step))
        if step < 1:
            raise unknown(call.equation, f" with the index {index}")
        if step > 1 and count:
            y = build.node("Unsqueeze", y, build.ints([d + 1]))
            ends = [0] * 2 * (rank + 1)
            ends[rank + 1 + d + 1] = step - 1
            y = build.node("Pad", y, build.ints(ends), zero)
            for known in sizes:
                known[d] *= step
            y = build.node("Reshape", y, build.shape(tuple(sizes[0]), tuple(sizes[1])))
        before[d], after[d] = start, shape[d] - start - count * step
    return build.node("Pad", y, build.ints([*before, *after]), zero)


@translation("overwrite")
def overwrite(call: Call, index: tuple[Any, ...]) -> str:
    return _scattered(call, call.inputs[0], 1, index, None)


@translation("add_at")
def add_at(call: Call, index: tuple[Any, ...]) -> str:
    if HERE in index:
        return _scattered(call, call.inputs[0], 1, index, "add")
    whole, part = call.spec.shape, call.equation.inputs[1].shape
    if indexed_shape(whole, index) != part:
        raise unknown(call.equation, " of a value that broadcasts")
    return call.build.node("Add", call.inputs[0], _padded(call, 1, whole, index))


@translation("put_into")
def put_into(call: Call, shape: Shape, index: tuple[Any, ...]) -> str:
    zeros = call.build.node("Expand", call.build.constant(0, call.spec.dtype), call.output_shape())
    return _scattered(call, zeros, 0, index, "add")


@translation("fold_into")
def fold_into(call: Call, how: str) -> str:
    reduction = {"prod": "mul", "amax": "max", "amin": "min"}[how]
    if call.build.opset < 18 and reduction != "mul":
        raise unknown(call.equation, " before opset 18")
    return _scattered(call, call.inputs[0], 1, (HERE,) * (len(call.inputs) - 2), reduction)


def _scattered(
    call: Call, base: str, value: int, index: tuple[Any, ...], reduction: str | None
) -> str:
    """A ScatterND of input `value` into the base, at the index tensors that follow it."""
    build, rank = call.build, len(call.spec.shape)
    index = tuple(p for p in spelled_out(index, call.spec.shape) if p is not Ellipsis)
    places = [d for d, part in enumerate(index) if part is HERE]
    if any(part is not HERE and part != slice(None) for part in index) or not places:
        raise unknown(call.equation, " at other slices")
    first = places[0]
    if places != [*range(first, first + len(places))]:
        raise unknown(call.equation, " at index tensors that do not stand side by side")
    parts, spreads = [], []
    for equation in (call.equation, call.other):
        tensors = tuple(equation.inputs[value + 1 :])
        part = indexed_shape(equation.outputs[0].shape, index, tensors)
        depth = len(part) - rank + len(places)
        parts.append(part)
        spreads.append(part[first : first + depth])
    shape = build.shape(*spreads)
    spread = [build.node("Expand", name, shape) for name in call.inputs[value + 1 :]]
    last = [build.node("Unsqueeze", name, build.ints([depth])) for name in spread]
    where = build.node("Concat", *last, axis=depth)
    updates = build.node("Expand", call.inputs[value], build.shape(*parts))
    rest = [d for d in range(rank) if d not in places]
    if first:
        base = build.node("Transpose", base, perm=[*places, *rest])
        spare = [d for d in range(len(parts[0])) if not first <= d < first + depth]
        updates = build.node("Transpose", updates, perm=[*range(first, first + depth), *spare])
    y = build.node("ScatterND", base, where, updates, reduction=reduction)
    back = sorted(range(rank), key=[*places, *rest].__getitem__)
    return build.node("Transpose", y, perm=back) if first else y


@translation("sorted_position")
def sorted_position(call: Call, right: bool) -> str:
    """How many elements of the row are smaller, or not larger."""
    build, (rows, x) = call.build, call.inputs
    if call.ndim() > 1:
        rows = build.node("Unsqueeze", rows, build.ints([call.ndim() - 1]))
    x = build.node("Unsqueeze", x, build.ints([call.ndim(1)]))
    smaller = build.node("LessOrEqual" if right else "Less", rows, x)
    kind = helper.np_dtype_to_tensor_dtype(call.spec.dtype)
    counted = build.node("Cast", smaller, to=kind)
    return build.node("ReduceSum", counted, build.ints([call.ndim(1)]), keepdims=0)
