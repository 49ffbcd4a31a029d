"""The parts of modules are set, named, found and refused as in PyTorch, and never lost silently."""

from __future__ import annotations

import collections
import dataclasses
import functools
import types

import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError, UnknownNameError


def names(module):
    return {
        kind: [name for name, _ in getattr(module, f"named_{kind}")()]
        for kind in ("parameters", "buffers", "children", "modules")
    } | {"state": list(module.state_dict())}


# -- setting ---------------------------------------------------------------------------------------


def programs_that_set_parts():
    def none_first(lib, n):
        m = n.Module()
        m.a = None
        m.b = n.Linear(1, 1)
        m.a = n.Linear(1, 1)
        return names(m)

    def registered_none(lib, n):
        m = n.Module()
        m.register_parameter("w", None)
        m.add_module("inner", None)
        m.register_buffer("b", None)
        m.register_buffer("t", None, persistent=False)
        m.last = n.Parameter(lib.ones(1))
        before = names(m)
        m.w, m.inner, m.b, m.t = n.Parameter(lib.ones(1)), n.ReLU(), lib.ones(1), lib.zeros(1)
        return before, names(m)

    def other_kinds(lib, n):
        m = n.Module()
        m.x, m.y, m.z = 3, n.Parameter(lib.ones(1)), n.ReLU()
        m.x = n.Parameter(lib.zeros(1))
        m.register_buffer("b", lib.ones(2))
        m.b = n.Parameter(lib.ones(2))
        m.z = n.Parameter(lib.ones(2))
        return names(m)

    def buffers(lib, n):
        m = n.Module()
        m.b = n.Buffer(lib.ones(2))
        m.t = n.Buffer(lib.ones(2), persistent=False)
        m.plain = lib.ones(2)
        m.b = m.b * 2
        m.t = m.t + m.b
        return names(m), m.b.tolist(), m.t.tolist()

    def deleted(lib, n):
        m = n.Linear(2, 2)
        m.extra = n.ReLU()
        del m.bias, m.extra
        m.bias = n.Parameter(lib.ones(2))
        return names(m), hasattr(m, "extra")

    def shared(lib, n):
        m = n.Module()
        m.a = n.Linear(2, 2)
        m.again, m.c = m.a, n.Linear(2, 2)
        m.c.weight = m.a.weight
        every = [n for n, _ in m.named_parameters(remove_duplicate=False)]
        modules = [n for n, _ in m.named_modules(remove_duplicate=False)]
        return names(m), every, modules, [n for n, _ in m.named_modules(prefix="net")]

    def paths(lib, n):
        m = n.Sequential(n.Linear(2, 3), n.Sequential(n.BatchNorm1d(3), n.ReLU()))
        m.set_submodule("1.1", n.Tanh())
        tensors = m.get_parameter("0.weight"), m.get_buffer("1.0.running_var")
        kind = type(m.get_submodule("1.1")).__name__
        return kind, [tuple(x.shape) for x in tensors], m.get_submodule("") is m

    def looking(lib, n):
        m = n.Sequential(n.Linear(2, 3), n.ReLU())
        m.own = n.Parameter(lib.ones(1))
        return "own" in dir(m), "0" in dir(m), [n for n, _ in m.named_parameters(recurse=False)]

    return [none_first, registered_none, other_kinds, buffers, deleted, shared, paths, looking]


@pytest.mark.parity
@pytest.mark.parametrize("program", programs_that_set_parts(), ids=lambda p: p.__name__)
def test_parts_are_pytorchs(program, same):
    same(program)


def test_a_name_keeps_its_kind():
    class Net(nn.Module):
        def __init__(self):
            self.layer, self.weight = nn.ReLU(), nn.Parameter(cr.ones(1))
            self.register_buffer("mean", cr.ones(1))

    net = Net()
    for name, value, words in (
        ("weight", cr.ones(1), r"weight\.assign"),
        ("weight", 3, "parameter"),
        ("layer", lambda x: x, "a module, or None"),
        ("mean", 1.0, "a tensor, or None"),
    ):
        with pytest.raises(DTypeError, match=words):
            setattr(net, name, value)
    del net.layer
    net.layer = 3
    assert names(net)["children"] == []


