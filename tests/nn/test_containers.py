"""Modules that are lists and dicts: as in PyTorch, and with all methods of Python's."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    model = nn.Sequential(a, b)
    assert model.append(c) is model
    assert [*model] == [a, b, c]
    assert len(model) == 3
    assert model[-1] is c
    part = model[1:]
    assert isinstance(part, nn.Sequential)
    assert [n for n, _ in part.named_children()] == ["1", "2"]
    model[1] = nn.Tanh()
    assert isinstance(model[1], nn.Tanh)
    del model[0]
    assert [n for n, _ in model.named_children()] == ["0", "1"]
    model.insert(0, a)
    assert model[0] is a
    assert model(cr.zeros(5, 2)).shape == (5, 1)
    assert nn.Sequential()(3) == 3
    with pytest.raises(OutOfRangeError, match="position 3"):
        model[3]


def test_sequential_of_named_layers():
    model = nn.Sequential(OrderedDict([("first", nn.Linear(2, 2)), ("second", nn.ReLU())]))
    assert list(model.state_dict()) == ["first.weight", "first.bias"]
    assert isinstance(model.second, nn.ReLU)


def test_lists_and_dicts_of_modules():
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.append(nn.ReLU())
    layers.extend([nn.Tanh(), nn.GELU()])
    assert [n for n, _ in layers.named_children()] == ["0", "1", "2", "3"]
    assert len(layers[1:]) == 3
    layers.insert(0, nn.SiLU())
    assert isinstance(layers[0], nn.SiLU)
    del layers[0]
    layers[1] = nn.ELU()
    assert [type(m).__name__ for m in layers] == ["Linear", "ELU", "Tanh", "GELU"]
    with pytest.raises(NotImplementedError):
        layers(1)
    table = nn.ModuleDict({"a": nn.ReLU()})
    table["b"] = nn.Linear(1, 2)
    assert table.keys() == {"a", "b"}
    assert [*table] == ["a", "b"]
    assert len(table) == 2
    assert list(table.state_dict()) == ["b.weight", "b.bias"]
    assert dict(table.items())["a"] is table["a"] is next(iter(table.values()))
    del table["a"]
    assert "a" not in table
    with pytest.raises(KeyError):
        table["a"]
    weights = nn.ParameterList([nn.Parameter(cr.ones(2))])
    weights.append(nn.Parameter(cr.zeros(1)))
    assert list(weights.state_dict()) == ["0", "1"]
    with pytest.raises(DTypeError, match=r"nn\.Parameter"):
        weights.append(1.0)


def kinds(module):
    return [(name, type(part).__name__) for name, part in module.named_children()]


def programs():
    def layers(n):
        return [n.Linear(1, 1), n.ReLU(), n.Tanh(), n.Sigmoid()]

    def deleting(lib, n):
        found = []
        for container in (n.Sequential(*layers(n)), n.ModuleList(layers(n))):
            del container[1]
            found.append(kinds(container))
            del container[0:2]
            found.append(kinds(container))
        return found

    def inserting(lib, n):
        found = []
        for container in (n.Sequential(*layers(n)), n.ModuleList(layers(n))):
            container.insert(1, n.GELU())
            container.insert(3, n.ELU())
            container[0] = n.SiLU()
            container[-1] = n.Identity()
            found.append((kinds(container), type(container.pop(1)).__name__, kinds(container)))
        return found

    def joining(lib, n):
        a, b = n.Sequential(*layers(n)[:2]), n.Sequential(n.GELU())
        c = n.ModuleList([n.ReLU()])
        c += [n.Tanh()]
        a += b
        twice = a * 2
        b *= 3
        found = [kinds(x) for x in (a, a + b, c, c + n.ModuleList([n.ELU()]))]
        return found, len(twice), len(b), twice[0] is twice[3], [*b.state_dict()]

    def slicing(lib, n):
        s, m = n.Sequential(*layers(n)), n.ModuleList(layers(n))
        named = n.Sequential(OrderedDict(a=n.ReLU(), b=n.Tanh(), c=n.GELU()))
        return [kinds(x) for x in (s[1:], s[::-2], m[1:], m[::-2], named[1:], m[5:])]

    def extending(lib, n):
        s, m = n.Sequential(), n.ModuleList()
        s.extend(layers(n)).append(n.ReLU())
        m.extend(m_ for m_ in layers(n))
        m.extend(n.ModuleList([n.GELU()]))
        return kinds(s), kinds(m)

    def dicts(lib, n):
        d = n.ModuleDict({"a": n.ReLU()})
        d.update([("b", n.Tanh()), ("a", n.GELU())])
        d.update(n.ModuleDict({"c": n.ELU()}))
        popped = type(d.pop("b")).__name__
        found = kinds(d), popped, [*d.keys()], [*d], len(d), "a" in d, "b" in d
        d.clear()
        return found, len(d)

    def parameters(lib, n):
        p = n.ParameterList([lib.ones(2), n.Parameter(lib.zeros(1))])
        p.append(lib.ones(3))
        p.extend([lib.ones(4)])
        p += [lib.ones(5)]
        p[0] = n.Parameter(lib.ones(6))
        shapes = [tuple(x.shape) for x in p], [tuple(x.shape) for x in p[1:3]]
        return shapes, [*p.state_dict()], all(x.requires_grad for x in p)

    def dicts_of_parameters(lib, n):
        p = n.ParameterDict({"a": lib.ones(2)})
        p["b"] = n.Parameter(lib.ones(1))
        p.update({"c": lib.ones(3)})
        q = p | n.ParameterDict({"d": lib.ones(4)})
        p.setdefault("e", lib.ones(5))
        twin = p.copy()
        del p["a"]
        return [*p], [*q.state_dict()], [*twin], tuple(p.get("b").shape), p.get("x"), len(p)

    def parts_beside(lib, n):
        class Net(n.Sequential):
            def __init__(self):
                super().__init__(n.Linear(1, 1))
                self.head = n.Linear(1, 1, bias=False)

        return kinds(Net()), [*Net().state_dict()]

    return [
        deleting,
        inserting,
        joining,
        slicing,
        extending,
        dicts,
        parameters,
        dicts_of_parameters,
        parts_beside,
    ]


@pytest.mark.parity
@pytest.mark.parametrize("program", programs(), ids=lambda p: p.__name__)
def test_containers_are_pytorchs(program, same):
    same(program)


def test_nothing_that_is_added_replaces_a_layer():
    """PyTorch's Sequential takes the name str(len), which a slice may have already."""
    for add in (
        lambda s: s.append(nn.Tanh()),
        lambda s: s.extend([nn.Tanh()]),
        lambda s: s.insert(len(s), nn.Tanh()),
        lambda s: s.__iadd__([nn.Tanh()]),
    ):
        part = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))[1:]
        add(part)
        assert [type(m).__name__ for m in part] == ["ReLU", "Linear", "Tanh"]
    named = nn.Sequential(OrderedDict([("1", nn.ReLU())]))
    named.append(nn.Tanh()).append(nn.GELU())
    assert kinds(named) == [("1", "ReLU"), ("2", "Tanh"), ("3", "GELU")]


def test_the_other_methods_of_lists_and_dicts():
    a, b = nn.ReLU(), nn.Tanh()
    m = nn.ModuleList([a, b])
    m.reverse()
    assert [*m] == [b, a]
    assert m.index(a) == 1
    assert a in m
    m.remove(b)
    assert [*reversed(m)] == [a]
    m[0:1] = [b, a, b]
    assert [*m] == [b, a, b]
    m.clear()
    assert len(m) == 0
    d = nn.ModuleDict({"a": a})
    assert d.get("x") is None
    assert dict(d) == {"a": a}
    assert d != nn.ModuleDict({"a": a})
    assert len({d, m}) == 2


def test_what_a_container_refuses():
    with pytest.raises(ArgumentError, match="positive number"):
        nn.Sequential(nn.ReLU()) * 0
    for container in (nn.Sequential(), nn.ModuleList()):
        with pytest.raises(OutOfRangeError, match="position 0"):
            del container[0]
        with pytest.raises(IndexError):
            container.pop()
    with pytest.raises(DTypeError, match=r"nn\.Parameter"):
        nn.ParameterDict({"a": 3})
