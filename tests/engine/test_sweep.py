"""Every op that has a native kernel equals its NumPy reference, on all its samples.

Which ops these are is found by lowering the samples of every record. So an op that gets a kernel
tomorrow is tested tomorrow, and a kernel that no op reaches any more is found.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import THREADS, native, reference, same_bits

import chainrule as cr
from chainrule import engine
from chainrule.graph import as_tuple
from chainrule.kinds import Elementwise
from chainrule.primitive import registry

DTYPES = ("float32", "float64", "int64", "bool")


def samples(name: str, dtype: str) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The samples of an op, their floats cast to a dtype, where its spec rule takes that."""
    maker = registry[name].samples
    for inputs, params in maker(np.random.default_rng(7)) if maker else ():
        arrays = [np.asarray(x) for x in inputs]
        with np.errstate(invalid="ignore"):  # NaN as an integer is some integer
            arrays = [x.astype(dtype) if x.dtype.kind == "f" else x for x in arrays]
        try:
            registry[name].infer(*arrays, **params)
        except (TypeError, ValueError):
            continue
        yield tuple(arrays), params


def lowered(name: str, inputs: Any, params: Any) -> engine.NativeCall | None:
    """The native call of an op, if there is one for these arrays."""
    record = registry[name]
    outputs = [engine.in_order(s.shape, s.dtype) for s in as_tuple(record.infer(*inputs, **params))]
    return engine.lower(record, params, [engine.layout_of(x) for x in inputs], outputs)


CASES = [
    (name, dtype, inputs, params)
    for name in sorted(registry)
    for dtype in DTYPES
    for inputs, params in samples(name, dtype)
    if lowered(name, inputs, params)
]
IDS = [f"{name}-{dtype}-{i}" for i, (name, dtype, _, _) in enumerate(CASES)]
"""Whatever has a kernel."""


def close(result: Any, expected: Any) -> None:
    # Sums of a few terms in another order than NumPy's; functions of a few ulp each.
    eps = np.finfo(result.dtype).eps if result.dtype.kind == "f" else 0
    np.testing.assert_allclose(result, expected, rtol=30 * eps, atol=30 * eps)


def agrees(name: str, inputs: Any, params: Any) -> None:
    results = as_tuple(engine.run(registry[name], inputs, params))
    expected = as_tuple(reference(name, *inputs, **params))
    for r, e in zip(results, map(np.asarray, expected), strict=True):
        assert r.shape == e.shape and r.dtype == e.dtype
        close(r, e)


@pytest.mark.parametrize("name, dtype, inputs, params", CASES, ids=IDS)
def test_native_equals_reference_on_samples(
    name: str, dtype: str, inputs: Any, params: Any
) -> None:
    assert engine.run_native(registry[name], inputs, params) is not None
    agrees(name, inputs, params)


def relaid(x: Any) -> Iterator[Any]:
    """The same numbers, in other places of memory."""
    if not x.ndim:
        return
    yield np.asfortranarray(x)
    yield np.repeat(x, 2, axis=-1)[..., ::2]
    yield x[::-1].copy()[::-1]
    yield np.concatenate([x, x], axis=-1)[..., : x.shape[-1]]


@pytest.mark.parametrize("name, dtype, inputs, params", CASES, ids=IDS)
def test_native_equals_reference_on_other_layouts(
    name: str, dtype: str, inputs: Any, params: Any
) -> None:
    for i, x in enumerate(inputs):
        for same in relaid(x):
            agrees(name, (*inputs[:i], same, *inputs[i + 1 :]), params)


@pytest.mark.parametrize("name, dtype, inputs, params", CASES, ids=IDS)
def test_threads_do_not_matter(name: str, dtype: str, inputs: Any, params: Any) -> None:
    results = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        results.append(as_tuple(engine.run(registry[name], inputs, params)))
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(other, results[0], strict=True))


def test_every_kernel_is_reached() -> None:
    """By an op, or by what the compiler makes of several."""

    @cr.compile
    def step(x: Any) -> Any:
        cr.require((x > 0).all(), ValueError("not positive"))
        return cr.grad(lambda x: (x[:, :2].exp() * x[:, 2:].sin()).sum())(x)

    @cr.compile
    def sum_of_shards(x: Any, y: Any) -> Any:
        product = registry["linear_weight"]
        return product(x, x) + product(y, y)

    step(cr.ones(3, 4))
    sum_of_shards(cr.ones(1, 4), cr.ones(1, 4))
    calls = [lowered(name, inputs, params) for name, _, inputs, params in CASES]
    for function in (step, sum_of_shards):
        calls += function.executables[0].plan.program.calls
    assert {call.kernel for call in calls if call} == set(engine.describe()["kernels"])


