"""Data larger than memory: arrays in files, tables by row groups, shuffling by chunks."""

import gzip
import json
import struct

import numpy as np
import pytest

import chainrule as cr
from chainrule import data, nn, optim
from chainrule.data import ArrayDataset, ConcatDataset, DataLoader, RandomShift, Subset
from chainrule.data.chunks import ChunkOrder, Chunks
from chainrule.errors import ArgumentError, DTypeError, FormatError

N = 1000
VALUES = np.arange(N * 3, dtype=np.float32).reshape(N, 3)


@pytest.fixture
def path(tmp_path):
    np.save(tmp_path / "x.npy", VALUES)
    return tmp_path / "x.npy"


@pytest.fixture
def lazy(path, monkeypatch):
    """A dataset in a file, of chunks of 32 samples."""
    monkeypatch.setattr("chainrule.data.numbers._CHUNK_BYTES", 32 * (12 + 8))
    return ArrayDataset(data.read_npy(path, mmap=True), np.arange(N))


def seen(loader):
    return np.concatenate([y.numpy() for _, y in loader])


def test_arrays_in_files_stay_there(path, tmp_path):
    lazy = data.read_npy(path, mmap=True)
    assert isinstance(lazy, np.memmap)
    np.testing.assert_array_equal(lazy, data.read_npy(path))
    for x in (lazy, np.memmap(path, np.float32, "r", offset=128, shape=(N, 3)), lazy[:, 1:]):
        own = ArrayDataset(x, np.arange(N))
        assert np.shares_memory(own.arrays[0], x)
        assert own.waits and DataLoader(own).prefetch == 2
        batch = own.gather([5, 2])[0]
        assert not np.shares_memory(batch, x)  # what is trained on is a copy
        np.testing.assert_array_equal(batch, x[[5, 2]])
    assert not ArrayDataset(VALUES).waits and ArrayDataset(VALUES).chunks is None


@pytest.mark.parametrize("dtype, order", [(">f4", "C"), ("<f8", "F"), (">i2", "F")])
def test_a_file_of_another_byte_order_is_not_copied_as_a_whole(tmp_path, dtype, order):
    np.save(tmp_path / "x.npy", np.asarray(VALUES[:20], dtype, order))
    own = ArrayDataset(data.read_npy(tmp_path / "x.npy", mmap=True))
    assert own.arrays[0].dtype == dtype
    (batch,) = own.gather([3, 1])
    assert batch.dtype.isnative and batch.flags.c_contiguous
    np.testing.assert_array_equal(batch, VALUES[[3, 1]])


def test_read_npy_checks_before_it_maps(path, tmp_path):
    (tmp_path / "cut.npy").write_bytes(path.read_bytes()[:-4])
    with pytest.raises(FormatError, match="header declares"):
        data.read_npy(tmp_path / "cut.npy", mmap=True)
    np.save(tmp_path / "none.npy", np.empty((0, 3)))
    assert data.read_npy(tmp_path / "none.npy", mmap=True).shape == (0, 3)


