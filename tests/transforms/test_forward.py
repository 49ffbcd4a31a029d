"""`jvp`, `jacfwd`, `jacrev` and `hessian` against torch.func, and composed with everything else."""

import warnings

import numpy as np
import pytest
import torch
from tests.transforms.test_vmap import both, close, torch_like
from torch import func

import chainrule as cr
from chainrule import nn

with warnings.catch_warnings():  # PyTorch's forward mode calls what PyTorch deprecates
    warnings.simplefilter("ignore")
    func.jvp(torch.sin, (torch.ones(1),), (torch.ones(1),))


def f(x, w):
    return ((x @ w).tanh() ** 2).sum(0)


COMPOSITIONS = {
    "jvp": lambda t: lambda x, w: t.jvp(f, (x, w), (w.T * 0.5, x.T * 2.0)),
    "jvp by one": lambda t: lambda x, w: t.jvp(lambda x: f(x, w), (x,), (x * x,)),
    "jvp(jvp)": lambda t: (
        lambda x, w: t.jvp(
            lambda x: t.jvp(lambda x: f(x, w), (x,), (x.sin(),))[1], (x,), (x * 3.0,)
        )
    ),
    "jvp(grad)": lambda t: (
        lambda x, w: t.jvp(
            lambda x, w: t.grad(lambda x, w: f(x, w).sum(), (0, 1))(x, w), (x, w), (w.T, x.T)
        )
    ),
    "grad(jvp)": lambda t: (
        lambda x, w: t.grad(lambda x, w: (t.jvp(f, (x, w), (w.T, x.T))[1] ** 2).sum(), (0, 1))(x, w)
    ),
    "vmap(jvp)": lambda t: (
        lambda x, w: t.vmap(lambda row: t.jvp(lambda r: (r @ w).exp(), (row,), (row * 2.0,)))(x)
    ),
    "jvp(vmap)": lambda t: (
        lambda x, w: t.jvp(
            lambda x: t.vmap(lambda row, w: (row @ w).exp(), (0, None))(x, w), (x,), (x * 2.0,)
        )
    ),
    "jvp(vmap(grad))": lambda t: (
        lambda x, w: t.jvp(
            lambda x: t.vmap(t.grad(lambda row: (row @ w).exp().sum()))(x), (x,), (x * 2.0,)
        )
    ),
    "jacfwd": lambda t: t.jacfwd(f, (0, 1)),
    "jacrev": lambda t: t.jacrev(f, (1, 0)),
    "jacfwd(jacrev)": lambda t: t.jacfwd(t.jacrev(f, 1), 0),
    "jacrev(jacfwd)": lambda t: t.jacrev(t.jacfwd(f, 1), 0),
    "hessian": lambda t: t.hessian(lambda x, w: f(x, w).sum(), (0, 1)),
    "vmap(hessian)": lambda t: (
        lambda x, w: t.vmap(t.hessian(lambda row, w: (row @ w).sin().sum()), (0, None))(x, w)
    ),
    "grad(hessian)": lambda t: (
        lambda x, w: t.grad(lambda x: (t.hessian(lambda x: (x.sin() * x).prod())(x) ** 2).sum())(
            x[0]
        )
    ),
    "vmap(pull)": lambda t: lambda x, w: t.vmap(t.vjp(f, x, w)[1])(w.T),
    "structures": lambda t: (
        lambda x, w: t.jacrev(lambda p: {"y": f(p["x"], p["w"]), "z": (p["x"].sum(),)})(
            {"x": x, "w": w}
        )
    ),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_compositions_as_in_pytorch(name):
    (x, tx), (w, tw) = both(3, 3), both(3, 3)
    ours, theirs = COMPOSITIONS[name](cr)(x, w), COMPOSITIONS[name](func)(tx, tw)
    close(ours, theirs)
    assert not any(y.requires_grad for y in cr.tree.flatten(ours)), "nothing is left recorded"
    for a, b in zip(
        cr.tree.flatten(ours),
        cr.tree.flatten(cr.compile(COMPOSITIONS[name](cr))(x, w)),
        strict=True,
    ):
        assert a.numpy().tobytes() == b.numpy().tobytes()


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_backward_through_compositions(name):
    (x, tx), (w, tw) = both(3, 3), both(3, 3)
    for y in (x, w, tx, tw):
        y.requires_grad_()
    total = lambda ys: sum((y * y).sum() for y in cr.tree.flatten(ys))  # noqa: E731
    total(COMPOSITIONS[name](cr)(x, w)).backward()
    total(COMPOSITIONS[name](func)(tx, tw)).backward()
    for ours, theirs in ((x, tx), (w, tw)):
        if theirs.grad is not None and ours.grad is not None:
            close(ours.grad, theirs.grad)
        else:
            assert theirs.grad is None or not theirs.grad.any()
            assert ours.grad is None or not ours.grad.any()


def test_aux():
    (x, tx), v = both(4), torch.ones(4, dtype=torch.float64)
    g = lambda x: ((x**3).sum(), {"y": x * 2})  # noqa: E731
    h = lambda x: (x**3, x * 2)  # noqa: E731
    ones = cr.ones(4, dtype="float64")
    close(cr.grad(g, has_aux=True)(x), func.grad(g, has_aux=True)(tx))
    close(cr.jvp(h, (x,), (ones,), has_aux=True), func.jvp(h, (tx,), (v,), has_aux=True))
    close(cr.jacrev(h, has_aux=True)(x), func.jacrev(h, has_aux=True)(tx))
    close(cr.jacfwd(h, has_aux=True)(x), func.jacfwd(h, has_aux=True)(tx))
    y, pull, aux = cr.vjp(h, x, has_aux=True)
    ty, tpull, taux = func.vjp(h, tx, has_aux=True)
    close([y, *pull(ones), aux], [ty, *tpull(v), taux])
    assert not aux.requires_grad
    with pytest.raises(ValueError, match=r"returns \(value, aux\)"):
        cr.grad(lambda x: x.sum(), has_aux=True)(x)


# -- models ----------------------------------------------------------------------------------------


def attention(x, softmax):
    return softmax(x @ x.T * 0.5) @ (x * 2)


class Attention(nn.Module):
    def forward(self, x):
        y = x.unsqueeze(0)
        return nn.functional.scaled_dot_product_attention(y, y, y * 2, scale=0.5)[0]


class TorchAttention(torch.nn.Module):
    def forward(self, x):
        return attention(x, lambda a: a.softmax(-1))


class Last(nn.Module):
    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


class TorchLast(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


def recurrent(kind, **options):
    return (
        lambda: Last(getattr(nn, kind)(2, 2, **options)),
        lambda: TorchLast(getattr(torch.nn, kind)(2, 2, **options)),
        (3, 1, 2),
    )


def convolutional(nn):
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2),
        nn.SiLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 2),
        nn.AvgPool2d(2),
        nn.Flatten(0),
    )


