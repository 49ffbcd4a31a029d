"""Tokenizers: texts to integers and back, letter by letter or by learnt pieces of words."""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, FormatError, OutOfRangeError, listing

Tokens = np.ndarray[Any, np.dtype[np.int64]]
Pair = tuple[int, int]


class CharTokenizer:
    """One token for each different character of a text, in the order of their code points.

    >>> tokenizer = CharTokenizer("hello")
    >>> tokenizer.encode("hole"), tokenizer.decode([1, 0, 2])
    (array([1, 3, 2, 0]), 'hel')
    """

    def __init__(self, text: str) -> None:
        self.characters = sorted(set(text))
        self._token = {character: i for i, character in enumerate(self.characters)}

    @property
    def vocab_size(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Tokens:
        """The tokens of a text; ArgumentError for a character that has none."""
        if unknown := sorted(set(text) - self._token.keys()):
            raise ArgumentError(
                "this tokenizer does not know some characters",
                given=listing([repr(c) for c in unknown]),
                expected="characters of the text that it was made from",
            )
        return np.array([self._token[c] for c in text], np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the tokens."""
        return "".join(self.characters[i] for i in _checked(tokens, self.vocab_size))

    def to_dict(self) -> dict[str, Any]:
        """What `tokenizer_from` makes the tokenizer from again; it can be written as JSON."""
        return {"kind": "char", "characters": "".join(self.characters)}


class BytePairTokenizer:
    """Byte-level byte-pair encoding: tokens are bytes, and pairs of tokens that were often seen.

    Token i < 256 is the byte i, token 256 + k joins the pair `merges[k]`. A text is cut into words,
    each with the space before it; in each word, pairs are joined in the order of `merges`. Every
    text can be encoded. Gage (1994), Sennrich, Haddow & Birch (2016); over bytes, with the pattern
    of words used here: Radford et al. (2019), GPT-2.

    >>> tokenizer = BytePairTokenizer.train("low lower lowest low", vocab_size=258)
    >>> tokenizer.merges, [tokenizer.piece(i) for i in tokenizer.encode("low")]
    ([(108, 111), (256, 119)], [b'low'])
    >>> tokenizer.decode(tokenizer.encode("Grüße ∂"))
    'Grüße ∂'
    """

    def __init__(self, merges: Sequence[Sequence[int]]) -> None:
        self.merges: list[Pair] = []
        self._pieces = [bytes([i]) for i in range(256)]
        for pair in merges:
            a, b = _checked(pair, self.vocab_size)
            self.merges.append((a, b))
            self._pieces.append(self._pieces[a] + self._pieces[b])
        self._rank = {pair: i for i, pair in enumerate(self.merges)}
        self._word = functools.lru_cache(1 << 16)(self._encode_word)

    @property
    def vocab_size(self) -> int:
        return len(self._pieces)

    @classmethod
    def train(cls, text: str, vocab_size: int) -> BytePairTokenizer:
        """Learn merges from a text: again and again, the most frequent pair becomes a token.

        Of equally frequent pairs the one with the smallest tokens is first. Stops early when no
        pair is seen twice.
        """
        if vocab_size < 256:
            raise ArgumentError(
                "there is a token for each byte", given=vocab_size, expected="at least 256"
            )
        words = _Words(text)
        merges: list[Pair] = []
        while len(merges) < vocab_size - 256 and words.pairs:
            pair = min(words.pairs, key=lambda pair: (-words.pairs[pair], pair))
            if words.pairs[pair] < 2:
                break
            words.join(pair, 256 + len(merges))
            merges.append(pair)
        return cls(merges)

    def encode(self, text: str) -> Tokens:
        """The tokens of a text."""
        words = _pattern().findall(text)
        return np.array([token for word in words for token in self._word(word)], np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the tokens; bytes that are no UTF-8 become �."""
        pieces = [self._pieces[i] for i in _checked(tokens, self.vocab_size)]
        return b"".join(pieces).decode("utf-8", errors="replace")

    def piece(self, token: int) -> bytes:
        """The bytes of a token."""
        return self._pieces[_checked([token], self.vocab_size)[0]]

    def to_dict(self) -> dict[str, Any]:
        """What `tokenizer_from` makes the tokenizer from again; it can be written as JSON."""
        return {"kind": "bpe", "merges": [list(pair) for pair in self.merges]}

    def _encode_word(self, word: str) -> list[int]:
        tokens = list(word.encode())
        last = len(self.merges)
        while len(tokens) > 1:
            pair = min(pairwise(tokens), key=lambda pair: self._rank.get(pair, last))
            if pair not in self._rank:
                break
            tokens = _joined(tokens, pair, 256 + self._rank[pair])
        return tokens


class _Words:
    """The words of a text as lists of tokens, and how often each pair of tokens is in them."""

    def __init__(self, text: str) -> None:
        counts = Counter(_pattern().findall(text))
        self.words = [list(word.encode()) for word in counts]
        self.counts = list(counts.values())
        self.pairs: Counter[Pair] = Counter()
        self.where: defaultdict[Pair, set[int]] = defaultdict(set)
        for i in range(len(self.words)):
            self._count(i, 1)

    def _count(self, i: int, sign: int) -> None:
        for pair in pairwise(self.words[i]):
            self.pairs[pair] += sign * self.counts[i]
            self.where[pair].add(i)

    def join(self, pair: Pair, token: int) -> None:
        """Replace the pair by the token in all words."""
        for i in self.where.pop(pair):
            self._count(i, -1)
            self.words[i] = _joined(self.words[i], pair, token)
            self._count(i, 1)
        del self.pairs[pair]


def _joined(tokens: list[int], pair: Pair, token: int) -> list[int]:
    """The tokens with each occurrence of the pair, from the left, replaced by the token."""
    result: list[int] = []
    i = 0
    while i < len(tokens):
        both = tuple(tokens[i : i + 2]) == pair
        result.append(token if both else tokens[i])
        i += 2 if both else 1
    return result


@functools.cache
def _pattern() -> re.Pattern[str]:
    r"""GPT-2's words: 've, letters, digits, signs, each with a space before; and white space.

    Its classes \p{L} and \p{N} are not in `re`: \w is letters, numbers and _, and \d only decimal
    digits, so that the other numbers (², Ⅳ) are named one by one.
    """
    characters = map(chr, range(sys.maxunicode + 1))
    others = "".join(c for c in characters if unicodedata.category(c) in ("Nl", "No"))
    number, letter = rf"[\d{others}]", rf"[^\W\d_{others}]"
    return re.compile(
        rf"'(?:[sdmt]|ll|ve|re)| ?{letter}+| ?{number}+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"
    )


def _checked(tokens: Iterable[int], vocab_size: int) -> list[int]:
    numbers = [int(i) for i in tokens]
    for place, i in enumerate(numbers):
        if not 0 <= i < vocab_size:
            raise OutOfRangeError(
                f"token {i} at position {place} is unknown", expected=f"0 to {vocab_size - 1}"
            )
    return numbers


def tokenizer_from(record: Any) -> CharTokenizer | BytePairTokenizer:
    """The tokenizer of a record that `to_dict` made; FormatError for any other.

    >>> tokenizer_from(CharTokenizer("ab").to_dict()).vocab_size
    2
    """
    try:
        if record["kind"] == "char":
            return CharTokenizer(record["characters"])
        if record["kind"] == "bpe":
            return BytePairTokenizer(record["merges"])
    except (KeyError, TypeError, ValueError, LookupError) as error:
        raise FormatError(f"this is no tokenizer: {error}") from error
    raise FormatError("this is no tokenizer", given=repr(record)[:60])
