"""Reductions, running results and statistics give what PyTorch gives: values, gradients, dtypes."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch
from tests.ops.parity import compare, numbers, second_order

import chainrule as cr

pytestmark = pytest.mark.parity
INF = float("inf")

CALLS = {
    # name: (function of (library, tensors...), shapes of the inputs)
    "sum of dtype": (lambda m, x: m.sum(x, 1, dtype=m.float32), (3, 4)),
    "prod of dtype": (lambda m, x: m.prod(x, 1, dtype=m.float32), (3, 4)),
    "var biased": (lambda m, x: m.var(x, 1, False), (3, 4)),
    "var unbiased=": (lambda m, x: m.var(x, unbiased=False), (3, 4)),
    "var of a bool": (lambda m, x: m.var(x, False), (3, 4)),
    "var correction": (lambda m, x: m.var(x, (0, 2), correction=2, keepdim=True), (2, 3, 4)),
    "std biased": (lambda m, x: m.std(x, 1, False, True), (3, 4)),
    "std of a bool": (lambda m, x: m.std(x, False), (3, 4)),
    "var_mean": (lambda m, x: m.var_mean(x, (0, 1), correction=0), (2, 3, 4)),
    "std_mean": (lambda m, x: m.std_mean(x, 1, keepdim=True), (3, 4)),
    "norm fro": (lambda m, x: m.norm(x, "fro", dim=1), (3, 4)),
    "norm of dtype": (lambda m, x: m.norm(x.float(), 3, dim=1, dtype=m.float64), (3, 4)),
    "dist": (lambda m, x, y: m.dist(x, y, 3), (3, 4), (4,)),
    "renorm": (lambda m, x: m.renorm(x, 2, 0, 1.5), (3, 4)),
    "nansum": (lambda m, x: m.nansum(x.log(), 1), (3, 4)),
    "nanmean": (lambda m, x: m.nanmean(x.log(), (0, 1), True), (3, 4)),
    "count_nonzero": (lambda m, x: m.count_nonzero(x.round(), 1), (3, 4)),
    "count_nonzero of all": (lambda m, x: m.count_nonzero(x.round()), (3, 4)),
    "aminmax": (lambda m, x: m.aminmax(x, dim=0, keepdim=True), (3, 4)),
    "aminmax of all": (lambda m, x: m.aminmax(x), (3, 4)),
    "max of two": (lambda m, x, y: m.max(x, y), (3, 4), (4,)),
    "min of two": (lambda m, x, y: m.min(x, other=y), (3, 4), (4,)),
    "max named": (lambda m, x: [m.max(x, 1).values, m.max(x, 1).indices], (3, 4)),
    "sort stable": (lambda m, x: m.sort(x.round(), dim=0, stable=True), (9, 4)),
    "argsort": (lambda m, x: m.argsort(x.round(), dim=0, descending=True, stable=True), (9, 4)),
    "topk sorted": (lambda m, x: m.topk(x, 2, 0, True, True), (5, 4)),
    "kthvalue": (lambda m, x: m.kthvalue(x, 2, 0, True), (5, 4)),
    "msort": (lambda m, x: m.msort(x), (5, 4)),
    "median of all": (lambda m, x: m.median(x), (3, 4)),
    "median": (lambda m, x: m.median(x, 1), (3, 4)),
    "median kept": (lambda m, x: m.median(x, dim=0, keepdim=True), (5, 4)),
    "nanmedian": (lambda m, x: m.nanmedian(x.log(), 1).values, (3, 5)),
    "nanmedian of all": (lambda m, x: m.nanmedian(x.log()), (3, 4)),
    "mode": (lambda m, x: m.mode(x.round(), 1), (3, 9)),
    "mode kept": (lambda m, x: m.mode(x.round(), 0, keepdim=True), (9, 3)),
    "quantile": (lambda m, x: m.quantile(x, 0.3), (3, 4)),
    "quantile dim": (lambda m, x: m.quantile(x, 0.3, dim=1, keepdim=True), (3, 4)),
    "quantile of all kept": (lambda m, x: m.quantile(x, 0.3, keepdim=True), (3, 4)),
    "nanquantile": (lambda m, x: m.nanquantile(x.log(), 0.6, dim=1), (3, 4)),
    "cumprod": (lambda m, x: m.cumprod(x, 1), (3, 4)),
    "cumprod first": (lambda m, x: m.cumprod(x, dim=0), (3, 4)),
    "cumprod with zeros": (lambda m, x: m.cumprod(x.round(), -1) * x, (3, 8)),
    "cumsum of dtype": (lambda m, x: m.cumsum(x, 1, dtype=m.float32), (3, 4)),
    "cummax": (lambda m, x: m.cummax(x, 1), (3, 6)),
    "cummin": (lambda m, x: m.cummin(x.round(), dim=0), (9, 3)),
    "logcumsumexp": (lambda m, x: m.logcumsumexp(x, 1), (3, 4)),
    "logcumsumexp far": (lambda m, x: m.logcumsumexp(x * 400, 0), (5, 4)),
    "diff": (lambda m, x: m.diff(x), (3, 4)),
    "diff twice": (lambda m, x: m.diff(x, 2, 0), (4, 3)),
    "diff beside": (lambda m, x, y: m.diff(x, prepend=y, append=y), (3, 4), (3, 2)),
    "trapezoid": (lambda m, x: m.trapezoid(x, dx=0.5, dim=0), (3, 4)),
    "trapezoid at": (lambda m, y, x: m.trapezoid(y, x), (3, 4), (4,)),
    "trapezoid at each": (lambda m, y, x: m.trapezoid(y, x, dim=0), (3, 4), (3, 4)),
    "cumulative_trapezoid": (lambda m, y: m.cumulative_trapezoid(y), (3, 4)),
    "cov": (lambda m, x: m.cov(x), (3, 5)),
    "cov of one": (lambda m, x: m.cov(x, correction=0), (5,)),
    "corrcoef": (lambda m, x: m.corrcoef(x), (3, 5)),
}
for how in ("linear", "lower", "higher", "midpoint", "nearest"):
    CALLS[f"quantiles {how}"] = (
        lambda m, x, how=how: m.quantile(
            x, m.tensor([0.0, 0.1, 0.6, 1.0], dtype=m.float64), dim=0, interpolation=how
        ),
        (5, 3),
    )


@pytest.mark.parametrize("name", CALLS)
def test_call(name):
    function, *shapes = CALLS[name]
    close = 1e-5 if "dtype" in name else None  # what float32 holds
    compare(function, [numbers(shape, seed) for seed, shape in enumerate(shapes)], close)


ONE_DIM = {
    "cummax": lambda m, x: m.cummax(x, 0),
    "cumprod": lambda m, x: m.cumprod(x, 0),
    "cumsum": lambda m, x: m.cumsum(x, 0),
    "logcumsumexp": lambda m, x: m.logcumsumexp(x, 0),
    "kthvalue": lambda m, x: m.kthvalue(x, 1),
    "median": lambda m, x: m.median(x),
    "median dim": lambda m, x: m.median(x, 0),
    "mode": lambda m, x: m.mode(x),
    "nanmean": lambda m, x: m.nanmean(x),
    "nansum": lambda m, x: m.nansum(x),
    "quantile": lambda m, x: m.quantile(x, 0.5),
    "quantile dim": lambda m, x: m.quantile(x, 0.5, dim=0),
    "count_nonzero": lambda m, x: m.count_nonzero(x),
    "aminmax": lambda m, x: m.aminmax(x),
}


@pytest.mark.parametrize("name", ONE_DIM)
def test_numbers_without_dimensions(name):
    compare(ONE_DIM[name], [np.array(1.25)])


@pytest.mark.parametrize("name", ["cumprod", "cumsum", "logcumsumexp", "nansum", "count_nonzero"])
def test_nothing(name):
    compare(ONE_DIM[name], [np.zeros((0, 3))])


@pytest.mark.parametrize("name", [n for n in ONE_DIM if "quantile" not in n and n != "mode"])
def test_nan_and_infinities(name):
    x = np.array([[1.0, INF], [np.nan, 2.0], [-INF, 3.0], [0.5, np.nan]])
    compare(ONE_DIM[name], [x], gradients=False)


@pytest.mark.parametrize("name", ONE_DIM)
@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "uint8", "bool"])
def test_dtypes(name, dtype):
    x = np.array([1, 0, 3, 1]).astype(dtype)
    try:
        ONE_DIM[name](torch, torch.tensor(x))
    except RuntimeError as error:
        pytest.skip(f"PyTorch: {error}")
    compare(ONE_DIM[name], [x], gradients=False)


@pytest.mark.parametrize(
    "name",
    [
        "cumprod",
        "cumprod with zeros",
        "logcumsumexp",
        "median",
        "quantile dim",
        "std_mean",
        "cov",
        "trapezoid at",
        "diff twice",
        "norm fro",
        "corrcoef",
    ],
)
def test_second_order(name):
    function, *shapes = CALLS[name]
    second_order(function, [numbers(shape, seed) for seed, shape in enumerate(shapes)])


def test_what_is_refused_says_why():
    x = cr.ones(3, 2)
    with pytest.raises(ValueError, match="k = 4"):
        cr.kthvalue(x, 4, dim=0)
    with pytest.raises(ValueError, match="unknown interpolation; given: cubic"):
        cr.quantile(x, 0.5, interpolation="cubic")
    with pytest.raises(TypeError, match="q has their dtype"):
        cr.quantile(x, cr.tensor([0.5], dtype="float64"))
    with pytest.raises(ValueError, match=r"cr\.linalg\.matrix_norm"):
        cr.norm(x, "nuc")
