"""Passes: small pure functions from graph to graph. The graph is checked after each.

`optimize` runs them in this order: remove dead code, fold constants, remove identities, merge equal
equations, join slices, join sums of weight gradients, fuse activations into products and
convolutions, fuse elementwise chains, fuse reductions into chains, and remove dead code again.
"""

from __future__ import annotations

from collections.abc import Callable

from chainrule.compiler.passes.algebra import simplify
from chainrule.compiler.passes.common import merge_common
from chainrule.compiler.passes.constants import fold_constants
from chainrule.compiler.passes.dead import remove_dead
from chainrule.compiler.passes.epilogue import fuse_epilogues
from chainrule.compiler.passes.fusion import fuse_elementwise
from chainrule.compiler.passes.join import join_slices
from chainrule.compiler.passes.reductions import fuse_reductions
from chainrule.compiler.passes.weights import sum_weight_gradients
from chainrule.graph import Graph

Pass = Callable[[Graph], Graph]

PASSES: tuple[Pass, ...] = (
    remove_dead,
    fold_constants,
    simplify,
    merge_common,
    join_slices,
    sum_weight_gradients,
    fuse_epilogues,
    fuse_elementwise,
    fuse_reductions,
    remove_dead,
)


def optimize(graph: Graph, passes: tuple[Pass, ...] = PASSES) -> Graph:
    """Run the passes one after the other, and check each result. Raises GraphError."""
    for apply_pass in passes:
        graph = apply_pass(graph).check()
    return graph