MODELS = {
    "mlp": (
        *[
            lambda nn=nn: nn.Sequential(
                nn.Linear(3, 4), nn.GELU(), nn.LayerNorm(4), nn.Linear(4, 2)
            )
            for nn in (nn, torch.nn)
        ],
        (2, 3),
    ),
    "conv": (*[lambda nn=nn: convolutional(nn) for nn in (nn, torch.nn)], (1, 2, 6, 6)),
    "attention": (Attention, TorchAttention, (3, 2)),
    "lstm": recurrent("LSTM", bidirectional=True),
    "gru": recurrent("GRU", num_layers=2),
    "rnn": recurrent("RNN", nonlinearity="tanh"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_models(kind):
    """By the input and by the parameters: jvp, Jacobians both ways, and the Hessian."""
    make, make_torch, shape = MODELS[kind]
    ours, theirs = torch_like(make(), make_torch())
    (x, tx), (v, tv) = both(*shape), both(*shape)
    y, moved = cr.jvp(ours, (x,), (v,))
    # PyTorch's recurrences have no forward mode: its Jacobian in reverse mode stands for all.
    jacobian = func.jacrev(theirs)(tx)
    expected = (jacobian.reshape(*y.shape, tv.numel()) @ tv.flatten()).reshape(y.shape)
    close([y, moved], [theirs(tx), expected])
    close([cr.jacrev(ours)(x), cr.jacfwd(ours)(x)], [jacobian, jacobian])
    loss = lambda model: lambda x: (model(x) ** 2).sum()  # noqa: E731
    close(cr.hessian(loss(ours))(x), torch.autograd.functional.hessian(loss(theirs), tx), 1e-8)
    params = {name: p.detach() for name, p in ours.named_parameters()}
    if not params:
        return
    by_params = lambda p: (nn.functional_call(ours, p, x) ** 2).sum()  # noqa: E731
    direction = {
        name: cr.Tensor(np.cos(np.arange(p.numel())).reshape(p.shape)) for name, p in params.items()
    }
    slope = cr.jvp(by_params, (params,), (direction,))[1]
    (theirs(tx) ** 2).sum().backward()
    by_hand = sum(
        (p.grad.numpy() * direction[name].numpy()).sum() for name, p in theirs.named_parameters()
    )
    np.testing.assert_allclose(slope.item(), by_hand, rtol=1e-9)
    compiled = cr.compile(lambda x, v: cr.jvp(ours, (x,), (v,)))(x, v)
    for a, b in zip((y, moved), compiled, strict=True):
        assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()


# -- what the function does ------------------------------------------------------------------------


def test_writes():
    def g(x):
        y = cr.zeros(3, dtype="float64")
        y[0] = x[1]
        row = y[1:]
        row += x[:2]
        x = x.clone()
        x *= y
        return x

    x, v = cr.Tensor(np.array([1.0, 2.0, 3.0])), cr.Tensor(np.array([1.0, 10.0, 100.0]))
    expected = lambda x: x * cr.cat([x[1:2], x[:2]])  # noqa: E731
    for a, b in zip(cr.jvp(g, [x], [v]), cr.jvp(expected, [x], [v]), strict=True):
        assert a.tolist() == b.tolist()
    state = cr.zeros(3, dtype="float64")
    with pytest.raises(RuntimeError, match=r"outside of jvp.*has a tangent"):
        cr.jvp(lambda x: state.add_(x), [x], [v])
    assert not state.any()
    cr.jvp(lambda x: state.add_(x.detach()), [x], [v])
    assert state.tolist() == x.tolist()


def test_detach_no_grad_and_constants_have_no_tangent():
    x, v = cr.tensor([1.0, 2.0]), cr.tensor([1.0, 10.0])

    def half(x):
        with cr.no_grad():
            y = x * x
        return y * x

    assert cr.jvp(lambda x: x.detach() * x, [x], [v])[1].tolist() == [1, 20]
    assert cr.jvp(half, [x], [v])[1].tolist() == [1, 40]
    with cr.no_grad():
        assert cr.jvp(half, [x], [v])[1].tolist() == [1, 40]
        assert cr.jvp(lambda x: x * x, [x], [v])[1].tolist() == [2, 40]
    y, moved = cr.jvp(lambda x: (x > 1, cr.ones(2)), [x], [v])
    assert y[0].tolist() == [False, True] and not moved[0].any() and not moved[1].any()


def test_numbers_are_known():
    """A branch on a number is that of the primal."""
    g = lambda x: x * x if x.sum() > 0 and x[0].item() == 1 else -x  # noqa: E731
    assert cr.jvp(g, [cr.tensor([1.0, 2.0])], [cr.ones(2)])[1].tolist() == [2, 4]
    assert cr.hessian(lambda x: g(x).sum())(cr.tensor([1.0, 2.0])).tolist() == [[2, 0], [0, 2]]


def test_integers_on_the_way():
    x = cr.Tensor(np.array([3.0, 1.0, 2.0]))
    y, moved = cr.jvp(lambda x: x.sort()[0] * 2, [x], [x * 10])
    assert y.tolist() == [2, 4, 6] and moved.tolist() == [20, 40, 60]


def test_random_numbers_are_constants():
    layer, x = nn.Dropout(0.5), cr.ones(50)
    cr.manual_seed(1)
    y, moved = cr.jvp(layer, [x], [x * 3])
    assert (moved == y * 3).all() and set(y.tolist()) == {0, 2}
    j = cr.jacfwd(layer, randomness="same")(cr.ones(5))
    assert (j * (1 - cr.eye(5)) == 0).all()


def test_embedding_and_padding():
    layer = nn.Embedding(4, 2, padding_idx=1)
    weight = layer.weight.detach()
    i = cr.tensor([0, 1, 3])
    push = cr.jvp(lambda w: nn.functional_call(layer, {"weight": w}, i), [weight], [weight * 0 + 1])
    assert push[1].tolist() == [[1, 1], [0, 0], [1, 1]], "as in the gradient, row 1 is constant"
    j = cr.jacrev(lambda w: nn.functional_call(layer, {"weight": w}, i))(weight)
    assert (j == cr.jacfwd(lambda w: nn.functional_call(layer, {"weight": w}, i))(weight)).all()


def test_padding_with_a_value():
    moved = cr.jvp(lambda x: cr.pad(x, (1, 1), 5.0), [cr.ones(2)], [cr.ones(2)])[1]
    assert moved.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: cr.jvp(cr.exp, [x], [x[:1]]), ValueError, "tangent"),
        (lambda x: cr.jvp(cr.exp, [2.0], [2.0]), TypeError, "floating tensors; given: float"),
        (lambda x: cr.jvp(lambda x: 1.0, [x], [x]), TypeError, "returns tensors"),
        (lambda x: cr.jacfwd(cr.exp, 1)(x), ValueError, "argnums 1"),
        (lambda x: cr.jacrev(cr.exp)(2.0), RuntimeError, "by tensors"),
    ],
)
def test_errors_teach(call, error, words):
    with pytest.raises(error, match=words):
        call(cr.tensor([1.0, 2.0]))


def test_a_derivative_of_ones_own(monkeypatch):
    """`torch.autograd.Function`-like ops: what the walk back says is the Jacobian."""
    through = lambda x: cr.apply("gradients_through", x, function=lambda gs: [gs[0] * 3])  # noqa: E731
    x = cr.tensor([1.0, 2.0])
    assert cr.jvp(lambda x: through(x)[0] * x, [x], [cr.ones(2)])[1].tolist() == [4, 8]
    per_example = cr.vmap(cr.grad(lambda x: through(x)[0] * x))(x)
    assert per_example.tolist() == [4, 8]
