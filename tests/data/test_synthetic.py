"""The generators: shapes, seeds, and the geometry each formula promises."""

import numpy as np
import pytest

from chainrule.data import blobs, circles, moons, rings, sine, spirals, xor
from chainrule.errors import ArgumentError

TWO_CLASSES = [moons, circles, xor]
PLANE = [*TWO_CLASSES, rings, spirals, blobs]


@pytest.mark.parametrize("make", PLANE, ids=lambda f: f.__name__)
def test_classes_are_balanced_and_seeded(make):
    data = make(120)
    x, y = data.arrays
    assert (x.shape, x.dtype) == ((120, 2), np.float32)
    assert (y.shape, y.dtype) == ((120,), np.int64)
    assert data.task == "classification"
    assert np.ptp(np.bincount(y, minlength=len(data.classes))) == 0
    assert make(120).arrays[0].tobytes() == x.tobytes()
    assert make(120, seed=1).arrays[0].tobytes() != x.tobytes()
    assert not np.array_equal(np.sort(y), y)
    with pytest.raises(ArgumentError, match="samples"):
        make(1)
    with pytest.raises(ArgumentError, match="noise"):
        make(120, noise=-1)


@pytest.mark.parametrize("make", TWO_CLASSES, ids=lambda f: f.__name__)
def test_column_targets_hold_the_same_classes(make):
    column = make(50, targets="column")
    assert column.arrays[1].shape == (50, 1)
    assert column.arrays[1].dtype == np.float32
    assert column.task == "classification"
    np.testing.assert_array_equal(column.arrays[1][:, 0], make(50).arrays[1])
    with pytest.raises(ArgumentError, match="targets"):
        make(50, targets="both")


def test_moons_are_half_circles():
    x, y = moons(200, noise=0).arrays
    centre = np.where(y[:, None] == 0, [0, 0], [1, 0.5])
    # 1e-6: float32 rounding of coordinates up to 2.
    np.testing.assert_allclose(np.linalg.norm(x - centre, axis=1), 1, atol=1e-6)
    assert (x[y == 0, 1] >= 0).all()
    assert (x[y == 1, 1] <= 0.5).all()


def test_rings_and_circles_have_their_radii():
    x, y = circles(100, noise=0, factor=0.3).arrays
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), np.where(y == 0, 1, 0.3), atol=1e-6)
    x, y = rings(100, classes=4, noise=0).arrays
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), (y + 1) / 4, atol=1e-6)
    with pytest.raises(ArgumentError, match="factor"):
        circles(100, factor=1)
    with pytest.raises(ArgumentError, match="classes"):
        rings(100, classes=1)


def test_spiral_arms_follow_their_formula():
    x, y = spirals(300, classes=3, noise=0).arrays
    radius, angle = np.linalg.norm(x, axis=1), np.arctan2(x[:, 1], x[:, 0])
    turn = (angle / (2 * np.pi) - radius - y / 3) % 1
    # Near the origin the angle of a float32 point is rounding noise.
    np.testing.assert_allclose(np.minimum(turn, 1 - turn)[radius > 0.01], 0, atol=1e-5)


def test_xor_and_blobs():
    x, y = xor(100, noise=0.1).arrays
    assert ((np.sign(x[:, 0]) != np.sign(x[:, 1])) == (y == 1)).all()
    x, y = blobs(90, classes=3, noise=0, features=5).arrays
    assert x.shape == (90, 5)
    assert all(len(np.unique(x[y == label], axis=0)) == 1 for label in range(3))


def test_sine_is_a_regression():
    data = sine(200, noise=0)
    x, y = data.arrays
    assert data.task == "regression"
    assert (x.shape, y.shape, y.dtype) == ((200, 1), (200, 1), np.float32)
    np.testing.assert_allclose(y, np.sin(np.pi * x), atol=1e-6)
    # 0.1 within six standard errors of a standard deviation of 2000 numbers.
    assert abs((sine(2000).arrays[1] - np.sin(np.pi * sine(2000).arrays[0])).std() - 0.1) < 0.01
