"""The engine: native kernels for primitives, and programs of them.

- `run(primitive, arrays, params)` evaluates one primitive, by its native kernel if there is one.
- `Program(instructions, buffers, slots, arena_bytes)` is a list of instructions that runs in one
  call; `arena`, `constant` and `external` make its buffers.
- `lower` returns the native call of a primitive for given layouts, or None. `steps_of` returns the
  steps of an elementwise primitive, which can be fused with others into one `fused` instruction.
- `available`, `describe`, `set_num_threads`, `num_threads`, `use_instruction_set`.

A call returns the same bits for any number of threads, and for an example in any batch. The C++
code is in `engine/cpp/`; start reading at `kernels/gemm_tile.h`, `kernels/machine.h` and
`runtime/pool.h`.

Kernels that an instruction can name besides primitives:

=============  =====================================================================================
``product``    (a, b, bias) → activation(a·b + bias); ``activation`` ("none", "relu")
``fused``      a chain of elementwise steps with optional reductions: ``steps``, ``results``,
               ``reductions``, ``dims``, ``dtype``
``copy``       copies a view into another, with broadcasting
``require``    stops the run unless all of x is true; ``number`` identifies the requirement
=============  =====================================================================================
"""

from __future__ import annotations

from chainrule.engine import tuning
from chainrule.engine.chain import Reduction, Step, fused_call, machine_code, walks_in_order
from chainrule.engine.evaluate import copy, evaluator, forget_calls, run, run_native
from chainrule.engine.layout import Layout, NativeCall, in_order, layout_of
from chainrule.engine.lowering import LAYERS, is_fusible, is_sweep, lower, steps_of
from chainrule.engine.native import (
    available,
    class_version,
    connect,
    module,
    native_replay,
    shortcut,
    why_not,
)
from chainrule.engine.program import (
    Buffer,
    Instruction,
    Program,
    Record,
    Unmet,
    aligned_zeros,
    arena,
    constant,
    encode,
    external,
)
from chainrule.engine.threads import default_threads, num_threads, set_num_threads, usable_cpus
from chainrule.errors import ArgumentError

__all__ = [
    "LAYERS",
    "Buffer",
    "Instruction",
    "Layout",
    "NativeCall",
    "Program",
    "Record",
    "Reduction",
    "Step",
    "Unmet",
    "aligned_zeros",
    "arena",
    "available",
    "class_version",
    "connect",
    "constant",
    "copy",
    "default_threads",
    "describe",
    "encode",
    "evaluator",
    "external",
    "fused_call",
    "in_order",
    "is_fusible",
    "is_sweep",
    "layout_of",
    "lower",
    "machine_code",
    "native_replay",
    "num_threads",
    "run",
    "run_native",
    "set_num_threads",
    "shortcut",
    "steps_of",
    "tuning",
    "usable_cpus",
    "use_instruction_set",
    "walks_in_order",
    "why_not",
]


def describe() -> dict[str, object]:
    """Facts about the engine on this machine, for `chainrule doctor` and for reports.

    >>> sorted(describe())[:4]
    ['available', 'instruction_set', 'instruction_sets', 'kernels']
    >>> sorted(describe())[4:]
    ['reason', 'second_cache', 'threads']
    """
    if not available():
        return {
            "available": False,
            "reason": why_not(),
            "instruction_set": "NumPy",
            "instruction_sets": [],
            "kernels": [],
            "second_cache": 0,
            "threads": 1,
        }
    native = module()
    return {
        "available": True,
        "reason": "",
        "instruction_set": native.instruction_set(),
        "instruction_sets": native.instruction_sets(),
        "kernels": native.kernels(),
        "second_cache": native.second_cache(),
        "threads": native.thread_count(),
    }


def use_instruction_set(name: str) -> None:
    """Use the kernels for one of the instruction sets in `describe()["instruction_sets"]`.

    The best one is selected at import; this function is for tests and comparisons. Existing
    programs keep their kernels. Raises ArgumentError for a set that the machine cannot run.
    """
    sets = module().instruction_sets()
    if name not in sets:
        raise ArgumentError(
            f"this machine cannot run the instruction set {name!r}", expected=", ".join(sets)
        )
    module().use_instruction_set(name)
    forget_calls()


if available():
    set_num_threads(default_threads())
