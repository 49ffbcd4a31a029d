"""`torchvision` of the package: transforms, datasets, grids of pictures."""

from __future__ import annotations

import pickle
import struct
import tarfile

import numpy as np
import pytest

import chainrule as cr
from chainrule import data
from chainrule.errors import ChainruleError, FormatError
from chainrule.torch.vision import cifar, datasets, transforms, utils
from chainrule.torch.vision.transforms import functional as F
from chainrule.torch.vision.transforms import v2

Image = pytest.importorskip("PIL.Image", reason="the extra `images` is not installed")
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)


def numbers(x):
    return x.detach().numpy() if isinstance(x, cr.Tensor) else np.asarray(x)


def both():
    """The same colours as a picture, and as a tensor of floats."""
    return [PICTURE, F.to_tensor(PICTURE)]


# -- kinds -------------------------------------------------------------------------------------


def test_to_tensor_and_back():
    x = F.to_tensor(PICTURE)
    assert x.dtype == np.float32 and tuple(x.shape) == (3, 6, 8)
    np.testing.assert_array_equal(numbers(x), PIXELS.transpose(2, 0, 1).astype(np.float32) / 255)
    np.testing.assert_array_equal(np.asarray(F.to_pil_image(F.pil_to_tensor(PICTURE))), PIXELS)
    assert F.to_tensor(PIXELS[:, :, 0]).shape == (1, 6, 8)
    assert F.to_tensor(PICTURE.convert("1")).dtype == np.float32
    assert F.to_pil_image(cr.ones(1, 4, 5)).mode == "L"
    assert F.to_pil_image(cr.ones(2, 3) * 7.5, mode="F").getpixel((0, 0)) == 7.5


def test_the_kinds_of_v2_are_those_of_to_tensor():
    chain = v2.Compose([v2.ToImage(), v2.ToDtype(np.float32, scale=True)])
    np.testing.assert_allclose(numbers(chain(PICTURE)), numbers(F.to_tensor(PICTURE)), rtol=1e-7)
    assert v2.ToDtype(np.uint8, scale=True)(cr.ones(1, 2, 2)).tolist() == [[[255, 255]] * 2]
    assert v2.RandomCrop is transforms.RandomCrop


def test_normalize():
    x = F.to_tensor(PICTURE)
    y = transforms.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))(x)
    expected = (numbers(x) - np.reshape([0.5, 0.4, 0.3], (3, 1, 1))) / np.reshape(
        [0.2, 0.3, 0.4], (3, 1, 1)
    )
    np.testing.assert_allclose(numbers(y), expected, rtol=1e-5, atol=1e-6)  # float32
    for bad in (lambda: F.normalize(x, [0], [0]), lambda: F.normalize(PICTURE, [0], [1])):
        with pytest.raises(ChainruleError):
            bad()


# -- places ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [(1, 2, 3, 4), (0, 0, 6, 8), (-2, -1, 5, 6), (4, 6, 5, 5)])
def test_crops_show_what_is_there_and_0_beyond(place):
    top, left, height, width = place
    padded = np.pad(PIXELS, ((10, 10), (10, 10), (0, 0)))
    expected = padded[10 + top : 10 + top + height, 10 + left : 10 + left + width]
    np.testing.assert_array_equal(np.asarray(F.crop(PICTURE, *place)), expected)
    cut = numbers(F.crop(F.pil_to_tensor(PICTURE), *place))
    np.testing.assert_array_equal(cut.transpose(1, 2, 0), expected)


