"""Every primitive that has a native kernel equals its NumPy reference, on all its samples."""

from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import THREADS, native, reference, same_bits

import chainrule as cr  # registers the primitives
from chainrule import engine
from chainrule.graph import as_tuple
from chainrule.primitive import registry

assert cr.__name__

MUST_HAVE = {
    "add", "sub", "mul", "div", "maximum", "minimum", "neg", "abs", "sign", "square", "floor",
    "ceil", "round", "trunc", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "tanh", "relu",
    "sigmoid", "softplus", "silu", "erf", "normal_cdf", "normal_pdf", "gelu", "gelu_slope",
    "gelu_tanh", "elu", "eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "where",
    "clamp", "clone", "attention", "attention_gradient", "matmul", "linear", "sum", "mean", "amax",
    "amin", "softmax", "log_softmax",
    "softmax_cross_entropy", "take", "put_into", "scatter_add", "random_uniform",
    "softmax_cross_entropy_gradient", "sgd_update", "momentum_update", "adam_update", "embedding",
    "linear_weight", "gate", "leaky_relu", "power", "bitwise_and", "bitwise_or", "bitwise_xor",
    "bitwise_not", "astype", "cat", "sin", "cos", "argmax", "argmin", "var", "logsumexp",
    "rmsprop_update", "adagrad_update",
}  # fmt: skip


def cast(x: Any, dtype: Any) -> Any:
    x = np.asarray(x)
    return x.astype(dtype) if x.dtype.kind == "f" else x


def samples(name: str, dtype: Any) -> list[Any]:
    maker = registry[name].samples
    assert maker is not None
    rng = np.random.default_rng(7)
    return [(tuple(cast(x, dtype) for x in inputs), params) for inputs, params in maker(rng)]


def close(result: Any, expected: Any) -> None:
    # Sums of a few terms in another order than NumPy's; functions of a few ulp each.
    eps = np.finfo(result.dtype).eps if result.dtype.kind == "f" else 0
    np.testing.assert_allclose(result, expected, rtol=30 * eps, atol=30 * eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(MUST_HAVE))
def test_native_equals_reference_on_samples(name: str, dtype: Any) -> None:
    tried = 0
    for inputs, params in samples(name, dtype):
        result = engine.run_native(registry[name], inputs, params)
        if result is None:
            continue
        tried += 1
        expected = reference(name, *inputs, **params)
        for r, e in zip(as_tuple(result), as_tuple(expected), strict=True):
            assert r.shape == np.shape(e) and r.dtype == np.asarray(e).dtype
            close(r, np.asarray(e))
    assert tried, f"no sample of {name} has a native kernel"


ELEMENTWISE = sorted(
    MUST_HAVE - {
        "matmul", "linear", "sum", "mean", "amax", "amin", "softmax", "log_softmax", "astype",
        "softmax_cross_entropy", "take", "put_into", "scatter_add", "random_uniform", "embedding",
        "softmax_cross_entropy_gradient", "sgd_update", "momentum_update", "adam_update",
        "linear_weight", "cat", "attention", "attention_gradient", "argmax", "argmin", "var",
        "logsumexp", "rmsprop_update", "adagrad_update",
    }
)  # fmt: skip
LOGIC = {"bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"}


def operands(name: str, shape: Any, dtype: Any, rng: Any) -> tuple[Any, ...]:
    inputs = []
    for parameter in registry[name].inputs:
        if name in LOGIC or parameter == "condition":
            inputs.append(rng.random(shape) < 0.5)
        else:
            inputs.append(rng.uniform(0.1, 3, shape).astype(dtype))
    return tuple(inputs)


def params_of(name: str) -> dict[str, Any]:
    return {
        "clamp": {"min": 0.5, "max": 2.0}, "elu": {"alpha": 1.5}, "leaky_relu": {"slope": 0.1},
        "power": {"exponent": -1},
    }.get(name, {})  # fmt: skip


@pytest.mark.parametrize("shape", [(), (0,), (1,), (15,), (17, 3), (513,), (3, 700), (2, 3, 5, 7)])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_shapes(name: str, shape: Any) -> None:
    rng = np.random.default_rng(3)
    for dtype in (np.float32, np.float64):
        inputs = operands(name, shape, dtype, rng)
        close(native(name, *inputs, **params_of(name)), reference(name, *inputs, **params_of(name)))


@pytest.mark.parametrize("name", ["exp", "add", "mul", "where", "tanh", "gelu", "div"])
def test_elementwise_layouts(name: str) -> None:
    """Transposed, reversed, strided and broadcast operands."""
    rng = np.random.default_rng(5)
    base = operands(name, (40, 60), np.float32, rng)
    views = [
        lambda x: x.T, lambda x: x[::-1, ::2], lambda x: x[3:17, 5:6], lambda x: x[:, ::-3],
        lambda x: np.broadcast_to(x[:1], x.shape), lambda x: np.broadcast_to(x[:, :1], x.shape),
    ]  # fmt: skip
    for view in views:
        inputs = tuple(view(x) for x in base)
        close(native(name, *inputs), reference(name, *inputs))


@pytest.mark.parametrize("name", ["exp", "tanh", "gelu", "add", "sigmoid", "log", "softplus"])
def test_elementwise_threads_and_position_do_not_matter(name: str) -> None:
    """The same element has the same bits on any number of threads and wherever it stands."""
    rng = np.random.default_rng(11)
    inputs = operands(name, (50_021,), np.float32, rng)
    results = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        results.append(native(name, *inputs))
    assert all(same_bits(r, results[0]) for r in results)
    for start in (1, 7, 513):
        part = native(name, *(x[start : start + 77] for x in inputs))
        assert same_bits(part, results[0][start : start + 77])


SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-38, 88.0, -88.0, 89.5, -104.0,
     3e38, -3e38, 0.5, -0.5, 1e-8, 709.0, -745.0], np.float64,
)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [n for n in ELEMENTWISE if n not in LOGIC and n != "where"])
def test_special_values(name: str, dtype: Any) -> None:
    """NaN, infinities, signed zeros, subnormal numbers and the ends of the range."""
    with np.errstate(all="ignore"):
        x = SPECIAL.astype(dtype)
        pairs = np.array(np.meshgrid(x, x), dtype).reshape(2, -1)
        inputs = tuple(pairs[: len(registry[name].inputs)])
        result = native(name, *inputs, **params_of(name))
        expected = reference(name, *inputs, **params_of(name))
    info = np.finfo(dtype)
    # The reference of erf is 1 − erfc: near 0 right to the spacing of 1 only.
    tiny = info.eps if name == "erf" else info.tiny
    np.testing.assert_allclose(result, expected, rtol=30 * info.eps, atol=tiny)
