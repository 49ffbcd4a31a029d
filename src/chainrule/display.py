"""How a tensor shows itself: as text, and as HTML in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.graph import Value

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

_PLAIN = (np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.bool_))
_SHOWN = 10


def text(x: Tensor) -> str:
    """`tensor([1., 2.], requires_grad=True)`: the numbers, and what is not as usual."""
    data = x._data
    if isinstance(data, Value):
        return f"tensor({data})"
    notes = "" if x.dtype in _PLAIN else f", dtype={x.dtype}"
    if x._node is not None:
        notes += f", from={x._node.primitive.name}"
    elif x._requires_grad:
        notes += ", requires_grad=True"
    if data.size == 0 and data.shape != (0,):
        notes = f", shape={data.shape}" + notes
    body = np.array2string(data, separator=", ", prefix="tensor(", threshold=1000, precision=4)
    return f"tensor({body}{notes})"


def html(x: Tensor) -> str:
    """A table of the first rows and columns of a matrix, with shape and dtype above it."""
    title = f"<b>tensor</b> {x.spec}" + (" · requires grad" if x.requires_grad else "")
    if isinstance(x._data, Value):
        return f"<div>{title}</div>"
    if x.ndim not in (1, 2):
        return f"<div>{title}</div><pre>{np.array2string(x._data, precision=4)}</pre>"
    rows = np.atleast_2d(x._data)[:_SHOWN, :_SHOWN]
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    whole = rows.size == x._data.size
    more = "" if whole else f"<div>the first {_SHOWN} rows and columns</div>"
    return f"<div>{title}<table>{body}</table>{more}</div>"


def _cell(value: np.generic) -> str:
    return f"{value:.4g}" if value.dtype.kind == "f" else str(value)
