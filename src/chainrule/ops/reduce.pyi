# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.ops.rules import Dims
from chainrule.primitive import Array, Primitive, Spec, SpecLike
from chainrule.samples import Samples
from chainrule.tensor import Tensor

__all__ = [
    "all",
    "all_finite",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "cumsum",
    "mean",
    "prod",
    "sum",
    "sum_to_size",
    "var",
]

def over_dims(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Any:
    """The arguments of a reduction: `dim` an int, a tuple, or None for all dimensions."""

def converted_first(
    x: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """As `over_dims`, of the numbers in another dtype where one is given."""

def reduce_rule(x: SpecLike, *, dims: tuple[int, ...], keepdim: bool) -> Spec:
    """The reduced shape; integers and booleans sum to int64."""

def mean_rule(x: SpecLike, *, dims: tuple[int, ...], keepdim: bool, **_: Any) -> Spec:
    """The reduced shape, of real numbers only."""

def logical_rule(x: SpecLike, *, dims: tuple[int, ...], keepdim: bool) -> Spec:
    """The reduced shape, boolean."""

def extreme_rule(x: SpecLike, *, dims: tuple[int, ...], keepdim: bool) -> Spec:
    """The reduced shape; there is no extreme of nothing."""

def position_rule(x: SpecLike, *, dim: int | None, keepdim: bool) -> Spec:
    """The shape reduced over one dimension (or all), of positions."""

def over_position(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The arguments of argmax and argmin; None finds the position in the flattened tensor."""

def reductions(low: float = -3, high: float = 3) -> Samples:
    """All dimensions, one, several, kept and not; and a 0-d input."""

def positions() -> Samples:
    """Inputs for argmax and argmin."""

def accumulator(x: Array, dims: tuple[int, ...]) -> Any:
    """The dtype a sum runs in: wider for float16, and where NumPy adds a long run in sequence."""

class _sum(Primitive):
    def __call__(
        self, input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Tensor:
        """y = Σ x over the dimensions.   ∂y/∂x = 1."""

sum: _sum

class _mean(Primitive):
    def __call__(
        self, input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Tensor:
        """y = Σ x / n over the dimensions; NaN of nothing.   ∂y/∂x = 1/n."""

mean: _mean

def count(x: SpecLike, dims: tuple[int, ...]) -> int:
    """How many elements each output of a reduction is made of."""

class _var(Primitive):
    def __call__(
        self,
        input: Tensor,
        dim: Dims = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Tensor:
        """y = Σ (x − mean x)² / (n − correction), in float64 inside.   ∂y/∂x = 2(x − mean x)/(n − c)."""

var: _var

class _prod(Primitive):
    def __call__(
        self, input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Tensor:
        """y = Π x over the dimensions.   ∂y/∂xᵢ = Π of the others (so zeros are no trouble)."""

prod: _prod

class _prod_of_others(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """yᵢ = Π_{j≠i} xⱼ over the last dimension.   ∂yᵢ/∂xₖ = Π_{j≠i,k} xⱼ for k ≠ i."""

prod_of_others: _prod_of_others

class _amax(Primitive):
    def __call__(self, input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """y = max x over the dimensions; NaN wins.   The gradient is shared by all maxima equally."""

amax: _amax

class _amin(Primitive):
    def __call__(self, input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """y = min x over the dimensions; NaN wins.   The gradient is shared by all minima equally."""

amin: _amin

def shared_gradient(g: Tensor, x: Tensor, y: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The gradient of an extreme: equal parts to all that reach it."""

class _argmax(Primitive):
    def __call__(self, input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """y = the position of the first maximum along `dim`; a NaN counts as the maximum."""

argmax: _argmax

class _argmin(Primitive):
    def __call__(self, input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """y = the position of the first minimum along `dim`; a NaN counts as the minimum."""

argmin: _argmin

def position(find: Any, x: Array, dim: int | None, keepdim: bool) -> Array:
    """NumPy's argmax or argmin, also of a 0-d array."""

class _all(Primitive):
    def __call__(self, input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """y = whether every element is true (not zero)."""

all: _all

class _any(Primitive):
    def __call__(self, input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """y = whether some element is true (not zero)."""

any: _any

class _all_finite(Primitive):
    def __call__(self, *xs: Tensor | float) -> Tensor:
        """y = whether every element of every input is finite (neither NaN nor ±∞)."""

all_finite: _all_finite

class _cumsum(Primitive):
    def __call__(self, input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
        """yᵢ = x₁ + … + xᵢ along `dim`, added up in float64.   ∂yᵢ/∂xⱼ = 1 for j ≤ i."""

cumsum: _cumsum

def sum_to_size(input: Tensor, *shape: Any) -> Tensor:
    """Σ x down to a shape that broadcasts to the shape of `x`: the adjoint of broadcasting."""
