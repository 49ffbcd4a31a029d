"""`torch.compile`: the same results as without it, whatever the function does."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest

import chainrule.torch as torch
from chainrule.torch import nn
from chainrule.torch.adapter.compiled import MOST_CAPTURES


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)
        )

    def forward(self, x):
        return self.net(x)


def losses(model, of=lambda model: model):
    torch.manual_seed(0)
    model = model()
    run = of(model)
    optimizer = torch.optim.Adam(run.parameters(), lr=0.05)
    found = []
    for _ in range(4):
        x = torch.randn(16, 4)
        loss = nn.functional.mse_loss(run(x), x.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    run.eval()
    with torch.no_grad():
        found.append(run(torch.ones(2, 4)).sum().item())
    return found


def test_a_compiled_model_trains_as_the_model_itself():
    expected = losses(Net)
    assert losses(Net, lambda model: torch.compile(model, fullgraph=True)) == pytest.approx(
        expected,
        rel=1e-5,  # float32
    )


def test_a_compiled_model_shares_everything_with_the_model():
    model = Net()
    fast = torch.compile(model, mode="max-autotune")
    assert fast._orig_mod is model and isinstance(fast, Net)
    assert list(fast.state_dict()) == list(model.state_dict())
    assert fast.net[0].weight is model.net[0].weight
    fast.eval()
    assert not model.training
    x = torch.ones(2, 4)
    for other in (copy.deepcopy(fast), pickle.loads(pickle.dumps(fast))):
        assert other(x).tolist() == fast(x).tolist() == model(x).tolist()
        assert other.net[0].weight is not model.net[0].weight


class Sample(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.calls = nn.Linear(4, 1), 0

    def forward(self, x):
        self.calls += 1
        y = self.linear(x)
        return y * 2 if y.sum().item() > 0 else y


def test_what_depends_on_numbers_runs_eagerly_after_one_warning():
    expected = losses(Sample)
    with pytest.warns(UserWarning, match="runs eagerly") as caught:
        assert losses(Sample, torch.compile) == expected
    assert len(caught) == 1
    model = Sample()
    with pytest.warns(UserWarning, match="runs eagerly"):
        torch.compile(model)(torch.ones(1, 4))
    assert model.calls == 1
    with pytest.raises(RuntimeError, match="item"):
        torch.compile(Sample(), fullgraph=True)(torch.ones(1, 4))


def test_what_prints_prints_at_each_call(capsys):
    @torch.compile
    def shout(x):
        print("called")
        return x * 2

    with pytest.warns(UserWarning, match="prints"):
        assert [shout(torch.ones(1)).item() for _ in range(3)] == [2.0] * 3
    assert capsys.readouterr().out == "called\n" * 3


def test_after_many_shapes_new_ones_run_eagerly():
    @torch.compile
    def grow(x):
        return (x * x).sum()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in [*range(1, 40), *range(1, 40)]:
            assert grow(torch.ones(n)).item() == n
    assert grow.captures == MOST_CAPTURES


def test_a_method_is_compiled_for_each_object():
    class Scale:
        def __init__(self, factor):
            self.factor = torch.tensor(factor)

        @torch.compile(dynamic=True)
        def __call__(self, x):
            return x * self.factor

        @torch.compile
        def looks(self, x):
            return x if x.sum() > 0 else x * self.factor

    a, b, x = Scale(2.0), Scale(3.0), torch.ones(2)
    assert (a(x).tolist(), b(x).tolist()) == ([2.0, 2.0], [3.0, 3.0])
    with pytest.warns(UserWarning, match="runs eagerly"):
        assert a.looks(-x).tolist() == [-2.0, -2.0] and a.looks(x).tolist() == [1.0, 1.0]


def test_disabled_it_is_the_function_itself():
    assert torch.compile(losses, disable=True) is losses
