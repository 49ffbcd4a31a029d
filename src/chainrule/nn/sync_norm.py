"""Batch norm over the batches of all ranks of a job."""

from __future__ import annotations

from chainrule.errors import ShapeError
from chainrule.nn.functional.checks import check_tensors
from chainrule.nn.functional.normalization import batch_norm
from chainrule.nn.module import Module
from chainrule.nn.norm import _BatchNorm, _ChannelNorm
from chainrule.ops.collectives import all_reduce
from chainrule.ops.creation import full
from chainrule.ops.shape import cat
from chainrule.settings import use
from chainrule.tensor import Tensor
from chainrule.world import world


class SyncBatchNorm(_ChannelNorm):
    """y = (x − m)/√(v + ε)·w + b, with m and v of each channel over the batches of all ranks.

    (N, C, ...) → the same shape. In training, m = Σx/n and v = Σ(x − m)²/n, where both sums and n
    are those of all ranks, which must call the layer together and equally often. In evaluation, and
    for one process, it is BatchNorm. Raises ShapeError for another number of channels, and
    ArgumentError for a channel with fewer than two values.

    A Trainer computes the shards of a rank one after the other, and their statistics together would
    need all of them at once. So it takes this layer with one shard a rank only.

    >>> import chainrule as cr
    >>> SyncBatchNorm(3)(cr.zeros(8, 3, 5)).shape
    (8, 3, 5)
    """

    over_ranks = True

    def forward(self, input: Tensor) -> Tensor:
        check_tensors("SyncBatchNorm", input=input)
        if input.ndim < 2 or input.shape[1] != self.num_features:
            raise ShapeError(
                f"SyncBatchNorm works on (N, {self.num_features}, ...)", given=input.shape
            )
        from_batch = self.training or self.running_mean is None
        counter = self.num_batches_tracked if self.training else None
        momentum: float | Tensor = 0.0 if self.momentum is None else self.momentum
        if counter is not None and self.momentum is None:  # the mean over all batches
            momentum = 1.0 / (counter.detach() + 1).astype(input.dtype)
        if from_batch and world().size > 1:
            y = self._of_all_ranks(input, momentum)
        else:
            running = self.running_mean, self.running_var
            y = batch_norm(input, *running, self.weight, self.bias, from_batch, momentum, self.eps)
        if counter is not None:
            with use(gradients=False):
                counter.assign(counter.detach() + 1)
        return y

    def _of_all_ranks(self, x: Tensor, momentum: float | Tensor) -> Tensor:
        dims, shape = (0, *range(2, x.ndim)), (1, -1, *(1,) * (x.ndim - 2))
        own = x.spec.size // x.shape[1]
        total = all_reduce(cat([x.sum(dims), full((1,), own, dtype=x.dtype)]))
        n = total[-1].detach()
        mean = total[:-1] / n
        centered = x - mean.reshape(shape)
        var = all_reduce((centered * centered).sum(dims)) / n
        with use(gradients=False):
            for running, now in (
                (self.running_mean, mean),
                (self.running_var, var * (n / (n - 1))),
            ):
                if running is not None:
                    running.assign(running * (1 - momentum) + now.detach() * momentum)
        y = centered * (var + self.eps).rsqrt().reshape(shape)
        if self.weight is not None:
            y = y * self.weight.reshape(shape)
        return y if self.bias is None else y + self.bias.reshape(shape)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module) -> Module:
        """The module with SyncBatchNorm in place of each BatchNorm, with its weights and
        statistics. A module that is itself a BatchNorm is returned as a new one."""
        if isinstance(module, _BatchNorm):
            return cls._like(module)
        for name, child in module.named_children():
            setattr(module, name, cls.convert_sync_batchnorm(child))
        return module

    @classmethod
    def _like(cls, norm: _BatchNorm) -> SyncBatchNorm:
        tracked = norm.track_running_stats
        made = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, tracked)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(made, name, getattr(norm, name))
        made.train(norm.training)
        return made
