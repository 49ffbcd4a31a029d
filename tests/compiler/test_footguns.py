"""Every way in which a compiled step could silently differ from eager, each shown not to."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

import chainrule as cr
from chainrule import engine, nn, optim, settings
from chainrule.errors import CaptureError

SCALE = 1.0
BOX = {"factor": 1.0}


@pytest.fixture(autouse=True, params=["references", "engine"])
def plan(request, monkeypatch):
    """Every footgun on the NumPy references, bit for bit, and on the engine where there is one.

    The engine adds products up in another order than NumPy's BLAS: a few float32 roundings a step.
    """
    exact = request.param == "references"
    if not exact and not engine.available():
        pytest.skip(f"the engine is not here: {engine.why_not()}")
    monkeypatch.setattr(Agreement, "exact", exact)
    with settings.use(engine="numpy" if exact else "native"):
        yield


class Agreement:
    """How closely eager and compiled must agree."""

    exact = True

    @classmethod
    def check(cls, a, b):
        a, b = np.asarray(a), np.asarray(b)
        if cls.exact:
            assert np.array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def values(model: nn.Module) -> list[np.ndarray]:
    return [p.detach().numpy() for p in [*model.parameters(), *model.buffers()]]


def bits(model: nn.Module) -> list[bytes]:
    return [value.tobytes() for value in values(model)]


def same_state(a: nn.Module, b: nn.Module) -> None:
    for x, y in zip(values(a), values(b), strict=True):
        Agreement.check(x, y)


def data(n: int = 8, seed: int = 0) -> tuple[cr.Tensor, cr.Tensor]:
    rng = np.random.default_rng(seed)
    return cr.tensor(rng.random((n, 6), dtype=np.float32)), cr.tensor(rng.integers(0, 3, n))


def pair(make):
    """The same training step twice, from the same start: eager and compiled."""
    cr.manual_seed(0)
    model_a, step_a = make()
    cr.manual_seed(0)
    model_b, step_b = make()
    return (model_a, step_a), (model_b, cr.compile(step_b))


def agree(make, batches, between=None):
    """Run both on the same batches, each from the same random state; all bits must be equal."""
    (model_a, eager), (model_b, compiled) = pair(make)
    for i, (x, y) in enumerate(batches):
        if between is not None:
            between(i, model_a, model_b)
        cr.manual_seed(i)
        a = eager(x, y)
        state = cr.default_generator.state.numpy().copy()
        cr.manual_seed(i)
        b = compiled(x, y)
        assert np.array_equal(cr.default_generator.state.numpy(), state)
        Agreement.check(a.detach().numpy(), b.detach().numpy())
        same_state(model_a, model_b)
    return compiled


def trainer(model_of, optimizer_of=lambda p: optim.SGD(p, lr=0.1, momentum=0.9)):
    def make():
        model = model_of()
        optimizer = optimizer_of(list(model.parameters()))
        loss_of = nn.CrossEntropyLoss()

        def step(x, y):
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        step.optimizer = optimizer
        return model, step

    return make


def mlp():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name):
    compiled = agree(trainer(mlp, OPTIMIZERS[name]), [data(seed=i) for i in range(6)])
    assert compiled.captures <= 2  # the first step makes state, the second finds it


def test_a_smaller_last_batch_has_a_program_of_its_own():
    compiled = agree(trainer(mlp), [data(8), data(8, 1), data(5, 2), data(8, 3), data(5, 4)])
    assert len(compiled.executables) == 2


def test_dropout_draws_new_numbers_each_step():
    def model():
        return nn.Sequential(nn.Linear(6, 50), nn.Dropout(0.5), nn.Linear(50, 3))

    x, y = data()
    agree(trainer(model), [(x, y)] * 4)
    step = cr.compile(lambda x: nn.functional.dropout(x, 0.5, training=True))
    assert step(cr.ones(100)).tolist() != step(cr.ones(100)).tolist()


def test_batch_norm_statistics_move_on():
    def model():
        return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))

    agree(trainer(model), [data(seed=i) for i in range(4)])


class Checkpointed(nn.Module):
    """Blocks with random numbers and running statistics, of which each runs twice a step."""

    def __init__(self):
        def block():
            return nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.GELU())

        self.first, self.second, self.last = block(), block(), nn.Linear(6, 3)
        self.depth = 2

    def forward(self, x):
        def both(x):
            return x + cr.checkpoint(self.second, cr.checkpoint(self.first, x))

        return self.last(cr.checkpoint(both, x) if self.depth == 2 else both(x))


def test_checkpoints():
    def between(i, *models):
        for m in models:
            m.train(i != 3)
            m.depth = 1 + (i < 4)
            m.first[2].p = 0.5 if i < 5 else 0.1

    agree(trainer(Checkpointed), [data(seed=i) for i in range(7)], between)


def test_a_checkpoint_gives_what_there_is_without(monkeypatch):
    """Compiled with checkpoints against eager without."""
    batches = [data(seed=i) for i in range(4)]
    (model_b, compiled) = pair(trainer(Checkpointed))[1]
    losses = [compiled(*batch) for batch in batches]
    monkeypatch.setattr(cr, "checkpoint", lambda function, *args: function(*args))
    (model_a, eager) = pair(trainer(Checkpointed))[0]
    for batch, loss in zip(batches, losses, strict=True):
        Agreement.check(eager(*batch).detach().numpy(), loss.detach().numpy())
    same_state(model_a, model_b)


def test_a_checkpoint_of_state_that_is_an_argument_or_carries_a_gradient():
    def make():
        model, count, hidden = mlp(), cr.zeros(()), cr.zeros(8, 6)
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def counted(x, count):
            with cr.no_grad():
                count.assign(count + 1)
            hidden.assign((hidden.detach() + x * model[0].weight[0]).tanh())
            return (hidden * hidden).sin() * (count * 1.0)

        def step(x, y):
            optimizer.zero_grad()
            h = cr.checkpoint(counted, x, count)
            loss = nn.functional.cross_entropy(model(h), y)
            loss.backward()
            optimizer.step()
            hidden.detach_()
            return loss

        model.hidden, model.count = hidden, count
        return model, step

    (model_a, eager), (model_b, compiled) = pair(make)
    for i in range(4):
        x, y = data(seed=i)
        Agreement.check(eager(x, y).detach().numpy(), compiled(x, y).detach().numpy())
        same_state(model_a, model_b)
        Agreement.check(model_a.count.numpy(), model_b.count.numpy())
        Agreement.check(model_a.hidden.detach().numpy(), model_b.hidden.detach().numpy())


def test_switching_between_train_and_eval():
    def model():
        return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))

    def between(i, *models):
        for m in models:
            m.train(i % 2 == 0)

    agree(trainer(model), [data(seed=i) for i in range(6)], between)


def test_a_changed_learning_rate():
    (model_a, eager), (model_b, compiled) = pair(trainer(mlp))
    for i in range(4):
        for step in (eager, compiled.function):
            step.optimizer.param_groups[0]["lr"] = 0.1 / (i + 1)
        x, y = data(seed=i)
        Agreement.check(eager(x, y).detach().numpy(), compiled(x, y).detach().numpy())
        same_state(model_a, model_b)


def test_other_hyper_parameters_are_guarded():
    (model_a, eager), (model_b, compiled) = pair(trainer(mlp))
    for i in range(4):
        for step in (eager, compiled.function):
            step.optimizer.param_groups[0]["momentum"] = 0.9 if i < 2 else 0.1
        x, y = data(seed=i)
        eager(x, y), compiled(x, y)
        same_state(model_a, model_b)


def test_python_numbers_in_globals_closures_and_attributes():
    global SCALE
    factor = 1.0

    class Scaled(nn.Module):
        def __init__(self):
            self.inner, self.gain = mlp(), 1.0

        def forward(self, x):
            return self.inner(x) * self.gain * SCALE * factor * BOX["factor"]

    models = []

    def model():
        models.append(Scaled())
        return models[-1]

    def between(i, *_):
        global SCALE
        nonlocal factor
        SCALE, factor, BOX["factor"] = 1.0 + i, 1.0 - 0.1 * i, 1.0 + 0.3 * i
        for m in models:
            m.gain = 2.0**i

    agree(trainer(model), [data(seed=i) for i in range(4)], between)


def test_frozen_and_thawed_parameters():
    def between(i, *models):
        for m in models:
            m[0].weight.requires_grad = i % 2 == 0

    agree(trainer(mlp), [data(seed=i) for i in range(4)], between)


def test_weights_written_between_the_steps():
    def between(i, *models):
        with cr.no_grad():
            for m in models:
                m[0].weight.assign(m[0].weight * 0.5)
                if i == 2:
                    m.load_state_dict({k: v * 0 + 0.1 for k, v in m.state_dict().items()})

    agree(trainer(mlp), [data(seed=i) for i in range(4)], between)


def test_a_layer_replaced_between_the_steps():
    def between(i, *models):
        if i == 2:
            for m in models:
                cr.manual_seed(5)
                m.insert = None
                setattr(m, "0", nn.Linear(6, 5))

    agree(trainer(mlp), [data(seed=i) for i in range(4)], between)


def test_gradients_accumulated_over_calls():
    def make():
        model = mlp()
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def accumulate(x, y):
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        accumulate.optimizer = optimizer
        return model, accumulate

    (model_a, eager), (model_b, compiled) = pair(make)
    for i in range(6):
        x, y = data(seed=i)
        eager(x, y), compiled(x, y)
        for a, b in zip(model_a.parameters(), model_b.parameters(), strict=True):
            Agreement.check(a.grad.numpy(), b.grad.numpy())
        if i % 3 == 2:
            for step in (eager, compiled.function):
                step.optimizer.step()
                step.optimizer.zero_grad()
        same_state(model_a, model_b)


def test_mixed_eager_and_compiled_steps_on_the_same_weights():
    (model_a, eager), (model_b, compiled) = pair(trainer(mlp))
    for i in range(6):
        x, y = data(seed=i)
        eager(x, y)
        (compiled if i % 2 else compiled.function)(x, y)
        same_state(model_a, model_b)


def test_two_optimizers_as_in_a_gan():
    def make():
        generator, critic = nn.Linear(6, 6), nn.Linear(6, 1)
        g_step = optim.Adam(generator.parameters(), lr=0.01)
        c_step = optim.Adam(critic.parameters(), lr=0.02)
        both = nn.ModuleList([generator, critic])

        def step(x, _):
            c_step.zero_grad()
            loss = critic(generator(x).detach()).mean() - critic(x).mean()
            loss.backward()
            c_step.step()
            g_step.zero_grad()
            (-critic(generator(x)).mean()).backward()
            g_step.step()
            return loss.detach()

        return both, step

    agree(make, [data(seed=i) for i in range(5)])


def test_hooks_run_inside_the_program():
    def make():
        model = mlp()
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        model[0].weight.register_hook(lambda g: g * 2)

        def step(x, y):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return model, step

    agree(make, [data(seed=i) for i in range(3)])


@pytest.mark.parametrize("between", [True, False])
def test_a_hook_in_the_place_of_another(between):
    w = cr.tensor([1.0], requires_grad=True)

    @cr.compile
    def step():
        w.grad = None
        (w * 3).sum().backward()
        return w.grad

    found = []
    for factor in (10, 100):
        remove = w.register_hook(lambda g, factor=factor: g * factor)
        found.append(step().item())
        remove()
        if between:
            assert step().item() == 3
    assert found == [30, 300]


def test_clipping_and_a_schedule_inside_the_step():
    def make():
        model = mlp()
        optimizer = optim.SGD(model.parameters(), lr=0.5)
        schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)

        def step(x, y):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optim.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            schedule.step()
            return loss

        return model, step

    agree(make, [data(seed=i) for i in range(5)])


def test_no_grad_and_grad_mode_have_their_own_programs():
    model = mlp()
    forward = cr.compile(lambda x: model(x))
    x, _ = data()
    assert forward(x).requires_grad
    with cr.no_grad():
        assert not forward(x).requires_grad
        Agreement.check(forward(x).numpy(), model(x).numpy())
    assert forward.captures == 2


def test_a_tensor_kept_outside_is_refused():
    kept = []

    def step(x):
        kept.append(x * 2)
        return x + 1

    with pytest.raises(CaptureError, match=r"kept.*outside"):
        cr.compile(step)(cr.ones(3))


def test_a_hidden_state_kept_by_assign_moves_on():
    hidden = cr.zeros(3)

    @cr.compile
    def cell(x):
        hidden.assign((hidden + x).tanh())
        return hidden * 1.0

    expected = np.zeros(3, np.float32)
    for _ in range(3):
        expected = np.tanh(expected + np.float32(1))
        Agreement.check(cell(cr.ones(3)).numpy(), expected)


def test_a_closure_tensor_bound_to_another_tensor():
    mask = cr.ones(3)

    @cr.compile
    def masked(x):
        return x * mask

    assert masked(cr.ones(3)).tolist() == [1, 1, 1]
    mask = cr.tensor([1.0, 0.0, 1.0])
    assert masked(cr.ones(3)).tolist() == [1, 0, 1]


def test_plain_arguments_are_part_of_the_signature():
    scaled = cr.compile(lambda x, k: x * k)
    assert scaled(cr.ones(2), 2.0).tolist() == [2, 2]
    assert scaled(cr.ones(2), 3.0).tolist() == [3, 3]
    assert scaled(cr.ones(2), 2).tolist() == [2, 2]


def test_other_dtypes_and_structures_are_captured_anew():
    double = cr.compile(lambda pair: pair["a"] + pair["b"])
    one, two = cr.ones(2), cr.ones(2, dtype=cr.float64)
    assert double({"a": one, "b": one}).dtype == cr.float32
    assert double({"a": two, "b": two}).dtype == cr.float64
    assert len(double.executables) == 2


def test_a_result_is_not_overwritten_by_the_next_call():
    twice = cr.compile(lambda x: x * 2)
    first = twice(cr.ones(3))
    view = first.numpy()
    twice(cr.full(3, 5.0))
    assert first.tolist() == [2, 2, 2]
    assert view.tolist() == [2, 2, 2]


def test_weights_handed_out_as_arrays_keep_their_numbers():
    model, step = trainer(mlp)()
    compiled = cr.compile(step)
    x, y = data()
    compiled(x, y)
    snapshot = model[0].weight.detach().numpy()
    copy = snapshot.copy()
    state = deepcopy(model.state_dict())
    for _ in range(3):
        compiled(x, y)
    assert np.array_equal(snapshot, copy)
    assert np.array_equal(state["0.weight"].numpy(), copy)


def test_an_exception_in_the_middle_leaves_the_state():
    model, step = trainer(mlp)()
    compiled = cr.compile(step)
    x, y = data()
    compiled(x, y)
    before = bits(model)
    bad = y.numpy().copy()
    bad[3] = 7
    with pytest.raises(IndexError, match="label 7 at position 3"):
        compiled(x, cr.tensor(bad))
    assert bits(model) == before
    compiled(x, y)


def test_compiled_inside_compiled_and_inside_a_trace():
    inner = cr.compile(lambda x: x * 2)
    outer = cr.compile(lambda x: inner(x) + 1)
    assert outer(cr.ones(2)).tolist() == [3, 3]
    assert "mul(x, 2)" in str(cr.trace(lambda x: inner(x))(cr.spec(2)))


def test_a_value_that_changes_at_each_call_is_warned_of():
    counter = {"n": 0}

    @cr.compile
    def step(x):
        return x * counter["n"]

    with pytest.warns(UserWarning, match="captured .* times"):
        for i in range(40):
            counter["n"] = i
            assert step(cr.ones(1)).item() == i


def test_programs_are_bounded():
    square = cr.compile(lambda x: x * x)
    for n in range(1, 16 + 5):
        square(cr.ones(n))
    assert len(square.executables) == 16


def test_a_requirement_that_fails_changes_nothing():
    def make():
        model = mlp()
        optimizer = optim.Adam(model.parameters(), lr=0.1)

        def step(x, y):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            gradients = [p.grad for p in model.parameters()]
            cr.require(cr.all_finite(loss, *gradients), FloatingPointError("not finite"))
            optimizer.step()
            return loss

        return model, step

    (model_a, eager), (model_b, compiled) = pair(make)
    for i in range(5):
        x, y = data(seed=i)
        if i == 3:
            x = cr.tensor(np.where(x.numpy() > 0.9, np.inf, x.numpy()))
            before = bits(model_b)
            for step in (eager, compiled):
                with pytest.raises(FloatingPointError, match="not finite"):
                    step(x, y)
            assert bits(model_b) == before
        else:
            Agreement.check(eager(x, y).detach().numpy(), compiled(x, y).detach().numpy())
        same_state(model_a, model_b)


def test_eval_and_train_again_needs_no_third_capture():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))

    @cr.compile
    def run(x):
        return model(x).detach()

    for _ in range(3):
        model.train()
        run(cr.ones(1, 3))
        model.eval()
        run(cr.ones(1, 3))
    assert run.captures == 2
    fresh = cr.compile(lambda x: net(x).detach())
    net = nn.Linear(3, 2)
    for mode in (True, False, True):
        fresh(cr.ones(1, 3))
        net.train(not mode)
    assert fresh.captures == 1, "a linear layer does not read its mode"
