"""`cr.vmap` against torch.func.vmap, against loops, and composed with everything else."""

import itertools

import numpy as np
import pytest
import torch
from torch import func

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F
from chainrule.primitive import operations, primitive, registry, same_spec

RNG = np.random.default_rng(0)


def both(*shape):
    """The same random numbers for both libraries, in float64."""
    x = RNG.normal(size=shape)
    return cr.Tensor(x), torch.tensor(x)


def close(a, b, rtol=1e-10):
    """Both in float64: sums in another order differ by some ε."""
    for x, y in zip(cr.tree.flatten(a), cr.tree.flatten(b), strict=True):
        y = y.detach().numpy()
        assert x.shape == y.shape
        np.testing.assert_allclose(x.detach().numpy(), y, rtol=rtol, atol=1e-12)


# -- dimensions ------------------------------------------------------------------------------------

DIMS = [
    ((0, 0), 0),
    ((1, 0), 0),
    ((-1, 2), 1),
    ((None, 1), -1),
    ((2, None), 2),
    (0, (0,)),
]


@pytest.mark.parametrize(("in_dims", "out_dims"), DIMS)
def test_dimensions_as_in_pytorch(in_dims, out_dims):
    (a, ta), (b, tb) = both(3, 3, 3), both(3, 3, 3)
    ours = cr.vmap(lambda a, b: (a * b).cumsum(0), in_dims, out_dims)(a, b)
    close(ours, func.vmap(lambda a, b: (a * b).cumsum(0), in_dims, out_dims)(ta, tb))


def test_structures_of_arguments_and_results():
    (a, ta), (b, tb), (c, tc) = both(4, 2), both(2, 4), both(3)

    def f(tree, scale, c):
        return {"sum": tree["a"] + tree["b"][0] * scale, "both": (tree["a"].sum(), c.exp())}

    in_dims = ({"a": 0, "b": [1]}, None, None)
    ours = cr.vmap(f, in_dims)({"a": a, "b": [b]}, 2.0, c)
    theirs = func.vmap(f, in_dims)({"a": ta, "b": [tb]}, 2.0, tc)
    assert ours.keys() == theirs.keys()
    close(ours, theirs)
    ours = cr.vmap(f, in_dims, {"sum": 1, "both": (0, None)})({"a": a, "b": [b]}, 2.0, c)
    assert ours["sum"].shape == (2, 4) and ours["both"][1].shape == (3,)


def test_keywords_are_shared():
    (a, ta), (w, tw) = both(4, 3), both(3)
    close(cr.vmap(lambda a, w: a @ w)(a, w=w), func.vmap(lambda a, w: a @ w)(ta, w=tw))


def test_no_examples_and_one():
    assert cr.vmap(lambda x: (x @ x.T).sort(0)[0])(cr.zeros(0, 2, 3)).shape == (0, 2, 2)
    assert cr.vmap(lambda x: x.sum())(cr.ones(1, 2)).tolist() == [2]


def test_nested():
    (a, ta), (b, tb) = both(2, 3, 4), both(5, 4)
    outer = lambda v: lambda a, b: v(v(lambda x, y: (x * y).sum(), (None, 0)), (0, None))(a, b)  # noqa: E731
    close(
        cr.vmap(outer(cr.vmap), (0, None))(a, b),
        func.vmap(outer(func.vmap), (0, None))(ta, tb),
    )


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: cr.vmap(lambda a, b: a)(x, x[:1]), ValueError, r"\[2, 1\].*None to what all"),
        (lambda x: cr.vmap(lambda a: a, None)(x), ValueError, "no argument with examples"),
        (lambda x: cr.vmap(lambda a: a)(2.0), TypeError, "no tensor; given: float"),
        (lambda x: cr.vmap(lambda a: a, 2)(x), ValueError, r"in_dims is 2 .*\(2, 2\)"),
        (lambda x: cr.vmap(lambda a: a)(x.sum()), ValueError, "in_dims is 0"),
        (lambda x: cr.vmap(lambda a: a, (0, 0))(x), ValueError, "one for each of 1"),
        (lambda x: cr.vmap(lambda a: a, out_dims=3)(x), ValueError, "out_dims is 3"),
        (lambda x: cr.vmap(lambda a: a, out_dims=None)(x), RuntimeError, "out_dims is None"),
        (lambda x: cr.vmap(lambda a: 1.0)(x), TypeError, "returns tensors; given: float"),
        (lambda x: cr.vmap(x), TypeError, "takes a function"),
        (lambda x: cr.vmap(lambda a: a, randomness="some")(x), ValueError, "different"),
        (lambda x: cr.vmap(lambda a: a.sum().item())(x), RuntimeError, r"\.item\(\) .*2 examples"),
        (lambda x: cr.vmap(lambda a: a if a.sum() > 0 else -a)(x), RuntimeError, r"cr\.where"),
        (lambda x: cr.vmap(lambda a: a[a > 0])(x), RuntimeError, "nonzero"),
        (lambda x: cr.vmap(lambda a: a + cr.rand(2))(x), RuntimeError, 'randomness="different"'),
    ],
)
def test_errors_teach(call, error, words):
    with pytest.raises(error, match=words):
        call(cr.tensor([[1.0, -2.0], [3.0, 4.0]]))


