"""Tensors made, and made anew in place: what PyTorch makes, by PyTorch's names and keywords."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.torch.adapter.absent import MissingNameError

pytestmark = pytest.mark.parity

CALLS = {
    "arange end": lambda t: t.arange(5),
    "arange floats": lambda t: t.arange(1.0, 2.0, 0.125, dtype=t.float64),
    "arange keywords": lambda t: t.arange(start=0, end=4, step=2),
    "arange end alone": lambda t: t.arange(end=3.0),
    "arange down": lambda t: t.arange(5, 0, -2),
    "arange of a tensor": lambda t: t.arange(t.tensor(3)),
    "arange dtype": lambda t: t.arange(0, 3, dtype=t.float32, requires_grad=True),
    "range": lambda t: t.range(1, 4),
    "range of steps": lambda t: t.range(0, 1, 0.25),
    "linspace": lambda t: t.linspace(-3, 10, 23),
    "linspace of one": lambda t: t.linspace(3, 10, steps=1),
    "linspace of integers": lambda t: t.linspace(0, 10, 7, dtype=t.int64),
    "logspace": lambda t: t.logspace(-1, 2, 7, base=2, dtype=t.float64),
    "full": lambda t: t.full((2, 3), 1.5),
    "full size": lambda t: t.full(size=(2,), fill_value=3),
    "full_like": lambda t: t.full_like(t.ones(2, dtype=t.int64), 3),
    "zeros size": lambda t: t.zeros(size=(2, 3), dtype=t.long, device="cpu"),
    "empty_like": lambda t: t.zeros_like(t.empty_like(t.ones(2, 3), dtype=t.float64)),
    "ones_like": lambda t: t.ones_like(input=t.zeros(2), dtype=t.int32, requires_grad=False),
    "eye": lambda t: t.eye(2, m=3, requires_grad=True),
    "scalar_tensor": lambda t: t.scalar_tensor(3),
    "as_tensor": lambda t: t.as_tensor([1, 2.5], dtype=t.float64),
    "as_tensor of an array": lambda t: t.as_tensor(np.arange(3)),
    "asarray": lambda t: t.asarray([True, False]),
    "frombuffer": lambda t: t.frombuffer(bytearray(b"\1\2\3"), dtype=t.uint8, offset=1),
    "vander": lambda t: t.vander(t.tensor([1.0, 2.0, 3.0]), 4),
    "vander increasing": lambda t: t.vander(t.tensor([1, 2, 3]), increasing=True),
    "new_zeros": lambda t: t.ones(2, dtype=t.float64).new_zeros(2, 3),
    "new_zeros size": lambda t: t.ones(2).new_zeros(size=(2, 3), dtype=t.int64),
    "new_ones": lambda t: t.ones(2, dtype=t.int32).new_ones((2,), requires_grad=False),
    "new_full": lambda t: t.ones(2).new_full((2, 2), 3, device="cpu"),
    "new_empty": lambda t: t.ones(2, dtype=t.float16).new_empty(0, 3),
    "new_tensor": lambda t: t.ones(2, dtype=t.int8).new_tensor([[0, 1], [2, 3]]),
    "new_tensor of integers": lambda t: t.ones(2).new_tensor([1, 2], requires_grad=True),
    "new": lambda t: t.ones(2, dtype=t.float64).new(2, 3).zero_(),
    "new of numbers": lambda t: t.ones(2).new([1, 2]),
    "clamp_min": lambda t: t.clamp_min(t.arange(4.0), 1.5),
    "clamp_max_": lambda t: t.arange(4.0).clamp_max_(1.5),
    "clamp_min of a tensor": lambda t: t.arange(4.0).clamp_min(t.tensor([2.0, 0, 5, 0])),
    "nonzero": lambda t: t.nonzero(t.tensor([[1, 0], [0, 2]])),
    "nonzero as_tuple": lambda t: t.tensor([[1, 0], [0, 2]]).nonzero(as_tuple=True),
    "nonzero of a number": lambda t: t.nonzero(t.tensor(3.0)),
    "nonzero of a number as_tuple": lambda t: t.tensor(3).nonzero(as_tuple=True),
    "round decimals": lambda t: t.tensor([1.2345, -2.355, 0.5]).round(decimals=2),
    "round tens": lambda t: t.round(t.tensor([123.0, -155.0]), decimals=-1),
    "round_": lambda t: t.tensor([1.25, 2.75]).round_(decimals=1),
    "split": lambda t: t.split(t.arange(5), split_size_or_sections=2),
    "split of sizes": lambda t: t.split(tensor=t.arange(5), split_size_or_sections=[1, 4]),
    "det": lambda t: t.det(t.tensor([[1.0, 2.0], [3.0, 5.0]])),
    "x.det": lambda t: t.eye(2).det(),
    "inverse": lambda t: t.inverse(input=t.tensor([[2.0, 0.0], [0.0, 4.0]])),
    "slogdet": lambda t: t.slogdet(t.tensor([[0.0, 1.0], [1.0, 0.0]])),
    "logdet": lambda t: t.logdet(t.stack([t.eye(2), -t.eye(3)[:2, :2] * t.tensor([1, -1])])),
    "matrix_power": lambda t: t.eye(2).mul(2).matrix_power(3),
    "real": lambda t: t.real(t.ones(2)) + t.ones(2).real + t.conj(t.ones(2)),
    "byte": lambda t: (t.arange(3).byte(), t.arange(3).char(), t.arange(3).short()),
    "detach": lambda t: t.detach(t.ones(2, requires_grad=True)),
    "zero_": lambda t: t.zero_(t.ones(2)),
    "exp_ of torch": lambda t: t.exp_(t.zeros(2)),
    "arccos_": lambda t: t.ones(2).arccos_(),
    "clip_ of torch": lambda t: t.clip_(t.arange(3.0), 1),
    "float_power_": lambda t: t.ones(2, dtype=t.float64).float_power_(3),
    "fill_diagonal_": lambda t: t.zeros(5, 3).fill_diagonal_(7, wrap=True),
    "fill_diagonal_ of three": lambda t: t.zeros(2, 2, 2).fill_diagonal_(7),
    "apply_": lambda t: t.arange(3.0).apply_(lambda v: v * 2 + 1),
    "unsqueeze_": lambda t: t.ones(2).unsqueeze_(-1),
    "squeeze_": lambda t: t.ones(1, 2, 1).squeeze_(),
    "squeeze_ of one": lambda t: t.ones(1, 2, 1).squeeze_(0),
    "t_": lambda t: t.arange(6).view(2, 3).t_(),
    "t_ of a vector": lambda t: t.arange(3).t_(),
    "transpose_": lambda t: t.arange(6).view(1, 2, 3).transpose_(0, 2),
    "swapaxes_": lambda t: t.arange(6).view(1, 2, 3).swapaxes_(1, 2),
    "sizes": lambda t: (t.ones(2).ndimension(), t.ones(2).is_same_size(t.ones(2, 1))),
    "storage_offset": lambda t: t.arange(12).view(3, 4)[1:, 2].storage_offset(),
    "storage_offset of all": lambda t: t.arange(12)[2:][3:].view(7, 1).storage_offset(),
    "device of a generator": lambda t: str(t.Generator(device=t.device("cpu")).device),
}


def flat(result):
    return (
        [leaf for part in result for leaf in flat(part)] if isinstance(result, tuple) else [result]
    )


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore:torch.range is deprecated")
def test_what_is_made(torch, pytorch, name):
    for ours, theirs in zip(flat(CALLS[name](torch)), flat(CALLS[name](pytorch)), strict=True):
        if not isinstance(theirs, pytorch.Tensor):
            assert ours == theirs
            continue
        assert (str(ours.dtype), tuple(ours.shape)) == (str(theirs.dtype), tuple(theirs.shape))
        assert ours.requires_grad == theirs.requires_grad
        np.testing.assert_array_equal(ours.detach().numpy(), theirs.detach().numpy())


REFUSED = {
    "arange without an end": lambda t: t.arange(),
    "arange of step 0": lambda t: t.arange(0, 3, 0),
    "a negative size": lambda t: t.zeros(-1),
    "randint of nothing": lambda t: t.randint(3, 3, (2,)),
    "randint without a size": lambda t: t.randint(3),
    "a negative deviation": lambda t: t.empty(2).normal_(0, -1),
    "a negative deviation of a tensor": lambda t: t.normal(t.zeros(2), -t.ones(2)),
    "an empty range": lambda t: t.empty(2).uniform_(2, 1),
    "a rate of 0": lambda t: t.empty(2).exponential_(0),
    "a probability of 1": lambda t: t.empty(2).geometric_(1),
    "a probability of 2": lambda t: t.bernoulli(t.full((2,), 2.0)),
    "whole probabilities": lambda t: t.bernoulli(t.ones(2, dtype=t.int64)),
    "rand of integers": lambda t: t.rand(2, dtype=t.int64),
    "normal_ of integers": lambda t: t.zeros(2, dtype=t.int64).normal_(),
    "a negative rate": lambda t: t.poisson(-t.ones(2)),
    "more samples than positions": lambda t: t.multinomial(t.ones(2), 3),
    "no samples": lambda t: t.multinomial(t.ones(2), 0),
    "a negative weight": lambda t: t.multinomial(t.tensor([1.0, -1.0]), 1),
    "weights of 0": lambda t: t.multinomial(t.zeros(2), 1),
    "weights of three dimensions": lambda t: t.multinomial(t.ones(1, 1, 2), 1),
    "float_power_ of float32": lambda t: t.ones(2).float_power_(2),
    "t_ of three dimensions": lambda t: t.ones(1, 1, 1).t_(),
    "a leaf reshaped": lambda t: t.ones(1, 2, requires_grad=True).squeeze_(),
    "a leaf filled": lambda t: t.ones(2, requires_grad=True).normal_(),
    "the imaginary part": lambda t: t.ones(2).imag,
    "maximum_": lambda t: t.ones(2).maximum_(t.ones(2)),
    "logaddexp_": lambda t: t.ones(2).logaddexp_(t.ones(2)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_both_refuse(torch, pytorch, name):
    for t in (pytorch, torch):
        with pytest.raises((RuntimeError, ValueError, TypeError, IndexError, AttributeError)):
            REFUSED[name](t)


@pytest.mark.parametrize("name", ["resize_", "set_", "imag", "storage"])
def test_what_memory_alone_explains_is_refused_with_advice(torch, name):
    with pytest.raises(MissingNameError, match=rf"torch.Tensor.{name} is PyTorch's.*\. "):
        getattr(torch.ones(2), name)


def test_a_module_on_no_device_stays(torch):
    layer = torch.nn.Linear(2, 2)
    assert layer.to_empty(device="cpu") is layer


def test_backward_by_its_old_keyword(torch):
    x = torch.ones(1, requires_grad=True)
    y = x * 2
    y.backward(retain_variables=True)
    y.backward()
    assert x.grad.tolist() == [4.0]


def test_as_tensor_shares_what_it_can(torch):
    array = np.zeros(2, np.float32)
    x = torch.as_tensor(array)
    array[0] = 3
    assert x.tolist() == [3.0, 0.0] and torch.as_tensor(x) is x
    assert torch.asarray(array, copy=True).tolist() == [3.0, 0.0]
    with pytest.raises(RuntimeError, match=r"cr\.tensor"):
        x.add_(1)


def change_shape(t):
    """Views, detached tensors and bases of tensors that change their shape in place."""
    x = t.arange(4.0).view(2, 2)
    row, same, base = x[0], x.detach(), x.view(-1)
    x.unsqueeze_(0)
    x.add_(1)
    row.mul_(10)
    x.transpose_(1, 2)
    x[0, 1, 0] = -1
    yield from (x, row, same, base)
    x.squeeze_(0).t_()
    same.zero_()
    yield from (x, row, same, base)
    w = t.ones(3, requires_grad=True)
    y = w * t.arange(3.0)
    y.unsqueeze_(1)
    z = y.t_().exp()
    z.sum().backward()
    yield w.grad
    with t.no_grad():
        w.unsqueeze_(0)
    yield (w * 2).detach()
    yield t.tensor(w.requires_grad and w.is_leaf)
    v = w * 2
    v.detach_()
    yield v


def test_aliases_of_a_tensor_that_changes_its_shape(torch, pytorch):
    def detach_a_view(t):
        return (t.ones(2, requires_grad=True) * 2)[0].detach_()

    for ours, theirs in zip(change_shape(torch), change_shape(pytorch), strict=True):
        assert ours.tolist() == theirs.tolist()
    for t in (torch, pytorch):
        with pytest.raises(RuntimeError):
            detach_a_view(t)


def test_shapes_change_in_captured_functions_too():
    def step(x):
        y = x * 2
        y.unsqueeze_(0).add_(1)
        return y.t_()

    x = cr.tensor([1.0, 2.0])
    assert cr.compile(step)(x).tolist() == step(x).tolist() == [[3.0], [5.0]]
    outside = cr.ones(1, 2)
    with pytest.raises(RuntimeError, match="cannot change the shape of a tensor from outside"):
        cr.compile(lambda x: x + outside.squeeze_())(x)
    assert outside.shape == (1, 2)
