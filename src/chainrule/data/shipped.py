"""The two real data sets that ship with the package. `assets/README.md` states their origin."""

from __future__ import annotations

import os

import numpy as np

from chainrule.data.dataset import CLASSIFICATION, ArrayDataset, ImageFormat
from chainrule.data.numpy_files import read_npz
from chainrule.data.splits import train_test_split
from chainrule.data.synthetic import as_targets
from chainrule.data.transforms import Array, Compose, Flatten, Rescale, Standardize

_ASSETS = os.path.join(os.path.dirname(__file__), "assets")
_MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
_FORMS = ("mean {}", "{} error", "worst {}")


def _load(name: str) -> tuple[Array, Array]:
    arrays = read_npz(os.path.join(_ASSETS, f"{name}.npz"))
    return arrays["x"], arrays["y"].astype(np.int64)


def digits(
    flat: bool = True, test_size: float = 0.2, seed: int = 0
) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test): the UCI handwritten digits, 1,797 grey images of 8 × 8 pixels in 10 classes.

    Inputs are float32 in [0, 1] with shape (n, 64), or (n, 1, 8, 8) with `flat=False`. Targets are
    int64 (n,). The split is stratified and depends only on `seed`.

    >>> train, test = digits()
    >>> len(train), len(test), train.input_shape
    (1438, 359, (64,))

    Source: E. Alpaydin and C. Kaynak (1998), doi:10.24432/C50P49, CC BY 4.0.
    """
    x, y = _load("digits")
    transform = Compose([Rescale(16), Flatten()]) if flat else Rescale(16)
    data = ArrayDataset(
        x.reshape(-1, 1, 8, 8),
        y,
        classes=[str(digit) for digit in range(10)],
        transform=transform,
        image=ImageFormat(1, 8, 8, 16.0),
    )
    return train_test_split(data, test_size=test_size, seed=seed)


def breast_cancer(
    targets: str = "labels", test_size: float = 0.2, seed: int = 0
) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test): the Wisconsin diagnostic breast-cancer table, 569 tumours with 30 features.

    Inputs are float32 (n, 30), standardized with the mean and the standard deviation of the
    training part. Class 0 is malignant, class 1 benign. `targets="labels"` gives int64 (n,), for
    two outputs and cross-entropy. `targets="column"` gives float32 zeros and ones (n, 1), for one
    output and binary cross-entropy. The split is stratified and depends only on `seed`.

    >>> train, test = breast_cancer(targets="column")
    >>> train[:][0].shape, train[:][1].shape
    ((456, 30), (456, 1))

    Source: W. Wolberg, O. Mangasarian, N. Street and W. Street (1993), doi:10.24432/C5DW2B,
    CC BY 4.0.
    """
    x, y = _load("breast_cancer")
    data = ArrayDataset(
        x,
        as_targets(y, targets),
        classes=("malignant", "benign"),
        feature_names=[form.format(name) for form in _FORMS for name in _MEASURES],
        task=CLASSIFICATION,
    )
    train, test = train_test_split(data, test_size=test_size, seed=seed)
    transform = Standardize.fit(train.arrays[0], dtype="float32")
    return train.with_transform(transform), test.with_transform(transform)
