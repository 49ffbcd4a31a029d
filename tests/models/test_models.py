"""Models have the published sizes, and each learns something real."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import models, nn, optim
from chainrule.errors import ArgumentError, ShapeError

PARAMETERS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    # The figures of torchvision's pages, but where another source is named.
    "lenet": (models.LeNet5, 61_706),
    "vgg11": (models.vgg11, 132_863_336),
    "resnet18": (models.resnet18, 11_689_512),
    "resnet34": (models.resnet34, 21_797_672),
    "resnet50": (models.resnet50, 25_557_032),
    # He et al. (2016), table 6: 0.27 M and 0.85 M.
    "resnet20": (models.resnet20, 269_722),
    "resnet56": (models.resnet56, 853_018),
    # GPT-2 "small", with shared embeddings.
    "gpt2": (lambda: models.GPT(50_257, 1024, layers=12, heads=12, width=768), 124_439_808),
    "vit_b_16": (lambda: models.VisionTransformer(224, 16, num_classes=1000), 86_567_656),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_models_have_their_published_number_of_parameters(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for draw in ("uniform_", "normal_", "kaiming_normal_", "kaiming_uniform_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, draw, lambda tensor, *_, **__: tensor)  # only sizes count here
    build, expected = PARAMETERS[name]
    assert sum(p.numel() for p in build().parameters()) == expected


def digits() -> tuple[cr.Tensor, cr.Tensor]:
    train, _ = cr.data.digits()
    x, y = train[:400]
    return cr.tensor(x).view(-1, 1, 8, 8), cr.tensor(y)


def enlarged(x: cr.Tensor) -> cr.Tensor:
    return x.repeat_interleave(4, 2).repeat_interleave(4, 3)


def same(x: cr.Tensor) -> cr.Tensor:
    return x


CLASSIFIERS: dict[str, tuple[Callable[[], nn.Module], Callable[[cr.Tensor], cr.Tensor], int]] = {
    "mlp": (lambda: models.MLP(64, [32], 10, batch_norm=True), lambda x: x.flatten(1), 30),
    "lenet": (models.LeNet5, enlarged, 20),
    "vgg": (
        lambda: models.VGG([1, 1], in_channels=1, width=8, features=32, grid=2, batch_norm=True),
        same,
        60,
    ),
    "resnet": (
        lambda: models.ResNet(
            models.BasicBlock,
            [1, 1],
            in_channels=1,
            width=8,
            small_images=True,
            shortcut="padding",
        ),
        same,
        60,
    ),
    "bottleneck": (
        lambda: models.ResNet(models.Bottleneck, [1, 1], in_channels=1, width=4, small_images=True),
        same,
        60,
    ),
    "vit": (
        lambda: models.VisionTransformer(8, 2, in_channels=1, width=32, layers=2, heads=4),
        same,
        60,
    ),
}


def train(model: nn.Module, loss: Callable[[], cr.Tensor], steps: int, lr: float) -> float:
    """The loss after some steps of a compiled training."""
    optimizer = optim.Adam(model.parameters(), lr=lr)

    @cr.compile
    def step() -> cr.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        return value

    for _ in range(steps):
        value = step()
    return value.item()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_learn_digits(name: str) -> None:
    build, prepare, steps = CLASSIFIERS[name]
    (x, y), model = digits(), build()
    x = prepare(x)
    train(model, lambda: F.cross_entropy(model(x[:300]), y[:300]), steps, 1e-2)
    model.eval()
    with cr.no_grad():
        right = (model(x[300:]).argmax(1) == y[300:]).float().mean().item()
    assert right > 0.5  # 0.1 by chance; the last 100 digits are by other writers


def test_unet_finds_the_strokes_of_noisy_digits() -> None:
    x, _ = digits()
    strokes = (x[:64] > 0.5).float()
    noisy = x[:64] + 0.3 * cr.randn(64, 1, 8, 8)
    model = models.UNet(1, 1, widths=[8, 16, 32])
    train(model, lambda: F.binary_cross_entropy_with_logits(model(noisy), strokes), 40, 1e-2)
    right = ((model(noisy) > 0) == (strokes > 0)).float().mean().item()
    simple = ((noisy > 0.5) == (strokes > 0)).float().mean().item()
    assert right > simple + 0.02


def test_an_autoencoder_draws_digits_from_a_few_numbers() -> None:
    x, _ = digits()
    x = x.flatten(1)
    model = models.Autoencoder(64, [32], 8)
    loss = train(model, lambda: F.mse_loss(model(x), x), 150, 5e-3)
    u, s, v = np.linalg.svd(x.numpy() - x.numpy().mean(0), full_matrices=False)
    linear = ((u[:, :8] * s[:8]) @ v[:8] - (x.numpy() - x.numpy().mean(0))) ** 2
    assert loss < 1.2 * linear.mean()  # eight principal components are the best linear code


def test_vae_learns_a_space_of_digits() -> None:
    x, _ = digits()
    x = x.flatten(1)
    model = models.VAE(64, [32], 4)
    start = model.loss(x, *model(x)).item()
    assert train(model, lambda: model.loss(x, *model(x)), 100, 1e-2) < 0.7 * start
    model.eval()
    assert cr.equal(model(x)[0], model(x)[0])  # no noise in evaluation
    samples = model.sample(5)
    assert samples.shape == (5, 64) and samples.min() >= 0 and samples.max() <= 1


TEXT = "the cat sat on the mat. the dog sat on the log. "


def windows(tokens: Any, length: int) -> tuple[cr.Tensor, cr.Tensor]:
    places = np.arange(len(tokens) - length)[:, None] + np.arange(length)
    return cr.tensor(tokens[places]), cr.tensor(tokens[places + 1])


def scores(model: nn.Module, x: cr.Tensor) -> cr.Tensor:
    y = model(x)
    return (y[0] if isinstance(y, tuple) else y).flatten(0, 1)


@pytest.mark.parametrize(
    "build",
    [
        lambda v: models.CharRNN(v, 32),
        lambda v: models.GPT(v, 16, layers=2, heads=2, width=32),
    ],
    ids=["char_rnn", "gpt"],
)
def test_language_models_learn_to_continue_a_text(build: Callable[[int], Any]) -> None:
    tokenizer = cr.data.CharTokenizer(TEXT)
    x, y = windows(tokenizer.encode(TEXT * 2), 16)
    model = build(tokenizer.vocab_size)
    train(model, lambda: F.cross_entropy(scores(model, x), y.flatten()), 120, 1e-2)
    start = cr.tensor(tokenizer.encode("the cat s")[None])
    text = tokenizer.decode(model.generate(start, 60, temperature=0)[0].tolist())
    assert text.startswith("the cat sat on the ")
    assert set(text.replace(".", "").split()[:-1]) <= set(TEXT.replace(".", "").split())


def test_generating_with_memory_gives_what_reading_everything_gives() -> None:
    model = models.GPT(11, 8, layers=2, heads=2, width=16).eval()
    for parameter in model.parameters():
        cr.nn.init.normal_(parameter, 0, 0.5)
    tokens = cr.randint(0, 11, (2, 3))
    expected = tokens
    for _ in range(12):  # beyond block_size
        latest = model(expected[:, -8:])[:, -1].argmax(-1, keepdim=True)
        expected = cr.cat([expected, latest], 1)
    assert model.generate(tokens, 12, temperature=0).tolist() == expected.tolist()


def test_top_k_and_temperature_choose_among_likely_tokens() -> None:
    model = models.GPT(11, 8, layers=1, heads=1, width=8).eval()
    start = cr.zeros(200, 1, dtype=cr.int64)
    likely = model(start)[0, -1].argsort(descending=True)[:3].tolist()
    drawn = model.generate(start, 1, top_k=3)[:, 1].tolist()
    assert set(drawn) == set(likely)
    with pytest.raises(ArgumentError, match="temperature"):
        model.generate(start, 1, temperature=-1.0)


def test_a_gpt_says_how_long_its_texts_may_be() -> None:
    model = models.GPT(5, 4, layers=1, heads=1, width=8)
    with pytest.raises(ShapeError, match="block_size = 4"):
        model(cr.zeros(1, 5, dtype=cr.int64))
    with pytest.raises(ArgumentError, match="heads divides width"):
        models.GPT(5, 4, heads=3, width=8)


def test_gpt_loads_the_published_layout_of_gpt2() -> None:
    def model() -> models.GPT:
        return models.GPT(13, 8, layers=2, heads=2, width=16)

    source, target = model(), model()
    published = {}
    for name, value in source.state_dict().items():
        linear = value.ndim == 2 and ".c_" in name
        published[f"transformer.{name}"] = value.numpy().T if linear else value.numpy()
    published["lm_head.weight"] = source.state_dict()["wte.weight"].numpy()
    published["transformer.h.0.attn.bias"] = np.tril(np.ones((1, 1, 8, 8), np.float32))
    target.load_gpt2(published)
    x = cr.randint(0, 13, (2, 8))
    assert cr.equal(source(x), target(x))
    with pytest.raises(ArgumentError, match=r"h\.1\.ln_2"):
        model().load_gpt2({k: v for k, v in published.items() if "h.1.ln_2" not in k})
