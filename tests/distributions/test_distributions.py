"""What distributions do beside formulas: checks, shapes, parts, own families, compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from tests.distributions import table

import chainrule as cr
from chainrule import distributions as D
from chainrule.distributions import constraints, transforms


@pytest.mark.parametrize("row", [r for r in table.ROWS if r.name != "VonMises"], ids=str)
def test_samples_have_the_mean_that_is_given(row):
    """Within five standard errors of 2,000 samples of a fixed seed, where there is a variance."""
    d = row.make(cr)
    try:
        mean, variance = d.mean.numpy(), d.variance.numpy()
    except NotImplementedError:
        return
    cr.manual_seed(7)
    x = d.sample((2000,)).numpy()
    known = np.isfinite(variance)
    off = np.abs(x.mean(0) - mean)[known]
    assert (off <= 5 * np.sqrt(variance[known] / 2000)).all()


def test_angles_have_the_direction_that_is_given():
    """Within five standard errors of 2,000 samples of a fixed seed."""
    d = D.VonMises(cr.tensor([0.5, -3.0]), cr.tensor([2.0, 10.0]))
    cr.manual_seed(7)
    x = d.sample((2000,)).numpy()
    assert (np.abs(x) <= np.pi + 1e-6).all()
    length = 1 - d.variance.numpy()  # the mean of cos(x − loc), whose variance is at most 1
    off = np.cos(x - d.loc.numpy()).mean(0) - length
    assert (np.abs(off) <= 5 / np.sqrt(2000)).all()
    assert (np.abs(np.sin(x - d.loc.numpy()).mean(0)) <= 5 / np.sqrt(2000)).all()


INVALID = {
    "a negative scale": lambda: D.Normal(0.0, -1.0),
    "one of many": lambda: D.Exponential(cr.tensor([1.0, 0.0])),
    "NaN": lambda: D.Normal(float("nan"), 1.0),
    "a probability of 2": lambda: D.Bernoulli(probs=2.0),
    "a geometric probability of 0": lambda: D.Geometric(0.0),
    "negative weights": lambda: D.Categorical(probs=cr.tensor([-1.0, 2.0])),
    "no classes": lambda: D.Categorical(logits=cr.tensor(1.0)),
    "probs and logits": lambda: D.Bernoulli(probs=0.5, logits=0.0),
    "neither probs nor logits": lambda: D.Categorical(),
    "low above high": lambda: D.Uniform(1.0, 0.0),
    "an indefinite covariance": lambda: D.MultivariateNormal(cr.zeros(2), cr.ones(2, 2)),
    "two matrices": lambda: D.MultivariateNormal(cr.zeros(2), cr.eye(2), cr.eye(2)),
    "a fraction of trials": lambda: D.Binomial(2.5, probs=0.5),
    "shapes": lambda: D.Normal(cr.zeros(2), cr.ones(3)),
    "too many dimensions": lambda: D.Independent(D.Normal(0.0, 1.0), 1),
    "a value outside": lambda: D.Exponential(1.0).log_prob(cr.tensor(-1.0)),
    "a value of NaN": lambda: D.Normal(0.0, 1.0).log_prob(cr.tensor([0.0, float("nan")])),
    "a value that is no tensor": lambda: D.Normal(0.0, 1.0).log_prob(0.5),
    "a value of another shape": lambda: D.Dirichlet(cr.ones(3)).log_prob(cr.ones(2) / 2),
    "a value of another batch": lambda: D.Normal(cr.zeros(2), 1.0).log_prob(cr.zeros(3)),
    "a class out of range": lambda: D.Categorical(cr.ones(3)).log_prob(cr.tensor(3)),
    "a components' batch": lambda: D.MixtureSameFamily(
        D.Categorical(cr.ones(2)), D.Normal(0.0, 1.0)
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_what_is_not_valid(name):
    with pytest.raises(ValueError):
        INVALID[name]()


def test_errors_name_the_place_and_the_set():
    with pytest.raises(ValueError, match=r"scale of Normal.*-2\.0 at \[1\].*lower_bound=0\.0"):
        D.Normal(0.0, cr.tensor([1.0, -2.0]))
    with pytest.raises(ValueError, match=r"support of Poisson.*0\.5.*IntegerGreaterThan"):
        D.Poisson(1.0).log_prob(cr.tensor(0.5))


def test_checks_can_be_left_out():
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1.0
    assert np.isnan(D.Exponential(1.0, validate_args=False).log_prob(cr.tensor(np.nan)).item())
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="True or False"):
        D.Distribution.set_default_validate_args("yes")


def test_what_a_family_does_not_have():
    for call in (
        lambda: D.Poisson(1.0).rsample(),
        lambda: D.Poisson(1.0).entropy(),
        lambda: D.Gamma(1.0, 1.0).icdf(cr.tensor(0.5)),
        lambda: D.Normal(0.0, 1.0).enumerate_support(),
        lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), []).mean,
        lambda: D.kl_divergence(D.Categorical(cr.ones(2)), D.Normal(0.0, 1.0)),
        lambda: D.kl_divergence(D.StudentT(3.0), D.Laplace(0.0, 1.0)),
    ):
        with pytest.raises(NotImplementedError):
            call()


def test_parameters_broadcast_and_numbers_take_the_dtype():
    d = D.Normal(cr.zeros(3, 1), cr.ones(2, dtype="float32"))
    assert d.batch_shape == d.loc.shape == d.scale.shape == (3, 2)
    assert D.Normal(0, 1).sample((2,)).dtype == cr.float32
    assert D.Normal(cr.zeros((), dtype="float64"), 1.0).sample().dtype == cr.float64
    assert D.Binomial(cr.tensor(5), probs=0.5).sample().dtype == cr.float32
    assert D.Uniform(-1, 1).log_prob(cr.tensor(0.0)).item() == pytest.approx(-np.log(2))
    assert D.Categorical(cr.ones(4, 3)).sample((2,)).shape == (2, 4)
    assert D.Categorical(cr.ones(3)).sample().dtype == cr.int64


def test_samples_have_no_gradients_but_those_of_rsample():
    loc = cr.zeros(2, requires_grad=True)
    for d in (D.Normal(loc, 1.0), D.Independent(D.Laplace(loc, 1.0), 1), D.LogNormal(loc, 1.0)):
        assert not d.sample().requires_grad and d.rsample().requires_grad and d.has_rsample
    assert not D.Bernoulli(logits=loc).sample().requires_grad


def test_the_score_function_of_a_policy():
    """∂ ln p(a)/∂logits = onehot(a) − softmax(logits)."""
    logits = cr.tensor([0.5, -1.0, 2.0], requires_grad=True)
    policy = D.Categorical(logits=logits)
    action = policy.sample()
    policy.log_prob(action).backward()
    expected = np.eye(3)[action.item()] - policy.probs.detach().numpy()
    np.testing.assert_allclose(logits.grad, expected, atol=1e-6)  # float32


def test_independent_and_mixtures():
    base = D.Normal(cr.zeros(4, 3), cr.ones(3))
    d = D.Independent(base, 1)
    x = d.sample((5,))
    assert (d.batch_shape, d.event_shape, x.shape) == ((4,), (3,), (5, 4, 3))
    np.testing.assert_allclose(d.log_prob(x), base.log_prob(x).sum(-1))
    assert d.entropy().shape == (4,) and d.expand((2, 4)).sample().shape == (2, 4, 3)
    weights = cr.tensor([0.25, 0.75])
    parts = D.Normal(cr.tensor([-5.0, 5.0]), cr.tensor([0.1, 0.2]))
    mixture = D.MixtureSameFamily(D.Categorical(weights), parts)
    cr.manual_seed(1)
    drawn = mixture.sample((1000,))
    # Five standard errors of a frequency.
    assert abs((drawn > 0).float().mean().item() - 0.75) < 5 * (0.25 * 0.75 / 1000) ** 0.5
    each = cr.stack([D.Normal(-5.0, 0.1).log_prob(drawn), D.Normal(5.0, 0.2).log_prob(drawn)], -1)
    np.testing.assert_allclose(
        mixture.log_prob(drawn), cr.logsumexp(each + weights.log(), -1), rtol=1e-5, atol=1e-6
    )
    assert mixture.cdf(cr.tensor(0.0)).item() == pytest.approx(0.25)
    many = D.MixtureSameFamily(D.Categorical(cr.ones(4)), d.expand((7, 4)))
    assert many.sample((3,)).shape == (3, 7, 3) and many.mean.shape == (7, 3)


def test_transformed_distributions_integrate_to_one():
    squashed = D.TransformedDistribution(
        D.Normal(0.3, 0.7), [transforms.TanhTransform(), transforms.AffineTransform(1.0, -2.0)]
    )
    x = cr.linspace(-0.999, 2.999, 4001, dtype="float64")
    wide = D.Normal(cr.tensor(0.3, dtype="float64"), 0.7)
    squashed = D.TransformedDistribution(wide, squashed.transforms)
    density = squashed.log_prob(x).exp()
    # The trapezoidal rule; beyond ±0.999 of the way 1e-5 of the probability is left.
    assert cr.trapezoid(density, x).item() == pytest.approx(1.0, abs=1e-4)
    p = cr.tensor([0.1, 0.5, 0.9], dtype="float64")
    np.testing.assert_allclose(squashed.cdf(squashed.icdf(p)), p, rtol=1e-9)


def test_a_cached_transform_gives_back_its_x():
    x = cr.tensor([9.0, 20.0])
    exact, rounded = transforms.TanhTransform(cache_size=1), transforms.TanhTransform()
    assert exact.inv(exact(x)) is x
    assert not np.isfinite(rounded.inv(rounded(x)).numpy()).all()
    policy = D.TransformedDistribution(D.Normal(0.0, 5.0), [exact])
    action = policy.rsample((50,))
    assert np.isfinite(policy.log_prob(action).numpy()).all()
    with pytest.raises(ValueError, match="cache_size"):
        transforms.ExpTransform(cache_size=2)


def test_a_family_of_ones_own():
    class Triangle(D.Distribution):
        """p(x) = 2x/top² on [0, top]."""

        arg_constraints = {"top": constraints.positive}  # noqa: RUF012
        has_rsample = True

        def __init__(self, top, validate_args=None):
            self.top = top
            super().__init__(top.shape, validate_args=validate_args)

        @property
        def support(self):
            return constraints.interval(0.0, self.top)

        @property
        def mean(self):
            return self.top * 2 / 3

        def rsample(self, sample_shape=()):
            return self.top * cr.rand(self._extended_shape(sample_shape)).sqrt()

        def log_prob(self, value):
            self._validate_sample(value)
            return (2 * value / self.top**2).log()

        def entropy(self):
            return 0.5 - (2 / self.top).log()

    d = Triangle(cr.tensor([1.0, 2.0]))
    assert d.sample((3,)).shape == (3, 2) and d.expand((4, 2)).sample().shape == (4, 2)
    with pytest.raises(ValueError, match="support of Triangle"):
        d.log_prob(cr.tensor([0.5, 3.0]))
    with pytest.raises(ValueError, match="top of Triangle"):
        Triangle(cr.tensor(-1.0))
    # −H(p) − E ln q for an exponential q, which needs the mean alone.
    found = D.kl_divergence(d, D.Exponential(1.0))
    np.testing.assert_allclose(found, d.mean.numpy() - d.entropy().numpy(), rtol=1e-6)
    assert D.kl_divergence(D.Exponential(1.0), d).tolist() == [np.inf, np.inf]


def test_an_elbo_trains_a_posterior():
    """Of N(0, 1) and one observation 2 of N(z, 1): the posterior is N(1, 1/2)."""
    cr.manual_seed(0)
    loc, log_scale = (cr.zeros((), requires_grad=True) for _ in range(2))
    optimizer = cr.optim.Adam([loc, log_scale], lr=0.05)

    @cr.compile
    def step():
        optimizer.zero_grad()
        q = D.Normal(loc, log_scale.exp())
        z = q.rsample((64,))
        fit = D.Normal(z, 1.0).log_prob(cr.full((), 2.0)).mean()
        loss = D.kl_divergence(q, D.Normal(0.0, 1.0)) - fit
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(300):
        step()
    # The step of 0.05 leaves the parameters within about 0.1 of the optimum.
    assert loc.item() == pytest.approx(1.0, abs=0.1)
    assert log_scale.exp().item() == pytest.approx(0.5**0.5, abs=0.1)


def test_a_compiled_function_checks_before_it_writes():
    total = cr.zeros(())

    @cr.compile
    def add(rate):
        total.add_(D.Exponential(rate).mean)
        return total

    add(cr.tensor(2.0))
    with pytest.raises(ValueError, match="rate of Exponential"):
        add(cr.tensor(-2.0))
    assert total.item() == 0.5


def test_of_each_example():
    means = cr.tensor([0.0, 1.0, 2.0])
    values = cr.tensor([0.5, 0.5, 0.5])
    found = cr.vmap(lambda m, x: D.Normal(m, 1.0).log_prob(x))(means, values)
    np.testing.assert_allclose(found, D.Normal(means, 1.0).log_prob(values))
    drawn = cr.vmap(lambda m: D.Normal(m, 1.0).sample((2,)), randomness="different")(means)
    assert drawn.shape == (3, 2) and len(set(drawn.reshape(-1).tolist())) == 6
