"""`report.html`: one offline page with the curves, the mistakes and the layers of a run."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.data.dataset import ArrayDataset
from chainrule.data.encoding import EncodeTable
from chainrule.errors import MissingDependencyError
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
from chainrule.train.runs.texts import generate

_MISTAKES = 16
_ROWS = 12
_STYLE = """
:root { --ink: #1c2430; --soft: #6b7686; --line: #e6e9ee; --accent: #d9541e; --blue: #1f4e8c; }
* { box-sizing: border-box; }
body { margin: 0; background: #f6f7f9; color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 56px 28px 80px; }
header { display: flex; justify-content: space-between; align-items: flex-end; gap: 32px;
  flex-wrap: wrap; margin-bottom: 36px; }
h1 { font-size: 34px; line-height: 1.15; margin: 0 0 6px; letter-spacing: -0.02em;
  overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 2px; letter-spacing: -0.01em; }
p { margin: 0 0 14px; color: var(--soft); max-width: 70ch; }
.eyebrow { color: var(--accent); font-weight: 600; font-size: 12px; letter-spacing: 0.12em;
  text-transform: uppercase; margin: 0 0 8px; }
.facts { display: flex; gap: 34px; margin: 0; }
.facts div { text-align: right; }
.facts dt { color: var(--soft); font-size: 12px; }
.facts dd { margin: 0; font-size: 30px; font-weight: 600; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; }
.facts dd small { font-size: 16px; font-weight: 500; color: var(--soft); }
section { background: #fff; border: 1px solid var(--line); border-radius: 14px;
  padding: 26px 28px; margin: 0 0 20px; }
section svg { display: block; width: 100%; height: auto; }
.pair { display: grid; grid-template-columns: minmax(0, 9fr) minmax(0, 10fr); gap: 20px; }
.pair section { margin: 0; } .pair { margin-bottom: 20px; }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr));
  gap: 14px 12px; margin-top: 14px; }
