"""The loss of sequences without alignment: connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.gateway import require
from chainrule.nn.functional.checks import check_reduction, check_tensors, reduced
from chainrule.ops.compare import where
from chainrule.ops.ctc import ctc
from chainrule.tensor import Tensor

Lengths = Tensor | Sequence[int] | int


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """l = −ln Σ Πₜ p(πₜ), over all paths π that give the target (Graves et al., 2006).

    A path has a class or the `blank` for each time. It gives the target by dropping repetitions,
    then blanks. `log_probs` (T, N, C) are log-probabilities, `targets` (N, S) labels, or those of
    all examples one after another; without N, (T, C) and (S). The first `input_lengths` (N) times
    and `target_lengths` (N) labels count. "mean" divides by the lengths of the targets first. A
    target that is too long for its input has the loss ∞; with `zero_infinity`, 0. Raises
    OutOfRangeError for a label that is no class, ArgumentError for lengths beyond T or S.

    >>> import chainrule as cr
    >>> x = cr.tensor([[0.25, 0.75], [0.5, 0.5]]).log()
    >>> ctc_loss(x, cr.tensor([1]), 2, 1, reduction="sum").exp()  # 1 / p(11, 01, 10)
    tensor(1.1429)
    """
    check_reduction(reduction)
    check_tensors("ctc_loss", log_probs=log_probs, targets=targets)
    batched = log_probs.ndim == 3
    if not batched:
        log_probs, targets = log_probs.unsqueeze(1), targets.unsqueeze(0)
    _check_shapes(log_probs, targets, blank)
    steps, examples, _ = log_probs.shape
    times = _lengths("input_lengths", input_lengths, examples, steps)
    sizes = _lengths("target_lengths", target_lengths, examples, targets.shape[-1])
    loss = ctc(_normalized(log_probs), _padded(targets, sizes), times, sizes, blank=blank)
    if zero_infinity:
        loss = where(loss == float("inf"), 0.0, loss)
    if reduction == "mean":
        loss = loss / sizes.clamp(min=1).to(loss.dtype)
    return reduced(loss if batched else loss.squeeze(0), reduction)


def _normalized(log_probs: Tensor) -> Tensor:
    """The same numbers. Their gradient keeps Σ p = 1, as that of log_softmax does: −γ + p, with the
    probability γ of a class at a time, in place of −γ."""
    total = log_probs.exp().sum(2, True)
    return log_probs - (total - total.detach())


def _padded(targets: Tensor, sizes: Tensor) -> Tensor:
    """The labels (N, S), from that or from those of all examples one after another."""
    targets = targets.to(np.int64)
    if targets.ndim == 2:
        return targets
    longest = int(sizes.max().item()) if len(sizes) else 0
    first = sizes.cumsum(0) - sizes
    index = first.unsqueeze(1) + Tensor(np.arange(longest, dtype=np.int64))
    return targets[index.clamp(max=max(len(targets) - 1, 0))]


def _lengths(name: str, lengths: Lengths, examples: int, most: int) -> Tensor:
    """The lengths (N) as a tensor. Raises an error unless they are integers from 0 to `most`."""
    x = lengths if isinstance(lengths, Tensor) else Tensor(np.asarray(lengths, np.int64))
    if x.dtype.kind not in "iu":
        raise DTypeError(f"{name} of ctc_loss are integers", given=x.dtype)
    if x.ndim == 0 and examples == 1:
        x = x.unsqueeze(0)
    if x.shape != (examples,):
        raise ShapeError(
            f"{name} of ctc_loss: one for each example", given=x.shape, expected=(examples,)
        )
    allowed = ((x >= 0) & (x <= most)).all()
    require(allowed, ArgumentError(f"{name} of ctc_loss are out of range", expected=f"0 … {most}"))
    return x.to(np.int64)


def _check_shapes(log_probs: Tensor, targets: Tensor, blank: int) -> None:
    if log_probs.ndim != 3 or log_probs.dtype.kind != "f":
        raise ShapeError(
            "log_probs of ctc_loss are (T, N, C) or (T, C) real numbers", given=log_probs.spec
        )
    if targets.ndim not in (1, 2) or (targets.ndim == 2 and len(targets) != log_probs.shape[1]):
        raise ShapeError(
            "targets of ctc_loss are (N, S), or the labels of all examples one after another",
            given=targets.shape,
        )
    if targets.dtype.kind not in "iu":
        raise DTypeError("targets of ctc_loss are integers", given=targets.dtype)
    if not 0 <= blank < log_probs.shape[2]:
        raise ArgumentError("blank of ctc_loss is no class", given=blank)
