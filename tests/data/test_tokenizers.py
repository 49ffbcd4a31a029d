"""Tokenizers: any text comes back, and byte pairs are those of tiktoken with the same merges."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.data import BytePairTokenizer, CharTokenizer, tokenizer_from
from chainrule.errors import ArgumentError, FormatError, OutOfRangeError

TEXT = "We're reading 12² lines; they'll read  as\n\n\tone's own _words_. Ünïcödé Ⅳ 漢字 🙂 " * 5
BYTES = BytePairTokenizer.train(TEXT, 300)


@given(st.text())
def test_every_text_comes_back_from_byte_pairs(text: str) -> None:
    assert BYTES.decode(BYTES.encode(text)) == text


@pytest.mark.parametrize("tokenizer", [BYTES, CharTokenizer(TEXT)])
def test_a_tokenizer_survives_json(tokenizer: CharTokenizer | BytePairTokenizer) -> None:
    again = tokenizer_from(json.loads(json.dumps(tokenizer.to_dict())))
    assert again.vocab_size == tokenizer.vocab_size
    tokens = tokenizer.encode(TEXT)
    assert tokens.tolist() == again.encode(TEXT).tolist()
    assert tokens.max() < tokenizer.vocab_size
    assert again.decode(cr.tensor(tokens)) == TEXT


@pytest.mark.parity
def test_byte_pairs_are_those_of_tiktoken() -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="the extra `parity`")
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    ranks = {BYTES.piece(i): i for i in range(BYTES.vocab_size)}
    peer = tiktoken.Encoding("peer", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})

    @given(st.text(st.sampled_from("abWe'rl s12²Ⅳ_;.\n\t 漢é🙂"), max_size=60))
    def agree(text: str) -> None:
        assert BYTES.encode(text).tolist() == peer.encode(text)

    agree()
    assert BYTES.encode(TEXT).tolist() == peer.encode(TEXT)


def test_merges_are_learnt_by_frequency_then_by_order() -> None:
    assert BytePairTokenizer.train("abab abcd cdcd", 258).merges == [(97, 98), (99, 100)]
    assert BytePairTokenizer.train("xy", 300).merges == []  # no pair is seen twice


def test_what_is_unknown_is_named() -> None:
    with pytest.raises(ArgumentError, match="'z'"):
        CharTokenizer("abc").encode("abz")
    with pytest.raises(OutOfRangeError, match="token 9 at position 1"):
        CharTokenizer("abc").decode([1, 9])
    with pytest.raises(ArgumentError, match="there is a token for each byte"):
        BytePairTokenizer.train("abc", 100)
    for record in (None, {}, {"kind": "word"}, {"kind": "bpe", "merges": [[1, 999]]}):
        with pytest.raises(FormatError, match="no tokenizer"):
            tokenizer_from(record)
