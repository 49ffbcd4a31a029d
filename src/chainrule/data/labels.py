"""Labels: which labels are classes, the names of the classes, and their order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import numpy as np

from chainrule.data.cells import is_number
from chainrule.data.transforms import Array
from chainrule.errors import FormatError, listing

LABEL_NAMES = ("label", "target", "class", "species", "y")
"""A column with one of these names is the label by default."""

_LONGEST = 30
_FEW, _SOME, _MANY = 5, 10, 20
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_CODE = re.compile(r"[+-]?(0\d+|\d{16,})", re.ASCII)


def encode_labels(
    raw: Array, classes: Sequence[str] | None = None, where: str = "the labels"
) -> tuple[Array, tuple[str, ...]]:
    """Label values as int64 0 ... C−1, and the names of the classes in this order.

    Numbers, also as text, are ordered by value, and other text by code point. `classes` gives the
    order of training.

    >>> encode_labels(np.array(["rose", "iris", "rose"]))
    (array([1, 0, 1]), ('iris', 'rose'))
    """
    values, codes = np.unique(raw, return_inverse=True)
    found = [_name(value) for value in values]
    names = tuple(classes or (sorted(found, key=_order) if all(map(is_number, found)) else found))
    places = {name: place for place, name in enumerate(names)}
    if unknown := [name for name in found if name not in places]:
        raise FormatError(
            f"{where} contain classes that training did not know: {listing(unknown)}",
            expected=listing(names),
        )
    order = np.array([places[name] for name in found], np.int64)
    return order[codes.reshape(-1)], names


def _name(value: object) -> str:
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _order(name: str) -> tuple[float, str]:
    return float(name), name


def label_text(cell: str) -> str:
    """The name of a label: its text, without redundant decimals.

    `007` and `7` are two classes. `1.0` and `1.00e+00` are the class `1`.

    >>> [label_text(cell) for cell in ("007", "1.0", "2.50", "rose")]
    ['007', '1', '2.5', 'rose']
    """
    if cell.lstrip("+-").isdigit() or not is_number(cell):
        return cell
    try:
        number = Decimal(cell)
    except InvalidOperation:  # an exponent beyond what Decimal holds
        return cell
    if abs(number.adjusted()) > _LONGEST:
        return cell
    text = format(number.copy_abs(), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"-{text}" if number < 0 else text


def is_code(text: str) -> bool:
    """Whether digits are a code, not a number: they begin with 0, or float64 cannot represent them.

    >>> is_code("007"), is_code("12345678901234567"), is_code("7"), is_code("0.5")
    (True, True, False, False)
    """
    return bool(_CODE.fullmatch(text))


def are_classes(names: Sequence[str]) -> bool:
    """Whether numeric labels are treated as classes: codes, or few different whole numbers.

    Few means at most 5. If each label occurs at least twice on average, few means at most 10, or at
    most 20 if the labels count up from 0 or 1.

    >>> are_classes(["0", "1", "1"]), are_classes(["0.5", "1"]), are_classes(list("123456"))
    (True, False, False)
    """
    different = {*names}
    if any(map(is_code, different)):
        return True
    if len(different) > _MANY or not all(map(_WHOLE.fullmatch, different)):
        return False
    numbers = {int(name) for name in different}
    counting = max(numbers) - min(numbers) == len(numbers) - 1 and min(numbers) in (0, 1)
    most = (_MANY if counting else _SOME) if 2 * len(different) <= len(names) else _FEW
    return len(different) <= most
