"""Each pass alone: what it changes, what it must not, and that the numbers stay."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import engine, settings
from chainrule.compiler.passes import PASSES, optimize
from chainrule.compiler.passes.algebra import simplify
from chainrule.compiler.passes.common import merge_common
from chainrule.compiler.passes.constants import fold_constants
from chainrule.compiler.passes.dead import remove_dead
from chainrule.compiler.passes.epilogue import fuse_epilogues
from chainrule.compiler.passes.fusion import fuse_elementwise
from chainrule.compiler.passes.join import join_slices
from chainrule.compiler.passes.reductions import fuse_reductions
from chainrule.compiler.passes.weights import sum_weight_gradients
from chainrule.compiler.plan import NativePlan
from chainrule.errors import ChainruleError
from chainrule.graph import Graph
from chainrule.nn import functional as F
from chainrule.ops.contract import linear_weight

on_the_engine = pytest.mark.skipif(not engine.available(), reason="the native engine is not built")


def graph_of(function, *shapes) -> Graph:
    return cr.trace(function)(*[cr.spec(*shape) for shape in shapes]).graph


def names(graph: Graph) -> list[str]:
    return [equation.primitive.name for equation in graph.equations]


def same_numbers(before: Graph, after: Graph) -> None:
    """The same bits: the passes reorder nothing inside an element's formula."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(v.shape).astype(v.dtype) for v in before.inputs]
    for a, b in zip(before.run(*arrays), after.check().run(*arrays), strict=True):
        assert np.array_equal(a, b)


def test_dead_code_goes_and_inputs_stay():
    def function(x, y):
        x.exp()
        return x + 1

    graph = graph_of(function, (3,), (2,))
    after = remove_dead(graph)
    assert names(graph) == ["exp", "add"]
    assert names(after) == ["add"]
    assert len(after.inputs) == 2
    same_numbers(graph, after)


CHECKED = {
    "positions": lambda x, i: x[i],
    "rows": lambda x, i: F.embedding(i, x),
    "classes": lambda x, i: F.one_hot(i, 3),
    "labels": lambda x, i: F.cross_entropy(x, i),
    "divisors": lambda x, i: i // (i - i),
    "exponents": lambda x, i: i**-i,
    "range": lambda x, i: (x * 1e30).long(),
    "matrices": lambda x, i: cr.linalg.cholesky(-x),
    "probabilities": lambda x, i: F.binary_cross_entropy(x + 2, x),
}


@pytest.mark.parametrize("kind", ["numpy", *(["native"] if engine.available() else [])])
@pytest.mark.parametrize("name", CHECKED)
def test_numbers_are_checked_where_nothing_uses_the_result(name, kind):
    def function(x, i):
        CHECKED[name](x, i)
        return x + 1

    given = cr.ones(3, 3), cr.tensor([1, 2, 3])
    with pytest.raises(ChainruleError) as eager:
        function(*given)
    with settings.use(engine=kind), pytest.raises(type(eager.value)):
        cr.compile(function)(*given)


def test_common_subexpressions_are_merged_but_not_other_parameters():
    graph = graph_of(lambda x: x.exp() + x.exp() + x.sum(0) + x.sum(1), (3, 3))
    after = merge_common(graph)
    assert names(after).count("exp") == 1
    assert names(after).count("sum") == 2
    same_numbers(graph, after)


def test_two_draws_of_random_numbers_are_not_one():
    graph = graph_of(lambda x: x + cr.rand(3) + cr.rand(3), (3,))
    after = optimize(graph)
    assert names(after).count("random_uniform") == 2


def test_constants_are_folded_and_expands_left_to_broadcasting():
    graph = graph_of(lambda x: x * (cr.tensor(2.0) * 3.0).expand(4), (4,))
    after = remove_dead(fold_constants(graph))
    assert names(after) == ["expand", "mul"]
    same_numbers(graph, after)
    assert names(remove_dead(simplify(fold_constants(graph)))) == ["mul"]


@pytest.mark.parametrize(
    ("function", "left"),
    [
        (lambda x: x * 1.0, []),
        (lambda x: x / 1.0, []),
        (lambda x: x.neg().neg(), []),
        (lambda x: x.T.T, []),
        (lambda x: x.reshape(12).reshape(3, 4), []),
        (lambda x: x.reshape(2, 6).reshape(4, 3), ["reshape"]),
        (lambda x: x + 0.0, ["add"]),  # −0 + 0 is 0: not an identity
        (lambda x: x.permute(1, 0), ["permute"]),
    ],
)
def test_identities_are_removed_where_they_hold_bit_for_bit(function, left):
    graph = graph_of(function, (3, 4))
    after = remove_dead(simplify(graph))
    assert names(after) == left
    same_numbers(graph, after)