def test_idx_files_are_mapped_unless_they_are_packed(tmp_path):
    raw = struct.pack(">HBBII", 0, 0x0B, 2, 2, 3) + np.arange(6, dtype=">i2").tobytes()
    (tmp_path / "a.idx").write_bytes(raw)
    (tmp_path / "a.gz").write_bytes(gzip.compress(raw))
    x = data.read_idx(tmp_path / "a.idx", mmap=True)
    assert isinstance(x, np.memmap)
    np.testing.assert_array_equal(x, [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(ArgumentError, match="gunzip"):
        data.read_idx(tmp_path / "a.gz", mmap=True)


# -- the order -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", [[0, 10], [0, 3, 6, 8, 20], [*range(0, 101, 7), 100]])
@pytest.mark.parametrize("buffer", [1, 5, 1000])
def test_an_order_by_chunks_is_a_permutation_that_any_part_gives(bounds, buffer):
    chunks = Chunks(np.array(bounds), buffer)
    n = bounds[-1]
    order = ChunkOrder(chunks, 3, 0).samples(0, n)
    assert sorted(order) == list(range(n))
    parts = [ChunkOrder(chunks, 3, 0).samples(k, min(n, k + 9)) for k in range(0, n, 9)]
    np.testing.assert_array_equal(np.concatenate(parts), order)
    for seed, epoch in ((4, 0), (3, 1)):
        other = ChunkOrder(chunks, seed, epoch).samples(0, n)
        assert (n < 20 and buffer == 1) or not np.array_equal(other, order)


def test_each_stretch_of_the_order_comes_from_few_chunks(lazy):
    """What is read at a time are the chunks of one group, and each group has samples from all over
    the file."""
    loader = DataLoader(lazy, 20, shuffle=True, seed=0, buffer=128)
    order = loader.order(0)
    groups = [np.unique(order[k : k + 128] // 32) for k in range(0, N - 128, 128)]
    assert max(map(len, groups)) <= 2 * (128 // 32)  # a short chunk moves the bounds of groups
    assert np.ptp(order[:128]) > N / 3
    assert abs(np.corrcoef(np.arange(N), order)[0, 1]) < 0.3


@pytest.mark.parametrize("options", [{}, {"num_workers": 1}, {"collate_fn": data.default_collate}])
def test_an_epoch_reads_each_sample_once_in_the_order_of_seed_and_epoch(lazy, options):
    loader = DataLoader(lazy, 64, shuffle=True, seed=7, buffer=200, **options)
    for epoch in range(2):
        batches = list(loader)
        y = np.concatenate([y.numpy() for _, y in batches])
        np.testing.assert_array_equal(y, loader.order(epoch))
        np.testing.assert_array_equal(np.concatenate([x.numpy() for x, _ in batches]), VALUES[y])
    assert sorted(y.item() for _, y in DataLoader(lazy, None, shuffle=True)) == list(range(N))


@pytest.mark.parametrize("buffered", [False, True])
def test_resume_in_mid_epoch_gives_the_same_bits(path, monkeypatch, buffered):
    """With random transforms, whether they draw for a batch or for a chunk."""
    monkeypatch.setattr("chainrule.data.numbers._CHUNK_BYTES", 20 * 12)
    x = data.read_npy(path, mmap=True)[: N - N % 9].reshape(-1, 1, 3, 9)[:, :, :, :3]
    images = ArrayDataset(x, np.arange(len(x)), transform=RandomShift(1))
    images.buffered = buffered

    def build():
        return DataLoader(images, 10, shuffle=True, seed=1, buffer=50)

    whole = [(x.numpy().copy(), y.numpy().copy()) for x, y in build()]
    for stop in (1, 4, 7):
        loader = build()
        for batch, _ in enumerate(loader, 1):
            if batch == stop:
                state = json.loads(json.dumps(loader.state_dict()))
                break
        resumed = build()
        resumed.load_state_dict(state)
        for (x, y), (wanted_x, wanted_y) in zip(resumed, whole[stop:], strict=True):
            np.testing.assert_array_equal(x.numpy(), wanted_x)
            np.testing.assert_array_equal(y.numpy(), wanted_y)
    with pytest.raises(ArgumentError, match="buffer was 50 and is 60"):
        DataLoader(images, 10, shuffle=True, seed=1, buffer=60).load_state_dict(state)


def test_a_buffer_is_for_chunks():
    with pytest.raises(ArgumentError, match="shuffled as a whole"):
        DataLoader(ArrayDataset(VALUES), 10, shuffle=True, buffer=5)


# -- parts and sums of datasets -----------------------------------------------------------------


def test_a_split_of_a_file_reads_nothing_and_keeps_the_chunks(lazy):
    train, test = data.train_test_split(lazy, test_size=0.25)
    assert isinstance(train, Subset) and (len(train), len(test)) == (750, 250)
    assert len(train.chunks) == len(lazy.chunks)
    loader = DataLoader(train, 50, shuffle=True, seed=0, buffer=100)
    assert loader.chunks is not None and loader.prefetch == 2
    assert sorted(seen(loader)) == sorted(train.indices)
    assert Subset(lazy, [5, 3, 9]).chunks is None  # not in the order of the file


def test_several_files_are_one_dataset(lazy):
    both = ConcatDataset([lazy, ArrayDataset(VALUES[:10], np.arange(10) + N)])
    assert both.chunks[-2:].tolist() == [N, N + 10]
    loader = DataLoader(both, 64, shuffle=True, seed=0, buffer=100)
    assert sorted(seen(loader)) == list(range(N + 10))
    x, y = both.gather([N + 1, 3, N, 2])
    np.testing.assert_array_equal(y, [N + 1, 3, N, 2])
    np.testing.assert_array_equal(x, VALUES[[1, 3, 0, 2]])


# -- tables --------------------------------------------------------------------------------------


@pytest.fixture
def frame():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    kinds = np.array(["u", "v", "w"])[np.arange(N) % 3]
    return pandas.DataFrame(
        {"a": VALUES[:, 0], "b": np.arange(N), "kind": kinds, "p": kinds == "u"}
    )


def store(frame, path):
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    if path.suffix == ".parquet":
        frame.to_parquet(path, row_group_size=70)
    else:
        frame.to_feather(path, chunksize=70)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_tables_are_read_by_groups(frame, tmp_path, suffix):
    path = store(frame, tmp_path / f"t{suffix}")
    table = data.TableDataset([path, path], label="kind", columns=["b", "a"])
    assert (len(table), table.classes, table.task) == (2 * N, ("u", "v", "w"), "classification")
    assert len(table.chunks) == 2 * -(-N // 70) + 1
    loader = DataLoader(table, 30, shuffle=True, seed=0, buffer=150)
    order = loader.order(0) % N
    wanted = frame[["b", "a"]].to_numpy(np.float32)[order]
    batches = list(loader)
    np.testing.assert_array_equal(np.concatenate([x.numpy() for x, _ in batches]), wanted)
    np.testing.assert_array_equal(seen(batches), order % 3)
    x, y = table[2 * N - 1]
    assert x.tolist() == [N - 1, VALUES[-1, 0]] and y == (N - 1) % 3
    prices = data.TableDataset(path, label="a", columns=["p"])
    assert prices.task == "regression" and prices[3][1].shape == (1,)
    assert data.table(path, label="kind")[0].classes == ("u", "v", "w")  # as text, whole


def test_tables_name_what_they_cannot_use(frame, tmp_path):
    path = store(frame, tmp_path / "t.parquet")
    with pytest.raises(DTypeError, match="column kind holds no numbers"):
        data.TableDataset(path, label="a")
    with pytest.raises(FormatError, match="lacks the columns z"):
        data.TableDataset(path, label="kind", columns=["z"])
    with pytest.raises(FormatError, match="did not know: w"):
        data.TableDataset(path, "kind", columns=["a"], classes=["u", "v"]).gather([0, 1, 2])
    frame.loc[100, "a"] = None
    holes = data.TableDataset(store(frame, tmp_path / "h.parquet"), "kind", columns=["a"])
    with pytest.raises(FormatError, match=r"group 1: column a lacks values.*1 of 70"):
        list(DataLoader(holes, 50))
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(FormatError, match="not a sound Parquet file"):
        data.TableDataset(tmp_path / "no.parquet")


# -- streams -------------------------------------------------------------------------------------


def test_the_trainer_takes_a_stream_of_known_length():
    class Stream(data.IterableDataset):
        def __iter__(self):
            return iter(zip(VALUES[:50], VALUES[:50, :1], strict=True))

    class Known(Stream):
        def __len__(self):
            return 50

    model = nn.Linear(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=1e-6)
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer, progress=False, compiled=False)
    with pytest.raises(TypeError, match="has no len"):
        trainer.fit(DataLoader(Stream(), 10))
    assert len(trainer.fit(DataLoader(Known(), 10), epochs=2)) == 2
    assert trainer.step == 10


# -- training ------------------------------------------------------------------------------------


def test_training_from_a_file_gives_the_bits_of_the_same_order_in_memory(lazy):
    def trained(own, order):
        cr.manual_seed(0)
        model = nn.Linear(3, 1)
        trainer = cr.Trainer(
            model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e-8), progress=False
        )
        trainer.fit(DataLoader(own, 100, **order), epochs=1)
        return model.weight.detach().numpy().tobytes()

    shuffled = DataLoader(lazy, 100, shuffle=True, seed=0).order(0)
    memory = ArrayDataset(VALUES, np.arange(N))
    assert trained(lazy, {"shuffle": True, "seed": 0}) == trained(memory, {"sampler": shuffled})
