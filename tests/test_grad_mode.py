"""Where gradients are recorded: blocks, and decorated functions, generators and coroutines."""

from __future__ import annotations

import asyncio

import pytest

import chainrule as cr

W = cr.ones(1, requires_grad=True)


def is_recorded():
    return (W * 2).requires_grad


@pytest.mark.parametrize("decorate", [cr.no_grad(), cr.no_grad, cr.set_grad_enabled(True)])
def test_decorated_functions(decorate):
    expected = not (decorate is cr.no_grad or decorate.enabled is False)

    @decorate
    def function(a, *, b):
        """Its docstring."""
        return a + b, is_recorded()

    assert function(1, b=2) == (3, expected)
    assert function.__doc__ == "Its docstring."
    assert is_recorded()


def test_a_generator_records_nothing_inside_and_its_caller_does():
    @cr.no_grad()
    def batches(n):
        for _ in range(n):
            yield is_recorded()
        return "end"

    between = []

    def outer():
        between.append((yield from batches(2)))

    for recorded in outer():
        assert not recorded
        assert is_recorded()
    assert between == ["end"]
    with cr.no_grad():
        assert not is_recorded()


def test_values_and_errors_pass_into_a_generator():
    @cr.no_grad()
    def echo():
        seen = []
        try:
            while True:
                try:
                    seen.append((yield len(seen)))
                except KeyError as error:
                    seen.append((str(error), is_recorded()))
        finally:
            log.append((seen, is_recorded()))

    log = []
    generator = echo()
    assert next(generator) == 0
    assert generator.send("a") == 1
    assert generator.throw(KeyError("b")) == 2
    assert is_recorded()
    generator.close()
    assert log == [(["a", ("'b'", False)], False)]
    with pytest.raises(ValueError, match="from inside"):
        next(failing())
    assert is_recorded()


@cr.no_grad()
def failing():
    if not is_recorded():
        raise ValueError("from inside")
    yield


def test_a_coroutine_records_nothing_inside():
    @cr.no_grad()
    async def slow():
        before = is_recorded()
        await asyncio.sleep(0)
        return before, is_recorded()

    async def beside():
        await asyncio.sleep(0)
        return is_recorded()

    async def both():
        return await asyncio.gather(slow(), beside())

    assert asyncio.run(both()) == [(False, False), True]


def test_an_asynchronous_generator_records_nothing_inside():
    @cr.no_grad()
    async def batches():
        try:
            for _ in range(3):
                await asyncio.sleep(0)
                yield is_recorded()
        finally:
            log.append(is_recorded())

    async def read(stop):
        generator, found = batches(), []
        async for recorded in generator:
            found.append((recorded, is_recorded()))
            if stop:
                break
        await generator.aclose()
        return found

    log = []
    assert asyncio.run(read(stop=False)) == [(False, True)] * 3
    assert asyncio.run(read(stop=True)) == [(False, True)]
    assert log == [False, False]


def test_enable_grad_inside_no_grad():
    @cr.enable_grad
    def values():
        yield is_recorded()

    with cr.no_grad():
        assert [*values()] == [True]
        assert not is_recorded()
