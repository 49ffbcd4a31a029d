"""Typed programs: mypy checks this file strictly (`make check`), as it would check a user's."""

import subprocess
import sys
from pathlib import Path
from typing import Any, assert_type

import chainrule as cr
from chainrule.nn import functional as F
from chainrule.ops.order import Extreme
from chainrule.primitive import Primitive

ROOT = Path(__file__).parent.parent


def positive(x: cr.Tensor) -> cr.Tensor:
    """Records are called as functions are, and return tensors."""
    return cr.where(x > 0, x, cr.zeros(1))


def test_a_record_is_a_primitive_and_is_called_as_its_op() -> None:
    record: Primitive = cr.exp
    assert record.name == "exp"
    x = cr.tensor([-1.0, 2.0])
    assert_type(cr.exp(x), cr.Tensor)
    assert_type(cr.where(x > 0, x, 0.0), cr.Tensor)
    assert_type(cr.where(x > 0), tuple[cr.Tensor, ...])
    assert_type(cr.max(x), cr.Tensor)
    assert_type(x.max(dim=0), Extreme)
    assert_type(cr.sum(F.relu(x), dim=0, keepdim=True), cr.Tensor)
    assert_type(cr.topk(x, 1), Extreme)
    assert_type(cr.split(x, 1), tuple[cr.Tensor, ...])
    assert_type(F.sigmoid(input=x), cr.Tensor)
    assert positive(x).tolist() == [0.0, 2.0]


def test_ops_are_typed_methods() -> None:
    x = cr.tensor([[1.0, 4.0]])
    assert_type(x.sqrt(), cr.Tensor)
    assert_type(x.sum(dim=1, keepdim=True), cr.Tensor)
    assert_type(x.where(x > 2, other=0.0), cr.Tensor)
    assert_type(x.add_(1, alpha=2).clamp_(max=5.0), cr.Tensor)
    assert_type(x @ x.T + 1, cr.Tensor)
    assert x.tolist() == [[3.0, 5.0]]


def test_what_an_op_does_not_take_is_an_error_of_types() -> None:
    """Each line is wrong, and mypy says so: an ignore that nothing needs is an error too."""
    x = cr.ones(2)
    calls: list[Any] = [
        lambda: cr.sum(x, dims=0),  # type: ignore[call-arg]
        lambda: x.softmax(axis=0),  # type: ignore[call-arg]
        lambda: cr.exp("1"),  # type: ignore[arg-type]
        lambda: x.expm2(),  # type: ignore[attr-defined]
    ]
    for call in calls:
        try:
            call()
        except (TypeError, AttributeError):
            continue
        raise AssertionError("this call is no error when it runs")


def test_the_stubs_are_those_of_the_records() -> None:
    """`make stubs` writes them."""
    call = [sys.executable, str(ROOT / "tools" / "stubs.py"), "--check"]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
