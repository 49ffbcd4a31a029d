"""Datasets: gathering, splitting, facts, and what they refuse (A15, A16, B10, H7)."""

import json
import traceback

import numpy as np
import pytest

from chainrule.data import (
    ArrayDataset,
    Compose,
    Dataset,
    Flatten,
    ImageFormat,
    OneHot,
    RandomShift,
    Rescale,
    Standardize,
    Subset,
    transform_from_config,
)
from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError


class Listed(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def test_dataset_is_abstract():
    with pytest.raises(NotImplementedError, match="has no __getitem__"):
        Dataset()[0]
    with pytest.raises(TypeError, match="len"):
        len(Dataset())


def test_default_gather_stacks_items():
    data = Listed([([1.0, 2.0], 1), ([3.0, 4.0], 0), ([5.0, 6.0], 1)])
    x, y = data.gather(np.array([2, 0]))
    np.testing.assert_array_equal(x, [[5, 6], [1, 2]])
    np.testing.assert_array_equal(y, [1, 1])
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    assert data.input_shape == (2,)


def test_default_gather_keeps_array_dtypes_and_takes_single_arrays():
    (x,) = Listed([np.zeros(2), np.ones(2)]).gather([0, 1])
    assert x.dtype == np.float64
    (x,) = Listed([np.uint8(3)]).gather([0])
    assert x.dtype == np.uint8


def test_an_item_of_another_shape_is_named():
    data = Listed([(np.zeros(2), 0), (np.zeros(2), 0), (np.zeros(3), 0)])
    with pytest.raises(ShapeError, match=r"sample 2 of Listed.*field 0.*\(3,\).*\(2,\).*sample 1"):
        data.gather([1, 2])
    with pytest.raises(ShapeError, match=r"sample 1 .*3 fields"):
        Listed([(1, 2), (1, 2, 3)]).gather([0, 1])
    with pytest.raises(DTypeError, match="sample 1, field 0"):
        Listed([(1,), ("a",)]).gather([0, 1])
    with pytest.raises(ShapeError, match="sample 0, field 0 is ragged"):
        Listed([([[1, 2], [3]],)]).gather([0])


def test_an_exception_keeps_its_traceback_and_gains_the_index():
    class Broken(Listed):
        def __getitem__(self, index):
            if index == 5:
                raise ZeroDivisionError("the user's own")
            return (index,)

    with pytest.raises(ZeroDivisionError, match="the user's own") as caught:
        Broken(range(9)).gather([4, 5, 6])
    assert caught.value.__notes__ == ["while reading sample 5 of Broken"]
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "__getitem__"


def test_array_dataset_reads_samples_slices_and_masks():
    x, y = np.arange(12).reshape(6, 2), np.arange(6)
    data = ArrayDataset(x, y)
    assert len(data) == 6
    assert [field.tolist() for field in data[2]] == [[4, 5], 2]
    assert [field.tolist() for field in data[-1]] == [[10, 11], 5]
    assert data[1:3][1].tolist() == [1, 2]
    assert data[[5, 0]][1].tolist() == [5, 0]
    assert data[y > 3][1].tolist() == [4, 5]
    assert data[[]][0].shape == (0, 2)
    assert [len(field) for field in data.gather([])] == [0, 0]


def test_gathered_batches_never_alias_the_data():
    x = np.zeros((4, 2), np.float32)
    data = ArrayDataset(x)
    for (batch,) in (data.gather(np.arange(4)), data[:], data[0]):
        batch[...] = 7
    assert not x.any()


@pytest.mark.parametrize(
    "x",
    [
        np.broadcast_to(np.float32(3), (4, 2)),  # stride 0, read-only (A15)
        np.arange(8.0)[::-1].reshape(4, 2),
        np.arange(8.0).reshape(2, 4).T,
        np.arange(8, dtype=">f4").reshape(4, 2),
        np.frombuffer(b"\0" + np.arange(8.0).tobytes(), np.uint8)[1:]
        .view(np.float64)
        .reshape(4, 2),
    ],
    ids=["broadcast", "negative stride", "F order", "byte-swapped", "misaligned"],
)
def test_any_memory_layout_reads_right(x):
    (batch,) = ArrayDataset(x).gather([3, 1])
    np.testing.assert_array_equal(batch, [x[3], x[1]])
    assert batch.dtype.isnative
    assert batch.flags.writeable
    assert batch.flags.aligned


def test_array_dataset_refuses():
    with pytest.raises(ShapeError, match=r"differ in length.*\[3, 2\]"):
        ArrayDataset(np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(ArgumentError, match="length 0"):
        ArrayDataset(np.zeros((0, 2)), np.zeros(0))
    with pytest.raises(ArgumentError, match="at least one array"):
        ArrayDataset()
    with pytest.raises(ShapeError, match="first axis"):
        ArrayDataset(3.0)
    with pytest.raises(ShapeError, match="array 1 is ragged"):
        ArrayDataset([1, 2], [[1], [1, 2]])
    for bad in (np.array(["a"]), np.array([object()]), np.array([1j])):
        with pytest.raises(DTypeError, match="array 0 is not numeric"):
            ArrayDataset(bad)
    with pytest.raises(OutOfRangeError, match="label 2 at position 1"):
        ArrayDataset(np.zeros(2), np.array([0, 2]), classes=("a", "b"))
    with pytest.raises(ShapeError, match="3 feature names"):
        ArrayDataset(np.zeros((2, 2)), feature_names=("a", "b", "c"))
    with pytest.raises(ArgumentError, match="task"):
        ArrayDataset(np.zeros(2), task="guessing")
    with pytest.raises(ArgumentError, match="target"):
        ArrayDataset(np.zeros(2), target_transform=OneHot(2))


@pytest.mark.parametrize("index", [6, -7, [0, 6], np.array([1, -9])])
def test_an_index_out_of_range_is_named(index):
    data = ArrayDataset(np.arange(6))
    with pytest.raises(OutOfRangeError, match=r"of a dataset of 6.*0 to 5"):
        data[index]


def test_float_indices_are_refused():
    with pytest.raises(DTypeError, match=r"integers.*float64"):
        ArrayDataset(np.arange(6)).gather(np.array([0.0, 1.0]))


def test_task_follows_from_the_targets():
    x = np.zeros((3, 2), np.float32)
    assert ArrayDataset(x, np.arange(3)).task == "classification"
    assert ArrayDataset(x, np.zeros((3, 1), np.float32)).task == "regression"
    assert ArrayDataset(x, np.zeros((3, 1)), task="classification").task == "classification"
    assert ArrayDataset(x).task is None


def test_transforms_apply_to_inputs_and_targets():
    pixels = np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2)
    data = ArrayDataset(
        pixels,
        np.array([0, 1]),
        transform=Compose([Rescale(2), Flatten()]),
        target_transform=OneHot(2),
    )
    x, y = data.gather([1])
    np.testing.assert_array_equal(x, [[2, 2.5, 3, 3.5]])
    np.testing.assert_array_equal(y, [[0, 1]])
    assert data.input_shape == (4,)
    np.testing.assert_array_equal(data.arrays[0], pixels)


def test_a_random_transform_needs_the_loaders_generator():
    data = ArrayDataset(np.zeros((2, 1, 4, 4)), transform=RandomShift(1))
    assert data.random
    assert data.input_shape == (1, 4, 4)
    with pytest.raises(ArgumentError, match="DataLoader"):
        data[0]


@pytest.mark.parametrize("values", [[[1e300]], [1.0, -1e39]])
def test_a_number_beyond_float32_is_refused(values):
    """Python floats become float32; those that would become infinite are named."""
    with pytest.raises(ArgumentError, match=r"array 0 holds a number beyond float32.*position"):
        ArrayDataset(values)
    assert ArrayDataset([float("inf"), 3e38]).arrays[0].dtype == np.float32


def test_indices_of_any_integer_type():
    data = ArrayDataset(np.arange(6))
    for kind in (np.int8, np.uint8, np.int32, np.int64, np.uint64):
        assert data.gather(np.array([5, 1], kind))[0].tolist() == [5, 1]
        assert Subset(data, np.array([5, 1], kind)).gather(np.array([1], kind))[0].tolist() == [1]
    with pytest.raises(OutOfRangeError, match=str(2**64 - 1)):
        data.gather(np.array([2**64 - 1], np.uint64))
    with pytest.raises(DTypeError, match=r"integers.*float64"):
        Subset(data, [0.5])


def test_describe_is_json_and_rebuilds_the_preprocessing():
    x = np.random.default_rng(0).normal(size=(6, 2))
    data = ArrayDataset(
        x,
        np.array([0, 1] * 3),
        classes=("no", "yes"),
        feature_names=("u", "v"),
        transform=Standardize.fit(x, dtype="float32"),
        image=ImageFormat(1, 1, 2, 16.0),
    )
    record = json.loads(json.dumps(data.describe()))
    assert record["classes"] == ["no", "yes"]
    assert record["input_shape"] == [2]
    assert ImageFormat(**record["image"]) == data.image
    again = data.with_transform(transform_from_config(record["transform"]))
    np.testing.assert_array_equal(again[:][0], data[:][0])
    assert "Standardize" in repr(data)
