"""Each kernel against what the machine allows.

Products are compared with MKL (through PyTorch) and with OpenBLAS (through NumPy), elementwise ops
and reductions with a copy of the same bytes and with the arithmetic of their formulas.

    python benchmarks/kernels.py [--rounds 20] [--threads 1 2] [--only products|ops]

The candidates take turns in every round, in one process, so that noise affects all alike. The
figure is the fastest call, since other processes can only make a call slower.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import chainrule as cr
from chainrule import engine
from chainrule.compiler.passes.epilogue import MATMUL_GATE
from chainrule.engine import Instruction, Program, external
from chainrule.engine.layout import Layout
from chainrule.engine.lowering.contract import GATE
from chainrule.primitive import Spec, lookup
from peer_chainrule import step_of
from workloads import WORKLOADS

try:
    import torch
    from threadpoolctl import threadpool_limits
except ImportError:
    torch = None

Candidates = dict[str, Callable[[], Any]]
TURN = 0.002
"""Seconds of one turn of a candidate."""
QUIET = 0.12
"""Seconds after which threads of a library no longer wait for work on a core: those of MKL do for
10 ms after each call, those of OpenBLAS for 112."""
SPREAD = 0.008
"""Seconds in which the system moves a thread, woken on its caller's core, to one of its own."""
SETTLE, SHORT = 160, 0.4
"""Calls, and seconds of them at most: in the first 128 runs of a program the engine tries whether
threads pay."""


def best_times(
    candidates: Candidates, rounds: int, pause: float = 0.0, warm: float = 0.0
) -> dict[str, float]:
    """Seconds of the fastest call of each candidate. They take turns, each after a pause and calls
    that are not timed."""
    best = dict.fromkeys(candidates, float("inf"))
    for call in candidates.values():
        time.sleep(pause)
        ready = time.perf_counter() + SHORT
        for _ in range(SETTLE):
            if time.perf_counter() < ready:
                call()
    for _ in range(rounds):
        for name, call in candidates.items():
            time.sleep(pause)
            call()
            ready = time.perf_counter() + warm
            while time.perf_counter() < ready:
                call()
            spent = 0.0
            while spent < TURN:
                start = time.perf_counter()
                call()
                taken = time.perf_counter() - start
                best[name] = min(best[name], taken)
                spent += taken
    return best


def program(op: Any, inputs: list[Any], outputs: list[Any], **params: Any) -> Callable[[], Any]:
    """One instruction as a program on these arrays. They are in C order, or transposed."""
    arrays = [*inputs, *outputs]
    bases = [a if a.flags.c_contiguous else np.swapaxes(a, -1, -2) for a in arrays]
    views = [external(i, a.shape, a.dtype, a.strides) for i, a in enumerate(arrays)]
    n = len(inputs)
    step = Instruction(op, tuple(range(n)), tuple(range(n, len(arrays))), params)
    made = Program([step], views, [Spec(a.shape, a.dtype) for a in bases])
    return lambda: made.run(bases)


# -- products ------------------------------------------------------------------------------------


class Product(NamedTuple):
    """C = A·B, of `batch` matrices: m × k times k × n. An operand may be stored transposed.

    With a gate, an element of C becomes 0 where that of another matrix is not positive. The
    libraries do that after the product.
    """

    m: int
    n: int
    k: int
    a_transposed: bool = False
    b_transposed: bool = False
    batch: int = 1
    gate: bool = False

    def __str__(self) -> str:
        a, b = ("T" if t else " " for t in self[3:5])
        many = f"{self.batch} × " if self.batch > 1 else ""
        gate = "gate" if self.gate else ""
        return f"{many}{self.m}×{self.k}{a}· {self.k}×{self.n}{b}{gate}"

    @property
    def flops(self) -> float:
        return 2.0 * self.batch * self.m * self.n * self.k

    def candidates(self) -> Candidates:
        rng = np.random.default_rng(0)

        def matrix(rows: int, columns: int, transposed: bool) -> Any:
            sizes = (columns, rows) if transposed else (rows, columns)
            x = rng.random((self.batch, *sizes)[self.batch == 1 :], dtype=np.float32)
            return np.swapaxes(x, -1, -2) if transposed else x

        a = matrix(self.m, self.k, self.a_transposed)
        b = matrix(self.k, self.n, self.b_transposed)
        c = matrix(self.m, self.n, False)
        x = rng.normal(size=c.shape).astype(np.float32)
        shut = x <= 0
        op, inputs = (MATMUL_GATE, [a, b, x]) if self.gate else (lookup("matmul"), [a, b])
        found: Candidates = {"engine": program(op, inputs, [c])}
        if torch is not None:
            u, v, w, where = map(torch.from_numpy, (a, b, c, shut))

            def mkl() -> None:
                torch.matmul(u, v, out=w)
                if self.gate:
                    w.masked_fill_(where, 0)

            found["MKL"] = mkl

        def openblas() -> None:
            np.matmul(a, b, out=c)
            if self.gate:
                np.copyto(c, 0, where=shut)

        found["OpenBLAS"] = openblas
        return found


