"""Parametrizations of weights: weight norm, spectral norm, and orthogonal matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import functional
from chainrule.nn.computed import own_tensor
from chainrule.nn.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from chainrule.nn.module import Module
from chainrule.nn.parameter import Buffer
from chainrule.nn.utils.parametrize import register_parametrization
from chainrule.ops import matrices
from chainrule.ops.creation import zeros
from chainrule.ops.random import default_generator
from chainrule.ops.shape import cat
from chainrule.settings import use
from chainrule.tensor import Tensor

# -- weight norm ---------------------------------------------------------------------------------


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """The length of v for each index of `dim`, over all other dimensions; of all v for None."""
    if dim is None or dim == -1:
        return v.norm()
    kept = dim % v.ndim
    return v.norm(2.0, [d for d in range(v.ndim) if d != kept], True) if v.ndim > 1 else v.abs()


def weight_normed(g: Tensor, v: Tensor, dim: int | None) -> Tensor:
    """g·v/‖v‖, where ‖v‖ is the length for each index of `dim`."""
    return v * (g / norm_except(v, dim))


class _WeightNorm(Module):
    """w = g·v/‖v‖, where ‖v‖ is the length for each index of `dim`. See `weight_norm`."""

    def __init__(self, dim: int | None = 0) -> None:
        self.dim = dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_normed(weight_g, weight_v, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """g = ‖w‖ and v = w."""
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Train the length g and the direction v of a weight apart: w = g·v/‖v‖.

    Salimans & Kingma, 2016. `dim` has a length for each of its indices; None is one length for all.
    g and v are `module.parametrizations.weight.original0` and `original1`. Returns the module.

    >>> from chainrule import nn
    >>> layer = weight_norm(nn.Linear(20, 40))
    >>> [x.shape for x in layer.parametrizations.weight.originals]
    [(40, 1), (40, 20)]
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(module: Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        """Read the state of `nn.utils.weight_norm`, too."""
        old = [f"{prefix}{name}_{part}" for part in "gv"]
        if all(key in state for key in old):
            for i, key in enumerate(old):
                state[f"{prefix}parametrizations.{name}.original{i}"] = state.pop(key)

    module.register_load_state_dict_pre_hook(rename)
    return module


# -- spectral norm -------------------------------------------------------------------------------


class PowerIteration:
    """Estimates the largest singular value of a weight, as a matrix with a row for each index of
    `dim`, by uᵀ·W·v with u ← W·v/‖W·v‖ and v ← Wᵀ·u/‖Wᵀ·u‖."""

    def __init__(self, n_power_iterations: int, eps: float, dim: int) -> None:
        if n_power_iterations < 1:
            raise ArgumentError("n_power_iterations is at least 1", given=n_power_iterations)
        self.n_power_iterations, self.eps, self.dim = n_power_iterations, eps, dim

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight as a matrix."""
        return weight.movedim(self.dim, 0).reshape(weight.shape[self.dim], -1)

    def start(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Random u and v of length 1."""
        rows, columns = self.matrix(weight.detach()).shape
        u, v = (default_generator.normal(n, dtype=weight.dtype) for n in (rows, columns))
        return self.unit(u), self.unit(v)

    def unit(self, x: Tensor) -> Tensor:
        """x/max(‖x‖, ε)."""
        return functional.normalize(x, dim=0, eps=self.eps)

    def divided(self, weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """W/(uᵀ·W·v), for constant u and v."""
        sigma = u.detach() @ (self.matrix(weight) @ v.detach())
        return weight / sigma


class _SpectralNorm(Module):
    """w = W/σ(W), with the largest singular value σ of W. See `spectral_norm`."""

    _u: Tensor
    _v: Tensor

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        if not -weight.ndim <= dim < weight.ndim:
            raise ArgumentError("dim is no dimension of the weight", given=dim)
        self.power = PowerIteration(n_power_iterations, eps, dim)
        if weight.ndim > 1:
            u, v = self.power.start(weight)
            self._u, self._v = Buffer(u), Buffer(v)
            self.iterate(weight, 15)

    def iterate(self, weight: Tensor, times: int) -> None:
        """Improve u and v."""
        with use(gradients=False):
            matrix = self.power.matrix(weight.detach())
            for _ in range(times):
                self._u.assign(self.power.unit(matrix @ self._v))
                self._v.assign(self.power.unit(matrix.mT @ self._u))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return self.power.unit(weight)
        if self.training:
            self.iterate(weight, self.power.n_power_iterations)
        return self.power.divided(weight, self._u, self._v)

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself: setting a weight does not normalize it."""
        return value


def spectral_dim(module: Module, dim: int | None) -> int:
    """The dimension of outputs in a weight, unless one is given."""
    transposed = isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d))
    return int(transposed) if dim is None else dim


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value, so that the layer is 1-Lipschitz.

    Miyato et al., 2018. The weight is a matrix with a row for each index of `dim`, by default that
    of the outputs. In training mode, reading the weight improves the estimate by
    `n_power_iterations`. Returns the module.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layer = spectral_norm(nn.Linear(20, 40))
    >>> largest = cr.linalg.matrix_norm(layer.weight, 2).item()
    >>> 0.9 < largest < 1.1
    True
    """
    weight = own_or_computed(module, name)
    parametrization = _SpectralNorm(weight, n_power_iterations, spectral_dim(module, dim), eps)
    return register_parametrization(module, name, parametrization)


def own_or_computed(module: Module, name: str) -> Tensor:
    """The present value of a parameter, a buffer, or a tensor that is computed already."""
    return getattr(module, name) if name in module._computed else own_tensor(module, name)


# -- orthogonal matrices -------------------------------------------------------------------------

MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    """A matrix with orthonormal columns, or rows if there are fewer. See `orthogonal`.

    With trivialization it is Q₀·f(X), where Q₀, the `base`, is the value that was set last.
    """

    base: Tensor | None

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool) -> None:
        self.shape, self.orthogonal_map = weight.shape, orthogonal_map
        self.register_buffer("base", None)
        self.use_trivialization = use_trivialization

    def forward(self, X: Tensor) -> Tensor:
        wide = X.shape[-2] < X.shape[-1]
        x = X.mT if wide else X
        q = self._reflected(x) if self.orthogonal_map == "householder" else self._rotated(x)
        q = q if self.base is None else self.base @ q
        return q.mT if wide else q

    def _rotated(self, x: Tensor) -> Tensor:
        """The first columns of e^A, or of (I − A/2)⁻¹·(I + A/2) (Cayley); A = x − xᵀ, x tril."""
        n, k = x.shape[-2:]
        x = x.tril()
        if n != k:
            x = cat([x, zeros(*x.shape[:-1], n - k, dtype=x.dtype)], -1)
        a = x - x.mT
        if self.orthogonal_map == "matrix_exp":
            return matrices.matrix_exp(a)[..., :k]
        one = Tensor(np.eye(n, dtype=x.dtype))
        return matrices.solve(one - a * 0.5, one + a * 0.5)[..., :k]

    def _reflected(self, x: Tensor) -> Tensor:
        """The product of the Householder reflections by the columns below the diagonal, times the
        signs on it, which are constants."""
        a = x.tril(-1)
        tau = 2 / (1 + (a * a).sum(-2))
        q = matrices.householder_product(a, tau)
        signs = x.detach().diagonal(0, -2, -1).trunc()
        return q * signs.unsqueeze(-2)

    def right_inverse(self, Q: Tensor) -> Tensor:
        """X for which the result is Q, which is made orthogonal first if it is not."""
        if Q.shape != self.shape:
            raise ShapeError(
                "an orthogonal matrix keeps its shape", given=Q.shape, expected=self.shape
            )
        wide = Q.shape[-2] < Q.shape[-1]
        q = Q.mT if wide else Q
        if not self.use_trivialization:
            return self._reflections(q).mT if wide else self._reflections(q)
        n, k = q.shape[-2:]
        if n != k:
            more = default_generator.normal((*q.shape[:-1], n - k), dtype=q.dtype)
            q = cat([q, more], -1)
        if n != k or not _is_orthogonal(q):
            q = _orthogonalized(q)
        self.base = q.detach().clone()
        start = -np.eye(*Q.shape[-2:], dtype=Q.dtype)
        return Tensor(np.broadcast_to(start, Q.shape).copy())

    def _reflections(self, q: Tensor) -> Tensor:
        if self.orthogonal_map != "householder":
            raise NotImplementedError("there is no inverse of this map without trivialization")
        numbers = q.detach().numpy()
        found = [np.linalg.qr(a, mode="raw") for a in numbers.reshape(-1, *numbers.shape[-2:])]
        x, tau = (np.stack(parts) for parts in zip(*found, strict=True))
        x = x.swapaxes(-1, -2).copy()  # LAPACK's, by columns
        i = np.arange(x.shape[-1])
        x[:, i, i] = np.sign(x[:, i, i]) * np.where(tau == 0, -1, 1)
        return Tensor(x.reshape(numbers.shape))


def _is_orthogonal(q: Tensor) -> bool:
    product = (q.mT @ q).numpy()
    tolerance = 10 * q.shape[-1] * np.finfo(q.dtype).eps
    return np.allclose(product, np.eye(q.shape[-1]), atol=tolerance)


def _orthogonalized(q: Tensor) -> Tensor:
    """The factor Q of the QR decomposition, with the signs that make diag R positive."""
    found, r = matrices.qr(q)
    y: Tensor = found * r.diagonal(0, -2, -1).sign().unsqueeze(-2)
    return y


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep a weight (..., n, k) orthogonal: its columns are orthonormal, or its rows if n < k.

    It is a function of a matrix of parameters (Lezcano-Casado & Martínez-Rubio, 2019):
    "matrix_exp", "cayley", or "householder", the default unless n = k. `use_trivialization` starts
    from the present value, made orthogonal, and is better for training. Returns the module. Raises
    ArgumentError for another map, ShapeError for a weight with fewer than two dimensions.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> weight = orthogonal(nn.Linear(3, 5)).weight
    >>> bool(cr.allclose(weight.T @ weight, cr.eye(3), atol=1e-5))
    True
    """
    weight = own_or_computed(module, name)
    if weight.ndim < 2:
        raise ShapeError("an orthogonal weight is a matrix", given=weight.shape)
    square = weight.shape[-2] == weight.shape[-1]
    chosen = orthogonal_map or ("matrix_exp" if square else "householder")
    if chosen not in MAPS:
        raise ArgumentError("unknown map", given=repr(chosen), expected=", ".join(MAPS))
    parametrization = _Orthogonal(weight, chosen, use_trivialization=use_trivialization)
    return register_parametrization(module, name, parametrization, unsafe=True)
