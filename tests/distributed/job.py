"""What the ranks of the tests do: `mpiexec -n N python job.py TASK FOLDER`. Rank 0 prints JSON."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import distributed, nn, optim
from chainrule.errors import ArgumentError, NonFiniteError, RankError
from chainrule.models import GPT
from chainrule.train import Callback, Trainer, agreement
from chainrule.tree import flatten
from chainrule.world import world

SHARDS = 4
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(23, 20)).astype(np.float32), RNG.integers(0, 3, 23)
Y[:8] = -100  # so that some shards have no label to learn from
TOKENS = RNG.integers(0, 11, size=(12, 9))


def mlp():
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3))


def with_dropout():
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def cnn():
    conv, norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
    parts = [nn.Unflatten(1, (1, 4, 5)), conv, norm, nn.ReLU(), nn.Flatten(), nn.Linear(80, 3)]
    return nn.Sequential(*parts)


def gpt():
    return GPT(11, 8, width=16, layers=1, heads=2, dropout=0.1)


class TokenLoss(nn.CrossEntropyLoss):
    """Cross-entropy of all tokens."""

    def forward(self, scores, tokens):
        return super().forward(scores.reshape(-1, scores.shape[-1]), tokens.reshape(-1))


def bits(value):
    """A hash of the tensors of a state."""
    hashed = hashlib.sha256()
    for x in flatten(value):
        hashed.update(x.numpy().tobytes() if isinstance(x, cr.Tensor) else repr(x).encode())
    return hashed.hexdigest()[:16]


def trainer_of(build, *, shards=SHARDS, **options):
    cr.manual_seed(1)
    model = build()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    loss = TokenLoss() if build is gpt else nn.CrossEntropyLoss()
    return Trainer(model, loss, optimizer, shards=shards, progress=False, **options)


def outcome(trainer, history):
    """All that a training leaves: the bits of its state, and its numbers."""
    state = [trainer.model.state_dict(), trainer.optimizer.state_dict()]
    records = [{k: v for k, v in record.items() if k != "seconds"} for record in history]
    return [bits(state), trainer.step, records]


def fitted(build, data, valid=None, **options):
    trainer = trainer_of(build, **options)
    return outcome(trainer, trainer.fit(data, valid, epochs=2, batch_size=10))


# -- the same bits on any number of ranks ----------------------------------------------------------


def same_bits():
    """Trainings whose results depend on the number of shards alone."""
    tokens = (TOKENS[:, :-1], TOKENS[:, 1:])
    crop = cr.data.RandomCrop(4, padding=1)
    images = cr.data.ArrayDataset(X.reshape(23, 1, 4, 5)[..., :4], np.abs(Y) % 3)
    found = {
        "mlp": fitted(mlp, (X, Y), (X[8:], Y[8:])),
        "dropout": fitted(with_dropout, (X, Y), metrics=["accuracy", "f1"], clip_norm=0.1),
        "cnn": fitted(cnn, (X, Y), (X[8:], Y[8:])),
        "cnn, eager": fitted(cnn, (X, Y), (X[8:], Y[8:]), compiled=False),
        "gpt": fitted(gpt, tokens, metrics=[]),
        "augmented": fitted(
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)),
            images.with_transform(crop),
            compiled=False,
        ),
    }
    if 6 % world().size == 0:
        found["six shards"] = six_shards()
    return found


class At(Callback):
    """Do something after a step, on one rank."""

    def __init__(self, step, rank, action):
        self.at, self.action = (step, rank), action

    def on_step_end(self, trainer):
        if (trainer.step, distributed.rank() % 2) == self.at:
            self.action(trainer)


def nudge(trainer):
    """Change a weight, as a fault of the memory would."""
    with cr.no_grad():
        trainer.model[0].weight += 1


def interrupted(folder):
    """A training that a signal to one rank stops in mid-epoch, on all ranks."""
    signalled = At(4, 1, lambda trainer: os.kill(os.getpid(), signal.SIGTERM))
    trainer = trainer_of(with_dropout, out=folder, callbacks=[signalled])
    trainer.fit((X, Y), epochs=4, batch_size=10)
    return [trainer.interrupted, trainer.step, len(os.listdir(folder / "checkpoints"))]


def files_of_rank_0(folder):
    """Each rank has a folder of its own, and only the first one writes."""
    trainer_of(mlp, out=folder / f"{distributed.rank()}").fit((X, Y), batch_size=10)
    distributed.barrier()
    assert os.listdir(folder) == ["0"]


def six_shards():
    return fitted(mlp, (X, Y), shards=6, compiled=False)


def unbroken():
    trainer = trainer_of(with_dropout)
    return outcome(trainer, trainer.fit((X, Y), epochs=4, batch_size=10))


def resumed(folder):
    trainer = trainer_of(with_dropout, out=folder)
    return outcome(trainer, trainer.fit((X, Y), epochs=4, batch_size=10, resume=True))


# -- what ranks exchange ---------------------------------------------------------------------------


def exchanges():
    """Sums, copies, gradients and errors, which are the same on all ranks."""
    rank, size = distributed.rank(), distributed.world_size()
    x = cr.tensor([1.0 + rank, -2.0, 0.5], requires_grad=True)
    y = distributed.all_reduce(x)
    (y * y).sum().backward()
    total = sum(1.0 + r for r in range(size))
    assert y.tolist() == [total, -2.0 * size, 0.5 * size]
    assert x.grad.tolist() == [2 * size * v for v in y.tolist()]  # Σ over ranks of 2y
    counted = distributed.all_reduce(cr.tensor([[rank, 1]]))
    assert counted.tolist() == [[size * (size - 1) // 2, size]]
    assert distributed.all_reduce(cr.zeros(0, 3)).shape == (0, 3)
    step = cr.compile(lambda x: distributed.all_reduce(x * 2) + 1)
    assert step(x.detach()).tolist() == (2 * y + 1).tolist()
    assert "all_reduce" in str(step.executables[0])
    copied = distributed.broadcast(cr.tensor([rank, 7]), source=size - 1)
    assert copied.tolist() == [size - 1, 7]
    parts = distributed.all_gather(cr.ones(rank + 1, 2))
    assert [part.shape for part in parts] == [(r + 1, 2) for r in range(size)]
    sampler = cr.data.DistributedSampler(range(10), shuffle=False)
    assert [*sampler] == [(rank + i * size) % 10 for i in range(len(sampler))]
    distributed.barrier()


def under_pytorchs_names():
    """`torch.distributed`; a Trainer refuses PyTorch's random numbers, which have no counter."""
    dist = importlib.import_module("chainrule.torch.distributed")
    dist.init_process_group("mpi")
    largest = cr.tensor([distributed.rank(), -distributed.rank()])
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    assert largest.tolist() == [dist.get_world_size() - 1, 0]
    with pytest.raises(ArgumentError, match="by counter"):
        trainer_of(mlp)
    dist.destroy_process_group()


