"""The loader: order, resuming, read-ahead, errors (B10, D4, H2, H3, H7), and its own cost."""

import json
import multiprocessing
import random
import threading
import time

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import ArrayDataset, DataLoader, Dataset, RandomShift, Subset, random_split
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.tensor import Tensor

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 1, 6, 6), dtype=np.uint8)
AUGMENTED = ArrayDataset(IMAGES, np.arange(50), transform=RandomShift(2))


def batches(loader):
    return [tuple(np.array(t.numpy()) for t in batch) for batch in loader]


def assert_same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        for u, v in zip(a, b, strict=True):
            np.testing.assert_array_equal(u, v)


def test_batches_are_tuples_of_tensors_in_order():
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    loader = DataLoader(ArrayDataset(x, np.arange(5)), batch_size=2)
    got = list(loader)
    assert len(loader) == len(got) == 3
    assert all(isinstance(batch, tuple) and isinstance(batch[0], Tensor) for batch in got)
    np.testing.assert_array_equal(np.concatenate([b[0].numpy() for b in got]), x)
    assert got[-1][1].shape == (1,)
    assert got[0][0].dtype == np.float32
    assert got[0][1].dtype == np.int64


def test_drop_last():
    loader = DataLoader(ArrayDataset(np.arange(5)), 2, drop_last=True)
    assert len(loader) == 2
    assert [b.numpy().tolist() for (b,) in loader] == [[0, 1], [2, 3]]


def test_order_is_the_documented_function_of_seed_and_epoch():
    loader = DataLoader(ArrayDataset(np.arange(50)), 8, shuffle=True, seed=7)
    for epoch in range(3):
        wanted = np.random.Generator(np.random.Philox(key=[7, epoch])).permutation(50)
        got = np.concatenate([b.numpy() for (b,) in loader])
        np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(loader.order(epoch), wanted)


def test_epochs_and_seeds_differ_and_each_is_a_permutation():
    loader = DataLoader(ArrayDataset(np.arange(50)), 8, shuffle=True, seed=1)
    orders = [np.concatenate([b.numpy() for (b,) in loader]) for _ in range(2)]
    assert not np.array_equal(*orders)
    assert all(sorted(order) == list(range(50)) for order in orders)
    other = DataLoader(ArrayDataset(np.arange(50)), 8, shuffle=True, seed=2)
    assert not np.array_equal(other.order(0), orders[0])


def orders(*loaders):
    return [np.concatenate([b.numpy() for (b,) in loader]).tolist() for loader in loaders]


def shuffled(**options):
    return DataLoader(ArrayDataset(np.arange(50)), 8, shuffle=True, **options)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_orders_follow_manual_seed_as_in_pytorch(prefetch):
    """Two epochs differ, two loaders differ, and the same seed gives the same orders again."""
    loader, other = shuffled(prefetch=prefetch), shuffled(prefetch=prefetch)
    cr.manual_seed(1)
    drawn = orders(loader, loader, other)
    assert len({tuple(order) for order in drawn}) == 3
    cr.manual_seed(1)
    assert orders(loader, loader, other) == drawn
    cr.manual_seed(2)
    assert orders(loader) != drawn[:1]


def test_a_generator_of_ones_own():
    cr.manual_seed(1)
    before = cr.default_generator.state.numpy().tolist()
    drawn = orders(*[shuffled(generator=cr.Generator(7))] * 2)
    assert orders(*[shuffled(generator=cr.Generator(7))] * 2) == drawn
    assert orders(shuffled(generator=cr.Generator(8))) != drawn[:1]
    assert cr.default_generator.state.numpy().tolist() == before
    with pytest.raises(ArgumentError, match="a seed and a generator"):
        shuffled(seed=1, generator=cr.Generator(7))
    with pytest.raises(DTypeError, match=r"seed=\.\.\."):
        shuffled(generator=7)


def test_an_epoch_without_chance_draws_no_seed():
    before = cr.default_generator.state.numpy().tolist()
    list(DataLoader(ArrayDataset(np.arange(5)), 2))
    assert cr.default_generator.state.numpy().tolist() == before


