"""Runs on a text: the model learns it, and `chainrule generate` continues a prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import chainrule as cr
from chainrule.cli import main

SENTENCES = "the cat sat on the mat. the dog sat on the log. " * 60


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text(SENTENCES)


def call(*args: str):
    return CliRunner().invoke(main, args)


def test_a_text_is_learnt_and_continued() -> None:
    options = ("--model", "char_rnn", "--epochs", "40", "--batch-size", "8", "--out", "run")
    trained = call("train", "book.txt", *options, "--quiet")
    assert trained.exit_code == 0, trained.output
    assert "chainrule generate run" in trained.stdout
    write = ("generate", "run", "--prompt", "the cat s", "--length", "30")
    likeliest = call(*write, "--temperature", "0").stdout.strip()
    assert likeliest.startswith("the cat sat on the ")
    assert call(*write, "--seed", "3").stdout == call(*write, "--seed", "3").stdout
    assert "What it writes" in Path("run/report.html").read_text()
    run = cr.load_run("run")
    assert run.evaluate()["accuracy"] > 0.6  # "sat" or "cat", "mat" or "log" cannot be known
    predicted = call("predict", "run", "book.txt")
    assert predicted.exit_code == 1 and "chainrule generate run" in predicted.stderr


def test_byte_pairs_and_a_gpt() -> None:
    options = ("--epochs", "1", "--vocab-size", "270", "--out", "run", "--quiet", "--no-report")
    assert call("train", "book.txt", *options).exit_code == 0
    model = cr.load_run("run").config.model
    assert (model.kind, model.options) == ("gpt", {"vocab_size": 270})


@pytest.mark.parametrize(
    ("text", "words"), [(b"\xff\xfe\x00", "UTF-8"), (b"short", "too short"), (b"", "too short")]
)
def test_texts_that_cannot_be_learnt(text: bytes, words: str) -> None:
    Path("bad.txt").write_bytes(text)
    result = call("train", "bad.txt", "--out", "run")
    assert result.exit_code == 1 and words in result.stderr
    assert not Path("run").exists()
    other = call("train", "moons", "--epochs", "1", "--out", "run", "--quiet", "--no-report")
    assert other.exit_code == 0
    refused = call("generate", "run")
    assert refused.exit_code == 1 and "not trained on a text" in refused.stderr
