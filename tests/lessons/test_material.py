"""What the lessons share: pictures with texts and labels, and the examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from lessons import material, pictures

import chainrule as cr

LESSONS = Path(material.__file__).parent
MODULES = [
    ".".join(path.relative_to(LESSONS.parent).with_suffix("").parts)
    for path in sorted(LESSONS.rglob("*.py"))
    if not re.match(r"\d|notebooks", path.name)
]


@pytest.fixture(autouse=True)
def style():
    """The look of the lessons, for one test."""
    kept = np.get_printoptions()
    with plt.rc_context():
        yield material.style()
    np.set_printoptions(**kept)
    plt.close("all")


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_docstrings_run(module):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(importlib.import_module(module), optionflags=options).failed == 0


def curve():
    figure, ax = plt.subplots()
    ax.semilogy([1, 2, 3], [0.1234567, 1, 100])
    ax.set(xlabel="step", ylabel="loss")
    return figure, ax


def test_a_picture_is_svg_with_its_text_and_the_same_each_time():
    one, other = (material.svg(curve()[0], "A <rising> loss.") for _ in "ab")
    assert one == other and "\n" not in one
    root = ElementTree.fromstring(one)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.findtext("{http://www.w3.org/2000/svg}title") == "A <rising> loss."
    paths = [path.get("d") for path in root.iter("{http://www.w3.org/2000/svg}path")]
    assert len(paths) > 10 and not re.search(r"\.\d{3}", " ".join(filter(None, paths)))


def test_numbers_without_a_label_are_refused():
    for name in ("xlabel", "ylabel"):
        figure, ax = curve()
        ax.set(title="Loss", **{name: ""})
        with pytest.raises(ValueError, match=f"The {name[0]}-axis of 'Loss' has the numbers"):
            material.svg(figure, "A loss.")


def test_words_pictures_and_inner_axes_need_no_label():
    figure, axes = plt.subplots(2, 2, sharex="col", sharey="row")
    for ax in axes.flat:
        ax.plot([1, 2])
    axes[0, 0].set_ylabel("loss")
    axes[1, 0].set(ylabel="loss", xlabel="step")
    axes[1, 1].set_xlabel("step")
    material.svg(figure, "Four curves.")
    figure, (bars, image) = plt.subplots(1, 2)
    bars.barh(["NumPy", "Chainrule"], [1, 2])
    bars.set_xlabel("seconds")
    material.picture(image, np.zeros((3, 4)))
    material.svg(figure, "Two bars and a picture.")


def test_show_closes_the_figure():
    curve()
    material.show("A loss.")
    assert not plt.get_fignums()


def test_memory_is_drawn_in_kibibytes():
    graph = cr.trace(lambda x: ((x + 1).exp() @ x).tanh())(cr.spec(32, 32)).graph
    ax = plt.figure().subplots()
    together, needed = pictures.memory(ax, graph)
    assert ax.get_ylabel() == "KiB" and ax.get_ylim() == (0, needed / 1024)
    heights = {bar.get_height() for bar in ax.patches}
    assert heights == {32 * 32 * 4 / 1024} and together == len(ax.patches) * 32 * 32 * 4
