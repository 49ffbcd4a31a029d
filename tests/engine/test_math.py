"""The elementary functions against 60-digit truth: at most 4 units in the last place."""

from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import special
from tests.engine.helpers import INSTRUCTION_SETS, native, ulps

from chainrule import engine

RANGES = {
    "exp": (-103, 88.7),
    "expm1": (-20, 88.7),
    "log": (1e-38, 1e38),
    "log1p": (-0.999, 1e6),
    "tanh": (-12, 12),
    "sigmoid": (-87, 87),
    "softplus": (-87, 87),
    "erf": (-5, 5),
    "gelu": (-12, 12),
    "gelu_gradient": (-0.5, 12),
    "silu": (-80, 80),
    "normal_cdf": (-12, 12),
    "sin": (-30, 30),
    "cos": (-30, 30),
}
# In float64 they go through erfc, whose argument x/√2 is rounded.
LIMIT = {("gelu", np.float64): 8, ("normal_cdf", np.float64): 8}


def truth(name: str, x: Any) -> Any:
    e, one = mpmath.exp, mpmath.mpf(1)
    return {
        "exp": lambda: e(x),
        "expm1": lambda: mpmath.expm1(x),
        "log": lambda: mpmath.log(x),
        "log1p": lambda: mpmath.log1p(x),
        "tanh": lambda: mpmath.tanh(x),
        "sigmoid": lambda: one / (1 + e(-x)),
        "softplus": lambda: mpmath.log1p(e(x)),
        "erf": lambda: mpmath.erf(x),
        "silu": lambda: x / (1 + e(-x)),
        "gelu": lambda: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
        "gelu_gradient": lambda: mpmath.erfc(-x / mpmath.sqrt(2)) / 2 + x * mpmath.npdf(x),
        "normal_cdf": lambda: mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
        "sin": lambda: mpmath.sin(x),
        "cos": lambda: mpmath.cos(x),
    }[name]()


def points(name: str, dtype: Any) -> Any:
    """Uniform and logarithmically spaced points, near zero and at the ends."""
    low, high = RANGES[name]
    rng = np.random.default_rng(1)
    uniform = rng.uniform(low, high, 400)
    exponents = 10.0 ** rng.uniform(-30 if dtype == np.float64 else -7, 0, 200)
    small = np.concatenate([exponents, -exponents]) * min(1.0, high)
    x = np.concatenate([uniform, small, [low, high, 1.0, 0.5, 0.99, 1.01]]).astype(dtype)
    return x[(x >= dtype(low)) & (x <= dtype(high))]


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(RANGES))
def test_accuracy(name: str, dtype: Any, isa: str) -> None:
    engine.use_instruction_set(isa)
    x = points(name, dtype)
    with mpmath.workdps(60):
        exact = [truth(name, mpmath.mpf(float(v))) for v in x]
        # In two parts: a long double holds both more digits and a wider range than float64.
        wide = np.array([np.longdouble(mpmath.nstr(v, 25)) for v in exact])
    error = ulps(computed(name, x), wide)
    worst = int(np.argmax(error))
    limit = LIMIT.get((name, dtype), 4)
    assert error[worst] <= limit, f"{name}({x[worst]!r}): {error[worst]:.1f} ulp"


def computed(name: str, x: Any) -> Any:
    """A function by its kernel; a gradient of a function with g = 1."""
    return native(name, *[np.ones_like(x)] * name.endswith("_gradient"), x)


def narrow_truth(name: str, x: Any) -> Any:
    """In float64, which is exact for float32 results."""
    half, bell = special.erfc(-x / np.sqrt(2)) / 2, np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    return {"tanh": np.tanh(x), "erf": special.erf(x), "gelu": x * half}.get(name, half + x * bell)


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("name", ["tanh", "erf", "gelu", "gelu_gradient"])
def test_all_pieces_and_their_seams(name: str, isa: str) -> None:
    engine.use_instruction_set(isa)
    x = np.linspace(-0.5 if name == "gelu_gradient" else -6, 10, 20_001, dtype=np.float32)
    # Formulas of Φ add the roundings of an exponential, two polynomials and a quotient.
    limit = 4 if isa == "avx512" or name in ("tanh", "erf") else 6
    assert ulps(computed(name, x), narrow_truth(name, x.astype(np.float64))).max() <= limit
    x *= 2  # also past the last piece
    # The same bits whatever else is computed at the same time.
    order = np.random.default_rng(0).permutation(len(x))
    np.testing.assert_array_equal(computed(name, x)[order], computed(name, x[order]))


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_large_angles(name: str, dtype: Any, isa: str) -> None:
    """All but multiples of π/2, where nearly all digits cancel; and where the C library takes over.

    Not the very worst, 6381956970095103·2⁷⁹⁷: there the cosine of glibc is itself 8 ulp off."""
    engine.use_instruction_set(isa)
    rng = np.random.default_rng(2)
    turns = np.concatenate([np.arange(-40, 40), rng.integers(-(10**9), 10**9, 400)])
    exact = turns[np.abs(turns) < 2**20] * (np.pi / 2)
    x = np.concatenate(
        [
            exact,
            np.nextafter(exact, 0),
            turns * (np.pi / 2),
            rng.uniform(-8.1e5, 8.1e5, 500),
            [8e5, -8e5, 1e22, 1e300, 1e-300, 5e-324],
        ]
    )
    with np.errstate(all="ignore"):
        x = x.astype(dtype)
    x = x[np.isfinite(x)]
    with mpmath.workdps(1200):
        values = [truth(name, mpmath.mpf(float(v))) for v in x]
        wide = np.array([np.longdouble(mpmath.nstr(v, 25)) for v in values])
    error = ulps(native(name, x), wide)
    worst = int(np.argmax(error))
    assert error[worst] <= 4, f"{name}({x[worst]!r}): {error[worst]:.1f} ulp"
