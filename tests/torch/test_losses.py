"""Losses as old scripts call them: `size_average` and `reduce`, by name or by position."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

from chainrule.torch.adapter.absent import KeywordError

X = np.random.default_rng(0).uniform(0.1, 0.9, (3, 4)).astype(np.float32)
LABELS = np.array([0, 3, 1])
CALLS = {
    "cross_entropy": (LABELS, [(None, False), (None, None, -100, False), (None, None, 3, None)]),
    "nll_loss": (LABELS, [(None, False, 0)]),
    "mse_loss": (X[::-1], [(False,), (True, False), (None, None, "sum")]),
    "smooth_l1_loss": (X[::-1], [(None, None, "sum", 0.5)]),
    "binary_cross_entropy": (X[::-1], [(None, False)]),
    "binary_cross_entropy_with_logits": (X[::-1], [(None, None, False)]),
    "poisson_nll_loss": (X[::-1], [(True, False, False), (False, False, None, 0.1)]),
    "kl_div": (X[::-1], [(False,), (None, None, "batchmean")]),
    "multi_margin_loss": (LABELS, [(2, 0.5, None, False)]),
}
NAMED = [
    {"size_average": average, "reduce": reduces, "reduction": "sum"}
    for average in (None, True, False)
    for reduces in (None, True, False)
]


@pytest.mark.parity
@pytest.mark.parametrize("name", CALLS)
def test_functions_take_the_old_arguments(torch, pytorch, name):
    target, positional = CALLS[name]
    for args, named in [*((args, {}) for args in positional), *(((), named) for named in NAMED)]:
        results = []
        for t in (torch, pytorch):
            function = getattr(t.nn.functional, name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results.append(function(t.tensor(X), t.tensor(target.copy()), *args, **named))
        np.testing.assert_allclose(*map(np.asarray, results), rtol=1e-5, err_msg=f"{args} {named}")


@pytest.mark.parity
@pytest.mark.parametrize("loss", ["CrossEntropyLoss", "MSELoss", "KLDivLoss", "BCELoss", "L1Loss"])
def test_modules_take_the_old_arguments(torch, pytorch, loss):
    target = LABELS if loss == "CrossEntropyLoss" else X[::-1].copy()
    first = list(inspect.signature(getattr(pytorch.nn, loss)).parameters).index("size_average")
    for args, named in [((None,) * first + (False,), {}), *(((), named) for named in NAMED)]:
        results = []
        for t in (torch, pytorch):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = getattr(t.nn, loss)(*args, **named)
                results.append(module(t.tensor(X), t.tensor(target)))
        np.testing.assert_allclose(*map(np.asarray, results), rtol=1e-5, err_msg=f"{args} {named}")


def test_losses_without_them_refuse_them(torch):
    x = torch.tensor(X)
    with pytest.raises(KeywordError, match="size_average"):
        torch.nn.functional.huber_loss(x, x, size_average=False)
    with pytest.raises(KeywordError, match="reduce"):
        torch.nn.CTCLoss(reduce=False)
    with pytest.raises(KeywordError, match=r"MSELoss.*'average'"):
        torch.nn.MSELoss(average=False)
