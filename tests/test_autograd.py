"""grad, vjp, jvp, jacobian, hessian, nesting, and what switches recording on and off; D6."""

import threading

import numpy as np
import pytest

import chainrule as cr


def cubes(x):
    return (x**3).sum()


def test_grad_and_value_and_grad():
    x = cr.tensor([1.0, 2.0])
    assert cr.grad(cubes)(x).tolist() == [3, 12]
    value, g = cr.value_and_grad(cubes)(x)
    assert value.item() == 9 and g.tolist() == [3, 12]
    assert not value.requires_grad and not g.requires_grad and x.grad is None
    assert cr.grad(cubes).__name__ == "cubes"


def test_argnums():
    def f(a, b, scale=1.0):
        return (a * a * b).sum() * scale

    a, b = cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0])
    assert cr.grad(f, 1)(a, b).tolist() == [1, 4]
    assert cr.grad(f, -2)(a, b).tolist() == [6, 16]
    by_b, by_a = cr.grad(f, (1, 0))(a, b, scale=2.0)
    assert by_a.tolist() == [12, 32] and by_b.tolist() == [2, 8]
    with pytest.raises(ValueError, match="argnums 2"):
        cr.grad(f, 2)(a, b)


def test_trees_of_arguments():
    params = {"w": cr.tensor([1.0, 2.0]), "rest": [cr.tensor(3.0), (cr.tensor(4.0),)]}

    def f(p):
        return (p["w"] * p["rest"][0]).sum() + p["rest"][1][0] ** 2

    g = cr.grad(f)(params)
    assert g["w"].tolist() == [3, 3]
    assert g["rest"][0].item() == 3 and g["rest"][1][0].item() == 8
    assert isinstance(g["rest"][1], tuple)


def test_what_grad_refuses():
    with pytest.raises(RuntimeError, match="return a scalar"):
        cr.grad(lambda x: x * 2)(cr.ones(2))
    with pytest.raises(RuntimeError, match=r"by tensors.*cr\.tensor"):
        cr.grad(lambda x: x)(2.0)
    with pytest.raises(ValueError, match="allow_unused"):
        cr.grad(cubes, 0, allow_unused=True)
    with pytest.raises(TypeError, match="only floating"):
        cr.grad(lambda x: x.sum())(cr.ones(2, dtype="int64"))


def test_zeros_where_nothing_depends():
    x = cr.tensor([1.0, 2.0])
    assert cr.grad(lambda x: cr.tensor(1.0))(x).tolist() == [0, 0]
    assert cr.grad(lambda x, y: x.sum(), 1)(x, x).tolist() == [0, 0]


def test_nested_derivatives():
    def f(x):
        return x**4

    x = cr.tensor(2.0)
    orders = [f]
    for _ in range(4):
        orders.append(cr.grad(orders[-1]))
    assert [g(x).item() for g in orders] == [16, 32, 48, 48, 24]


def test_perturbations_are_not_confused():
    """d/dx (x · d/dy (x + y)) = 1: the inner derivative must not see the outer x."""
    inner = lambda x: x * cr.grad(lambda y: x + y)(cr.tensor(2.0))  # noqa: E731
    assert cr.grad(inner)(cr.tensor(5.0)).item() == 1
    product = lambda x: x * cr.grad(lambda y: x * y)(cr.tensor(2.0))  # noqa: E731
    assert cr.grad(product)(cr.tensor(5.0)).item() == 10


def test_gradients_as_in_pytorch():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    (g,) = cr.grad(y, x, cr.tensor([1.0, 10.0]), retain_graph=True)
    assert g.tolist() == [2, 40] and x.grad is None
    (g,) = cr.gradients([y.sum()], [x], create_graph=True)
    assert g.requires_grad
    z = cr.tensor(1.0, requires_grad=True)
    assert cr.gradients((x * 1).sum(), [x, z], allow_unused=True)[1] is None
    with pytest.raises(RuntimeError, match="input 1 was not used"):
        cr.gradients((x * 1).sum(), [x, z])
    with pytest.raises(RuntimeError, match="does not require"):
        cr.gradients((x * 1).sum(), cr.ones(1))


def test_vjp_and_jvp_are_adjoint():
    rng = np.random.default_rng(0)
    x, v = cr.tensor(rng.normal(size=(3, 4))), cr.tensor(rng.normal(size=(3, 4)))
    u = cr.tensor(rng.normal(size=(3,)))

    def f(x):
        return (x.sin() * x.exp()).sum(1)

    y, pull = cr.vjp(f, x)
    value, pushed = cr.jvp(f, [x], [v])
    (pulled,) = pull(u)
    # ⟨u, J v⟩ = ⟨Jᵀu, v⟩, in float64 up to rounding.
    np.testing.assert_allclose((u * pushed).sum().item(), (pulled * v).sum().item(), rtol=1e-12)
    assert (y == value).all() and not y.requires_grad
    again = pull(u)[0]
    assert (again == pulled).all(), "a pull can be repeated"
    with pytest.raises(ValueError, match="cotangent"):
        pull(cr.ones(2))
    with pytest.raises(ValueError, match="tangent"):
        cr.jvp(f, [x], [u])


