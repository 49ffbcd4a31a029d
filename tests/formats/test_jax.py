"""Translation to JAX: all ops, whole training steps, sharding, lowering, and the Trainer's engine.

On CPUs alone: no accelerator is at hand. That programs can run there is shown by lowering them."""

import re

import numpy as np
import pytest
from click.testing import CliRunner

import chainrule as cr
from chainrule import nn, optim
from chainrule.cli import main
from chainrule.errors import ArgumentError, CaptureError, NonFiniteError
from chainrule.models import GPT
from chainrule.optim.clip import clip_grad_norm_
from chainrule.primitive import operations, primitive, registry

jax = pytest.importorskip("jax", reason="needs jax")
jnp = jax.numpy

from chainrule.formats.jax import JaxEngine, to_jax  # noqa: E402
from chainrule.formats.jax.philox import raw_words  # noqa: E402
from chainrule.formats.jax.references import reference  # noqa: E402
from chainrule.formats.jax.table import TABLE, refusal, translation  # noqa: E402

F = nn.functional
FAST = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Compiles twice as fast; the numbers are those of the same formulas."""


def by_file():
    """The ops with samples, by the file of their record."""
    found = {}
    for record in registry.values():
        if record.samples is not None and refusal(record) is None:
            found.setdefault(record.__module__, []).append(record)
    return {file: records for file, records in found.items() if file.startswith("chainrule.ops")}


FILES = by_file()


@pytest.mark.parametrize("file", FILES)
def test_every_op_under_jit_gives_the_values_of_its_reference(file):
    """All samples of all records of a file, in float64, as one compiled program."""
    works = []
    for record in FILES[file]:
        for inputs, params in record.samples(np.random.default_rng(0)):
            works.append((record, params, [np.asarray(x) for x in inputs]))

    def together(given):
        return [translation(r)(*xs, **p) for (r, p, _), xs in zip(works, given, strict=True)]

    given = [inputs for *_, inputs in works]
    with jax.enable_x64(True):
        found = jax.jit(together).lower(given).compile(FAST)(given)
    for (record, params, inputs), got in zip(works, found, strict=True):
        wanted = record.forward(*inputs, **params)
        pairs = zip(*(x if isinstance(x, tuple) else (x,) for x in (wanted, got)), strict=True)
        for a, b in pairs:
            a = np.asarray(a)
            assert (a.shape, a.dtype) == (b.shape, b.dtype), record
            # Sums in another order, and functions of another library: some rounding of float64.
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9, err_msg=record.name)


def test_exceptions_have_a_reason_and_are_needed():
    refused = [record for record in registry.values() if refusal(record)]
    assert [record.name for record in refused] == ["random_by_rejection", "all_reduce"]
    for record in refused:
        with pytest.raises(ArgumentError, match=re.escape(refusal(record))):
            translation(record)
        (inputs, params), *_ = record.samples(np.random.default_rng(0))
        traced = jax.jit(lambda *xs, p=params, r=record: reference(r)(*xs, **p))
        with pytest.raises(TypeError, match=r"JAX|traced"), jax.enable_x64(True):
            traced(*inputs)


def test_the_table_names_ops_alone():
    assert set(TABLE) <= set(registry)


def test_an_op_of_the_users_is_translated_from_its_reference():
    @primitive
    class translated_count:
        """y[i] = how many are above x[i], in a row of numbers ≥ 0."""

        def infer(x):
            return x

        def forward(x):
            if (x < 0).any():
                raise ValueError("negative")
            y = np.zeros_like(x)
            for i in range(len(x)):
                y[i] = np.sum(x > x[i], dtype=x.dtype)
            np.add.at(y, [0, 0], 0.5)
            y[-1] += 1
            return y

    try:
        x = np.array([3.0, 1.0, 2.0], np.float32)
        found = jax.jit(translation(registry["translated_count"]))(x)
        np.testing.assert_array_equal(found, translated_count.forward(x))
        with pytest.raises(ValueError, match="negative"):  # known numbers are checked
            translation(registry["translated_count"])(-x)
    finally:
        registry.pop("translated_count")
        operations.pop("translated_count", None)


@pytest.mark.parametrize("state", [(0, 0), (2**53 - 1, 7), (-1, 2**62), (5, -3)])
def test_random_words_have_the_bits_of_numpys_philox(state):
    key, counter = np.array(state).astype(np.uint64)
    rest = np.zeros(3, np.uint64)  # in lists, words would turn to floats
    philox = np.random.Philox(key=np.append(key, rest[:1]), counter=np.append(counter, rest))
    wanted = philox.random_raw(11)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(raw_words(jnp.asarray(np.array(state)), 11), wanted)


# -- whole steps ---------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(16, 8)).astype(np.float32), RNG.integers(0, 4, 16)
IMAGES = RNG.normal(size=(16, 1, 8, 8)).astype(np.float32)
TEXT = RNG.integers(0, 11, (16, 6))


class Last(nn.Module):
    """An LSTM, and a layer after its last step."""

    def __init__(self):
        super().__init__()
        self.recurrent, self.out = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 4)

    def forward(self, x):
        return self.out(self.recurrent(x.reshape(16, 16, 4))[0][:, -1])


def mlp():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 4))


def cnn(*layers):
    # No bias before a batch norm: its gradient is rounding alone, which optimizers make large.
    after = (nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 4))
    return nn.Sequential(nn.Conv2d(1, 4, 3, bias=not layers), *layers, *after)


STEPS = {
    "mlp": (mlp, X, LABELS, optim.Adam),
    "cnn": (cnn, IMAGES, LABELS, optim.SGD),
    "batch norm": (lambda: cnn(nn.BatchNorm2d(4)), IMAGES, LABELS, optim.RMSprop),
    "gpt": (lambda: GPT(11, 6, layers=1, heads=2, width=8), TEXT, TEXT, optim.AdamW),
    "lstm": (Last, IMAGES, LABELS, optim.Adam),
}


def made(name):
    """(step, x, y): a training step with clipping and a schedule."""
    make, x, y, rule = STEPS[name]
    cr.manual_seed(0)
    model = make()
    optimizer = rule(model.parameters(), lr=1e-2)
    schedule = optim.CosineAnnealingLR(optimizer, T_max=20)

    def step(x, y):
        optimizer.zero_grad()
        logits = model(x)
        logits = logits.reshape(-1, logits.shape[-1])
        loss = F.cross_entropy(logits, y.reshape(-1))
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return loss.detach()

    return step, x, y


@pytest.mark.parametrize("name", STEPS)
def test_training_steps_give_the_losses_of_the_package(name):
    step, x, y = made(name)
    function, state = to_jax(step, x, y)
    fast = jax.jit(function, compiler_options=FAST)
    text = str(jax.make_jaxpr(function)(state, x, y))
    assert not re.search(r"f64\[\d+,", text), "float32 stays float32"
    losses = []
    for _ in range(10):
        state, loss = fast(state, x, y)
        losses.append(float(loss))
    wanted = [step(cr.from_numpy(x), cr.from_numpy(y)).item() for _ in range(10)]
    # float32 over ten steps, with sums in another order and rates rounded to float32.
    np.testing.assert_allclose(losses, wanted, rtol=2e-5)
    assert len({*losses}) == 10


def test_the_state_is_that_of_the_tensors_and_can_be_written_back():
    step, x, y = made("batch norm")
    found = to_jax(cr.compile(step), cr.from_numpy(x), cr.spec(16, dtype="int64"))
    assert {"0.weight", "1.running_mean", "1.num_batches_tracked"} <= set(found.state)
    state, _ = jax.jit(found.function, compiler_options=FAST)(found.state, x, y)
    step(cr.from_numpy(x), cr.from_numpy(y))
    eager = {name: slot.load() for name, slot in found.slots.items()}
    found.store(state)
    for name, slot in found.slots.items():
        np.testing.assert_allclose(slot.load(), eager[name], rtol=1e-5, atol=1e-6, err_msg=name)
        assert slot.load().dtype == eager[name].dtype


def test_a_scan_over_the_step_is_one_program():
    step, x, y = made("mlp")
    function, state = to_jax(step, x, y)

    def scanned(state):
        return jax.lax.scan(lambda s, _: function(s, x, y), state, length=3)

    _, losses = jax.jit(scanned, compiler_options=FAST)(state)
    wanted = [step(cr.from_numpy(x), cr.from_numpy(y)).item() for _ in range(3)]
    np.testing.assert_allclose(losses, wanted, rtol=2e-5)


def test_a_condition_that_fails_leaves_the_state():
    w = cr.tensor([1.0])

    def step(x):
        cr.require(cr.isfinite(x).all(), NonFiniteError("not finite"))
        w.assign(w + x)
        return w * 2

    function, state = to_jax(step, cr.spec(1))
    state, _ = function(state, np.array([np.nan], np.float32))
    state, result = function(state, np.array([2.0], np.float32))
    assert (state["w"].tolist(), result.tolist()) == ([3.0], [6.0])


def test_results_that_share_numbers_with_state_and_inputs():
    w = cr.tensor([[1.0, 2.0]])

    def step(x):
        w.assign(w + 1)
        return w, w.T, x, {"kept": 3}

    function, state = to_jax(step, cr.spec(2))
    state, (a, b, c, rest) = jax.jit(function)(state, np.ones(2, np.float32))
    assert (a.tolist(), b.tolist(), c.tolist()) == ([[2.0, 3.0]], [[2.0], [3.0]], [1.0, 1.0])
    assert rest == {"kept": 3}


def test_a_trainer_by_jax_follows_changes_of_the_model():
    trainer, _ = trained(JaxEngine(), epochs=0)
    x, y = (cr.from_numpy(array) for array in cr.data.blobs(8).arrays)
    trainer.callbacks[0].on_fit_begin(trainer)
    trainer.model.train()
    first = trainer.training_step((x,), y)[1].numpy()
    trainer.model.eval()  # the batch norm uses its running statistics
    second = trainer.training_step((x,), y)[1].numpy()
    assert not np.allclose(first, second, atol=1e-2)


def test_the_command_trains_by_jax(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "train moons --epochs 1 --batch-size 720 --engine jax --hidden 4 --no-report --out a"
    done = CliRunner().invoke(main, words.split(), catch_exceptions=False)
    assert done.exit_code == 0 and "by JAX" in done.output


def test_what_cannot_be_a_pure_function_is_refused():
    calls = []
    with pytest.raises(CaptureError, match="changes"):
        to_jax(lambda x: calls.append(1) or x + 1, cr.spec(2))
    with pytest.raises(ArgumentError, match="writes its inputs"):
        to_jax(lambda x: x.add_(1), cr.spec(2))
    function, state = to_jax(lambda x: x + 1, cr.spec(2))
    with pytest.raises(ValueError, match=r"the input x.*given: \(3,\)"):
        function(state, np.zeros(3, np.float32))
    with pytest.raises(ArgumentError, match="not translated to JAX"):
        to_jax(lambda x: cr.poisson(x), cr.spec(2)).function({"state": np.array([0, 0])}, X[0, :2])


# -- devices -------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("name", STEPS)
def test_steps_can_be_lowered_for_accelerators(name, platform):
    step, x, y = made(name)
    function, state = to_jax(step, x, y)
    exported = jax.export.export(jax.jit(function), platforms=[platform])(state, x, y)
    assert exported.platforms == (platform,) and "stablehlo" in exported.mlir_module()


SHARDED = """
import numpy as np, jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from tests.formats.test_jax import made, to_jax
assert jax.device_count() == 8
mesh = Mesh(np.array(jax.devices()), ("data",))
for name in ("batch norm",):
    step, x, y = made(name)
    function, state = to_jax(step, x, y)
    rows, whole = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
    alone, spread = jax.jit(function), jax.jit(
        function, in_shardings=(whole, rows, rows), out_shardings=(whole, whole))
    one, many = dict(state), jax.device_put(state, whole)
    for _ in range(2):
        one, a = alone(one, x, y)
        many, b = spread(many, jax.device_put(x, rows), jax.device_put(y, rows))
        np.testing.assert_allclose(float(b), float(a), rtol=2e-5)
