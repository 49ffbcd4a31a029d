"""Parts of a dataset: subsets, random splits, stratified splits."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import ArrayDataset, Rescale, Subset, random_split, train_test_split
from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError


def test_subset_passes_everything_on():
    base = ArrayDataset(
        np.arange(10.0).reshape(5, 2),
        np.array([0, 1, 0, 1, 0]),
        classes=("a", "b"),
        feature_names=("u", "v"),
        transform=Rescale(2),
    )
    part = Subset(base, [4, 1])
    assert len(part) == 2
    assert part[0][0].tolist() == [4, 4.5]
    assert part[-1][1] == 1
    assert part.gather([1, 0])[1].tolist() == [1, 0]
    assert part.describe() == base.describe()
    with pytest.raises(OutOfRangeError, match="subset of 2"):
        part[2]
    with pytest.raises(OutOfRangeError, match="index 5 at position 1"):
        Subset(base, [0, 5])
    assert len(Subset(base, [])) == 0


def test_random_split_is_seeded_and_complete():
    data = ArrayDataset(np.arange(100))
    first, second = random_split(data, [70, 30], seed=3)
    assert (len(first), len(second)) == (70, 30)
    assert sorted([*first.indices, *second.indices]) == list(range(100))
    again = random_split(data, [0.7, 0.3], seed=3)
    np.testing.assert_array_equal(again[0].indices, first.indices)
    assert not np.array_equal(random_split(data, [70, 30], seed=4)[0].indices, first.indices)


def test_random_split_shares_left_overs_as_pytorch_does():
    torch = pytest.importorskip("torch")
    for n in (10, 11, 13, 100):
        fractions = [0.35, 0.35, 0.3]
        wanted = [len(part) for part in torch.utils.data.random_split(range(n), fractions)]
        data = ArrayDataset(np.arange(n))
        assert [len(part) for part in random_split(data, fractions)] == wanted


@pytest.mark.parametrize("lengths", [[5, 4], [11, -1], [0.5, 0.4], [1.5, -0.5]])
def test_random_split_refuses(lengths):
    with pytest.raises(ArgumentError, match="add up"):
        random_split(ArrayDataset(np.arange(10)), lengths)


def test_random_split_follows_manual_seed():
    data = ArrayDataset(np.arange(100))

    def drawn(*arguments):
        return random_split(data, [50, 50], *arguments)[0].indices.tolist()

    cr.manual_seed(3)
    first, second = drawn(), drawn()
    assert first != second
    cr.manual_seed(3)
    assert [drawn(), drawn()] == [first, second]
    assert drawn(cr.Generator(3)) == drawn(cr.Generator(3)) == first
    with pytest.raises(DTypeError, match=r"given: 3; expected: cr.Generator.*seed="):
        drawn(3)


def test_train_test_split_is_stratified():
    y = np.repeat([0, 1, 2], [60, 30, 11])
    data = ArrayDataset(np.arange(101), y)
    train, test = train_test_split(data, test_size=0.2, seed=1)
    assert np.bincount(test.arrays[1]).tolist() == [12, 6, 2]
    assert sorted([*train.arrays[0], *test.arrays[0]]) == list(range(101))
    same = train_test_split(data, test_size=0.2, seed=1)[1]
    np.testing.assert_array_equal(same.arrays[0], test.arrays[0])
    other = train_test_split(data, test_size=0.2, seed=2)[1]
    assert not np.array_equal(other.arrays[0], test.arrays[0])


def test_train_test_split_of_tiny_and_plain_data():
    train, test = train_test_split(ArrayDataset(np.arange(3), np.array([0, 0, 1])), test_size=0.01)
    assert (len(train), len(test)) == (2, 1)
    assert 1 in train.arrays[1]
    train, test = train_test_split(ArrayDataset(np.arange(10), np.arange(10)), test_size=0.3)
    assert (len(train), len(test)) == (7, 3)
    train, test = train_test_split(ArrayDataset(np.arange(10.0)), test_size=0.3)
    assert (len(train), len(test)) == (7, 3)
    with pytest.raises(ArgumentError, match="too few"):
        train_test_split(ArrayDataset(np.arange(1)))
    with pytest.raises(ArgumentError, match="fraction"):
        train_test_split(ArrayDataset(np.arange(5)), test_size=1.0)


def test_train_test_split_of_arrays_is_that_of_the_dataset():
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 4
    train, test = train_test_split(ArrayDataset(x, y), test_size=0.3, seed=2)
    wanted = [train.arrays[0], test.arrays[0], train.arrays[1], test.arrays[1]]
    pandas = pytest.importorskip("pandas", reason="needs DataFrames")
    names = np.array(list("abcd"))[y]
    for given in (
        (x, y),
        (x.tolist(), y.tolist()),
        (pandas.DataFrame(x), pandas.Series(y)),
        (cr.tensor(x), cr.tensor(y)),
        (x, names),
        (pandas.DataFrame(x), pandas.Series(names)),
    ):
        parts = train_test_split(*given, test_size=0.3, seed=2)
        assert [type(part) for part in parts] == [type(given[0])] * 2 + [type(given[1])] * 2
        for part, right in zip(parts[:2], wanted, strict=False):
            np.testing.assert_array_equal(np.asarray(part), right)
    first, second = train_test_split(np.arange(10.0), test_size=0.5)
    assert sorted([*first, *second]) == list(range(10))
    parts = train_test_split(Subset(ArrayDataset(x), np.arange(10)), test_size=0.3)
    assert [len(part) for part in parts] == [7, 3]


def test_train_test_split_of_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"given: \[3, 4\]"):
        train_test_split(np.zeros(3), np.zeros(4))
    with pytest.raises(DTypeError, match=r"test_size=0\.2"):
        train_test_split(ArrayDataset(np.zeros(5)), 0.2)
