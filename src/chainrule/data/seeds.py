"""Random numbers as pure functions of (seed, epoch, batch), so that batches can be skipped.

Without a given seed, one is drawn from Chainrule's generator, and so follows `cr.manual_seed`.

All numbers come from Philox 4×64-10, a counter-based generator (Salmon et al., 2011). The key
selects a stream, and the counter a position in it. `random` and NumPy's global state are not used.
"""

from __future__ import annotations

import numpy as np

from chainrule.errors import ArgumentError, DTypeError
from chainrule.ops.random import Generator, default_generator

_LIMIT = 2**64
# Streams for other purposes than the order of an epoch have larger numbers than any epoch.
SPLIT = _LIMIT - 1
SAMPLES = _LIMIT - 2
# Purposes of `place_generator`: the transforms of a batch or a chunk, the order within a group, the
# transforms of a part of a batch.
BATCH, GROUP, CHUNK, SHARD = 1, 2, 3, 4


def check_seed(seed: int) -> int:
    """`seed` as an int in [0, 2⁶⁴); raises ArgumentError otherwise."""
    if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, (int, np.integer)):
        raise ArgumentError("a seed is a whole number", given=repr(seed), expected="0 to 2**64 - 1")
    if not 0 <= seed < _LIMIT:
        raise ArgumentError("the seed is out of range", given=seed, expected="0 to 2**64 - 1")
    return int(seed)


def check_source(seed: int | None, generator: Generator | None) -> None:
    """Raise an error if both a seed and a generator are given, or the generator has another
    type."""
    if generator is not None and not isinstance(generator, Generator):
        raise DTypeError(
            "generator is a random generator of Chainrule's",
            given=repr(generator)[:60],
            expected="cr.Generator(seed)",
            instead="Pass a number as seed=...",
        )
    if seed is not None and generator is not None:
        raise ArgumentError("a seed and a generator were given", expected="one of the two")
    if seed is not None:
        check_seed(seed)


def draw_seed(generator: Generator | None = None) -> int:
    """A seed drawn from `generator`, by default from the one that `cr.manual_seed` seeds."""
    return int((default_generator if generator is None else generator).integers(0, 2**53, (1,)))


def order_seed(generator: Generator) -> int:
    """A seed of 63 bits for the order of an epoch, as PyTorch's loaders and samplers draw it."""
    return int(generator.integers(0, 2**63, (1,)).item())


def stream(seed: int, purpose: int) -> np.random.Generator:
    """The generator of one stream: for the order of an epoch, a split, or synthetic data.

    >>> stream(0, purpose=1).permutation(5).tolist() == stream(0, 1).permutation(5).tolist()
    True
    """
    key = np.array([check_seed(seed), purpose], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def place_generator(seed: int, epoch: int, place: int, purpose: int) -> np.random.Generator:
    """The generator of one batch, chunk or group of an epoch, for a purpose: its counter differs
    from those of the order and of other purposes."""
    key = np.array([seed, epoch], dtype=np.uint64)
    counter = np.array([0, 0, place, purpose], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
