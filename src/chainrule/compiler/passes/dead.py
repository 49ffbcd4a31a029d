"""Dead code: equations on which no output depends are removed."""

from __future__ import annotations

from dataclasses import replace

from chainrule.graph import Graph


def remove_dead(graph: Graph) -> Graph:
    """Keep the equations and constants on which an output depends, and all inputs."""
    needed = set(graph.outputs)
    kept = []
    for equation in reversed(graph.equations):
        if any(v in needed for v in equation.outputs):
            needed.update(equation.inputs)
            kept.append(equation)
    constants = {v: array for v, array in graph.constants.items() if v in needed}
    return replace(graph, equations=kept[::-1], constants=constants)