def test_flips_pads_and_the_middle():
    for image in (PICTURE, F.pil_to_tensor(PICTURE)):

        def pixels(y):
            a = numbers(y)
            return a.transpose(1, 2, 0) if isinstance(y, cr.Tensor) else a

        np.testing.assert_array_equal(pixels(F.hflip(image)), PIXELS[:, ::-1])
        np.testing.assert_array_equal(pixels(F.vflip(image)), PIXELS[::-1])
        np.testing.assert_array_equal(pixels(F.center_crop(image, (2, 4))), PIXELS[2:4, 2:6])
        assert pixels(F.center_crop(image, 10)).shape == (10, 10, 3)
        padded = np.pad(PIXELS, ((2, 4), (1, 3), (0, 0)), constant_values=9)
        np.testing.assert_array_equal(pixels(F.pad(image, (1, 2, 3, 4), fill=9)), padded)
        mirrored = np.pad(PIXELS, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        np.testing.assert_array_equal(pixels(F.pad(image, 2, padding_mode="reflect")), mirrored)


@pytest.mark.parametrize(
    ("size", "largest", "expected"),
    [(3, None, (3, 4)), ((5, 7), None, (5, 7)), (12, None, (12, 16)), (12, 13, (9, 13))],
)
def test_sizes_after_resizing(size, largest, expected):
    for image in both():
        assert F.resize(image, size, max_size=largest) is not image
        assert tuple(F.get_image_size(F.resize(image, size, max_size=largest)))[::-1] == expected
    assert F.resize(PICTURE, (6, 8)) is PICTURE


@pytest.mark.parity
@pytest.mark.parametrize("size", [(3, 5), (9, 20), (4, 13)])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_tensors_are_resized_as_pytorch_resizes_them(pytorch, size, mode):
    x = np.random.default_rng(1).normal(size=(3, 8, 11)).astype(np.float32)
    kind = transforms.InterpolationMode(mode)
    ours = numbers(F.resize(cr.tensor(x), size, kind))
    theirs = pytorch.nn.functional.interpolate(
        pytorch.tensor(x)[None], size, mode=mode, antialias=True, align_corners=False
    )[0]
    np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-5)  # weights rounded differently


def test_a_quarter_turn_is_exact():
    for image in (PICTURE, F.to_tensor(PICTURE)):
        turned = F.rotate(image, 90, expand=True)
        expected = np.rot90(PIXELS)
        y = numbers(turned)
        y = (
            y
            if turned is not image and y.ndim == 3 and y.shape[-1] == 3
            else y.transpose(1, 2, 0) * 255
        )
        np.testing.assert_allclose(y, expected, atol=1e-4)  # bytes divided by 255 and back


# -- colours -----------------------------------------------------------------------------------


def test_colours_of_tensors_are_those_of_pictures_within_their_rounding():
    steps = [
        lambda x: F.adjust_brightness(x, 1.4),
        lambda x: F.adjust_contrast(x, 0.5),
        lambda x: F.adjust_saturation(x, 1.8),
        lambda x: F.adjust_hue(x, 0.25),
        lambda x: F.rgb_to_grayscale(x, 3),
        F.invert,
    ]
    for step in steps:
        picture, tensor = (step(x) for x in both())
        pixels = numbers(tensor).transpose(1, 2, 0) * 255
        # Pillow's colours are whole numbers, its hue too: 1/255 of a circle is 6 · 1 of 255.
        assert np.abs(pixels - np.asarray(picture, float)).max() < 16
    for image in both():
        np.testing.assert_array_equal(numbers(F.adjust_brightness(image, 1.0)), numbers(image))


# -- random ------------------------------------------------------------------------------------

RANDOM = [
    transforms.RandomCrop(4, padding=2),
    transforms.RandomResizedCrop(5),
    transforms.RandomHorizontalFlip(),
    transforms.RandomVerticalFlip(),
    transforms.RandomRotation(30),
    transforms.ColorJitter(0.4, 0.4, 0.4, 0.1),
    transforms.RandomGrayscale(0.5),
    transforms.RandomInvert(),
    transforms.RandomApply([transforms.CenterCrop(3)]),
    transforms.RandomOrder([transforms.RandomHorizontalFlip(1.0), transforms.CenterCrop(3)]),
    transforms.RandomChoice([transforms.CenterCrop(3), transforms.CenterCrop(2)]),
]


@pytest.mark.parametrize("transform", RANDOM, ids=lambda t: type(t).__name__)
def test_random_transforms_follow_the_seed_and_vary(transform):
    for image in both():
        draws = []
        for seed in (0, 0, *range(1, 12)):
            cr.manual_seed(seed)
            draws.append(numbers(transform(image)))
        np.testing.assert_array_equal(draws[0], draws[1])
        varies = any(a.shape != draws[0].shape or (a != draws[0]).any() for a in draws)
        assert varies or isinstance(transform, transforms.RandomOrder)


def test_probabilities():
    cr.manual_seed(0)
    flipped = sum(
        (
            numbers(transforms.RandomHorizontalFlip(0.3)(F.to_tensor(PICTURE)))
            != PIXELS.transpose(2, 0, 1) / np.float32(255)
        ).any()
        for _ in range(1000)
    )
    assert 240 < flipped < 360  # 300 ± 4 standard deviations
    x = cr.ones(3, 20, 20)
    assert numbers(transforms.RandomErasing(p=1.0, value=5)(x)).max() == 5 and numbers(x).max() == 1


