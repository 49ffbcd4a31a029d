"""Graphs: what check() catches, what run() refuses, how a graph reads."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import GraphError
from chainrule.graph import Equation, Graph, Value
from chainrule.primitive import Spec, registry

X, Y = Spec((2, 3), np.float32), Spec((3,), np.float32)


def parts():
    """x, y → t = x + y → r = relu(t)."""
    x, y, t, r = Value(X, "x"), Value(Y, "y"), Value(X), Value(X)
    equations = [
        Equation(registry["add"], (x, y), {}, (t,), "here.py:1"),
        Equation(registry["relu"], (t,), {}, (r,)),
    ]
    return x, y, t, r, equations


def test_a_well_formed_graph_runs():
    x, y, _, r, equations = parts()
    graph = Graph([x, y], {}, equations, [r])
    assert graph.check() is graph
    a, b = np.full((2, 3), -1, np.float32), np.array([0, 1, 2], np.float32)
    assert graph.run(a, b)[0].tolist() == [[0, 0, 1]] * 2


def broken():
    """(what is wrong, a graph, words of the message)."""
    x, y, t, r, equations = parts()
    wrong = Value(Y)
    yield "defined twice", Graph([x, x, y], {}, equations, [r]), "x.* defined twice"
    constant = {x: np.zeros((2, 3), np.float32)}
    yield "input and constant", Graph([x, y], constant, equations, [r]), "defined twice"
    yield (
        "before its definition",
        Graph([x, y], {}, equations[::-1], [r]),
        (r"equation 0 \(relu\) uses .* before"),
    )
    yield "never defined input", Graph([x], {}, equations, [r]), r"equation 0 \(add\) uses y"
    bad = Equation(registry["add"], (x, y), {}, (wrong,))
    yield "wrong spec", Graph([x, y], {}, [bad], [wrong]), r"equation 0 \(add\) claims outputs"
    bad = Equation(registry["add"], (x, y), {}, (t, r))
    yield "too many outputs", Graph([x, y], {}, [bad], [t]), "claims outputs"
    yield "written twice", Graph([x, y], {}, [equations[0], equations[0]], [t]), "a second time"
    yield "unknown output", Graph([x, y], {}, equations[:1], [r]), "output .* never defined"
    bad = Equation(registry["matmul"], (x, x), {}, (t,))
    yield "breaks its rule", Graph([x], {}, [bad], [t]), r"equation 0 \(matmul\) breaks its rule"
    bad = Equation(registry["sum"], (x,), {"dims": (5,)}, (t,))
    yield "missing parameter", Graph([x], {}, [bad], [t]), r"equation 0 \(sum\) breaks its rule"
    constant = {y: np.zeros(4, np.float32)}
    yield "constant of another shape", Graph([x], constant, equations, [r]), "constant y.*another"
    yield "labels", Graph([x, y], {}, equations, [r], ["a", "b"]), "label"


@pytest.mark.parametrize("case", list(broken()), ids=lambda case: case[0])
def test_check_catches(case):
    _, graph, words = case
    with pytest.raises(GraphError, match=words):
        graph.check()


def test_run_refuses_other_inputs():
    x, y, _, r, equations = parts()
    graph = Graph([x, y], {}, equations, [r])
    a, b = np.zeros((2, 3), np.float32), np.zeros(3, np.float32)
    with pytest.raises(GraphError, match="number of inputs"):
        graph.run(a)
    with pytest.raises(ValueError, match=r"input y.*\(4,\)"):
        graph.run(a, np.zeros(4, np.float32))
    with pytest.raises(TypeError, match=r"input y.*float64"):
        graph.run(a, b.astype(np.float64))


def test_a_graph_reads_as_formulas():
    x, y, _, r, equations = parts()
    text = str(Graph([x, y], {}, equations, [r], ["loss"]))
    assert text.splitlines() == [
        "graph(x: float32(2, 3), y: float32(3,))",
        "  t0: float32(2, 3) = add(x, y)  # here.py:1",
        "  t1: float32(2, 3) = relu(t0)",
        "  return loss = t1",
    ]


def test_names_in_the_text_are_unique():
    graph = cr.trace(lambda a, b: (a * 2.5 + b, a * b))(cr.spec(2), cr.spec(2)).graph
    lines = str(graph).splitlines()
    names = [line.split(":")[0].strip() for line in lines[1:-1]]
    assert len(set(names)) == len(names)
    assert "mul(a, 2.5)" in str(graph)
