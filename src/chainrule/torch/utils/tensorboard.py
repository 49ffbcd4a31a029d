"""`torch.utils.tensorboard`: tensorboardX (the extra `logs`) with tensors as arguments."""

from __future__ import annotations

from typing import Any

from chainrule import tree
from chainrule.errors import missing_dependency
from chainrule.tensor import Tensor


class SummaryWriter:
    """Writes scalars, histograms, images and text to a folder for TensorBoard.

    It has the methods of `tensorboardX.SummaryWriter`. Raises MissingDependencyError without it.
    """

    def __init__(self, log_dir: str | None = None, comment: str = "", **options: Any) -> None:
        try:
            import tensorboardX  # type: ignore[import-untyped]
        except ImportError:
            raise missing_dependency("tensorboardX", "logs", "writing for TensorBoard") from None
        self._writer = tensorboardX.SummaryWriter(log_dir, comment, **options)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._writer, name)
        if not callable(value):
            return value

        def method(*args: Any, **keywords: Any) -> Any:
            return value(*tree.map_leaves(_array, args), **tree.map_leaves(_array, keywords))

        return method

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()


def _array(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, Tensor) else value
