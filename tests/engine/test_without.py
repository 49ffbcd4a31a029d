"""Without the compiled engine everything runs on NumPy, and says so."""

import os
import subprocess
import sys

CODE = """
import numpy as np
import chainrule as cr
from chainrule import engine
from chainrule.primitive import lookup
assert not engine.available() and "CHAINRULE_ENGINE" in engine.why_not()
assert engine.describe()["instruction_set"] == "NumPy" and engine.num_threads() == 1
engine.set_num_threads(2)
a = np.ones((100, 100), np.float32)
assert (engine.run(lookup("matmul"), (a, a), {}) == a @ a).all()
try:
    engine.Program([], [])
except ImportError as error:
    assert "native engine" in str(error)
else:
    raise SystemExit("a program without the engine")
"""


def test_switched_off() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "CHAINRULE_ENGINE": "off"},
    )
    assert done.returncode == 0, done.stderr
