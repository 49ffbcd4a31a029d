"""Fixtures of the engine's tests; without the compiled engine they are skipped, with the reason."""

from collections.abc import Iterator

import pytest

from chainrule import engine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if engine.available():
        return
    skip = pytest.mark.skip(reason=f"the native engine is not built: {engine.why_not()}")
    for item in items:
        if item.path.parent.name == "engine" and item.path.name != "test_without.py":
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Iterator[None]:
    """A test may change the number of threads or the instruction set; others do not notice."""
    before = engine.num_threads()
    yield
    if engine.available():
        engine.set_num_threads(before)
        engine.use_instruction_set(str(engine.describe()["instruction_sets"][0]))