SWEEP = [
    *(Product(n, n, n) for n in (16, 32, 64, 128, 256, 300, 512, 1000, 1024, 2048)),
    *(Product(1, n, k, b_transposed=True) for n, k in ((10, 64), (64, 128), (128, 784))),
    *(Product(8, 1024, 1024, b_transposed=t) for t in (False, True)),
    Product(16, 4096, 4096, b_transposed=True),
    Product(64, 2048, 2048),
    Product(2048, 64, 2048),
    Product(4096, 16, 4096),
    *(Product(m, 1, k) for m, k in ((1024, 256), (455, 64), (2048, 2048))),
    *(Product(m, n, 1, gate=g) for m, n in ((1024, 256), (455, 64)) for g in (False, True)),
    *(Product(*s, gate=True) for s in ((64, 64, 10), (64, 128, 64), (1024, 256, 256))),
    Product(200, 100, 50, gate=True),
    *(Product(m, n, 60_000, a_transposed=True) for m, n in ((10, 64), (64, 128), (128, 784))),
    *(Product(60_000, n, k, b_transposed=True) for n, k in ((128, 784), (64, 128), (10, 64))),
    Product(32, 32, 32_768, a_transposed=True),
    *(Product(*s, b_transposed=True) for s in ((1024, 256, 64), (1024, 256, 256))),
    Product(256, 256, 1024, a_transposed=True),
    *(Product(*s, b_transposed=True) for s in ((1024, 1152, 384), (1024, 384, 1536))),
    *(Product(*s, a_transposed=True) for s in ((1536, 384, 1024), (384, 1536, 1024))),
    Product(1024, 384, 1536),
    *(Product(64, 64, 32, b_transposed=t, batch=48) for t in (False, True)),
    *(Product(256, 256, 64, b_transposed=t, batch=24) for t in (False, True)),
]
"""Small and large, skinny, deep, with a gate, in batches, and the layers of wider models."""


def product_of(a: Layout, b: Layout, gate: bool) -> Product:
    """The product of operands with these layouts."""
    (*batch, m, k), n = a.shape, b.shape[-1]
    if len(b.shape) == 2:  # the matrices of the batch are rows of one
        m, batch = m * int(np.prod(batch)), []
    a_transposed, b_transposed = (x.strides[-1] > x.strides[-2] for x in (a, b))
    return Product(m, n, k, a_transposed, b_transposed, int(np.prod(batch)), gate)


def products_of_workloads() -> Iterable[Product]:
    """The products of the compiled training steps of the step benchmark."""
    for workload in WORKLOADS.values():
        if workload.kind == "inference" or workload.batch > 10_000:
            continue
        function, arguments = step_of(workload)
        step = cr.compile(function)
        step(*arguments)
        for call in step.executables[0].plan.program.calls:
            if call is not None and call.kernel == "matmul":
                (_, a), (_, b), *_ = call.inputs
                yield product_of(a, b, gate=call.ints[0] == GATE)


def products(rounds: int, threads: int) -> dict[str, dict[str, float]]:
    """The rates of all products, and the share of the best library that the engine reaches."""
    use_threads(threads)
    rows = {}
    shares = []
    print(f"\nGFLOP/s, {threads} threads")
    for product in dict.fromkeys([*products_of_workloads(), *SWEEP]):
        enough = max(3, min(rounds, int(1e11 / product.flops)))
        waits = (QUIET, SPREAD) if threads > 1 else (0.0, 0.0)
        times = best_times(product.candidates(), enough, *waits)
        rates = {name: product.flops / seconds / 1e9 for name, seconds in times.items()}
        share = rates["engine"] / max(rate for name, rate in rates.items() if name != "engine")
        shares.append(share)
        rows[str(product)] = {**rates, "share": share}
        cells = "  ".join(f"{name} {rate:6.1f}" for name, rate in rates.items())
        print(f"{product!s:36} {cells}   {share:4.0%}", flush=True)
    print(
        f"share of the best library: median {statistics.median(shares):.0%}, "
        f"least {min(shares):.0%}"
    )
    return rows


# -- elementwise ops and reductions ---------------------------------------------------------------

FORMULAS = {"exp": 15, "tanh": 23, "sigmoid": 18, "erf": 27, "gelu": 30, "gelu_gradient": 32}
WITH_AVX512 = {"exp": 13, "tanh": 17, "sigmoid": 21, "erf": 17, "gelu": 21, "gelu_gradient": 23}
"""Instructions of one vector in the formulas of engine/cpp/math, and with AVX-512, which scales in
one instruction and has functions in pieces. A core runs two at a time. Ops that are not here only
move their numbers."""


