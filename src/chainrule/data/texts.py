"""Texts as samples for models that predict the next token."""

from __future__ import annotations

import os

import numpy as np

from chainrule.data.dataset import ArrayDataset
from chainrule.data.files import PathLike, open_regular
from chainrule.data.tokenizers import BytePairTokenizer, CharTokenizer
from chainrule.errors import ArgumentError, FormatError

Tokenizer = CharTokenizer | BytePairTokenizer
_MOST_CHARACTERS = 256


def read_text(path: PathLike) -> str:
    """A text file in UTF-8. Raises FormatError for other bytes, with their position."""
    with open_regular(path) as (file, _):
        data = file.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{os.fspath(path)} is no text in UTF-8",
            given=f"byte {data[error.start]:#x} at {error.start}",
        ) from None


def tokenizer_for(text: str, vocab_size: int | None = None) -> Tokenizer:
    """A tokenizer for a text: characters if there are few, else 1,024 byte pairs.

    vocab_size: the number of byte pairs, if those are wanted.

    >>> tokenizer_for("to be or not to be").vocab_size
    7
    """
    if vocab_size is None and len(set(text)) <= _MOST_CHARACTERS:
        return CharTokenizer(text)
    return BytePairTokenizer.train(text, vocab_size or 1024)


def text_windows(tokens: np.ndarray, length: int) -> ArrayDataset:
    """Windows of a text, one after the other, and as targets the same windows one token later.

    >>> x, y = text_windows(np.arange(7), 3)[:]
    >>> x, y
    (array([[0, 1, 2], [3, 4, 5]]), array([[1, 2, 3], [4, 5, 6]]))
    """
    n = (len(tokens) - 1) // length
    if n < 1:
        raise ArgumentError(
            "the text is too short", given=f"{len(tokens)} tokens", expected=f"more than {length}"
        )
    x, y = tokens[: n * length], tokens[1 : n * length + 1]
    return ArrayDataset(x.reshape(n, length), y.reshape(n, length))


def text_datasets(
    text: str, tokenizer: Tokenizer, length: int, test_size: float
) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test) windows; the test part is the end of the text."""
    tokens = tokenizer.encode(text)
    cut = round(len(tokens) * (1 - test_size))
    return text_windows(tokens[:cut], length), text_windows(tokens[cut:], length)
