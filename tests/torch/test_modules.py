"""Modules behave as PyTorch's: hooks of all modules, internal attributes, states, containers."""

from __future__ import annotations

import copy
from collections import OrderedDict

import numpy as np
import pytest

pytestmark = pytest.mark.parity


def plain(value):
    """Tensors as nested lists, to compare."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "detach"):
        return np.round(np.asarray(value.detach().tolist()), 5).tolist()
    return value


def hooks_of_all_modules(t):
    module, seen = t.nn.modules.module, []
    handles = [
        module.register_module_forward_pre_hook(
            lambda m, x: seen.append(("pre", type(m).__name__))
        ),
        module.register_module_forward_hook(lambda m, x, y: seen.append(("post", len(x)))),
    ]
    net = t.nn.Sequential(t.nn.Linear(2, 3), t.nn.ReLU())
    net[1].register_forward_hook(lambda m, x, y: seen.append("own"))
    net(t.ones(1, 2))
    for handle in handles:
        handle.remove()
    net(t.ones(1, 2))
    return seen


def changes_by_hooks_of_all_modules(t):
    module, relu = t.nn.modules.module, t.nn.ReLU()
    with module.register_module_forward_hook(lambda m, x, y: y * 2):
        first = relu(t.ones(2))
    with module.register_module_forward_hook(lambda m, x, k, y: y + k["k"], with_kwargs=True):

        class Scaled(t.nn.Module):
            def forward(self, x, k=1):
                return x * k

        second = Scaled()(t.ones(1), k=3)
    return first, second, relu(t.ones(2))


def gradients_by_hooks_of_all_modules(t):
    module, seen = t.nn.modules.module, []
    x = t.ones(1, 2, requires_grad=True)
    net = t.nn.Sequential(t.nn.Linear(2, 3), t.nn.ReLU())
    with (
        module.register_module_full_backward_pre_hook(
            lambda m, gy: seen.append(("pre", type(m).__name__, len(gy)))
        ),
        module.register_module_full_backward_hook(
            lambda m, gx, gy: seen.append((type(m).__name__, tuple(gx[0].shape), len(gy)))
        ),
    ):
        net(x).sum().backward()
    return seen


def parts_are_announced(t):
    module, seen = t.nn.modules.module, []
    handles = [
        getattr(module, f"register_module_{kind}_registration_hook")(
            lambda m, name, value, k=kind: seen.append((k, type(m).__name__, name))
        )
        for kind in ("module", "parameter", "buffer")
    ]
    net = t.nn.Sequential(t.nn.Linear(2, 3, bias=False))
    net.register_buffer("b", t.ones(1))
    net.b = t.zeros(1)
    for handle in handles:
        handle.remove()
    t.nn.Linear(1, 1)
    with module.register_module_parameter_registration_hook(
        lambda m, name, p: t.nn.Parameter(p.detach() * 0 + 7)
    ):
        net.weight = t.nn.Parameter(t.ones(2))
    return seen, net.weight


def views_of_the_parts(t):
    net = t.nn.Sequential(t.nn.Linear(2, 2), t.nn.BatchNorm1d(2))
    net.register_module("none", None)
    before = [
        list(net._modules),
        list(net[0]._parameters),
        list(net[1]._buffers),
        len(net._modules),
    ]
    net._modules["1"] = t.nn.Tanh()
    net[0]._parameters["weight"] = t.nn.Parameter(t.ones(2, 2))
    del net[0]._parameters["bias"]
    net[0].register_parameter("bias", None)
    found = [type(m).__name__ for m in net._modules.values()]
    return before, found, repr(net), net[0](t.ones(1, 2)), "2" in net._modules, net._get_name()


def replacing_layers_by_name(t):
    def walk(module):
        for name, child in module._modules.items():
            if isinstance(child, t.nn.ReLU):
                module._modules[name] = t.nn.GELU()
            else:
                walk(child)

    net = t.nn.Sequential(t.nn.ReLU(), t.nn.Sequential(t.nn.Linear(1, 1), t.nn.ReLU()))
    walk(net)
    net.set_submodule("1.0", t.nn.Identity(), strict=True)
    net[1].add_module("extra", t.nn.ReLU())
    return repr(net)


def views_of_the_hooks(t):
    layer, seen = t.nn.ReLU(), []
    layer.register_forward_hook(lambda *a: seen.append(1))
    handle = layer.register_forward_pre_hook(lambda *a: seen.append(2))
    counts = [len(layer._forward_hooks), len(layer._forward_pre_hooks), len(layer._backward_hooks)]
    layer(t.ones(1))
    layer._forward_hooks.clear()
    handle.remove()
    layer(t.ones(1))
    return counts, seen, len(layer._forward_pre_hooks)


def keys_renamed_while_loading(t):
    class Renamed(t.nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *args):
            if f"{prefix}old" in state_dict:
                state_dict[f"{prefix}weight"] = state_dict.pop(f"{prefix}old")
            super()._load_from_state_dict(state_dict, prefix, *args)

        def _save_to_state_dict(self, destination, prefix, keep_vars):
            super()._save_to_state_dict(destination, prefix, keep_vars)
            destination[f"{prefix}more"] = t.ones(1)

    net, seen = t.nn.Sequential(Renamed(2, 2)), []
    net[0]._register_load_state_dict_pre_hook(lambda state, prefix, *a: seen.append(prefix))
    net[0]._register_state_dict_hook(lambda m, state, prefix, meta: seen.append(list(state)))
    state = {"0.old": t.ones(2, 2), "0.bias": t.zeros(2)}
    net.load_state_dict(state)
    return net[0].weight, list(state), list(net.state_dict()), seen


def state_dicts(t):
    net = t.nn.Linear(2, 2)
    state = net.state_dict(prefix="a.")
    net.load_state_dict({"weight": t.ones(2, 2, dtype=t.float64), "bias": t.zeros(2)})
    own = net.state_dict()
    text = str(net.weight.dtype)
    return isinstance(own, OrderedDict), list(own._metadata.items()), list(state), net.weight, text


def a_wrapper_with_getattr(t):
    class Wrapper(t.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(super().__getattr__("inner"), name)

    wrapped = Wrapper(t.nn.Linear(2, 3))
    return wrapped.in_features, wrapped.weight.shape[0], hasattr(wrapped, "nothing")


def layers_in_lists(t):
    class Net(t.nn.Module):
        def __init__(self):
            super().__init__()
            self.functions = {"relu": t.nn.ReLU(), "pool": [t.nn.MaxPool1d(2)]}
            self.loss = [t.nn.MSELoss()]
            self.linear = t.nn.Linear(2, 2)

        def forward(self, x):
            return self.functions["relu"](self.linear(x))

    net = Net()
    t.nn.init.ones_(net.linear.weight), t.nn.init.zeros_(net.linear.bias)
    return net(t.ones(1, 2)), list(net.state_dict()), repr(net)


def repeated_layers_print(t):
    relu = t.nn.ReLU()
    net = t.nn.Sequential(relu, t.nn.Linear(1, 1), relu)
    net.same = t.nn.ModuleList([relu] * 3)
    net.weights = t.nn.ParameterDict({"a": t.ones(2, 3), "b": t.nn.Parameter(t.ones(1))})
    return repr(net), [name for name, _ in net.named_children()]


def dicts_of_parameters(t):
    found = t.nn.ParameterDict([("a", t.ones(2)), ("b", t.ones(1))])
    default = found.setdefault("c", t.zeros(1))
    more = found.fromkeys(["x", "y"], t.ones(1))
    names = [
        list(found),
        list(reversed(found)),
        type(default).__name__,
        list(more),
        found.a is found["a"],
    ]
    return names, found.popitem()[0], list(found | {"z": t.ones(1)}), found.get("q", 3), len(found)


def compiled_in_place(t):
    net = t.nn.Sequential(t.nn.Linear(2, 1), t.nn.Tanh())
    t.nn.init.ones_(net[0].weight), t.nn.init.zeros_(net[0].bias)
    kept = list(net.parameters())
    net.compile(**({"backend": "eager"} if t.__name__ == "torch" else {}))
    y = net(t.ones(3, 2))
    y.sum().backward()
    twin = copy.deepcopy(net)
    t.nn.init.zeros_(twin[0].weight)
    same = all(p is q for p, q in zip(kept, net.parameters(), strict=True))
    return y, net[0].weight.grad, repr(net), same, net(t.ones(1, 2)), twin(t.ones(1, 2))


def bases_by_their_internal_names(t):
    modules = t.nn.modules
    norm, conv = modules.batchnorm._BatchNorm, modules.conv._ConvNd
    found = [isinstance(m, norm) for m in (t.nn.BatchNorm2d(2), t.nn.InstanceNorm2d(2))]
    found += [isinstance(m, conv) for m in (t.nn.Conv1d(1, 1, 1), t.nn.ConvTranspose2d(1, 1, 1))]
    return found, modules.utils._pair(3), modules.utils._triple([1, 2, 3])


def small_things(t):
    net = t.nn.Linear(2, 2)
    t.nn.init.ones_(net.weight), t.nn.init.ones_(net.bias)
    net._apply(lambda x: x * 2)
    return net.weight, net._version, net.dump_patches, t.nn.Module.call_super_init


PROGRAMS = [
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", None) == __name__ and name != "plain"
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_program_gives_pytorchs_results(torch, pytorch, program):
    assert plain(program(torch)) == plain(program(pytorch))


def test_old_backward_hooks_are_full_ones_and_say_so(torch):
    layer, seen = torch.nn.Linear(2, 2), []
    with pytest.warns(UserWarning, match="register_full_backward_hook"):
        layer.register_backward_hook(lambda m, gx, gy: seen.append((len(gx), len(gy))))
    layer(torch.ones(1, 2, requires_grad=True)).sum().backward()
    assert seen == [(1, 1)]


def test_a_compiled_function_notices_hooks_of_all_modules(torch):
    layer = torch.nn.ReLU()
    run = torch.compile(lambda x: layer(x), fullgraph=True)
    x = torch.ones(2)
    assert run(x).tolist() == [1, 1]
    handle = torch.nn.modules.module.register_module_forward_hook(lambda m, a, y: y * 5)
    assert run(x).tolist() == [5, 5]
    handle.remove()
    assert run(x).tolist() == [1, 1]
