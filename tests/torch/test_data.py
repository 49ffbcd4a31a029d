"""`torch.utils.data`: the same programs give PyTorch's batches, orders and errors."""

from types import ModuleType

import pytest

PREAMBLE = """
from collections import OrderedDict, namedtuple
import random
import numpy as np
from {root}.utils.data import *
from {root}.utils.data import get_worker_info

class Numbers(Dataset):
    def __init__(self, n=7): self.n = n
    def __len__(self): return self.n
    def __getitem__(self, i):
        if i >= self.n: raise IndexError(i)
        return torch.tensor([float(i), 0.5]), i

class Count(IterableDataset):
    def __init__(self, n=7): self.n = n
    def __iter__(self):
        info = get_worker_info()
        start, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(start, self.n, step))

def flat(x):
    if isinstance(x, torch.Tensor): return (str(x.dtype), x.tolist())
    if isinstance(x, dict): return type(x).__name__, {{k: flat(v) for k, v in x.items()}}
    if isinstance(x, (list, tuple)): return type(x).__name__, [flat(v) for v in x]
    return x

def every(loader): return [flat(b) for b in loader]

def failure(f):
    try: f()
    except Exception as e:
        # Each error of Chainrule is a RuntimeError, too.
        names = [c.__name__ for c in type(e).__mro__ if c.__module__ == "builtins"]
        return [name for name in names if name != "RuntimeError"]

torch.manual_seed(3)
"""