def test_a_crop_larger_than_the_picture_says_what_to_do():
    with pytest.raises(ChainruleError, match="pad_if_needed"):
        transforms.RandomCrop(50)(PICTURE)
    assert transforms.RandomCrop(50, pad_if_needed=True)(PICTURE).size == (50, 50)


def test_a_chain_prints_its_parts():
    chain = transforms.Compose([transforms.CenterCrop(3), transforms.ToTensor()])
    assert repr(chain) == "Compose(\n    CenterCrop(size=(3, 3))\n    ToTensor()\n)"


# -- datasets ----------------------------------------------------------------------------------


def idx(array):
    kinds = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return kinds + array.tobytes()


@pytest.fixture
def mnist(tmp_path):
    raw = tmp_path / "MNIST/raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 50), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count).astype(np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


NORMALIZED = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])


def test_mnist_under_the_root(torch, mnist):
    train = datasets.MNIST(mnist, train=True, transform=NORMALIZED)
    test = datasets.MNIST(str(mnist), train=False)
    assert (len(train), len(test)) == (50, 20) and train.class_to_idx["3 - three"] == 3
    picture, label = test[3]
    np.testing.assert_array_equal(np.asarray(picture), numbers(test.data[3]))
    assert label == test.targets[3].item() and picture.mode == "L"
    assert train.data.dtype == torch.uint8 and tuple(train.data.shape) == (50, 28, 28)
    assert "Split: Train" in repr(train)


def test_a_batch_at_once_has_the_numbers_of_one_by_one(mnist):
    dataset = datasets.MNIST(mnist, transform=NORMALIZED)
    x, y = dataset.gather([4, 7, 1])
    for place, index in enumerate([4, 7, 1]):
        one, label = dataset[index]
        np.testing.assert_array_equal(x[place], numbers(one))
        assert y[place] == label
    loader = data.DataLoader(data.Subset(dataset, [1, 2, 3]), batch_size=3)
    np.testing.assert_array_equal(numbers(next(iter(loader))[0])[0], numbers(dataset[1][0]))


def test_a_dataset_derived_in_a_script_is_asked_one_by_one(mnist):
    class Doubled(datasets.MNIST):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return x * 2, y

    plain, doubled = (kind(mnist, transform=NORMALIZED) for kind in (datasets.MNIST, Doubled))
    np.testing.assert_array_equal(doubled.gather([0])[0], plain.gather([0])[0] * 2)
    chain = [transforms.ToTensor(), transforms.Lambda(lambda x: x.reshape(-1))]
    flat = datasets.MNIST(
        mnist, transform=transforms.Compose(chain), target_transform=lambda y: y + 1
    )
    x, y = flat.gather([0, 1])
    assert x.shape == (2, 784) and y.tolist() == (plain.targets[:2] + 1).tolist()


def test_what_is_not_there_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_DATA", str(tmp_path / "elsewhere"))
    for kind in (datasets.MNIST, datasets.FashionMNIST, datasets.CIFAR10):
        with pytest.raises(FormatError, match="download=True"):
            kind(tmp_path)


def test_mnist_in_the_shared_folder(mnist, tmp_path, monkeypatch):
    (mnist / "MNIST/raw").rename(mnist / "fashion_mnist")
    monkeypatch.setenv("CHAINRULE_DATA", str(mnist))
    assert len(datasets.FashionMNIST(tmp_path / "x", train=False)) == 20


RECORDS = [np.random.default_rng(i).integers(0, 256, (4, 3072), dtype=np.uint8) for i in range(6)]
LABELS = [[i, 9, 0, 5] for i in range(6)]
BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def binary(i):
    rows = [
        bytes([label]) + row.tobytes() for label, row in zip(LABELS[i], RECORDS[i], strict=True)
    ]
    return b"".join(rows)


@pytest.mark.parametrize("form", ["py", "bin"])
@pytest.mark.parametrize("protocol", [0, 2])
def test_cifar_in_both_of_its_forms(tmp_path, form, protocol):
    folder = tmp_path / f"cifar-10-batches-{form}"
    folder.mkdir()
    for i, name in enumerate(BATCHES):
        if form == "bin":
            (folder / f"{name}.bin").write_bytes(binary(i))
        else:
            content = {"data": RECORDS[i], "labels": LABELS[i], "batch_label": name}
            (folder / name).write_bytes(pickle.dumps(content, protocol))
    train, test = (datasets.CIFAR10(tmp_path, train=t) for t in (True, False))
    assert (len(train), len(test)) == (20, 4) and train.targets[:4] == LABELS[0]
    np.testing.assert_array_equal(train.data[5].transpose(2, 0, 1).ravel(), RECORDS[1][1])
    picture, label = test[1]
    assert (picture.size, picture.mode, label) == ((32, 32), "RGB", 9)
    np.testing.assert_array_equal(np.asarray(picture), test.data[1])


