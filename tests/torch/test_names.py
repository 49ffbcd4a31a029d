"""Names of PyTorch's: which object each of them is, and what is said of those that are not here."""

from __future__ import annotations

import importlib
import sys

import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.torch.adapter import absent
from chainrule.torch.adapter.absent import (
    MissingModuleError,
    MissingNameError,
    NoAcceleratorError,
    NotOfferedError,
)


@pytest.mark.parametrize("name", [n for n in nn.__all__ if isinstance(getattr(nn, n), type)])
def test_every_layer_is_the_package_own(torch, name):
    assert getattr(torch.nn, name) is getattr(nn, name)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Optimizer"])
def test_every_optimizer_is_the_package_own(torch, name):
    assert getattr(torch.optim, name) is getattr(optim, name)


def test_a_name_added_to_the_package_is_found_without_a_change(torch, monkeypatch):
    class Quaver(nn.Module):
        pass

    monkeypatch.setattr(nn, "Quaver", Quaver, raising=False)
    assert torch.nn.Quaver is Quaver
    del vars(torch.nn)["Quaver"]


@pytest.mark.parametrize("name", ["relu_", "leaky_relu_", "celu_", "selu_", "elu_", "hardtanh_"])
def test_functions_in_place_write_into_their_input(torch, pytorch, name):
    for t in (torch, pytorch):
        x = t.tensor([-2.0, 0.5])
        assert getattr(t.nn.functional, name)(x) is x
        assert x.tolist() == getattr(t.nn.functional, name[:-1])(t.tensor([-2.0, 0.5])).tolist()
    assert torch.relu_(x := torch.tensor([-1.0])) is x
    with pytest.raises(MissingNameError, match="linear_"):
        torch.nn.functional.linear_  # noqa: B018


@pytest.mark.parametrize(
    "path",
    [
        "nn.functional",
        "nn.init",
        "nn.utils.rnn",
        "nn.parameter",
        "optim.lr_scheduler",
        "utils.data",
        "utils.checkpoint",
        "autograd",
        "autograd.functional",
        "cuda",
        "cuda.amp",
        "backends.cudnn",
        "backends.mps",
        "mps",
        "accelerator",
        "amp",
        "distributions",
        "linalg",
        "func",
        "jit",
        "fx",
        "distributed",
        "nn.parallel",
        "random",
        "testing",
        "special",
        "nn.modules.linear",
        "optim.adam",
        "utils.data.dataset",
        "distributions.normal",
        "serialization",
        "multiprocessing",
        "version",
    ],
)
def test_every_path_of_pytorch_can_be_imported(path):
    module = importlib.import_module(f"chainrule.torch.{path}")
    assert sys.modules[f"chainrule.torch.{path}"] is module


def test_a_deep_path_shows_what_is_above_it():
    linear = importlib.import_module("chainrule.torch.nn.modules.linear")
    dataset = importlib.import_module("chainrule.torch.utils.data.dataset")
    assert linear.Linear is nn.Linear
    assert dataset.Dataset is cr.data.Dataset


def test_a_name_that_pytorch_has_and_chainrule_has_not(torch):
    with pytest.raises(MissingNameError, match=r"torch.fft.rfft is PyTorch's.*numpy.fft"):
        torch.fft.rfft  # noqa: B018
    assert not hasattr(torch, "sparse_coo_tensor")


MADE = {
    # name of a class: an object whose attributes are looked at
    "Generator": lambda t: t.Generator(),
    "Size": lambda t: t.Size([2]),
    "Tensor": lambda t: t.ones(1, 1),
    "amp.GradScaler": lambda t: t.amp.GradScaler(),
    "distributions.Distribution": lambda t: t.distributions.Normal(0.0, 1.0),
    "nn.Module": lambda t: t.nn.Module(),
    "nn.utils.rnn.PackedSequence": lambda t: t.nn.utils.rnn.pack_sequence([t.ones(1)]),
    "optim.Optimizer": lambda t: t.optim.SGD([t.ones(1, requires_grad=True)], lr=1.0),
    "optim.lr_scheduler.LRScheduler": lambda t: t.optim.lr_scheduler.StepLR(
        t.optim.SGD([t.ones(1, requires_grad=True)], lr=1.0), 1
    ),
    "utils.data.DataLoader": lambda t: t.utils.data.DataLoader([1]),
}


