"""Files in the layouts of Keras: models with their weights compute what Keras' formulas give."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile

import numpy as np
import pytest
from scipy.signal import correlate
from scipy.special import expit

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, FormatError

h5py = pytest.importorskip("h5py", reason="the extra `keras`")

rng = np.random.default_rng(0)


def drawn(*shape):
    return rng.normal(size=shape).astype(np.float32) * 0.5


IMAGES = [
    ("conv2d", {"kernel": drawn(3, 2, 2, 4), "bias": drawn(4)}),
    (
        "batch_normalization",
        {
            "gamma": drawn(4),
            "beta": drawn(4),
            "moving_mean": drawn(4),
            "moving_variance": drawn(4) ** 2,
        },
    ),
    ("conv2d_1", {"kernel": drawn(2, 2, 4, 3)}),
    ("dense", {"kernel": drawn(3 * 4 * 3, 5), "bias": drawn(5)}),
    ("layer_normalization", {"gamma": drawn(5), "beta": drawn(5)}),
    ("dense_1", {"kernel": drawn(5, 2), "bias": drawn(2)}),
]
"""The layers of a model of images (6, 6, 2), with the names and the layouts of Keras."""
NORMS = [
    {"class_name": f"{n}Normalization", "config": {"epsilon": 1e-3}} for n in ("Batch", "Layer")
]


def images():
    return nn.Sequential(
        *[nn.Conv2d(2, 4, (3, 2)), nn.BatchNorm2d(4, eps=1e-3), nn.ReLU()],
        *[nn.Conv2d(4, 3, 2, bias=False), nn.Flatten(), nn.Linear(36, 5)],
        *[nn.LayerNorm(5, eps=1e-3), nn.Linear(5, 2)],
    )


def convolved(x, kernel, bias=0.0):
    """Conv2D without padding, channels last."""
    found = [correlate(x, kernel[..., k], "valid")[..., 0] for k in range(kernel.shape[-1])]
    return np.stack(found, -1) + bias


def images_by_keras(x, layers):
    """The formulas of Keras' layers for one image, channels last."""
    weights = {name: [*arrays.values()] for name, arrays in layers}
    gamma, beta, mean, variance = weights["batch_normalization"]
    x = convolved(x, *weights["conv2d"])
    x = np.maximum((x - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)
    x = convolved(x, *weights["conv2d_1"]).reshape(-1)
    x = x @ weights["dense"][0] + weights["dense"][1]
    gamma, beta = weights["layer_normalization"]
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-3) * gamma + beta
    return x @ weights["dense_1"][0] + weights["dense_1"][1]


def weights_h5(target, layers, home="layers"):
    with h5py.File(target, "w") as file:
        file["optimizer/vars/0"] = np.zeros((3, 4), np.float32)
        file[f"{home}/dropout/seed_generator/vars/0"] = np.zeros(2, np.uint32)
        for name, arrays in layers:
            for number, array in enumerate(arrays.values()):
                cell = "/cell" if "recurrent_kernel" in arrays else ""
                file[f"{home}/{name}{cell}/vars/{number}"] = array


def keras(path, layers, configs=NORMS):
    memory = io.BytesIO()
    weights_h5(memory, layers)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps({"config": {"layers": configs}}))
        archive.writestr("model.weights.h5", memory.getvalue())


def legacy_h5(path, layers, inside="model_weights"):
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"config": {"layers": NORMS}})
        home = file.create_group(inside)
        home.attrs["layer_names0"] = [b"input_1", *[name.encode() for name, _ in layers[:3]]]
        home.attrs["layer_names1"] = [f"my_{name}" for name, _ in layers[3:]]
        home.create_group("input_1").attrs["weight_names"] = []
        for number, (name, arrays) in enumerate(layers):
            name = name if number < 3 else f"my_{name}"
            group = home.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{weight}:0" for weight in arrays]
            for weight, array in arrays.items():
                group[f"{name}/{weight}:0"] = array


def older(path, layers):
    weights_h5(path, layers, "_layer_checkpoint_dependencies")


@pytest.mark.parametrize("write", [weights_h5, keras, legacy_h5, older])
def test_a_model_of_images(write, tmp_path):
    write(tmp_path / "file", IMAGES)
    model = images()
    report = cr.keras.load_weights(model, tmp_path / "file")
    assert report == ([], [])
    x = drawn(3, 6, 6, 2)
    found = model.eval()(cr.tensor(x.transpose(0, 3, 1, 2)))
    # float32 against float64 sums of some hundred terms of size 1.
    np.testing.assert_allclose(
        found.detach().numpy(), [images_by_keras(i, IMAGES) for i in x], atol=1e-4
    )
    assert sum(array.size for array in cr.keras.read(tmp_path / "file").values()) == sum(
        array.size for _, arrays in IMAGES for array in arrays.values()
    )


def lstm(x, kernel, recurrent, bias):
    h = c = np.zeros(len(recurrent))
    for step in x:
        i, f, g, o = np.split(step @ kernel + h @ recurrent + bias, 4)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
    return h


def gru(x, kernel, recurrent, bias):
    h = np.zeros(len(recurrent))
    for step in x:
        z, r, n = np.split(step @ kernel + bias[0], 3)
        hz, hr, hn = np.split(h @ recurrent + bias[1], 3)
        z, r = expit(z + hz), expit(r + hr)
        h = z * h + (1 - z) * np.tanh(n + r * hn)
    return h


