"""The shipped sets: their numbers are the sources', their splits are seeded and stratified."""

from pathlib import Path

import numpy as np
import pytest

import chainrule.data
from chainrule.data import breast_cancer, digits

ASSETS = Path(chainrule.data.__file__).parent / "assets"


def joined(parts):
    return [np.concatenate(arrays) for arrays in zip(*(part.arrays for part in parts), strict=True)]


def sorted_rows(x, y):
    rows = np.column_stack([x.reshape(len(x), -1), y])
    return rows[np.lexsort(rows.T)]


def test_digits_are_scikit_learns():
    source = pytest.importorskip("sklearn.datasets").load_digits()
    x, y = joined(digits())
    np.testing.assert_array_equal(sorted_rows(x, y), sorted_rows(source.data, source.target))


def test_breast_cancer_is_scikit_learns():
    source = pytest.importorskip("sklearn.datasets").load_breast_cancer()
    train, test = breast_cancer()
    x, y = joined((train, test))
    np.testing.assert_array_equal(sorted_rows(x, y), sorted_rows(source.data, source.target))
    assert list(train.feature_names) == list(source.feature_names)
    assert list(train.classes) == list(source.target_names)


def test_digits_shapes_and_range():
    train, test = digits()
    x, y = train[:]
    assert (x.shape, x.dtype, y.dtype) == ((1438, 64), np.float32, np.int64)
    assert (x.min(), x.max()) == (0, 1)
    assert train.classes == tuple("0123456789")
    assert train.image.shape == (1, 8, 8)
    images, labels = digits(flat=False)[0][:]
    assert images.shape == (1438, 1, 8, 8)
    np.testing.assert_array_equal(images.reshape(1438, 64), x)
    np.testing.assert_array_equal(labels, y)
    share = np.bincount(test.arrays[1]) / np.bincount(joined((train, test))[1])
    assert share.min() > 0.19
    assert share.max() < 0.21


def test_splits_follow_the_seed():
    assert digits()[1].arrays[0].tobytes() == digits()[1].arrays[0].tobytes()
    assert digits(seed=1)[1].arrays[0].tobytes() != digits()[1].arrays[0].tobytes()
    assert len(digits(test_size=0.5)[1]) == pytest.approx(1797 / 2, abs=5)


def test_breast_cancer_is_standardized_with_the_training_part():
    train, test = breast_cancer()
    x, y = train[:]
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    # float32 rounding of 456 numbers of size 1.
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(0), 1, atol=1e-5)
    assert np.abs(test[:][0].mean(0)).max() > 0.01
    assert test.transform == train.transform
    assert np.bincount(joined((train, test))[1]).tolist() == [212, 357]


def test_breast_cancer_targets():
    labels, column = breast_cancer()[0][:][1], breast_cancer(targets="column")[0][:][1]
    assert (column.shape, column.dtype) == ((456, 1), np.float32)
    np.testing.assert_array_equal(column[:, 0], labels)
    assert breast_cancer(targets="column")[0].task == "classification"


def test_origin_and_licence_are_stated():
    readme = (ASSETS / "README.md").read_text()
    files = {path.name for path in ASSETS.iterdir()} - {"README.md"}
    assert files == {"digits.npz", "breast_cancer.npz"}
    for words in (*files, "10.24432/C50P49", "10.24432/C5DW2B", "CC BY 4.0"):
        assert words in readme
