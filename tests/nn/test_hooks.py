"""Hooks of modules: called when, with what and in which order, as in PyTorch."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, ShapeError


def plain(value):
    """Tensors as lists, to compare."""
    if isinstance(value, (tuple, list)):
        return [plain(x) for x in value]
    if isinstance(value, dict):
        return {key: plain(x) for key, x in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value


def times(lib, n, factor=2.0):
    """A layer y = factor·x with a weight."""

    class Times(n.Module):
        def __init__(self):
            super().__init__()
            self.w = n.Parameter(lib.tensor([factor]))

        def forward(self, x, scale=1.0):
            return x * self.w * scale

    return Times()


def programs_around_forward():
    def order(lib, n):
        seen, m = [], times(lib, n)
        for name in "ab":
            m.register_forward_pre_hook(lambda m, args, k=name: seen.append((k, plain(args))))
            m.register_forward_hook(lambda m, args, y, k=name: seen.append((k, plain([args, y]))))
        m.register_forward_pre_hook(lambda m, args: seen.append("first"), prepend=True)
        m.register_forward_hook(lambda m, args, y: seen.append("first"), prepend=True)
        m(lib.tensor([3.0]))
        return seen

    def replacing(lib, n):
        m = times(lib, n)
        m.register_forward_pre_hook(lambda m, args: args[0] + 1)
        m.register_forward_pre_hook(lambda m, args: (args[0] * 10,))
        m.register_forward_hook(lambda m, args, y: y + args[0])
        m.register_forward_hook(lambda m, args, y: None)
        return plain(m(lib.tensor([3.0])))

    def keywords(lib, n):
        m, seen = times(lib, n), []
        m.register_forward_pre_hook(
            lambda m, args, kwargs: (args, {"scale": kwargs["scale"] + 1}), with_kwargs=True
        )
        m.register_forward_pre_hook(
            lambda m, args, kwargs: seen.append(plain([args, kwargs])), with_kwargs=True
        )
        m.register_forward_hook(lambda m, args, kwargs, y: y * kwargs["scale"], with_kwargs=True)
        return plain(m(lib.tensor([1.0]), scale=2.0)), seen

    def removing(lib, n):
        m, seen = times(lib, n), []
        handle = m.register_forward_hook(lambda m, args, y: seen.append(1))
        with m.register_forward_pre_hook(lambda m, args: seen.append(2)):
            m(lib.ones(1))
        m(lib.ones(1))
        handle.remove()
        handle.remove()
        m(lib.ones(1))
        once = m.register_forward_hook(lambda m, args, y: (seen.append(3), once.remove())[1])
        m(lib.ones(1)), m(lib.ones(1))
        return seen

    def after_errors(lib, n):
        m, seen = times(lib, n), []
        m.register_forward_hook(lambda m, args, y: seen.append("usual"))
        m.register_forward_hook(lambda m, args, y: seen.append(("always", y)), always_call=True)
        try:
            m(lib.ones(1), scale="text")
        except TypeError:
            seen.append("error")
        return seen

    def inside(lib, n):
        m, seen = n.Sequential(times(lib, n), n.Sequential(times(lib, n))), []
        for name, part in m.named_modules():
            part.register_forward_hook(lambda m, args, y, k=name: seen.append((k, plain(y))))
        m(lib.ones(1))
        return seen

    return [order, replacing, keywords, removing, after_errors, inside]


def programs_on_gradients():
    def run(lib, n, hooks, module=None, inputs=1, needs=True):
        m, seen = module or times(lib, n), []
        xs = [lib.tensor([3.0 + i], requires_grad=needs) for i in range(inputs)]
        hooks(m, seen)
        y = m(*xs)
        parts = y if isinstance(y, tuple) else (y,)
        sum((i + 1) * p.sum() for i, p in enumerate(parts)).backward()
        return seen, plain([x.grad for x in xs]), plain([p.grad for p in m.parameters()])

    def seeing(lib, n):
        def hooks(m, seen):
            m.register_full_backward_pre_hook(lambda m, gy: seen.append(plain(gy)))
            m.register_full_backward_hook(lambda m, gx, gy: seen.append(plain([gx, gy])))

        return run(lib, n, hooks)

    def replacing(lib, n):
        def hooks(m, seen):
            m.register_full_backward_pre_hook(lambda m, gy: (gy[0] * 10,))
            m.register_full_backward_hook(lambda m, gx, gy: (gx[0] * 100,))
            m.register_full_backward_hook(lambda m, gx, gy: seen.append(plain([gx, gy])))
            m.register_full_backward_hook(lambda m, gx, gy: seen.append("first"), prepend=True)

        return run(lib, n, hooks)

    def no_input_to_differentiate(lib, n):
        def hooks(m, seen):
            m.register_full_backward_hook(lambda m, gx, gy: seen.append(plain([gx, gy])))

        return run(lib, n, hooks, needs=False)

    def several(lib, n):
        class Two(n.Module):
            def forward(self, a, b, c):
                return a * b, "text", b * 1

        seen = []
        m = Two()
        a, b = lib.tensor([2.0], requires_grad=True), lib.tensor([3.0], requires_grad=True)
        m.register_full_backward_hook(lambda m, gx, gy: seen.append(plain([gx, gy])))
        m.register_full_backward_hook(lambda m, gx, gy: (gx[0] * 2, gx[1] * 3, None))
        p, _, _ = m(a, b, 5)
        (p * 7).sum().backward()
        return seen, plain([a.grad, b.grad])

    def an_input_used_elsewhere(lib, n):
        m, x = times(lib, n), lib.tensor([3.0], requires_grad=True)
        m.register_full_backward_hook(lambda m, gx, gy: (gx[0] * 0,))
        (m(x) + x * 5).sum().backward()
        return plain(x.grad)

    def nested(lib, n):
        def hooks(m, seen):
            for name, part in m.named_modules():
                part.register_full_backward_hook(
                    lambda m, gx, gy, k=name: seen.append((k, plain([gx, gy])))
                )

        return run(lib, n, hooks, n.Sequential(times(lib, n, 2.0), times(lib, n, 5.0)))

    def without_recording(lib, n):
        m, seen = times(lib, n), []
        m.register_full_backward_hook(lambda m, gx, gy: seen.append(1))
        with lib.no_grad():
            y = m(lib.ones(1))
        return y.requires_grad, seen

    return [
        seeing,
        replacing,
        no_input_to_differentiate,
        several,
        an_input_used_elsewhere,
        nested,
        without_recording,
    ]


def programs_around_states():
    def reading(lib, n):
        m = n.Sequential(n.Linear(1, 1), n.Linear(1, 1, bias=False))
        seen = []
        m[0].register_state_dict_pre_hook(lambda m, prefix, keep: seen.append((prefix, keep)))

        def without_bias(m, state, prefix, meta):
            del state[prefix + "bias"]

        m[0].register_state_dict_post_hook(without_bias)
        m.register_state_dict_post_hook(lambda m, state, prefix, meta: seen.append([*state]))
        return [*m.state_dict(prefix="net.")], seen

    def loading(lib, n):
        m = n.Sequential(n.Linear(1, 1, bias=False))

        def rename(m, state, prefix, meta, strict, missing, unexpected, errors):
            if prefix + "old" in state:
                state[prefix + "weight"] = state.pop(prefix + "old")

        seen = []
        m[0].register_load_state_dict_pre_hook(rename)
        m[0].register_load_state_dict_post_hook(lambda m, keys: seen.append(m.weight.item()))
        m.register_load_state_dict_post_hook(lambda m, keys: keys.unexpected_keys.clear())
        given = {"0.old": lib.tensor([[7.0]]), "stranger": lib.ones(1)}
        report = m.load_state_dict(given)
        return [*report[0]], [*report[1]], seen, [*given]

    return [reading, loading]


PROGRAMS = programs_around_forward() + programs_on_gradients() + programs_around_states()


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_hooks_are_pytorchs(program, same):
    same(program)


def test_what_a_hook_must_not_return():
    layer, x = times(cr, nn), cr.ones(1, requires_grad=True)
    wrong_pair = layer.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with wrong_pair, pytest.raises(ArgumentError, match=r"\(args, kwargs\)"):
        layer(x)
    for wrong in (lambda g: (g, g), lambda g: cr.ones(2), lambda g: (None,)):
        with layer.register_full_backward_hook(lambda m, gx, gy, wrong=wrong: wrong(gx[0])):
            y = layer(x)
        with pytest.raises(ShapeError, match="same specs"):
            y.backward()


def test_an_always_called_hook_does_not_hide_the_first_error():
    layer = times(cr, nn)
    layer.register_forward_hook(lambda m, args, y: 1 / 0, always_call=True)
    with pytest.warns(UserWarning, match="ZeroDivisionError"), pytest.raises(TypeError):
        layer(cr.ones(1), scale="text")


def test_second_derivatives_pass_through_hooks():
    layer, x = times(cr, nn), cr.tensor([3.0], requires_grad=True)
    layer.register_full_backward_hook(lambda m, gx, gy: (gx[0] * 10,))
    (g,) = cr.grad((layer(x) ** 2).sum(), [x], create_graph=True)
    assert g.item() == 2 * 3 * 4 * 10
    assert cr.grad(g.sum(), [x])[0].item() == 2 * 4 * 10 * 10


def test_hooks_run_in_compiled_functions_and_changes_are_noticed():
    layer, x = times(cr, nn), cr.tensor([3.0])
    run = cr.compile(lambda x: layer(x).detach())
    assert run(x).item() == 6
    handle = layer.register_forward_hook(lambda m, args, y: y * 10)
    assert run(x).item() == 60
    handle.remove()
    assert run(x).item() == 6


def test_backward_hooks_in_a_compiled_step():
    def step_of(layer):
        def step(x):
            layer.zero_grad()
            layer(x).sum().backward()
            return layer[0].weight.grad

        return step

    x = cr.tensor(np.float32([[1.0, 2.0]]))
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[1].register_full_backward_hook(lambda m, gx, gy: (gx[0] * 10,))
    expected = step_of(model)(x).tolist()
    compiled = cr.compile(step_of(model))
    assert [compiled(x).tolist() for _ in range(3)] == [expected] * 3


def test_a_copy_has_hooks_of_its_own():
    layer, seen = nn.Linear(1, 1), []
    handle = layer.register_forward_hook(lambda m, args, y: seen.append(m))
    twin = copy.deepcopy(layer)
    handle.remove()
    layer(cr.ones(1)), twin(cr.ones(1))
    assert seen == [twin]
