"""Random programs, eager and compiled: equal bits, or a refusal."""

import pytest
from tests.compiler.random_programs import run

from chainrule import engine, settings

ENGINES = ["numpy", *(["native"] if engine.available() else [])]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("first", range(0, 100, 20))
def test_compiled_equals_eager_or_refuses(name, first):
    with settings.use(engine=name):
        ends = {seed: run(seed) for seed in range(first, first + 20)}
    wrong = {seed: end for seed, end in ends.items() if end not in ("equal", "refused", "error")}
    assert not wrong
    assert list(ends.values()).count("equal") >= 10, "most programs run"