def gradients():
    """A loop of one's own gives the update of the whole batch."""
    parallel = importlib.import_module("chainrule.torch.nn.parallel")
    rows = slice(*(15 * r // distributed.world_size() for r in at_rank()))
    x, y = cr.from_numpy(X[8:][rows]), cr.from_numpy(Y[8:][rows])
    share = distributed.world_size() * len(x) / 15  # the mean over ranks of unequal parts
    found = []
    for way in ("wrap", "compiled", "PyTorch"):
        cr.manual_seed(1 if way == "compiled" else 1 + distributed.rank())  # rank 0's weights count
        model = mlp()
        seen = parallel.DistributedDataParallel(model) if way == "PyTorch" else model
        optimizer = optim.SGD(model.parameters(), lr=0.5)
        if way != "PyTorch":
            optimizer = distributed.wrap(optimizer)

        def step(x, y, seen=seen, optimizer=optimizer):
            optimizer.zero_grad()
            (nn.functional.cross_entropy(seen(x), y) * share).backward()
            optimizer.step()

        step = cr.compile(step) if way == "compiled" else step
        for _ in range(3):
            step(x, y)
        found.append(model[0].weight.tolist())
    return found


def at_rank():
    return distributed.rank(), distributed.rank() + 1


def synchronized():
    """SyncBatchNorm over parts of a batch, with its gradients and statistics."""
    rows = slice(*(24 * r // distributed.world_size() for r in at_rank()))
    data = np.random.default_rng(3).normal(size=(24, 3, 2)).astype(np.float32)
    model = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(3)))
    x = cr.tensor(data[rows], requires_grad=True)
    y = model(x)
    (y * cr.from_numpy(data[rows] ** 2)).sum().backward()
    whole = [cr.cat(distributed.all_gather(part)).tolist() for part in (y.detach(), x.grad)]
    return [*whole, model[0].running_mean.tolist(), model[0].running_var.tolist()]


def refusals():
    """Ranks that differ, and data that is not finite on one rank, stop all of them."""
    rank, size = distributed.rank(), distributed.world_size()
    if size == 1:
        return
    with pytest.raises(RankError, match="rank 1 differs from rank 0 in the weights"):
        trainer = trainer_of(mlp)
        with cr.no_grad():
            trainer.model[0].weight += rank
        trainer.fit((X, Y), batch_size=10)
    with pytest.raises(RankError, match="in the data"):
        trainer_of(mlp).fit((X + (rank == 1), Y), batch_size=10)
    with pytest.raises(RankError, match="in the epochs; given: 2; expected: 1"):
        trainer_of(mlp).fit((X, Y), epochs=1 + (rank > 0), batch_size=10)
    with pytest.raises(RankError, match="in the names and shapes of parameters"):
        trainer_of(mlp if rank == 1 else with_dropout).fit((X, Y), batch_size=10)
    with pytest.raises(RankError, match="in the random state"):
        trainer = trainer_of(mlp)
        cr.manual_seed(rank)
        trainer.fit((X, Y), batch_size=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "code_digest", lambda: bytes([rank]))
        with pytest.raises(RankError, match="in the code of chainrule"):
            trainer_of(mlp).fit((X, Y), batch_size=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chainrule.train.trainer.EVERY", 2)
        trainer = trainer_of(mlp, callbacks=[At(1, 1, nudge)])
        with pytest.raises(RankError, match="rank 1 differs from rank 0 in the weights"):
            trainer.fit((X, Y), epochs=4, batch_size=10)
        assert trainer.step == 2
    with pytest.raises(ArgumentError, match=f"{size} ranks cannot share {size + 1} shards"):
        trainer_of(mlp, shards=size + 1)
    broken = X[8:].copy()
    broken[14] = np.nan  # of the last rank
    trainer = trainer_of(mlp, compiled=False)
    before = bits(trainer.model.state_dict())
    own = "sample 14" if rank == size - 1 else "it came from another rank"
    with pytest.raises(NonFiniteError, match=own):
        trainer.fit((broken, Y[8:]), batch_size=15, shuffle=False)
    assert bits(trainer.model.state_dict()) == before
    trainer = trainer_of(mlp, callbacks=[At(2, 1, lambda t: t.stop("enough of it"))])
    trainer.fit((X, Y), epochs=4, batch_size=10)
    assert (trainer.stopped, trainer.step) == ("enough of it", 3)


# -- faults that end the job -----------------------------------------------------------------------


def raises():
    if distributed.rank() == 1:
        raise ValueError("a fault of rank 1")
    distributed.barrier()


def killed(folder):
    """A training whose rank 1 dies in the middle of an epoch."""
    dies = At(4, 1, lambda trainer: os.kill(os.getpid(), signal.SIGKILL))
    trainer = trainer_of(with_dropout, out=folder, checkpoint_every=2, callbacks=[dies])
    trainer.fit((X, Y), epochs=4, batch_size=10)


def stalls():
    if distributed.rank() == 1:
        time.sleep(60)
    distributed.barrier()


def refused(*args, **kwargs):
    raise AssertionError("a message was pickled")


def main():
    task, folder = sys.argv[1], Path(sys.argv[2])
    if "mpi4py.MPI" in sys.modules:  # only buffers travel
        sys.modules["mpi4py.MPI"].pickle.__init__(dumps=refused, loads=refused)
    if task != "all":
        return globals()[task](*[folder][: task == "killed"])
    exchanges()
    refusals()
    result = {"bits": same_bits(), "synchronized": synchronized()}
    size = distributed.world_size()
    result["interrupted"] = interrupted(folder / f"own-{size}") if size > 1 else None
    files_of_rank_0(folder / f"files-{size}")
    result["unbroken"] = unbroken()
    result["resumed"] = resumed(folder / "broken") if (folder / "broken").exists() else None
    result["gradients"] = gradients()
    under_pytorchs_names()
    return result


if __name__ == "__main__":
    result = main()
    if not distributed.rank():
        print("RESULT " + json.dumps(result), flush=True)
