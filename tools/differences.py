"""Writes the tables of `docs/differences.md` from what both libraries do.

Each row is a program, run with PyTorch and with Chainrule. The page shows what each of them gives,
so it says nothing that was not checked. `python tools/differences.py` writes the page (PyTorch is
needed), and a test compares it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PAGE = Path(__file__).parent.parent / "docs" / "differences.md"


class Row(NamedTuple):
    """A program, whose last line is the result. `lib` is the library, `F` its functional module.

    what: what the program shows. shown: the part of a long program that the page shows.
    varies: what PyTorch gives, in words, where its text is long or depends on the machine.
    """

    what: str
    code: str
    shown: str = ""
    varies: str = ""


HIDDEN = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(2, 2)]
len(list(Net().parameters()))"""

TABLES: dict[str, list[Row]] = {
    "mistakes": [
        Row(
            "a loss broadcasts `(4, 1)` and `(4,)`",
            "F.mse_loss(lib.zeros(4, 1), lib.tensor([0.0, 1.0, 2.0, 3.0]))",
        ),
        Row("two floating dtypes", "(lib.zeros(1) + lib.zeros(1, dtype=lib.float64)).dtype"),
        Row("the parameters of layers in a list", HIDDEN, "self.layers = [nn.Linear(2, 2)]"),
        Row("NaN as an integer", "lib.tensor(float('nan')).to(lib.int64)", varies="some integer"),
        Row("the average of integers", "F.avg_pool1d(lib.tensor([[[1, 2]]]), 2)"),
        Row(
            "the length of a part after `append`",
            "part = nn.Sequential(nn.ReLU(), nn.ReLU())[1:]\npart.append(nn.ReLU())\nlen(part)",
        ),
        Row(
            "a class label out of range",
            "F.cross_entropy(lib.zeros(2, 3), lib.tensor([0, 3]))",
        ),
        Row(
            "a class of weight 0 with logit −∞",
            "F.cross_entropy(lib.tensor([[0.0, -float('inf')]]), lib.tensor([[1.0, 0.0]]))",
        ),
    ],
    "memory": [
        Row(
            "an input that is overwritten before `backward`",
            "x = lib.tensor([2.0], requires_grad=True)\ny = x.exp()\nz = y * y\n"
            "with lib.no_grad():\n    y += 1\nz.backward()\nround(x.grad.item(), 2)",
            "y = x.exp(); z = y * y; y += 1; z.backward()",
        ),
        Row(
            "a write into the array of `numpy()`",
            "a = lib.zeros(2).numpy()\na[0] = 1.0\na.tolist()",
        ),
        Row(
            "a write into a tensor of `from_numpy`",
            "a = np.zeros(2, np.float32)\nlib.from_numpy(a)[0] = 1.0\na.tolist()",
        ),
    ],
    "numbers": [
        Row("`empty`", "lib.empty(3).tolist()", varies="any numbers"),
        Row("the first random number of a seed", "lib.manual_seed(0) and lib.rand(1).item()"),
        Row("the type of a shape", "type(lib.zeros(2).shape).__name__"),
        Row("a dtype", "lib.zeros(2).dtype"),
        Row("what a tensor came from", "lib.ones(1, requires_grad=True) * 2"),
        Row(
            "Muon: bfloat16, or the dtype of the weights",
            "w = nn.Parameter(lib.eye(2))\no = lib.optim.Muon([w], lr=1.0, weight_decay=0.0)\n"
            "w.sum().backward()\no.step()\nround(w[0, 1].item(), 2)",
            "w = nn.Parameter(torch.eye(2)); ...; torch.optim.Muon([w], lr=1.0).step(); w[0, 1]",
        ),
    ],
    "missing": [
        Row("GPUs", "lib.zeros(1).cuda", varies="a method"),
        Row("complex numbers", "lib.complex64"),
        Row("bfloat16", "lib.bfloat16"),
        Row("sparse tensors", "lib.sparse_coo_tensor", varies="a function"),
        Row("TorchScript", "lib.jit", varies="a module"),
        Row(
            "second derivatives of recurrent layers",
            "x = lib.ones(1, 1, 2, requires_grad=True)\ny = nn.LSTM(2, 2)(x)[0].sum()\n"
            "y.backward(create_graph=True)\nx.grad.sum().backward()\nx.grad.dtype",
            "nn.LSTM(2, 2)(x)[0].sum().backward(create_graph=True); x.grad.sum().backward()",
            varies="a gradient",
        ),
    ],
}


def outcome(code: str, names: Mapping[str, Any]) -> str:
    """The text of the last line of a program, or its error: the class and the first clause."""
    *before, last = code.split("\n")
    scope = dict(names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec("\n".join(before), scope)
            return f"`{eval(last, scope)!r}`"
        except Exception as error:
            problem = str(getattr(error, "problem", "")) or re.split(r"[\n:]|\. ", str(error))[0]
            return f"`{type(error).__name__}`: {problem}"


def libraries() -> tuple[dict[str, Any], dict[str, Any]]:
    """The names that the programs use, with Chainrule and with PyTorch."""
    import torch

    import chainrule as cr

    found = []
    for lib in (cr, torch):
        nn = lib.nn
        found.append({"lib": lib, "nn": nn, "F": nn.functional, "np": np})
    return found[0], found[1]


def rendered(name: str) -> str:
    """A table of the page: what each program gives."""
    ours, theirs = libraries()
    lines = ["| | program | PyTorch | Chainrule |", "|---|---|---|---|"]
    for row in TABLES[name]:
        code = (row.shown or "; ".join(row.code.split("\n"))).replace("lib.", "torch.")
        given = outcome(row.code, theirs)
        cells = [row.what, f"`{code}`", row.varies or given, outcome(row.code, ours)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with its tables written anew."""
    for name in TABLES:
        block = f"<!-- {name}: made by tools/differences.py -->"
        before, found, after = text.partition(block)
        if not found:
            raise ValueError(f"{PAGE.name} has no place for the table {name}: {block}")
        _, end, after = after.partition("<!-- end -->")
        text = f"{before}{block}\n{rendered(name)}\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
