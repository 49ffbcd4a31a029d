"""The update rules against the formulas written out in plain NumPy, and at their extremes."""

import numpy as np
import pytest
from tests.optim.table import CASES, fitting, make

import chainrule as cr
from chainrule import nn, optim

# A few roundings of 1.1e-16 each, on numbers of size 1.
CLOSE = {"rtol": 1e-13, "atol": 1e-13}


def run(optimizer, w, gradients):
    for g in gradients:
        w.grad = cr.tensor(np.asarray(g, w.dtype))
        optimizer.step()
    return w.detach().numpy()


@pytest.fixture
def start():
    return np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])


@pytest.fixture
def gradients(start):
    return list(np.random.default_rng(0).normal(size=(6, *start.shape)))


def test_sgd_with_momentum_and_dampening(start, gradients):
    w = cr.tensor(start, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.2)
    given = run(optimizer, w, gradients)
    x, b = start.copy(), None
    for g in gradients:
        d = g + 0.2 * x
        b = d if b is None else 0.9 * b + 0.5 * d
        x = x - 0.1 * b
    np.testing.assert_allclose(given, x, **CLOSE)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam(start, gradients, amsgrad):
    w = cr.tensor(start, requires_grad=True)
    gradients[0] *= 10  # so that the largest v is not the last one
    options = dict(lr=0.1, betas=(0.5, 0.6), eps=1e-4, weight_decay=0.1, amsgrad=amsgrad)
    given = run(optim.Adam([w], **options), w, gradients)
    x, m, v, top = start.copy(), 0, 0, np.zeros(start.shape)
    for t, g in enumerate(gradients, 1):
        d = g + 0.1 * x
        m, v = 0.5 * m + 0.5 * d, 0.6 * v + 0.4 * d**2
        top = np.maximum(top, v)
        m_hat, v_hat = m / (1 - 0.5**t), (top if amsgrad else v) / (1 - 0.6**t)
        x = x - 0.1 * m_hat / (np.sqrt(v_hat) + 1e-4)
    np.testing.assert_allclose(given, x, **CLOSE)


def test_adamw_decays_beside_the_moments(start):
    w = cr.tensor(start, requires_grad=True)
    given = run(optim.AdamW([w], lr=0.1, weight_decay=0.5), w, [np.zeros(start.shape)] * 3)
    np.testing.assert_allclose(given, start * (1 - 0.05) ** 3, **CLOSE)


def test_rmsprop_centered_with_momentum(start, gradients):
    w = cr.tensor(start, requires_grad=True)
    options = dict(lr=0.1, alpha=0.8, eps=1e-3, momentum=0.5, centered=True)
    given = run(optim.RMSprop([w], **options), w, gradients)
    x, v, m, b = start.copy(), 0, 0, 0
    for g in gradients:
        v, m = 0.8 * v + 0.2 * g**2, 0.8 * m + 0.2 * g
        b = 0.5 * b + g / (np.sqrt(v - m**2) + 1e-3)
        x = x - 0.1 * b
    np.testing.assert_allclose(given, x, **CLOSE)


def test_adagrad(start, gradients):
    w = cr.tensor(start, requires_grad=True)
    options = dict(lr=0.1, lr_decay=0.3, initial_accumulator_value=0.5, eps=1e-3)
    given = run(optim.Adagrad([w], **options), w, gradients)
    x, s = start.copy(), 0.5
    for t, g in enumerate(gradients):
        s = s + g**2
        x = x - 0.1 / (1 + 0.3 * t) * g / (np.sqrt(s) + 1e-3)
    np.testing.assert_allclose(given, x, **CLOSE)