def test_cifar_out_of_its_archive(tmp_path, monkeypatch):
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for i, name in enumerate(BATCHES):
            file = tmp_path / f"{name}.bin"
            file.write_bytes(binary(i))
            archive.add(file, f"cifar-10-batches-bin/{name}.bin")
    monkeypatch.setattr(cifar, "fetch", lambda *_: str(path))
    assert datasets.CIFAR10(tmp_path / "x", train=False, download=True).targets == LABELS[5]


def test_damaged_cifar_is_refused(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for bad in (
        {"data": RECORDS[0]},
        {"data": RECORDS[0][:, :9], "labels": LABELS[0]},
        {"data": RECORDS[0], "labels": [1, 2, 3, 10]},
        [1],
    ):
        (folder / "test_batch").write_bytes(pickle.dumps(bad, 2))
        with pytest.raises(FormatError):
            datasets.CIFAR10(tmp_path, train=False)


def test_image_folder(tmp_path):
    for name, color in (("cat", 10), ("dog", 200)):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.new("L", (5, 4), color + i).save(tmp_path / name / f"{i}.png")
    dataset = datasets.ImageFolder(tmp_path, transform=transforms.PILToTensor())
    assert dataset.classes == ("cat", "dog") and dataset.class_to_idx == {"cat": 0, "dog": 1}
    assert [label for _, label in dataset.samples] == dataset.targets == [0, 0, 1, 1]
    x, y = dataset[3]
    assert tuple(x.shape) == (3, 4, 5) and numbers(x).max() == 201 and y == 1


def test_fake_data_is_the_same_each_time():
    fake = datasets.FakeData(5, (3, 8, 8), 4, transforms.ToTensor())
    (a, b), (c, d) = fake[2], fake[2]
    assert (numbers(a) == numbers(c)).all() and b == d and 0 <= b < 4 and len(fake) == 5
    assert (numbers(fake[3][0]) != numbers(a)).any()


# -- grids -------------------------------------------------------------------------------------


def test_a_grid_lays_pictures_out_in_rows():
    x = cr.arange(5).float().reshape(5, 1, 1, 1).expand(5, 3, 2, 2)
    grid = numbers(utils.make_grid(x, nrow=3, padding=1, pad_value=9))
    assert grid.shape == (3, 7, 10)
    assert grid[0].tolist() == [
        [9] * 10,
        [9, 0, 0, 9, 1, 1, 9, 2, 2, 9],
        [9, 0, 0, 9, 1, 1, 9, 2, 2, 9],
        [9] * 10,
        [9, 3, 3, 9, 4, 4, 9, 9, 9, 9],
        [9, 3, 3, 9, 4, 4, 9, 9, 9, 9],
        [9] * 10,
    ]


def test_a_grid_normalizes():
    x = cr.tensor([[[[0.0, 2.0]]], [[[4.0, 8.0]]]]).expand(2, 3, 1, 2)
    whole = numbers(utils.make_grid(x, padding=0, normalize=True))
    each = numbers(utils.make_grid(x, padding=0, normalize=True, scale_each=True))
    given = numbers(utils.make_grid(x, padding=0, normalize=True, value_range=(0, 4)))
    assert whole[0].tolist() == [[0, 0.25, 0.5, 1]]
    assert each[0].tolist() == [[0, 1, 0, 1]] and given[0].tolist() == [[0, 0.5, 1, 1]]


def test_saved_pictures_come_back(tmp_path):
    utils.save_image(F.to_tensor(PICTURE), tmp_path / "x.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "x.png")), PIXELS)
    utils.save_image([cr.zeros(1, 4, 4), cr.ones(1, 4, 4)], tmp_path / "y.png", nrow=1, padding=0)
    assert np.asarray(Image.open(tmp_path / "y.png"))[:, 0, 0].tolist() == [0] * 4 + [255] * 4


def test_models_say_that_they_are_not_here():
    from chainrule.torch import vision

    with pytest.raises(AttributeError, match=r"torchvision\.models"):
        vision.models.resnet18()