print("same")
"""


def test_eight_devices_give_the_result_of_one():
    """In a process of its own: the number of CPU devices is fixed when JAX starts."""
    import os
    import subprocess
    import sys
    from pathlib import Path

    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([*sys.path, root])
    own = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        cwd=root,
    )
    assert done.stdout.strip() == "same", done.stderr


# -- the Trainer ---------------------------------------------------------------------------------


def trained(*callbacks, epochs=2, **options):
    cr.manual_seed(0)
    data = cr.data.blobs(64)
    first = nn.Linear(2, 8, bias=False)  # see `cnn`
    model = nn.Sequential(first, nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    trainer = cr.Trainer(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        scheduler=optim.CosineAnnealingLR(optimizer, T_max=10),
        callbacks=callbacks,
        progress=False,
        **options,
    )
    return trainer, trainer.fit(data, valid=data, epochs=epochs)


def test_the_trainer_by_jax_is_the_trainer():
    ours, theirs = trained()[1], trained(JaxEngine())[1]
    for name in ("loss", "valid_loss", "accuracy"):
        np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-4)


def test_a_loss_that_is_not_finite_is_an_error_with_jax_too():
    trainer, _ = trained(JaxEngine(), epochs=0)
    bad = np.full((4, 2), np.nan, np.float32), np.zeros(4, np.int64)
    with pytest.raises(NonFiniteError):
        trainer.fit(bad, epochs=1)
