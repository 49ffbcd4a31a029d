"""MNIST and Fashion-MNIST: under $CHAINRULE_DATA, in the cache, or downloaded and verified."""

from __future__ import annotations

import os
from collections.abc import Sequence

from chainrule.data.dataset import ArrayDataset, ImageFormat
from chainrule.data.download import RemoteFile, cache_folder, fetch
from chainrule.data.idx import read_idx_folder
from chainrule.data.transforms import Array, Compose, Flatten, Rescale
from chainrule.errors import DownloadError, FormatError, listing

_MNIST = (
    RemoteFile(
        "train-images-idx3-ubyte.gz",
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    RemoteFile(
        "train-labels-idx1-ubyte.gz",
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    RemoteFile(
        "t10k-images-idx3-ubyte.gz",
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    RemoteFile(
        "t10k-labels-idx1-ubyte.gz",
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)
_FASHION = (
    RemoteFile(
        "train-images-idx3-ubyte.gz",
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    RemoteFile(
        "train-labels-idx1-ubyte.gz",
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    RemoteFile(
        "t10k-images-idx3-ubyte.gz",
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    RemoteFile(
        "t10k-labels-idx1-ubyte.gz",
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)
_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
)
_FASHION_MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
)
_GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def MNIST(flat: bool = False) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test): the MNIST digits, 60,000 training and 10,000 test images of 28 × 28 pixels.

    Inputs are float32 in [0, 1] with shape (n, 1, 28, 28), or (n, 784) with `flat=True`. Targets
    are int64 (n,). The pixels are stored as uint8, which takes a quarter of the memory.

    The files are looked for in `$CHAINRULE_DATA/mnist`, then in the cache (`$CHAINRULE_CACHE`, or
    the user's cache folder). Otherwise they are downloaded (11.6 MB) and verified by SHA-256.

    Source: Y. LeCun, C. Cortes and C. Burges (1998). Raises FormatError, DownloadError.
    """
    digits = [str(digit) for digit in range(10)]
    return _load("mnist", _MNIST, _MNIST_MIRRORS, digits, flat)


def FashionMNIST(flat: bool = False) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test): Fashion-MNIST, 60,000 training and 10,000 test images of garments.

    Like :func:`MNIST`, with the folder `$CHAINRULE_DATA/fashion_mnist` and a download of 30.9 MB.

    Source: H. Xiao, K. Rasul and R. Vollgraf (2017), arXiv:1708.07747, MIT licence.
    """
    return _load("fashion_mnist", _FASHION, _FASHION_MIRRORS, _GARMENTS, flat)


def _load(
    name: str,
    files: Sequence[RemoteFile],
    mirrors: Sequence[str],
    classes: Sequence[str],
    flat: bool,
) -> tuple[ArrayDataset, ArrayDataset]:
    parts = _find(name)
    if parts is None:
        folder = os.path.join(cache_folder(), name)
        try:
            for file in files:
                fetch(file, mirrors, folder)
        except DownloadError as error:
            names = listing([file.name for file in files])
            error.instead = f"Put these files into {folder} or $CHAINRULE_DATA/{name}: {names}."
            raise
        parts = _read(folder)
    if parts is None:
        raise FormatError(f"{name} is not complete in the cache")
    train, test = (_dataset(name, part, classes, flat) for part in parts)
    return train, test


def _find(name: str) -> tuple[tuple[Array, Array], tuple[Array, Array]] | None:
    root = os.environ.get("CHAINRULE_DATA")
    return _read(os.path.join(root, name)) if root else None


def _read(folder: str) -> tuple[tuple[Array, Array], tuple[Array, Array]] | None:
    train, test = read_idx_folder(folder, "train"), read_idx_folder(folder, "t10k")
    return None if train is None or test is None else (train, test)


def _dataset(
    name: str, part: tuple[Array, Array], classes: Sequence[str], flat: bool
) -> ArrayDataset:
    x, y = part
    if x.shape[1:] != (1, 28, 28):
        raise FormatError(f"{name}: images of another size", given=x.shape[2:], expected="28 × 28")
    if (wrong := (y < 0) | (y >= len(classes))).any():
        place = int(wrong.argmax())
        raise FormatError(f"{name}: label {y[place]} at position {place}", expected="0 to 9")
    return ArrayDataset(
        x,
        y,
        classes=classes,
        transform=Compose([Rescale(255), Flatten()]) if flat else Rescale(255),
        image=ImageFormat(1, 28, 28),
    )