@pytest.mark.parametrize("name", ["Lion", "LAMB"])
def test_the_formulas_of_papers_that_pytorch_does_not_have(start, gradients, name):
    w = cr.tensor(start, requires_grad=True)
    options = dict(lr=0.1, betas=(0.5, 0.6), weight_decay=0.2)
    given = run(getattr(optim, name)([w], **options), w, gradients)
    x, m, v = start.copy(), 0, 0
    for t, g in enumerate(gradients, 1):
        if name == "Lion":  # Chen et al., 2023, algorithm 2
            c, m = 0.5 * m + 0.5 * g, 0.6 * m + 0.4 * g
            x = x - 0.1 * (np.sign(c) + 0.2 * x)
        else:  # You et al., 2020, algorithm 2
            m, v = 0.5 * m + 0.5 * g, 0.6 * v + 0.4 * g**2
            r = (m / (1 - 0.5**t)) / (np.sqrt(v / (1 - 0.6**t)) + 1e-6) + 0.2 * x
            x = x - 0.1 * np.linalg.norm(x) / np.linalg.norm(r) * r
    np.testing.assert_allclose(given, x, **CLOSE)


def test_the_step_of_muon_is_the_nearest_orthogonal_matrix(start, gradients):
    w = cr.tensor(start, requires_grad=True)
    newton = dict(ns_coefficients=(1.5, -0.5, 0.0), ns_steps=40)  # this iteration converges
    optimizer = optim.Muon([w], lr=0.1, weight_decay=0, nesterov=False, **newton)
    u, _, vh = np.linalg.svd(gradients[0], full_matrices=False)
    # 40 products whose roundings the iteration corrects.
    np.testing.assert_allclose(run(optimizer, w, gradients[:1]), start - 0.1 * u @ vh, atol=1e-12)
    with pytest.raises(cr.ChainruleError, match=r"matrices.*AdamW"):
        optim.Muon([cr.zeros(3, requires_grad=True)])


def test_a_layer_without_weights_or_gradient_keeps_the_rate_of_lamb():
    for w, g in ((np.zeros(2), np.ones(2)), (np.ones(2), np.zeros(2))):
        parameter = cr.tensor(w, requires_grad=True)
        given = run(optim.LAMB([parameter], lr=0.1), parameter, [g])
        np.testing.assert_allclose(given, w - 0.1 * np.sign(g), rtol=1e-5)  # ε is 1e-6


SPEED = {"Adagrad": 0.5, "Adadelta": 20.0, "Adafactor": 0.2, "RAdam": 0.05}
"""Rates of optimizers whose steps become small, or start small."""


@pytest.mark.parametrize(
    "case", [case for case in CASES if "maximize" not in case and "decay" not in case]
)
def test_a_quadratic_converges(case):
    shapes = fitting(case, [(2,)])
    w = cr.tensor(np.reshape([3.0, -2.0], shapes[0]), requires_grad=True)
    target = cr.tensor(np.reshape([1.0, 0.5], shapes[0]))
    rate = SPEED.get(case.split()[0], 0.02)
    optimizer = make(case, [w], lr=rate)
    for _ in range(600):
        optimizer.zero_grad()
        ((w - target) ** 2).sum().backward()
        optimizer.step()
    # Sign-like rules keep moving by about lr around the minimum.
    assert (w - target).abs().max().item() < 0.05


def test_maximize_climbs():
    up, down = (cr.tensor([3.0], requires_grad=True) for _ in range(2))
    for w, sign in ((up, 1.0), (down, -1.0)):
        optimizer = optim.Adam([w], lr=0.1, maximize=sign > 0)
        for _ in range(5):
            w.grad = sign * (w - 1).detach()
            optimizer.step()
    np.testing.assert_array_equal(up.detach().numpy(), down.detach().numpy())
    assert up.item() > 3.4


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e30])
@pytest.mark.parametrize("case", CASES)
def test_c19_extreme_gradients_leave_finite_weights(case, size, dtype):
    if dtype == "float16":
        size = min(size, 1e4)  # the largest number there is 65,504, and momentum adds up
    if dtype == "float32" and "centered" in case and size > 1e19:
        size = 1e18  # beyond, v − m² is ∞ − ∞, in PyTorch too; the row is about Adam
    (shape,) = fitting(case, [(3,)])
    w = cr.tensor(np.ones(shape, dtype), requires_grad=True)
    optimizer = make(case, [w], lr=1e-3)
    for sign in (1, 1, -1, 1):
        w.grad = cr.tensor(np.full(shape, sign * size, dtype))
        optimizer.step()
        assert np.isfinite(w.detach().numpy()).all()