@pytest.mark.parametrize("stop", [1, 4])
def test_a_drawn_order_is_resumed_in_mid_epoch(stop):
    def build():
        return DataLoader(AUGMENTED, 8, shuffle=True)

    cr.manual_seed(5)
    loader, head = build(), []
    for index, batch in enumerate(loader, 1):
        head.append(tuple(np.array(t.numpy()) for t in batch))
        if index == stop:
            break
    state = json.loads(json.dumps(loader.state_dict()))
    random_state = cr.default_generator.state.numpy().copy()
    cr.manual_seed(5)
    whole = build()
    wanted = batches(whole), batches(whole)
    cr.manual_seed(99)
    resumed = build()
    resumed.load_state_dict(state)
    cr.default_generator.state.assign(random_state)
    assert_same(head + batches(resumed), wanted[0])
    assert_same(batches(resumed), wanted[1])


def test_the_order_of_an_epoch_that_is_not_drawn_is_not_known():
    loader = shuffled()
    with pytest.raises(ArgumentError, match=r"order of epoch 0 is not known.*seed=0"):
        loader.order(0)
    for _ in loader:
        drawn = loader.order(0)
        with pytest.raises(ArgumentError, match="epoch 1"):
            loader.order(1)
    assert sorted(drawn) == list(range(50))
    with pytest.raises(ArgumentError, match="epoch 0"):
        loader.order(0)


def test_seeded_and_drawing_loaders_do_not_take_each_others_state():
    with pytest.raises(ArgumentError, match="seeded was True and is False"):
        shuffled().load_state_dict(shuffled(seed=1).state_dict())


def test_without_a_thread_the_loop_reads_itself(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    loader = DataLoader(ArrayDataset(np.arange(9)), 2, prefetch=2)
    assert [len(batch.numpy()) for (batch,) in loader] == [2, 2, 2, 2, 1]
    assert (loader.epoch, loader.batch) == (1, 0)


def test_the_users_random_state_is_untouched():
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2]
    batches(DataLoader(AUGMENTED, 8, shuffle=True))
    random_split(AUGMENTED, [40, 10])
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tobytes() == before[1]
    assert np.random.get_state()[2] == before[2]


@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("stop", [0, 1, 4, 7])
def test_resume_in_mid_epoch_gives_the_same_bits(stop, prefetch):
    def build():
        return DataLoader(AUGMENTED, 8, shuffle=True, seed=5, prefetch=prefetch)

    whole = build()
    wanted = [batches(whole) for _ in range(3)]
    loader = build()
    batches(loader)
    head, state = [], loader.state_dict()
    for index, batch in enumerate(loader):
        if index == stop:
            break
        head.append(tuple(np.array(t.numpy()) for t in batch))
        state = json.loads(json.dumps(loader.state_dict()))
    resumed = build()
    resumed.load_state_dict(state)
    assert_same(head + batches(resumed), wanted[1])
    assert_same(batches(resumed), wanted[2])
    assert resumed.state_dict() == whole.state_dict()


def test_augmentation_is_a_function_of_epoch_and_batch():
    loader = DataLoader(AUGMENTED, 8, seed=5)
    first, second = batches(loader), batches(loader)
    assert not np.array_equal(first[0][0], second[0][0])
    loader.set_epoch(0, batch=3)
    assert_same(batches(loader), first[3:])


def test_batches_and_epochs_draw_different_augmentation():
    """On equal images, only the draws can differ; and they are not the shuffle's own numbers."""
    data = ArrayDataset(np.ones((64, 1, 9, 9), np.uint8), transform=RandomShift(4))
    loader = DataLoader(data, 16, seed=5)
    drawn = [batch.numpy().tobytes() for _ in range(3) for (batch,) in loader]
    assert len(set(drawn)) == len(drawn) == 12
    plain = RandomShift(4)(data.arrays[0][:16], np.random.Generator(np.random.Philox(key=[5, 0])))
    assert plain.tobytes() not in drawn