def arithmetic(op: str) -> int:
    """Vector instructions of an op with today's instruction set."""
    known = WITH_AVX512 if engine.describe()["instruction_set"] == "avx512" else {}
    return known.get(op, FORMULAS.get(op, 0))


def arrays(*shape: int, count: int = 1) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for _ in range(count)]


def chain(steps: Sequence[tuple[Any, ...]], inputs: list[Any], **reduced: Any) -> Callable[[], Any]:
    """A chain of elementwise steps, whose last result is written, or reduced over the rows."""
    last = len(inputs) + len(steps) - 1
    if not reduced:
        return program("fused", inputs, [np.zeros_like(inputs[0])], steps=steps, results=(last,))
    sums = np.zeros(inputs[0].shape[1], np.float32)
    outputs = [np.zeros_like(inputs[0]), sums] if reduced.pop("kept") else [sums]
    return program(
        "fused",
        inputs,
        outputs,
        steps=steps,
        results=(last,) * (len(outputs) - 1),
        reductions=(("sum", last, 1.0),),
        dims=(0,),
        **reduced,
    )


class Row(NamedTuple):
    """A kernel, the arrays that it reads and writes, and its vector instructions per number."""

    run: Callable[[], Any]
    numbers: int
    moved: float
    instructions: float = 0.0


def rows_of_ops(n: int) -> dict[str, Row]:
    """Elementwise ops on n numbers, and reductions of as many."""
    x, y = arrays(n // 512, 512, count=2)
    out, wide = np.zeros_like(x), x.reshape(-1)
    rows = {
        name: Row(program(lookup(name), [x], [out]), n, 2, arithmetic(name))
        for name in ("neg", "relu", "square", "exp", "tanh", "sigmoid", "erf", "gelu")
    }
    rows |= {
        name: Row(program(lookup(name), [x, y], [out]), n, 3) for name in ("add", "mul", "maximum")
    }
    gradient, instructions = (("gelu_gradient", 0, 1),), arithmetic("gelu_gradient")
    rows["gelu gradient"] = Row(chain(gradient, [x, y]), n, 3, instructions)
    rows["gelu gradient and sums"] = Row(chain(gradient, [x, y], kept=True), n, 3, instructions + 4)
    for name, value, dims in (
        ("sum of rows", x, (1,)),
        ("sum of columns", x, (0,)),
        ("sum of all", wide, (0,)),
    ):
        total = np.zeros([s for d, s in enumerate(value.shape) if d not in dims], np.float32)
        rows[name] = Row(
            program(lookup("sum"), [value], [total], dims=dims, keepdim=False), n, 1, 4
        )
    rows["max of rows"] = Row(
        program(lookup("amax"), [x], [np.zeros(len(x), "f4")], dims=(1,), keepdim=False), n, 1
    )
    return rows


def ops(rounds: int) -> dict[str, dict[str, float]]:
    """Nanoseconds a number of each op on one thread, and the share of what the machine allows."""
    use_threads(1)
    square = best_times({"": Product(256, 256, 256).candidates()["engine"]}, rounds)[""]
    per_instruction = 2 * square / Product(256, 256, 256).flops  # of one number of a vector
    result = {}
    for n, where in ((1 << 16, "in the L2 cache"), (1 << 23, "in memory")):
        source, target = arrays(n, count=2)
        rows = rows_of_ops(n)
        candidates = {name: row.run for name, row in rows.items()}
        copying: Candidates = {"copy": partial(np.copyto, target, source)}
        times = best_times(copying | candidates, rounds if n < 1 << 20 else max(3, rounds // 4))
        print(f"\nnanoseconds a number, one thread, {where}; a copy {times['copy'] / n * 1e9:.3f}")
        for name, row in rows.items():
            limit = max(times["copy"] * row.moved / 2, row.instructions * per_instruction * n)
            figures = {"ns": times[name] / n * 1e9, "share": limit / times[name]}
            result[f"{name}, {where}"] = figures
            print(f"{name:24} {figures['ns']:7.3f}   {figures['share']:4.0%}", flush=True)
    return result


def use_threads(threads: int) -> None:
    engine.set_num_threads(threads)
    if torch is not None:
        torch.set_num_threads(threads)
        threadpool_limits(threads, "blas")


def processor() -> str:
    """The name of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown processor"
    return next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), "unknown")


def main(rounds: int, threads: Sequence[int], only: str | None = None) -> dict[str, Any]:
    print(f"{processor()}; {engine.describe()['instruction_set']}")
    result: dict[str, Any] = {"processor": processor()}
    if only != "ops":
        for number in threads:
            result[f"products, {number} threads"] = products(rounds, number)
    if only != "products":
        result["ops"] = ops(rounds)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", choices=("products", "ops"))
    options = parser.parse_args()
    main(options.rounds, options.threads, options.only)
