"""Messages say what was given, what was expected, what to write; classes are what users catch."""

import pickle

import pytest

import chainrule as cr
from chainrule import errors
from chainrule.errors import ChainruleError, LayerTrail, ShapeError, listing, missing_dependency

BUILTINS = {
    "ShapeError": ValueError,
    "ArgumentError": ValueError,
    "DTypeError": TypeError,
    "OutOfRangeError": IndexError,
    "GradientError": RuntimeError,
    "NotDifferentiableError": NotImplementedError,
    "CaptureError": RuntimeError,
    "LevelError": RuntimeError,
    "GraphError": RuntimeError,
    "NonFiniteError": FloatingPointError,
    "FormatError": ValueError,
    "DownloadError": OSError,
    "CheckpointError": RuntimeError,
    "MissingDependencyError": ImportError,
    "UnknownNameError": AttributeError,
    "NestingError": RecursionError,
    "UninitializedError": ValueError,
    "LinAlgError": RuntimeError,
    "NotDefinedError": NotImplementedError,
    "RankError": RuntimeError,
    "WorkerError": RuntimeError,
}


def test_every_class_is_one_that_a_python_user_catches():
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, ChainruleError)
    }
    kinds.remove("ChainruleError")
    assert kinds == set(BUILTINS)
    for name, builtin in BUILTINS.items():
        assert issubclass(getattr(errors, name), builtin)


def test_the_parts_of_a_message():
    error = ShapeError("cannot add", given=(2,), expected=(3,), instead="Use y.")
    assert str(error) == "cannot add; given: (2,); expected: (3,). Use y."
    assert str(ShapeError("no")) == "no"
    assert "given: 0" in str(ShapeError("no", given=0))


def test_the_way_through_a_model():
    advice = "Did you mean Linear(128, 10)?"
    error = ShapeError("128 features", expected="(..., 784)", instead=advice)
    steps = [("input", "(64, 784)"), ("0 Flatten", "(64, 784)")]
    error.trail = LayerTrail("Linear", "Linear 784 → 10", None, ["4"], steps)
    assert str(error).splitlines() == [
        "in model.4 (Linear 784 → 10): 128 features.",
        "    input      (64, 784)",
        "    0 Flatten  (64, 784)",
        "  > 4 Linear   expects (..., 784)",
        "  Did you mean Linear(128, 10)?",
    ]


@pytest.mark.parametrize("name", BUILTINS)
def test_errors_travel_between_processes(name):
    error = getattr(errors, name)("problem", given=1, expected=2, instead="do")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == str(error) and copy.given == 1


def test_helpers():
    assert listing(range(10), limit=3) == "0, 1, 2 and 7 more"
    assert listing(["a"]) == "a"
    error = missing_dependency("matplotlib", "plot", "A plot")
    assert "A plot needs matplotlib" in str(error) and "'chainrule[plot]'" in str(error)


def test_messages_show_python_numbers():
    """Not NumPy's `np.int64(3)`: a message is read by people."""
    calls = [
        lambda: cr.ones(3)[cr.tensor([0, 7])],
        lambda: cr.tensor([1]) // cr.tensor([0]),
        lambda: cr.tensor([float("nan")]).long(),
        lambda: cr.ones(2, 3).sum(7),
        lambda: cr.ones(2) + cr.ones(3),
        lambda: cr.tensor([[1, 2], [3]]),
    ]
    for call in calls:
        with pytest.raises(ChainruleError) as caught:
            call()
        assert "np." not in str(caught.value) and "<" not in str(caught.value)
