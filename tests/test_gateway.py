"""`apply`: scalars are weak, dtypes meet in one place, the rule comes before arithmetic."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import settings
from chainrule.autograd import AnomalyDetector
from chainrule.errors import GraphError


def test_python_numbers_are_weak():
    for dtype in ("float16", "float32", "float64"):
        x = cr.ones(2, dtype=dtype)
        results = [x + 1, x * 2.5, 3 - x, 1 / x, x**2, x * True, cr.maximum(x, 0)]
        for y in results:
            assert y.dtype == dtype
    for dtype in ("int8", "uint8", "int64"):
        x = cr.ones(2, dtype=dtype)
        assert (x + 1).dtype == dtype
        assert (x + 1.0).dtype == (x / 2).dtype == x.sqrt().dtype == cr.float32
    assert (cr.tensor([True]) + True).dtype == cr.bool
    assert (cr.tensor([True]) + 1).dtype == cr.int64


def test_the_default_dtype_is_what_integers_become():
    with settings.use(default_dtype=np.dtype(np.float64)):
        x = cr.ones(2, dtype="int64")
        assert (x + 1.5).dtype == x.exp().dtype == cr.tensor([1.0]).dtype == np.float64
    assert (cr.ones(2, dtype="int64") + 1.5).dtype == np.float32


def test_minus_zero_stays_minus_zero():
    x = cr.tensor([1.0])
    assert np.signbit((x * -0.0).numpy()).all()
    assert not np.signbit((x * 0.0).numpy()).any()
    assert not np.signbit((x * 0).numpy()).any()


def test_numbers_that_do_not_fit():
    with pytest.raises(ValueError, match=r"300 does not fit into uint8"):
        cr.ones(2, dtype="uint8") + 300
    with pytest.raises(ValueError, match="does not fit"):
        cr.ones(2) * 10**400
    assert (cr.ones(2) * 1e300).isinf().all()


def test_integers_widen():
    a, b = cr.ones(2, dtype="int8"), cr.ones(2, dtype="uint8")
    assert (a + b).dtype == np.int16
    assert (a + b.long()).dtype == np.int64
    assert (a + cr.ones(2, dtype="float16")).dtype == np.float16


def test_a_gradient_comes_back_in_its_inputs_dtype():
    x = cr.ones(2, dtype="float16", requires_grad=True)
    (x.float() * 2.0).sum().backward()
    assert x.grad.dtype == np.float16


def test_errors_come_before_any_arithmetic():
    """A step that fails leaves no node and no change behind."""
    x = cr.ones(2, 3, requires_grad=True)
    version = x._version
    for call in (lambda: x + cr.ones(4), lambda: x @ cr.ones(2, 2), lambda: x.sum(5)):
        with pytest.raises((ValueError, IndexError)):
            call()
    assert x._version == version and x.grad is None


def test_an_unknown_op_is_named():
    with pytest.raises(GraphError, match=r"no primitive `nonsense`.*matmul"):
        cr.apply("nonsense", cr.ones(1))


def test_an_interpreter_sees_every_op():
    seen = []

    class Spy(AnomalyDetector):
        def run(self, primitive, inputs, params):
            seen.append(primitive.name)
            return super().run(primitive, inputs, params)

    x = cr.ones(2, requires_grad=True)
    with settings.use(interpreter=Spy()):
        (x * x).sum().backward()
    assert seen == ["mul", "sum", "expand", "mul", "mul", "add"]


def test_the_record_of_an_op():
    add = cr.ops.elementwise.add
    assert "primitive add" in repr(add) and add.formula.startswith("y = a + b")
    assert add(cr.ones(1), 1).item() == 2
    assert not add.saved_inputs and not add.saved_outputs, "add keeps nothing"
    assert cr.ops.elementwise.exp.saved_outputs == ["y"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"forward": lambda x: x}, "no `forward` or no `infer`"),
        ({"forward": lambda x: x, "infer": lambda x: x, "backward": None}, "backward"),
        ({"forward": lambda x: x, "infer": lambda x: x, "vjp": lambda g, z: g}, "asks for z"),
    ],
)
def test_an_incomplete_record_is_refused(fields, words):
    with pytest.raises(GraphError, match=words):
        cr.primitive(type("incomplete_demo", (), fields))
    assert "incomplete_demo" not in cr.primitive.__globals__["registry"]


def test_one_name_has_one_home():
    for taken in ("add", "stack"):
        fields = {"forward": lambda x: x, "infer": lambda x: x}
        with pytest.raises(GraphError, match=f"already an op `{taken}`"):
            cr.primitive(type(taken, (), fields))


def test_a_derivative_with_the_wrong_number_of_gradients():
    fields = {
        "__doc__": "y = x.",
        "forward": lambda x: x.copy(),
        "infer": lambda x: x,
        "vjp": lambda g: (g, g),
    }
    op = cr.primitive(type("two_demo", (), fields))
    try:
        with pytest.raises(TypeError, match=r"`two_demo` returned 2 gradients.*1 inputs"):
            op(cr.ones(1, requires_grad=True)).backward()
    finally:
        for table in ("registry", "operations"):
            del cr.primitive.__globals__[table]["two_demo"]
