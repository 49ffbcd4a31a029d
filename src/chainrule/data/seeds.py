"""Random numbers that are pure functions of (seed, epoch, batch), so that skipping consumes none.

All come from Philox 4×64-10, a counter-based generator (Salmon et al., 2011): the key names a
stream, the counter a place in it. Nothing here touches `random` or NumPy's global state.
"""

from __future__ import annotations

import numpy as np

from chainrule.errors import ArgumentError

_LIMIT = 2**64
# Streams of purposes other than an epoch's order lie above every epoch anyone will reach.
SPLIT = _LIMIT - 1
SAMPLES = _LIMIT - 2


def check_seed(seed: int) -> int:
    """`seed` as an int in [0, 2⁶⁴); raises ArgumentError otherwise."""
    if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, (int, np.integer)):
        raise ArgumentError("a seed is a whole number", given=repr(seed), expected="0 to 2**64 - 1")
    if not 0 <= seed < _LIMIT:
        raise ArgumentError("the seed is out of range", given=seed, expected="0 to 2**64 - 1")
    return int(seed)


def generator(seed: int, stream: int) -> np.random.Generator:
    """The generator of one stream: an epoch's order, a split, a synthetic set.

    >>> generator(0, stream=1).permutation(5).tolist() == generator(0, 1).permutation(5).tolist()
    True
    """
    key = np.array([check_seed(seed), stream], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def batch_generator(seed: int, epoch: int, batch: int) -> np.random.Generator:
    """The generator of one batch's augmentation; the counter keeps it off the epoch's order."""
    key = np.array([seed, epoch], dtype=np.uint64)
    counter = np.array([0, 0, batch, 1], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
