"""The state of modules: state dicts, conversion, gradients, copies."""

from __future__ import annotations

import copy
import pickle
from copy import deepcopy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError


class Net(nn.Module):
    def __init__(self):
        self.norm = nn.BatchNorm1d(3)
        self.scale = nn.Parameter(cr.ones(3))
        self.register_buffer("offset", cr.zeros(3))
        self.head = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))

    def forward(self, x):
        return self.head(self.norm(x) * self.scale + self.offset)


def test_a_write_to_an_entry_of_a_state_dict_reaches_the_module():
    net = Net()
    for value in net.state_dict().values():
        value.fill_(2)
    assert all((x == 2).all() for x in [*net.parameters(), *net.buffers()])


def test_a_copy_of_a_state_dict_is_a_snapshot_and_comes_back():
    net, other = Net(), Net()
    state = deepcopy(net.state_dict())
    before = {n: x.numpy().copy() for n, x in state.items()}
    with cr.no_grad():
        for x in [*net.parameters(), *net.buffers()]:
            x.assign(x + 1)
    for name, x in state.items():
        np.testing.assert_array_equal(x, before[name])
    report = other.load_state_dict(state)
    assert report == ([], [])
    for name, x in other.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
    with cr.no_grad():
        other.scale.assign(cr.ones(3) * 9)
    np.testing.assert_array_equal(state["scale"], before["scale"])


def test_loaded_arrays_are_copied():
    layer = nn.Linear(2, 2)
    arrays = {n: x.numpy().copy() for n, x in layer.state_dict().items()}
    layer.load_state_dict(arrays)
    arrays["weight"][:] = 99
    assert (layer.weight.detach() != 99).all()


def test_a26_f22_all_problems_in_one_error_and_the_model_unchanged():
    net = Net()
    before = {n: x.numpy().copy() for n, x in net.state_dict().items()}
    state = {n: np.ones_like(x) for n, x in before.items()}
    del state["scale"]
    state["extra"] = np.zeros(1)
    state["offset"] = np.zeros(5, np.float32)
    state["head.0.bias"] = np.zeros(2)
    state["norm.bias"] = "text"
    with pytest.raises(ArgumentError) as caught:
        net.load_state_dict(state)
    problems = (
        "missing: scale",
        "unexpected: extra",
        "offset has shape (5,), the model (3,)",
        "head.0.bias has dtype float64, the model float32",
        "norm.bias is no tensor",
    )
    for words in problems:
        assert words in str(caught.value)
    for name, x in net.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
    # Not strict: keys may differ, shapes may not.
    with pytest.raises(ArgumentError, match="offset has shape"):
        net.load_state_dict(state, strict=False)
    for name in ("offset", "head.0.bias", "norm.bias"):
        del state[name]
    report = net.load_state_dict(state, strict=False)
    assert report.missing_keys == ["scale", "offset", "norm.bias", "head.0.bias"]
    assert report.unexpected_keys == ["extra"]
    assert net.head[0].weight.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_loading_while_a_graph_is_open_leaves_its_gradients_right():
    layer = nn.Linear(2, 2)
    x = cr.ones(1, 2, requires_grad=True)
    weight = layer.weight.detach().clone()
    y = layer(x).sum()
    layer.load_state_dict({n: np.zeros_like(v) for n, v in layer.state_dict().items()})
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), weight.numpy().sum(0, keepdims=True), rtol=1e-6)


def test_conversion_and_gradients():
    net = Net().double()
    assert net.scale.dtype == cr.float64
    assert net.norm.num_batches_tracked.dtype == cr.int64
    net(cr.ones(2, 3, dtype=cr.float64)).sum().backward()
    assert net.scale.grad is not None
    net.zero_grad()
    assert net.scale.grad is None
    net.requires_grad_(False)
    assert not net.train()(cr.ones(2, 3, dtype=cr.float64)).requires_grad
    with pytest.raises(DTypeError):
        net.to(cr.int64)


