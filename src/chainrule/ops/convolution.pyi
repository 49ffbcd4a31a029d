# Written by tools/stubs.py, from the records.

from collections.abc import Sequence
from typing import Any

from chainrule.ops.window import Geometry
from chainrule.primitive import Array, Primitive, Shape, SpecLike
from chainrule.tensor import Tensor

def columns(x: Array, kernel: Shape, out: Shape, geometry: Geometry) -> Array:
    """(N, groups, C/groups · taps, positions): each column is what one output element sees."""

def in_groups(x: Array, dim: int, geometry: Geometry) -> Array:
    """(N, groups, O/groups, positions) of outputs, (groups, O/groups, C/groups · taps) of weights:"""

def require_weights(
    name: str, x: SpecLike, w: SpecLike, bias: tuple[SpecLike, ...], geometry: Geometry
) -> None:
    """Weights have the dimensions and the dtype of the input, and the groups share them out."""

def require_bias(name: str, bias: tuple[SpecLike, ...], channels: int) -> None:
    """A bias, if there is one, has a number for each channel of the output."""

def add_bias(y: Array, bias: tuple[Array, ...]) -> Array:
    """y, with its number added to each channel."""

def by_bias(g: Tensor, needs: Sequence[bool]) -> list[Tensor | None]:
    """The gradient by the bias, if there is one, of an output that it is added to."""

def batched_convolution(
    record: Any, xs: Sequence[Tensor], batched: Sequence[bool], params: dict[str, Any]
) -> Tensor:
    """A convolution of batched inputs: the examples become further images (N), or where each has"""

def moving_convolution(record: Any, xs: Any, ys: Any, ts: Any, params: dict[str, Any]) -> Tensor:
    """The tangent of a convolution: it is linear in its input, and in its weights, and adds b."""

SAMPLES: Any = (
    ((2, 3, 6), (4, 3, 3), Geometry.of(1, stride=2, padding=1)),
    ((2, 3, 5, 4), (4, 3, 3, 2), Geometry.of(2)),
    ((2, 4, 5, 6), (6, 2, 3, 2), Geometry.of(2, (2, 1), (1, 2), (1, 2), groups=2)),
    ((1, 2, 3, 2, 3), (2, 2, 2, 1, 2), Geometry((1, 1, 2), ((0, 1), (1, 0), (1, 0)), (2, 1, 1))),
    ((0, 3, 5, 4), (4, 3, 3, 2), Geometry.of(2)),
)

def convolutions(inputs: str, result: str, bias: bool = True) -> Any:
    """Samples of two of x, w and u, some with a bias for the channels of the third."""

class _convolution(Primitive):
    def __call__(
        self, input: Tensor | float, w: Tensor | float, *bias: Tensor | float, geometry: Geometry
    ) -> Tensor:
        """y[n,o] = Σ_c w[o,c] ⋆ x[n,c] + b[o], the cross-correlation of inputs with kernels."""

convolution: _convolution

class _convolution_input(Primitive):
    def __call__(
        self,
        u: Tensor | float,
        w: Tensor | float,
        *bias: Tensor | float,
        shape: Shape,
        geometry: Geometry,
    ) -> Tensor:
        """y[n,c] = Σ_o w[o,c] spread by u[n,o] + b[c], the gradient of convolution by its input."""

convolution_input: _convolution_input

class _convolution_weight(Primitive):
    def __call__(
        self, input: Tensor | float, u: Tensor | float, *, shape: Any, geometry: Any
    ) -> Tensor:
        """y[o,c] = Σ_n u[n,o] ⋆ x[n,c], the gradient of convolution by its weights."""

convolution_weight: _convolution_weight
