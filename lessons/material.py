"""What the lessons share: the handwritten digits, and one look for every picture."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import data
from chainrule.data.idx import read_idx_folder

Array = NDArray[Any]

# The colours of Okabe and Ito (2008), which every eye can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442",
)


def source() -> str:
    """Which digits :func:`handwritten` gives: "MNIST" or "digits" (the set that ships).

    MNIST is used when it lies in `$CHAINRULE_DATA/mnist`; nothing is ever downloaded.
    """
    return "digits" if _mnist("t10k") is None else "MNIST"


def handwritten(flat: bool = True) -> tuple[Array, Array, Array, Array]:
    """(x_train, y_train, x_test, y_test): grey images of 28 × 28 digits in 10 classes.

    Images are float32 in [0, 1], of shape (n, 784), or (n, 1, 28, 28) with `flat=False`; labels
    are int64 (n,). MNIST has 60,000 and 10,000 of them. The digits that ship, 1,438 and 359, are
    8 × 8 small: each pixel is drawn 3 × 3, with a border of 2, so that the same networks fit.
    """
    train, test = _mnist("train"), _mnist("t10k")
    if train is None or test is None:
        train, test = (_enlarged(part) for part in data.digits(flat=False))
    (x_train, y_train), (x_test, y_test) = train, test
    shape = (784,) if flat else (1, 28, 28)
    return _scaled(x_train, shape), y_train, _scaled(x_test, shape), y_test


def _mnist(part: str) -> tuple[Array, Array] | None:
    """Pixels uint8 (n, 1, 28, 28) and labels int64 (n,) of one part; None if it is not there."""
    root = os.environ.get("CHAINRULE_DATA")
    pair = read_idx_folder(Path(root) / "mnist", part) if root else None
    return None if pair is None else (pair[0], pair[1].astype(np.int64))


def _enlarged(part: data.ArrayDataset) -> tuple[Array, Array]:
    """The 8 × 8 digits at the size of MNIST's: 3 · 8 + 2 · 2 = 28."""
    x, y = part[:]
    return np.pad(np.kron(x, np.ones((3, 3), np.float32)), ((0, 0), (0, 0), (2, 2), (2, 2))), y


def _scaled(x: Array, shape: tuple[int, ...]) -> Array:
    x = x.reshape(-1, *shape)
    return x.astype(np.float32) / np.float32(255) if x.dtype == np.uint8 else x


def style() -> None:
    """The course's look: small figures as SVG, colours safe for every eye, numbers rounded."""
    import matplotlib.pyplot as plt
    from cycler import cycler

    np.set_printoptions(precision=4, suppress=True)
    plt.rcParams.update({
        "figure.figsize": (6.0, 3.2), "figure.dpi": 80, "savefig.dpi": 80,
        "figure.constrained_layout.use": True, "svg.hashsalt": "lessons",
        "axes.prop_cycle": cycler(color=COLORS), "axes.grid": True,
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
        "grid.color": "#dddddd", "grid.linewidth": 0.6, "lines.linewidth": 1.6,
        "font.size": 10, "axes.titlesize": 10, "axes.labelsize": 10, "legend.fontsize": 9,
        "legend.frameon": False, "image.cmap": "gray", "image.interpolation": "nearest",
    })


def show(alt: str) -> None:
    """Show the current figure, as :func:`svg` writes it, and close it."""
    import matplotlib.pyplot as plt

    data = {"image/svg+xml": svg(plt.gcf(), alt), "text/plain": alt}
    plt.close()
    if "ipykernel" in sys.modules:
        from IPython.display import display

        display(data, metadata={"image/svg+xml": {"alt": alt}}, raw=True)


def svg(figure: Any, alt: str) -> str:
    """A figure as one line of SVG, coordinates to a hundredth of a point.

    `alt` says in words what there is to see. Raises ValueError if an axis has numbers and no label
    that says what they are.
    """
    figure.canvas.draw()
    for ax in figure.axes:
        _check_labels(ax)
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Title": alt, "Date": None, "Creator": None})
    _, start, rest = file.getvalue().decode().partition("<svg")
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", start + rest, flags=re.S)
    text = re.sub(r"\s*\n\s*", " ", text.strip())
    return re.sub(r"(?<![\d.(])(-?\d+\.\d\d)\d+", r"\1", text)


def _check_labels(ax: Any) -> None:
    """Numbers beside an axis need a label; words, pictures and hidden axes need none."""
    for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
        texts = [re.sub(r"\\[a-z]+|[${}^ ]", "", t.get_text()) for t in axis.get_ticklabels()]
        numbers = [text for text in texts if re.fullmatch(r"[\d.,+−-]+", text)]
        if numbers and not axis.get_label_text():
            where = f"The {axis.axis_name}-axis of {ax.get_title() or 'a picture'!r}"
            raise ValueError(f"{where} has the numbers {', '.join(numbers[:3])} ... and no label.")


def picture(ax: Any, pixels: Array, title: str = "", **options: Any) -> Any:
    """Draw `pixels` (784,), (28, 28) or any (h, w) on the axes `ax`, without ticks or grid."""
    side = int(np.sqrt(pixels.size))
    image = ax.imshow(pixels if pixels.ndim == 2 else pixels.reshape(side, side), **options)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.set_title(title)
    return image