def programs():
    def prefixes(lib, n):
        m, into = n.Sequential(n.Linear(1, 1), n.BatchNorm1d(1)), {}
        found = m.state_dict(prefix="net.", destination=into)
        kept = m.state_dict(keep_vars=True)
        return found is into, [*into], kept["0.weight"] is m[0].weight, [*kept]

    def a_part_with_its_own(lib, n):
        class Renamed(n.Linear):
            def state_dict(self, *args, **kwargs):
                state = super().state_dict(*args, **kwargs)
                state[kwargs.get("prefix", "") + "extra"] = lib.ones(1)
                return state

        m = n.Sequential(Renamed(1, 1), n.Linear(1, 1))
        return [*m.state_dict()], [*m[0].state_dict()]

    def extra_state(lib, n):
        class Counter(n.Module):
            count = 3

            def get_extra_state(self):
                return {"count": self.count}

            def set_extra_state(self, state):
                self.count = state["count"]

        m = n.Sequential(n.Linear(1, 1), Counter())
        state = m.state_dict()
        state["1._extra_state"] = {"count": 7}
        report = m.load_state_dict(state)
        del state["1._extra_state"]
        partly = m.load_state_dict(state, strict=False)
        return [*state], m[1].count, [*report[0]], [*partly[0]], m.state_dict()["1._extra_state"]

    def assigned(lib, n):
        m = n.Linear(2, 1)
        m.weight.requires_grad_(False)
        before, dtype = m.weight, lib.float64
        state = {"weight": lib.ones(1, 2, dtype=dtype), "bias": lib.zeros(1, dtype=dtype)}
        m.load_state_dict(state, assign=True)
        return (
            str(m.weight.dtype).split(".")[-1],
            m.weight is before,
            m.weight.requires_grad,
            m.bias.requires_grad,
            type(m.weight).__name__,
            m.weight.tolist(),
        )

    def conversions(lib, n):
        m = n.Sequential(n.Linear(1, 1), n.BatchNorm1d(1))
        m.register_buffer("mask", lib.ones(1, dtype=lib.bool), persistent=False)
        m.register_buffer("temporary", lib.ones(1), persistent=False)
        m(lib.ones(3, 1)).sum().backward()
        weight, found = m[0].weight, []
        for convert in (
            lambda: m.double(),
            lambda: m.to(lib.float32),
            lambda: m.half(),
            lambda: m.float(),
            lambda: m.to("cpu", lib.float64),
            lambda: m.to(lib.ones(1)),
            lambda: m.cpu(),
            lambda: m.to(dtype=lib.float64),
            lambda: m.to(device="cpu", non_blocking=True),
        ):
            assert convert() is m
            tensors = [weight, weight.grad, m.mask, m.temporary, m[1].num_batches_tracked]
            found.append([str(x.dtype).split(".")[-1] for x in tensors])
        return found, m[0].weight is weight

    def gradients(lib, n):
        m = n.Linear(1, 1)
        m(lib.ones(1, 1)).backward()
        kept = m.weight.grad
        m.zero_grad(set_to_none=False)
        zeros = m.weight.grad.tolist(), kept.tolist()
        m.zero_grad()
        m.requires_grad_(False)
        return zeros, m.weight.grad, m(lib.ones(1, 1)).requires_grad

    return [prefixes, a_part_with_its_own, extra_state, assigned, conversions, gradients]


@pytest.mark.parity
@pytest.mark.parametrize("program", programs(), ids=lambda p: p.__name__)
def test_state_is_pytorchs(program, same):
    same(program)


def test_a_shallow_copy_shares_parts_and_nothing_else():
    layer = nn.Linear(1, 1)
    twin = copy.copy(layer)
    assert twin.weight is layer.weight
    twin.extra, twin.bias = nn.ReLU(), None
    assert [n for n, _ in layer.named_children()] == []
    assert [*layer.state_dict()] == ["weight", "bias"]
    slope = nn.LeakyReLU(0.1)
    other = copy.copy(slope)
    other.negative_slope = 0.5
    assert slope.negative_slope == 0.1