@pytest.mark.parametrize("owner", [o for o, names in absent.public_names().items() if names])
def test_every_name_of_pytorch_is_here_or_says_what_to_use(torch, owner):
    path = owner.removeprefix("torch").removeprefix(".")
    holder = MADE[path](torch) if path in MADE else importlib.import_module(f"chainrule.{owner}")
    assert path in MADE or not path.rpartition(".")[2][:1].isupper()
    for name in absent.public_names()[owner]:
        try:
            getattr(holder, name)
        except MissingNameError as error:
            assert error.instead, name


def test_a_misspelt_name_is_told_from_one_that_pytorch_has(torch):
    with pytest.raises(MissingNameError, match=r"neither.*torch.zeroes.*zeros"):
        torch.zeroes(2)
    with pytest.raises(MissingNameError, match=r"torch.Tensor.reshap.*reshape"):
        torch.ones(2).reshap(1, 2)


def test_imports_of_what_is_missing_say_so_too():
    with pytest.raises(MissingModuleError, match=r"nor Chainrule has torch\.nets"):
        importlib.import_module("chainrule.torch.nets")
    with pytest.raises(MissingModuleError, match=r"torch\.nn\.Transformed"):
        from chainrule.torch.nn import Transformed  # noqa: F401
    with pytest.raises(ImportError, match=r"numpy\.fft"):
        from chainrule.torch.fft import rfft  # noqa: F401


def test_ranks_are_those_of_mpi():
    from chainrule.torch import distributed
    from chainrule.torch.nn.parallel import DistributedDataParallel

    with pytest.raises(cr.errors.ArgumentError, match="init_process_group"):
        distributed.get_rank()
    with pytest.raises(cr.errors.ArgumentError, match=r"talk over MPI.*mpiexec"):
        distributed.init_process_group("gloo")
    with pytest.raises(cr.errors.ArgumentError, match="started another world_size; given: 2"):
        distributed.init_process_group("mpi", world_size=2, rank=0)
    distributed.init_process_group("mpi")
    x = cr.tensor([1.0, 2.0])
    for op in distributed.ReduceOp:
        distributed.all_reduce(x, op)
    parts = [cr.zeros(2)]
    distributed.all_gather(parts, x)
    distributed.broadcast(x, src=0)
    assert (distributed.get_rank(), distributed.get_world_size()) == (0, 1)
    assert x.tolist() == parts[0].tolist() == [1.0, 2.0]
    model = DistributedDataParallel(nn.Linear(2, 1), device_ids=None)
    with model.no_sync():
        model(x).sum().backward()
    assert [*model.state_dict()] == ["module.weight", "module.bias"]
    assert model.module.weight.grad.tolist() == [[1.0, 2.0]]
    distributed.destroy_process_group()
    assert not distributed.is_initialized()
    with pytest.raises(NotOfferedError, match="one group that exchanges tensors"):
        distributed.FileStore("f")


def test_the_gpu_is_not_there(torch):
    assert not torch.cuda.is_available() and torch.cuda.device_count() == 0
    assert not torch.backends.mps.is_available() and torch.accelerator.device_count() == 0
    torch.cuda.manual_seed_all(1)
    torch.backends.cudnn.benchmark = True
    for order in (
        torch.cuda.synchronize,
        torch.cuda.get_device_name,
        torch.ones(1).cuda,
        nn.Linear(1, 1).cuda,
        lambda: torch.ones(1, device="cuda"),
        lambda: torch.ones(1).to(0),
        lambda: nn.Linear(1, 1).to("cuda:1"),
        lambda: torch.set_default_device("mps"),
    ):
        with pytest.raises(NoAcceleratorError, match="CPU"):
            order()
    with pytest.raises(AssertionError):
        torch.ones(1).cuda()


def test_the_import_of_the_package_does_not_load_it(python):
    done = python("-c", "import chainrule, sys; print('chainrule.torch' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parity
def test_the_list_of_names_is_pytorchs(python):
    pytest.importorskip("torch")
    code = "import pytorch_names as n; print(n.text() == n.FILE.read_text(encoding='utf-8'))"
    done = python("-c", code, cwd="tests/torch")
    assert done.stdout == "True\n", f"python tests/torch/pytorch_names.py writes it: {done.stderr}"


def test_no_advice_is_on_a_name_that_pytorch_lacks():
    known = absent.public_names()
    for dotted in absent.ADVICE:
        owner, _, name = dotted.rpartition(".")
        assert dotted in known or name in known[owner], dotted
