"""`report.html`: one offline page with the curves, the mistakes and the layers of a run."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.data.dataset import ArrayDataset
from chainrule.data.encoding import EncodeTable
from chainrule.ops.random import manual_seed
from chainrule.primitive import Array
from chainrule.tensor import from_numpy
from chainrule.train.infer import outputs_of
from chainrule.train.io.atomic import write_atomic
from chainrule.train.io.strict_json import read_json
from chainrule.train.metrics import ConfusionMatrix
from chainrule.train.modes import evaluating
from chainrule.train.runs import plots
from chainrule.train.runs.folder import RunFolder
from chainrule.train.runs.judgement import judged
from chainrule.train.runs.markup import (
    drawn_if_possible,
    header,
    panels,
    section,
    table,
    text,
    whole_page,
)
from chainrule.train.runs.texts import generate

_MISTAKES = 16
_ROWS = 12


def write_report(run: RunFolder) -> str:
    """Write `report.html` into the run's folder; returns its path.

    Without matplotlib, the page has only tables and names the missing library.
    """
    data = run.judged
    drawn = drawn_if_possible(lambda: _drawn(run, data))
    parts = [_header(run), *drawn, _layers(run), _settings(run), _config(run), _footer(run)]
    path = run.path("report.html")
    write_atomic(path, [whole_page(run.config.name, parts)])
    return path


def summary_rows(run: RunFolder) -> list[dict[str, Any]]:
    """Layer, shape of its output and parameters, in order."""
    model = run.model
    if not isinstance(model, nn.Sequential):
        return [
            {
                "layer": f"{name or 'model'}: {_kind(module)}",
                "output": "",
                "parameters": sum(p.spec.size for p in module.parameters()),
            }
            for name, module in model.named_modules()
            if not list(module.children())
        ]
    x = from_numpy(np.zeros((1, *run.config.inputs.input_shape), np.float32))
    rows = []
    with evaluating(model):
        for name, layer in model.named_children():
            x = layer(x)
            size = sum(p.spec.size for p in layer.parameters())
            shape = " × ".join(map(str, x.shape[1:]))
            rows.append({"layer": f"{name}: {_kind(layer)}", "output": shape, "parameters": size})
    return rows


def _kind(module: nn.Module) -> str:
    """`Linear 64 → 128`, or `Dropout(p=0.2, inplace=False)` for a module without a short form."""
    name, short, options = type(module).__name__, module.short_repr(), module.extra_repr()
    if short:
        return f"{name} {short}"
    return f"{name}({options})" if options else name


def _header(run: RunFolder) -> str:
    config, results = run.config, run.results
    test = results.get("test", {})
    test = test if isinstance(test, dict) else {}
    parameters = sum(p.spec.size for p in run.model.parameters())
    facts = []
    if isinstance(test.get("accuracy"), float):
        facts.append(("test accuracy", f"{100 * test['accuracy']:.2f}<small> %</small>"))
    elif isinstance(test.get("r2"), float):
        facts.append(("test R²", f"{test['r2']:.4f}"))
    facts.append(("parameters", f"{parameters:,}"))
    if isinstance(results.get("seconds"), (int, float)):
        facts.append(("trained in", f"{results['seconds']:.1f}<small> s</small>"))
    source = os.path.basename(os.path.normpath(config.data.source))
    learn, validate, test_size = run.sizes
    about = (
        f"{source}: {learn:,} samples to learn from, {validate:,} to validate on, {test_size:,} to "
        f"test on ({config.model.kind})"
    )
    return header("Chainrule run", config.name, about, facts)


def _drawn(run: RunFolder, data: ArrayDataset) -> list[str]:
    history, parts = run.history.records, []
    if history:
        parts.append(
            section(
                "How it learned",
                "Per epoch, on training and validation data.",
                panels(plots.curves(history)),
            )
        )
    parts += _written(run) if run.config.inputs.tokenizer is not None else _judged(run, data)
    if layers := plots.layers_over_time(history):
        about = "A layer whose gradients fade or explode, or whose steps are far from 10⁻³, shows."
        parts.append(section("Inside the layers", about, panels(layers)))
    return parts


def _written(run: RunFolder) -> list[str]:
    """A text that the model writes."""
    manual_seed(0)
    about = "Without a prompt, at a temperature of 0.8."
    return [section("What it writes", about, f"<pre>{text(generate(run, '', 600))}</pre>")]


def _judged(run: RunFolder, data: ArrayDataset) -> list[str]:
    """Predictions and mistakes on the test part."""
    outputs, parts = outputs_of(run.model, data), []
    y = data.arrays[-1].reshape(len(data), -1)
    if not run.predicts.classes:
        values = run.values(outputs).reshape(y.shape)
        about = "On the test part; on the line they agree."
        drawn = section("Predictions", about, panels([plots.scatter(y, values)]))
        parts.append(_pair(drawn, _misses(data, y, values)))
    else:
        labels = y[:, 0].astype(np.int64)
        shares = run.predicts.probabilities(outputs)
        names = run.names(shares)
        parts.append(
            _pair(_confusion(shares, labels, names), _mistakes(data, shares, labels, names))
        )
    return parts + [section(*part) for part in judged(run, data, outputs)]


def _pair(left: str, right: str) -> str:
    return f'<div class="pair">{left}{right}</div>'


def _confusion(shares: Array, labels: Array, names: Sequence[str]) -> str:
    metric = ConfusionMatrix(len(names))
    metric.update(shares, labels)
    about = "Rows are the true classes, columns what the model said."
    return section("Confusion", about, plots.confusion(metric.compute(), names))


def _mistakes(data: ArrayDataset, shares: Array, labels: Array, names: Sequence[str]) -> str:
    """The samples whose true class the model thought least likely, worst first."""
    order = np.argsort(shares[np.arange(len(labels)), labels], kind="stable")
    wrong = [int(i) for i in order if shares[i].argmax() != labels[i]]
    about = f"{len(wrong):,} of {len(labels):,} test samples, the most mistaken first."
    if not wrong:
        return section("No mistakes", f"All {len(labels):,} test samples are right.", "")
    if data.image is None:
        rows = [
            (names[labels[i]], names[shares[i].argmax()], f"{100 * shares[i].max():.0f}\u00a0%")
            for i in wrong[:_ROWS]
        ]
        head = ("true", "read as", "sure")
        return section("Worst mistakes", about, _rows(data, wrong[:_ROWS], head, rows))
    cells = []
    for i in wrong[:_MISTAKES]:
        true, guess = text(names[labels[i]]), text(names[shares[i].argmax()])
        image = plots.picture(data.arrays[0][i], data.image)
        cells.append(
            f'<figure><img src="{image}" alt="sample {i}"><figcaption><b>{true}</b> read as '
            f"<i>{guess}</i><br>{100 * shares[i].max():.0f} % sure</figcaption></figure>"
        )
    return section("Worst mistakes", about, f'<div class="mistakes">{"".join(cells)}</div>')


def _strangeness(data: ArrayDataset, rows: Sequence[int]) -> Array:
    """How far each feature of some samples is from the training data's mean, in deviations."""
    x = np.abs(data.gather(list(rows))[0].reshape(len(rows), -1))
    if not isinstance(data.transform, EncodeTable):
        return x
    blocks = data.transform.blocks
    return np.stack([x[:, block.start : block.stop].max(axis=1) for block in blocks], axis=1)