PROGRAMS = {
    # batches
    "defaults": "r = every(DataLoader(Numbers(3)))",
    "batches": "r = every(DataLoader(Numbers(), 3)); s = len(DataLoader(Numbers(), 3))",
    "drop_last": """
r = (
    every(DataLoader(Numbers(), 3, drop_last=True)),
    len(DataLoader(Numbers(), 3, drop_last=True)),
)""",
    "list": "r = every(DataLoader([1, 2, 3], batch_size=2))",
    "tensor": "r = every(DataLoader(torch.arange(6).reshape(3, 2), batch_size=2))",
    "floats": "r = every(DataLoader([0.5, 1.5, 2.5], batch_size=2))",
    "mixed numbers": "r = every(DataLoader([1, 2.5, 2, 3.0], 2)), every(DataLoader([True, 2], 2))",
    "bools": "r = every(DataLoader([True, False], batch_size=2))",
    "texts": "r = every(DataLoader(['a', 'b', 'c'], batch_size=2))",
    "array": "r = every(DataLoader(np.arange(6).reshape(3, 2), batch_size=2))",
    "float array": "r = every(DataLoader(np.linspace(0, 1, 4, dtype='f'), batch_size=2))",
    "dicts": "r = every(DataLoader([{'x': torch.ones(2), 'y': i, 'z': 'a'} for i in range(3)], 2))",
    "ordered dicts": "r = every(DataLoader([OrderedDict(b=i, a=0.5) for i in range(3)], 2))",
    "named tuples": "P = namedtuple('P', 'x y'); r = every(DataLoader([P(1, (2.0, 'q'))] * 3, 2))",
    "nested": "r = every(DataLoader([((torch.ones(1), 2), [3, 'a'])] * 3, batch_size=2))",
    "lists of lists": "r = every(DataLoader([[1, 2], [3, 4]], batch_size=2))",
    "one field": "r = every(DataLoader(TensorDataset(torch.arange(5)), batch_size=2))",
    "two fields": "r = every(DataLoader(TensorDataset(torch.arange(5), torch.ones(5, 2)), 2))",
    "0-d": "r = every(DataLoader([torch.tensor(i) for i in range(3)], 2))",
    "empty": "r = every(DataLoader([], batch_size=2)), len(DataLoader([], batch_size=2))",
    "no batches": "r = every(DataLoader(Numbers(2), batch_size=None))",
    "no batches, arrays": "r = every(DataLoader([np.ones(2), np.float32(3)], batch_size=None))",
    "collate_fn": "r = every(DataLoader(Numbers(), 3, collate_fn=lambda b: sum(i for _, i in b)))",
    "collate to None": "r = every(DataLoader(Numbers(), 3, collate_fn=lambda b: None))",
    "several at once": """
class Several(Numbers):
    def __getitems__(self, indices): return [i * 10 for i in indices]
r = every(DataLoader(Several(), 3))""",
    "plain object": """
class Plain:
    def __len__(self): return 3
    def __getitem__(self, i): return i
r = every(DataLoader(Plain(), batch_size=2))""",
    "overridden sample": """
class Negative(TensorDataset):
    def __getitem__(self, i): return -self.tensors[0][i]
r = every(DataLoader(Negative(torch.arange(5)), batch_size=2))""",
    "default_collate": """
r = flat(default_collate([(1, 'a'), (2, 'b')])), flat(default_collate([0.5]))""",
    "default_convert": "r = flat(default_convert((np.ones(2), 'a', {'k': np.int64(3)}, 0.5)))",
    # orders
    "shuffle": "r = [every(DataLoader(Numbers(), 3, shuffle=True)) for _ in range(2)]",
    "shuffle twice": "l = DataLoader(Numbers(), 3, shuffle=True); r = every(l), every(l)",
    "shuffle, generator": """
g = torch.Generator().manual_seed(5)
l = DataLoader(Numbers(), 3, True, generator=g)
r = every(l), every(l)""",
    "numbers after a loop": "every(DataLoader(Numbers(), 3)); r = torch.rand(2).tolist()",
    "numbers after a shuffle": """
every(DataLoader(Numbers(), 3, shuffle=True))
r = torch.rand(2).tolist()""",
    "a loop that ends early": """
l = DataLoader(Numbers(), 2, shuffle=True)
a = flat(next(iter(l)))
r = a, every(l), torch.rand(1).tolist()""",
    "two iterators": """
l = DataLoader(Numbers(), 2, shuffle=True)
r = [[flat(a), flat(b)] for a, b in zip(l, l)]""",
    "random sampler": """
r = (
    list(RandomSampler(range(9))),
    list(RandomSampler(range(9), num_samples=20)),
    list(RandomSampler(range(9), num_samples=4)),
)""",
    "random sampler with replacement": """
r = (
    list(RandomSampler(range(9), True, 70)),
    list(RandomSampler(range(9), True, generator=torch.Generator().manual_seed(1))),
)""",
    "subset sampler": "r = every(DataLoader(Numbers(), 2, sampler=SubsetRandomSampler([1, 3, 5])))",
    "weighted sampler": """
r = (
    list(WeightedRandomSampler([0.1, 0.9, 0.5, 0], 12)),
    list(WeightedRandomSampler([1, 2, 3, 4], 3, replacement=False)),
)""",
    "weighted sampler of a tensor": """
s = WeightedRandomSampler(torch.tensor([1.0, 3.0]), 6, generator=torch.Generator().manual_seed(2))
r = list(s), len(s)""",
    "batch sampler": """
r = (
    list(BatchSampler(SequentialSampler(range(5)), 2, False)),
    len(BatchSampler(range(5), 2, True)),
)""",
    "batch_sampler": """
r = (
    every(DataLoader(Numbers(), batch_sampler=[[0, 1], [2]])),
    every(DataLoader(Numbers(), batch_sampler=BatchSampler(RandomSampler(range(7)), 3, True))),
)""",
    "sampler of one's own": """
class Own(Sampler):
    def __iter__(self): return iter([4, 2])
    def __len__(self): return 2
l = DataLoader(Numbers(), sampler=Own()); r = every(l), len(l)""",
    "list as sampler": "r = every(DataLoader(Numbers(), 2, sampler=[6, 0, 1]))",
    "distributed sampler": """
r = [
    list(DistributedSampler(range(7), 3, k, shuffle=s, drop_last=d))
    for k in range(3) for s in (False, True) for d in (False, True)
]""",
    "distributed epochs": """
s = DistributedSampler(range(7), 2, 0, seed=4)
a = list(s)
s.set_epoch(1)
r = a, list(s), len(s)""",
    "distributed, few": "r = [list(DistributedSampler(range(2), 5, k)) for k in range(5)]",
    # datasets
    "subset": """
s = Subset(Numbers(), [0, 2, 4])
r = len(s), flat(s[1]), every(DataLoader(s, 2)), list(s.indices)""",
    "subset of a list": """
r = list(Subset([5, 6, 7], [2, 0])), every(DataLoader(Subset(range(10), [3, 1]), 2))""",
    "subset of a subset": """
r = every(DataLoader(Subset(Subset(TensorDataset(torch.arange(5)), [4, 3, 2]), [0, 2]), 2))""",
    "sum": "d = Numbers(2) + Numbers(3); r = len(d), every(DataLoader(d, 2)), flat(d[-1])",
    "sum of three": """
d = ConcatDataset([range(2), [7], range(3)])
r = [d[i] for i in range(len(d))], d.cumulative_sizes""",
    "stack": """
d = StackDataset(range(3), ['a', 'b', 'c'])
r = len(d), d[1], every(DataLoader(d, 2))""",
    "stack by name": "d = StackDataset(x=range(3), y=torch.ones(3)); r = every(DataLoader(d, 2))",
    "tensor dataset": """
d = TensorDataset(torch.arange(4), torch.ones(4))
r = len(d), flat(d[1]), flat(d[1:3]), len(d.tensors)""",
    "split": "a, b = random_split(range(10), [7, 3]); r = list(a), list(b), list(a.indices)",
    "split by fractions": "r = [list(p) for p in random_split(range(10), [0.5, 0.25, 0.25])]",
    "split, generator": """
g = torch.Generator().manual_seed(42)
r = [list(p) for p in random_split(range(10), [4, 6], generator=g)]""",
    "stream": """
r = (
    every(DataLoader(Count(), 3)),
    every(DataLoader(Count(), 3, drop_last=True)),
    every(DataLoader(Count(2), None)),
)""",
    "chain": """
d = Count(2) + Count(3)
r = every(DataLoader(d, 2)), type(d).__name__, list(ChainDataset([Count(1), Count(2)]))""",
    "endless stream": """
class Endless(IterableDataset):
    def __iter__(self):
        i = 0
        while True: yield i; i += 1
r = [flat(b) for _, b in zip(range(3), DataLoader(Endless(), 2))]""",
    # attributes
    "attributes": """
l = DataLoader(Numbers(), 3, True)
r = (
    type(l.sampler).__name__,
    type(l.batch_sampler).__name__,
    l.batch_size,
    l.drop_last,
    l.num_workers,
    len(l.dataset),
    l.sampler.replacement,
    l.timeout,
    l.pin_memory,
)""",
    "no worker": "r = get_worker_info()",
    # processes
    "workers": "r = every(DataLoader(Numbers(), 2, num_workers=2))",
    "more workers than batches": "r = every(DataLoader(Numbers(2), 2, num_workers=3))",
    "workers, shuffle": """
r = every(DataLoader(Numbers(), 2, True, num_workers=2)), torch.rand(1).tolist()""",
    "workers, stream": """
r = every(DataLoader(Count(), 2, num_workers=2)), every(DataLoader(Count(3), 2, num_workers=3))""",
    "workers, texts": "r = every(DataLoader([('a', 1), ('b', None and 0 or 2)], 2, num_workers=1))",
    "workers that stay": """
l = DataLoader(Numbers(), 2, num_workers=2, persistent_workers=True, prefetch_factor=3)
r = every(l), every(l)""",
    "workers that stay, left early": """
l = DataLoader(Numbers(), 2, num_workers=2, persistent_workers=True)
next(iter(l))
r = every(l)""",
    "streams that stay": """
l = DataLoader(Count(), 2, num_workers=2, persistent_workers=True)
r = every(l), every(l)""",
    "worker_init_fn and info": """
class Info(Numbers):
    def __getitem__(self, i):
        w = get_worker_info()
        return w.id, w.num_workers, w.dataset is self, self.n, w.seed - w.id
def init(k): get_worker_info().dataset.n = 10 + k
r = every(DataLoader(Info(4), 2, num_workers=2, worker_init_fn=init))""",
    "numbers in workers": """
class Chance(Numbers):
    def __getitem__(self, i): return torch.rand(1), random.random(), float(np.random.rand())
r = every(DataLoader(Chance(4), 1, num_workers=2))""",
    "errors in workers": """
class Bad(Numbers):
    def __getitem__(self, i):
        if i == 3: raise ValueError("sample three")
        return i
got = []
try:
    for b in DataLoader(Bad(), 2, num_workers=2): got.append(b.tolist())
except ValueError as e:
    r = got, [x in str(e) for x in ("sample three", "worker process", "Traceback")]""",
    "key errors in workers": """
r = failure(lambda: every(DataLoader(Numbers(), batch_sampler=[[{}]], num_workers=1)))""",
    "error of worker_init_fn": """
def init(k): raise RuntimeError('no')
r = failure(lambda: every(DataLoader(Numbers(), 2, num_workers=1, worker_init_fn=init)))""",
    # what PyTorch refuses
    "None in a batch": "r = failure(lambda: every(DataLoader([1, None], 2)))",
    "None first": "r = failure(lambda: every(DataLoader([None, None], 2)))",
    "unequal lists": "r = failure(lambda: every(DataLoader([[1], [1, 2]], 2)))",
    "unequal tensors": "r = failure(lambda: every(DataLoader([torch.ones(1), torch.ones(2)], 2)))",
    "batch size 0": "r = failure(lambda: DataLoader([1], 0))",
    "sampler and shuffle": "r = failure(lambda: DataLoader([1], sampler=[0], shuffle=True))",
    "batch_sampler and batch_size": "r = failure(lambda: DataLoader([1], 2, batch_sampler=[[0]]))",
    "no batches to drop": "r = failure(lambda: DataLoader([1], None, drop_last=True))",
    "stream with shuffle": "r = failure(lambda: DataLoader(Count(), shuffle=True))",
    "stream without length": "r = failure(lambda: len(DataLoader(Count(), 2)))",
    "persistent without workers": "r = failure(lambda: DataLoader([1], persistent_workers=True))",
    "negative timeout": "r = failure(lambda: DataLoader([1], timeout=-1))",
    "split that does not add up": "r = failure(lambda: random_split(range(5), [1, 2]))",
    "num_samples 0": """
r = (
    failure(lambda: RandomSampler([1], num_samples=0)),
    failure(lambda: WeightedRandomSampler([1.0], 0)),
)""",
    "rank": "r = failure(lambda: DistributedSampler([1], 2, 2))",
    "sizes": "r = failure(lambda: StackDataset([1], [1, 2])), failure(lambda: StackDataset())",
}
LOOSER = {"None in a batch", "unequal lists", "unequal tensors"}
"""PyTorch raises RuntimeError; here it is a ShapeError (ValueError) or DTypeError (TypeError)."""


@pytest.fixture
def pytorch(pytorch, monkeypatch):
    """PyTorch, which waits for less than its 5 seconds for a worker that does not end by itself."""
    monkeypatch.setattr(pytorch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
    return pytorch


def run(library: ModuleType, name: str):
    namespace = {"__name__": "client", "torch": library}
    exec(PREAMBLE.format(root=library.__name__) + PROGRAMS[name], namespace)
    return namespace["r"]


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_give_what_pytorch_gives(torch, pytorch, name):
    theirs, ours = run(pytorch, name), run(torch, name)
    assert type(ours) is type(theirs) is list if name in LOOSER else ours == theirs