def test_what_hooks_leave_wrong_is_put_back():
    layer = nn.Linear(1, 1)
    before = layer.weight.tolist()
    layer.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.append("more"))
    with pytest.raises(ArgumentError, match="missing: more"):
        layer.load_state_dict({name: x + 1 for name, x in layer.state_dict().items()})
    assert layer.weight.tolist() == before


def test_a_path_is_no_state():
    with pytest.raises(DTypeError, match=r"cr\.load\(path\)"):
        nn.Linear(1, 1).load_state_dict("weights.cr")


@pytest.mark.parity
def test_a_parameter_is_an_alias_of_the_tensor_it_is_made_of(same):
    def program(lib, n):
        a, b, c = lib.ones(2), lib.ones(2), lib.ones(2)
        m = n.Module()
        m.w, m.b = n.Parameter(a), n.Buffer(b)
        m.register_buffer("c", c)
        for x in (a, b, c):
            x.add_(1)
        with lib.no_grad():
            m.w.mul_(3)
        m.b.mul_(5)
        return m.w.tolist(), m.b.tolist(), m.c.tolist(), a.tolist(), b.tolist(), m.c is c

    same(program)


@pytest.mark.parity
def test_conversion_parts_aliases(same):
    def program(lib, n):
        m = n.Linear(2, 2)
        state = m.state_dict()
        m.double()
        with lib.no_grad():
            m.weight.fill_(1)
            state["weight"].fill_(7)
        kinds = [str(x.dtype).split(".")[-1] for x in (m.weight, state["weight"])]
        return m.weight.tolist(), state["weight"].tolist(), kinds

    same(program)


def test_a_buffer_of_others_keeps_its_dtype():
    mean = cr.ones(1)
    module = nn.Module()
    module.register_buffer("mean", mean)
    module.double()
    assert mean.dtype == cr.float32
    assert module.mean.dtype == cr.float64


@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(way):
    model = Net()
    model.head[0].weight.requires_grad_(False)
    model.extra = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    model.extra.tied = model.extra[0]
    model.register_buffer("later", None)
    model.eval()
    twin = way(model)
    assert repr(twin) == repr(model)
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert [*twin.state_dict()] == [*model.state_dict()]
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name], x)
    assert not twin.head[0].weight.requires_grad
    assert not twin.training
    assert twin.extra.tied is twin.extra[0]
    assert type(twin.scale) is nn.Parameter
    with cr.no_grad():
        twin.scale.assign(cr.zeros(3))
    assert model.scale.tolist() == [1, 1, 1]
    twin.later = cr.ones(1)
    assert "later" in twin.state_dict()
    x = cr.ones(2, 3)
    np.testing.assert_array_equal(way(model)(x).detach(), model(x).detach())


def test_entries_under_other_names():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    other = {f"fc{k[0]}{k[1:]}": v.numpy() + 1 for k, v in net.state_dict().items()}
    wanted = [x + 1 for x in net.state_dict().values()]
    report = net.load_state_dict({**other, "step": np.float32(3)}, rename=of_file)
    assert report == ([], [])
    for found, expected in zip(net.state_dict().values(), wanted, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())
    part = {"fc0.weight": other["fc0.weight"], "more": np.float32(1)}
    report = net.load_state_dict(part, strict=False, rename={"fc0.weight": "0.weight"})
    assert report == (["0.bias", "1.weight", "1.bias"], ["more"])
    with pytest.raises(ValueError, match=r"two entries the name '0\.weight', one of them 'more'"):
        net.load_state_dict(part, rename=lambda key: "0.weight")


def of_file(key):
    return None if key == "step" else key.removeprefix("fc")
