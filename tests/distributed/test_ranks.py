"""Several ranks on one machine: the same bits for any number of them, and faults (FAULTS I)."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chainrule import nn, optim, world
from chainrule.cli.ranks import mpiexec
from chainrule.engine.threads import usable_cpus
from chainrule.errors import ArgumentError, MissingDependencyError, RankError
from chainrule.ops.creation import tensor
from chainrule.train import Trainer

pytest.importorskip("mpi4py", reason="the extra `mpi` is not installed")
JOB = Path(__file__).parent / "job.py"
SPEC = importlib.util.spec_from_file_location("job", JOB)
tasks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tasks)


def job(
    ranks: int, task: str, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a task of job.py on several ranks, of one thread each."""
    command = [mpiexec(), "-n", str(ranks), sys.executable, str(JOB), task, str(folder)]
    own = {"CHAINRULE_NUM_THREADS": "1", **environment}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | own
    )


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(x for x in done.stdout.splitlines() if x.startswith("RESULT "))
    found: dict[str, object] = json.loads(line.removeprefix("RESULT "))
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What 4, 1 and 2 ranks give. Those of 4 are interrupted, and the others resume."""
    folder = tmp_path_factory.mktemp("ranks")
    done = job(4, "all", folder)
    assert usable_cpus() >= 4 or "4 ranks take turns on the" in done.stderr
    found = {4: result_of(done)}
    for ranks in (1, 2):
        shutil.rmtree(folder / "broken", ignore_errors=True)
        shutil.copytree(folder / "own-4", folder / "broken")
        found[ranks] = result_of(job(ranks, "all", folder))
    return found


def test_the_bits_do_not_depend_on_the_number_of_ranks(results):
    for name, wanted in results[1]["bits"].items():
        for ranks in (2, 4):
            if name in results[ranks]["bits"]:
                assert results[ranks]["bits"][name] == wanted, f"{name} on {ranks} ranks"
    assert results[1]["bits"]["cnn"] == results[1]["bits"]["cnn, eager"]
    assert "six shards" in results[2]["bits"]


def test_a_signal_to_one_rank_stops_all_and_the_run_resumes_on_fewer(results):
    for ranks in (2, 4):
        reason, step, checkpoints = results[ranks]["interrupted"]
        assert (reason, step) == ("SIGTERM", 5) and checkpoints
    wanted = results[1]["unbroken"]
    assert results[4]["unbroken"] == results[1]["resumed"] == results[2]["resumed"] == wanted


def test_an_odd_number_of_ranks_gives_the_same_bits(results, tmp_path):
    assert result_of(job(3, "six_shards", tmp_path)) == results[1]["bits"]["six shards"]


def test_a_loop_of_ones_own_gives_the_mean_over_the_batch(results):
    wrapped, compiled, replicated = results[1]["gradients"]
    assert wrapped == compiled == replicated
    for ranks in (2, 4):
        for found in results[ranks]["gradients"]:
            # The sums over a batch are rounded in another order: 3 steps of about 20 terms.
            np.testing.assert_allclose(found, wrapped, rtol=1e-5, atol=1e-6)


def test_sync_batch_norm_is_batch_norm_of_the_whole_batch(results):
    data = np.random.default_rng(3).normal(size=(24, 3, 2)).astype(np.float32)
    model, x = nn.BatchNorm1d(3), tensor(data, requires_grad=True)
    y = model(x)
    (y * tensor(data**2)).sum().backward()
    wanted = [y.tolist(), x.grad.tolist(), model.running_mean.tolist(), model.running_var.tolist()]
    for ranks in (1, 2, 4):
        for found, expected in zip(results[ranks]["synchronized"], wanted, strict=True):
            # Sums of 48 float32 numbers, in another order.
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_sync_batch_norm_needs_one_shard_a_rank():
    model = nn.Sequential(nn.Linear(3, 2), nn.SyncBatchNorm(2))
    parts = model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1)
    assert Trainer(*parts, shards=1).shards == 1
    with pytest.raises(ArgumentError, match=r"layer 1, 2 shards on 1 ranks.*Use shards=1"):
        Trainer(*parts, shards=2)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("raises", "rank 1 ends the job:\nTraceback"),
        ("killed", "KILLED BY SIGNAL: 9|Killed"),
        ("stalls", "RankError: rank 1 did not come within 1 s"),
    ],
)
def test_a_fault_of_one_rank_ends_the_job(task, said, tmp_path):
    done = job(2, task, tmp_path, CHAINRULE_RANK_TIMEOUT="1")
    assert done.returncode != 0
    assert any(text in done.stdout + done.stderr for text in said.split("|")), done
    if task == "raises":
        assert "ValueError: a fault of rank 1" in done.stderr
    if task == "killed":  # the last checkpoint is whole, and one rank goes on
        assert tasks.resumed(tmp_path) == tasks.unbroken()


def train(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "chainrule", "train", "moons", "--shards", "2", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, "--no-report", "--json"], cwd=folder, text=True, **pipes)


def test_the_command_starts_ranks_that_give_the_bits_of_one(tmp_path):
    started = [
        train(tmp_path, "--epochs", "1", "--out", "one"),
        train(tmp_path, "--epochs", "1", "--out", "two", "--ranks", "2"),
        train(tmp_path, "--ranks", "3"),
    ]
    said = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0, 1], said
    one, two = (json.loads(out)["test"] for out, _ in said[:2])
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert one == two and weights[0] == weights[1]
    assert "3 ranks cannot share 2 shards" in said[2][1]


def test_the_tree_is_the_same_for_any_blocks():
    for shards in (1, 2, 3, 6, 12):
        names = {(i, i + 1): f"{i}" for i in range(shards)}
        wanted = world.tree_sum(0, shards, names, lambda a, b: f"({a}+{b})")
        for size in (n for n in range(1, shards + 1) if shards % n == 0):
            known = {}
            for nodes in world.nodes_by_rank(shards, size):
                known |= {n: world.tree_sum(*n, names, lambda a, b: f"({a}+{b})") for n in nodes}
            found = world.tree_sum(0, shards, known, lambda a, b: f"({a}+{b})")
            assert found == wanted
    with pytest.raises(ArgumentError, match=r"4 ranks cannot share 6 shards.*shards=4"):
        world.nodes_by_rank(6, 4)


def test_without_mpi_a_launched_process_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(world.importlib, "import_module", missing)
    for name in (*world.LAUNCHED, world.CHILD):
        monkeypatch.delenv(name, raising=False)
    assert world._found().size == 1
    monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.raises(MissingDependencyError, match=r"chainrule\[mpi\]"):
        world._found()
    monkeypatch.setenv(world.CHILD, "1")  # a process that a rank started
    assert world._found().size == 1
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(RankError, match="srun started 4 tasks, and each is alone"):
        world._check_tasks(1)