@pytest.mark.parametrize("name", ["", "a.b", "forward", "training", "plain", 3])
def test_names_that_would_hide_something(name):
    module = nn.Module()
    module.plain = 1
    for register, value in (
        (module.register_buffer, cr.ones(1)),
        (module.add_module, nn.ReLU()),
        (module.register_parameter, nn.Parameter(cr.ones(1))),
    ):
        with pytest.raises(ArgumentError, match="cannot name"):
            register(name, value)
    assert names(module)["state"] == []


def test_values_that_are_no_parts():
    module = nn.Module()
    for register, value in (
        (module.register_buffer, [1.0]),
        (module.add_module, nn.ReLU),
        (module.register_parameter, cr.ones(1)),
    ):
        with pytest.raises(DTypeError):
            register("x", value)


def test_what_is_not_there_is_named():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(AttributeError, match="Sequential has no attribute 'linear'"):
        model.linear  # noqa: B018
    with pytest.raises(AttributeError, match=r"leave \.cuda\(\) out"):
        model.cuda()
    with pytest.raises(UnknownNameError, match=r"no module '1'.*path '1\.0'.*one of 0"):
        model.get_submodule("1.0")
    with pytest.raises(UnknownNameError, match="no parameter 'scale'"):
        model.get_parameter("0.scale")
    assert not hasattr(model, "linear")


def test_an_error_in_a_property_is_not_hidden():
    class Net(nn.Module):
        @property
        def size(self):
            return {}.size

    with pytest.raises(AttributeError, match="'dict' object has no attribute 'size'"):
        Net().size  # noqa: B018


# -- what attributes hide --------------------------------------------------------------------------


class NoModule:
    def __init__(self, part):
        self.part = part


class Slots:
    __slots__ = ("part",)

    def __init__(self, part):
        self.part = part


@dataclasses.dataclass
class Pair:
    left: object
    right: object = None


Named = collections.namedtuple("Named", "part")
HOLDERS = [
    lambda x: [x],
    lambda x: (x,),
    lambda x: {"a": x},
    lambda x: {x: 1},
    lambda x: {x},
    lambda x: frozenset([x]),
    lambda x: collections.deque([x]),
    lambda x: [[[x]]],
    lambda x: [(1, x)],
    lambda x: {"a": [{"b": (x,)}]},
    lambda x: collections.OrderedDict(a=x),
    lambda x: collections.defaultdict(list, a=[x]),
    lambda x: Named(x),
    Slots,
    lambda x: types.MappingProxyType({"a": x}),
    lambda x: {"a": x}.values(),
    lambda x: iter([x]),
]
OBJECTS = [
    NoModule,
    Pair,
    lambda x: types.SimpleNamespace(x=x),
    lambda x: [NoModule([x])],
    lambda x: functools.partial(x),
    lambda x: collections.UserList([x]),
    lambda x: functools.partial(print, [x]),
    lambda x: x.__call__,
]


def holding(value):
    net = nn.Module()
    net.head, net.parts = nn.Linear(1, 1), value
    return nn.Sequential(net)


QUESTIONS = [
    lambda m: [*m.parameters()],
    lambda m: [*m.named_modules()],
    lambda m: m.state_dict(),
    lambda m: m.load_state_dict({}),
    lambda m: [*m.buffers()],
    lambda m: m.double(),
]


@pytest.mark.parametrize("hold", HOLDERS + OBJECTS)
@pytest.mark.parametrize("ask", QUESTIONS)
def test_layers_to_train_are_never_lost(hold, ask):
    model = holding(hold(nn.Linear(1, 1)))
    with pytest.raises(DTypeError, match=r"0\.parts holds a Linear"):
        ask(model)


@pytest.mark.parametrize("hold", HOLDERS)
def test_layers_without_parameters_are_not_lost_in_containers(hold):
    with pytest.raises(DTypeError, match=r"0\.parts holds a Dropout"):
        [*holding(hold(nn.Dropout())).parameters()]


