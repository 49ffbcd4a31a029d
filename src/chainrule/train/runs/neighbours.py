"""How far an input is from the training data: the distance to the nearest training sample."""

from __future__ import annotations

import numpy as np

from chainrule.data.dataset import Dataset
from chainrule.data.files import PathLike
from chainrule.data.seeds import stream
from chainrule.errors import FormatError
from chainrule.primitive import Array
from chainrule.tensor import Tensor, from_numpy
from chainrule.train.io.files import load, save

_MOST, _CHUNK = 2000, 1000
_USUAL, _HALF = 0.99, 65504.0


class Neighbours:
    """Training inputs that others are compared with.

    samples: (n, d), at most 2,000 of them, drawn at random. limit: the distance that 99 % of the
    samples do not exceed to the nearest other one.

    >>> near = Neighbours(np.zeros((1, 2), np.float32), limit=2.0)
    >>> near.distances(np.array([[0.0, 1.0], [3.0, 4.0]]))
    array([0.5, 2.5])
    """

    def __init__(self, samples: Array, limit: float) -> None:
        self.samples, self.limit = samples.reshape(len(samples), -1).astype(np.float64), limit

    @classmethod
    def fit(cls, data: Dataset, seed: int = 0) -> Neighbours:
        """Samples of the training part, and their limit."""
        places = stream(seed, 0).permutation(len(data))[:_MOST]
        x = data.gather(places)[0].reshape(len(places), -1).astype(np.float64)
        apart = _distances(x, x)
        np.fill_diagonal(apart, np.inf)
        nearest = apart.min(axis=1)
        usual = nearest[np.isfinite(nearest) & (nearest > 0)]
        return cls(x, float(np.quantile(usual, _USUAL)) if usual.size else 1.0)

    def distances(self, x: Array) -> Array:
        """The Euclidean distance of each input (n, ...) to its nearest sample, divided by the
        limit: more than 1 is unusual."""
        rows = x.reshape(len(x), -1).astype(np.float64)
        chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        nearest = [_distances(chunk, self.samples).min(axis=1) for chunk in chunks]
        return np.concatenate(nearest) / self.limit

    def save(self, path: PathLike) -> None:
        """Write the samples into a file, in half precision."""
        small = np.clip(self.samples, -_HALF, _HALF).astype(np.float16)
        save({"samples": from_numpy(small), "limit": self.limit}, path)

    @classmethod
    def load(cls, path: PathLike) -> Neighbours:
        """The samples in a file; FormatError for another file."""
        state = load(path)
        match state:
            case {"samples": Tensor() as samples, "limit": float() as limit} if limit > 0:
                return cls(samples.numpy(), limit)
        raise FormatError(f"{path} holds no samples")


def _distances(a: Array, b: Array) -> Array:
    """The distance of each row of `a` to each row of `b`: (n, m)."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0))
