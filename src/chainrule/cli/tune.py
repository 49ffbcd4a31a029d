"""`chainrule tune`: measures which block size suits this machine's cache."""

from __future__ import annotations

import math
import time
from typing import Any

import click

from chainrule.cli.group import debug_option, json_option, print_json
from chainrule.errors import ArgumentError

SHARES = (0.25, 0.5, 1.0, 2.0)
"""The sizes that are tried, as shares of what the processor states."""
SHAPES = ((2048, 2048, 2048), (1024, 1024, 512), (784, 512, 128), (768, 128, 384), (256, 4096, 256))
"""Products that are timed: rows, terms and columns."""
ROUNDS, GAIN = 7, 0.05
"""The sizes take turns in each round. The size that the processor states is kept unless another is
faster by this share."""


def rates(sizes: list[int]) -> dict[int, float]:
    """For each size, the geometric mean of the products' GFLOP/s, each from its best round."""
    import chainrule as cr
    from chainrule.engine import tuning

    pairs = [(cr.rand(m, k), cr.rand(k, n)) for m, k, n in SHAPES]
    best = {(size, shape): math.inf for size in sizes for shape in SHAPES}
    for _ in range(ROUNDS):
        for size in sizes:
            tuning.use_second_cache(size)
            for shape, (a, b) in zip(SHAPES, pairs, strict=True):
                start = time.perf_counter()
                a @ b
                spent = time.perf_counter() - start
                best[size, shape] = min(best[size, shape], spent)
    return {
        size: math.exp(
            sum(math.log(2e-9 * math.prod(s) / best[size, s]) for s in SHAPES) / len(SHAPES)
        )
        for size in sizes
    }


def tuned() -> dict[str, Any]:
    """Measure and store: the stated size, the rate of each size, and the size that is used."""
    from chainrule.engine import tuning

    before = tuning.second_cache()
    tuning.use_second_cache(0)
    stated = tuning.second_cache()
    try:
        found = rates([int(stated * share) for share in SHARES])
    except BaseException:
        tuning.use_second_cache(before)
        raise
    fastest = max(found, key=found.__getitem__)
    used = fastest if found[fastest] > (1 + GAIN) * found[stated] else stated
    if used == stated:
        tuning.forget()
    else:
        tuning.store(used)
    return {"stated": stated, "gflops": found, "used": used}


@click.command()
@click.option("--reset", is_flag=True, help="Forget what was measured.")
@json_option
@debug_option
def tune(reset: bool, as_json: bool) -> None:
    """Measure which block size of matrix products suits this machine, and keep it.

    It is never needed: without it, blocks follow from the cache that the processor states. Results
    are the same bits with any size.
    """
    from chainrule import engine
    from chainrule.engine import tuning

    if not engine.available():
        raise ArgumentError(
            "without the native engine, nothing can be tuned", given=engine.why_not()
        )
    if reset:
        tuning.forget()
    facts: dict[str, Any] = {"used": tuning.second_cache()} if reset else tuned()
    facts["file"] = tuning.tuning_file()
    if as_json:
        print_json(facts)
        return
    for size, rate in facts.get("gflops", {}).items():
        stated = " (as the processor states)" if size == facts["stated"] else ""
        click.echo(f"L2 cache of {size // 1024:>6,} kB  {rate:6.0f} GFLOP/s{stated}")
    if facts["used"] == facts.get("stated", facts["used"]):
        click.echo(f"blocks follow from the stated L2 cache, {facts['used'] // 1024:,} kB")
    else:
        click.echo(
            f"{facts['used'] // 1024:,} kB is used from now on; it is kept in {facts['file']}"
        )
