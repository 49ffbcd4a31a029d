"""Recurrent layers: parity with PyTorch over their options, errors, and captured training."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, DTypeError, NotDifferentiableError, ShapeError

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="needs the extra `parity`")
KINDS = ("RNN", "LSTM", "GRU")
TIGHT = {"rtol": 1e-9, "atol": 1e-10}
"""In float64, sums of a few dozen numbers in another order, through four steps."""


def leaves(value):
    if hasattr(value, "batch_sizes"):
        return [value.data]
    return [x for part in value for x in leaves(part)] if isinstance(value, tuple) else [value]


def same_weights(ours, theirs):
    """Weights pass from PyTorch and back, under the same names in the same order."""
    state = {name: value.numpy().copy() for name, value in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    back = {name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()}
    theirs.load_state_dict(back)


def compare(ours, theirs, inputs, states, seed=0, pack=lambda library, x: x):
    """Every output, and the gradients of all outputs by inputs, given states and weights."""
    rng = np.random.default_rng(seed)
    xs = [cr.tensor(a, requires_grad=True) for a in [inputs, *states]]
    ts = [torch.tensor(a, requires_grad=True) for a in [inputs, *states]]

    def run(module, x, *hx):
        x = pack(nn if module is ours else torch.nn, x)
        return leaves(module(x, *([hx if len(hx) == 2 else hx[0]] if hx else [])))

    loss, reference = 0.0, 0.0
    for y, t in zip(run(ours, *xs), run(theirs, *ts), strict=True):
        assert y.shape == tuple(t.shape)
        np.testing.assert_allclose(y.detach(), t.detach(), **TIGHT)
        g = rng.normal(size=y.shape)
        loss, reference = loss + (y * cr.tensor(g)).sum(), reference + (t * torch.tensor(g)).sum()
    loss.backward()
    reference.backward()
    for x, t in zip(xs, ts, strict=True):
        np.testing.assert_allclose(x.grad, t.grad, **TIGHT)
    pairs = zip(ours.named_parameters(), theirs.named_parameters(), strict=True)
    for (name, p), (their_name, q) in pairs:
        assert name == their_name
        np.testing.assert_allclose(p.grad, q.grad, **TIGHT)


GRID = list(itertools.product((1, 2), (False, True), (False, True), (False, True)))


@pytest.mark.parity
@needs_torch
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "bidirectional", "batch_first", "bias"), GRID)
def test_layers_equal_pytorchs(kind, layers, bidirectional, batch_first, bias):
    options = {
        "num_layers": layers,
        "bidirectional": bidirectional,
        "batch_first": batch_first,
        "bias": bias,
    }
    ours, theirs = getattr(nn, kind)(3, 5, **options), getattr(torch.nn, kind)(3, 5, **options)
    ours.double(), theirs.double()
    same_weights(ours, theirs)
    rng = np.random.default_rng(0)
    pair = 2 if kind == "LSTM" else 1
    for front, batch in (((4, 2), (2,)), ((4,), ())):
        x = rng.normal(size=(*(front[::-1] if batch_first else front), 3))
        state = [rng.normal(size=(layers * (1 + bidirectional), *batch, 5)) for _ in range(pair)]
        for given in ([], state):
            ours.zero_grad(), theirs.zero_grad()
            compare(ours, theirs, x, given)


@pytest.mark.parity
@needs_torch
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_the_nonlinearity_of_a_plain_network(nonlinearity):
    ours, theirs = nn.RNN(3, 5, 2, nonlinearity), torch.nn.RNN(3, 5, 2, nonlinearity)
    ours.double(), theirs.double()
    same_weights(ours, theirs)
    compare(ours, theirs, np.random.default_rng(1).normal(size=(4, 2, 3)), [])


@pytest.mark.parity
@needs_torch
@pytest.mark.parametrize("kind", [*KINDS, "projected"])
@pytest.mark.parametrize("lengths", [(5, 3, 3, 1), (2, 5, 1, 5)])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (1, True), (2, True)])
def test_packed_sequences_equal_pytorchs(kind, lengths, layers, bidirectional):
    options = {"num_layers": layers, "bidirectional": bidirectional, "batch_first": True}
    options |= {"proj_size": 2} if kind == "projected" else {}
    kind = "LSTM" if kind == "projected" else kind
    ours, theirs = getattr(nn, kind)(3, 4, **options), getattr(torch.nn, kind)(3, 4, **options)
    ours.double(), theirs.double()
    same_weights(ours, theirs)
    rng, count = np.random.default_rng(0), layers * (1 + bidirectional)
    widths = [options.get("proj_size", 4), 4][: 1 + (kind == "LSTM")]
    state = [rng.normal(size=(count, 4, width)) for width in widths]

    def pack(library, x):
        is_sorted = list(lengths) == sorted(lengths, reverse=True)
        return library.utils.rnn.pack_padded_sequence(x, list(lengths), True, is_sorted)

    for given in ([], state):
        ours.zero_grad(), theirs.zero_grad()
        compare(ours, theirs, rng.normal(size=(4, 5, 3)), given, pack=pack)


@pytest.mark.parity
@needs_torch
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, True)])
def test_projected_states_equal_pytorchs(layers, bidirectional, bias):
    options = {"num_layers": layers, "bidirectional": bidirectional, "proj_size": 2, "bias": bias}
    ours, theirs = nn.LSTM(3, 4, **options).double(), torch.nn.LSTM(3, 4, **options).double()
    same_weights(ours, theirs)
    shapes = [[len(w.shape) for w in ws] for ws in ours.all_weights]
    assert shapes == [[w.ndim for w in ws] for ws in theirs.all_weights]
    rng, count = np.random.default_rng(0), layers * (1 + bidirectional)
    for batch in ((2,), ()):
        state = [rng.normal(size=(count, *batch, width)) for width in (2, 4)]
        for given in ([], state):
            ours.zero_grad(), theirs.zero_grad()
            compare(ours, theirs, rng.normal(size=(5, *batch, 3)), given)


CELLS = [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})]


@pytest.mark.parity
@needs_torch
@pytest.mark.parametrize(("kind", "options"), CELLS)
@pytest.mark.parametrize("bias", [False, True])
def test_cells_equal_pytorchs(kind, options, bias):
    ours = getattr(nn, kind)(3, 5, bias, **options).double()
    theirs = getattr(torch.nn, kind)(3, 5, bias, **options).double()
    same_weights(ours, theirs)
    rng = np.random.default_rng(2)
    for batch in ((2,), ()):
        states = [rng.normal(size=(*batch, 5)) for _ in range(2 if kind == "LSTMCell" else 1)]
        for given in ([], states):
            ours.zero_grad(), theirs.zero_grad()
            compare(ours, theirs, rng.normal(size=(*batch, 3)), given)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_its_cell_step_by_step(kind):
    layer = getattr(nn, kind)(3, 5, dtype=cr.float64)
    cell = getattr(nn, f"{kind}Cell")(3, 5, dtype=cr.float64)
    cell.load_state_dict({n.removesuffix("_l0"): v for n, v in layer.state_dict().items()})
    x = cr.tensor(np.random.default_rng(3).normal(size=(4, 2, 3)))
    output, last = layer(x)
    state = None
    for t in range(4):
        state = cell(x[t], state)
        # One product of 8 rows against four of 2: BLAS may add in another order.
        np.testing.assert_allclose(
            output[t].detach(),
            leaves(state)[0].detach() if kind != "LSTM" else state[0].detach(),
            rtol=1e-13,
            atol=1e-14,
        )
    final = [y[0] for y in last] if kind == "LSTM" else [last[0]]
    for y, s in zip(final, state if kind == "LSTM" else [state], strict=True):
        np.testing.assert_allclose(y.detach(), s.detach(), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_by_finite_differences(kind):
    layer = getattr(nn, kind)(2, 3, num_layers=2, bidirectional=True, dtype=cr.float64)
    x = cr.tensor(np.random.default_rng(4).normal(size=(3, 2, 2)))
    assert cr.gradcheck(lambda x: leaves(layer(x)), x)


@pytest.mark.parametrize("kind", KINDS)
def test_starting_values(kind):
    """U(−k, k) with k = 1/√64 = 1/8: the bounds, and a standard deviation of k/√3."""
    layer = getattr(nn, kind)(20, 64, num_layers=2)
    for name, p in layer.named_parameters():
        values = p.detach().numpy()
        assert np.abs(values).max() <= 0.125
        if p.ndim == 2:  # at least 1,280 numbers: the deviation is good to a few percent
            assert abs(values.std() / (0.125 / 3**0.5) - 1) < 0.1, name


def test_dropout_is_between_layers_and_in_training_only():
    cr.manual_seed(0)
    layer = nn.GRU(3, 8, num_layers=2, dropout=0.5)
    x = cr.tensor(np.random.default_rng(5).normal(size=(4, 2, 3)).astype(np.float32))
    first, second = layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy()
    assert (first != second).any()
    layer.eval()
    expected = layer(x)[0].detach().numpy()
    assert (layer(x)[0].detach().numpy() == expected).all()
    without = nn.GRU(3, 8, num_layers=2)
    without.load_state_dict(layer.state_dict())
    assert (without(x)[0].detach().numpy() == expected).all()
    single = nn.GRU(3, 8, dropout=0.5)
    assert (single(x)[0].detach().numpy() == single(x)[0].detach().numpy()).all()


def test_each_layers_dropout_keeps_the_mean():
    """With dropout 1 nothing passes: the second layer sees zeros."""
    layer = nn.RNN(3, 4, num_layers=2, dropout=1.0)
    a = layer(cr.randn(5, 2, 3))[0]
    b = layer(cr.randn(5, 2, 3))[0]
    assert (a.detach().numpy() == b.detach().numpy()).all()


def test_text():
    assert repr(nn.LSTM(28, 64)) == "LSTM(28, 64)"
    layer = nn.GRU(2, 3, num_layers=2, batch_first=True)
    assert repr(layer) == "GRU(2, 3, num_layers=2, batch_first=True)"
    assert repr(nn.LSTMCell(2, 3, bias=False)) == "LSTMCell(2, 3, bias=False)"


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_layers(kind):
    make = getattr(nn, kind)
    layer = make(3, 5)
    with pytest.raises(ShapeError, match=rf"4 features, this layer expects 3.*{kind}\(4, 5\)"):
        layer(cr.zeros(6, 2, 4))
    with pytest.raises(ShapeError, match="works on sequences"):
        layer(cr.zeros(6, 2, 2, 3))
    wrong = cr.zeros(1, 3, 5)
    with pytest.raises(ShapeError, match=r"state h_0 of .* \(1, 2, 5\)"):
        layer(cr.zeros(6, 2, 3), (wrong, wrong) if kind == "LSTM" else wrong)
    with pytest.raises(ShapeError, match=r"state h_0 of .* \(1, 5\)"):
        layer(cr.zeros(6, 3), (wrong, wrong) if kind == "LSTM" else wrong)
    with pytest.raises((ArgumentError, DTypeError), match=r"pair of states|one state"):
        layer(cr.zeros(6, 2, 3), wrong if kind == "LSTM" else (wrong, wrong))
    with pytest.raises(DTypeError, match="takes tensors"):
        layer(np.zeros((6, 2, 3), np.float32))
    with pytest.raises(DTypeError, match="one dtype"):
        layer(cr.zeros(6, 2, 3, dtype=cr.float64))
    with pytest.raises(ArgumentError, match="no time steps"):
        layer(cr.zeros(0, 2, 3))
    with pytest.raises(ArgumentError, match=r"dropout .* not in \[0, 1\]"):
        make(3, 5, dropout=1.5)
    with pytest.raises(ArgumentError, match="num_layers"):
        make(3, 5, num_layers=0)
    with pytest.raises(ArgumentError, match="hidden_size"):
        make(3, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_cells(kind):
    cell = getattr(nn, f"{kind}Cell")(3, 5)
    with pytest.raises(ShapeError, match="4 features, this layer expects 3"):
        cell(cr.zeros(2, 4))
    with pytest.raises(ShapeError, match="works on one step"):
        cell(cr.zeros(2, 2, 3))
    wrong = cr.zeros(3, 5)
    with pytest.raises(ShapeError, match="state h_0"):
        cell(cr.zeros(2, 3), (wrong, wrong) if kind == "LSTM" else wrong)


def test_unknown_options_are_refused():
    with pytest.raises(ArgumentError, match="unknown nonlinearity of RNN"):
        nn.RNN(3, 5, nonlinearity="sigmoid")
    with pytest.raises(ArgumentError, match="unknown nonlinearity of RNNCell"):
        nn.RNNCell(3, 5, nonlinearity="sigmoid")
    with pytest.raises(ArgumentError, match="bias of RNN is True or False"):
        nn.RNN(3, 5, 1, "tanh", "relu")


def test_a_second_derivative_is_refused():
    layer, x = nn.LSTM(3, 5), cr.randn(4, 2, 3).requires_grad_()
    (g,) = cr.gradients([layer(x)[0].sum()], [x], create_graph=True)
    with pytest.raises(NotDifferentiableError, match="lstm_sequence_gradient"):
        g.square().sum().backward()


class Classifier(nn.Module):
    """Reads a sequence and names its class from the last state."""

    def __init__(self, kind, options):
        self.read = getattr(nn, kind)(6, 8, batch_first=True, **options)
        self.name = nn.Linear(8 * (1 + self.read.bidirectional), 3)

    def forward(self, x):
        return self.name(self.read(x)[0][:, -1])


def training_step(model):
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(x, t):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True, "dropout": 0.3}], ids=["one", "deep"]
)
def test_a_captured_training_step_has_the_bits_of_eager(kind, options):
    """The graph on the references to the bit; a compiled program may run native kernels."""
    cr.manual_seed(1)
    model = Classifier(kind, options)
    twin, third = copy.deepcopy(model), copy.deepcopy(model)
    rng = np.random.default_rng(6)
    x = cr.tensor(rng.normal(size=(4, 7, 6)).astype(np.float32))
    t = cr.tensor(rng.integers(0, 3, 4))
    found = []
    for step in (
        training_step(model),
        cr.trace(training_step(twin))(x.spec, t.spec),
        cr.compile(training_step(third)),
    ):
        cr.manual_seed(2)
        found.append([step(x, t).item() for _ in range(5)])
    assert found[0] == found[1]
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
    # Native products add in another order: a few roundings of float32, through five steps.
    np.testing.assert_allclose(found[2], found[0], rtol=5e-6)
    assert found[0][-1] < found[0][0]


def test_a_trace_shows_one_op_for_a_layer():
    layer = nn.LSTM(3, 5)
    names = [e.primitive.name for e in cr.trace(layer)(cr.spec(4, 2, 3)).graph.equations]
    assert names.count("lstm_sequence") == 1 and names.count("linear") == 1


def test_it_learns_to_remember_the_first_step():
    """A task that needs memory: the class is the sign at the first of five steps."""
    cr.manual_seed(0)
    model = nn.LSTM(1, 8, batch_first=True)
    head = nn.Linear(8, 2)
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = optim.Adam(parameters, lr=0.03)
    rng = np.random.default_rng(7)

    def batch():
        x = rng.normal(size=(64, 5, 1)).astype(np.float32)
        return cr.tensor(x), cr.tensor((x[:, 0, 0] > 0).astype(np.int64))

    for _ in range(200):
        x, t = batch()
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(model(x)[1][0][0]), t).backward()
        optimizer.step()
    x, t = batch()
    # Guessing is right for half of them.
    assert (head(model(x)[0][:, -1]).argmax(1) == t).float().mean().item() > 0.9
