"""Convolution and its gradients: any geometry and layout, the same bits on any threads."""

from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import INSTRUCTION_SETS, THREADS, native, reference, same_bits

from chainrule import engine
from chainrule.engine import Instruction, Program, external
from chainrule.ops.window import Geometry
from chainrule.primitive import Spec

# images, kernels, geometry
PLAIN = [
    ((2, 1, 28, 28), (4, 1, 3, 3), Geometry.of(2, padding=(1, 1))),
    ((3, 4, 14, 14), (8, 4, 3, 3), Geometry.of(2, padding=(1, 1))),
    ((2, 1, 28, 28), (32, 1, 3, 3), Geometry.of(2)),
    ((2, 32, 13, 13), (64, 32, 3, 3), Geometry.of(2)),
    ((1, 1, 1, 1), (1, 1, 1, 1), Geometry.of(2)),
    ((5, 3, 7, 9), (33, 3, 1, 1), Geometry.of(2)),
    ((2, 70, 6, 5), (5, 70, 3, 3), Geometry.of(2, padding=(2, 1))),
    ((1, 3, 40, 50), (17, 3, 5, 5), Geometry.of(2, padding=(2, 2))),
    ((1, 2, 9, 35), (3, 2, 2, 7), Geometry.of(2)),
    ((2, 130, 5, 4), (20, 130, 3, 2), Geometry.of(2)),
]
ODD = [
    ((2, 3, 12, 13), (5, 3, 3, 3), Geometry.of(2, stride=(2, 2), padding=(1, 1))),
    ((1, 3, 30, 31), (40, 3, 7, 7), Geometry.of(2, stride=(2, 2), padding=(3, 3))),
    ((2, 4, 11, 9), (6, 4, 3, 2), Geometry.of(2, stride=(3, 2), padding=(0, 1), dilation=(1, 2))),
    ((2, 4, 11, 12), (6, 4, 3, 3), Geometry.of(2, dilation=(2, 3), padding=(2, 5))),
    ((2, 6, 10, 9), (4, 3, 3, 3), Geometry.of(2, groups=2, padding=(1, 1))),
    ((2, 8, 10, 9), (8, 1, 3, 3), Geometry.of(2, groups=8, padding=(1, 1))),
    ((1, 2, 4, 4), (3, 2, 1, 1), Geometry.of(2, padding=(3, 2))),
    ((2, 5, 9, 3), (40, 5, 4, 3), Geometry.of(2, dilation=(2, 1))),
    ((2, 20, 9, 14), (3, 20, 2, 3), Geometry.of(2, stride=(2, 1))),
    ((2, 64, 6, 6), (64, 64, 3, 3), Geometry.of(2, padding=(2, 2))),
    ((1, 2, 8, 8), (3, 2, 1, 1), Geometry.of(2, stride=(4, 5))),
    ((0, 2, 8, 8), (3, 2, 3, 3), Geometry.of(2)),
    ((2, 3, 9, 8), (4, 3, 3, 3), Geometry((1, 1), ((0, 2), (1, 0)), (1, 1))),
    ((2, 3, 9, 8), (18, 3, 3, 2), Geometry((2, 1), ((0, 1), (0, 3)), (1, 2))),
    ((2, 3, 9, 8), (4, 3, 3, 3), Geometry((1, 2), ((1, -1), (0, -2)), (1, 1))),
]
PHASES = [
    ((2, 16, 9, 10), (20, 16, 3, 3), Geometry.of(2, stride=(3, 2), padding=(1, 0))),
    ((2, 20, 11, 35), (6, 20, 4, 5), Geometry.of(2, stride=(2, 3), padding=(2, 3))),
    (
        (2, 17, 13, 12),
        (4, 17, 3, 3),
        Geometry.of(2, stride=(2, 2), padding=(2, 1), dilation=(2, 3)),
    ),
    ((1, 5, 30, 29), (3, 5, 4, 3), Geometry.of(2, stride=(4, 6), padding=(1, 8), dilation=(6, 4))),
    ((2, 40, 8, 9), (6, 20, 2, 2), Geometry.of(2, stride=(3, 3), groups=2)),
    ((2, 6, 8, 35), (6, 1, 3, 3), Geometry.of(2, stride=(2, 2), padding=(1, 1), groups=6)),
    ((2, 18, 7, 5), (3, 18, 1, 1), Geometry.of(2, stride=(9, 2))),
    ((1, 18, 3, 300), (3, 18, 2, 3), Geometry.of(2, stride=(1, 2), padding=(1, 1))),
    ((1, 70, 4, 9), (100, 70, 3, 4), Geometry.of(2, stride=(2, 2), padding=(1, 1))),
    ((2, 17, 9, 12), (3, 17, 3, 3), Geometry((2, 3), ((1, -1), (0, 4)), (1, 2))),
]
"""Strides whose gradient by the input has phases: larger than the kernel or the image, with common
divisors of the dilation, in groups, across blocks of channels."""
BORDERS = [
    ((1, 3, 4, width), (17, 3, 3, 3), Geometry((1, 1), ((1, 2), (left, right)), (1, 1)))
    for width, left, right in [(1, 1, 1), (2, 2, 0), (16, 1, 1), (17, 0, 2), (33, 2, 2), (5, 3, 3)]
]
"""Rows that are read in place, whose border is skipped."""
ROWS = [
    ((2, 3, 40), (5, 3, 4), Geometry.of(1, stride=2, padding=1, dilation=2)),
    ((2, 4, 30), (18, 2, 3), Geometry.of(1, padding=1, groups=2)),
    ((2, 3, 2500), (20, 3, 5), Geometry.of(1, padding=2)),
    ((1, 1, 2500), (2, 1, 3), Geometry.of(1)),
    ((1, 2, 2500), (3, 2, 7), Geometry((2,), ((0, 5),), (3,))),
    ((2, 1, 3, 2100), (2, 1, 2, 3), Geometry.of(2, padding=1)),
    ((1, 2, 3, 2100), (20, 2, 2, 3), Geometry.of(2, padding=(0, 1))),
]
"""One dimension, and rows that are longer than a band of the gradient by the weights."""