def test_what_escapes_says_so():
    kept = []
    cr.vmap(lambda x: kept.append(x) or x)(cr.ones(2, 3))
    for use in (lambda x: x.numpy(), lambda x: x * 2, lambda x: x @ cr.ones(3), np.asarray):
        with pytest.raises(RuntimeError, match="under vmap"):
            use(kept[0])
    assert "2 examples" in repr(kept[0])


def test_what_all_share_has_numbers():
    scale = cr.tensor(3.0)

    def f(x):
        steps = int(scale.item() + cr.ones(2).sum().item())
        return x * steps

    assert cr.vmap(f)(cr.ones(2)).tolist() == [5, 5]


# -- writes ----------------------------------------------------------------------------------------


def test_writes_into_what_is_made_inside():
    x, tx = both(4, 3)

    def f(x):
        y = cr.zeros(3, dtype="float64")
        y[0] = x[1]
        row = y[1:]
        row += x[:2]
        total = y * 0
        for i in range(3):
            total += y * x[i]
        return total, y

    def expected(x):
        y = torch.cat([x[1:2], x[:2]])
        return y * x.sum(), y

    close(cr.vmap(f)(x), func.vmap(expected)(tx))
    g = cr.grad(lambda x: cr.vmap(f)(x)[0].sum())(x)
    close(g, func.grad(lambda x: func.vmap(expected)(tx if x is None else x)[0].sum())(tx))
    per_example = cr.vmap(cr.grad(lambda x: f(x)[0].sum()))(x)
    close(per_example, func.vmap(func.grad(lambda x: expected(x)[0].sum()))(tx))


def test_a_write_into_an_argument_is_seen_outside():
    x, t = cr.zeros(3, 2), torch.zeros(3, 2)
    cr.vmap(lambda x, y: x.add_(y), (1, None))(x, cr.ones(3))
    func.vmap(lambda x, y: x.add_(y), (1, None))(t, torch.ones(3))
    close(x, t)


def test_writes_outside_are_refused_and_change_nothing():
    state, norm = cr.zeros(3), nn.BatchNorm1d(3)
    with pytest.raises(RuntimeError, match=r"a tensor from outside of vmap, of float32\(3,\)"):
        cr.vmap(lambda x: state.add_(x))(cr.ones(4, 3))
    assert state.tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="outside of vmap"):
        cr.vmap(norm)(cr.randn(4, 5, 3))
    weight = cr.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="the gradient of a tensor from outside"):
        cr.vmap(lambda x: (weight * x).sum().backward() or x)(cr.ones(4, 3))
    assert weight.grad is None
    counter = cr.tensor(0)
    cr.vmap(lambda x: counter.add_(1) * x)(cr.ones(4))
    assert counter.item() == 1, "what all share is written once"


# -- random numbers --------------------------------------------------------------------------------


