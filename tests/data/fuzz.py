"""Mutated files for every reader: each is read right, or refused by an error that names it.

`python -m tests.data.fuzz 10000` runs 10,000 mutations of each kind of file and prints what came
of them, with the slowest file and the growth of memory; `... 10000 csv png` those of two kinds.
test_fuzz.py runs a few of each.
"""

from __future__ import annotations

import csv
import gzip
import io
import resource
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chainrule import data
from chainrule.errors import ChainruleError

Bytes = bytes | bytearray
DRAW = np.random.default_rng(1)


class Kind(NamedTuple):
    """A kind of file: one that is sound, its reader, and whether a result can be right.

    `right(content, result)` knows the mutated bytes and what was read from them.
    """

    suffix: str
    content: bytes
    read: Callable[[Path], Any]
    right: Callable[[bytes, Any], bool]


# -- mutations ---------------------------------------------------------------------------------

EXTREMES = [b"\0" * 4, b"\xff" * 4, b"\x7f" + b"\xff" * 3, b"\xff" * 3 + b"\x7f", b"\xff" * 8]
WORDS = [
    b",",
    b";",
    b"\t",
    b'"',
    b'""',
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"1e999",
    b"-",
    b"nan",
    b"inf",
    b"0x1",
    b"1_0",
    b" ",
    b"\xc3\xa9",
    b"\xff",
    b"\xef\xbb\xbf",
    b"<html>",
    b"9" * 400,
    b"\n" * 9,
]


def mutated(content: bytes, draw: np.random.Generator) -> bytes:
    """One to four small changes of a file."""
    result = bytearray(content)
    for _ in range(draw.integers(1, 5)):
        at, length = int(draw.integers(len(result) + 1)), int(draw.integers(1, 16))
        change = draw.integers(8)
        if change == 0 and at < len(result):
            result[at] ^= 1 << int(draw.integers(8))
        elif change == 1:
            result[at : at + length] = draw.bytes(length)
        elif change == 2:
            del result[at : at + length]
        elif change == 3:
            result[at:at] = result[at : at + length]
        elif change == 4:
            words = EXTREMES[int(draw.integers(len(EXTREMES)))]
            result[at : at + len(words)] = words
        elif change == 5:
            result[at:at] = WORDS[int(draw.integers(len(WORDS)))]
        elif change == 6:
            other = int(draw.integers(len(result) + 1))
            result[at : at + length] = result[other : other + length]
        elif draw.integers(4) == 0:
            del result[at:]
    return bytes(result)


def outcome(kind: Kind, path: Path, content: bytes) -> str:
    """What came of a mutated file: "read", or the name of the error; AssertionError if wrong."""
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a header of numbers; Pillow's doubts
        try:
            result = kind.read(path)
        except ChainruleError as error:
            assert path.name in str(error), f"the error does not name the file: {error}"
            assert len(str(error)) < 1500, "an error as long as the file"
            return type(error).__name__
        assert kind.right(content, result), f"read wrongly: {result}"
    return "read"


# -- kinds -------------------------------------------------------------------------------------


def equal(left: Any, right: Any) -> bool:
    return bool(
        left.shape == right.shape and left.dtype == right.dtype and np.array_equal(left, right)
    )


def idx_of(content: bytes) -> Any:
    dtypes = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
    code, rank = content[2:4]
    shape = struct.unpack_from(f">{rank}I", content, 4)
    values = np.frombuffer(content, dtypes[code], offset=4 + 4 * rank).reshape(shape)
    return values.astype(values.dtype.newbyteorder("="))


def idx_right(content: bytes, result: Any) -> bool:
    wanted = idx_of(content)
    return wanted.tobytes() == result.tobytes() and wanted.shape == result.shape


def tables_of(content: bytes) -> Any:
    """Every way to read a text as rows of cells: by each delimiter."""
    text = content.decode("utf-8-sig")
    for sign in ",;\t|":
        try:
            rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=sign) if row]
        except csv.Error:
            continue
        yield [[cell.strip() for cell in row] for row in rows]


def csv_right(content: bytes, table: Any) -> bool:
    if not np.isfinite(table.values).all():
        return False
    places = [table.header.index(name) for name in table.names]
    for rows in tables_of(content):
        body = rows[1:] if tuple(rows[0]) == table.header else rows
        try:
            values = [[float(row[place]) for place in places] for row in body]
        except (ValueError, IndexError):
            continue
        if np.array_equal(np.array(values).reshape(table.values.shape), table.values):
            return True
    return False


def labels_right(content: bytes, result: Any) -> bool:
    """As many samples as rows, and classes for as many labels as there are different ones."""
    x, y = result.arrays
    for rows in tables_of(content):
        if len(x) in (len(rows), len(rows) - 1) and np.isfinite(x).all():
            labels = {row[-1] for row in rows[-len(x) :]}
            return result.classes is None or len(labels) >= len(np.unique(y))
    return False


def npy_right(content: bytes, result: Any) -> bool:
    wanted = np.load(io.BytesIO(content), allow_pickle=False)
    return result.tobytes() == wanted.astype(result.dtype).tobytes()


def pillow_right(content: bytes, result: Any) -> bool:
    from PIL import Image

    picture = Image.open(io.BytesIO(content)).convert("RGB" if len(result) == 3 else "L")
    pixels = np.asarray(picture)
    return result.size == pixels.size and result.dtype == np.uint8


def columns_right(content: bytes, result: Any) -> bool:
    """Finite inputs, a label for each, and no more samples than lines."""
    train, test = result
    lines = content.replace(b"\r", b"\n").count(b"\n") + 1
    return splits_right(content, result) and len(train) + len(test) <= lines


