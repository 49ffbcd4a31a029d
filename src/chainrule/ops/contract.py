"""Contractions: matrix products, the linear layer, and Einstein's summation."""

from __future__ import annotations

import functools
import math
import operator
import string
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.gateway import apply
from chainrule.kinds import Contraction
from chainrule.ops.batched import aligned, everywhere
from chainrule.ops.diagonals import diagonal
from chainrule.ops.rules import broadcast_shapes
from chainrule.primitive import Spec, SpecLike, composition, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor

__all__ = ["einsum", "matmul"]


def added(parts: list[Any]) -> Any:
    """The sum of one tensor or more."""
    return functools.reduce(operator.add, parts)


def same_float(name: str, *inputs: SpecLike) -> None:
    """Products are of one dtype: nothing is converted silently."""
    first = inputs[0].dtype
    for x in inputs:
        if x.dtype is not first and x.dtype != first:
            break
    else:
        return
    wanted = inputs[1].dtype
    raise DTypeError(
        f"`{name}` needs one dtype",
        given=" and ".join(dict.fromkeys(str(x.dtype) for x in inputs)),
        instead=f"Convert the input with x.to(cr.{wanted})"
        + (f", or the model with model.to(cr.{first})." if first.kind == "f" else "."),
    )


def by_rows(x: Any, w: Any) -> Any:
    """x·w: (..., k)·(k, m) → (..., m), with a product for each row.

    So a row has the same bits in any batch: a library of products adds in an order that depends on
    the number of rows, and on some processors on the place of a row among them.
    """
    return np.matmul(np.ascontiguousarray(x)[..., None, :], w)[..., 0, :]


@primitive
class matrix_product:
    """y = a·b: (..., n, k)·(..., k, m) → (..., n, m).   ∂y/∂a = g·bᵀ, ∂y/∂b = aᵀ·g."""
    kind, name = Contraction(), "matmul"
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(4, 2))),
        lambda rng: (rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 2))),
        lambda rng: (rng.normal(size=(1, 3, 4)), rng.normal(size=(5, 4, 2))),
        lambda rng: (rng.normal(size=(0, 4)), rng.normal(size=(4, 2))),
    )

    def infer(a: SpecLike, b: SpecLike) -> Spec:
        same_float("matmul", a, b)
        if len(a.shape) < 2 or len(b.shape) < 2 or a.shape[-1] != b.shape[-2]:
            raise ShapeError(
                f"cannot multiply {a.shape} by {b.shape}",
                expected="(..., n, k) and (..., k, m): the inner sizes equal",
            )
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return Spec((*batch, a.shape[-2], b.shape[-1]), a.dtype)

    def flops(a, b): return 2 * matrix_product.infer(a, b).size * a.shape[-1]
    def forward(a, b): return by_rows(a, b) if b.ndim == 2 else np.matmul(a, b)

    def batch(xs, batched, params):
        ndim = max(x.ndim - is_batched for x, is_batched in zip(xs, batched, strict=True))
        return matrix_product(*aligned(xs, batched, ndim))

    def vjp(g, a, b, needs):
        by_a = matrix_product(g, b.mT) if needs[0] else None
        by_b = matrix_product(a.mT, g) if needs[1] else None
        return by_a, by_b