def test_a_position_set_inside_a_loop_is_kept():
    loader = DataLoader(ArrayDataset(np.arange(8)), 2)
    for place, _ in enumerate(loader):
        if place == 0:
            loader.set_epoch(5, batch=3)
    assert (loader.epoch, loader.batch) == (5, 3)
    assert [batch.numpy().tolist() for (batch,) in loader] == [[6, 7]]


def test_state_after_the_last_batch_resumes_to_an_empty_rest():
    loader = DataLoader(ArrayDataset(np.arange(4)), 2)
    for _ in loader:
        state = loader.state_dict()
    assert (state["epoch"], state["batch"]) == (0, 2)
    loader.load_state_dict(state)
    assert list(loader) == []
    assert (loader.epoch, loader.batch) == (1, 0)


@pytest.mark.parametrize(
    "other, words",
    [
        (DataLoader(ArrayDataset(np.arange(9)), 2, True), "length was 8 and is 9"),
        (DataLoader(ArrayDataset(np.arange(8)), 4, True), "batch_size was 2 and is 4"),
        (DataLoader(ArrayDataset(np.arange(8)), 2), "shuffle was True and is False"),
        (DataLoader(ArrayDataset(np.arange(8)), 2, True, drop_last=True), "drop_last was False"),
    ],
)
def test_resume_with_other_batches_is_refused(other, words):
    state = DataLoader(ArrayDataset(np.arange(8)), 2, shuffle=True, seed=3).state_dict()
    before = other.state_dict()
    with pytest.raises(ArgumentError, match=words):
        other.load_state_dict(state)
    assert other.state_dict() == before


@pytest.mark.parametrize(
    "change",
    [{"batch": 99}, {"batch": -1}, {"epoch": -1}, {"epoch": 1.5}, {"seed": -1}, {"more": 1}],
)
def test_a_nonsensical_state_is_refused_whole(change):
    loader = DataLoader(ArrayDataset(np.arange(8)), 2)
    before = loader.state_dict()
    with pytest.raises(ArgumentError):
        loader.load_state_dict({**before, **change})
    with pytest.raises(ArgumentError, match="not the state"):
        loader.load_state_dict({})
    assert loader.state_dict() == before


def test_resume_takes_the_saved_seed():
    saved = DataLoader(ArrayDataset(np.arange(8)), 2, shuffle=True, seed=3)
    loader = DataLoader(ArrayDataset(np.arange(8)), 2, shuffle=True, seed=4)
    loader.load_state_dict(saved.state_dict())
    assert_same(batches(loader), batches(saved))


def test_a_loop_left_early_counts_as_an_epoch():
    loader = DataLoader(ArrayDataset(np.arange(8)), 2, shuffle=True, seed=0)
    for _ in loader:
        break
    assert np.concatenate([b for (b,) in batches(loader)]).tolist() == loader.order(1).tolist()
    iter(loader)  # an iterator that nobody reads changes nothing
    assert loader.epoch == 2


def test_two_loops_at_once_do_not_disturb_each_other():
    loader = DataLoader(ArrayDataset(np.arange(8)), 2, shuffle=True, seed=0)
    pairs = [(a.numpy(), b.numpy()) for (a,), (b,) in zip(loader, loader, strict=True)]
    np.testing.assert_array_equal(np.concatenate([a for a, _ in pairs]), loader.order(0))
    np.testing.assert_array_equal(np.concatenate([b for _, b in pairs]), loader.order(1))


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "8"])
def test_batch_size_is_checked(size):
    with pytest.raises(ArgumentError, match="batch_size"):
        DataLoader(ArrayDataset(np.arange(8)), size)


def test_construction_refuses():
    data = ArrayDataset(np.arange(8))
    with pytest.raises(ArgumentError, match="length 0"):
        DataLoader(Subset(data, []))
    with pytest.raises(ArgumentError, match="leaves no batch of 8"):
        DataLoader(data, 9, drop_last=True)
    with pytest.raises(ArgumentError, match="seed"):
        DataLoader(data, seed=-1)
    with pytest.raises(ArgumentError, match="prefetch"):
        DataLoader(data, prefetch=-1)
    with pytest.raises(DTypeError, match="ArrayDataset"):
        DataLoader(np.arange(8))
    with pytest.raises(DTypeError, match="Loop over the batches"):
        DataLoader(iter([(1, 2)]))


