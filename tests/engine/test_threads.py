"""The process around the engine: threads, forks, exits, floating-point modes, environment."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from tests.engine.helpers import INSTRUCTION_SETS, native, same_bits

from chainrule import engine
from chainrule.engine import threads
from chainrule.errors import ArgumentError

A = np.random.default_rng(0).normal(size=(200, 300)).astype(np.float32)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter; it must end within a minute."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_a_forked_child_computes() -> None:
    """The pool does not survive a fork; the child gets a new one, and the same bits."""
    engine.set_num_threads(3)
    expected = native("matmul", A, A.T)
    for _ in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python ≥ 3.12 warns of threads
            child = os.fork()
        if child == 0:
            os._exit(0 if same_bits(native("matmul", A, A.T), expected) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert same_bits(native("matmul", A, A.T), expected)


WORK = """
import numpy as np, threading, os, sys
from chainrule import engine
import chainrule as cr
from chainrule.primitive import lookup
engine.set_num_threads(3)
a = np.ones((300, 300), np.float32)
def work():
    while True: engine.run_native(lookup("matmul"), (a, a), {})
"""


@pytest.mark.parametrize("ending", ["", "os._exit(0)", "sys.exit(0)"])
def test_exit_while_the_pool_runs(ending: str) -> None:
    start = "threading.Thread(target=work, daemon=True).start()\nimport time; time.sleep(0.2)\n"
    done = python(WORK + start + ending)
    assert done.returncode == 0, done.stderr


def test_floating_point_modes_are_unchanged() -> None:
    """Subnormal numbers are still numbers after the engine has worked (no flush-to-zero)."""
    native("matmul", A, A.T)
    native("exp", A)
    tiny = np.float32(1e-40)
    assert tiny * np.float32(0.5) > 0
    assert native("mul", np.full(5000, tiny), np.full(5000, np.float32(0.5))).min() > 0


def test_results_equal_across_concurrent_callers() -> None:
    """Several Python threads use the engine at once; each gets its own right result."""
    import threading

    engine.set_num_threads(2)
    expected = native("matmul", A, A.T)
    wrong: list[int] = []

    def work() -> None:
        wrong.extend(i for i in range(30) if not same_bits(native("matmul", A, A.T), expected))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_changing_the_number_of_threads_while_working() -> None:
    expected = native("matmul", A, A.T)
    for n in (1, 5, 2, 8, 1, 3):
        engine.set_num_threads(n)
        assert engine.num_threads() == n
        assert same_bits(native("matmul", A, A.T), expected)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinities")
@pytest.mark.skipif(threads.usable_cpus() < 2, reason="needs two cores")
def test_helpers_keep_off_the_core_of_the_caller() -> None:
    """Where the system wakes a thread on the core of its waker, they would take turns."""
    engine.set_num_threads(1)
    native("matmul", A, A.T)
    before = set(os.listdir("/proc/self/task"))
    engine.set_num_threads(3)
    for _ in range(3):
        native("matmul", A, A.T)
    own = os.sched_getaffinity(0)
    helpers = set(os.listdir("/proc/self/task")) - before
    allowed = [os.sched_getaffinity(int(helper)) for helper in helpers]
    assert len(allowed) == 2
    assert all(cores < own and len(cores) == len(own) - 1 for cores in allowed)


@pytest.mark.parametrize("value", [0, -1, 257, 10**6, "2", 1.5, True, None])
def test_nonsense_numbers_of_threads(value: object) -> None:
    with pytest.raises(ArgumentError):
        engine.set_num_threads(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text, expected",
    [("0", 1), ("-1", 1), ("abc", 4), ("1000000", 4), ("1.5", 4), ("3", 3), ("4", 4), ("", 4)],
)
@pytest.mark.parametrize("name", threads.VARIABLES)
def test_environment(monkeypatch: pytest.MonkeyPatch, name: str, text: str, expected: int) -> None:
    monkeypatch.setattr(threads, "usable_cpus", lambda: 4)
    for other in threads.VARIABLES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, text)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert threads.default_threads() == expected
    assert bool(seen) == (text not in ("3", "4", ""))


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_every_instruction_set_of_this_machine(name: str) -> None:
    best = native("matmul", A, A.T), native("exp", A)
    engine.use_instruction_set(name)
    assert engine.describe()["instruction_set"] == name
    np.testing.assert_allclose(native("matmul", A, A.T), best[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(native("exp", A), best[1], rtol=1e-6)


def test_unknown_instruction_set() -> None:
    with pytest.raises(ArgumentError, match="neon512"):
        engine.use_instruction_set("neon512")
