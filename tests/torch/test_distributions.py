"""`torch.distributions`: samples, their gradients, shapes and texts are PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
from tests.distributions import table

pytestmark = pytest.mark.parity
rows = pytest.mark.parametrize("row", table.ROWS, ids=str)


def array(x):
    return x.detach().numpy() if hasattr(x, "detach") else np.asarray(x)


DRAWN_AGAIN = ("Wishart",)
"""Of which PyTorch takes its first samples for singular, and draws them again."""


@rows
def test_samples_are_pytorchs_after_one_seed(torch, pytorch, row):
    """The same numbers, shapes and dtypes, and the stream goes on alike."""
    if row.name in DRAWN_AGAIN:
        return
    drawn = []
    for t in (torch, pytorch):
        t.manual_seed(3)
        d = row.make(t, row.tensors(t))
        one, many = d.sample(), d.sample(t.Size([2, 4]))
        again = [d.rsample((3,)).detach()] if d.has_rsample else []
        drawn.append([one, many, *again, t.rand(1)])
    for ours, theirs in zip(*drawn, strict=True):
        assert (ours.shape, str(ours.dtype)) == (theirs.shape, str(theirs.dtype))
        np.testing.assert_allclose(array(ours), array(theirs), rtol=1e-6, atol=1e-12)


APPROXIMATE = ("Gamma", "Chi2", "InverseGamma", "StudentT", "FisherSnedecor")
"""Samples made of gamma numbers, whose gradients PyTorch approximates to three digits."""
OTHER_PATHS = ("Beta", "Dirichlet")
"""Samples whose gradients are other ones than PyTorch's, of the same expectation."""


@rows
def test_gradients_of_samples(torch, pytorch, row):
    if not row.make(torch).has_rsample or row.name in OTHER_PATHS + DRAWN_AGAIN:
        return
    found = []
    for t in (torch, pytorch):
        tensors = row.tensors(t, requires_grad=True)
        t.manual_seed(5)
        y = row.make(t, tensors).rsample((4,))
        y.square().sum().backward()
        found.append([x.grad for x in tensors.values()])
    close = 5e-3 if row.name in APPROXIMATE else 1e-6
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(array(ours), array(theirs), rtol=close, atol=close)


@rows
def test_texts_are_pytorchs(torch, pytorch, row):
    ours, theirs = repr(row.make(torch)), repr(row.make(pytorch))
    assert ours == theirs or theirs == f"{row.name}()"  # of some, PyTorch shows no parameters


PARTS = {
    "independent": lambda t, d: d.Independent(d.Laplace(t.zeros(2, 3), t.ones(3)), 1),
    "mixture": lambda t, d: d.MixtureSameFamily(
        d.Categorical(t.tensor([0.25, 0.75])), d.Normal(t.tensor([-2.0, 2.0]), t.tensor([1.0, 0.5]))
    ),
    "mixture of vectors": lambda t, d: d.MixtureSameFamily(
        d.Categorical(t.ones(4, 2)),
        d.Independent(d.Normal(t.zeros(4, 2, 3), t.ones(3)), 1),
    ),
    "squashed": lambda t, d: d.TransformedDistribution(
        d.Normal(t.tensor([0.0, 0.5]), 1.0), [d.transforms.TanhTransform(cache_size=1)]
    ),
    "logistic": lambda t, d: d.TransformedDistribution(
        d.Uniform(t.zeros(2), t.ones(2)),
        [d.SigmoidTransform().inv, d.AffineTransform(loc=t.tensor(1.0), scale=t.tensor(2.0))],
    ),
    "stick breaking": lambda t, d: d.TransformedDistribution(
        d.Normal(t.zeros(2, 3), t.ones(3)), d.StickBreakingTransform()
    ),
    "numbers": lambda t, d: d.Normal(0, 2).expand((3,)),
    "temperature": lambda t, d: d.RelaxedOneHotCategorical(t.tensor(0.5), logits=t.zeros(2, 3)),
}


@pytest.mark.parametrize("name", PARTS)
def test_distributions_made_of_others(torch, pytorch, name):
    found = []
    for t in (torch, pytorch):
        d = PARTS[name](t, t.distributions)
        t.manual_seed(2)
        x = d.sample((4,))
        shapes = (d.batch_shape, d.event_shape, d.has_rsample, x.shape)
        found.append([repr(shapes), x, d.log_prob(x)])
        if name.startswith("mixture"):
            found[-1] += [d.mean, d.variance]
    for ours, theirs in zip(*found, strict=True):
        if isinstance(theirs, str):
            assert ours == theirs
        else:
            np.testing.assert_allclose(array(ours), array(theirs), rtol=2e-5, atol=1e-6)  # float32


def test_names_by_their_paths(torch):
    from chainrule.torch.distributions.categorical import Categorical
    from chainrule.torch.distributions.kl import kl_divergence as same
    from chainrule.torch.distributions.transforms import TanhTransform
    from chainrule.torch.distributions.utils import broadcast_all

    from chainrule.torch.distributions import constraints, kl_divergence, register_kl

    assert Categorical is torch.distributions.Categorical and callable(same)
    assert constraints is torch.distributions.constraints and all(
        map(callable, (register_kl, kl_divergence))
    )
    assert repr(Categorical(torch.ones(2, 3)).param_shape) == "torch.Size([2, 3])"
    assert TanhTransform is torch.distributions.TanhTransform
    assert [x.shape for x in broadcast_all(1.0, torch.ones(2))] == [(2,), (2,)]
    with pytest.raises(AttributeError, match=r"ExponentialFamily is PyTorch's.*Distribution"):
        torch.distributions.ExponentialFamily  # noqa: B018