def test_randomness():
    x = cr.zeros(4, 3)
    draw = lambda x: x + cr.rand(3)  # noqa: E731
    cr.manual_seed(7)
    different = cr.vmap(draw, randomness="different")(x)
    after = cr.rand(2)
    cr.manual_seed(7)
    assert (cr.rand(4, 3) == different).all(), "one draw with the numbers of all examples"
    assert (cr.rand(2) == after).all(), "the state moves on by what was drawn"
    cr.manual_seed(7)
    same = cr.vmap(draw, randomness="same")(x)
    after = cr.rand(2)
    cr.manual_seed(7)
    assert (cr.rand(3) == same).all() and (cr.rand(2) == after).all()


def test_nested_randomness():
    x = cr.zeros(4, 5)
    for outer, inner in itertools.product(("different", "same"), repeat=2):
        cr.manual_seed(3)
        f = cr.vmap(lambda x: x + cr.randn(2), randomness=inner)
        y = cr.vmap(f, randomness=outer)(x)
        after = cr.rand(2)
        assert len({row.numpy().tobytes() for row in y[:, 0]}) == (4 if outer == "different" else 1)
        assert len({row.numpy().tobytes() for row in y[0]}) == (5 if inner == "different" else 1)
        cr.manual_seed(3)
        cr.randn(4 if outer == "different" else 1, 5 if inner == "different" else 1, 2)
        assert (cr.rand(2) == after).all()


def test_states_of_the_examples():
    """A state for each example: each draws from its own."""
    states = cr.tensor([[1, 0], [2, 0], [3, 5]])
    draw = lambda s: cr.apply("random_uniform", s, shape=(4,), dtype=np.dtype("f4"))  # noqa: E731
    y = cr.vmap(draw, randomness="different")(states)
    for s, row in zip(states, y, strict=True):
        assert (draw(s) == row).all()


def test_dropout():
    layer, x = nn.Dropout(0.5), cr.ones(3, 100)
    y = cr.vmap(layer, randomness="different")(x)
    assert len({row.numpy().tobytes() for row in y}) == 3
    y = cr.vmap(layer, randomness="same")(x)
    assert len({row.numpy().tobytes() for row in y}) == 1


# -- gradients -------------------------------------------------------------------------------------


def f(x, w):
    return ((x @ w).tanh() ** 2).sum()


def waves(row, w):
    return (row * w).sin().sum()


