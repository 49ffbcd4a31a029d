"""Parameter groups, and what an optimizer refuses at construction (FAULTS A25)."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, DTypeError

NAN, INF = float("nan"), float("inf")


def leaf(*shape):
    return cr.zeros(*shape, requires_grad=True)


def test_a_number_of_a_group_is_a_tensor_that_reads_as_a_number():
    group = optim.Adam([leaf(2)], lr=0.1).param_groups[0]
    tensor = group.tensors["lr"]
    assert group["lr"] == 0.1 and group["lr"] < 0.2 and f"{group['lr']:.2f}" == "0.10"
    group["lr"] = 0.01
    group["betas"] = (0.5, 0.6)
    assert group.tensors["lr"] is tensor and tensor.item() == 0.01
    assert group["betas"] == (0.5, 0.6)
    group["lr"] = cr.tensor(0.25)
    assert group["lr"] == 0.25 and tensor.dtype == np.float64
    group.update(lr=3, eps=1e-3)
    assert (group["lr"], group["eps"]) == (3.0, 1e-3)


def test_writing_the_rate_changes_the_next_step():
    w = leaf(1)
    optimizer = optim.SGD([w], lr=1.0)
    w.grad = cr.ones(1)
    optimizer.step()
    for group in optimizer.param_groups:
        group["lr"] *= 0.5
    optimizer.step()
    assert w.item() == -1.5


def test_a_group_is_a_mapping():
    w = leaf(2)
    group = optim.SGD([{"params": w, "name": "head"}], lr=0.1).param_groups[0]
    assert [*group] == [
        "params",
        "lr",
        "momentum",
        "dampening",
        "weight_decay",
        "nesterov",
        "maximize",
        "name",
    ]
    assert group["params"] == [w] and group["name"] == "head" and len(group) == 8
    assert "betas" not in group and group.get("betas", 7) == 7
    assert "1 parameters" in repr(group) and "lr=0.1" in repr(group)
    with pytest.raises(KeyError):
        group["betas"]


def test_the_rate_can_be_a_tensor_or_array_and_is_then_copied():
    rate, array = cr.tensor(0.5), np.array(0.5)
    groups = optim.SGD([{"params": leaf(1), "lr": x} for x in (rate, array)]).param_groups
    groups[0]["lr"] = 0.1
    array[...] = 9
    assert rate.item() == 0.5 and groups[1]["lr"] == 0.5


def test_groups_share_nothing():
    a, b = leaf(1), leaf(1)
    optimizer = optim.SGD([{"params": [a]}, {"params": [b]}], lr=0.1)
    optimizer.param_groups[0]["lr"] = 0.5
    assert optimizer.param_groups[1]["lr"] == 0.1


def test_add_param_group():
    a, b = leaf(1), leaf(2)
    optimizer = optim.Adam([a], lr=0.1)
    optimizer.add_param_group({"params": [b], "lr": 0.2})
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.2]
    assert [*optimizer.state] == [a, b]
    with pytest.raises(ArgumentError, match="parameter 0 of group 2 appears twice"):
        optimizer.add_param_group({"params": [a]})
    with pytest.raises(ArgumentError, match="'params'"):
        optimizer.add_param_group({"lr": 0.1})
    with pytest.raises(ArgumentError, match="no option beta; expected: lr, betas"):
        optimizer.add_param_group({"params": [leaf(1)], "beta": 0.1})
    assert len(optimizer.param_groups) == 2 and len(optimizer.state) == 2


def test_entries_that_no_update_reads_are_kept():
    """As scripts do with a rate of each layer."""
    a, b = leaf(1), leaf(1)
    optimizer = optim.AdamW([{"params": [a], "lr_scale": 0.5}, {"params": [b], "note": [1]}])
    for group in optimizer.param_groups:
        group["lr"] = 0.1 * group.get("lr_scale", 1.0)
    optimizer.param_groups[1]["depth"] = 3
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.1]
    assert [*optimizer.param_groups[1]][-2:] == ["note", "depth"]
    del optimizer.param_groups[1]["depth"]
    with pytest.raises(ArgumentError, match="cannot be removed"):
        del optimizer.param_groups[1]["lr"]
    other = optim.AdamW([{"params": [a], "lr_scale": 1.0}, {"params": [b], "note": []}])
    other.load_state_dict(optimizer.state_dict())
    assert (other.param_groups[0]["lr_scale"], other.param_groups[1]["note"]) == (0.5, [1])


def test_named_parameters_and_parameters_of_a_group_that_change():
    layer = nn.Linear(2, 2)
    optimizer = optim.SGD(layer.named_parameters(), lr=0.1, momentum=0.9)
    group = optimizer.param_groups[0]
    assert group["params"] == [layer.weight, layer.bias]
    assert group["param_names"] == ["weight", "bias"]
    added = leaf(2)
    group["params"] = [layer.weight, added]
    added.grad = cr.ones(2)
    optimizer.step()
    assert added.tolist() == pytest.approx([-0.1, -0.1])
    assert [*optimizer.state_dict()["state"]] == [0, 1]
    with pytest.raises(DTypeError, match="some have none"):
        optim.SGD([("a", leaf(1)), leaf(1)])
    with pytest.raises(DTypeError, match="in an order"):
        optim.SGD({leaf(1)})


def test_a_momentum_that_is_set_later_gets_its_buffer():
    w, v = leaf(1), leaf(1)
    late, early = optim.SGD([w], lr=1.0), optim.SGD([v], lr=1.0, momentum=0.5)
    assert late.state[w] == {}
    late.param_groups[0]["momentum"] = 0.5
    for _ in range(3):
        for p, optimizer in ((w, late), (v, early)):
            p.grad = cr.ones(1)
            optimizer.step()
    assert w.tolist() == v.tolist() and [*late.state[w]] == ["step", "momentum_buffer"]


def test_hooks_around_steps_and_states():
    w = leaf(1)
    optimizer, seen = optim.SGD([w], lr=1.0), []

    def before(own, args, kwargs):
        seen.append(("before", own is optimizer, args[1:], kwargs))
        return args, {"closure": lambda: 7}

    handles = [
        optimizer.register_step_pre_hook(before),
        optimizer.register_step_post_hook(lambda own, args, kwargs: seen.append("after")),
        optim.hooks.register_optimizer_step_post_hook(lambda *_: seen.append("of all")),
        optimizer.register_state_dict_pre_hook(lambda own: seen.append("saving")),
        optimizer.register_state_dict_post_hook(lambda own, state: {**state, "more": 1}),
        optimizer.register_load_state_dict_pre_hook(lambda own, state: state.pop("more") and None),
        optimizer.register_load_state_dict_post_hook(lambda own: seen.append("loaded")),
    ]
    assert optimizer.step() == 7
    state = optimizer.state_dict()
    assert state["more"] == 1
    optimizer.load_state_dict(state)
    assert state["more"] == 1, "the hook gets a copy"
    assert seen == [("before", True, (), {}), "after", "of all", "saving", "loaded"]
    for handle in handles:
        handle.remove()
    assert optimizer.step() is None and len(seen) == 5
    optimizer.register_step_pre_hook(lambda *_: 3)
    with pytest.raises(DTypeError, match="a hook before a step"):
        optimizer.step()


def test_hooks_run_once_around_a_step_that_calls_that_of_its_base():
    class Counting(optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    seen = []
    optimizer = Counting([leaf(1)])
    optimizer.register_step_post_hook(lambda *_: seen.append(1))
    optimizer.step()
    assert seen == [1]


def test_state_comes_in_the_order_of_the_parameters():
    parameters = [leaf(n) for n in (3, 1, 2)]
    optimizer = optim.Adam(p for p in parameters)
    assert [*optimizer.state] == parameters
    assert [[*kept] for kept in optimizer.state.values()] == [["step", "exp_avg", "exp_avg_sq"]] * 3


@pytest.mark.parametrize("value", [NAN, INF, -INF, -0.1])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_a25_rates(name, value):
    with pytest.raises(ArgumentError, match=r"lr = .*expected: a finite number ≥ 0"):
        getattr(optim, name)([leaf(1)], lr=value)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adam", {"betas": (1.0, 0.9)}),
        ("Adam", {"betas": (0.9, 1.5)}),
        ("AdamW", {"betas": (-0.1, 0.9)}),
        ("AdamW", {"betas": (0.9, NAN)}),
        ("Adam", {"betas": (0.9,)}),
        ("Adam", {"betas": 0.9}),
        ("Adam", {"eps": -1e-8}),
        ("Adam", {"weight_decay": -0.1}),
        ("SGD", {"momentum": -0.1}),
        ("SGD", {"weight_decay": -0.1}),
        ("SGD", {"weight_decay": NAN}),
        ("SGD", {"dampening": INF, "momentum": 0.9}),
        ("SGD", {"nesterov": True}),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
        ("RMSprop", {"alpha": 1.0}),
        ("RMSprop", {"momentum": NAN}),
        ("Adagrad", {"lr_decay": -1}),
        ("Adagrad", {"initial_accumulator_value": -1}),
        ("SGD", {"learning_rate": 0.1}),
    ],
)
def test_a25_options(name, options):
    with pytest.raises(ArgumentError, match=r"expected|given"):
        getattr(optim, name)([leaf(1)], **options)


def test_a25_options_of_one_group_and_of_the_wrong_type():
    with pytest.raises(ArgumentError, match="lr = -1"):
        optim.SGD([{"params": [leaf(1)], "lr": -1}], lr=0.1)
    with pytest.raises(ArgumentError, match="lr = -1"):
        optim.SGD([{"params": [leaf(1)], "lr": 1}], lr=-1)
    with pytest.raises(DTypeError, match="lr is no number; given: 'fast'"):
        optim.SGD([leaf(1)], lr="fast")
    with pytest.raises(DTypeError, match="lr is no number"):
        optim.SGD([leaf(1)], lr=None)
    with pytest.raises(DTypeError, match="lr is no number; given: True"):
        optim.SGD([leaf(1)], lr=True)
    with pytest.raises(DTypeError, match="betas is no number"):
        optim.Adam([leaf(1)], betas=(0.9, "0.99"))


def test_a25_parameters():
    w = leaf(2)
    with pytest.raises(ArgumentError, match="no parameter to train"):
        optim.SGD([])
    with pytest.raises(ArgumentError, match="no parameter to train"):
        optim.SGD([{"params": []}])
    with pytest.raises(ArgumentError, match="parameter 1 of group 0 appears twice"):
        optim.SGD([w, w])
    with pytest.raises(ArgumentError, match="parameter 0 of group 1 appears twice"):
        optim.SGD([{"params": [w]}, {"params": [w]}])
    with pytest.raises(ArgumentError, match="was computed"):
        optim.SGD([w * 2])
    with pytest.raises(DTypeError, match="parameter 0 of group 0 is no tensor; given: ndarray"):
        optim.SGD([np.zeros(2)])
    with pytest.raises(DTypeError, match="cannot be trained"):
        optim.SGD([cr.zeros(2, dtype=cr.int64)])
    with pytest.raises(DTypeError, match=r"model\.parameters\(\)"):
        optim.SGD(nn.Linear(2, 2))
    with pytest.raises(DTypeError, match="mixed"):
        optim.SGD([{"params": [w]}, w])


def test_refused_writes_leave_the_group_as_it_was():
    group = optim.SGD([leaf(1)], lr=0.1).param_groups[0]
    before = group.options()
    for name, value in [
        ("lr", -1),
        ("lr", NAN),
        ("nesterov", True),
        ("momentun", 0.1),
    ]:
        with pytest.raises(ArgumentError):
            group[name] = value
    with pytest.raises(DTypeError):
        group["lr"] = "slow"
    with pytest.raises(ArgumentError):
        del group["lr"]
    assert group.options() == before


def test_momentum_can_rest_and_return_where_there_is_a_buffer():
    group = optim.SGD([leaf(1)], momentum=0.9).param_groups[0]
    group["momentum"] = 0
    group["momentum"] = 0.5
    assert group["momentum"] == 0.5


def test_switches_of_pytorch_are_accepted():
    optim.Adam([leaf(1)], fused=True, foreach=None, capturable=False)


def test_repr_shows_the_groups():
    text = repr(optim.SGD([leaf(1), leaf(2)], lr=0.1))
    assert text.startswith("SGD(\n  0: ParamGroup(2 parameters, lr=0.1")


def test_a_differentiable_step_is_refused():
    optim.SGD([leaf(1)], differentiable=False)
    with pytest.raises(ArgumentError, match="differentiable=True"):
        optim.SGD([leaf(1)], differentiable=True)
