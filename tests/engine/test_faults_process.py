"""Faults D6-D8 and K11: threads, forks, exits, and the limits of the process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import same_bits

import chainrule as cr
from chainrule import engine, nn, optim

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")

MAKE = """
import os, resource, signal, sys, threading, time
import numpy as np
import chainrule as cr
from chainrule import compiler, data, engine, nn, optim, train
def make(seed=0, width=500):
    cr.manual_seed(seed)
    model = nn.Sequential(nn.Linear(300, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss
    return model, step
x = cr.tensor(np.random.default_rng(0).normal(size=(400, 300)).astype("float32"))
y = cr.tensor(np.arange(400) % 10)
"""


def program(code: str, **changed: str) -> str:
    """What a program prints in a fresh interpreter, after MAKE; it must end within a minute."""
    done = subprocess.run(
        [sys.executable, "-c", MAKE + code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **changed},
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def training(seed: int, compiled: bool) -> tuple[Any, Callable[[], Any]]:
    cr.manual_seed(seed)
    model = nn.Sequential(nn.Linear(100, 200), nn.ReLU(), nn.Linear(200, 10))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    rng = np.random.default_rng(seed)
    x = cr.tensor(rng.normal(size=(128, 100)).astype(np.float32))
    y = cr.tensor(rng.integers(0, 10, 128))

    def step() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return model, cr.compile(step) if compiled else step


def at_once(*works: Callable[[], None]) -> None:
    """Run these in a thread each; the first error is raised here."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(works))

    def guarded(work: Callable[[], None]) -> None:
        try:
            start.wait(30)
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "it hangs"
    for error in errors:
        raise error


def weights(model: Any) -> list[Any]:
    return [p.detach().numpy().copy() for p in model.parameters()]


def equal(a: list[Any], b: list[Any]) -> bool:
    return all(same_bits(p, q) for p, q in zip(a, b, strict=True))


# -- D6: threads of Python -----------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "eager"])
def test_d6_two_threads_train_two_models(compiled: bool) -> None:
    """Each gets the bits that it gets alone; so also while another thread captures."""
    engine.set_num_threads(2)
    alone = []
    for seed in (1, 2):
        model, step = training(seed, compiled)
        for _ in range(40):
            step()
        alone.append(weights(model))
    (a, step_a), (b, step_b) = training(1, compiled), training(2, compiled)

    def repeat(step: Callable[[], Any]) -> Callable[[], None]:
        return lambda: [step() for _ in range(40)] and None

    at_once(repeat(step_a), repeat(step_b), lambda: [training(3, True)[1]() for _ in range(5)][:0])
    assert equal(weights(a), alone[0]) and equal(weights(b), alone[1])


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "eager"])
def test_d6_one_model_answers_in_two_threads(compiled: bool) -> None:
    model = training(1, False)[0].eval()
    predict = cr.compile(model) if compiled else model
    rng = np.random.default_rng(0)
    batches = [cr.tensor(rng.normal(size=(n, 100)).astype(np.float32)) for n in (64, 64, 33)]
    with cr.no_grad():
        expected = [predict(x).numpy().copy() for x in batches]

    def ask(which: int) -> Callable[[], None]:
        def work() -> None:
            with cr.no_grad():
                for _ in range(50):
                    assert same_bits(predict(batches[which]).numpy(), expected[which])

        return work

    at_once(ask(0), ask(1), ask(2), ask(0))


def test_d6_no_grad_holds_in_its_own_thread_only() -> None:
    inside, done = threading.Event(), threading.Event()
    w = cr.ones(3, requires_grad=True)

    def without() -> None:
        with cr.no_grad():
            inside.set()
            assert done.wait(30)
            assert not (w * 2).requires_grad
        assert (w * 2).requires_grad

    def recording() -> None:
        assert inside.wait(30)
        assert cr.is_grad_enabled() and (w * 2).requires_grad
        done.set()

    at_once(without, recording)
    assert cr.is_grad_enabled()


# -- D7: fork ------------------------------------------------------------------------------------

FORK = """
def answer(code, seconds=30):
    "What a forked child exits with; it is ended, and 99 returned, if it hangs."
    child = os.fork()
    if child == 0:
        try:
            os._exit(code())
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
            os._exit(98)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 99
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python ≥ 3.12 warns of forks with threads
engine.set_num_threads(3)
"""

FORK_AFTER = """
model, step = make()
run = cr.compile(step)
run(x, y)
def child():
    more = cr.compile(make(1)[1])
    losses = [run(x, y).item() for _ in range(3)] + [more(x, y).item() for _ in range(3)]
    return 0 if losses == expected else 1
reader, writer = os.pipe()
def first():
    other = cr.compile(make(1)[1])
    losses = [run(x, y).item() for _ in range(3)] + [other(x, y).item() for _ in range(3)]
    os.write(writer, repr(losses).encode())
    return 0
assert answer(first) == 0
expected = eval(os.read(reader, 10_000))
assert answer(child) == 0
assert answer(lambda: answer(child)) == 0  # a child of a child
assert child() == 0  # and the parent goes on
"""

