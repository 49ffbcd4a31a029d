"""MNIST: found, read and checked; the real files where $CHAINRULE_DATA has them."""

import gzip
import hashlib
import os
import struct

import numpy as np
import pytest

from chainrule.data import MNIST, FashionMNIST, mnist
from chainrule.data.download import RemoteFile
from chainrule.errors import DownloadError, FormatError


def write_part(folder, part, count, side=28, top=9):
    draw = np.random.default_rng(count)
    images = draw.integers(0, 256, (count, side, side), dtype=np.uint8)
    labels = np.arange(count, dtype=np.uint8) % (top + 1)
    head = struct.pack(">BBBB3I", 0, 0, 8, 3, count, side, side)
    files = {
        f"{part}-images-idx3-ubyte.gz": gzip.compress(head + images.tobytes()),
        f"{part}-labels-idx1-ubyte.gz": gzip.compress(
            struct.pack(">BBBBI", 0, 0, 8, 1, count) + labels.tobytes()
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return images, labels


@pytest.fixture
def data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("load, name", [(MNIST, "mnist"), (FashionMNIST, "fashion_mnist")])
def test_is_found_under_the_data_folder(data_root, load, name):
    images, labels = write_part(data_root / "data" / name, "train", 30)
    write_part(data_root / "data" / name, "t10k", 20)
    train, test = load()
    x, y = train[:]
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(x[:, 0], images / np.float32(255))
    np.testing.assert_array_equal(y, labels)
    assert len(test) == 20
    assert train.arrays[0].dtype == np.uint8
    assert len(train.classes) == 10
    assert train.image.shape == (1, 28, 28)
    flat = load(flat=True)[0]
    np.testing.assert_array_equal(flat[:][0], x.reshape(30, 784))


def test_faulty_files_are_refused(data_root):
    folder = data_root / "data" / "mnist"
    write_part(folder, "train", 30)
    write_part(folder, "t10k", 20, top=10)
    with pytest.raises(FormatError, match=r"label 10 at position 10.*0 to 9"):
        MNIST()
    write_part(folder, "t10k", 20, side=14)
    with pytest.raises(FormatError, match="28 × 28"):
        MNIST()
    os.remove(folder / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(FormatError, match="lacks the t10k labels"):
        MNIST()


def test_comes_from_a_sound_cache_without_network(data_root, monkeypatch):
    cache = data_root / "cache" / "mnist"
    write_part(cache, "train", 30)
    write_part(cache, "t10k", 20)
    files = [
        RemoteFile(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in cache.iterdir()
    ]
    monkeypatch.setattr(mnist, "_MNIST", files)
    monkeypatch.setattr(mnist, "_MNIST_MIRRORS", ["http://127.0.0.1:9"])
    assert len(MNIST()[0]) == 30
    (cache / files[0].name).write_bytes(b"damaged")
    with pytest.raises(DownloadError, match="only https is trusted"):
        MNIST()


def test_the_recorded_files_are_plausible():
    for files, mirrors in (
        (mnist._MNIST, mnist._MNIST_MIRRORS),
        (mnist._FASHION, mnist._FASHION_MIRRORS),
    ):
        assert len({file.name for file in files}) == len({file.sha256 for file in files}) == 4
        assert all(len(file.sha256) == 64 and file.size > 4000 for file in files)
        assert len(mirrors) == 2
        assert all(mirror.startswith("https://") for mirror in mirrors)


CONTENT = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def test_the_real_mnist():
    root = os.path.join(os.environ.get("CHAINRULE_DATA", ""), "mnist")
    if not os.path.exists(os.path.join(root, "train-images-idx3-ubyte.gz")):
        pytest.skip("the real MNIST is not under $CHAINRULE_DATA/mnist")
    for name, wanted in CONTENT.items():
        with gzip.open(os.path.join(root, name + ".gz")) as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == wanted
    train, test = MNIST()
    assert train.arrays[0].shape == (60_000, 1, 28, 28)
    assert test.arrays[0].shape == (10_000, 1, 28, 28)
    assert train.arrays[1][:5].tolist() == [5, 0, 4, 1, 9]
    # The mean that is usually quoted for normalizing MNIST, to its four digits.
    assert train.arrays[0].mean() / 255 == pytest.approx(0.1307, abs=5e-5)


def test_without_a_connection_one_line_says_where_files_go(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("CHAINRULE_DATA", raising=False)
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    monkeypatch.setattr(mnist, "_MNIST_MIRRORS", ("https://127.0.0.1:9/mnist",))
    pytest.importorskip("pooch")
    with pytest.raises(DownloadError) as caught:
        MNIST()
    text = str(caught.value)
    assert "\n" not in text and "no connection to https://127.0.0.1:9/mnist" in text
    assert f"into {tmp_path / 'mnist'} or $CHAINRULE_DATA/mnist: train-images" in text
    assert text.count(".gz") == 5 and capsys.readouterr() == ("", "")
