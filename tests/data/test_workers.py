"""Worker processes and samplers of the package's own loader: order, errors, ends."""

import multiprocessing
import os
import signal

import numpy as np
import pytest

import chainrule as cr
from chainrule import data
from chainrule.data import ArrayDataset, DataLoader, Dataset, RandomShift
from chainrule.errors import ArgumentError, DTypeError, ShapeError, WorkerError


class Numbers(Dataset):
    def __len__(self):
        return 9

    def __getitem__(self, index):
        return (float(index),)


class Dying(Numbers):
    """Ends its process at a sample, as the system does when memory runs out."""

    def __getitem__(self, index):
        if index == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class Stuck(Numbers):
    """Never reads one of its samples."""

    def __getitem__(self, index):
        if index == 4:
            signal.pause()
        return super().__getitem__(index)


def values(loader):
    return [batch[0].tolist() for batch in loader]


@pytest.mark.parametrize("shuffle", [False, True])
def test_processes_give_the_batches_of_one(shuffle):
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)
    augmented = ArrayDataset(images, np.arange(20), transform=RandomShift(1))
    rows = []
    for workers in (0, 1, 3):
        loader = DataLoader(augmented, 6, shuffle, seed=3, num_workers=workers)
        rows.append([[x.tolist() for x in batch] for _ in range(2) for batch in loader])
    assert rows[0] == rows[1] == rows[2]


def test_a_loop_by_processes_resumes_in_mid_epoch():
    whole = values(DataLoader(Numbers(), 2, True, seed=1, num_workers=2))
    loader = DataLoader(Numbers(), 2, True, seed=1, num_workers=2)
    batches = iter(loader)
    started = [next(batches)[0].tolist() for _ in range(2)]
    state = loader.state_dict()
    batches.close()
    other = DataLoader(Numbers(), 2, True, seed=1, num_workers=1)
    other.load_state_dict(state)
    assert started + values(other) == whole


def test_a_process_that_dies_is_an_error_and_no_hang():
    with pytest.raises(WorkerError, match=r"exited unexpectedly with code -9.*num_workers=0"):
        values(DataLoader(Dying(), 2, num_workers=2))


def test_a_process_that_takes_too_long():
    with pytest.raises(WorkerError, match="timed out after"):
        values(DataLoader(Stuck(), 2, num_workers=1, timeout=0.5))


def test_what_cannot_be_sent_is_an_error_and_no_hang():
    loader = DataLoader(Numbers(), 3, num_workers=1, collate_fn=lambda samples: lambda: samples)
    with pytest.raises(Exception, match="worker process 0"):
        list(loader)


class OwnError(Exception):
    def __init__(self, first, second):
        super().__init__(first, second)


def test_an_exception_that_needs_other_arguments_keeps_its_text():
    def refuse(samples):
        raise OwnError("a", "b")

    with pytest.raises(WorkerError, match="Caught OwnError in DataLoader worker process 0"):
        list(DataLoader(Numbers(), 3, num_workers=1, collate_fn=refuse))


@pytest.mark.parametrize("persistent", [False, True])
def test_no_process_is_left(persistent):
    before = set(multiprocessing.active_children())
    loader = DataLoader(Numbers(), 2, num_workers=2, persistent_workers=persistent)
    next(iter(loader))
    values(loader)
    assert bool(set(multiprocessing.active_children()) - before) == persistent
    del loader
    assert set(multiprocessing.active_children()) <= before


def test_samplers_of_the_package_follow_its_seed():
    rows = []
    for _ in range(2):
        cr.manual_seed(4)
        sampler = data.WeightedRandomSampler([1.0, 1.0, 0.0], 6)
        rows.append([list(sampler), list(data.RandomSampler(range(5)))])
    assert rows[0] == rows[1] and 2 not in rows[0][0] and sorted(rows[0][1]) == [0, 1, 2, 3, 4]
    loader = DataLoader(ArrayDataset(np.arange(4)), 2, sampler=[3, 1, 0])
    assert [x.tolist() for (x,) in loader] == [[3, 1], [0]]
    assert (loader.epoch, len(loader)) == (1, 2)
    with pytest.raises(ArgumentError, match="a sampler gives the order"):
        loader.set_epoch(1, batch=1)
    with pytest.raises(ArgumentError, match="not known"):
        loader.order(0)


def test_an_overridden_sample_is_read_one_by_one():
    class Negative(ArrayDataset):
        def __getitem__(self, index):
            return (-self.arrays[0][index],)

    (batch,) = DataLoader(Negative(np.arange(3)), 3)
    assert batch[0].tolist() == [0, -1, -2]


def test_samples_of_any_structure():
    samples = [{"x": np.ones(2), "name": "a"}, {"x": np.zeros(2), "name": "b"}]
    (batch,) = DataLoader(samples, 2, collate_fn=data.default_collate)
    assert batch["name"] == ["a", "b"] and batch["x"].tolist() == [[1, 1], [0, 0]]
    with pytest.raises(DTypeError, match="collate_fn"):
        DataLoader(samples, 2)
    with pytest.raises(DTypeError, match="NoneType samples"):
        data.default_collate([None, None])
    with pytest.raises(ShapeError, match=r"differ in shape.*\(1,\), \(2,\)"):
        data.default_collate([cr.ones(1), cr.ones(2)])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: data.TensorDataset(cr.ones(2), cr.ones(3)), "differ in length"),
        (lambda: data.TensorDataset([1, 2]), "takes tensors"),
        (lambda: data.StackDataset([1], x=[1]), "one kind"),
        (lambda: data.ConcatDataset([]), "no dataset"),
        (lambda: data.ConcatDataset([data.ChainDataset([])]), "ChainDataset"),
        (lambda: list(data.ChainDataset([[1]])), "ConcatDataset"),
        (lambda: (Numbers() + Numbers())[18], "sample 18"),
        (lambda: DataLoader(Numbers(), sampler=[0], shuffle=True), "one of them"),
        (lambda: DataLoader(Numbers(), batch_sampler=[[0]], drop_last=True), "gives batches"),
        (lambda: DataLoader(Numbers(), prefetch_factor=3), "num_workers > 0"),
        (lambda: DataLoader(Numbers(), num_workers=-1), "num_workers"),
        (lambda: data.BatchSampler([1], 0, False), "batch_size"),
    ],
)
def test_refused(make, words):
    with pytest.raises(cr.ChainruleError, match=words):
        make()