@composition
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product as in PyTorch: vectors are a row on the left, a column on the right."""
    if not (isinstance(input, Tensor) and isinstance(other, Tensor)):
        raise DTypeError("a matrix product takes two tensors", instead="Use cr.tensor(x).")
    if input.ndim > 1 and other.ndim > 1:
        return matrix_product(input, other)
    if input.ndim == 0 or other.ndim == 0:
        raise ShapeError("a matrix product of a 0-d tensor", instead="Use * for scalars.")
    left = input.unsqueeze(0) if input.ndim == 1 else input
    right = other.unsqueeze(1) if other.ndim == 1 else other
    product: Tensor = matrix_product(left, right)
    product = product.squeeze(-1) if other.ndim == 1 else product
    return product.squeeze(-1 if other.ndim == 1 else -2) if input.ndim == 1 else product


@primitive
class linear:
    """y = x·wᵀ + b, or x·wᵀ: (..., in)·(out, in)ᵀ + (out) → (..., out).

    ∂y/∂x = g·w, ∂y/∂w = gᵀ·x, ∂y/∂b = Σ g.
    """
    kind = Contraction()
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(2, 4)), rng.normal(size=2)),
        lambda rng: (rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4)), rng.normal(size=2)),
        lambda rng: (rng.normal(size=4), rng.normal(size=(2, 4)), rng.normal(size=2)),
        lambda rng: (rng.normal(size=(0, 4)), rng.normal(size=(2, 4)), rng.normal(size=2)),
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(2, 4))),
        lambda rng: (rng.normal(size=4), rng.normal(size=(2, 4))),
    )

    def infer(x: SpecLike, w: SpecLike, *b: SpecLike) -> Spec:
        same_float("linear", x, w, *b)
        shapes = [w.shape, *[v.shape for v in b]]
        if len(w.shape) != 2 or any(shape != w.shape[:1] for shape in shapes[1:]) or len(b) > 1:
            raise ShapeError(
                "weights are (out, in) and the bias, if any, (out,)",
                given=" and ".join(map(str, shapes)),
            )
        return linear_rule(x, w)

    def flops(x, w, *b):
        return (2 * math.prod(x.shape) + len(b) * math.prod(x.shape[:-1])) * w.shape[0]
    def forward(x, w, *b): return by_rows(x, w.T) + b[0] if b else by_rows(x, w.T)

    def vjp(g, x, w, needs):
        rows = tuple(range(g.ndim - 1))
        by_x = matmul(g, w) if needs[0] else None
        by_w = linear_weight(g, x) if needs[1] else None
        if len(needs) == 2:
            return by_x, by_w
        by_b = g.sum(rows) if needs[2] and rows else g
        return by_x, by_w, by_b

    def tangent(xs, ys, ts, params):
        (x, w, *_), (by_x, by_w, *by_b) = xs, ts
        moved = [linear(by_x, w)] if by_x is not None else []
        moved += [linear(x, by_w)] if by_w is not None else []
        return added(moved + [b.expand(ys[0].shape) for b in by_b if b is not None])

    def batch(xs, batched, params):
        (x, w, *b), (by_x, by_w, *by_b) = xs, batched
        if not by_w and True not in by_b:
            return linear(x, w, *b)
        lead = x.shape[by_x:-1]
        if by_w:
            rows = x.reshape(*x.shape[:by_x], math.prod(lead), x.shape[-1])
            y = matmul(rows, w.mT).reshape(w.shape[0], *lead, w.shape[1])
        else:
            y = linear(x, w)
        return y + aligned(b, by_b, len(lead) + 1)[0] if b else y


@primitive
class linear_weight:
    """y = Σₙ gₙᵀ·xₙ, the gradient of linear by its weights: (..., out), (..., in) → (out, in)."""
    kind = Contraction()
    samples = cases(
        lambda rng: (rng.normal(size=(3, 2)), rng.normal(size=(3, 4))),
        lambda rng: (rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 3, 4))),
        lambda rng: (rng.normal(size=2), rng.normal(size=4)),
        lambda rng: (rng.normal(size=(0, 2)), rng.normal(size=(0, 4))),
    )

    def infer(g: SpecLike, x: SpecLike) -> Spec:
        same_float("linear_weight", g, x)
        if not g.shape or not x.shape or g.shape[:-1] != x.shape[:-1]:
            raise ShapeError("rows of two matrices belong together", given=(g.shape, x.shape))
        return Spec((g.shape[-1], x.shape[-1]), x.dtype)

    def flops(g, x): return 2 * math.prod(g.shape) * x.shape[-1]
    def forward(g, x):
        if g.ndim != 2:
            rows = math.prod(g.shape[:-1])
            g, x = g.reshape(rows, g.shape[-1]), x.reshape(rows, x.shape[-1])
        return g.T @ x

    def vjp(u, g, x, needs):
        return matmul(x, u.mT) if needs[0] else None, matmul(g, u) if needs[1] else None

    def batch(xs, batched, params):
        g, x = (
            y.reshape(y.shape[0], math.prod(y.shape[1:-1]), y.shape[-1])
            for y in everywhere(xs, batched)
        )
        return matmul(g.mT, x)


def _features_hint(shape: tuple[int, ...], features: int, out: int) -> str:
    """What to write for an input with another number of features than a layer expects."""
    for dim in range(1, len(shape) - 1):
        if math.prod(shape[dim:]) == features:
            return f"Use x.flatten({dim})."
    return f"Did you mean Linear({shape[-1] if shape else 0}, {out})?"


def linear_rule(x: SpecLike, w: SpecLike) -> Spec:
    """(..., in) and (out, in) → (..., out)."""
    out, features = w.shape
    if not x.shape or x.shape[-1] != features:
        found = x.shape[-1] if x.shape else 0
        raise ShapeError(
            f"the input has {found} features, this layer expects {features}", given=x.shape,
            expected=f"(..., {features})", instead=_features_hint(x.shape, features, out),
        )
    return Spec((*x.shape[:-1], out), x.dtype)


# -- Einstein's summation ------------------------------------------------------------------------


@primitive
class sum_of_products:
    """y = Σ over the letters that the output lacks, of the product of the operands.

    ∂y/∂xᵢ is again such a sum: of g and the other operands, over what xᵢ lacks.
    """
    kind, name = Contraction(), "einsum"
    samples = cases(
        lambda rng: (rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), {"formula": "ij,jk->ik"}),
        lambda rng: (rng.normal(size=(2, 3)), {"formula": "ij->j"}),
        lambda rng: (rng.normal(size=3), rng.normal(size=4), {"formula": "i,j->ij"}),
        lambda rng: (rng.normal(size=(5, 2, 3)), rng.normal(size=(5, 3)), {"formula": "bij,bj->i"}),
    )

    def infer(*xs: SpecLike, formula: str) -> Spec:
        same_float("einsum", *xs)
        sizes = letter_sizes(formula, xs)
        return Spec([sizes[letter] for letter in formula.split("->")[1]], xs[0].dtype)

    def flops(*xs, formula): return 2 * math.prod(letter_sizes(formula, xs).values())
    def forward(*xs, formula): return np.asarray(np.einsum(formula, *xs, optimize=True))

    def vjp(g, xs, formula, needs):
        terms, output = formula.split("->")[0].split(","), formula.split("->")[1]
        sizes = letter_sizes(formula, xs)
        gradients: list[Any] = []
        for i, term in enumerate(terms):
            if not needs[i]:
                gradients.append(None)
                continue
            operands = [g, *(x for j, x in enumerate(xs) if j != i)]
            inputs = [output, *(t for j, t in enumerate(terms) if j != i)]
            lost = [letter for letter in term if letter not in "".join(inputs)]
            if lost:  # summed away in this operand alone: its gradient repeats along them
                operands.append(Tensor(np.ones([sizes[letter] for letter in lost], g.dtype)))
                inputs.append("".join(lost))
            formula = f"{','.join(inputs)}->{term}"
            gradients.append(apply(sum_of_products, *operands, formula=formula))
        return tuple(gradients)

    def batch(xs, batched, params):
        spare = [c for c in string.ascii_letters if c not in params["formula"]]
        if not spare:
            return NotImplemented
        terms, output = params["formula"].split("->")
        lifted = zip(terms.split(","), batched, strict=True)
        terms = ",".join([spare[0] + t if is_batched else t for t, is_batched in lifted])
        return apply(sum_of_products, *xs, formula=f"{terms}->{spare[0]}{output}")


@composition
def einsum(equation: Any, *operands: Any) -> Tensor:
    """Σ over the letters that the output lacks, of the product of the operands.

    A letter twice in one operand is its diagonal; `...` stands for dimensions that broadcast. In
    place of a formula: each operand with a list of numbers, and a list for the output.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> einsum("ii->", x), einsum("i j, j k -> i k", x, x)[0], einsum(x, [0, 1], [1, 0])[0]
    (tensor(5.), tensor([ 7., 10.]), tensor([1., 3.]))
    """
    if isinstance(equation, Tensor):
        equation, operands = from_sublists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    terms, output = explicit(equation, [x.ndim for x in operands])
    pairs = [without_repeats(term, x) for term, x in zip(terms, operands, strict=True)]
    if len(pairs) == 1 and sorted(pairs[0][0]) == sorted(output):  # a view, as in PyTorch
        return pairs[0][1].permute([pairs[0][0].index(letter) for letter in output])
    terms, xs = without_ones([term for term, _ in pairs], [x for _, x in pairs])
    return sum_of_products(*xs, formula=f"{','.join(terms)}->{output}")


def from_sublists(given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """A formula from operands that alternate with lists of numbers."""
    def written(numbers: Any) -> str:
        return "".join("..." if n is Ellipsis else string.ascii_letters[n] for n in numbers)

    operands, lists = given[: len(given) // 2 * 2 : 2], given[1::2]
    output = f"->{written(given[-1])}" if len(given) % 2 else ""
    return ",".join(map(written, lists)) + output, operands


def without_repeats(term: str, x: Tensor) -> tuple[str, Tensor]:
    """A term without letters that stand twice: the tensor's diagonals."""
    while again := next((c for c in term if term.count(c) > 1), ""):
        first = term.index(again)
        second = term.index(again, first + 1)
        if x.shape[first] != x.shape[second]:
            raise ShapeError(
                f"letter {again!r} stands for two sizes", given=f"{term!r} for {x.shape}"
            )
        x = diagonal(x, 0, first, second)
        term = term[:first] + term[first + 1 : second] + term[second + 1 :] + again
    return term, x


