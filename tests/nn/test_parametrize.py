"""Parametrized, normed and pruned weights equal PyTorch's: values, gradients, state, and text."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, DTypeError, ShapeError, UnknownNameError
from chainrule.nn import utils
from chainrule.nn.utils import parametrizations, parametrize

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`"),
]
TIGHT = {"rtol": 1e-9, "atol": 1e-10}
LIBRARIES = ((cr, nn), (torch, torch.nn))


def set_state(module, library, seed=0):
    """The same numbers in the parameters and buffers of either library."""
    rng, state = np.random.default_rng(seed), {}
    for name, x in module.state_dict().items():
        value = rng.normal(size=tuple(x.shape))
        if name.endswith(("_u", "_v")):  # of length 1
            value /= np.linalg.norm(value)
        state[name] = library.tensor(value.astype(str(x.dtype).removeprefix("torch.")))
    module.load_state_dict(state)
    return module


def snapshot(module):
    return {name: x.clone() for name, x in module.state_dict().items()}


def outcome(module, library, shape):
    """What a call gives, its gradients, and the state after it."""
    x = library.tensor(np.random.default_rng(1).normal(size=shape), requires_grad=True)
    y = module(x)
    (y * y).sum().backward()
    found = {"y": y.detach(), "by x": x.grad, "weight": module.weight.detach()}
    found |= {f"by {name}": p.grad for name, p in module.named_parameters()}
    return found | snapshot(module)


def same(ours, theirs):
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        if value is not None:
            np.testing.assert_allclose(ours[name], value, **TIGHT, err_msg=name)


LINEAR, CONV, BACK = ("Linear", (4, 3)), ("Conv2d", (2, 4, 3)), ("ConvTranspose2d", (2, 4, 3))
SHAPES = {"Linear": (5, 4), "Conv2d": (2, 2, 5, 5), "ConvTranspose2d": (2, 2, 4, 4)}
NORMS = [
    ("weight_norm", LINEAR, {}),
    ("weight_norm", LINEAR, {"dim": 1}),
    ("weight_norm", LINEAR, {"dim": None}),
    ("weight_norm", LINEAR, {"name": "bias"}),
    ("weight_norm", CONV, {}),
    ("weight_norm", BACK, {"dim": 1}),
    ("spectral_norm", LINEAR, {}),
    ("spectral_norm", LINEAR, {"n_power_iterations": 3, "eps": 1e-6}),
    ("spectral_norm", CONV, {}),
    ("spectral_norm", CONV, {"dim": 1}),
    ("spectral_norm", BACK, {}),
]


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("norm", "layer", "options"), NORMS)
def test_norms_of_weights(norm, layer, options, training, old):
    found = []
    for library, n in LIBRARIES:
        module = getattr(n, layer[0])(*layer[1]).double()
        home = n.utils if old else n.utils.parametrizations
        set_state(getattr(home, norm)(module, **options), library).train(training)
        outcome(module, library, SHAPES[layer[0]])
        module.zero_grad()
        found.append(outcome(module, library, SHAPES[layer[0]]))
    same(*found)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_older_norms_are_removed(norm):
    found = []
    for library, n in LIBRARIES:
        module = getattr(n.utils, norm)(n.Linear(3, 2).double())
        set_state(module, library)
        module(library.ones(1, 3).double())
        getattr(n.utils, f"remove_{norm}")(module)
        found.append(snapshot(module))
        assert isinstance(module.weight, n.Parameter)
    same(*found)


def test_before_its_first_call_a_spectrally_normed_weight_is_the_original():
    for n in (nn, torch.nn):
        layer = n.utils.spectral_norm(n.Linear(3, 2))
        n.init.constant_(layer.weight.data, 0.5)
        assert (layer.weight_orig == 0.5).all()


def test_the_newer_weight_norm_reads_the_older_state():
    old = utils.weight_norm(nn.Linear(3, 2))
    new = parametrizations.weight_norm(nn.Linear(3, 2))
    new.load_state_dict(old.state_dict())
    assert (new.weight == old.weight).all()


ORTHOGONAL = [
    ((3, 3), {}),
    ((5, 3), {}),
    ((3, 5), {}),
    ((2, 4, 3), {}),
    ((4, 4), {"orthogonal_map": "cayley"}),
    ((5, 3), {"orthogonal_map": "cayley", "use_trivialization": False}),
    ((5, 3), {"orthogonal_map": "matrix_exp", "use_trivialization": False}),
    ((3, 5), {"orthogonal_map": "householder", "use_trivialization": False}),
    ((4, 4), {"orthogonal_map": "householder", "use_trivialization": False}),
]


@pytest.mark.parametrize(("shape", "options"), ORTHOGONAL)
def test_orthogonal_weights(shape, options):
    found = []
    for library, n in LIBRARIES:
        module = n.Module()
        module.weight = n.Parameter(
            library.tensor(np.linalg.qr(np.random.default_rng(0).normal(size=shape[::-1]))[0])
            .transpose(-1, -2)
            .contiguous()
            if len(shape) == 2 and shape[0] < shape[1]
            else library.tensor(np.random.default_rng(0).normal(size=shape))
        )
        n.utils.parametrizations.orthogonal(module, **options)
        state = {k: v.clone() for k, v in module.state_dict().items()}
        name = "parametrizations.weight.original"
        rng = np.random.default_rng(2)
        noise = 0.3 * rng.normal(size=shape) * (1 - np.eye(*shape[-2:]))  # the signs stay
        state[name] = state[name] + library.tensor(noise)
        if (base := "parametrizations.weight.0.base") in state:
            size = max(shape[-2:])
            square = np.linalg.qr(rng.normal(size=(*shape[:-2], size, size)))[0]
            state[base] = library.tensor(square)
        module.load_state_dict(state)
        g = library.tensor(rng.normal(size=shape))
        (module.weight * g).sum().backward()
        found.append(
            {
                "weight": module.weight.detach(),
                "by": module.parametrizations.weight.original.grad,
                "original": library.tril(module.parametrizations.weight.original.detach()),
            }
        )
    same(*found)
    w = found[0]["weight"].numpy()
    product = w @ w.swapaxes(-1, -2) if shape[-2] < shape[-1] else w.swapaxes(-1, -2) @ w
    np.testing.assert_allclose(
        product, np.broadcast_to(np.eye(min(shape[-2:])), product.shape), atol=1e-12
    )


def classes(n):
    class Symmetric(n.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).transpose(-1, -2)

        def right_inverse(self, a):
            return a.triu()

    class Doubled(n.Module):
        def __init__(self):
            super().__init__()
            self.factor = n.Parameter(2 * n.Linear(1, 1).weight.detach().new_ones(()))

        def forward(self, x):
            return x * self.factor

        def right_inverse(self, a):
            return a / self.factor

    class LowRank(n.Module):
        def forward(self, a, b):
            return a @ b

        def right_inverse(self, w):
            return w[:, :1].clone(), w[:1].clone()

    return Symmetric, Doubled, LowRank


def test_parametrizations_of_ones_own():
    found = []
    for library, n in LIBRARIES:
        P = n.utils.parametrize
        symmetric, doubled, low_rank = classes(n)
        module = set_state(n.Linear(3, 3).double(), library)
        first = module.weight
        P.register_parametrization(module, "weight", symmetric())
        assert module.parametrizations.weight.original is first
        texts = [repr(module.parametrizations)]
        P.register_parametrization(module, "weight", doubled().double())
        states = [snapshot(module), outcome(module, library, (2, 3))]
        module.weight = module.weight.detach() * 3
        states.append(snapshot(module))
        with P.cached():
            assert module.weight is module.weight
        assert module.weight is not module.weight
        assert P.is_parametrized(module) and P.is_parametrized(module, "weight")
        assert not P.is_parametrized(module, "bias")
        assert P.type_before_parametrizations(module) is n.Linear and isinstance(module, n.Linear)
        twin = P.transfer_parametrizations_and_params(module, n.Linear(3, 3).double())
        states.append({"twin": twin.weight.detach()})
        states.append({"copied": copy.deepcopy(module).weight.detach()})
        P.remove_parametrizations(module, "weight")
        assert module.weight is first and not P.is_parametrized(module)
        states.append(snapshot(module))
        P.register_parametrization(module, "weight", low_rank())
        states.append(snapshot(module))
        with pytest.raises(ValueError):
            P.remove_parametrizations(module, "weight", leave_parametrized=False)
        P.remove_parametrizations(module, "weight")
        states.append(snapshot(module))
        found.append((states, texts))
    assert found[0][1] == found[1][1]
    for ours, theirs in zip(found[0][0], found[1][0], strict=True):
        same(ours, theirs)


def test_a_parametrization_of_another_shape():
    class Half(nn.Module):
        def forward(self, x):
            return cr.cat([x, x])

        def right_inverse(self, w):
            return w[:1]

    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Half())
    assert layer.parametrizations.weight.original.shape == (1, 2)
    layer.weight = cr.ones(2, 2)
    assert layer.weight.tolist() == [[1, 1], [1, 1]]


def test_parametrized_buffers_and_layers_of_other_kinds():
    norm = nn.BatchNorm1d(3)
    _, doubled, _ = classes(nn)
    parametrize.register_parametrization(norm, "running_mean", doubled())
    assert [n for n, _ in norm.named_buffers()][-1] == "parametrizations.running_mean.original"
    parametrize.remove_parametrizations(norm, "running_mean")
    assert dict(norm.named_buffers())["running_mean"] is norm.running_mean
    lstm = utils.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    y, _ = lstm(cr.ones(2, 1, 3))
    y.sum().backward()
    assert lstm.weight_hh_l0_g.grad.any() and len(lstm.all_weights[0]) == 4
    pickled = pickle.loads(pickle.dumps(lstm))
    assert (pickled.weight_hh_l0 == lstm.weight_hh_l0).all()


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "orthogonal", "pruned", "old"])
def test_a_compiled_step_equals_eager(kind):
    def make():
        cr.manual_seed(0)
        layer = nn.Linear(4, 3)
        if kind == "pruned":
            return utils.prune.l1_unstructured(layer, "weight", 0.5)
        if kind == "old":
            return utils.spectral_norm(layer)
        return getattr(parametrizations, kind)(layer)

    results = []
    for run in (lambda f: f, cr.compile):
        model = make()
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            optimizer.step()
            return loss.detach()

        step = run(step)
        losses = [step(cr.ones(2, 4) * i).item() for i in (1, 2, 3)]
        results.append([losses, model.weight.detach().tolist()])
    # Native products add in another order.
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (
            lambda: parametrize.register_parametrization(nn.Linear(2, 2), "w", nn.Identity()),
            UnknownNameError,
            "'w'",
        ),
        (
            lambda: parametrize.register_parametrization(nn.Linear(2, 3), "weight", nn.Flatten(0)),
            ShapeError,
            "unsafe",
        ),
        (
            lambda: parametrize.remove_parametrizations(nn.Linear(2, 2), "weight"),
            UnknownNameError,
            "'weight'",
        ),
        (lambda: utils.remove_weight_norm(nn.Linear(2, 2)), UnknownNameError, "'weight'"),
        (
            lambda: parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="polar"),
            ArgumentError,
            "polar",
        ),
        (lambda: parametrizations.orthogonal(nn.Linear(2, 2), "bias"), ShapeError, "matrix"),
        (
            lambda: parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0),
            ArgumentError,
            "at least 1",
        ),
        (
            lambda: setattr(utils.weight_norm(nn.Linear(2, 2)), "weight", cr.ones(2, 2)),
            ArgumentError,
            "computed from other parameters",
        ),
        (
            lambda: setattr(
                parametrize.register_parametrization(nn.Linear(2, 2), "weight", nn.ReLU()),
                "weight",
                cr.ones(2, 2),
            ),
            ArgumentError,
            "right_inverse",
        ),
        (lambda: utils.skip_init(cr.Tensor, 1), DTypeError, "class of modules"),
    ],
)
def test_what_does_not_fit_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


# -- other utilities -----------------------------------------------------------------------------


def test_vectors_of_parameters():
    layers = [set_state(n.Linear(3, 2).double(), library) for library, n in LIBRARIES]
    ours, theirs = (
        n.utils.parameters_to_vector(layer.parameters())
        for layer, (_, n) in zip(layers, LIBRARIES, strict=True)
    )
    np.testing.assert_array_equal(ours.detach(), theirs.detach())
    utils.vector_to_parameters(ours * 2, layers[0].parameters())
    torch.nn.utils.vector_to_parameters(theirs * 2, layers[1].parameters())
    same(layers[0].state_dict(), layers[1].state_dict())
    with pytest.raises(ShapeError, match=r"\(8,\)"):
        utils.vector_to_parameters(cr.zeros(7), layers[0].parameters())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("layer", "norm"),
    [(LINEAR, ("BatchNorm1d", 3)), (CONV, ("BatchNorm2d", 4)), (BACK, ("BatchNorm2d", 4))],
)
def test_layers_with_a_norm_in_their_weights(layer, norm, bias):
    found = []
    for library, n in LIBRARIES:
        module = set_state(getattr(n, layer[0])(*layer[1], bias=bias).double(), library)
        after = set_state(getattr(n, norm[0])(norm[1]).double(), library)
        after.running_var.abs_()
        module.eval(), after.eval()
        if layer is LINEAR:
            fused = n.utils.fuse_linear_bn_eval(module, after)
        else:
            fused = n.utils.fuse_conv_bn_eval(module, after, transpose=layer is BACK)
        x = library.tensor(np.random.default_rng(1).normal(size=SHAPES[layer[0]]))
        np.testing.assert_allclose(fused(x).detach(), after(module(x)).detach(), **TIGHT)
        found.append(dict(fused.state_dict()))
        assert fused.bias.requires_grad == bias
    same(*found)
    with pytest.raises(ArgumentError, match="evaluation mode"):
        utils.fuse_conv_bn_eval(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))


def test_a_module_without_initialization_draws_nothing():
    before = cr.default_generator.state.tolist()
    layer = utils.skip_init(nn.Linear, 3, 2, bias=False)
    assert cr.default_generator.state.tolist() == before and not layer.weight.any()