class Failing(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        if index == 6:
            raise KeyError("the user's own")
        return (float(index),)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_datasets_exception_arrives_with_sample_and_batch(prefetch):
    loader = DataLoader(Failing(), 4, prefetch=prefetch)
    got = []
    with pytest.raises(KeyError, match="the user's own") as caught:
        for (batch,) in loader:
            got.append(batch.numpy().tolist())
    assert got == [[0, 1, 2, 3]]
    notes = " ".join(caught.value.__notes__)
    assert "sample 6 of Failing" in notes
    assert "batch 1 of epoch 0: samples 4, 5, 6, 7" in notes
    assert any(entry.name == "__getitem__" for entry in caught.traceback)
    assert (loader.epoch, loader.batch) == (0, 1)


def test_a_users_gather_is_used_and_checked():
    class Wrong(Failing):
        def __init__(self, result):
            self.result = result

        def gather(self, indices):
            return self.result

    with pytest.raises(DTypeError, match=r"Return \(x, y\)"):
        list(DataLoader(Wrong(np.zeros(4)), 4))
    with pytest.raises(ShapeError, match="asked for 4"):
        list(DataLoader(Wrong((np.zeros(3),)), 4))
    assert len(list(DataLoader(Wrong((np.zeros(5),)), 5))) == 2


class Slow(Dataset):
    """As if each sample came from a file; remembers which were read."""

    waits = True

    def __init__(self):
        self.reads = []

    def __len__(self):
        return 12

    def __getitem__(self, index):
        self.reads.append(index)
        return (index,)


def test_waiting_datasets_are_read_ahead_by_default():
    data = Slow()
    loader = DataLoader(data, 2)
    assert loader.prefetch == 2
    assert DataLoader(ArrayDataset(np.arange(3))).prefetch == 0
    batches = iter(loader)
    next(batches)
    patience = time.monotonic() + 30
    while len(data.reads) < 6 and time.monotonic() < patience:
        time.sleep(0.001)  # nobody asks for more; the next two batches come all the same
    assert data.reads[:6] == [0, 1, 2, 3, 4, 5]
    batches.close()


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name == "DataLoader"]


def test_the_reading_thread_ends_with_the_loop():
    for _ in DataLoader(Slow(), 2):
        assert reading_threads()
        break
    assert not reading_threads()
    assert len(list(DataLoader(Slow(), 2))) == 6
    assert not reading_threads()


def test_a_loop_left_early_reads_no_further():
    class Counting(Dataset):
        reads = 0

        def __len__(self):
            return 1000

        def __getitem__(self, index):
            self.reads += 1
            return (index,)

    data = Counting()
    for _ in DataLoader(data, 1, prefetch=2):
        break
    # One delivered, two ready, one waiting for its place, and one begun when the end was seen.
    assert data.reads <= 5


def _child(iterator, queue):
    try:
        while True:
            next(iterator)
    except RuntimeError as error:
        queue.put(str(error))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_loop_raises_instead_of_hanging():
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork on this system")
    context = multiprocessing.get_context("fork")
    iterator = iter(DataLoader(ArrayDataset(np.arange(1000)), 2, prefetch=2))
    next(iterator)
    queue = context.Queue()
    child = context.Process(target=_child, args=(iterator, queue))
    child.start()
    message = queue.get(timeout=20)
    child.join(20)
    assert not child.is_alive()
    assert "forked" in message


def test_loading_costs_little():
    """The target is 5 % of a 200 µs step; ten times that only fails when something is broken."""
    x, y = np.zeros((6400, 784), np.float32), np.zeros(6400, np.int64)
    loader = DataLoader(ArrayDataset(x, y), 32, shuffle=True)
    best = min(_time(loader) for _ in range(5)) / len(loader)
    assert best < 100e-6


def _time(loader):
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start