def mixed_table() -> bytes:
    """A table with a column of each role, in notations that a mutation may break."""
    rows = ["id,price,share,colour,when,note,sold"]
    for place in range(24):
        price, share = f'"$1,{100 + place}.50"', f"{place % 7}%"
        colour, when = ["red", "blue", "NA"][place % 3], f"2012-0{1 + place % 9}-11"
        rows.append(f"{place},{price},{share},{colour},{when},some words {place},{place % 2}")
    return "\n".join(rows).encode()


def splits_right(_: bytes, result: Any) -> bool:
    train, test = result
    return all(np.isfinite(part[:][0]).all() and len(part) > 0 for part in (train, test))


def saved(save: Callable[..., Any], *arrays: Any, **named: Any) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arrays, **named)
    return buffer.getvalue()


def table(sign: str = ",", quote: str = "", end: str = "\n") -> bytes:
    rows = [["width", "height", "kind"]]
    for a, b in DRAW.normal(size=(12, 2)).round(3):
        rows.append([str(a), f"{quote}{b}{quote}", str(int(a > b))])
    return end.join(sign.join(row) for row in rows).encode()


def named_table() -> bytes:
    rows = [f"{a:.2f},{b:.0f},{'up' if a > b else 'down'}" for a, b in DRAW.normal(size=(12, 2))]
    return "\n".join(["a,b,y", *rows]).encode()


def picture(kind: str, mode: str = "RGB", **options: Any) -> Kind:
    from PIL import Image

    pixels = Image.fromarray(DRAW.integers(0, 256, (9, 7, 3), dtype=np.uint8)).convert(mode)
    content = saved(lambda buffer: pixels.save(buffer, kind, **options))
    if kind != "PNG":
        return Kind(f".{kind.lower()}", content, data.read_image, pillow_right)
    expected = np.atleast_3d(np.asarray(pixels)).transpose(2, 0, 1)
    return Kind(".png", content, data.read_image, lambda _, result: equal(result, expected))


IMAGES = DRAW.integers(0, 256, (5, 4, 3), dtype=np.uint8)
IDX = bytes([0, 0, 8, 3]) + struct.pack(">3I", *IMAGES.shape) + IMAGES.tobytes()
ARRAYS = {"x": DRAW.normal(size=(9, 2)), "y": np.arange(9) % 2, "note": np.ones(3, np.uint8)}
MATRIX = DRAW.normal(size=(4, 3)).astype(np.float32)


def archive_right(_: bytes, result: Any) -> bool:
    return list(result) == list(ARRAYS) and all(equal(result[k], v) for k, v in ARRAYS.items())


def read_labels(path: Path) -> Any:
    return data.csv_dataset(path, -1)


def read_table(path: Path) -> Any:
    return data.table(path, -1)


def open_split(path: Path) -> Any:
    return data.open_dataset(path, label=-1)


def kinds() -> dict[str, Kind]:
    """All kinds of files that the readers of `cr.data` take."""
    npz, packed = saved(np.savez, **ARRAYS), saved(np.savez_compressed, **ARRAYS)
    return {
        "idx": Kind("-idx3-ubyte", IDX, data.read_idx, idx_right),
        "idx.gz": Kind(".gz", gzip.compress(IDX), data.read_idx, lambda _, x: equal(x, IMAGES)),
        "npy": Kind(".npy", saved(np.save, MATRIX), data.read_npy, npy_right),
        "npz": Kind(".npz", npz, data.read_npz, archive_right),
        "npz, packed": Kind(".npz", packed, data.read_npz, archive_right),
        "npz, opened": Kind(".npz", npz, data.open_dataset, splits_right),
        "csv": Kind(".csv", table(), data.read_csv, csv_right),
        "csv, quoted": Kind(".csv", table(quote='"', end="\r\n"), data.read_csv, csv_right),
        "tsv": Kind(".tsv", table("\t", end="\r"), data.read_csv, csv_right),
        "csv, labels": Kind(".csv", named_table(), read_labels, labels_right),
        "table": Kind(".csv", mixed_table(), read_table, columns_right),
        "table, tabs": Kind(".tsv", table("\t", end="\r\n"), read_table, columns_right),
        "csv, opened": Kind(".csv", table(";"), open_split, splits_right),
        "png": picture("PNG"),
        "png, palette": picture("PNG", "L"),
        "jpeg": picture("JPEG"),
        "bmp": picture("BMP"),
        "gif": picture("GIF"),
        "tiff": picture("TIFF"),
        "tiff, packed": picture("TIFF", compression="tiff_lzw"),
        "webp": picture("WEBP", lossless=True),
    }


def run(kind: Kind, folder: Path, count: int, seed: int = 0) -> tuple[Counter[str], float]:
    """The outcomes of `count` mutations, and the longest time that one took, in seconds."""
    draw = np.random.default_rng(seed)
    path, found, slowest = folder / f"mutated{kind.suffix}", Counter[str](), 0.0
    for number in range(count):
        content = mutated(kind.content, draw)
        start = time.perf_counter()
        try:
            found[outcome(kind, path, content)] += 1
        except BaseException as error:
            error.add_note(f"mutation {number} of seed {seed}: {content[:600]!r}")
            raise
        slowest = max(slowest, time.perf_counter() - start)
    return found, slowest


def main(count: int, names: list[str], seed: int) -> None:
    for name, kind in kinds().items():
        if names and name not in names:
            continue
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with tempfile.TemporaryDirectory() as folder:
            found, slowest = run(kind, Path(folder), count, seed)
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        outcomes = ", ".join(f"{value:,} {key}" for key, value in found.most_common())
        print(f"{name:<14} {outcomes}; slowest {1e3 * slowest:.0f} ms, memory +{memory:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, sys.argv[2:], seed=0)