def test_jvp_of_what_does_not_depend():
    y, pushed = cr.jvp(lambda x: cr.tensor([1.0, 2.0]), [cr.tensor(1.0)], [cr.tensor(1.0)])
    assert pushed.tolist() == [0, 0] and y.tolist() == [1, 2]


def test_jacobian_and_hessian():
    x = cr.tensor([1.0, 2.0, 3.0])
    jacobian = cr.jacobian(lambda x: x[:2] * x[1:])(x)
    assert jacobian.tolist() == [[2, 1, 0], [0, 3, 2]]
    assert cr.jacobian(lambda x: x.sum())(x).shape == (3,)
    assert cr.jacobian(lambda x: x[:0])(x).shape == (0, 3)
    assert cr.jacobian(lambda a, b: a * b, 1)(x, x).tolist() == np.diag([1.0, 2, 3]).tolist()
    h = cr.hessian(lambda x: x[0] ** 2 * x[1] + x[2])(x)
    assert h.tolist() == [[4, 2, 0], [2, 0, 0], [0, 0, 0]]


def test_a_derivative_inside_a_loss_trains():
    """The gradient penalty: a derivative by the input, differentiated by the weight."""
    w, x = cr.tensor(3.0, requires_grad=True), cr.tensor(2.0)
    penalty = cr.grad(lambda x: w * x * x)(x) ** 2
    penalty.backward()
    assert w.grad.item() == 2 * (2 * 3 * 2) * (2 * 2)


# -- modes ---------------------------------------------------------------------------------------


def test_no_grad_and_enable_grad():
    x = cr.ones(2, requires_grad=True)
    with cr.no_grad():
        assert not (x * 2).requires_grad and not cr.is_grad_enabled()
        with cr.enable_grad():
            assert (x * 2).requires_grad
        assert not cr.is_grad_enabled()
    assert cr.is_grad_enabled()
    mode = cr.no_grad()
    with mode, mode:
        assert not cr.is_grad_enabled()
    assert cr.is_grad_enabled()


def test_modes_as_decorators():
    @cr.no_grad()
    def quiet(depth):
        return (cr.is_grad_enabled(), depth and quiet(depth - 1))

    assert quiet(1) == (False, (False, 0))
    assert cr.is_grad_enabled()


def test_modes_end_with_an_error():
    with pytest.raises(ZeroDivisionError), cr.no_grad():
        1 / 0  # noqa: B018
    assert cr.is_grad_enabled()


def test_set_grad_enabled_acts_at_once():
    cr.set_grad_enabled(False)
    assert not cr.is_grad_enabled()
    cr.set_grad_enabled(True)
    with cr.set_grad_enabled(False):
        assert not cr.is_grad_enabled()
    assert cr.is_grad_enabled()

    @cr.set_grad_enabled(False)
    def quiet():
        return cr.is_grad_enabled()

    assert cr.is_grad_enabled() and not quiet() and cr.is_grad_enabled()


def test_d6_modes_belong_to_a_thread():
    inside, outside, seen = threading.Event(), threading.Event(), []

    def other():
        with cr.no_grad():
            inside.set()
            outside.wait(10)
            seen.append(cr.is_grad_enabled())

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    assert cr.is_grad_enabled()
    outside.set()
    thread.join()
    assert seen == [False]


def test_d6_threads_differentiate_side_by_side():
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    results = {}

    def work(k):
        total = np.zeros(2)
        for _ in range(50):
            (g,) = cr.gradients((w * w * float(k)).exp().sum().log(), w)
            total += g.numpy()
        results[k] = total

    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    parallel = dict(results)
    for k in (1, 2, 3):
        work(k)
        assert parallel[k].tobytes() == results[k].tobytes()


def test_detect_anomaly():
    x = cr.tensor([0.0, 1.0], requires_grad=True)
    with cr.detect_anomaly():
        (x * 2).sum().backward()
        with pytest.raises(FloatingPointError, match=r"`div` .*\[0, 1\].*range"):
            cr.ones(2) / x
        with pytest.raises(FloatingPointError, match="`where`"):
            cr.where(x > 0, x, float("nan"))
        y = cr.zeros(2)
        y[0] = 5.0
    assert y.tolist() == [5, 0]
    assert (x.detach() / 0.0).isnan().any(), "off again"