def simple_rnn(x, kernel, recurrent, bias):
    h = np.zeros(len(recurrent))
    for step in x:
        h = np.tanh(step @ kernel + h @ recurrent + bias)
    return h


@pytest.mark.parametrize("write", [weights_h5, legacy_h5])
@pytest.mark.parametrize(
    ("formula", "layer", "gates"), [(lstm, nn.LSTM, 4), (gru, nn.GRU, 3), (simple_rnn, nn.RNN, 1)]
)
def test_recurrent_layers(formula, layer, gates, write, tmp_path):
    bias = (2, 3 * gates) if layer is nn.GRU else (3 * gates,)
    arrays = {
        "kernel": drawn(2, 3 * gates),
        "recurrent_kernel": drawn(3, 3 * gates),
        "bias": drawn(*bias),
    }
    tokens = {"embeddings": drawn(7, 2)}
    write(tmp_path / "file", [("embedding", tokens), (formula.__name__, arrays)])
    model = nn.ModuleList([nn.Embedding(7, 2), layer(2, 3, batch_first=True)])
    cr.keras.load_weights(model, tmp_path / "file")
    words = rng.integers(0, 7, (2, 5))
    found = model[1](model[0](cr.tensor(words)))[0][:, -1]
    wanted = [formula(tokens["embeddings"][row], *arrays.values()) for row in words]
    np.testing.assert_allclose(found.detach().numpy(), wanted, atol=1e-5)  # float32, 5 steps


def test_what_does_not_fit_is_named_and_leaves_the_model_alone(tmp_path):
    path = tmp_path / "file"
    keras(path, [*IMAGES, ("dense_2", {"kernel": drawn(2, 2)})])
    model = images()
    before = {name: x.numpy() for name, x in model.state_dict().items()}
    with pytest.raises(ArgumentError, match="unexpected: layers/dense_2/0"):
        cr.keras.load_weights(model, path)
    assert all((x.numpy() == before[name]).all() for name, x in model.state_dict().items())
    report = cr.keras.load_weights(model, path, strict=False)
    assert report == ([], ["layers/dense_2/0"])
    other = nn.Sequential(*images()[:1], nn.BatchNorm2d(4), *images()[2:])
    with pytest.raises(ArgumentError, match=r"1 has another ε.*0\.001.*eps=0\.001"):
        cr.keras.load_weights(other, path)
    flat = nn.Sequential(*images()[:4], nn.Identity(), *images()[5:])
    with pytest.raises(ArgumentError, match=r"nn\.Flatten\(\) as a layer"):
        cr.keras.load_weights(flat, path)
    keras(path, IMAGES, [{"class_name": "Conv2D", "config": {"data_format": "channels_first"}}])
    with pytest.raises(ArgumentError, match="channels first"):
        cr.keras.load_weights(images(), path)
    inner = [(f"sequential/layers/{name}", arrays) for name, arrays in IMAGES[3:4]]
    weights_h5(path, [*IMAGES, *inner])
    with pytest.raises(ArgumentError, match="dense in several nested models"):
        cr.keras.load_weights(images(), path)
    weights_h5(
        path, [("gru", {"kernel": drawn(2, 9), "recurrent_kernel": drawn(3, 9), "bias": drawn(9)})]
    )
    with pytest.raises(ArgumentError, match="other weights than a layer of the kind gru"):
        cr.keras.load_weights(nn.GRU(2, 3), path)
    arrays = {"kernel": drawn(3, 12), "recurrent_kernel": drawn(3, 12), "bias": drawn(12)}
    names = ("bidirectional/backward_layer", "bidirectional/forward_layer")
    weights_h5(path, [(name, arrays) for name in names])
    with pytest.raises(
        ArgumentError, match=r"missing: weight_ih_l0, .*unexpected: layers/bidirect"
    ):
        cr.keras.load_weights(nn.LSTM(3, 3, num_layers=2), path)
    with pytest.raises(ArgumentError, match="both directions"):
        cr.keras.load_weights(nn.LSTM(3, 3, bidirectional=True), path)


def outside(file):
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/hostname", "/x")
    file.attrs["layer_names"] = ["layers/dense/vars/0"]


def elsewhere(file):
    file.create_dataset("layers/dense/vars/0", (4, 4), np.uint8, external=[("/etc/passwd", 0, 16)])


def huge(file):
    file.create_dataset("layers/dense/vars/0", (2**40,), np.float32, chunks=(2**20,))


def text(file):
    file["layers/dense/vars/0"] = ["words", "words"]


@pytest.mark.parametrize("make", [outside, elsewhere, huge, text, lambda file: None])
def test_hostile_files_are_refused(make, tmp_path):
    with h5py.File(tmp_path / "file", "w") as file:
        make(file)
    with pytest.raises(FormatError):
        cr.keras.read(tmp_path / "file")


def test_damaged_files_are_refused(tmp_path):
    for write in (keras, legacy_h5):
        write(tmp_path / "file", IMAGES[3:])
        data = (tmp_path / "file").read_bytes()
        draw = np.random.default_rng(1)
        for _ in range(60):
            damaged = bytearray(data[: draw.integers(len(data) // 2, len(data))])
            for place in draw.integers(0, len(damaged), 8):
                damaged[place] = draw.integers(256)
            (tmp_path / "file").write_bytes(damaged)
            with contextlib.suppress(FormatError):
                cr.keras.read(tmp_path / "file")
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "[" * 10**6)
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(FormatError, match="very large"):
        cr.keras.read(tmp_path / "bomb")
