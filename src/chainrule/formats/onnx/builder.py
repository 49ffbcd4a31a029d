"""A growing ONNX graph: nodes, constants, and sizes that depend on the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from chainrule.primitive import Array, DType, Shape

INT64 = np.dtype("int64")


class Builder:
    """Nodes and initializers, with names that are given once.

    batch: the sizes of the batch in the two captures whose difference shows which sizes depend on
        it, or None if all sizes are fixed.
    """

    def __init__(self, opset: int, batch: tuple[int, int] | None) -> None:
        self.opset, self.batch = opset, batch
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._constants: dict[tuple[Any, ...], str] = {}
        self._taken: set[str] = set()
        self._size: str | None = None
        self.sizes_from = ""

    def name(self, wanted: str) -> str:
        """A name that no other value has."""
        name, tries = wanted, 2
        while name in self._taken:
            name, tries = f"{wanted}_{tries}", tries + 1
        self._taken.add(name)
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; returns the name of its output, or a list of them."""
        names = [self.name(f"{kind.lower()}_{len(self.nodes)}") for _ in range(outputs)]
        given = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **given))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: DType | None = None, label: str = "") -> str:
        """A constant: an initializer if it has a label, such as a weight, else a node.

        Equal small constants are shared.
        """
        array = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        key = (array.shape, array.dtype, array.tobytes()) if array.size <= 16 and not label else ()
        if key and key in self._constants:
            return self._constants[key]
        name = self.name(label or f"constant_{len(self._constants)}")
        tensor = numpy_helper.from_array(array, name)
        if label:
            self.initializers[name] = tensor
        else:
            self.nodes.append(helper.make_node("Constant", [], [name], name=name, value=tensor))
        if key:
            self._constants[key] = name
        return name

    def ints(self, values: Sequence[int]) -> str:
        return self.constant(np.array(values, INT64))

    def keep(self, outputs: set[str]) -> None:
        """Remove nodes and constants that none of these outputs needs."""
        needed, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                nodes.append(node)
        self.nodes = nodes[::-1]
        self.initializers = {k: v for k, v in self.initializers.items() if k in needed}

    # -- sizes -----------------------------------------------------------------------------------

    def shape(self, first: Shape, second: Shape) -> str:
        """A shape as a tensor, from its sizes in both captures."""
        if tuple(first) == tuple(second) or self.batch is None:
            return self.ints(first)
        parts = [
            self.ints([a]) if a == b else self._multiple(a, b)
            for a, b in zip(first, second, strict=True)
        ]
        return self.node("Concat", *parts, axis=0)

    def _multiple(self, first: int, second: int) -> str:
        """A size that is a multiple of the batch's, plus a fixed number."""
        batch = self.batch or (1, 2)
        factor = (second - first) // (batch[1] - batch[0])
        rest = first - factor * batch[0]
        if self._size is None:
            shape = self.node("Shape", self.sizes_from)
            self._size = self.node("Slice", shape, self.ints([0]), self.ints([1]))
        size = self._size
        if factor != 1:
            size = self.node("Mul", size, self.ints([factor]))
        return self.node("Add", size, self.ints([rest])) if rest else size

    def repeated(self, array: Array, second: Array, label: str) -> str | None:
        """A constant whose size depends on the batch, along which it repeats or counts; else
        None."""
        dims = [d for d in range(array.ndim) if array.shape[d] != second.shape[d]]
        if not dims:
            return None if not np.array_equal(array, second) else self.constant(array, label=label)
        index = tuple(slice(0, 1) if d in dims else slice(None) for d in range(array.ndim))
        small = array[index]
        if (array != small).any() or (second != small).any():
            return self._counted(array, second)
        return self.node("Expand", self.constant(small), self.shape(array.shape, second.shape))

    def _counted(self, array: Array, second: Array) -> str | None:
        """Integers that count along the batch: start, start + step, …"""
        if array.dtype != INT64 or array.size < 2:
            return None
        start, next_ = array.reshape(-1)[:2].tolist()
        step = next_ - start
        for known in (array, second):
            if not np.array_equal(known.reshape(-1), start + step * np.arange(known.size)):
                return None
        end = self.node("Squeeze", self.shape((array.size,), (second.size,)))
        end = self.node("Add", self.node("Mul", end, self.constant(step)), self.constant(start))
        row = self.node("Range", self.constant(start), end, self.constant(step))
        return self.node("Reshape", row, self.shape(array.shape, second.shape))