def test_the_first_step_of_adam_has_the_size_of_lr():
    for g in (1e-3, 1.0, 1e3):
        w = cr.tensor(np.zeros(1), requires_grad=True)
        # |Δw| = η·|g|/(|g| + ε): 1e-5 relative for the smallest g.
        np.testing.assert_allclose(run(optim.Adam([w], lr=0.1), w, [[g]]), [-0.1], rtol=2e-5)


def test_the_counter_survives_where_float32_stops():
    w = cr.tensor(np.zeros(1), requires_grad=True)
    optimizer = optim.Adam([w])
    optimizer.state[w]["step"].assign(2**24)
    run(optimizer, w, [[1.0]])
    assert optimizer.state[w]["step"].item() == 2**24 + 1


@pytest.mark.parametrize("case", CASES)
def test_updates_never_write_into_arrays(case):
    w = cr.tensor(np.ones((2, 3)), requires_grad=True)
    optimizer = make(case, [w], lr=0.1)
    g = np.full((2, 3), 0.5)
    g.flags.writeable = False
    w.grad = cr.from_numpy(g)
    held = [w.detach().numpy(), *[x.numpy() for x in optimizer.state[w].values()]]
    copies = [x.copy() for x in held]
    optimizer.step()
    optimizer.step()
    for kept, copy in zip(held, copies, strict=True):
        np.testing.assert_array_equal(kept, copy)
    assert not np.array_equal(w.detach().numpy(), copies[0])


@pytest.mark.parametrize("case", CASES)
def test_any_memory_order(case, start):
    results = []
    for order in ("C", "F"):
        w = cr.from_numpy(np.asarray(start, order=order)).requires_grad_()
        optimizer = make(case, [w], lr=0.1)
        for _ in range(3):
            w.grad = cr.from_numpy(np.asarray(start * 0.3, order=order))
            optimizer.step()
        results.append(w.detach().numpy())
    np.testing.assert_array_equal(*results)
    assert results[1].flags.f_contiguous  # an update keeps the order in memory


def test_a_constant_gradient_has_no_negative_variance():
    w = cr.tensor(np.zeros(1000, np.float32), requires_grad=True)
    gradient = np.random.default_rng(0).normal(size=1000)
    run(optim.RMSprop([w], centered=True, alpha=0.5), w, [gradient] * 60)
    assert np.isfinite(w.detach().numpy()).all()


def test_a_weight_decay_of_zero_does_not_touch_infinite_weights():
    w = cr.tensor([np.inf, 1.0], requires_grad=True)
    given = run(optim.SGD([w], lr=0.1), w, [np.ones(2, np.float32)])
    np.testing.assert_allclose(given, [np.inf, 0.9], rtol=1e-6)


def test_step_runs_a_closure_with_gradients_on():
    w = cr.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with cr.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert w.item() == pytest.approx(0.8)
    assert optimizer.step() is None


def test_zero_grad():
    w = cr.tensor([1.0], requires_grad=True)
    v = cr.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w, v])
    w.grad = cr.tensor([3.0])
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0] and v.grad is None
    optimizer.zero_grad()
    assert w.grad is None


def test_weights_converted_after_the_optimizer_was_made():
    layer = nn.Linear(2, 2)
    w = layer.weight
    optimizer = optim.Adam(layer.parameters())
    layer.double()
    w.grad = cr.zeros(2, 2, dtype=cr.float64)
    with pytest.raises(cr.ChainruleError, match=r"dtype of their weights.*float32.*float64"):
        optimizer.step()