figure { margin: 0; }
figure img { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated;
  border: 1px solid var(--line); border-radius: 8px; background: #fff; display: block; }
figcaption { font-size: 12px; line-height: 1.35; margin-top: 5px; color: var(--soft); }
figcaption b { color: var(--ink); } figcaption i { color: var(--accent); font-style: normal;
  font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: 14px; margin-top: 8px; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: 12px; }
th, td { padding: 7px 10px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
.number { text-align: right; }
td.total { font-weight: 600; }
pre { background: #f6f7f9; border-radius: 10px; padding: 16px 18px; overflow: auto;
  font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; max-height: 420px; }
summary { cursor: pointer; font-weight: 600; }
.missing { border-style: dashed; color: var(--soft); }
footer { color: var(--soft); font-size: 12.5px; margin-top: 28px; }
@media (max-width: 800px) { .pair { grid-template-columns: 1fr; } }
"""


def write_report(run: RunFolder) -> str:
    """Write `report.html` into the run's folder; returns its path.

    Without matplotlib, the page has only tables and names the missing library.
    """
    data = run.data[1]
    parts = [_header(run, data), *_pictures(run, data), _layers(run), _config(run)]
    body = "\n".join(part for part in parts if part)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(run.config.name)}</title><style>{_STYLE}</style></head>"
        f"<body><main>\n{body}\n{_footer(run)}</main></body></html>\n"
    )
    path = run.path("report.html")
    write_atomic(path, [page.encode("utf-8", "replace")])
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


def _text(value: Any) -> str:
    return html.escape(str(value))


def _header(run: RunFolder, data: ArrayDataset) -> str:
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
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    source = os.path.basename(os.path.normpath(config.data.source))
    return (
        f'<header><div><p class="eyebrow">Chainrule run</p><h1>{_text(config.name)}</h1>'
        f"<p>{_text(source)}, {len(run.data[0]):,} samples to learn from, {len(data):,} to test on "
        f'({_text(config.model.kind)})</p></div><dl class="facts">{cells}</dl></header>'
    )


def _pictures(run: RunFolder, data: ArrayDataset) -> list[str]:
    try:
        return _drawn(run, data)
    except MissingDependencyError as error:
        note = f"<h2>Plots are missing</h2><p>{_text(error)}</p>"
        return [f'<section class="missing">{note}</section>']


def _drawn(run: RunFolder, data: ArrayDataset) -> list[str]:
    history, parts = run.history.records, []
    if history:
        parts.append(
            _section(
                "How it learned",
                "Per epoch, on training and validation data.",
                plots.curves(history),
            )
        )
    parts += _written(run) if run.config.inputs.tokenizer is not None else _judged(run, data)
    if (layers := plots.layers_over_time(history)) is not None:
        about = "A layer whose gradients fade or explode, or whose steps are far from 10⁻³, shows."
        parts.append(_section("Inside the layers", about, layers))
    return parts


def _written(run: RunFolder) -> list[str]:
    """A text that the model writes."""
    manual_seed(0)
    about = "Without a prompt, at a temperature of 0.8."
    return [_section("What it writes", about, f"<pre>{_text(generate(run, '', 600))}</pre>")]


def _judged(run: RunFolder, data: ArrayDataset) -> list[str]:
    """Predictions and mistakes on the test part."""
    outputs, parts = outputs_of(run.model, data), []
    y = data.arrays[-1].reshape(len(data), -1)
    if not run.predicts.classes:
        about = "On the test part; on the line they agree."
        drawn = plots.scatter(y, run.values(outputs))
        parts.append(_section("Predictions", about, drawn))
    else:
        labels = y[:, 0].astype(np.int64)
        shares = run.predicts.probabilities(outputs)
        names = run.names(shares)
        parts.append(
            '<div class="pair">'
            + _confusion(shares, labels, names)
            + _mistakes(data, shares, labels, names)
            + "</div>"
        )
    return parts + [_section(*part) for part in judged(run, data, outputs)]


def _section(title: str, about: str, content: str) -> str:
    return f"<section><h2>{title}</h2><p>{about}</p>{content}</section>"


def _confusion(shares: Array, labels: Array, names: Sequence[str]) -> str:
    metric = ConfusionMatrix(len(names))
    metric.update(shares, labels)
    about = "Rows are the true classes, columns what the model said."
    return _section("Confusion", about, plots.confusion(metric.compute(), names))


def _mistakes(data: ArrayDataset, shares: Array, labels: Array, names: Sequence[str]) -> str:
    """The samples whose true class the model thought least likely, worst first."""
    order = np.argsort(shares[np.arange(len(labels)), labels], kind="stable")
    wrong = [int(i) for i in order if shares[i].argmax() != labels[i]]
    about = f"{len(wrong):,} of {len(labels):,} test samples, the most mistaken first."
    if not wrong:
        return _section("No mistakes", f"All {len(labels):,} test samples are right.", "")
    if data.image is None:
        return _section("Worst mistakes", about, _rows(data, shares, labels, names, wrong[:_ROWS]))
    cells = []
    for i in wrong[:_MISTAKES]:
        true, guess = _text(names[labels[i]]), _text(names[shares[i].argmax()])
        image = plots.picture(data.arrays[0][i], data.image)
        cells.append(
            f'<figure><img src="{image}" alt="sample {i}"><figcaption><b>{true}</b> read as '
            f"<i>{guess}</i><br>{100 * shares[i].max():.0f} % sure</figcaption></figure>"
        )
    return _section("Worst mistakes", about, f'<div class="mistakes">{"".join(cells)}</div>')


def _strangeness(data: ArrayDataset, rows: Sequence[int]) -> Array:
    """How far each feature of some samples is from the training data's mean, in deviations."""
    x = np.abs(data.gather(list(rows))[0].reshape(len(rows), -1))
    if not isinstance(data.transform, EncodeTable):
        return x
    blocks = data.transform.blocks
    return np.stack([x[:, block.start : block.stop].max(axis=1) for block in blocks], axis=1)


def _rows(
    data: ArrayDataset, shares: Array, labels: Array, names: Sequence[str], wrong: Sequence[int]
) -> str:
    """Mistakes of a table: each with its two most unusual features."""
    raw = data.arrays[0][list(wrong)].reshape(len(wrong), -1)
    features = data.feature_names or [f"feature {i}" for i in range(raw.shape[1])]
    strange = _strangeness(data, wrong)
    columns = None if data.schema is None else data.schema.features
    lines = []
    for row, i in enumerate(wrong):
        unusual = np.argsort(-strange[row], kind="stable")[:2]
        shown = [
            f"{raw[row, j]:.4g}" if columns is None else columns[j].shown(raw[row, j])
            for j in unusual
        ]
        pairs = zip((features[j] for j in unusual), shown, strict=True)
        seen = "<br>".join(f"{_text(name)} = {_text(value)}" for name, value in pairs)
        sure = f"{100 * shares[i].max():.0f}\u00a0%"
        cells = (i, names[labels[i]], names[shares[i].argmax()], sure)
        lines.append(
            "<tr>" + "".join(f"<td>{_text(c)}</td>" for c in cells) + f"<td>{seen}</td></tr>"
        )
    head = "".join(f"<th>{t}</th>" for t in ("sample", "true", "read as", "sure", "most unusual"))
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _layers(run: RunFolder) -> str:
    rows = summary_rows(run)
    lines = [
        f"<tr><td>{_text(r['layer'])}</td><td>{_text(r['output'])}</td>"
        f'<td class="number">{r["parameters"]:,}</td></tr>'
        for r in rows
    ]
    total = sum(r["parameters"] for r in rows)
    lines.append(
        f'<tr><td class="total">total</td><td></td><td class="number total">{total:,}</td></tr>'
    )
    head = '<tr><th>layer</th><th>output</th><th class="number">parameters</th></tr>'
    shape = " × ".join(map(str, run.config.inputs.input_shape))
    return _section("The model", f"Input {shape}.", f"<table>{head}{''.join(lines)}</table>")


def _config(run: RunFolder) -> str:
    text = json.dumps(read_json(run.path("config.json")), indent=2, ensure_ascii=False)
    content = f"<summary>config.json</summary><pre>{_text(text)}</pre>"
    return f"<section><details>{content}</details></section>"


def _footer(run: RunFolder) -> str:
    facts = ", ".join(f"{_text(k)} {_text(v)}" for k, v in run.config.versions.items())
    return f"<footer>{facts}</footer>"
