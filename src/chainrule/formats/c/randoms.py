"""Random numbers by counter, with the bits of Chainrule's."""

from __future__ import annotations

import math
from typing import Any

from chainrule.formats.c.table import Call, translation
from chainrule.formats.c.writer import Place
from chainrule.primitive import DType, Shape

PHILOX = """
/* The upper 64 bits of a product. */
static uint64_t upper(uint64_t a, uint64_t b) {
    const uint64_t a0 = a & 0xffffffff, a1 = a >> 32, b0 = b & 0xffffffff, b1 = b >> 32;
    const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), low = a0 * b1 + (middle & 0xffffffff);
    return a1 * b1 + (middle >> 32) + (low >> 32);
}

/* Word n of the stream of Philox 4x64-10 (Salmon et al., 2011) that starts at state[1], with the
   key state[0]. */
static uint64_t philox(const int64_t *state, uint64_t n) {
    uint64_t key[2] = {(uint64_t)state[0], 0};
    uint64_t x[4] = {(uint64_t)state[1] + 1 + n / 4, 0, 0, 0};
    for (int round = 0; round < 10; ++round) {
        const uint64_t first = 0xD2E7470EE14C6C93, second = 0xCA5A826395121157;
        const uint64_t y[4] = {upper(second, x[2]) ^ x[1] ^ key[0], second * x[2],
                               upper(first, x[0]) ^ x[3] ^ key[1], first * x[0]};
        for (int i = 0; i < 4; ++i) x[i] = y[i];
        key[0] += 0x9E3779B97F4A7C15;
        key[1] += 0xBB67AE8584CAA73B;
    }
    return x[n % 4];
}
""".strip().splitlines()
"""Functions in C that the translations of this file call."""


def _state(state: Place) -> str:
    return f"{state.name} + {state.offset}" if state.offset else state.name


@translation("random_uniform")
def uniform(call: Call, shape: Shape, dtype: DType) -> None:
    (state,), (y,), write = call.inputs, call.outputs, call.write
    with write.block(f"for (int i = 0; i < {y.size}; ++i)"):
        if dtype.itemsize == 8:
            write.line(
                f"{y.name}[i] = (double)(philox({_state(state)}, i) >> 11) / 9007199254740992.0;"
            )
            return
        write.line(f"const uint64_t word = philox({_state(state)}, i / 2) >> (i % 2 ? 32 : 0);")
        write.line(f"{y.name}[i] = (float)((word & 0xffffffff) >> 8) / 16777216.0f;")


@translation("random_normal")
def normal(call: Call, shape: Shape, dtype: Any) -> None:
    (state,), (y,), write = call.inputs, call.outputs, call.write
    half = (math.prod(shape) + 1) // 2
    with write.block(f"for (int i = 0; i < {half}; ++i)"):
        for name, first in (("u", ""), ("v", f"{half} + ")):
            word = f"philox({_state(state)}, {first}i)"
            write.line(f"const double {name} = (double)({word} >> 11) / 9007199254740992.0;")
        write.line("const double radius = sqrt(-2 * log1p(-u)), angle = 6.283185307179586 * v;")
        write.line(f"{y.name}[i] = radius * cos(angle);")
        guard = f"if (i + {half} < {y.size}) " if y.size % 2 else ""
        write.line(f"{guard}{y.name}[i + {half}] = radius * sin(angle);")