def test_layers_without_state_may_stay_in_containers():
    class Moody(nn.Module):
        def forward(self, x):
            return x if self.training else -x

    net = nn.Module()
    net.functions = [nn.ReLU(), {"a": nn.Sequential(nn.Softmax(-1), nn.MaxPool1d(2))}]
    assert not [*net.parameters()]
    net.functions.append(Moody())
    with pytest.raises(DTypeError, match="functions holds a Moody"):
        [*net.parameters()]


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ([nn.Dropout()], r"nn\.ModuleList"),
        ({"a": nn.BatchNorm1d(2, affine=False)}, r"nn\.ModuleDict"),
        ([nn.Parameter(cr.ones(1))], r"nn\.ParameterList"),
        ({"a": nn.Parameter(cr.ones(1))}, r"nn\.ParameterDict"),
        (NoModule(nn.Linear(1, 1)), r"NoModule derive from nn\.Module"),
    ],
)
def test_the_message_says_what_to_write(value, fix):
    with pytest.raises(DTypeError, match=fix):
        [*holding(value).parameters()]


def test_class_attributes_are_looked_at_too():
    class Net(nn.Module):
        layer = nn.Linear(1, 1)

    with pytest.raises(DTypeError, match=r"self\.layer = \.\.\."):
        [*Net().parameters()]


def test_what_is_appended_later_is_noticed():
    model = holding([])
    assert len([*model.parameters()]) == 2
    model[0].parts.append(nn.Linear(1, 1))
    with pytest.raises(DTypeError, match="parts"):
        [*model.parameters()]


def test_what_may_be_held():
    """Registered elsewhere, frozen, an owner, or nothing to train."""
    layer, teacher = nn.Linear(1, 1), nn.Linear(2, 2).requires_grad_(False)
    net = nn.Module()
    net.layer, net.pairs = layer, [(layer, layer.weight), {"again": nn.Sequential(layer)}]
    net.teacher, net.bound = [teacher], layer.forward
    net.later, net.loss = lambda: nn.Linear(1, 1), NoModule(nn.MSELoss())
    net.child = nn.ReLU()
    net.child.owner = [net]
    net.cycle = {"self": net}
    net.cycle["cycle"] = net.cycle
    assert names(net)["parameters"] == ["layer.weight", "layer.bias"]
    assert names(net.child)["modules"] == [""]


def test_looking_runs_no_code_of_others():
    class Strange(list):
        def __iter__(self):
            raise RuntimeError("iterated")

    model = holding(Strange([1, [2]]))
    assert len([*model.parameters()]) == 2


# -- modes and walks -------------------------------------------------------------------------------


@pytest.mark.parity
def test_a_part_may_set_its_own_mode(same):
    def program(lib, n):
        class Frozen(n.Module):
            def __init__(self):
                super().__init__()
                self.norm = n.BatchNorm1d(2)

            def train(self, mode=True):
                super().train(mode)
                self.norm.eval()
                return self

        m = n.Sequential(n.Sequential(Frozen(), n.Dropout()), n.ReLU())
        m.train()
        modes = [(name, x.training) for name, x in m.named_modules()]
        return modes, any(x.training for x in m.eval().modules())

    same(program)


def test_the_mode_is_a_boolean():
    with pytest.raises(ArgumentError, match="True"):
        nn.ReLU().train("eval")


@pytest.mark.parity
def test_apply_and_changes_on_the_way(same):
    def program(lib, n):
        seen = []
        m = n.Sequential(n.Linear(1, 1), n.Sequential(n.ReLU(), n.Tanh()), n.Sigmoid())
        m[1].again = m[0]
        assert m.apply(lambda x: seen.append(type(x).__name__)) is m
        return seen

    same(program)


def test_a_model_nested_very_deeply():
    model = nn.Linear(1, 1)
    for _ in range(3000):
        model = nn.Sequential(model)
    assert len([*model.modules()]) == 3001
    assert not any(m.training for m in model.eval().modules())
    assert len(repr(model).split("\n")) == 6001
    with pytest.raises(RecursionError, match="nested deeper"):
        model(cr.ones(1, 1))
    with pytest.raises(RecursionError, match="nested deeper"):
        model.state_dict()
