"""Positions, variances and ln Σ eˣ: reductions over neighbouring dimensions."""

from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import INSTRUCTION_SETS, THREADS, native, reference, same_bits

from chainrule import engine
from chainrule.primitive import registry

SHAPES = [(3, 4, 5), (1, 1, 1), (7, 33, 600), (2, 600, 7), (5, 1, 1030), (1, 2, 70_000)]
FLOATS = [np.float32, np.float64]


@pytest.mark.parametrize("dim", [0, 1, 2, None])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions_are_those_of_numpy(name: str, dtype: Any, dim: int | None) -> None:
    """Few different values, so that many are tied: the first counts. NaN counts before all."""
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        for kind in ("ties", "nan", "infinite"):
            x = rng.integers(-3, 3, shape).astype(dtype)
            if kind != "ties":
                special = np.nan if kind == "nan" else np.inf if name == "argmin" else -np.inf
                x[rng.random(shape) < (0.01 if kind == "nan" else 0.8)] = special
            for threads in THREADS:
                engine.set_num_threads(threads)
                params = {"dim": dim, "keepdim": True}
                assert same_bits(native(name, x, **params), reference(name, x, **params))


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_positions_in_rows_of_every_length(dtype: Any, isa: str) -> None:
    """Rows shorter than a vector, and those whose last vectors overlap the ones before."""
    engine.use_instruction_set(isa)
    rng = np.random.default_rng(3)
    for n in range(1, 200):
        x = rng.integers(0, n, (21, n)).astype(dtype)
        x[3, rng.integers(n)] = np.nan
        for name in ("argmax", "argmin"):
            params = {"dim": 1, "keepdim": False}
            assert same_bits(native(name, x, **params), reference(name, x, **params))


def test_positions_of_one_number_and_of_no_rows() -> None:
    params = {"dim": None, "keepdim": False}
    assert same_bits(native("argmax", np.array(2.0), **params), np.array(0))
    assert native("argmax", np.zeros((0, 3)), dim=1, keepdim=False).shape == (0,)


def cases(name: str) -> list[tuple[int, ...]]:
    """`var` takes any neighbours, `logsumexp` the last dimensions."""
    last = [(2,), (1, 2), (0, 1, 2)]
    return last if name == "logsumexp" else [(0,), (1,), (0, 1), *last]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["var", "logsumexp"])
def test_values(name: str, dtype: Any) -> None:
    rng = np.random.default_rng(1)
    more = {"correction": 1} if name == "var" else {}
    for shape in SHAPES:
        x = (rng.normal(size=shape) * 3 + 5).astype(dtype)
        for dims in cases(name):
            results = []
            for threads in THREADS:
                engine.set_num_threads(threads)
                results.append(native(name, x, dims=dims, keepdim=False, **more))
            assert all(same_bits(r, results[0]) for r in results)
            truth = reference(
                name,
                x.astype(np.longdouble if name == "logsumexp" else np.float64),
                dims=dims,
                keepdim=False,
                **more,
            )
            # var sums in float64; the float32 of ln Σ is that of softmax, sums in many lanes.
            eps = np.finfo(dtype).eps
            bound = 20 * eps if (name, dtype) != ("var", np.float32) else eps
            np.testing.assert_allclose(results[0], truth.astype(np.float64), rtol=bound)


@pytest.mark.parametrize("name", ["var", "logsumexp", "argmax"])
def test_batch_does_not_matter(name: str) -> None:
    x = np.random.default_rng(1).normal(size=(50, 3000)).astype(np.float32)
    params: dict[str, Any] = {"dims": (1,), "keepdim": False}
    if name == "var":
        params["correction"] = 1
    if name == "argmax":
        params = {"dim": 1, "keepdim": False}
    whole = native(name, x, **params)
    assert same_bits(native(name, x[17:18], **params), whole[17:18])


@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values(dtype: Any) -> None:
    inf, nan = np.inf, np.nan
    x = np.array(
        [
            [-inf, -inf, -inf],
            [inf, 1, 2],
            [nan, 1, inf],
            [-inf, 0, 0],
            [inf, -inf, 0],
            [1e4, 1e4, 1e4],
        ],
        dtype,
    )
    for name, more in (("logsumexp", {}), ("var", {"correction": 1}), ("var", {"correction": 3})):
        params = {"dims": (1,), "keepdim": False, **more}
        with np.errstate(all="ignore"):
            expected = reference(name, x, **params)
        np.testing.assert_allclose(native(name, x, **params), expected, rtol=1e-6)


def test_a_variance_of_nothing_is_nan() -> None:
    params = {"dims": (1,), "correction": 1, "keepdim": False}
    assert np.isnan(native("var", np.zeros((3, 0), np.float32), **params)).all()


@pytest.mark.parametrize(
    "name, params",
    [
        ("var", {"dims": (0, 2), "correction": 1}),
        ("logsumexp", {"dims": (0,)}),
        ("logsumexp", {"dims": (0, 2)}),
    ],
)
def test_other_dimensions_are_left_to_the_reference(name: str, params: Any) -> None:
    x = np.ones((2, 3, 4))
    assert engine.run_native(registry[name], (x,), {**params, "keepdim": False}) is None
