"""Datasets put together from fields: tensors of equal length, or other datasets side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.data.dataset import Dataset
from chainrule.data.numbers import as_indices
from chainrule.data.transforms import Array
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.tensor import Tensor


class TensorDataset(Dataset):
    """Sample i is (tensors[0][i], tensors[1][i], …).

    Raises ShapeError for tensors that differ in length, and DTypeError for what is no tensor.

    >>> import chainrule as cr
    >>> data = TensorDataset(cr.ones(3, 2), cr.arange(3))
    >>> len(data), data[1]
    (3, (tensor([1., 1.]), tensor(1)))
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors or not all(isinstance(x, Tensor) for x in tensors):
            raise DTypeError(
                "TensorDataset takes tensors",
                given=", ".join(type(x).__name__ for x in tensors) or "nothing",
                instead="Make them by cr.tensor(x), or use ArrayDataset.",
            )
        if len({x.shape[:1] for x in tensors}) > 1 or not tensors[0].ndim:
            raise ShapeError(
                "the tensors differ in length",
                given=[x.shape for x in tensors],
                expected="one length for all",
            )
        self.tensors = tensors

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([x[index] for x in self.tensors])

    def gather(self, indices: Sequence[int] | Array, generator: Any = None) -> tuple[Array, ...]:
        """The samples at `indices`, one vectorized read per tensor."""
        places = as_indices(indices)
        return tuple([x.detach().numpy().take(places, axis=0) for x in self.tensors])

    @property
    def at_once(self) -> bool:
        """Whether no tensor needs gradients: then a batch is read at once."""
        return super().at_once and not any(x.requires_grad for x in self.tensors)


class StackDataset(Dataset):
    """Sample i is the tuple of the samples i of several datasets, or a dict of them by keyword.

    Raises ArgumentError for datasets of different lengths, or both of tuple and dict.

    >>> StackDataset([1, 2], ["a", "b"])[1], StackDataset(x=[1, 2], y=["a", "b"])[0]
    ((2, 'b'), {'x': 1, 'y': 'a'})
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError("datasets by place and by keyword, or none", expected="one kind")
        self.datasets: Any = args or kwargs
        sizes = [len(part) for part in (args or kwargs.values())]
        if len(set(sizes)) > 1:
            raise ArgumentError("the datasets differ in length", given=sizes)
        self._size = sizes[0]

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: part[index] for name, part in self.datasets.items()}
        return tuple([part[index] for part in self.datasets])