COMPOSITIONS = {
    "vmap(grad)": lambda v, g: v(g(f), (0, None)),
    "vmap(grad) by what is shared": lambda v, g: v(g(f, 1), (0, None)),
    "grad(vmap)": lambda v, g: g(lambda x, w: v(f, (0, None))(x, w).sum(), (0, 1)),
    "grad(vmap(grad))": lambda v, g: g(lambda x, w: (v(g(f), (0, None))(x, w) ** 2).sum(), (0, 1)),
    "grad(vmap(grad)) by what is shared": lambda v, g: g(
        lambda x, w: (v(g(f, 1), (0, None))(x, w) ** 2).sum(), (0, 1)
    ),
    "vmap(grad(grad))": lambda v, g: v(g(lambda x, w: g(f)(x, w).sum(), (0, 1)), (0, None)),
    "grad(vmap(grad(vmap)))": lambda v, g: g(
        lambda x, w: (
            v(g(lambda r, w: v(waves, (None, 1))(r, w).sum()), (0, None))(x, w) ** 3
        ).sum(),
        (0, 1),
    ),
    "vmap(vmap(grad))": lambda v, g: (
        lambda x, w: v(v(g(f, (0, 1)), (0, None)), (None, 0))(x, w.reshape(2, 3, 2))
    ),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_compositions_as_in_pytorch(name):
    (x, tx), (w, tw) = both(5, 3), both(3, 4)
    ours = COMPOSITIONS[name](cr.vmap, cr.grad)(x, w)
    close(ours, COMPOSITIONS[name](func.vmap, func.grad)(tx, tw))
    assert not any(y.requires_grad for y in cr.tree.flatten(ours)), "nothing is left recorded"
    compiled = cr.compile(COMPOSITIONS[name](cr.vmap, cr.grad))(x, w)
    for a, b in zip(cr.tree.flatten(ours), cr.tree.flatten(compiled), strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_backward_through_compositions(name):
    """On tensors that require gradients: the tape below goes on where the one above ends."""
    (x, tx), (w, tw) = both(5, 3), both(3, 4)
    for y, z in ((x, tx), (w, tw)):
        y.requires_grad_(), z.requires_grad_()
    total = lambda ys: sum((y * y).sum() for y in cr.tree.flatten(ys))  # noqa: E731
    total(COMPOSITIONS[name](cr.vmap, cr.grad)(x, w)).backward()
    total(COMPOSITIONS[name](func.vmap, func.grad)(tx, tw)).backward()
    close([x.grad, w.grad], [tx.grad, tw.grad])


def test_a_weight_from_outside_gets_its_gradient():
    (x, tx), (w, tw) = both(5, 3), both(3)
    w.requires_grad_(), tw.requires_grad_()
    cr.vmap(lambda x: (x * w).exp().sum())(x).sum().backward()
    func.vmap(lambda x: (x * tw).exp().sum())(tx).sum().backward()
    close(w.grad, tw.grad)
    w.grad = tw.grad = None
    cr.vmap(cr.grad(lambda x: ((x * w).exp() * w).sum()))(x).sum().backward()
    func.vmap(func.grad(lambda x: ((x * tw).exp() * tw).sum()))(tx).sum().backward()
    close(w.grad, tw.grad)


def test_detach_and_no_grad_hold_at_all_levels():
    x = cr.tensor([1.0, 2.0])
    g = cr.grad(lambda x: cr.vmap(lambda x: x.detach() * x)(x).sum())(x)
    assert g.tolist() == [1, 2]

    def half(x):
        with cr.no_grad():
            y = x * x
        return y * x

    assert cr.grad(lambda x: cr.vmap(half)(x).sum())(x).tolist() == [1, 4]
    assert cr.vmap(cr.grad(half))(x).tolist() == [1, 4]

    def with_slope(x):
        with cr.no_grad():
            value, slope = cr.value_and_grad(lambda x: x**3)(x)
        return slope * x + value

    assert cr.grad(lambda x: cr.vmap(with_slope)(x).sum())(x).tolist() == [3, 12]
    x.requires_grad_()
    with cr.no_grad():
        assert not cr.vmap(cr.grad(lambda x: x**3))(x).requires_grad


def test_a_checkpoint_inside():
    x, tx = both(4, 3)
    block = lambda x: (x.sin() * x).exp()  # noqa: E731
    ours = cr.vmap(cr.grad(lambda x: cr.checkpoint(block, x).sum()))(x)
    close(ours, func.vmap(func.grad(lambda x: block(x).sum()))(tx))
    ours = cr.grad(lambda x: cr.vmap(lambda x: cr.checkpoint(block, x).sum())(x).sum())(x)
    close(ours, func.grad(lambda x: block(x).sum())(tx))
    ours = cr.grad(lambda x: cr.checkpoint(cr.vmap(block), x).sum())(x)
    close(ours, func.grad(lambda x: block(x).sum())(tx))


# -- models ----------------------------------------------------------------------------------------


def torch_like(*modules):
    """Modules of Chainrule, and of PyTorch with the same numbers, in float64."""
    ours, theirs = modules
    ours, theirs = ours.to(cr.float64), theirs.double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    return ours, theirs


MODELS = {
    "mlp": (lambda nn: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)), (6,)),
    "conv": (
        lambda nn: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, groups=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 3, 2),
            nn.AvgPool2d(2),
            nn.Flatten(0),
        ),
        (2, 7, 6),
    ),
    "attention": (
        lambda nn: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), Attention(nn)),
        (5, 4),
    ),
}


def Attention(library):
    """Attention of a sequence to itself, by the library's function."""
    F = library.functional

    class SelfAttention(library.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x[None], x[None] * 2, x[None], is_causal=True)[0]

    return SelfAttention()


