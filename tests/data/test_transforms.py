"""Transforms: values against the formula, refusals, and the round trip through JSON."""

import json

import numpy as np
import pytest

from chainrule.data import (
    CenterCrop,
    Compose,
    Flatten,
    Normalize,
    OneHot,
    RandomCrop,
    RandomHorizontalFlip,
    RandomShift,
    Rescale,
    Standardize,
    Transform,
    deterministic,
    transform_from_config,
)
from chainrule.errors import (
    ArgumentError,
    DTypeError,
    FormatError,
    NonFiniteError,
    OutOfRangeError,
    ShapeError,
)

IMAGES = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)


def rng():
    return np.random.Generator(np.random.Philox(key=[1, 2]))


def test_rescale_divides_exactly_and_keeps_floats():
    pixels = np.arange(256, dtype=np.uint8)[None]
    y = Rescale(255)(pixels)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, pixels.astype(np.float32) / np.float32(255))
    assert Rescale(2)(np.ones(3)).dtype == np.float64
    assert Rescale(2, dtype="float16")(pixels).dtype == np.float16
    for dtype in ("bool", "int8", "uint8", "uint16", "int64", ">i2", ">f4"):
        x = np.array([[0, 1, 3], [1, 0, 1]]).astype(dtype)[:, ::2]
        np.testing.assert_array_equal(Rescale(3)(x), x.astype("f4") / np.float32(3))


def test_normalize_is_per_channel():
    y = Normalize([1, 2, 3], [1, 2, 4])(IMAGES)
    for channel, (mean, std) in enumerate([(1, 1), (2, 2), (3, 4)]):
        np.testing.assert_array_equal(y[:, channel], (IMAGES[:, channel] - mean) / std)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(Normalize(3.0, 2.0)(IMAGES), (IMAGES - 3) / 2)
    with pytest.raises(ShapeError, match="2 channels"):
        Normalize([1, 2], 1.0)(IMAGES)
    with pytest.raises(DTypeError, match="Rescale"):
        Normalize(0.0, 1.0)(IMAGES.astype(np.uint8))
    with pytest.raises(ArgumentError, match="positive"):
        Normalize(0.0, [1.0, 0.0])


def test_standardize_uses_the_training_part_only():
    train, test = rng().normal(5, 3, (50, 4)), rng().normal(9, 3, (20, 4))
    transform = Standardize.fit(train)
    y = transform(train)
    # 1e-12: rounding of 50 float64 additions.
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(0), 1, rtol=1e-12)
    np.testing.assert_array_equal(transform(test), (test - train.mean(0)) / train.std(0))


@pytest.mark.parametrize("constant", [0.0, 5.0, 0.1, 1e8 + 0.1])
def test_standardize_keeps_a_constant_feature_finite(constant):
    transform = Standardize.fit(np.full((7, 1), constant))
    assert transform.std.tolist() == [1.0]
    np.testing.assert_allclose(transform(np.full((1, 1), constant)), 0, atol=1e-7 * constant)


def test_standardize_keeps_precision_with_a_large_offset():
    years = np.array([[1e9 + 1], [1e9 + 2], [1e9 + 3]])
    y = Standardize.fit(years, dtype="float32")(years)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y[:, 0], [-1.2247449, 0, 1.2247449], rtol=1e-6)


@pytest.mark.parametrize("size", [1e-200, 1e-3, 1.0, 1e200, 1e308])
def test_standardize_over_the_whole_range_of_float64(size):
    """Neither the squares of large numbers nor those of small ones are lost."""
    x = np.array([[-1.0], [0.5], [0.5]]) * size
    y = Standardize.fit(x)(x)
    # Rounding of a few float64 operations.
    np.testing.assert_allclose(y, [[-(2**0.5)], [0.5**0.5], [0.5**0.5]], rtol=1e-14)


def test_standardize_refuses():
    with pytest.raises(NonFiniteError):
        Standardize.fit(np.array([[1.0, np.nan]]))
    with pytest.raises(ArgumentError, match="no samples"):
        Standardize.fit(np.zeros((0, 2)))
    with pytest.raises(ShapeError, match="other features"):
        Standardize.fit(np.ones((3, 2)))(np.ones((3, 1)))
    with pytest.raises(DTypeError):
        Standardize([0.0], [1.0], dtype="int32")


def test_flatten_and_one_hot():
    assert Flatten()(IMAGES).shape == (2, 60)
    assert Flatten()(IMAGES[:0]).shape == (0, 60)
    np.testing.assert_array_equal(OneHot(3)(np.array([0, 2])), [[1, 0, 0], [0, 0, 1]])
    assert OneHot(3)(np.array([0])).dtype == np.float32
    for bad in (3, -1):
        with pytest.raises(OutOfRangeError, match=f"label {bad} at position 1"):
            OneHot(3)(np.array([0, bad]))
    with pytest.raises(DTypeError, match="integers"):
        OneHot(3)(np.array([0.0]))


