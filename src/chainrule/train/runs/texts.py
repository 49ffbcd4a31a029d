"""Runs on a text: models that predict the next token, and write."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from chainrule import models, nn
from chainrule.data.dataset import ArrayDataset
from chainrule.data.texts import read_text, text_datasets, tokenizer_for
from chainrule.data.tokenizers import BytePairTokenizer, CharTokenizer, tokenizer_from
from chainrule.errors import ArgumentError, FormatError
from chainrule.tensor import Tensor
from chainrule.train.runs.config import DataConfig, InputsConfig, ModelConfig

LENGTH = 64
MODELS: dict[str, Any] = {
    "gpt": lambda vocab_size, **o: models.GPT(vocab_size, LENGTH, dropout=0.1, **o),
    "char_rnn": lambda vocab_size, **o: models.CharRNN(vocab_size, **o),
}
"""The models for texts, as functions of the size of the vocabulary."""


class NextToken(nn.Module):
    """A language model with the scores as a loss expects them: (N, T) → (N, vocab_size, T)."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def forward(self, input: Tensor) -> Tensor:
        scores = self.model(input)
        return (scores[0] if isinstance(scores, tuple) else scores).transpose(1, 2)


def is_text(source: str, model: str | None) -> bool:
    """Whether a run is about a text: its model is for texts, or its data is a .txt file."""
    return model in MODELS or (model is None and source.lower().endswith(".txt"))


def text_parts(data: DataConfig, model: str | None) -> tuple[InputsConfig, ModelConfig, int]:
    """The inputs and the model of a run on a text, and how many windows it learns from."""
    if not os.path.exists(data.source):
        raise ArgumentError("no file is called that", given=data.source, expected="a text file")
    tokenizer = tokenizer_for(read_text(data.source), data.vocab_size)
    inputs = InputsConfig(None, None, None, None, None, [LENGTH], None, tokenizer.to_dict())
    chosen = ModelConfig(model or "gpt", options={"vocab_size": tokenizer.vocab_size})
    return inputs, chosen, len(open_text(data, inputs)[0])


def tokenizer_of(inputs: InputsConfig) -> CharTokenizer | BytePairTokenizer:
    """The tokenizer of a run; ArgumentError for a run that is not about a text."""
    if inputs.tokenizer is None:
        raise ArgumentError(
            "this run was not trained on a text",
            instead="Train one: chainrule train book.txt --model gpt.",
        )
    return tokenizer_from(inputs.tokenizer)


def open_text(data: DataConfig, inputs: InputsConfig) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test) windows of the run's text."""
    text, tokenizer = read_text(data.source), tokenizer_of(inputs)
    return text_datasets(text, tokenizer, inputs.input_shape[0], data.test_size)


def build_text(config: ModelConfig) -> nn.Module:
    """The model of a run on a text, before training."""
    try:
        return NextToken(MODELS[config.kind](**(config.options or {})))
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"the model {config.kind!r:.40} cannot be made: {error}") from error


def generate(
    run: Any,
    prompt: str,
    n: int,
    *,
    temperature: float = 0.8,
    top_k: int | None = None,
) -> str:
    """The prompt and `n` more tokens, written by the model of a run; see `models.GPT.generate`.

    Without a prompt the model starts after token 0, of characters the first, such as a new line.
    """
    tokenizer = tokenizer_of(run.config.inputs)
    tokens = tokenizer.encode(prompt) if prompt else np.zeros(1, np.int64)
    model: Any = run.model
    found = model.model.generate(Tensor(tokens[None]), n, temperature=temperature, top_k=top_k)
    return tokenizer.decode(found[0].tolist()[0 if prompt else 1 :])