# -- elementwise ops, on more shapes, layouts and values than their samples have -------------------

ELEMENTWISE = sorted(
    {
        name
        for name, dtype, inputs, _ in CASES
        if isinstance(registry[name].kind, Elementwise)
        and dtype == "float32"
        and all(x.dtype.kind in "fb" for x in inputs)
    }
)
elementwise = pytest.mark.parametrize("name", ELEMENTWISE)


def sample_of(name: str, dtype: str) -> tuple[Any, dict[str, Any]]:
    """The largest sample that has a kernel."""
    found = [(inputs, params) for n, d, inputs, params in CASES if (n, d) == (name, dtype)]
    return max(found, key=lambda sample: sum(x.size for x in sample[0]))


def operands(name: str, shape: Any, dtype: str, rng: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Inputs in the range of the op's sample, and the parameters of that."""
    sample, params = sample_of(name, dtype)
    drawn = [
        rng.random(shape) < 0.5 if x.dtype == bool else rng.uniform(x.min(), x.max(), shape)
        for x in sample
    ]
    inputs = [np.asarray(y).astype(x.dtype) for x, y in zip(sample, drawn, strict=True)]
    return tuple(inputs), params


@pytest.mark.parametrize("shape", [(), (0,), (1,), (15,), (17, 3), (513,), (3, 700), (2, 3, 5, 7)])
@elementwise
def test_elementwise_shapes(name: str, shape: Any) -> None:
    rng = np.random.default_rng(3)
    for dtype in ("float32", "float64"):
        inputs, params = operands(name, shape, dtype, rng)
        close(native(name, *inputs, **params), reference(name, *inputs, **params))


@elementwise
def test_elementwise_layouts(name: str) -> None:
    """Transposed, reversed, strided and broadcast operands."""
    base, params = operands(name, (40, 60), "float32", np.random.default_rng(5))
    views = [
        lambda x: x.T,
        lambda x: x[::-1, ::2],
        lambda x: x[3:17, 5:6],
        lambda x: x[:, ::-3],
        lambda x: np.broadcast_to(x[:1], x.shape),
        lambda x: np.broadcast_to(x[:, :1], x.shape),
    ]
    for view in views:
        inputs = tuple(view(x) for x in base)
        agrees(name, inputs, params)


@elementwise
def test_elementwise_threads_and_position_do_not_matter(name: str) -> None:
    """The same element has the same bits on any number of threads and wherever it stands."""
    inputs, params = operands(name, (50_021,), "float32", np.random.default_rng(11))
    results = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        results.append(native(name, *inputs, **params))
    assert all(same_bits(r, results[0]) for r in results)
    for start in (1, 7, 513):
        part = native(name, *(x[start : start + 77] for x in inputs), **params)
        assert same_bits(part, results[0][start : start + 77])


SPECIAL = np.array(
    [
        0.0,
        -0.0,
        1.0,
        -1.0,
        np.inf,
        -np.inf,
        np.nan,
        1e-45,
        -1e-45,
        1e-38,
        88.0,
        -88.0,
        89.5,
        -104.0,
        3e38,
        -3e38,
        0.5,
        -0.5,
        1e-8,
        709.0,
        -745.0,
    ],
    np.float64,
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in ELEMENTWISE if engine.is_sweep(registry[n])])
def test_special_values(name: str, dtype: str) -> None:
    """NaN, infinities, signed zeros, subnormal numbers and the ends of the range."""
    sample, params = sample_of(name, dtype)
    with np.errstate(all="ignore"):
        x = SPECIAL.astype(dtype)
        pairs = np.array(np.meshgrid(x, x), dtype).reshape(2, -1)
        values = [pairs[0], pairs[1], pairs[0] - pairs[1]]
        inputs = tuple(v.astype(s.dtype) for s, v in zip(sample, values, strict=False))
        result = native(name, *inputs, **params)
        expected = reference(name, *inputs, **params)
    info = np.finfo(dtype)
    # The reference of erf is 1 − erfc: near 0 right to the spacing of 1 only.
    tiny = info.eps if name == "erf" else info.tiny
    np.testing.assert_allclose(result, expected, rtol=30 * info.eps, atol=tiny)
