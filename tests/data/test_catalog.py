"""Opening by name or path: splits, preprocessing, reading as training did (B9, E4, E11)."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from chainrule.data import (
    NAMES,
    ImageFolder,
    csv_dataset,
    encode_labels,
    open_dataset,
    open_like,
    read_inputs,
)
from chainrule.data.sources import npz_datasets, pixel_order
from chainrule.errors import ArgumentError, FormatError, NonFiniteError, ShapeError

OFFLINE = [name for name in NAMES if not name.endswith("mnist")]
DRAW = np.random.default_rng(0)


def record(data):
    return json.loads(json.dumps(data.describe()))


def write_csv(path, header, rows):
    path.write_text("\n".join([",".join(header), *(",".join(map(str, row)) for row in rows)]))
    return path


@pytest.mark.parametrize("name", OFFLINE)
def test_every_name_opens(name):
    train, test = open_dataset(name, seed=3)
    x, y = train.gather(np.arange(5))
    assert x.dtype == np.float32
    assert x.shape[1:] == train.input_shape == test.input_shape
    assert train.task == ("regression" if name == "sine" else "classification")
    assert y.dtype == (np.float32 if name == "sine" else np.int64)
    assert len(test) == pytest.approx(0.2 * (len(train) + len(test)), abs=4)
    again = open_like(name, record(train), seed=3)
    for left, right in zip(again[:], test[:], strict=True):
        np.testing.assert_array_equal(left, right)


def test_unknown_names_get_a_suggestion(tmp_path):
    with pytest.raises(ArgumentError, match=r"'digts'.*moons.*or a path.*Did you mean 'digits'"):
        open_dataset("digts")
    (tmp_path / "x.txt").write_text("1")
    with pytest.raises(ArgumentError, match="cannot tell what"):
        open_dataset(tmp_path / "x.txt")
    with pytest.raises(ArgumentError, match="no data set and no file"):
        open_dataset(tmp_path / "absent.csv")


def test_digits_flat_or_as_images():
    assert open_dataset("digits")[0].input_shape == (64,)
    assert open_dataset("digits", flat=False)[0].input_shape == (1, 8, 8)
    images = record(open_dataset("digits", flat=False)[0])
    assert open_like("digits", images).input_shape == (1, 8, 8)


@pytest.fixture
def flowers(tmp_path):
    rows = [
        [*DRAW.normal([5, 900, 3][place % 3], 1, 2).round(3), ["lily", "rose", "iris"][place % 3]]
        for place in range(60)
    ]
    return write_csv(tmp_path / "flowers.csv", ["width", "height", "species"], rows)


def test_csv_is_split_and_standardized(flowers):
    train, test = open_dataset(flowers)
    assert (len(train), len(test)) == (48, 12)
    assert train.classes == ("iris", "lily", "rose")
    assert train.feature_names == ("width", "height")
    x, y = train[:]
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    # float32 rounding of 48 numbers of size 1.
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(0), 1, atol=1e-5)


def test_another_csv_is_read_as_training_was(flowers, tmp_path):
    description = record(open_dataset(flowers)[0])
    whole = csv_dataset(flowers)
    rows = [[whole.classes[y], *x[::-1]] for x, y in zip(*whole.arrays, strict=True)]
    other = write_csv(tmp_path / "o.csv", ["species", "height", "width"], rows)
    data = open_like(other, description)
    assert len(data) == 60
    np.testing.assert_array_equal(data[:][1], whole.arrays[1])
    width, height = description["transform"]["features"]
    mean, std = ([width[key][0], height[key][0]] for key in ("mean", "std"))
    wanted = ((whole.arrays[0] - mean) / std).astype(np.float32)
    np.testing.assert_array_equal(data[:][0], wanted)
    np.testing.assert_array_equal(read_inputs(other, description), wanted)


def test_another_csv_that_does_not_fit_is_refused(flowers, tmp_path):
    description = record(open_dataset(flowers)[0])
    missing = write_csv(tmp_path / "m.csv", ["height", "species"], [[1, "rose"]])
    with pytest.raises(FormatError, match="lacks a column: width"):
        open_like(missing, description)
    with pytest.raises(FormatError, match="lacks a column: width"):
        read_inputs(missing, description)
    unknown = write_csv(tmp_path / "u.csv", ["width", "height", "species"], [[1, 2, "tulip"]])
    with pytest.raises(FormatError, match=r"did not know: tulip.*iris, lily, rose"):
        open_like(unknown, description)
    with pytest.raises(FormatError, match="other classes than training"):
        open_like("moons", description)
    with pytest.raises(ShapeError, match="another shape"):
        open_like("moons", {**record(open_dataset("moons")[0]), "input_shape": [3]})


def test_which_column_is_the_label(tmp_path):
    path = write_csv(tmp_path / "t.csv", ["a", "b"], [[1, 0], [2, 1]])
    with pytest.raises(ArgumentError, match=r"which column is the label.*columns a, b.*--label"):
        csv_dataset(path)
    assert csv_dataset(path, "b").classes == ("0", "1")
    with pytest.raises(FormatError, match="line 2: 1 cells in a table of 2"):
        csv_dataset(write_csv(tmp_path / "bad.csv", ["a", "b"], [[1]]), "b")


def test_tasks_are_told_from_the_labels(tmp_path):
    def task_of(values, task=None):
        path = write_csv(tmp_path / "t.csv", ["x", "y"], [[0, value] for value in values])
        return csv_dataset(path, task=task)

    assert task_of([2, -1, 5]).classes == ("-1", "2", "5")
    assert task_of([2, -1, 5]).arrays[1].tolist() == [1, 0, 2]
    prices = task_of([1.5, 2, 3])
    assert (prices.task, prices.classes) == ("regression", None)
    assert (prices.arrays[1].shape, prices.arrays[1].dtype) == ((3, 1), np.float32)
    assert task_of(range(101)).task == "regression"
    assert task_of([1, 2], task="regression").arrays[1].tolist() == [[1], [2]]
    with pytest.raises(FormatError, match=r"line 2: column 2 \(y\): not a number"):
        task_of(["a", "b"], task="regression")
    with pytest.raises(ArgumentError, match="beyond float32"):
        task_of([1e300, 0.5])


@pytest.mark.parametrize("cell", ["NA", "nan", '"1,234.5"', "12 kg", "inf", "", "?", "null", "x"])
def test_one_bad_cell_does_not_make_classes_of_numbers(tmp_path, cell):
    path = tmp_path / "t.csv"
    rows = "".join(f"{i},{i * 1.37:.2f}\n" for i in range(200))
    path.write_text(f"a,price\n{rows}200,{cell}\n")
    with pytest.raises(FormatError, match=r"line 202: column 2 \(price\)") as caught:
        csv_dataset(path, "price")
    assert ("missing" in str(caught.value)) == (cell in ("NA", "nan", "", "?", "null"))
    path.write_text(f"a,price\n0,{cell}\n{rows}")
    with pytest.raises(FormatError, match=r"line 2: column 2 \(price\)"):
        csv_dataset(path, "price")


def test_text_beside_numbers_is_a_class_by_request(tmp_path):
    path = write_csv(tmp_path / "t.csv", ["x", "rooms"], [[1, 2], [2, "3+"], [3, 1]])
    with pytest.raises(FormatError, match=r"line 3: .*'3\+'.*task='classification'"):
        csv_dataset(path, "rooms")
    assert csv_dataset(path, "rooms", task="classification").classes == ("1", "2", "3+")
    missing = write_csv(tmp_path / "m.csv", ["x", "y"], [[1, "cat"], [2, "NA"]])
    with pytest.raises(FormatError, match=r"line 3: .*the label is missing; given: 'NA'"):
        csv_dataset(missing, task="classification")


@pytest.mark.parametrize(
    "labels, classes",
    [
        (["12345678901234567", "12345678901234568"], ["12345678901234567", "12345678901234568"]),
        (["007", "7", "010"], ["007", "7", "010"]),
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["1.0", "0.0", "1"], ["0", "1"]),
        (["1.000000000000000000e+00", "0.000000000000000000e+00"], ["0", "1"]),
        (["0x1F", "0x1f"], ["0x1F", "0x1f"]),
        (["+1", "-1"], ["-1", "+1"]),
    ],
)
@pytest.mark.parametrize("quote", ["", '"'], ids=["plain", "quoted"])
def test_labels_are_compared_as_they_are_written(tmp_path, labels, classes, quote):
    rows = [[place, f"{quote}{label}{quote}"] for place, label in enumerate(labels)]
    data = csv_dataset(write_csv(tmp_path / "t.csv", ["a", "y"], rows))
    assert list(data.classes) == classes
    assert [data.classes[place] for place in data.arrays[1]] == [
        label if label in classes else str(int(float(label))) for label in labels
    ]
    assert csv_dataset(tmp_path / "t.csv", classes=data.classes).classes == data.classes


def test_labels_of_extreme_exponents(tmp_path):
    """Exponents that a decimal cannot hold, and digits beyond float64, stay text."""
    labels = ["1e99999999999999999999", "0.1" + "0" * 40 + "1", "0.1", "1e-40"]
    path = write_csv(tmp_path / "t.csv", ["a", "y"], [[0, label] for label in labels])
    assert sorted(csv_dataset(path, task="classification").classes) == sorted(labels)


def test_labels_of_one_class_are_refused_for_training(tmp_path):
    path = write_csv(tmp_path / "t.csv", ["a", "y"], [[place, "yes"] for place in range(9)])
    with pytest.raises(FormatError, match=r"y, the label: every row is 'yes', so nothing can"):
        open_dataset(path)
    np.savez(tmp_path / "t.npz", x=np.zeros((5, 2)), y=np.ones(5, int))
    with pytest.raises(ArgumentError, match="every sample is of the class '1'"):
        open_dataset(tmp_path / "t.npz")
    two = write_csv(tmp_path / "two.csv", ["a", "y"], [[i, ["yes", "no"][i % 2]] for i in range(9)])
    assert len(open_like(path, record(open_dataset(two)[0]))) == 9


def test_tables_of_any_delimiter_and_header_open_and_predict_alike(flowers, tmp_path):
    """What the command line offers: --delimiter, --header, --task; found in the file by default."""
    train, test = open_dataset(flowers)
    text = flowers.read_text()
    (tmp_path / "flowers.tsv").write_text(text.replace(",", "\t"))
    (tmp_path / "hash.csv").write_text(text.replace(",", "#"))
    for name, options in (("flowers.tsv", {}), ("hash.csv", {"delimiter": "#"})):
        again = open_dataset(tmp_path / name, **options)[1]
        np.testing.assert_array_equal(again[:][0], test[:][0])
        data = open_like(tmp_path / name, record(train), **options)
        x = read_inputs(tmp_path / name, record(train), **options)
        np.testing.assert_array_equal(x, data[:][0])
    (tmp_path / "bare.csv").write_text(text.split("\n", 1)[1])
    bare, _ = open_dataset(tmp_path / "bare.csv", label="column2", header=False)
    np.testing.assert_array_equal(bare[:][0], train[:][0])
    numbered = write_csv(tmp_path / "n.csv", ["0", "1", "2"], [[i, -i, i % 2] for i in range(9)])
    assert len(csv_dataset(numbered, "2")) == 9
    assert csv_dataset(numbered, "2", task="regression").task == "regression"
    assert len(csv_dataset(numbered, 2, header=False)) == 10
    with pytest.raises(ArgumentError, match=r"no label column '2'.*column0, column1"):
        csv_dataset(numbered, "2", header=False)


def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for read in (csv_dataset, open_dataset):
        with pytest.raises(FormatError, match="not a regular file"):
            read(tmp_path / "pipe.csv")
    with pytest.raises(FormatError, match="not a regular file"):
        csv_dataset("/dev/zero")


def test_inputs_that_float32_cannot_hold_are_refused(tmp_path):
    description = record(open_dataset("moons")[0])
    np.save(tmp_path / "x.npy", np.array([[0.0, 1.0], [1e300, 0.0]]))
    with pytest.raises(NonFiniteError, match=r"x\.npy: input 1 holds"):
        read_inputs(tmp_path / "x.npy", description)


def test_the_kaggle_digit_file(tmp_path):
    pixels = DRAW.integers(0, 256, (40, 16))
    labels = np.arange(40) % 4
    names = [f"pixel{place}" for place in range(16)]
    path = write_csv(
        tmp_path / "train.csv", ["label", *names], np.column_stack([labels, pixels]).tolist()
    )
    train, _ = open_dataset(path)
    assert train.arrays[0].dtype == np.uint8
    assert train.input_shape == (1, 4, 4)
    assert open_dataset(path, flat=True)[0].input_shape == (16,)
    turned = write_csv(tmp_path / "test.csv", names[::-1], pixels[:, ::-1].tolist())
    x = read_inputs(turned, record(train))
    np.testing.assert_array_equal(
        x, pixels.reshape(40, 1, 4, 4).astype(np.float32) / np.float32(255)
    )
    rows = np.column_stack([pixels[:, ::-1], labels]).tolist()
    mixed = csv_dataset(write_csv(tmp_path / "mixed.csv", [*names[::-1], "label"], rows))
    np.testing.assert_array_equal(mixed.arrays[0].reshape(40, 16), pixels)
    assert list(mixed.feature_names) == names
    short = write_csv(tmp_path / "short.csv", names[:-1], pixels[:, :-1].tolist())
    with pytest.raises(FormatError, match="lacks a column: pixel15"):
        read_inputs(short, record(train))


def test_pixel_columns():
    assert pixel_order(["pixel2", "pixel1"]) == [1, 0]
    assert pixel_order(["pixel0", "pixel2"]) is None
    assert pixel_order(["pixel0", "width"]) is None
    assert pixel_order(["pixel0", "pixel0"]) is None


def test_npz_with_its_own_test_part(tmp_path):
    x, y = DRAW.integers(0, 256, (30, 4, 5), dtype=np.uint8), np.arange(30) % 3
    np.savez(tmp_path / "s.npz", x_train=x, y_train=y[:, None], x_test=x[:9], y_test=y[:9])
    train, test = open_dataset(tmp_path / "s.npz")
    assert (len(train), len(test)) == (30, 9)
    np.testing.assert_array_equal(train[:][0], x[:, None] / np.float32(255))
    assert len(open_like(tmp_path / "s.npz", record(train))) == 9


def test_npz_shapes_and_faults(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "s.npz", **arrays)
        return tmp_path / "s.npz"

    colour = DRAW.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    data, test = npz_datasets(save(x=colour, y=np.arange(6)))
    assert test is None
    np.testing.assert_array_equal(data.arrays[0], colour.transpose(0, 3, 1, 2))
    numbers = DRAW.normal(size=(10, 3))
    train, _ = open_dataset(save(data=numbers, target=numbers[:, :2]))
    assert (train.task, train[:][1].shape) == ("regression", (8, 2))
    stacked = save(X=DRAW.normal(size=(9, 2, 2)), y=np.arange(9))
    assert open_dataset(stacked, flat=True)[0].input_shape == (4,)
    with pytest.raises(FormatError, match=r"lacks the arrays.*given: a"):
        open_dataset(save(a=numbers))
    with pytest.raises(FormatError, match="differ in length"):
        open_dataset(save(x=numbers, y=np.arange(9)))
    with pytest.raises(FormatError, match=r"not class labels; given: \(10, 3\)"):
        open_dataset(save(x=numbers, y=np.eye(10, 3, dtype=int)), task="classification")
    with pytest.raises(FormatError, match="did not know: 7"):
        open_dataset(
            save(x_train=numbers, y_train=np.arange(10) % 2, x_test=numbers[:1], y_test=[7])
        )
    with pytest.raises(NonFiniteError, match="sample 1"):
        open_dataset(save(x=numbers[:2], y=np.array([0.5, np.nan])))
    numbers[3, 1] = np.inf
    with pytest.raises(NonFiniteError):
        open_dataset(save(x=numbers, y=np.arange(10) % 2))


def test_encode_labels_orders_numbers_by_value():
    codes, names = encode_labels(np.array([10.0, 9.0, 10.0]))
    assert (codes.tolist(), names) == ([1, 0, 1], ("9", "10"))
    codes, names = encode_labels(np.array([0.5, 2.0]), classes=("2", "0.5"))
    assert (codes.tolist(), names) == ([1, 0], ("2", "0.5"))


def test_idx_folders(tmp_path):
    def write(name, array):
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (tmp_path / name).write_bytes(head + array.astype(np.uint8).tobytes())

    write("train-images-idx3-ubyte", DRAW.integers(0, 256, (20, 4, 4)))
    write("train-labels-idx1-ubyte", np.arange(20) % 2 + 3)
    train, test = open_dataset(tmp_path)
    assert (len(train), len(test), train.classes) == (16, 4, ("3", "4"))
    assert train.input_shape == (1, 4, 4)
    write("t10k-images-idx3-ubyte", DRAW.integers(0, 256, (5, 4, 4)))
    write("t10k-labels-idx1-ubyte", np.arange(5) % 2 + 3)
    train, test = open_dataset(tmp_path)
    assert (len(train), len(test)) == (20, 5)
    assert len(open_like(tmp_path, record(train))) == 5
    write("t10k-labels-idx1-ubyte", np.arange(5) + 3)
    with pytest.raises(FormatError, match=r"t10k labels.*did not know: 5"):
        open_dataset(tmp_path)


def test_image_folders(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs the extra `images`")
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for place in range(5):
                pixels = DRAW.integers(0, 256, (6, 7), dtype=np.uint8)
                image.fromarray(pixels).save(tmp_path / part / name / f"{place}.png")
    train, test = open_dataset(tmp_path)
    assert (len(train), len(test), train.classes) == (10, 10, ("cat", "dog"))
    train, test = open_dataset(tmp_path / "train", size=(4, 4))
    assert (len(train), len(test), train.input_shape) == (8, 2, (1, 4, 4))
    description = record(train)
    assert len(open_like(tmp_path / "test", description)) == 10
    x = read_inputs(tmp_path / "test" / "cat" / "0.png", description)
    assert x.shape == (1, 1, 4, 4)
    wanted = ImageFolder(tmp_path / "test", size=(4, 4))[0][0]
    # The picture passes through float arithmetic: x · (255/255) and one division.
    np.testing.assert_allclose(x[0], wanted, rtol=1e-6)


def test_an_image_for_the_digits_is_scaled_to_their_range(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs the extra `images`")
    image.fromarray(np.full((20, 20, 3), 255, np.uint8)).save(tmp_path / "white.png")
    x = read_inputs(tmp_path / "white.png", record(open_dataset("digits")[0]))
    np.testing.assert_array_equal(x, np.ones((1, 64), np.float32))


def test_inputs_from_npy(tmp_path):
    train, test = open_dataset("breast_cancer")
    np.save(tmp_path / "x.npy", test.arrays[0])
    x = read_inputs(tmp_path / "x.npy", record(train))
    np.testing.assert_array_equal(x, test[:][0])
    np.save(tmp_path / "x.npy", test.arrays[0][:, :-1])
    with pytest.raises(ShapeError):
        read_inputs(tmp_path / "x.npy", record(train))
    with pytest.raises(ArgumentError, match=r"\.csv, \.tsv, .*\.npy"):
        read_inputs(tmp_path / "x.png", record(train))
    np.save(tmp_path / "x.npy", np.zeros((2, 63)))
    with pytest.raises(ShapeError, match="other images"):
        read_inputs(tmp_path / "x.npy", record(open_dataset("digits")[0]))


def test_importing_the_package_stays_cheap():
    code = (
        "import sys, chainrule.data; "
        "heavy = {'pooch', 'PIL', 'requests', 'urllib3', 'sklearn', 'zipfile', 'http'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
