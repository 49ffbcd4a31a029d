"""Averages of weights: as PyTorch's `swa_utils`, in eager and compiled steps."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError

FUNCTIONS = {
    "mean": lambda u: {},
    "mean function": lambda u: {"avg_fn": u.get_swa_avg_fn()},
    "mean of lists": lambda u: {"multi_avg_fn": u.get_swa_multi_avg_fn()},
    "exponential": lambda u: {"avg_fn": u.get_ema_avg_fn(0.7)},
    "exponential lists": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.7)},
    "with buffers": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.7), "use_buffers": True},
    "own": lambda u: {"avg_fn": lambda a, p, n: 0.1 * a + 0.9 * p},
}


def states(library, utilities, functions):
    """The state of the average after each of some steps."""
    layers = library.nn
    model = layers.Sequential(layers.Linear(3, 2), layers.BatchNorm1d(2))
    start = np.random.default_rng(0).normal(size=(2, 3)).astype("f")
    with library.no_grad():
        model[0].weight.copy_(library.tensor(start))
        model[0].bias.zero_()
    average = utilities.AveragedModel(model, **functions(utilities))
    rng, rows = np.random.default_rng(1), []
    for _ in range(5):
        model(library.tensor(rng.normal(size=(4, 3)).astype("f")))
        with library.no_grad():
            model[0].weight.add_(library.tensor(rng.normal(size=(2, 3)).astype("f")))
        average.update_parameters(model)
        rows.append({name: np.array(x.tolist()) for name, x in average.state_dict().items()})
    return rows


@pytest.mark.parity
@pytest.mark.parametrize("name", FUNCTIONS)
def test_averages_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    theirs = states(torch, torch.optim.swa_utils, FUNCTIONS[name])
    ours = states(cr, nn.averaging, FUNCTIONS[name])
    assert ours[0].keys() == theirs[0].keys()
    for a, b in zip(theirs, ours, strict=True):
        for key in a:
            np.testing.assert_allclose(b[key], a[key], 1e-5, 1e-6)  # float32


def test_a_compiled_step_updates_the_average():
    ends = []
    for compiled in (False, True):
        model = nn.Linear(2, 1, bias=False)
        with cr.no_grad():
            model.weight.fill_(1.0)
        average = nn.AveragedModel(model, avg_fn=nn.get_ema_avg_fn(0.5))
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x, model=model, average=average, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            average.update_parameters(model)
            return loss

        run = cr.compile(step) if compiled else step
        for value in (1.0, 2.0, 3.0):
            run(cr.full((4, 2), value))
        ends.append([average.n_averaged.item(), *average.module.weight.tolist()])
    assert ends[0] == ends[1]


@pytest.mark.parity
def test_the_statistics_of_averaged_weights():
    torch, rng = pytest.importorskip("torch"), np.random.default_rng(2)
    batches = [rng.normal(size=(5, 2)).astype("f") * (1 + k) for k in range(3)]
    rows = []
    for library, update in ((torch, torch.optim.swa_utils.update_bn), (cr, nn.update_bn)):
        model = library.nn.Sequential(library.nn.BatchNorm1d(2), library.nn.Flatten())
        model.eval()
        update([(library.tensor(x), 0) for x in batches], model)
        rows.append([*model[0].running_mean.tolist(), *model[0].running_var.tolist()])
        assert not model.training and model[0].momentum == 0.1
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-5)  # float32


def test_refused():
    with pytest.raises(ArgumentError, match="one of the two"):
        nn.AveragedModel(
            nn.Linear(1, 1), avg_fn=nn.get_swa_avg_fn(), multi_avg_fn=nn.get_swa_multi_avg_fn()
        )
    with pytest.raises(ArgumentError, match="'cpu'"):
        nn.AveragedModel(nn.Linear(1, 1), "cuda")
    with pytest.raises(ArgumentError, match="decay"):
        nn.get_ema_avg_fn(1.5)