def test_random_crop_takes_a_window_of_each_sample():
    crop = RandomCrop(3, padding=1)
    y = crop(IMAGES, rng())
    assert y.shape == (2, 3, 3, 3)
    padded = np.pad(IMAGES, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for sample in range(2):
        windows = [
            padded[sample, :, top : top + 3, left : left + 3]
            for top in range(4)
            for left in range(5)
        ]
        assert any(np.array_equal(y[sample], window) for window in windows)
    with pytest.raises(ShapeError, match="larger"):
        RandomCrop(7)(IMAGES, rng())


def test_random_crop_reaches_every_place_evenly():
    x = np.tile(np.arange(9.0).reshape(1, 1, 3, 3), (9000, 1, 1, 1))
    counts = np.bincount(RandomCrop(2)(x, rng())[:, 0, 0, 0].astype(int), minlength=9)
    assert np.flatnonzero(counts).tolist() == [0, 1, 3, 4]
    # 2250 each is expected, with a standard deviation of 41: six of them.
    assert abs(counts[[0, 1, 3, 4]] - 2250).max() < 246


def test_random_shift_moves_and_fills_with_zeros():
    x = np.ones((200, 1, 4, 4), np.uint8)
    y = RandomShift(1)(x, rng())
    assert y.shape == x.shape
    assert y.dtype == np.uint8
    assert set(y.sum((1, 2, 3)).tolist()) == {16, 12, 9}
    assert RandomShift(0)(x, rng()) is not x
    np.testing.assert_array_equal(RandomShift(0)(x, rng()), x)


def test_random_flip_mirrors_about_half():
    x = np.tile(np.arange(4.0).reshape(1, 1, 1, 4), (1000, 1, 1, 1))
    y = RandomHorizontalFlip()(x, rng())
    flipped = y[:, 0, 0, 0] == 3
    np.testing.assert_array_equal(y[flipped], x[flipped][..., ::-1])
    np.testing.assert_array_equal(y[~flipped], x[~flipped])
    # 500 is expected, with a standard deviation of 16: six of them.
    assert abs(flipped.sum() - 500) < 96
    with pytest.raises(ArgumentError, match="probability"):
        RandomHorizontalFlip(1.5)


RANDOM = [RandomCrop(3, padding=1), RandomShift(1), RandomHorizontalFlip()]


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_random_transforms_are_functions_of_the_generator(transform):
    before = IMAGES.copy()
    np.testing.assert_array_equal(transform(IMAGES, rng()), transform(IMAGES, rng()))
    np.testing.assert_array_equal(IMAGES, before)
    with pytest.raises(ArgumentError, match="no generator"):
        transform(IMAGES)
    with pytest.raises(ShapeError, match="works on images"):
        transform(IMAGES.reshape(2, 60), rng())


def test_prediction_leaves_the_random_parts_out():
    transform = Compose([RandomShift(1), RandomCrop(2), Rescale(2)])
    assert transform.random
    at_rest = deterministic(transform)
    assert at_rest == Compose([CenterCrop(2), Rescale(2)])
    np.testing.assert_array_equal(at_rest(IMAGES), IMAGES[:, :, 1:3, 1:3] / 2)
    assert deterministic(RandomShift(1)) is None
    plain = Compose([Rescale(2)])
    assert deterministic(plain) is plain
    assert deterministic(None) is None


ALL = [
    Rescale(255, dtype="float32"),
    Normalize([0.1, 0.2, 0.3], 2.0),
    Standardize.fit(rng().normal(size=(5, 3)), dtype="float32"),
    Flatten(),
    OneHot(4),
    CenterCrop(2, 1),
    *RANDOM,
    Compose([RandomShift(2), Compose([Rescale(16), Flatten()])]),
]


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_json_round_trip(transform):
    again = transform_from_config(json.loads(json.dumps(transform.to_config())))
    assert again == transform
    assert hash(again) == hash(transform)
    assert repr(again) == repr(transform)
    assert transform != Rescale(3)


def nested(depth):
    config = {"name": "Flatten"}
    for _ in range(depth):
        config = {"name": "Compose", "transforms": [config]}
    return config


@pytest.mark.parametrize(
    "config, words",
    [
        ({"name": "os.system", "divisor": 1}, "unknown transform 'os.system'"),
        ({"name": "Transform"}, "unknown transform"),
        ({"name": "Rescale"}, "divisor"),
        ({"name": "Rescale", "divisor": "abc"}, "divisor"),
        ({"name": "Rescale", "divisor": 0}, "divisor of 0"),
        ({"name": "Rescale", "divisor": 1, "dtype": "nonsense"}, "nonsense"),
        ({"name": "Rescale", "divisor": 1, "extra": 2}, "extra"),
        ({"name": "OneHot", "classes": -1}, "classes"),
        ({"name": "OneHot", "classes": True}, "classes"),
        ({"name": "Standardize", "mean": [0], "std": [0]}, "positive"),
        ({"name": "Standardize", "mean": [0], "std": [float("nan")]}, "NaN"),
        ({"name": "Compose"}, "transforms"),
        ({"name": "Compose", "transforms": 3}, "Compose"),
        ({"name": "Compose", "transforms": [{"name": "eval"}]}, "unknown transform 'eval'"),
        ({"name": 3}, "not a transform"),
        ([], "not a transform"),
        (None, "not a transform"),
        (nested(100), "deep"),
    ],
)
def test_a_config_names_nothing_but_our_transforms(config, words):
    with pytest.raises(FormatError, match=words):
        transform_from_config(config)


def test_users_transforms_work_but_are_not_saved():
    class Rescale(Transform):  # the name of one of ours, and still not ours
        def __call__(self, x, generator=None):
            return x * 2

        def parameters(self):
            return {"divisor": 0.5}

    assert Compose([Rescale()])(np.ones(2)).tolist() == [2, 2]
    with pytest.raises(ArgumentError, match="cannot be saved"):
        Rescale().to_config()
    with pytest.raises(DTypeError, match="takes transforms"):
        Compose([np.exp])