def _misses(data: ArrayDataset, true: Array, predicted: Array) -> str:
    """The samples whose prediction is farthest from the true value."""
    far = np.abs(true - predicted).max(axis=1)
    order = [int(i) for i in np.argsort(-far, kind="stable")[:_ROWS]]
    rows = [
        [", ".join(f"{value:.4g}" for value in values[i]) for values in (true, predicted)]
        for i in order
    ]
    about = f"Of {len(true):,} test samples, those that are farthest off."
    return section("Largest misses", about, _rows(data, order, ("true", "predicted"), rows))


def _rows(
    data: ArrayDataset, order: Sequence[int], head: Sequence[str], cells: Sequence[Sequence[str]]
) -> str:
    """Samples of a table: each with some cells about it and its two most unusual features."""
    raw = data.arrays[0][list(order)].reshape(len(order), -1)
    features = data.feature_names or [f"feature {i}" for i in range(raw.shape[1])]
    strange = _strangeness(data, order)
    columns = None if data.schema is None else data.schema.features
    lines = []
    for row, (i, own) in enumerate(zip(order, cells, strict=True)):
        unusual = np.argsort(-strange[row], kind="stable")[:2]
        shown = [
            f"{raw[row, j]:.4g}" if columns is None else columns[j].shown(raw[row, j])
            for j in unusual
        ]
        pairs = zip((features[j] for j in unusual), shown, strict=True)
        lines.append((i, *own, "\n".join(f"{name}\u00a0=\u00a0{value}" for name, value in pairs)))
    return table(("sample", *head, "most unusual"), lines)


def _layers(run: RunFolder) -> str:
    rows = [(*row.values(),) for row in summary_rows(run)]
    total = sum(count for *_, count in rows)
    lines = [(*row, f"{count:,}") for *row, count in [*rows, ("total", "", total)]]
    shape = " × ".join(map(str, run.config.inputs.input_shape))
    content = table(("layer", "output", "parameters"), lines, ("parameters",), "sum")
    return section("The model", f"Input {shape}.", content)


def _settings(run: RunFolder) -> str:
    """The hyperparameters of the training."""
    training = dataclasses.asdict(run.config.training)
    rows = [("loss", run.config.loss), ("epochs run", len(run.history))]
    rows += [(name, value) for name, value in training.items() if value is not None]
    about = "The loss, and the options of the training."
    return section("How it was trained", about, table(("option", "value"), rows))


def _config(run: RunFolder) -> str:
    record = json.dumps(read_json(run.path("config.json")), indent=2, ensure_ascii=False)
    content = f"<summary>config.json</summary><pre>{text(record)}</pre>"
    return f"<section><details>{content}</details></section>"


def _footer(run: RunFolder) -> str:
    facts = ", ".join(f"{text(k)} {text(v)}" for k, v in run.config.versions.items())
    return f"<footer>{facts}</footer>"
