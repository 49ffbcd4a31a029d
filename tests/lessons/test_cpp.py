"""The network in C++: the same numbers as Python, in every stage, and damaged files are refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from lessons import by_hand
from lessons.cpp import bridge, measure

pytestmark = pytest.mark.skipif(bridge.compiler() is None, reason="no C++ compiler with make here")
SIZES = (35, 40, 9, 10)  # no tile divides them


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bridge.build(tmp_path_factory.mktemp("cpp"))


def layers(sizes: tuple[int, ...] = SIZES, seed: int = 0) -> bridge.Weights:
    random = np.random.default_rng(seed)
    pairs = pairwise(sizes)
    return [
        ((random.normal(size=p) * (2 / p[0]) ** 0.5).astype("f4"), random.normal(size=p[1]) * 0.1)
        for p in pairs
    ]


def digits(folder: Path, n: int, side: tuple[int, int] = (5, 7)) -> tuple[Path, Path]:
    random = np.random.default_rng(1)
    images = bridge.write_idx(folder / "images", random.integers(0, 256, (n, *side)))
    return images, bridge.write_idx(folder / "labels", random.integers(0, 10, n))


def truth(weights: bridge.Weights, x: np.ndarray) -> np.ndarray:
    """Probabilities in float64, from the formulas."""
    for w, b in weights[:-1]:
        x = np.maximum(x @ w.astype("f8") + b, 0)
    z = x @ weights[-1][0] + weights[-1][1]
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def pixels(images: Path) -> np.ndarray:
    return np.frombuffer(images.read_bytes()[16:], np.uint8).reshape(-1, 35) / 255


@pytest.mark.parametrize("stage", bridge.STAGES)
@pytest.mark.parametrize("n", [1, 7, 8, 100, 1000])
def test_probabilities(program: Path, tmp_path: Path, stage: str, n: int) -> None:
    images, _ = digits(tmp_path, n)
    weights = bridge.write_weights(tmp_path / "weights", layers())
    found = bridge.predict(program, weights, images, stage=stage, threads=3)
    expected = truth(bridge.read_weights(weights), pixels(images))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("stage", bridge.STAGES)
@pytest.mark.parametrize("sizes", [SIZES, (35, 300, 70, 10), (35, 10)])
def test_training_as_by_hand(
    program: Path, tmp_path: Path, stage: str, sizes: tuple[int, ...]
) -> None:
    images, labels = digits(tmp_path, 210)  # the last batch is smaller
    start = bridge.write_weights(tmp_path / "start", layers(sizes))
    after = tmp_path / "after"
    options = {"from": start, "out": after, "batch": 64, "lr": 0.2, "epochs": 3, "stage": stage}
    bridge.run(program, "train", images, labels, **options)

    parts: list[object] = []
    for w, b in bridge.read_weights(start):
        dense = by_hand.DenseLayer(*w.shape)
        dense.weights, dense.biases = w.astype("f8"), b.astype("f8")[None]
        parts += [dense, by_hand.Activation_ReLU()]
    model = by_hand.Model(parts[:-1])
    last = by_hand.Activation_Softmax_Loss_CategoricalCrossentropy()
    optimizer = by_hand.Optimizer_SGD(0.2)
    y = np.frombuffer(labels.read_bytes()[8:], np.uint8).astype(int)
    for first in [0, 64, 128, 192] * 3:
        batch = slice(first, first + 64)
        last.forward(model.forward(pixels(images)[batch]), y[batch])
        last.backward(last.output, y[batch])
        model.backward(last.dinputs)
        optimizer.update_params(model)
    dense_layers = [layer for layer in model.layers if hasattr(layer, "weights")]
    for (w, b), layer in zip(bridge.read_weights(after), dense_layers, strict=True):
        np.testing.assert_allclose(w, layer.weights, atol=1e-4)
        np.testing.assert_allclose(b, layer.biases[0], atol=1e-4)


def test_threads_change_no_bit(program: Path, tmp_path: Path) -> None:
    images, labels = digits(tmp_path, 600, (28, 28))
    results = []
    for stage, threads in [("blocked", 1), ("threads", 2), ("threads", 5)]:
        options = {"stage": stage, "threads": threads, "out": tmp_path / "after", "batch": 200}
        bridge.run(program, "train", images, labels, **options)
        results.append((tmp_path / "after").read_bytes())
    assert results[0] == results[1] == results[2]


def test_weights_go_there_and_back(tmp_path: Path) -> None:
    pairs = layers()
    found = bridge.read_weights(bridge.write_weights(tmp_path / "weights", pairs))
    for (w, b), (w2, b2) in zip(pairs, found, strict=True):
        np.testing.assert_array_equal(w, w2)
        np.testing.assert_array_equal(b.astype("f4"), b2)


def idx(*dims: int, code: int = 8, content: int | None = None) -> bytes:
    size = int(np.prod(dims)) if content is None else content
    return struct.pack(f">HBB{len(dims)}I", 0, code, len(dims), *dims) + b"\1" * size


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated in the header"),
        (idx(2, 5, 7)[:15], "truncated in the header"),
        (idx(2, 5, 7)[:-1], "truncated, fewer"),
        (idx(2, 5, 7) + b"\0", "more bytes"),
        (idx(2, 5, 7, code=13), "wrong magic number"),
        (idx(35, 2, content=80), "wrong magic number"),
        (b"\x1f\x8b" + bytes(40), "gzipped"),
        (idx(0, 5, 7), "empty"),
        (idx(0, 5, 7, content=3), "more bytes"),
        (idx(2, 7, 7), "49 pixels, not 35"),
        (idx(2**32 - 1, 2**32 - 1, 2**32 - 1, content=70), "truncated, fewer"),
        (idx(2**31, 2**31, 4, content=0), "truncated, fewer"),  # 2^64, which is 0 in 64 bits
    ],
)
def test_damaged_images_are_refused(
    program: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "images").write_bytes(content)
    weights = bridge.write_weights(tmp_path / "weights", layers())
    with pytest.raises(RuntimeError, match=f"network: .*images: {message}"):
        bridge.predict(program, weights, tmp_path / "images")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(2), "not one label for each of the 3 images"),
        (struct.pack(">HBBI3B", 0, 8, 1, 3, 1, 10, 1), "label 10 is out of range"),
        (idx(3, 1, 1), "wrong magic number"),
        (idx(3)[:-1], "truncated"),
    ],
)
def test_damaged_labels_are_refused(
    program: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    images, labels = digits(tmp_path, 3)
    labels.write_bytes(content)
    start = bridge.write_weights(tmp_path / "weights", layers())
    with pytest.raises(RuntimeError, match=message):
        bridge.run(program, "train", images, labels, **{"from": start})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b"", "must begin with CRWEIGHT"),
        (lambda b: b"X" + b[1:], "must begin with CRWEIGHT"),
        (lambda b: b[:11], "must begin with CRWEIGHT"),
        (lambda b: b[:20], "truncated header"),
        (lambda b: b[:-1], "truncated, or too long"),
        (lambda b: b + b"\0", "truncated, or too long"),
        (lambda b: b[:8] + struct.pack("<I", 0) + b[12:], "not 1 to 64 layers"),
        (lambda b: b[:8] + struct.pack("<I", 2**32 - 1) + b[12:], "not 1 to 64 layers"),
        (lambda b: b[:12] + struct.pack("<I", 0) + b[16:], "out of range"),
        (lambda b: b[:12] + struct.pack("<2I", 2**31, 2**31) + b[20:], "out of range"),
        (lambda b: b[:12] + struct.pack("<2I", 2**20, 2**20) + b[20:], "truncated, or too long"),
        (lambda b: b[:-4] + struct.pack("<f", np.nan), "not a finite number"),
    ],
)
def test_damaged_weights_are_refused(
    program: Path, tmp_path: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    images, _ = digits(tmp_path, 3)
    weights = bridge.write_weights(tmp_path / "weights", layers())
    weights.write_bytes(change(weights.read_bytes()))
    with pytest.raises(RuntimeError, match=message):
        bridge.predict(program, weights, images)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the commands are"),
        (["dance"], "the commands are"),
        (["train", "one"], "the commands are"),
        (["bench", "sleep"], "the commands are"),
        (["bench", "train", "--stage", "magic"], "no such stage"),
        (["bench", "train", "--colour", "red"], "no option, or no value"),
        (["bench", "train", "--batch"], "no option, or no value"),
        (["bench", "train", "--batch", "0"], "not a number in its range"),
        (["bench", "train", "--batch", "many"], "not a number in its range"),
        (["bench", "train", "--batch", "1.5"], "not a whole number"),
        (["bench", "train", "--threads", "65"], "not a number in its range"),
        (["predict", "nowhere", "nowhere"], "nowhere: not a file to read"),
        (["predict", ".", "."], "not a file to read"),
    ],
)
def test_wrong_words(program: Path, words: list[str], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        bridge.run(program, *words)


def test_training_that_diverges_says_so(program: Path, tmp_path: Path) -> None:
    images, labels = digits(tmp_path, 64, (28, 28))
    with pytest.raises(RuntimeError, match="not finite; a smaller --lr"):
        bridge.run(program, "train", images, labels, lr=1e6, epochs=5, out=tmp_path / "after")
    assert not (tmp_path / "after").exists()


def test_a_place_that_cannot_be_written(program: Path, tmp_path: Path) -> None:
    images, labels = digits(tmp_path, 8, (28, 28))
    with pytest.raises(RuntimeError, match="cannot be written"):
        bridge.run(program, "train", images, labels, out=tmp_path / "no" / "folder")


def test_without_native_instructions(tmp_path: Path) -> None:
    """What a compiler makes that knows neither -march=native nor AVX-512: the other tile."""
    plain = bridge.build(tmp_path, NATIVE="")
    images, _ = digits(tmp_path, 50)
    weights = bridge.write_weights(tmp_path / "weights", layers())
    found = bridge.predict(plain, weights, images)
    expected = truth(bridge.read_weights(weights), pixels(images))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("candidate", measure.CANDIDATES)
@pytest.mark.parametrize("what", ["train", "predict"])
def test_every_candidate_is_measured(program: Path, candidate: str, what: str) -> None:
    assert 0 < measure.timer(candidate, what, 2, program)(0.001) < 10


def test_the_source_stays_one_readable_file() -> None:
    lines = bridge.SOURCE.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400
    assert max(map(len, lines)) <= 100
    for number in range(1, 10):
        assert f"// ---- {number}. " in bridge.part(number).splitlines()[0]
