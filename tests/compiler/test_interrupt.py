"""H6: Ctrl-C while a long compiled step runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from chainrule import engine

LONG_STEP = """
import sys
import chainrule as cr

w = cr.ones(1500, 1500, requires_grad=True)

@cr.compile
def step():
    y = w
    for _ in range(400):
        y = y @ w
    y.sum().backward()
    with cr.no_grad():
        w.assign(w - w.grad)
    w.grad = None

try:
    print("ready", flush=True)
    step()
except KeyboardInterrupt:
    print("stopped", bool((w == 1).all()), flush=True)
"""


@pytest.mark.skipif(not engine.available(), reason="needs the native engine")
def test_h6_ctrl_c_stops_a_long_program_between_two_instructions():
    """The step would take minutes; nothing of its state has changed."""
    process = subprocess.Popen([sys.executable, "-c", LONG_STEP], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().strip() == "ready"
        time.sleep(2.0)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert out.strip() == "stopped True"
