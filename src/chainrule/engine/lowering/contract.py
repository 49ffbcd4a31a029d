"""Matrix products, linear layers, and the gradients of linear layers.

    matmul(a, b[, bias][, z]) → activation(a·b + bias + z), or (a·b + bias)·[z > 0]: a gate
    linear_weight_sum(g₀, x₀, g₁, x₁, ...) → Σ gᵢᵀ·xᵢ

The numbers of `matmul` are the activation, whether there is a bias, and whether there is a z.
"""

from chainrule.engine.layout import Layout
from chainrule.engine.lowering.conditions import (
    adjacent,
    as_rows,
    choice,
    one_float_dtype,
    results_in_order,
    seen,
    whole_elements,
)
from chainrule.engine.lowering.table import Case, row


def gives_rows(case: Case) -> bool:
    """The result is a matrix, or a batch of them, with adjacent columns."""
    y = case.outputs[0]
    return len(y.shape) > 1 and adjacent(y)


def last_fits(case: Case) -> bool:
    """The last input has the shape of the result, and adjacent columns."""
    return case.inputs[-1].shape == case.outputs[0].shape and adjacent(case.inputs[-1])


def transposed(x: Layout) -> Layout:
    """The layout with its last two dimensions exchanged."""
    n = len(x.shape)
    return x.permuted((*range(n - 2), n - 1, n - 2))


def as_layer(case: Case) -> Case | None:
    """x·wᵀ + b, or without b. The dimensions of x before its features are merged."""
    x, w, *b = case.inputs
    return seen(case, [as_rows(x), transposed(w), *b], [as_rows(case.outputs[0])])


def as_layer_and_sum(case: Case) -> Case | None:
    """x·wᵀ + b + z, or without b. The dimensions of x and z before the features are merged."""
    x, w, *b, z = case.inputs
    if z.shape != (*x.shape[:-1], w.shape[0]):
        return None
    return seen(case, [as_rows(x), transposed(w), *b, as_rows(z)], [as_rows(case.outputs[0])])


def bias_fits(case: Case) -> bool:
    """The bias, if there is one, has adjacent elements."""
    return all(map(adjacent, case.inputs[2:]))


def has_bias(case: Case) -> tuple[int]:
    """Whether there is a bias."""
    return (len(case.inputs) - 2,)


def as_weight_gradient(case: Case) -> Case | None:
    """gᵀ·x. The dimensions before the features are merged."""
    g, x = map(as_rows, case.inputs)
    return seen(case, [g and transposed(g), x], case.outputs)


def as_pairs(case: Case) -> Case | None:
    """Pairs of matrices. The dimensions before the features are merged."""
    return seen(case, [as_rows(x) for x in case.inputs], case.outputs)


def few_rows(case: Case) -> bool:
    """Each matrix has at most K_BLOCK rows, and whole elements as strides."""
    return all(x.shape[0] <= K_BLOCK and whole_elements(x) for x in case.inputs)


K_BLOCK = 256  # see engine/cpp/kernels/gemm_tile.h
PLAIN = (one_float_dtype, gives_rows)
ACTIVATIONS = ("none", "relu", "gate")
NONE, RELU, GATE = range(3)

LAYERS = {"linear": "none", "linear_relu": "relu"}
"""Products with the transpose of a weight, and the activation that follows. `product` is one whose
weight is already transposed."""

row("matmul", needs=PLAIN, ints=(NONE, 0, 0))
row("matmul_gate", kernel="matmul", needs=(*PLAIN, last_fits), ints=(GATE, 0, 1))
row("linear_weight", kernel="matmul", sees=as_weight_gradient, needs=PLAIN, ints=(NONE, 0, 0))
row(
    "linear_weight_sum",
    sees=as_pairs,
    needs=(one_float_dtype, results_in_order, few_rows),
    ints=("sums",),
)
row(
    "product",
    kernel="matmul",
    needs=PLAIN,
    ints=(choice("activation", *ACTIVATIONS), has_bias, 0),
)
row(
    "linear_add",
    kernel="matmul",
    sees=as_layer_and_sum,
    needs=(*PLAIN, bias_fits, last_fits),
    ints=(NONE, lambda case: (len(case.inputs) - 3,), 1),
)
for layer, activation in LAYERS.items():
    row(
        layer,
        kernel="matmul",
        sees=as_layer,
        needs=(*PLAIN, bias_fits),
        ints=(ACTIVATIONS.index(activation), has_bias, 0),
    )