FORK_WHILE = """
run = cr.compile(make()[1])
run(x, y)
ending = threading.Event()
def work():
    while not ending.is_set():
        run(x, y)
worker = threading.Thread(target=work)
worker.start()
def child():
    other = cr.compile(make(1)[1])
    run(x, y)
    return 0 if other(x, y).item() > other(x, y).item() else 1
try:
    assert [answer(child) for _ in range(10)] == [0] * 10
finally:
    ending.set()
worker.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("code", [FORK_AFTER, FORK_WHILE], ids=["after", "while another computes"])
def test_d7_a_forked_child_trains(code: str) -> None:
    """With programs of its parent and of its own, the same bits, and never a hang."""
    program(FORK + code)


# -- D8: exits -----------------------------------------------------------------------------------

TRAINING_THREAD = """
engine.set_num_threads(3)
def work():
    run = cr.compile(make()[1])
    while True:
        run(x, y)
        started.set()
started = threading.Event()
threading.Thread(target=work, daemon=True).start()
assert started.wait(30)
"""


@pytest.mark.parametrize("ending", ["", "sys.exit(0)", "os._exit(0)"])
def test_d8_exit_while_a_thread_trains(ending: str) -> None:
    program(TRAINING_THREAD + ending)


def test_d8_an_error_ends_the_program_while_a_thread_trains() -> None:
    with pytest.raises(AssertionError, match="the reason"):
        program(TRAINING_THREAD + "raise RuntimeError('the reason')")


def test_d8_imported_and_used_in_a_daemon_thread() -> None:
    code = """
import threading
def work():
    import chainrule as cr
    print(cr.compile(lambda x: x + 1)(cr.ones(10_000)).sum().item(), flush=True)
worker = threading.Thread(target=work, daemon=True)
worker.start()
worker.join(50)
assert not worker.is_alive()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.strip() == "20000.0", done.stderr


@pytest.mark.parametrize("ending", ["", "os._exit(0)"])
def test_d8_exit_in_the_middle_of_the_import(ending: str) -> None:
    code = f"""
import os, threading, time
threading.Thread(target=__import__, args=("chainrule.train",), daemon=True).start()
time.sleep(0.12)
{ending}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


# -- K11: limits of the process ------------------------------------------------------------------

FEW_FILES = """
run = cr.compile(make()[1])
run(x, y)
spare = len(os.listdir("/proc/self/fd")) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (spare, spare))
try:
    while True: os.dup(0)
except OSError: pass
before = run(x, y).item()
assert run(x, y).item() < before and cr.compile(make(1)[1])(x, y).item() > 0
state = make()[0].state_dict()
for action in (lambda: cr.save(state, sys.argv[0] + "/no"), lambda: cr.load("/etc/hostname")):
    try:
        action()
    except OSError as error:
        assert "Too many open files" in str(error), error
    else:
        raise SystemExit("no error")
"""

NO_THREADS = """
engine.set_num_threads(3)
tasks = lambda: len(os.listdir("/proc/self/task"))
thread = threading.Thread(target=int)
thread.start()  # where a sanitizer is at work, it starts one of its own here
thread.join(), time.sleep(0.1)  # until the system has let it go
if sys.argv[1:] == ["limited"]:
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    if os.getuid() == 0:
        os.setuid(54321)  # root is not limited
    try:
        threading.Thread(target=int).start()
    except RuntimeError: pass
    else:
        raise SystemExit(77)
before = tasks()
run = cr.compile(make()[1])
losses = [run(x, y).item() for _ in range(5)]
print(tasks() - before, engine.num_threads(), losses)
"""

LITTLE_MEMORY = """
engine.set_num_threads(int(sys.argv[2]))
run = cr.compile(make(0, 20)[1])
run(x, y)
np.ones((64, 64), "float32") @ np.ones((64, 64), "float32")  # OpenBLAS has what it needs
wide = make(0, 3000)[1] if sys.argv[3] == "run" else None
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * os.sysconf("SC_PAGE_SIZE") + int(float(sys.argv[1]) * 2**20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    step = cr.compile(wide or make(0, 3000)[1])
    step(x, y), step(x, y)
    print("enough")
except MemoryError as error:
    assert str(error), "no message"
    print("MemoryError")
before = run(x, y).item()
assert run(x, y).item() < before
"""


@needs_proc
def test_k11_no_more_files() -> None:
    """Steps need none; what needs one says so."""
    program(FEW_FILES)


@needs_proc
def test_k11_no_more_threads() -> None:
    """Helpers that the system refuses are done without, with the same bits."""
    said = []
    for limits in ([], ["limited"]):
        done = subprocess.run(
            [sys.executable, "-c", MAKE + NO_THREADS, *limits],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode == 77:
            pytest.skip("this system does not hold the limit")
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.split(maxsplit=2))
    assert said[0][:2] == ["2", "3"] and said[1][:2] == ["0", "1"]
    assert said[0][2] == said[1][2]


def limited(headroom: float, threads: int, part: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", MAKE + LITTLE_MEMORY, str(headroom), str(threads), part],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{headroom} MiB: {done.returncode}\n{done.stderr}"
    return done.stdout.strip()


@needs_proc
@pytest.mark.memory
@pytest.mark.parametrize("threads", [1, 3])
def test_k11_little_memory(threads: int) -> None:
    """A MemoryError wherever it runs out, never a crash; and small steps still run."""
    said = [limited(headroom, threads, "make") for headroom in (1, 6, 12, 18, 24, 26, 100)]
    assert said[0] == "MemoryError" and said[-1] == "enough"
