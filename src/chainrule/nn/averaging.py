"""Averages of weights over training: of all steps (SWA), or exponential (EMA)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.nn.module import Module
from chainrule.nn.norm import _BatchNorm
from chainrule.ops import compare
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy

Average = Callable[[Tensor, Tensor, Tensor], Tensor]
Averages = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor], Any]

where: Any = compare.where


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of those of the model.

    `update_parameters(model)` includes the present parameters; the first call copies them. With
    a = average, p = parameter and n = the number of updates before, `avg_fn(a, p, n)` gives the new
    average, by default the mean a + (p − a)/(n + 1) (SWA: Izmailov et al., 2018).
    `multi_avg_fn(averages, parameters, n)` changes a list of them instead. Buffers are copied, or
    averaged as well with `use_buffers`. An update can be part of a compiled step. `device` is the
    CPU. Raises ArgumentError if both functions are given.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = AveragedModel(model, avg_fn=get_ema_avg_fn(0.5))
    >>> for value in (1.0, 2.0, 4.0):
    ...     with cr.no_grad():
    ...         _ = model.weight.fill_(value)
    ...     average.update_parameters(model)
    >>> average(cr.ones(1, 1)).item(), average.n_averaged
    (2.75, tensor(3))
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("avg_fn and multi_avg_fn were given", expected="one of the two")
        if device is not None and str(device) != "cpu":
            raise ArgumentError(f"device = {device!r}", expected="'cpu' or None")
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", from_numpy(np.asarray(0, np.int64)))
        self.avg_fn, self.multi_avg_fn = avg_fn, multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Include the present parameters of a model in the averages."""
        own, given = _tensors(self.module, self.use_buffers), _tensors(model, self.use_buffers)
        n = self.n_averaged.detach()
        with use(gradients=False):
            for a, p, new in zip(own, given, self._averages(own, given, n), strict=True):
                a.assign(where(n == 0, p.detach(), new.to(a.dtype)))
            if not self.use_buffers:
                for kept, b in zip(self.module.buffers(), model.buffers(), strict=True):
                    kept.assign(b.detach())
            self.n_averaged.assign(n + 1)

    def _averages(self, own: list[Tensor], given: list[Tensor], n: Tensor) -> list[Tensor]:
        """The new averages."""
        present = [p.detach() for p in given]
        if self.multi_avg_fn is not None:
            averages = [a.detach().clone() for a in own]
            self.multi_avg_fn(averages, present, n)
            return averages
        average = self.avg_fn or get_swa_avg_fn()
        return [average(a.detach(), p, n) for a, p in zip(own, present, strict=True)]


def get_swa_avg_fn() -> Average:
    """a + (p − a)/(n + 1): the mean of all updates."""

    def average(a: Tensor, p: Tensor, n: Tensor) -> Tensor:
        if a.dtype.kind == "f":
            return a + (p - a) / (n + 1).to(a.dtype)
        return a + (p - a) / (n + 1)

    return average


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """decay·a + (1 − decay)·p: the exponential moving average.

    Raises ArgumentError unless 0 ≤ decay ≤ 1.
    """
    _check_decay(decay)

    def average(a: Tensor, p: Tensor, n: Tensor) -> Tensor:
        return decay * a + (1 - decay) * p

    return average


def get_swa_multi_avg_fn() -> Averages:
    """The function of `get_swa_avg_fn` for lists of averages and parameters."""
    return _of_lists(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """The function of `get_ema_avg_fn` for lists of averages and parameters."""
    return _of_lists(get_ema_avg_fn(decay))


def _of_lists(average: Average) -> Averages:
    def averages(own: Sequence[Tensor], given: Sequence[Tensor], n: Tensor) -> None:
        with use(gradients=False):
            for a, p in zip(own, given, strict=True):
                a.assign(average(a, p, n).to(a.dtype))

    return averages


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ArgumentError(f"decay = {decay}", expected="0 ≤ decay ≤ 1")


def _tensors(model: Module, with_buffers: bool) -> list[Tensor]:
    return [*model.parameters(), *(model.buffers() if with_buffers else ())]


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of a model's batch normalization anew, over all batches.

    A batch is an input, or a tuple or list that begins with one. For averaged weights, whose
    statistics no step of training computed.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> model = nn.BatchNorm1d(1)
    >>> update_bn([cr.tensor([[1.0], [3.0]]), cr.tensor([[5.0], [7.0]])], model)
    >>> model.running_mean, model.running_var
    (tensor([4.]), tensor([2.]))
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    if not layers:
        return
    momenta, training = [layer.momentum for layer in layers], model.training
    model.train()
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        with use(gradients=False):
            for batch in loader:
                model(batch[0] if isinstance(batch, (tuple, list)) else batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(training)