def operands(case: Any, dtype: Any) -> tuple[Any, Any, Any, Geometry]:
    """Images x, kernels w, and u in the shape of the result."""
    image, kernel, geometry = case
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=image).astype(dtype), rng.normal(size=kernel).astype(dtype)
    out = geometry.positions(image, kernel)
    return x, w, rng.normal(size=(image[0], kernel[0], *out)).astype(dtype), geometry


def all_three(x: Any, w: Any, u: Any, geometry: Geometry, run: Any = native) -> tuple[Any, ...]:
    return (
        run("convolution", x, w, geometry=geometry),
        run("convolution_input", u, w, shape=x.shape, geometry=geometry),
        run("convolution_weight", x, u, shape=w.shape, geometry=geometry),
    )


def close(results: Any, truths: Any) -> None:
    for result, truth in zip(results, truths, strict=True):
        eps = np.finfo(result.dtype).eps
        # A sum of n products of numbers near 1, rounded n times, errs by about √n·eps·√n at most.
        size = np.abs(truth).max(initial=1.0)
        np.testing.assert_allclose(result, truth, rtol=0, atol=40 * eps * size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", PLAIN + ODD + PHASES + BORDERS + ROWS)
def test_equals_reference(case: Any, dtype: Any) -> None:
    x, w, u, geometry = operands(case, dtype)
    wide = [a.astype(np.float64) for a in (x, w, u)]
    close(all_three(x, w, u, geometry), all_three(*wide, geometry, run=reference))


@pytest.mark.parametrize("isa", INSTRUCTION_SETS[1:])
@pytest.mark.parametrize("case", PLAIN + ODD + PHASES + BORDERS + ROWS)
def test_other_instruction_sets(case: Any, isa: str) -> None:
    engine.use_instruction_set(isa)
    x, w, u, geometry = operands(case, np.float32)
    wide = [a.astype(np.float64) for a in (x, w, u)]
    close(all_three(x, w, u, geometry), all_three(*wide, geometry, run=reference))


@pytest.mark.parametrize("case", [*PLAIN[:4], ODD[1], ODD[4], PHASES[0]])
def test_threads_do_not_matter(case: Any) -> None:
    image, kernel, geometry = case
    x, w, u, geometry = operands(((21, *image[1:]), kernel, geometry), np.float32)
    results = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        results.append(all_three(x, w, u, geometry))
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(other, results[0], strict=True))