def test_an_elementwise_chain_is_one_equation():
    graph = graph_of(lambda x, y: ((x * 2 + y).tanh() * x).exp(), (3, 4), (4,))
    after = fuse_elementwise(graph)
    assert names(after) == ["chain"]
    same_numbers(graph, after)


def test_fusion_never_closes_a_circle():
    def function(x):
        a = x * 2
        b = a.sum(0, True)  # leaves the chain
        return a + b  # and comes back

    graph = graph_of(function, (3, 4))
    after = fuse_elementwise(graph)
    assert names(after) == ["mul", "sum", "add"]
    same_numbers(graph, after)


def test_fusion_moves_what_reads_a_chain_behind_it():
    def function(x):
        a = x.exp()
        total = a.sum()
        return total, (a * 3).tanh()

    graph = graph_of(function, (3, 4))
    after = fuse_elementwise(graph)
    assert names(after) == ["chain", "sum"]
    same_numbers(graph, after)


def test_random_programs_keep_their_bits_through_every_pass():
    """Programs of random elementwise, shape and reduction steps, through each pass and all."""
    steps = [
        lambda x, y: x + y,
        lambda x, y: x * 1.0,
        lambda x, y: (x * y).tanh(),
        lambda x, y: x - y.mean(),
        lambda x, y: x.T.reshape(4, 4),
        lambda x, y: cr.where(x > y, x, y),
        lambda x, y: x @ y,
        lambda x, y: x.sum(0, True) + y,
        lambda x, y: x.neg().neg(),
        lambda x, y: y.exp() + x,
    ]
    for seed in range(40):
        rng = np.random.default_rng(seed)
        chosen = [(steps[i], rng.integers(0, 99, 2)) for i in rng.integers(0, len(steps), 12)]

        def program(x, y, chosen=chosen):
            values = [x, y]
            for step, picks in chosen:
                a, b = (values[p % len(values)] for p in picks)
                values.append(step(a, b) * 0.5)
            return values[-1], values[len(values) // 2]

        graph = graph_of(program, (4, 4), (4, 4))
        for one in PASSES:
            same_numbers(graph, one(graph))
        same_numbers(graph, optimize(graph))


IMAGES, KERNELS = (2, 3, 6, 5), (4, 3, 3, 3)


@pytest.mark.parametrize(
    "function, shapes, joined",
    [
        (lambda x, w, b: F.linear(x, w, b).relu(), [(5, 4), (3, 4), (3,)], "linear_relu"),
        (lambda x, w, z: z + F.linear(x, w), [(2, 5, 4), (40, 4), (2, 5, 40)], "linear_add"),
        (lambda x, w, b, z: F.linear(x, w, b) + z, [(5, 4), (1, 4), (1,), (5, 1)], "linear_add"),
        (
            lambda x, w, b, z: F.linear(x, w, b) + z,
            [(30, 4), (40, 4), (40,), (30, 40)],
            "linear_add",
        ),
        (lambda x, w, z: z.sum(1) + F.linear(x, w), [(5, 4), (3, 4), (5, 2, 3)], "linear_add"),
        (lambda x, w, b: F.conv2d(x, w, b).relu(), [IMAGES, KERNELS, (4,)], "convolution_relu"),
        (lambda x, w: F.conv2d(x, w).relu(), [IMAGES, KERNELS], "convolution_relu"),
        (lambda x, w: F.conv1d(x, w).relu(), [(2, 3, 6), (4, 3, 3)], "convolution_relu"),
    ],
)
def test_an_activation_is_part_of_its_product(function, shapes, joined):
    """With the bits of the ops one after the other."""
    graph = graph_of(function, *shapes)
    after = fuse_epilogues(graph)
    assert joined in names(after) and not {"relu", "add"} & set(names(after))
    same_numbers(graph, after)
    if engine.available():
        arrays = [np.random.default_rng(1).normal(size=s).astype("f4") for s in shapes]
        (result,) = NativePlan(after).run(arrays)
        assert result.tobytes() == function(*map(cr.tensor, arrays)).numpy().tobytes()


def read_twice(y):
    return y.relu() + y


@pytest.mark.parametrize(
    "function, shapes",
    [
        (lambda x, w: read_twice(F.conv2d(x, w)), [IMAGES, KERNELS]),
        (lambda x, w: F.conv3d(x, w).relu(), [(1, 2, 3, 4, 4), (4, 2, 2, 2, 2)]),  # no kernel
        (lambda x, w, z: F.linear(x, w) + z, [(5, 4), (3, 4), (3,)]),  # z is not like the result
        (lambda x, w, z: F.linear(x, w) + z, [(5, 4), (3, 4), (2, 5, 3)]),
    ],
)
def test_an_activation_of_its_own_stays(function, shapes):
    graph = graph_of(function, *shapes)
    after = fuse_epilogues(graph)
    assert names(after) == names(graph)
    same_numbers(graph, after)


def tree_of(parts, middle):
    """A sum as a tree: `middle` says where a list of terms is cut."""
    if len(parts) == 1:
        return parts[0]
    cut = middle(len(parts))
    return tree_of(parts[:cut], middle) + tree_of(parts[cut:], middle)


@on_the_engine
@pytest.mark.parametrize(
    "middle", [lambda n: n // 2, lambda n: n - 1, lambda n: 1], ids=["balanced", "left", "right"]
)
@pytest.mark.parametrize(("out", "features"), [(17, 70), (40, 9), (3, 32)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_weight_gradients_are_one_op_with_the_same_bits(middle, out, features, dtype):
    shapes = [(n, size) for n in (1, 2, 1, 2, 2, 1) for size in (out, features)]

    def function(*pairs):
        parts = [linear_weight(g, x) for g, x in zip(pairs[::2], pairs[1::2], strict=True)]
        return tree_of(parts, middle)

    specs = [cr.spec(*shape, dtype=dtype) for shape in shapes]
    graph = cr.trace(function)(*specs).graph
    after = sum_weight_gradients(graph)
    assert names(after) == ["linear_weight_sum"]
    same_numbers(graph, after)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    fused, plain = NativePlan(after), NativePlan(graph)
    assert "references" not in fused.describe()
    assert fused.run(arrays)[0].tobytes() == plain.run(arrays)[0].tobytes()


@on_the_engine
def test_weight_gradients_are_summed_apart_where_that_takes_less_memory():
    """Or if one of them is a result, too."""

    def function(a, x, b, y):
        return linear_weight(a, x) + linear_weight(b, y)

    def read_twice(a, x, b, y):
        first = linear_weight(a, x)
        return first + linear_weight(b, y), first

    def names_of(function, rows):
        return names(sum_weight_gradients(graph_of(function, *[(rows, 6), (rows, 8)] * 2)))

    assert names_of(function, 3) == ["linear_weight_sum"]
    assert "linear_weight_sum" not in names_of(function, 4)  # 4·(6 + 8) numbers, and not 6·8
    assert "linear_weight_sum" not in names_of(read_twice, 3)


def test_the_gradients_of_a_split_are_written_side_by_side():
    def function(x):
        def loss(x):
            a, b, c = x.split([2, 3, 1], 1)
            return (a.exp().sum() + (b * b).reshape(3, 4).sum() + c.sum()).sum()

        return cr.grad(loss)(x)

    graph = merge_common(simplify(graph_of(function, (4, 6))))
    after = remove_dead(join_slices(graph))
    assert names(after).count("joined_slices") == 1
    assert "slice_into" not in names(after)
    same_numbers(graph, after)


def test_slices_that_overlap_are_added():
    def function(x):
        return cr.grad(lambda x: (x[:3].exp() * x[1:4].exp()).sum())(x)

    graph = graph_of(function, (5,))
    after = remove_dead(join_slices(graph))
    assert "joined_slices" not in names(after)
    assert [names(after).count(name) for name in ("slice_into", "add_at")] == [1, 1]
    same_numbers(graph, after)


@on_the_engine
def test_joined_slices_add_to_zeros():
    """−0 becomes 0, as in the sum; where no slice lies there are zeros."""

    def function(x, y):
        def loss(z):
            return (z[:, :2] * x).sum() + (z[:, 3:] * y).sum()

        return cr.grad(loss)(cr.zeros(2, 6))

    graph = graph_of(function, (2, 2), (2, 3))
    after = remove_dead(join_slices(graph))
    assert "joined_slices" in names(after)
    arrays = [np.full(v.shape, -0.0, np.float32) for v in graph.inputs]
    (before,), (joined,) = graph.run(*arrays), after.run(*arrays)
    assert before.tobytes() == joined.tobytes()
    (native,) = NativePlan(after).run(arrays)
    assert native.tobytes() == before.tobytes()


def reduced_at_the_ends(x, y):
    z = (x * y).exp()
    return z + 1, z.sum(1), z.sum(-1, keepdim=True), (x - y).amax(0), (x + y).mean((0, 1))


def reduced_around_channels(x, y):
    z = x * y
    return z, z.sum((0, 2)), (x - y).amax((0, 2), keepdim=True), (x + y).mean((0, 2))


@on_the_engine
@pytest.mark.parametrize(
    "function, shape",
    [
        (reduced_at_the_ends, (5, 700)),
        (reduced_around_channels, (6, 5, 700)),
        (reduced_around_channels, (70, 3, 9)),
    ],
)
def test_reductions_are_found_in_the_sweep_of_their_chain(function, shape):
    graph = graph_of(function, shape, shape)
    after = fuse_reductions(fuse_elementwise(graph))
    assert set(names(after)) == {"chain"}
    assert len(names(after)) < len(names(fuse_elementwise(graph)))
    same_numbers(graph, after)
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(v.shape).astype(v.dtype) for v in graph.inputs]
    fused, plain = NativePlan(after), NativePlan(graph)
    assert "references" not in fused.describe()
    for a, b in zip(fused.run(arrays), plain.run(arrays), strict=True):
        assert a.tobytes() == b.tobytes()


def test_reductions_of_other_dimensions_stay_by_themselves():
    """In the middle, of integers, or of what is not elementwise."""

    def function(x):
        y = x.exp()
        return y.sum(1), (x > 0).sum(0), (x @ x.mT).sum(0)

    graph = graph_of(function, (3, 4, 5))
    after = fuse_reductions(fuse_elementwise(graph))
    assert names(after).count("sum") == 3
    same_numbers(graph, after)


@on_the_engine
def test_a_reshaped_view_is_not_copied_and_a_kernel_gets_what_it_needs():
    """The heads of attention are views; normalization of a transposed array gets a copy."""

    def heads(x):
        return x[:, :4].reshape(3, 2, 2).transpose(0, 1).exp()

    graph = graph_of(heads, (3, 12))
    plan = NativePlan(graph)
    assert [step.equation.primitive.name for step in plan.steps] == ["exp"]
    x = np.random.default_rng(0).standard_normal((3, 12)).astype(np.float32)
    np.testing.assert_allclose(plan.run([x])[0], graph.run(x)[0], 1e-6)

    def normalized(x):
        return cr.nn.functional.layer_norm(x.transpose(0, 1), 3)

    plan = NativePlan(graph_of(normalized, (3, 12)))
    assert "references" not in plan.describe()
    np.testing.assert_allclose(plan.run([x])[0], plan.graph.run(x)[0], 0, 1e-5)


def test_a_value_used_very_often_makes_no_chain_without_end():
    """Its gradient is one long sum; so is a long chain of ops with an operand each."""
    w = cr.tensor([0.5, -0.25, 0.125], requires_grad=True)
    others = [cr.full((3,), 0.01 * i) for i in range(120)]

    def step():
        w.grad = None
        y = w
        for other in others:
            y = y * 0.5 + w * other
        y.sum().backward()
        return y.detach()

    expected, gradient = step().numpy(), w.grad.numpy()
    run = cr.compile(step)
    run()
    np.testing.assert_allclose(run().numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(w.grad.numpy(), gradient, rtol=1e-5)


@on_the_engine
def test_parts_of_a_concatenation_are_computed_where_they_lie_in_it():
    """But not inputs, a part that comes twice, or one that is apart in memory."""

    def function(x, y):
        a, b = x.exp(), (x * 2 - y).sin()
        inner = cr.cat([a.reshape(-1), y.reshape(-1)])
        whole = cr.cat([inner, b.reshape(-1), a.reshape(-1)])
        beside = cr.cat([b.cos(), y], 1)
        return whole, a + 1, cr.stack([whole * 2, whole.sqrt()]), beside

    shapes = [(3, 5), (3, 5)]
    graph = cr.trace(function)(*[cr.spec(*shape) for shape in shapes]).graph
    plan = NativePlan(graph)
    steps = [step.op if isinstance(step.op, str) else step.op.name for step in plan.steps]
    assert steps.count("cat") == 1 and steps.count("copy") == 2
    arrays = [np.random.default_rng(i).random(s).astype("f4") for i, s in enumerate(shapes)]
    wanted = function(*map(cr.from_numpy, arrays))
    for found, expected in zip(plan.run(arrays), wanted, strict=True):
        assert found.tobytes() == expected.numpy().tobytes()


@on_the_engine
def test_weights_that_several_layers_of_few_rows_read_are_transposed_once():
    def function(x, w, b):
        return F.linear(x[:3], w, b), F.linear(x[3:], w).relu(), F.linear(x, w[:4], b[:4])

    shapes = [(8, 40), (19, 40), (19,)]
    plan = NativePlan(optimize(graph_of(function, *shapes)))
    steps = [step.op if isinstance(step.op, str) else step.op.name for step in plan.steps]
    assert steps.count("copy") == 1 and steps.count("product") == 2
    arrays = [np.random.default_rng(i).normal(size=s).astype("f4") for i, s in enumerate(shapes)]
    wanted = function(*map(cr.from_numpy, arrays))
    for found, expected in zip(plan.run(arrays), wanted, strict=True):
        assert found.tobytes() == expected.numpy().tobytes()