def without_ones(terms: list[str], xs: list[Tensor]) -> tuple[list[str], list[Tensor]]:
    """Terms without dimensions of size 1 that broadcast to those of other operands."""
    sizes: dict[str, int] = {}
    for term, x in zip(terms, xs, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            sizes[letter] = n if sizes.get(letter, 1) == 1 else sizes[letter]
    for i, (term, x) in enumerate(zip(terms, xs, strict=True)):
        kept = [d for d, c in enumerate(term) if x.shape[d] != 1 or sizes[c] == 1]
        if len(kept) < len(term):
            terms[i] = "".join(term[d] for d in kept)
            xs[i] = x.reshape([x.shape[d] for d in kept])
    return terms, xs


def explicit(formula: str, ndims: list[int]) -> tuple[list[str], str]:
    """The terms of a formula and its output, written out, with letters in place of `...`."""
    left, arrow, output = formula.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ArgumentError(
            f"the formula {formula!r} has {len(terms)} operands", given=f"{len(ndims)} tensors"
        )
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in formula]
    widths = [n - len(t.replace("...", "")) for t, n in zip(terms, ndims, strict=True)]
    dots = "".join(reversed(spare[: max([w for w in widths if w > 0], default=0)]))
    terms = [
        t.replace("...", dots[len(dots) - w :]) if "..." in t else t
        for t, w in zip(terms, widths, strict=True)
    ]
    letters = "".join(terms)
    if not arrow:
        once = sorted(c for c in set(letters) - set(dots) if letters.count(c) == 1)
        output = "..." + "".join(once)
    output = output.replace("...", dots)
    fits = all(len(t) == n and t.isalpha() for t, n in zip(terms, ndims, strict=True) if t or n)
    if not fits or len(set(output)) < len(output) or not set(output) <= set(letters):
        raise ArgumentError(
            f"the formula {formula!r} does not fit operands with {ndims} dimensions",
            expected="one letter per dimension, and in the output letters of operands, each once",
        )
    return terms, output


def letter_sizes(formula: str, xs: Any) -> dict[str, int]:
    """The size that each letter of a formula stands for."""
    sizes: dict[str, int] = {}
    for term, x in zip(formula.split("->")[0].split(","), xs, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            if sizes.setdefault(letter, n) != n:
                raise ShapeError(
                    f"letter {letter!r} of {formula!r} stands for two sizes",
                    given=f"{sizes[letter]} and {n}",
                )
    if missing := set(formula.split("->")[1]) - set(sizes):
        raise ArgumentError(f"the output of {formula!r} has unknown letters {sorted(missing)}")
    return sizes
