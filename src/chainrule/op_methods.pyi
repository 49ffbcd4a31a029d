# Written by tools/stubs.py, from the records.

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NoReturn, TypeVar, overload

from chainrule.ops.arithmetic import Rounding
from chainrule.ops.order import Extreme
from chainrule.ops.random import Generator
from chainrule.ops.rules import Dims
from chainrule.ops.select import Reduce
from chainrule.ops.sets import Histogram, HistogramOfRows
from chainrule.ops.statistics import Interpolation, Range
from chainrule.tensor import Tensor

Method = Callable[..., Any]
F = TypeVar("F", bound=Callable[..., Any])

class OpMethods:
    """The methods that `install` makes of ops; `op_methods.pyi` shows them to type checkers."""
    def abs(self) -> Tensor:
        """y = |x|.   ∂y/∂x = sign x."""
    def abs_(self) -> Tensor:
        """Assign the result of `x.abs(...)` to `x`, which keeps its shape and dtype."""
    def acos(self) -> Tensor:
        """y = arccos x.   ∂y/∂x = −1/√(1 − x²)."""
    def acos_(self) -> Tensor:
        """Assign the result of `x.acos(...)` to `x`, which keeps its shape and dtype."""
    def acosh(self) -> Tensor:
        """y = arcosh x = ln(x + √(x² − 1)).   ∂y/∂x = 1/√(x² − 1)."""
    def acosh_(self) -> Tensor:
        """Assign the result of `x.acosh(...)` to `x`, which keeps its shape and dtype."""
    def add(self, other: Tensor | float, *, alpha: Any = 1) -> Tensor:
        """y = a + b; called, a + α·b.   ∂y/∂a = 1, ∂y/∂b = 1."""
    def add_(self, other: Tensor | float, *, alpha: Any = 1) -> Tensor:
        """Assign the result of `x.add(...)` to `x`, which keeps its shape and dtype."""
    def addbmm(
        self, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
    ) -> Tensor:
        """β·x + α·Σ a·b, the products of batches of matrices summed."""
    def addbmm_(
        self, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
    ) -> Tensor:
        """Assign the result of `x.addbmm(...)` to `x`, which keeps its shape and dtype."""
    def addcdiv(self, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
        """x + v·a/b."""
    def addcdiv_(self, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
        """Assign the result of `x.addcdiv(...)` to `x`, which keeps its shape and dtype."""
    def addcmul(self, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
        """x + v·a·b."""
    def addcmul_(self, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
        """Assign the result of `x.addcmul(...)` to `x`, which keeps its shape and dtype."""
    def addmm(self, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """β·x + α·a·b of matrices; x broadcasts, and is not read where β = 0."""
    def addmm_(self, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """Assign the result of `x.addmm(...)` to `x`, which keeps its shape and dtype."""
    def addmv(self, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """β·x + α·a·v of a matrix and a vector."""
    def addmv_(self, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """Assign the result of `x.addmv(...)` to `x`, which keeps its shape and dtype."""
    def addr(self, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """β·x + α·v·wᵀ of two vectors."""
    def addr_(self, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """Assign the result of `x.addr(...)` to `x`, which keeps its shape and dtype."""
    def all(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """y = whether every element is true (not zero)."""
    def allclose(
        self, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
    ) -> bool:
        """Whether all elements are close, as `isclose` says."""
    def amax(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """y = max x over the dimensions; NaN wins.   The gradient is shared by all maxima equally."""
    def amin(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """y = min x over the dimensions; NaN wins.   The gradient is shared by all minima equally."""
    def aminmax(self, *, dim: int | None = None, keepdim: bool = False) -> Range:
        """(min, max) of all elements, or along a dimension; NaN wins."""
    def any(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """y = whether some element is true (not zero)."""
    def arctan(self) -> Tensor:
        """y = arctan x.   ∂y/∂x = 1/(1 + x²)."""
    def arctan_(self) -> Tensor:
        """Assign the result of `x.arctan(...)` to `x`, which keeps its shape and dtype."""
    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """y = the position of the first maximum along `dim`; a NaN counts as the maximum."""
    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """y = the position of the first minimum along `dim`; a NaN counts as the minimum."""
    def argsort(self, dim: int = -1, descending: bool = False, *, stable: bool = True) -> Tensor:
        """y = the order that sorts x along `dim`, stable; NaN sorts last."""
    def argwhere(self) -> Tensor:
        """The positions of all elements that are not zero, a row each: (n, dimensions)."""
    def as_strided(self, *layout: Any) -> NoReturn:
        """Refused: the layout of memory is not part of what a tensor means."""
    def asin(self) -> Tensor:
        """y = arcsin x.   ∂y/∂x = 1/√(1 − x²)."""
    def asin_(self) -> Tensor:
        """Assign the result of `x.asin(...)` to `x`, which keeps its shape and dtype."""
    def asinh(self) -> Tensor:
        """y = arsinh x = ln(x + √(x² + 1)).   ∂y/∂x = 1/√(x² + 1)."""
    def asinh_(self) -> Tensor:
        """Assign the result of `x.asinh(...)` to `x`, which keeps its shape and dtype."""
    def astype(self, dtype: Any) -> Tensor:
        """y = x in another dtype; floats are cut towards 0 on the way to integers.   ∂y/∂x = 1."""
    def atan2(self, other: Tensor | float) -> Tensor:
        """y = the angle of the point (b, a), in (−π, π].   ∂y/∂a = b/(a² + b²), ∂y/∂b = −a/(a² + b²)."""
    def atan2_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.atan2(...)` to `x`, which keeps its shape and dtype."""
    def atanh(self) -> Tensor:
        """y = artanh x = ½·ln((1 + x)/(1 − x)).   ∂y/∂x = 1/(1 − x²)."""
    def atanh_(self) -> Tensor:
        """Assign the result of `x.atanh(...)` to `x`, which keeps its shape and dtype."""
    def baddbmm(
        self, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
    ) -> Tensor:
        """β·x + α·a·b of batches of matrices."""
    def baddbmm_(
        self, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
    ) -> Tensor:
        """Assign the result of `x.baddbmm(...)` to `x`, which keeps its shape and dtype."""
    def bernoulli(self, p: Any = None, *, generator: Generator | None = None) -> Tensor:
        """1 with the probability that each element is, else 0; or, given p, with probability p."""
    def bernoulli_(self, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
        """Assign 1 with probability p, else 0; p is a number, or a tensor that broadcasts."""
    def bincount(self, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
        """How often each of 0, 1, 2, ... occurs in a vector, or the sum of its weights."""
    def bitwise_and(self, other: Tensor | float) -> Tensor:
        """y = a and b, of booleans or bit by bit of integers."""
    def bitwise_and_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.bitwise_and(...)` to `x`, which keeps its shape and dtype."""
    def bitwise_left_shift(self, other: Tensor | float) -> Tensor:
        """y = a·2ᵇ of integers, the bits that leave on the left lost; 0 for b < 0 or too large."""
    def bitwise_left_shift_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.bitwise_left_shift(...)` to `x`, which keeps its shape and dtype."""
    def bitwise_not(self) -> Tensor:
        """y = not x, of booleans or bit by bit of integers."""
    def bitwise_not_(self) -> Tensor:
        """Assign the result of `x.bitwise_not(...)` to `x`, which keeps its shape and dtype."""
    def bitwise_or(self, other: Tensor | float) -> Tensor:
        """y = a or b, of booleans or bit by bit of integers."""
    def bitwise_or_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.bitwise_or(...)` to `x`, which keeps its shape and dtype."""
    def bitwise_right_shift(self, other: Tensor | float) -> Tensor:
        """y = ⌊a/2ᵇ⌋ of integers; for b < 0 or too large 0 or −1, what is left of the sign."""
    def bitwise_right_shift_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.bitwise_right_shift(...)` to `x`, which keeps its shape and dtype."""
    def bitwise_xor(self, other: Tensor | float) -> Tensor:
        """y = either a or b, of booleans or bit by bit of integers."""
    def bitwise_xor_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.bitwise_xor(...)` to `x`, which keeps its shape and dtype."""
    def bmm(self, mat2: Tensor) -> Tensor:
        """The products of two batches of matrices: (b, n, k)·(b, k, m) → (b, n, m)."""
    def broadcast_to(self, size: Sequence[int]) -> Tensor:
        """Repeated along dimensions of size 1 to a shape."""
    def bucketize(
        self, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
    ) -> Tensor:
        """The bucket of each number: between which of the sorted boundaries it lies."""
    def cauchy_(
        self, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Assign numbers of the density 1/(πσ·(1 + ((x − median)/σ)²))."""
    def ceil(self) -> Tensor:
        """y = ⌈x⌉.   Piecewise constant."""
    def ceil_(self) -> Tensor:
        """Assign the result of `x.ceil(...)` to `x`, which keeps its shape and dtype."""
    def cholesky_inverse(self, upper: bool = False) -> Tensor:
        """(L·Lᵀ)⁻¹ of the factor L; with `upper`, that is given as its transpose."""
    def cholesky_solve(self, L: Tensor, upper: bool = False) -> Tensor:
        """X with L·Lᵀ·X = B; with `upper`, L is given as its transpose."""
    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """At most `chunks` parts of equal size along `dim` (the last may be smaller)."""
    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """x limited to [min, max], numbers or tensors; NaN stays. Where min > max, it is max."""
    def clamp_(self, min: Any = None, max: Any = None) -> Tensor:
        """Assign the result of `x.clamp(...)` to `x`, which keeps its shape and dtype."""
    def clamp_max(self, max: Any) -> Tensor:
        """x, at most `max`."""
    def clamp_max_(self, max: Any) -> Tensor:
        """Assign the result of `x.clamp_max(...)` to `x`, which keeps its shape and dtype."""
    def clamp_min(self, min: Any) -> Tensor:
        """x, at least `min`."""
    def clamp_min_(self, min: Any) -> Tensor:
        """Assign the result of `x.clamp_min(...)` to `x`, which keeps its shape and dtype."""
    def clone(self) -> Tensor:
        """y = x, in memory of its own.   ∂y/∂x = 1."""
    def combinations(self, r: int = 2, with_replacement: bool = False) -> Tensor:
        """All combinations of r elements of a vector, a row each."""
    def copysign(self, other: Tensor | float) -> Tensor:
        """|a| with the sign of b, of zeros too.   ∂y/∂a = ±1, and 0 where a = 0."""
    def copysign_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.copysign(...)` to `x`, which keeps its shape and dtype."""
    def corrcoef(self) -> Tensor:
        """The correlations of variables, a row each, over samples: (V, N) → (V, V), in [−1, 1]."""
    def cos(self) -> Tensor:
        """y = cos x.   ∂y/∂x = −sin x."""
    def cos_(self) -> Tensor:
        """Assign the result of `x.cos(...)` to `x`, which keeps its shape and dtype."""
    def cosh(self) -> Tensor:
        """y = cosh x.   ∂y/∂x = sinh x."""
    def cosh_(self) -> Tensor:
        """Assign the result of `x.cosh(...)` to `x`, which keeps its shape and dtype."""
    def count_nonzero(self, dim: Dims = None) -> Tensor:
        """How many elements are not zero."""
    def cov(
        self, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
    ) -> Tensor:
        """The covariances of variables, a row each, over samples, a column each: (V, N) → (V, V)."""
    def cross(self, other: Tensor, dim: int | None = None) -> Tensor:
        """The vector product along a dimension of size 3, the first one where none is named."""
    def cummax(self, dim: int) -> Extreme:
        """(values, indices) of the largest element so far along `dim`; NaN counts as the largest."""
    def cummin(self, dim: int) -> Extreme:
        """(values, indices) of the smallest element so far along `dim`; a NaN stays."""
    def cumprod(self, dim: int, *, dtype: Any = None) -> Tensor:
        """yᵢ = x₁·…·xᵢ along `dim`.   ∂L/∂xᵢ = yᵢ₋₁·hᵢ with hᵢ = gᵢ + xᵢ₊₁·hᵢ₊₁, zeros or not."""
    def cumprod_(self, dim: int, *, dtype: Any = None) -> Tensor:
        """Assign the result of `x.cumprod(...)` to `x`, which keeps its shape and dtype."""
    def cumsum(self, dim: int, *, dtype: Any = None) -> Tensor:
        """yᵢ = x₁ + … + xᵢ along `dim`, added up in float64.   ∂yᵢ/∂xⱼ = 1 for j ≤ i."""
    def cumsum_(self, dim: int, *, dtype: Any = None) -> Tensor:
        """Assign the result of `x.cumsum(...)` to `x`, which keeps its shape and dtype."""
    def deg2rad(self) -> Tensor:
        """Degrees to radians, x·π/180."""
    def deg2rad_(self) -> Tensor:
        """Assign the result of `x.deg2rad(...)` to `x`, which keeps its shape and dtype."""
    def diag(self, diagonal: int = 0) -> Tensor:
        """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    def diag_embed(self, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
        """Matrices with the last dimension on their diagonals, zeros elsewhere."""
    def diagflat(self, offset: int = 0) -> Tensor:
        """The matrix with all elements on its diagonal."""
    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
        """The diagonals of the matrices in two dimensions, in a last dimension: a view."""
    def diagonal_scatter(
        self, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
    ) -> Tensor:
        """`input` with the elements of `src` on the diagonal."""
    def diff(
        self, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
    ) -> Tensor:
        """xᵢ₊₁ − xᵢ along `dim`, n times; of booleans, whether they differ."""
    def digamma(self) -> Tensor:
        """y = ψ(x) = d/dx ln Γ(x); NaN at −1, −2, ..., −∞ at 0.   ∂y/∂x = ψ⁽¹⁾(x)."""
    def digamma_(self) -> Tensor:
        """Assign the result of `x.digamma(...)` to `x`, which keeps its shape and dtype."""
    def dist(self, other: Tensor, p: float = 2) -> Tensor:
        """‖a − b‖ₚ: (Σ |aᵢ − bᵢ|ᵖ)^(1/p) over all elements."""
    def div(self, other: Tensor | float, *, rounding_mode: Rounding | None = None) -> Tensor:
        """a / b, or that quotient rounded down ("floor") or towards 0 ("trunc")."""
    def div_(self, other: Tensor | float, *, rounding_mode: Rounding | None = None) -> Tensor:
        """Assign the result of `x.div(...)` to `x`, which keeps its shape and dtype."""
    def dot(self, tensor: Tensor) -> Tensor:
        """The inner product of two vectors, Σ aᵢ·bᵢ."""
    def dsplit(self, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
        """Parts along the third dimension."""
    def entr(self) -> Tensor:
        """−x·ln x, the part of an entropy; 0 at 0, −∞ below."""
    def eq(self, other: Tensor | float) -> Tensor:
        """y = (a = b)."""
    def eq_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.eq(...)` to `x`, which keeps its shape and dtype."""
    def equal(self, other: Tensor) -> bool:
        """Whether two tensors have the same shape and the same elements."""
    def erf(self) -> Tensor:
        """y = 2/√π · ∫₀ˣ e^−t² dt.   ∂y/∂x = 2/√π · e^−x²."""
    def erf_(self) -> Tensor:
        """Assign the result of `x.erf(...)` to `x`, which keeps its shape and dtype."""
    def erfc(self) -> Tensor:
        """y = 1 − erf x, accurate where erf is near 1.   ∂y/∂x = −2/√π · e^−x²."""
    def erfc_(self) -> Tensor:
        """Assign the result of `x.erfc(...)` to `x`, which keeps its shape and dtype."""
    def erfcx(self) -> Tensor:
        """y = e^x²·erfc x, which does not underflow for large x.   ∂y/∂x = 2·x·y − 2/√π."""
    def erfcx_(self) -> Tensor:
        """Assign the result of `x.erfcx(...)` to `x`, which keeps its shape and dtype."""
    def erfinv(self) -> Tensor:
        """y with erf y = x; ±∞ at ±1, NaN beyond.   ∂y/∂x = √π/2 · e^y²."""
    def erfinv_(self) -> Tensor:
        """Assign the result of `x.erfinv(...)` to `x`, which keeps its shape and dtype."""
    def exp(self) -> Tensor:
        """y = eˣ.   ∂y/∂x = y."""
    def exp2(self) -> Tensor:
        """y = 2ˣ, exact for whole x.   ∂y/∂x = y·ln 2."""
    def exp2_(self) -> Tensor:
        """Assign the result of `x.exp2(...)` to `x`, which keeps its shape and dtype."""
    def exp_(self) -> Tensor:
        """Assign the result of `x.exp(...)` to `x`, which keeps its shape and dtype."""
    def expand(self, *shape: Any) -> Tensor:
        """y = x repeated along dimensions of size 1, and new ones in front.   ∂y/∂x = Σ repeats."""
    def expand_as(self, other: Tensor) -> Tensor:
        """Repeated along dimensions of size 1 to the shape of another tensor."""
    def expm1(self) -> Tensor:
        """y = eˣ − 1, accurate near 0.   ∂y/∂x = y + 1."""
    def expm1_(self) -> Tensor:
        """Assign the result of `x.expm1(...)` to `x`, which keeps its shape and dtype."""
    def exponential_(self, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Assign numbers of the density λ·e^−λx."""
    def fill_diagonal_(self, fill_value: float, wrap: bool = False) -> Tensor:
        """Assign one value to the elements xᵢᵢ, xᵢᵢᵢ, ...; with `wrap`, the diagonal of a tall matrix"""
    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """With the dimensions from `start_dim` to `end_dim` merged into one."""
    def flip(self, *dims: Any) -> Tensor:
        """y = x backwards along the dimensions.   ∂y/∂x = 1."""
    def fliplr(self) -> Tensor:
        """The columns backwards."""
    def flipud(self) -> Tensor:
        """The rows backwards."""
    def float_power(self, exponent: Tensor | float) -> Tensor:
        """xᵉ in float64."""
    def float_power_(self, exponent: Tensor | float) -> Tensor:
        """Assign xᵉ to x, which is of float64."""
    def floor(self) -> Tensor:
        """y = ⌊x⌋.   Piecewise constant."""
    def floor_(self) -> Tensor:
        """Assign the result of `x.floor(...)` to `x`, which keeps its shape and dtype."""
    def floor_divide(self, other: Tensor | float) -> Tensor:
        """y = ⌊a / b⌋. Integer division by zero raises ArgumentError.   Piecewise constant."""
    def floor_divide_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.floor_divide(...)` to `x`, which keeps its shape and dtype."""
    def fmax(self, other: Tensor) -> Tensor:
        """The larger of a and b; where one is NaN, the other."""
    def fmin(self, other: Tensor) -> Tensor:
        """The smaller of a and b; where one is NaN, the other."""
    def fmod(self, other: Tensor | float) -> Tensor:
        """y = a − b·trunc(a / b), with the sign of a.   ∂y/∂a = 1, ∂y/∂b = −trunc(a / b)."""
    def fmod_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.fmod(...)` to `x`, which keeps its shape and dtype."""
    def frac(self) -> Tensor:
        """x without its whole part, with the sign of x."""
    def frac_(self) -> Tensor:
        """Assign the result of `x.frac(...)` to `x`, which keeps its shape and dtype."""
    def frexp(self) -> tuple[Tensor, Tensor]:
        """(m, e) with x = m·2ᵉ, ½ ≤ |m| < 1.   ∂m/∂x = 2⁻ᵉ; e is constant."""
    def gather(self, dim: int, index: Tensor) -> Tensor:
        """y = x at positions `index` along `dim`, shapes equal elsewhere.   The adjoint scatters."""
    def gcd(self, other: Tensor | float) -> Tensor:
        """y = the greatest common divisor of integers."""
    def gcd_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.gcd(...)` to `x`, which keeps its shape and dtype."""
    def ge(self, other: Tensor | float) -> Tensor:
        """y = (a ≥ b)."""
    def ge_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.ge(...)` to `x`, which keeps its shape and dtype."""
    def geometric_(self, p: float, *, generator: Generator | None = None) -> Tensor:
        """Assign the number of trials, each of probability p, up to the first success."""
    def gradient(
        self, *, spacing: Any = 1, dim: int | Sequence[int] | None = None, edge_order: int = 1
    ) -> list[Tensor]:
        """The slopes along each dimension, by differences of second order inside, 1 or 2 at the edges."""
    def gt(self, other: Tensor | float) -> Tensor:
        """y = (a > b)."""
    def gt_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.gt(...)` to `x`, which keeps its shape and dtype."""
    def heaviside(self, values: Tensor) -> Tensor:
        """0 where x < 0, `values` where x = 0, 1 where x > 0; constant, without a gradient."""
    def heaviside_(self, values: Tensor) -> Tensor:
        """Assign the result of `x.heaviside(...)` to `x`, which keeps its shape and dtype."""
    def histc(self, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
        """How many elements lie in each of equal bins between min and max, both included."""
    def histogram(
        self,
        bins: int | Tensor,
        *,
        range: tuple[float, float] | None = None,
        weight: Tensor | None = None,
        density: bool = False,
    ) -> Histogram:
        """(hist, bin_edges) of equal bins in a range, or of bins with the edges given."""
    def histogramdd(
        self,
        bins: int | Sequence[int] | Sequence[Tensor],
        *,
        range: Sequence[float] | None = None,
        weight: Tensor | None = None,
        density: bool = False,
    ) -> HistogramOfRows:
        """(hist, bin_edges) of rows with d numbers each: (..., d) → d dimensions of bins."""
    def hsplit(self, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
        """Parts along the columns; of one dimension, along it."""
    def hypot(self, other: Tensor | float) -> Tensor:
        """y = √(a² + b²), without overflow on the way.   ∂y/∂a = a/y, ∂y/∂b = b/y."""
    def hypot_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.hypot(...)` to `x`, which keeps its shape and dtype."""
    def i0(self) -> Tensor:
        """y = I₀(x).   ∂y/∂x = I₁(x)."""
    def i0_(self) -> Tensor:
        """Assign the result of `x.i0(...)` to `x`, which keeps its shape and dtype."""
    def i0e(self) -> Tensor:
        """y = e^−|x|·I₀(x).   ∂y/∂x = e^−|x|·I₁(x) − sign x·y."""
    def i0e_(self) -> Tensor:
        """Assign the result of `x.i0e(...)` to `x`, which keeps its shape and dtype."""
    def i1(self) -> Tensor:
        """y = I₁(x).   ∂y/∂x = I₀(x) − y/x, and ½ at 0."""
    def i1_(self) -> Tensor:
        """Assign the result of `x.i1(...)` to `x`, which keeps its shape and dtype."""
    def i1e(self) -> Tensor:
        """y = e^−|x|·I₁(x).   ∂y/∂x = e^−|x|·I₀(x) − y·(sign x + 1/x), and ½ at 0."""
    def i1e_(self) -> Tensor:
        """Assign the result of `x.i1e(...)` to `x`, which keeps its shape and dtype."""
    def igamma(self, other: Tensor | float) -> Tensor:
        """P(a, x), the part of Gamma(a, 1) up to x.   ∂P/∂a, too."""
    def igamma_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.igamma(...)` to `x`, which keeps its shape and dtype."""
    def igammac(self, other: Tensor | float) -> Tensor:
        """Q(a, x) = 1 − P(a, x), accurate where P is near 1."""
    def igammac_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.igammac(...)` to `x`, which keeps its shape and dtype."""
    def index_add(self, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
        """x with α·source added to its parts at a vector of positions, repeated ones added up."""
    def index_add_(self, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
        """Assign the result of `x.index_add(...)` to `x`, which keeps its shape and dtype."""
    def index_copy(self, dim: int, index: Tensor, source: Tensor) -> Tensor:
        """x with the parts at a vector of positions replaced by those of `source`."""
    def index_copy_(self, dim: int, index: Tensor, source: Tensor) -> Tensor:
        """Assign the result of `x.index_copy(...)` to `x`, which keeps its shape and dtype."""
    def index_fill(self, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
        """x with the parts at a vector of positions filled with a number."""
    def index_fill_(self, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
        """Assign the result of `x.index_fill(...)` to `x`, which keeps its shape and dtype."""
    def index_put(self, indices: Any, values: Any) -> Tensor:
        """`x` with `x[indices] = values`; what `x[indices] = values` on a tensor assigns."""
    def index_put_(self, indices: Any, values: Any) -> Tensor:
        """Assign the result of `x.index_put(...)` to `x`, which keeps its shape and dtype."""
    def index_reduce(
        self, dim: int, index: Tensor, source: Tensor, reduce: Reduce, *, include_self: bool = True
    ) -> Tensor:
        """`scatter_reduce` of whole parts along `dim`, at a vector of positions."""
    def index_reduce_(
        self, dim: int, index: Tensor, source: Tensor, reduce: Reduce, *, include_self: bool = True
    ) -> Tensor:
        """Assign the result of `x.index_reduce(...)` to `x`, which keeps its shape and dtype."""
    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """The parts at a vector of positions along `dim`."""
    def inner(self, other: Tensor) -> Tensor:
        """Σ over the last dimension of both: (..., k), (···, k) → (..., ···)."""
    def isclose(
        self, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
    ) -> Tensor:
        """|a − b| ≤ atol + rtol·|b|, elementwise; infinities are close to themselves alone."""
    def isfinite(self) -> Tensor:
        """y = (x is neither NaN nor ±∞)."""
    def isinf(self) -> Tensor:
        """y = (x is ±∞)."""
    def isnan(self) -> Tensor:
        """y = (x is not a number)."""
    def isneginf(self) -> Tensor:
        """Whether x is −∞."""
    def isposinf(self) -> Tensor:
        """Whether x is +∞."""
    def isreal(self) -> Tensor:
        """True everywhere: there are no complex tensors."""
    def kron(self, other: Tensor) -> Tensor:
        """Kronecker's product: each element of a times the whole of b."""
    def kthvalue(self, k: int, dim: int = -1, keepdim: bool = False) -> Extreme:
        """(values, indices) of the k-th smallest element along `dim`, k from 1 on."""
    def lcm(self, other: Tensor | float) -> Tensor:
        """y = the least common multiple of integers."""
    def lcm_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.lcm(...)` to `x`, which keeps its shape and dtype."""
    def ldexp(self, other: Tensor) -> Tensor:
        """x·2ⁿ."""
    def ldexp_(self, other: Tensor) -> Tensor:
        """Assign the result of `x.ldexp(...)` to `x`, which keeps its shape and dtype."""
    def le(self, other: Tensor | float) -> Tensor:
        """y = (a ≤ b)."""
    def le_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.le(...)` to `x`, which keeps its shape and dtype."""
    def lerp(self, end: Tensor, weight: Tensor | float) -> Tensor:
        """a + w·(b − a): exactly a for w = 0 and exactly b for w = 1."""
    def lerp_(self, end: Tensor, weight: Tensor | float) -> Tensor:
        """Assign the result of `x.lerp(...)` to `x`, which keeps its shape and dtype."""
    def lgamma(self) -> Tensor:
        """y = ln |Γ(x)|; +∞ at 0, −1, −2, ...   ∂y/∂x = ψ(x), the digamma function."""
    def lgamma_(self) -> Tensor:
        """Assign the result of `x.lgamma(...)` to `x`, which keeps its shape and dtype."""
    def log(self) -> Tensor:
        """y = ln x.   ∂y/∂x = 1/x."""
    def log10(self) -> Tensor:
        """y = log₁₀ x, exact for powers of 10.   ∂y/∂x = 1/(x·ln 10)."""
    def log10_(self) -> Tensor:
        """Assign the result of `x.log10(...)` to `x`, which keeps its shape and dtype."""
    def log1p(self) -> Tensor:
        """y = ln(1 + x), accurate near 0.   ∂y/∂x = 1/(1 + x)."""
    def log1p_(self) -> Tensor:
        """Assign the result of `x.log1p(...)` to `x`, which keeps its shape and dtype."""
    def log2(self) -> Tensor:
        """y = log₂ x, exact for powers of 2.   ∂y/∂x = 1/(x·ln 2)."""
    def log2_(self) -> Tensor:
        """Assign the result of `x.log2(...)` to `x`, which keeps its shape and dtype."""
    def log_(self) -> Tensor:
        """Assign the result of `x.log(...)` to `x`, which keeps its shape and dtype."""
    def log_ndtr(self) -> Tensor:
        """ln Φ(x), accurate where Φ itself underflows."""
    def log_normal_(
        self, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Assign eˣ of numbers x of N(mean, std²)."""
    def log_softmax(self, dim: int = -1) -> Tensor:
        """yᵢ = (xᵢ − m) − ln Σⱼ e^(xⱼ − m), m = max x.   ∂L/∂x = g − eʸ·Σ g."""
    def logaddexp(self, other: Tensor | float) -> Tensor:
        """y = ln(eᵃ + eᵇ), without overflow on the way.   ∂y/∂a = σ(a − b), ∂y/∂b = σ(b − a)."""
    def logaddexp2(self, other: Tensor | float) -> Tensor:
        """y = log₂(2ᵃ + 2ᵇ).   ∂y/∂a = σ((a − b)·ln 2), ∂y/∂b = σ((b − a)·ln 2)."""
    def logcumsumexp(self, dim: int, *, dtype: Any = None) -> Tensor:
        """yᵢ = ln(e^x₁ + … + e^xᵢ) along `dim`."""
    def logical_and(self, other: Tensor) -> Tensor:
        """Whether both are not zero."""
    def logical_and_(self, other: Tensor) -> Tensor:
        """Assign the result of `x.logical_and(...)` to `x`, which keeps its shape and dtype."""
    def logical_not(self) -> Tensor:
        """Whether x is zero."""
    def logical_not_(self) -> Tensor:
        """Assign the result of `x.logical_not(...)` to `x`, which keeps its shape and dtype."""
    def logical_or(self, other: Tensor) -> Tensor:
        """Whether one of the two, or both, is not zero."""
    def logical_or_(self, other: Tensor) -> Tensor:
        """Assign the result of `x.logical_or(...)` to `x`, which keeps its shape and dtype."""
    def logical_xor(self, other: Tensor) -> Tensor:
        """Whether exactly one of the two is not zero."""
    def logical_xor_(self, other: Tensor) -> Tensor:
        """Assign the result of `x.logical_xor(...)` to `x`, which keeps its shape and dtype."""
    def logit(self, eps: float | None = None) -> Tensor:
        """ln(x/(1 − x)), the inverse of sigmoid; with `eps`, of x limited to [eps, 1 − eps]."""
    def logit_(self, eps: float | None = None) -> Tensor:
        """Assign the result of `x.logit(...)` to `x`, which keeps its shape and dtype."""
    def logsumexp(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """y = m + ln Σ e^(x − m), m = max x; −∞ of −∞ alone, with gradient 0.   ∂y/∂x = e^(x − y)."""
    def lt(self, other: Tensor | float) -> Tensor:
        """y = (a < b)."""
    def lt_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.lt(...)` to `x`, which keeps its shape and dtype."""
    def masked_fill(self, mask: Tensor, value: float | Tensor) -> Tensor:
        """x with a number where a mask that broadcasts holds."""
    def masked_fill_(self, mask: Tensor, value: float | Tensor) -> Tensor:
        """Assign the result of `x.masked_fill(...)` to `x`, which keeps its shape and dtype."""
    def masked_scatter(self, mask: Tensor, source: Tensor) -> Tensor:
        """x with the first elements of `source`, in order, where a mask that broadcasts holds."""
    def masked_scatter_(self, mask: Tensor, source: Tensor) -> Tensor:
        """Assign the result of `x.masked_scatter(...)` to `x`, which keeps its shape and dtype."""
    def masked_select(self, mask: Tensor) -> Tensor:
        """The elements where a mask that broadcasts holds, in one dimension."""
    def matmul(self, other: Tensor) -> Tensor:
        """The matrix product as in PyTorch: vectors are a row on the left, a column on the right."""
    @overload
    def max(self) -> Tensor:
        """The largest element, or along `dim` (values, indices); NaN wins."""
    @overload
    def max(self, dim: int, keepdim: bool = False) -> Extreme:
        """The largest element, or along `dim` (values, indices); NaN wins."""
    @overload
    def max(self, other: Tensor, /) -> Tensor:
        """The largest element, or along `dim` (values, indices); NaN wins."""
    @overload
    def max(self, *, other: Tensor) -> Tensor:
        """The largest element, or along `dim` (values, indices); NaN wins."""
    def maximum(self, other: Tensor | float) -> Tensor:
        """y = max(a, b); NaN wins.   The gradient goes to the larger, half to each where equal."""
    def mean(self, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """y = Σ x / n over the dimensions; NaN of nothing.   ∂y/∂x = 1/n."""
    @overload
    def median(self) -> Tensor:
        """The middle element in order, the lower one of two; along `dim` (values, indices)."""
    @overload
    def median(self, dim: int, keepdim: bool = False) -> Extreme:
        """The middle element in order, the lower one of two; along `dim` (values, indices)."""
    @overload
    def min(self) -> Tensor:
        """The smallest element, or along `dim` (values, indices); NaN wins."""
    @overload
    def min(self, dim: int, keepdim: bool = False) -> Extreme:
        """The smallest element, or along `dim` (values, indices); NaN wins."""
    @overload
    def min(self, other: Tensor, /) -> Tensor:
        """The smallest element, or along `dim` (values, indices); NaN wins."""
    @overload
    def min(self, *, other: Tensor) -> Tensor:
        """The smallest element, or along `dim` (values, indices); NaN wins."""
    def minimum(self, other: Tensor | float) -> Tensor:
        """y = min(a, b); NaN wins.   The gradient goes to the smaller, half to each where equal."""
    def mm(self, mat2: Tensor) -> Tensor:
        """The product of two matrices: (n, k)·(k, m) → (n, m)."""
    def mode(self, dim: int = -1, keepdim: bool = False) -> Extreme:
        """(values, indices) of the most frequent element along `dim`, the smallest of several."""
    def movedim(self, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
        """With the dimension `source` moved to `destination`, or several of them."""
    def msort(self) -> Tensor:
        """Sorted along the first dimension."""
    def mul(self, other: Tensor | float) -> Tensor:
        """y = a·b.   ∂y/∂a = b, ∂y/∂b = a."""
    def mul_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.mul(...)` to `x`, which keeps its shape and dtype."""
    def multinomial(
        self, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
    ) -> Tensor:
        """Positions drawn from each row, with probabilities in proportion to the numbers of the row."""
    def mv(self, vec: Tensor) -> Tensor:
        """A matrix times a vector: (n, k)·(k) → (n)."""
    def mvlgamma(self, p: int) -> Tensor:
        """ln Γₚ(x) = p·(p − 1)/4·ln π + Σⱼ ln Γ(x − j/2), j = 0, ..., p − 1."""
    def mvlgamma_(self, p: int) -> Tensor:
        """Assign the result of `x.mvlgamma(...)` to `x`, which keeps its shape and dtype."""
    def nan_to_num(
        self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
    ) -> Tensor:
        """x with numbers in place of NaN and ±∞: by default 0, and the dtype's largest and smallest."""
    def nan_to_num_(
        self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
    ) -> Tensor:
        """Assign the result of `x.nan_to_num(...)` to `x`, which keeps its shape and dtype."""
    def nanmean(self, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """The mean of the elements that are not NaN; NaN of none."""
    @overload
    def nanmedian(self) -> Tensor:
        """The median of the elements that are not NaN; NaN of none."""
    @overload
    def nanmedian(self, dim: int, keepdim: bool = False) -> Extreme:
        """The median of the elements that are not NaN; NaN of none."""
    def nanquantile(
        self,
        q: float | Tensor,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        interpolation: Interpolation = "linear",
    ) -> Tensor:
        """The quantiles of the elements that are not NaN; NaN of none."""
    def nansum(self, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """The sum of the elements that are not NaN; 0 of none."""
    def narrow(self, dim: int, start: int, length: int) -> Tensor:
        """The `length` elements from `start` on along `dim`: a view."""
    def ndtri(self) -> Tensor:
        """y with Φ(y) = x: quantiles of the normal distribution; ±∞ at 1 and 0.   ∂y/∂x = 1/φ(y)."""
    def ndtri_(self) -> Tensor:
        """Assign the result of `x.ndtri(...)` to `x`, which keeps its shape and dtype."""
    def ne(self, other: Tensor | float) -> Tensor:
        """y = (a ≠ b)."""
    def ne_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.ne(...)` to `x`, which keeps its shape and dtype."""
    def neg(self) -> Tensor:
        """y = −x.   ∂y/∂x = −1."""
    def neg_(self) -> Tensor:
        """Assign the result of `x.neg(...)` to `x`, which keeps its shape and dtype."""
    def new_empty(self, *size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        """As `cr.empty`, by default in the dtype of this tensor."""
    def new_full(
        self, size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False
    ) -> Tensor:
        """As `cr.full`, by default in the dtype of this tensor."""
    def new_ones(self, *size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        """As `cr.ones`, by default in the dtype of this tensor."""
    def new_tensor(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        """As `cr.tensor`, by default in the dtype of this tensor."""
    def new_zeros(self, *size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        """As `cr.zeros`, by default in the dtype of this tensor."""
    def nextafter(self, other: Tensor | float) -> Tensor:
        """y = the float after a in the direction of b.   No derivative."""
    def nextafter_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.nextafter(...)` to `x`, which keeps its shape and dtype."""
    @overload
    def nonzero(self, *, as_tuple: Literal[False] = False) -> Tensor:
        """The positions of all elements that are not zero, a row each: (n, dimensions)."""
    @overload
    def nonzero(self, *, as_tuple: Literal[True]) -> tuple[Tensor, ...]:
        """The positions of all elements that are not zero, a row each: (n, dimensions)."""
    def norm(
        self, p: float | str = 2.0, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Tensor:
        """(Σ |x|ᵖ)^(1/p) over the dimensions. At 0 the gradient is 0, as it is by elements that are 0."""
    def normal_(
        self, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Assign numbers of N(mean, std²)."""
    def normal_cdf(self) -> Tensor:
        """y = Φ(x) = ½·(1 + erf(x/√2)).   ∂y/∂x = φ(x)."""
    def outer(self, vec2: Tensor) -> Tensor:
        """yᵢⱼ = aᵢ·bⱼ: (n), (m) → (n, m)."""
    def pad(self, pad: Sequence[int], value: float = 0.0) -> Tensor:
        """y = x with `widths` (before, after) of a constant around each dimension.   ∂y/∂x = 1."""
    def permute(self, *dims: Any) -> Tensor:
        """y = x with its dimensions in another order.   ∂y/∂x = 1."""
    def polygamma(self, n: int) -> Tensor:
        """y = ψ⁽ⁿ⁾(x), the n-th derivative of digamma.   ∂y/∂x = ψ⁽ⁿ⁺¹⁾(x)."""
    def positive(self) -> Tensor:
        """x itself; booleans have no sign."""
    def pow(self, exponent: Any) -> Tensor:
        """xᵉ, of tensors or a tensor and a number."""
    def pow_(self, exponent: Any) -> Tensor:
        """Assign the result of `x.pow(...)` to `x`, which keeps its shape and dtype."""
    def prod(self, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """y = Π x over the dimensions.   ∂y/∂xᵢ = Π of the others (so zeros are no trouble)."""
    def put(self, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
        """x with the elements of `source` at positions of the flattened tensor, or added there."""
    def put_(self, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
        """Assign the result of `x.put(...)` to `x`, which keeps its shape and dtype."""
    def quantile(
        self,
        q: float | Tensor,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        interpolation: Interpolation = "linear",
    ) -> Tensor:
        """The elements below which the fractions q of all lie; a NaN makes the result NaN."""
    def rad2deg(self) -> Tensor:
        """Radians to degrees, x·180/π."""
    def rad2deg_(self) -> Tensor:
        """Assign the result of `x.rad2deg(...)` to `x`, which keeps its shape and dtype."""
    def random_(
        self, low: int = 0, to: int | None = None, *, generator: Generator | None = None
    ) -> Tensor:
        """Assign whole numbers of {low, …, to − 1}; of {0, …, low − 1} where only one is given."""
    def ravel(self) -> Tensor:
        """In one dimension."""
    def reciprocal(self) -> Tensor:
        """1/x; of integers in the default floating dtype."""
    def reciprocal_(self) -> Tensor:
        """Assign the result of `x.reciprocal(...)` to `x`, which keeps its shape and dtype."""
    def relu(self) -> Tensor:
        """y = max(x, 0); NaN stays.   ∂y/∂x = 1 where x > 0, else 0."""
    def relu_(self) -> Tensor:
        """Assign the result of `x.relu(...)` to `x`, which keeps its shape and dtype."""
    def remainder(self, other: Tensor | float) -> Tensor:
        """y = a − b·⌊a / b⌋, with the sign of b.   ∂y/∂a = 1, ∂y/∂b = −⌊a / b⌋."""
    def remainder_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.remainder(...)` to `x`, which keeps its shape and dtype."""
    def renorm(self, p: float, dim: int, maxnorm: float) -> Tensor:
        """Each part along `dim` scaled down to the norm `maxnorm`, where it is larger."""
    def renorm_(self, p: float, dim: int, maxnorm: float) -> Tensor:
        """Assign the result of `x.renorm(...)` to `x`, which keeps its shape and dtype."""
    def repeat(self, *repeats: Any) -> Tensor:
        """The whole tensor repeated along each dimension, new dimensions in front."""
    def repeat_interleave(
        self,
        repeats: int | Tensor | None = None,
        dim: int | None = None,
        *,
        output_size: int | None = None,
    ) -> Tensor:
        """Each element repeated, along `dim` or in one dimension; how often may differ."""
    def reshape(self, *shape: Any) -> Tensor:
        """y = x in another shape of as many elements; one −1 is worked out.   ∂y/∂x = 1."""
    def reshape_as(self, other: Tensor) -> Tensor:
        """In the shape of another tensor."""
    def roll(self, shifts: int | Sequence[int], dims: Dims) -> Tensor:
        """y = x moved on by `shifts` along the dimensions, the end coming back in front."""
    def rot90(self, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
        """Turned k times by 90° in the plane of two dimensions, from the first to the second."""
    def round(self, *, decimals: int = 0) -> Tensor:
        """The nearest number with so many decimals, ties to even; tens, hundreds, ... if negative."""
    def round_(self, *, decimals: int = 0) -> Tensor:
        """Assign the result of `x.round(...)` to `x`, which keeps its shape and dtype."""
    def rsqrt(self) -> Tensor:
        """y = 1/√x.   ∂y/∂x = −y³/2."""
    def rsqrt_(self) -> Tensor:
        """Assign the result of `x.rsqrt(...)` to `x`, which keeps its shape and dtype."""
    def rsub(self, other: Tensor | float, *, alpha: float = 1) -> Tensor:
        """b − α·a: the difference of the two in the other order."""
    def scatter(
        self,
        dim: int,
        index: Tensor,
        src: Tensor | float,
        *,
        reduce: Literal["add", "multiply"] | None = None,
    ) -> Tensor:
        """x with the elements of `src`, or a number, at the positions `index` along `dim`."""
    def scatter_(
        self,
        dim: int,
        index: Tensor,
        src: Tensor | float,
        *,
        reduce: Literal["add", "multiply"] | None = None,
    ) -> Tensor:
        """Assign the result of `x.scatter(...)` to `x`, which keeps its shape and dtype."""
    def scatter_add(self, dim: int, index: Tensor, src: Tensor) -> Tensor:
        """x with the elements of `src` added at the positions `index` along `dim`, repeated ones too."""
    def scatter_add_(self, dim: int, index: Tensor, src: Tensor) -> Tensor:
        """Assign the result of `x.scatter_add(...)` to `x`, which keeps its shape and dtype."""
    def scatter_reduce(
        self, dim: int, index: Tensor, src: Tensor, reduce: Reduce, *, include_self: bool = True
    ) -> Tensor:
        """x with `src` folded in at the positions `index` along `dim`: sum, prod, mean, amax or amin."""
    def scatter_reduce_(
        self, dim: int, index: Tensor, src: Tensor, reduce: Reduce, *, include_self: bool = True
    ) -> Tensor:
        """Assign the result of `x.scatter_reduce(...)` to `x`, which keeps its shape and dtype."""
    def searchsorted(
        self,
        sorted_sequence: Tensor,
        *,
        out_int32: bool = False,
        right: bool = False,
        side: str | None = None,
        sorter: Tensor | None = None,
    ) -> Tensor:
        """Where in sorted rows each number would be put: before equal ones, or behind them (right)."""
    def select(self, dim: int, index: int) -> Tensor:
        """The part at `index` along `dim`, which falls away: a view."""
    def select_scatter(self, src: Tensor, dim: int, index: int) -> Tensor:
        """`input` with `src` in the place of the part at `index` along `dim`."""
    def sigmoid(self) -> Tensor:
        """y = 1 / (1 + e⁻ˣ).   ∂y/∂x = y·(1 − y)."""
    def sigmoid_(self) -> Tensor:
        """Assign the result of `x.sigmoid(...)` to `x`, which keeps its shape and dtype."""
    def sign(self) -> Tensor:
        """y = −1, 0 or 1, with the sign of x.   Piecewise constant."""
    def sign_(self) -> Tensor:
        """Assign the result of `x.sign(...)` to `x`, which keeps its shape and dtype."""
    def signbit(self) -> Tensor:
        """y = whether x carries a minus sign, as −0 does."""
    def sin(self) -> Tensor:
        """y = sin x.   ∂y/∂x = cos x."""
    def sin_(self) -> Tensor:
        """Assign the result of `x.sin(...)` to `x`, which keeps its shape and dtype."""
    def sinc(self) -> Tensor:
        """sin(πx)/(πx), and 1 at 0."""
    def sinc_(self) -> Tensor:
        """Assign the result of `x.sinc(...)` to `x`, which keeps its shape and dtype."""
    def sinh(self) -> Tensor:
        """y = sinh x.   ∂y/∂x = cosh x."""
    def sinh_(self) -> Tensor:
        """Assign the result of `x.sinh(...)` to `x`, which keeps its shape and dtype."""
    def slice_scatter(
        self,
        src: Tensor,
        dim: int = 0,
        start: int | None = None,
        end: int | None = None,
        step: int = 1,
    ) -> Tensor:
        """`input` with `src` in the place of the elements start:end:step along `dim`."""
    def softmax(self, dim: int = -1) -> Tensor:
        """yᵢ = e^(xᵢ − m) / Σⱼ e^(xⱼ − m), m = max x.   ∂L/∂x = y·(g − Σ g·y)."""
    def sort(self, dim: int = -1, descending: bool = False, *, stable: bool = True) -> Extreme:
        """(values, indices) sorted along `dim`; always stable, NaN counts as the largest."""
    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Parts along `dim`, of `split_size` elements each (the last may be smaller), or as listed."""
    def sqrt(self) -> Tensor:
        """y = √x.   ∂y/∂x = 1/(2y)."""
    def sqrt_(self) -> Tensor:
        """Assign the result of `x.sqrt(...)` to `x`, which keeps its shape and dtype."""
    def square(self) -> Tensor:
        """y = x².   ∂y/∂x = 2x."""
    def square_(self) -> Tensor:
        """Assign the result of `x.square(...)` to `x`, which keeps its shape and dtype."""
    def squeeze(self, dim: Dims = None) -> Tensor:
        """Without the dimensions of size 1 (all of them, or those of `dim` that have size 1)."""
    def squeeze_(self, dim: Dims = None) -> Tensor:
        """Make `x` the view `x.squeeze(...)` of what it was."""
    def std(
        self,
        dim: Dims = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Tensor:
        """√var; of constants 0, with gradient 0. Right where var itself is beyond the dtype."""
    def std_mean(
        self,
        dim: Dims = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(standard deviation, mean)."""
    def sub(self, other: Tensor | float, *, alpha: Any = 1) -> Tensor:
        """y = a − b; called, a − α·b.   ∂y/∂a = 1, ∂y/∂b = −1."""
    def sub_(self, other: Tensor | float, *, alpha: Any = 1) -> Tensor:
        """Assign the result of `x.sub(...)` to `x`, which keeps its shape and dtype."""
    def sum(self, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """y = Σ x over the dimensions.   ∂y/∂x = 1."""
    def sum_to_size(self, *shape: Any) -> Tensor:
        """Σ x down to a shape that broadcasts to the shape of `x`: the adjoint of broadcasting."""
    def t(self) -> Tensor:
        """A matrix transposed; a vector or a number as it is."""
    def t_(self) -> Tensor:
        """Make `x` the view `x.t(...)` of what it was."""
    def take(self, index: Tensor) -> Tensor:
        """The elements at positions of the flattened tensor, in the shape of `index`."""
    def take_along_dim(self, indices: Tensor, dim: int | None = None) -> Tensor:
        """The elements at `indices` along `dim`, the other dimensions broadcast; as `gather`."""
    def tan(self) -> Tensor:
        """y = tan x.   ∂y/∂x = 1 + y²."""
    def tan_(self) -> Tensor:
        """Assign the result of `x.tan(...)` to `x`, which keeps its shape and dtype."""
    def tanh(self) -> Tensor:
        """y = tanh x.   ∂y/∂x = 1 − y²."""
    def tanh_(self) -> Tensor:
        """Assign the result of `x.tanh(...)` to `x`, which keeps its shape and dtype."""
    def tensor_split(
        self, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0
    ) -> tuple[Tensor, ...]:
        """That many parts along `dim`, the first ones larger by one; or parts that begin at indices."""
    def tile(self, *repeats: Any) -> Tensor:
        """The whole tensor repeated along each dimension, new dimensions in front."""
    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Extreme:
        """(values, indices) of the k largest (or smallest) along `dim`, always sorted."""
    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """With two dimensions exchanged."""
    def transpose_(self, dim0: int, dim1: int) -> Tensor:
        """Make `x` the view `x.transpose(...)` of what it was."""
    def tril(self, diagonal: int = 0) -> Tensor:
        """y = x below and on the diagonal, 0 above it.   ∂y/∂x = 1 or 0."""
    def tril_(self, diagonal: int = 0) -> Tensor:
        """Assign the result of `x.tril(...)` to `x`, which keeps its shape and dtype."""
    def triu(self, diagonal: int = 0) -> Tensor:
        """y = x above and on the diagonal, 0 below it.   ∂y/∂x = 1 or 0."""
    def triu_(self, diagonal: int = 0) -> Tensor:
        """Assign the result of `x.triu(...)` to `x`, which keeps its shape and dtype."""
    def trunc(self) -> Tensor:
        """y = x without its fraction.   Piecewise constant."""
    def trunc_(self) -> Tensor:
        """Assign the result of `x.trunc(...)` to `x`, which keeps its shape and dtype."""
    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """All parts along `dim`, which falls away."""
    def unflatten(self, dim: int, sizes: Sequence[int]) -> Tensor:
        """With one dimension as several, of which one may be −1: the inverse of `flatten`."""
    def unfold(self, dimension: int, size: int, step: int) -> Tensor:
        """Windows of `size` along a dimension, each `step` further; their elements in a last dimension."""
    def uniform_(
        self, low: float = 0.0, to: float = 1.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Assign numbers of U[low, to)."""
    def unique(
        self,
        sorted: bool = True,
        return_inverse: bool = False,
        return_counts: bool = False,
        dim: int | None = None,
    ) -> Any:
        """The distinct elements, or parts along `dim`, always sorted."""
    def unique_consecutive(
        self, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
    ) -> Any:
        """The first of each run of equal elements, or of equal parts along `dim`."""
    def unsqueeze(self, dim: int) -> Tensor:
        """With a dimension of size 1 put at `dim`."""
    def unsqueeze_(self, dim: int) -> Tensor:
        """Make `x` the view `x.unsqueeze(...)` of what it was."""
    def var(
        self,
        dim: Dims = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Tensor:
        """y = Σ (x − mean x)² / (n − correction), in float64 inside.   ∂y/∂x = 2(x − mean x)/(n − c)."""
    def var_mean(
        self,
        dim: Dims = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(variance, mean)."""
    def vdot(self, other: Tensor) -> Tensor:
        """As `dot`: real numbers are their own conjugates."""
    def vsplit(self, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
        """Parts along the rows."""
    def where(self, condition: Tensor, other: Tensor | float) -> Tensor:
        """`input` where the condition holds, else `other`; of a condition alone, where it holds."""
    def xlog1py(self, other: Tensor | float) -> Tensor:
        """x·ln(1 + y), and 0 where x = 0 and y is not NaN."""
    def xlogy(self, other: Tensor | float) -> Tensor:
        """x·ln y, and 0 where x = 0 and y is not NaN."""
    def xlogy_(self, other: Tensor | float) -> Tensor:
        """Assign the result of `x.xlogy(...)` to `x`, which keeps its shape and dtype."""

def install(public: Mapping[str, Any]) -> None:
    """Make methods of all public ops that have a parameter `input`."""

def method(function: F) -> F:
    """Make a function a method of Tensor only: its first parameter is `input`."""

def in_place_view(function: F) -> F:
    """Give Tensor the method `name_`, which makes the tensor a view of what it was."""