@pytest.mark.parametrize("case", [*PLAIN[:4], ODD[0], ODD[4], PHASES[2]])
def test_the_rest_of_the_batch_does_not_matter(case: Any) -> None:
    image, kernel, geometry = case
    x, w, u, geometry = operands(((9, *image[1:]), kernel, geometry), np.float32)
    y, by_x, _ = all_three(x, w, u, geometry)
    for part in (slice(4, 5), slice(2, 9)):
        again = all_three(x[part], w, u[part], geometry)
        assert same_bits(again[0], y[part]) and same_bits(again[1], by_x[part])


@pytest.mark.parametrize("case", [PLAIN[1], PLAIN[3], ODD[2]])
def test_layouts(case: Any) -> None:
    """Transposed, reversed and repeated operands are read where they are."""
    x, w, u, geometry = operands(case, np.float32)
    expected = all_three(x, w, u, geometry)
    turned = (0, 3, 2, 1)
    columns = [a.transpose(turned).copy().transpose(turned) for a in (x, w, u)]
    twice = [np.repeat(a, 2, axis=1)[:, ::2] for a in (x, w, u)]
    for views in (columns, twice, [np.flip(np.flip(a, 2).copy(), 2) for a in (x, w, u)]):
        results = all_three(*views, geometry)
        assert all(same_bits(a, b) for a, b in zip(results, expected, strict=True))
    one = np.broadcast_to(np.float32(0.5), u.shape)
    close(all_three(x, w, one, geometry), all_three(x, w, one.copy(), geometry))


def test_a_kernel_that_sees_nan_and_infinity() -> None:
    x, w, _, geometry = operands(PLAIN[1], np.float32)
    x[0, 1, 3, 3], x[1, 2, 5, 6] = np.nan, np.inf
    y = native("convolution", x, w, geometry=geometry)
    truth = reference("convolution", x, w, geometry=geometry)
    assert np.array_equal(np.isnan(y), np.isnan(truth))
    assert np.array_equal(np.isinf(y), np.isinf(truth))


def test_pixels_that_no_window_sees_do_not_count() -> None:
    """Infinities behind the last window, left out by a negative padding."""
    geometry = Geometry((1, 1), ((0, 0), (0, -2)), (1, 1))
    x, w, u, _ = operands(((2, 1, 9, 21), (1, 1, 3, 3), geometry), np.float32)
    plain = all_three(x, w, u, geometry)
    x[..., 19:] = np.inf
    results = all_three(x, w, u, geometry)
    assert same_bits(results[0], plain[0]) and same_bits(results[2], plain[2])


@pytest.mark.parametrize(
    "case", [PLAIN[1], PLAIN[6], ODD[0], ODD[4], *PHASES[6:9], ROWS[0], ROWS[1]]
)
def test_bias(case: Any) -> None:
    """The bits of the convolution, or its adjoint, and then of the sum."""
    x, w, u, geometry = operands(case, np.float32)
    rng, ones = np.random.default_rng(1), (1,) * (x.ndim - 2)
    b, c = (rng.normal(size=n).astype(np.float32) for n in (u.shape[1], x.shape[1]))
    y = native("convolution", x, w, geometry=geometry)
    assert same_bits(native("convolution", x, w, b, geometry=geometry), y + b.reshape(-1, *ones))
    params = {"shape": x.shape, "geometry": geometry}
    y = native("convolution_input", u, w, **params)
    assert same_bits(native("convolution_input", u, w, c, **params), y + c.reshape(-1, *ones))


@pytest.mark.parametrize("case", [*PLAIN[:4], PLAIN[6], ODD[1], ODD[4]])
@pytest.mark.parametrize("name", ["convolution", "convolution_relu"])
def test_bias_and_activation_on_the_way_out(case: Any, name: str) -> None:
    """The bits of the three ops one after the other."""
    x, w, u, geometry = operands(case, np.float32)
    b = np.random.default_rng(1).normal(size=len(w)).astype(np.float32)
    arrays = [x, w, b, np.zeros_like(u)]
    program = Program(
        [Instruction(name, (0, 1, 2), (3,), {"geometry": geometry})],
        [external(i, a.shape, a.dtype) for i, a in enumerate(arrays)],
        [Spec(a.shape, a.dtype) for a in arrays],
    )
    program.run(arrays)
    expected = native("add", native("convolution", x, w, geometry=geometry), b[:, None, None])
    if name == "convolution_relu":
        expected = native("relu", expected)
    assert same_bits(arrays[3], expected)