@pytest.mark.parametrize("kind", MODELS)
def test_gradients_of_each_example(kind):
    """vmap over grad by the parameters, which all examples share."""
    make, shape = MODELS[kind]
    ours, theirs = torch_like(make(nn), make(torch.nn))
    x, tx = both(4, *shape)

    def loss(model, call):
        return lambda params, x: (call(model, params, (x,)) ** 2).sum()

    params = {name: p.detach() for name, p in ours.named_parameters()}
    f = cr.vmap(cr.grad(loss(ours, nn.functional_call)), (None, 0), explain=True)
    found, looped = f(params, x)
    theirs_f = func.vmap(func.grad(loss(theirs, func.functional_call)), (None, 0))
    expected = theirs_f({n: p.detach() for n, p in theirs.named_parameters()}, tx)
    assert not looped and found.keys() == expected.keys()
    for name in found:
        close(found[name], expected[name])


@pytest.mark.parametrize("kind", MODELS)
def test_ensembles(kind):
    """vmap over stacked parameters: models side by side, on shared examples and on their own."""
    make, shape = MODELS[kind]
    pairs = [torch_like(make(nn), make(torch.nn)) for _ in range(3)]
    params, _ = nn.stack_module_state([a for a, _ in pairs])
    theirs, _ = func.stack_module_state([b for _, b in pairs])
    x, tx = both(3, *shape)
    ours = lambda p, x: nn.functional_call(pairs[0][0], p, x)  # noqa: E731
    other = lambda p, x: func.functional_call(pairs[0][1], p, x)  # noqa: E731
    for dims, n in (((0, None), 0), ((0, 0), slice(None))):
        y, looped = cr.vmap(ours, dims, explain=True)(params, x[n])
        assert not looped
        close(y, func.vmap(other, dims)(theirs, tx[n]))
        for p in theirs.values():
            p.grad = None
        for p in params.values():
            p.grad = None
        (y * y).sum().backward()
        (func.vmap(other, dims)(theirs, tx[n]) ** 2).sum().backward()
        close([params[k].grad for k in params], [theirs[k].grad for k in params])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_networks(kind):
    ours, theirs = torch_like(getattr(nn, kind)(3, 4), getattr(torch.nn, kind)(3, 4))
    x, tx = both(5, 7, 2, 3)
    y, looped = cr.vmap(lambda x: ours(x)[0], explain=True)(x)
    assert not looped
    close(y, torch.stack([theirs(example)[0] for example in tx]))
    y.sum().backward()
    torch.stack([theirs(example)[0] for example in tx]).sum().backward()
    close([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])
    params = {name: p.detach() for name, p in ours.named_parameters()}
    loss = lambda p, x: (nn.functional_call(ours, p, x)[0] ** 2).sum()  # noqa: E731
    found = cr.vmap(cr.grad(loss), (None, 0))(params, x)
    for i in range(5):
        single = cr.grad(loss)(params, x[i])
        for name, g in single.items():
            np.testing.assert_allclose(found[name][i].numpy(), g.numpy(), rtol=1e-10, atol=1e-12)


def test_losses_of_each_example():
    (x, tx), labels = both(6, 5, 3), RNG.integers(0, 3, (6, 5))
    for reduction in ("none", "sum", "mean"):
        ours = lambda x, t: F.cross_entropy(x, t, reduction=reduction)  # noqa: B023, E731
        other = lambda x, t: torch.nn.functional.cross_entropy(x, t, reduction=reduction)  # noqa: B023, E731
        close(cr.vmap(ours)(x, cr.Tensor(labels)), func.vmap(other)(tx, torch.tensor(labels)))


def test_explain_names_the_ops_that_looped():
    @primitive
    class reversed_rows:
        """y = x, the last row first: an op of a user's, which says nothing of what kind it is."""

        infer = same_spec

        def forward(x):
            return x[::-1].copy()

        def vjp(g):
            return (reversed_rows(g),)

    try:
        x = cr.Tensor(RNG.normal(size=(4, 3, 2)))
        f = lambda x: reversed_rows(x.exp()) * 2  # noqa: E731
        y, looped = cr.vmap(f, explain=True)(x)
        assert looped == ("reversed_rows",)
        assert (y == cr.stack([f(row) for row in x])).all()
        g = cr.vmap(cr.grad(lambda x: (f(x) * x).sum()))(x)
        assert (g == cr.stack([cr.grad(lambda x: (f(x) * x).sum())(row) for row in x])).all()
    finally:
        operations.pop("reversed_rows"), registry.pop("reversed_rows")
