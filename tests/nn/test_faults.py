"""Bad input to layers and losses: the class, the words that teach, and the state left intact."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from chainrule.nn import functional as F


def raises(kind, builtin, *words):
    """The error is of our class and the built-in one, and has all the words."""
    assert issubclass(kind, builtin)
    return _Raises(kind, words)


class _Raises:
    def __init__(self, kind, words):
        self.expected, self.words = pytest.raises(kind), words

    def __enter__(self):
        self.info = self.expected.__enter__()
        return self.info

    def __exit__(self, *error):
        done = self.expected.__exit__(*error)
        if not done:
            return done
        text = str(self.info.value)
        for word in self.words:
            assert word in text, f"{word!r} is not in: {text}"
        return done


def snapshot(model):
    state = {name: x.numpy().copy() for name, x in model.state_dict().items()}
    return state, cr.default_generator.state.tolist()


def assert_intact(model, before):
    state, random = before
    assert cr.default_generator.state.tolist() == random
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, state[name])


# -- A: shapes, dtypes, indices ------------------------------------------------------------------


def test_a1_wrong_number_of_features():
    layer = nn.Linear(3, 2)
    with raises(ShapeError, ValueError, "Linear 3 → 2", "4 features", "expects 3", "Linear(4, 2)"):
        layer(cr.zeros(2, 4))
    with raises(ShapeError, ValueError, "4 features", "expects 3"):
        nn.Linear(3, 2, bias=False)(cr.zeros(2, 4))
    with raises(ShapeError, ValueError, "0 features"):
        layer(cr.tensor(1.0))


def test_the_error_of_the_design_document():
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(784, 10)
    )
    model.eval()
    before = snapshot(model)
    with pytest.raises(ShapeError) as caught:
        model(cr.zeros(64, 1, 28, 28))
    assert str(caught.value) == (
        "in model.4 (Linear 784 → 10): the input has 128 features, this layer expects 784.\n"
        "    input      (64, 1, 28, 28)\n"
        "    0 Flatten  (64, 784)\n"
        "    1 Linear   (64, 128)\n"
        "    2 ReLU     (64, 128)\n"
        "    3 Dropout  (64, 128)\n"
        "  > 4 Linear   expects (..., 784)\n"
        "  Did you mean Linear(128, 10)?"
    )
    assert_intact(model, before)


def test_the_path_leads_through_nested_modules_once():
    class Block(nn.Module):
        def __init__(self):
            self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(5, 4))
            self.same = self.body

        def forward(self, x):
            return self.body(x)

    model = nn.Sequential(nn.Linear(4, 4), Block())
    with pytest.raises(ShapeError) as caught:
        model(cr.zeros(2, 4))
    text = str(caught.value)
    assert "in model.1.body.2 (Linear 5 → 4)" in text
    assert "> 1.body.2 Linear" in text
    assert text.count("0 Linear") == 2  # "0 Linear" and "1.body.0 Linear"
    # The next call starts afresh, and an error in another layer shows only its own way.
    with pytest.raises(ShapeError) as caught:
        model(cr.zeros(2, 3))
    assert "body" not in str(caught.value)


def test_long_ways_are_cut_short():
    layers = [nn.Linear(2, 2) for _ in range(40)]
    with pytest.raises(ShapeError) as caught:
        nn.Sequential(*layers, nn.Linear(3, 1))(cr.zeros(1, 2))
    assert "28 more layers" in str(caught.value)
    assert str(caught.value).count("\n") < 20


@pytest.mark.parametrize("layer", [nn.Linear(3, 2), nn.Linear(3, 2, bias=False)])
def test_a2_a3_other_dtypes(layer):
    with raises(DTypeError, TypeError, "float64 and float32", "x.to(cr.float32)", "model.to"):
        layer(cr.zeros(2, 3, dtype=cr.float64))
    with raises(DTypeError, TypeError, "int64 and float32", "x.to(cr.float32)") as caught:
        layer(cr.zeros(2, 3, dtype=cr.int64))
    assert "model.to" not in str(caught.value)


def test_a2_float64_into_other_layers():
    x = cr.zeros(2, 3, 8, 8, dtype=cr.float64)
    for layer in (nn.Conv2d(3, 2, 3), nn.BatchNorm2d(3).eval(), nn.LayerNorm(8)):
        with raises(DTypeError, TypeError, "float64", "float32"):
            layer(x)


LAYERS = [
    nn.Linear(3, 2),
    nn.Linear(3, 2, bias=False),
    nn.Conv2d(3, 2, 1),
    nn.MaxPool2d(1),
    nn.AvgPool2d(1),
    nn.BatchNorm2d(3),
    nn.LayerNorm(3),
    nn.Dropout(0.5),
    nn.Embedding(3, 2),
    nn.Flatten(),
    nn.Unflatten(1, (3, 1)),
    nn.ReLU(),
    nn.LeakyReLU(),
    nn.ELU(),
    nn.GELU(),
    nn.SiLU(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.Softplus(),
    nn.Softmax(1),
    nn.LogSoftmax(1),
    nn.Mish(),
    nn.Hardtanh(),
    nn.GLU(),
    nn.PReLU(),
    nn.Softshrink(),
    nn.Hardswish(),
    nn.Threshold(1, 2),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("kind", ["array", "list"])
def test_a4_what_is_no_tensor(layer, kind):
    x = np.ones((2, 3, 3, 3), np.float32)
    with raises(DTypeError, TypeError, "cr.tensor"):
        layer(x if kind == "array" else x.tolist())


@pytest.mark.parametrize(
    "name", ["cross_entropy", "nll_loss", "mse_loss", "l1_loss", "binary_cross_entropy"]
)
def test_a4_losses_of_arrays(name):
    with raises(DTypeError, TypeError, "cr.tensor"):
        getattr(F, name)(cr.zeros(2, 2), np.zeros(2))
    with raises(DTypeError, TypeError, "cr.tensor"):
        getattr(F, name)(np.zeros((2, 2)), cr.zeros(2))


def test_a5_convolutions_that_do_not_fit():
    with raises(ShapeError, ValueError, "4 channels", "expects 3", "Conv2d(4, 2"):
        nn.Conv2d(3, 2, 3)(cr.zeros(1, 4, 8, 8))
    with raises(ShapeError, ValueError, "reaches over 9", "has 8"):
        nn.Conv2d(3, 2, 9)(cr.zeros(1, 3, 8, 8))
    with raises(ShapeError, ValueError, "reaches over 3", "has 2"):
        nn.MaxPool2d(3)(cr.zeros(1, 3, 2, 2))
    with raises(ArgumentError, ValueError, "stride", "≥ 1"):
        nn.Conv2d(3, 2, 3, stride=0)
    with raises(ArgumentError, ValueError, "groups", "divide", "3 → 2"):
        nn.Conv2d(3, 2, 3, groups=2)
    with raises(ShapeError, ValueError, "(N, C, H, W)"):
        nn.Conv2d(3, 2, 3)(cr.zeros(3, 8))


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (nn.Linear(3, 2), (0, 3), (0, 2)),
        (nn.Conv2d(3, 2, 3), (0, 3, 8, 8), (0, 2, 6, 6)),
        (nn.MaxPool2d(2), (0, 3, 8, 8), (0, 3, 4, 4)),
        (nn.AvgPool2d(2), (0, 3, 8, 8), (0, 3, 4, 4)),
        (nn.ReLU(), (0, 3), (0, 3)),
        (nn.Flatten(), (0, 3, 4), (0, 12)),
        (nn.LayerNorm(3), (0, 3), (0, 3)),
        (nn.Dropout(0.5), (0, 3), (0, 3)),
        (nn.BatchNorm1d(3).eval(), (0, 3), (0, 3)),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, nn.Module) else "",
)
def test_a6_an_empty_batch(layer, shape, wanted):
    x = cr.zeros(shape, requires_grad=True)
    y = layer(x)
    assert y.shape == wanted
    y.sum().backward()
    assert x.grad.shape == shape
    for parameter in layer.parameters():
        assert not parameter.grad.any()
        parameter.grad = None


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.BatchNorm1d(3), (1, 3)), (nn.BatchNorm2d(3), (1, 3, 1, 1)), (nn.BatchNorm1d(3), (0, 3))],
)
def test_a7_batch_norm_of_one_value(layer, shape):
    before = snapshot(layer)
    with raises(ArgumentError, ValueError, "at least 2 values", "eval()"):
        layer(cr.ones(shape))
    assert_intact(layer, before)
    assert layer.eval()(cr.ones(shape)).shape == shape


def test_batch_norm_of_other_shapes():
    with raises(ShapeError, ValueError, "4 channels", "expects 3", "BatchNorm1d(4)"):
        nn.BatchNorm1d(3)(cr.ones(2, 4))
    with raises(ShapeError, ValueError, "(N, C, H, W)"):
        nn.BatchNorm2d(3)(cr.ones(2, 3))
    with raises(ShapeError, ValueError, "(5,)", "(3,)"):
        nn.LayerNorm(3)(cr.ones(2, 5))


def test_a10_a11_embedding_out_of_range():
    layer = nn.Embedding(5, 2)
    for bad in (5, -1):
        with raises(OutOfRangeError, IndexError, f"index {bad}", "(1, 0)", "0 … 4"):
            layer(cr.tensor([[0, 1], [bad, 2]]))
    with raises(DTypeError, TypeError, "integers", "x.long()"):
        layer(cr.ones(2))


CONSTRUCTORS = [
    (lambda: nn.Linear(-1, 2), "in_features"),
    (lambda: nn.Linear(2, 1.5), "out_features"),
    (lambda: nn.Linear(True, 2), "in_features"),
    (lambda: nn.Dropout(2), "[0, 1]"),
    (lambda: nn.Dropout(float("nan")), "[0, 1]"),
    (lambda: nn.Dropout("a"), "[0, 1]"),
    (lambda: nn.Conv2d(0, 2, 3), "in_channels"),
    (lambda: nn.Conv2d(1, 2, 0), "kernel_size"),
    (lambda: nn.Conv2d(1, 2, (3, 3, 3)), "kernel_size"),
    (lambda: nn.Conv2d(1, 2, 3, padding=-1), "padding"),
    (lambda: nn.Conv2d(1, 2, 3, padding="some"), "'same', 'valid'"),
    (lambda: nn.Conv2d(1, 2, 3, stride=2, padding="same"), "stride 1"),
    (lambda: nn.Conv2d(1, 2, 3, padding_mode="mirror"), "'circular'"),
    (lambda: nn.ConvTranspose2d(1, 2, 3, padding_mode="reflect"), "'zeros'"),
    (lambda: nn.ConvTranspose1d(1, 2, 3, output_padding=1), "output_padding"),
    (lambda: nn.AdaptiveAvgPool2d((2, -1)), "output_size"),
    (lambda: nn.MaxPool2d(0), "kernel_size"),
    (lambda: nn.MaxPool2d(2, padding=2), "half"),
    (lambda: nn.AvgPool2d(2, divisor_override=0), "divisor_override"),
    (lambda: nn.BatchNorm1d(0), "num_features"),
    (lambda: nn.BatchNorm1d(3, eps=0), "eps"),
    (lambda: nn.BatchNorm1d(3, momentum=-0.1), "momentum"),
    (lambda: nn.BatchNorm1d(3, momentum=float("nan")), "momentum"),
    (lambda: nn.LayerNorm(()), "one dimension"),
    (lambda: nn.LayerNorm((2, 0)), "≥ 1"),
    (lambda: nn.Embedding(0, 2), "num_embeddings"),
    (lambda: nn.Embedding(3, 2, 3), "padding_idx"),
    (lambda: nn.Unflatten(1, (-1, -1)), "at most one"),
    (lambda: nn.GELU("erf"), "'tanh'"),
    (lambda: nn.Softplus(beta=0.0), "beta"),
    (lambda: nn.HuberLoss(delta=0.0), "delta"),
    (lambda: nn.SmoothL1Loss(beta=-1.0), "beta"),
    (lambda: nn.MSELoss(reduction="avg"), "'avg'"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=1.5), "label_smoothing"),
    (lambda: nn.CrossEntropyLoss(cr.tensor([1.0, -1.0])), "≥ 0"),
    (lambda: nn.CrossEntropyLoss(cr.tensor([1.0, float("nan")])), "≥ 0"),
]


@pytest.mark.parametrize(("make", "word"), CONSTRUCTORS)
def test_a25_constructors(make, word):
    random = cr.default_generator.state.tolist()
    with raises(ArgumentError, ValueError, word):
        make()
    assert cr.default_generator.state.tolist() == random


# -- B: losses and labels --------------------------------------------------------------------------

PAIRED = [
    "mse_loss",
    "l1_loss",
    "huber_loss",
    "smooth_l1_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
]


@pytest.mark.parametrize("name", PAIRED)
def test_b1_losses_do_not_broadcast(name):
    loss = getattr(F, name)
    with raises(ShapeError, ValueError, "(4, 1)", "(4,)", "input.squeeze(1)"):
        loss(cr.zeros(4, 1), cr.zeros(4))
    with raises(ShapeError, ValueError, "(4, 1)", "(4,)", "target.squeeze(1)"):
        loss(cr.zeros(4), cr.zeros(4, 1))
    with raises(ShapeError, ValueError, "(4, 3)", "(3,)"):
        loss(cr.zeros(4, 3), cr.zeros(3))


@pytest.mark.parametrize("name", PAIRED)
def test_losses_do_not_mix_dtypes(name):
    loss = getattr(F, name)
    for dtype in (cr.float64, cr.int64):
        with raises(DTypeError, TypeError, str(dtype), "target.to(cr.float32)"):
            loss(cr.zeros(4), cr.zeros(4, dtype=dtype))
    with raises(DTypeError, TypeError, ".float()"):
        loss(cr.zeros(4, dtype=cr.int64), cr.zeros(4, dtype=cr.int64))


@pytest.mark.parametrize("bad", [3, -1])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"weight": cr.ones(3)}])
def test_b2_labels_that_are_no_class(bad, options):
    labels = cr.tensor([0, bad, 2])
    with raises(OutOfRangeError, IndexError, f"label {bad}", "position 1", "3 classes"):
        F.cross_entropy(cr.zeros(3, 3), labels, **options)
    with raises(OutOfRangeError, IndexError, f"label {bad}", "3 classes"):
        F.nll_loss(cr.zeros(3, 3), labels)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8"])
def test_b3_labels_of_any_integer_dtype(dtype):
    x = cr.tensor(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    labels = cr.tensor([0, 3, 1])
    for loss in (
        F.cross_entropy,
        lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1),
        F.nll_loss,
    ):
        assert loss(x, labels.to(dtype)).item() == loss(x, labels).item()


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_b3_b4_labels_that_do_not_fit(loss):
    x = cr.zeros(4, 3)
    with raises(DTypeError, TypeError, "integer", "target.long()"):
        loss(x, cr.zeros(4))
    with raises(DTypeError, TypeError, "integer"):
        loss(x, cr.zeros(4, dtype=cr.bool))
    with raises(ShapeError, ValueError, "(4, 1)", "(4,)", "squeeze(1)"):
        loss(x, cr.zeros(4, 1, dtype=cr.int64))
    with raises(ShapeError, ValueError, "squeeze(1).long()"):
        loss(x, cr.zeros(4, 1))
    with raises(ShapeError, ValueError, "(5,)", "(4,)", "one label for each row"):
        loss(x, cr.zeros(5, dtype=cr.int64))
    with raises(DTypeError, TypeError, ".float()"):
        loss(cr.zeros(4, 3, dtype=cr.int64), cr.zeros(4, dtype=cr.int64))


def test_b5_nothing_to_average():
    x = cr.zeros(0, 3, requires_grad=True)
    labels = cr.zeros(0, dtype=cr.int64)
    assert np.isnan(F.cross_entropy(x, labels).item())
    assert F.cross_entropy(x, labels, reduction="sum").item() == 0
    x = cr.zeros(2, 3, requires_grad=True)
    ignored = cr.tensor([-100, -100])
    assert np.isnan(F.cross_entropy(x, ignored).item())
    assert np.isnan(F.nll_loss(x, ignored).item())
    assert F.cross_entropy(x, ignored, reduction="none").tolist() == [0, 0]
    assert np.isnan(F.mse_loss(cr.zeros(0), cr.zeros(0)).item())


def test_b6_one_class():
    x = cr.tensor([[3.0], [-2.0]], requires_grad=True)
    loss = F.cross_entropy(x, cr.tensor([0, 0]))
    loss.backward()
    assert loss.item() == 0
    assert x.grad.tolist() == [[0], [0]]


@pytest.mark.parametrize("bad", [-0.1, 1.5, float("inf")])
def test_b7_probabilities_outside_of_their_range(bad):
    good, wrong = cr.tensor([0.2, 0.3]), cr.tensor([0.5, bad])
    with raises(ArgumentError, ValueError, "target", "(1,)", "[0, 1]"):
        F.binary_cross_entropy(good, wrong)
    with raises(ArgumentError, ValueError, "target", "[0, 1]"):
        F.binary_cross_entropy_with_logits(good, wrong)
    with raises(ArgumentError, ValueError, "prediction", "[0, 1]", "logits"):
        F.binary_cross_entropy(wrong, good)


def test_b8_class_weights():
    x, labels = cr.zeros(2, 3), cr.tensor([0, 1])
    with raises(ShapeError, ValueError, "(2,)", "(3,)"):
        F.cross_entropy(x, labels, weight=cr.ones(2))
    with raises(DTypeError, TypeError, "float64", "weight.to(cr.float32)"):
        F.cross_entropy(x, labels, weight=cr.ones(3, dtype=cr.float64))
    with raises(ArgumentError, ValueError, "label_smoothing"):
        F.cross_entropy(x, labels, label_smoothing=-0.1)
    with raises(ArgumentError, ValueError, "reduction", "'avg'"):
        F.cross_entropy(x, labels, reduction="avg")
    with raises(ShapeError, ValueError, "(3, 2)"):
        F.binary_cross_entropy(cr.zeros(2), cr.zeros(2), weight=cr.ones(3, 2))
