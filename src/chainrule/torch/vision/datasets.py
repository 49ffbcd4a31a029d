"""`torchvision.datasets`: datasets of pictures under the root, `$CHAINRULE_DATA`, or downloaded.

Sample i is (picture, label), each after its transform. Datasets in memory transform a whole batch
at once if the transforms can, with the same results.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import data
from chainrule.data.dataset import Dataset
from chainrule.data.idx import read_idx_folder
from chainrule.data.images import class_folders, read_image
from chainrule.errors import ArgumentError, FormatError, OutOfRangeError
from chainrule.ops.random import Generator
from chainrule.primitive import Array
from chainrule.tensor import Tensor, from_numpy
from chainrule.torch.adapter import names
from chainrule.torch.vision import cifar, pictures
from chainrule.torch.vision.transforms import functional as F

PathLike = str | os.PathLike[str]


class VisionDataset(Dataset):
    """The base class: a root folder, and transforms of picture and label."""

    def __init__(
        self,
        root: PathLike | None = None,
        transforms: Any = None,
        transform: Any = None,
        target_transform: Any = None,
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ArgumentError("give transforms, or transform and target_transform, not both")
        self.root = None if root is None else os.path.expanduser(root)
        self.transform, self.target_transform = transform, target_transform
        self.transforms = transforms or self._one_by_one

    def _one_by_one(self, picture: Any, target: Any) -> tuple[Any, Any]:
        transform: Callable[[Any], Any] | None = self.transform
        if transform is not None:
            picture = transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return picture, target

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"    Root location: {self.root}")
        return "\n".join([*lines, *self.extra_repr().splitlines()])

    def extra_repr(self) -> str:
        """Additional lines of the text form."""
        return ""


class _InMemory(VisionDataset):
    """Pictures in one array (N, C, H, W) of bytes, and labels (N,)."""

    _pixels: Array
    _labels: Array

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: Any) -> Any:
        place = self.place(index)
        picture = pictures.from_array(self._pixels[place].transpose(1, 2, 0))
        return self.transforms(picture, int(self._labels[place]))

    def gather(self, indices: Any, generator: Any = None) -> tuple[Array, ...]:
        """The samples at `indices`, as one batch if the transforms can."""
        on_batch = getattr(self.transform, "on_batch", None)
        if on_batch is None or not self.at_once:
            return super().gather(indices, generator)
        places = np.asarray(indices)
        return on_batch(self._pixels[places]), self._labels[places]

    @property
    def at_once(self) -> bool:
        """Whether the transforms take a batch, and the labels have none."""
        plain = self.transforms == self._one_by_one and self.target_transform is None
        takes_batches = getattr(self.transform, "on_batch", None) is not None
        return super().at_once and plain and takes_batches

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of each class."""
        return {name: label for label, name in enumerate(self.classes or ())}


class MNIST(_InMemory):
    """The MNIST digits (LeCun, Cortes and Burges, 1998): 60,000 to train with, 10,000 to test.

    The files are in `root/MNIST/raw`, as with torchvision, or in `$CHAINRULE_DATA/mnist`. With
    `download`, they can also be in the cache, or are downloaded and verified by SHA-256.
    """

    classes = (
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    )
    _name, _folder = "MNIST", "mnist"
    _all: Callable[[], Any] = staticmethod(data.MNIST)

    def __init__(
        self,
        root: PathLike,
        train: bool = True,
        transform: Any = None,
        target_transform: Any = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, None, transform, target_transform)
        self.train = train
        self._pixels, self._labels = self._read(download)

    def _read(self, download: bool) -> tuple[Array, Array]:
        places = [os.path.join(self.root or "", self._name, "raw")]
        if shared := os.environ.get("CHAINRULE_DATA"):
            places.append(os.path.join(shared, self._folder))
        for place in filter(os.path.isdir, places):
            found = read_idx_folder(place, "train" if self.train else "t10k")
            if found is not None:
                return found
        if not download:
            raise _missing(self._name, places)
        arrays = self._all()[0 if self.train else 1].arrays
        return arrays[0], arrays[1]

    @property
    def data(self) -> Tensor:
        """All pictures: bytes (N, 28, 28)."""
        return from_numpy(self._pixels[:, 0])

    @property
    def targets(self) -> Tensor:
        """All labels: int64 (N,)."""
        return from_numpy(self._labels)

    def extra_repr(self) -> str:
        return f"    Split: {'Train' if self.train else 'Test'}"


class FashionMNIST(MNIST):
    """Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): garments, in the form of MNIST."""

    classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    _name, _folder = "FashionMNIST", "fashion_mnist"
    _all = staticmethod(data.FashionMNIST)


class CIFAR10(_InMemory):
    """CIFAR-10 (Krizhevsky, 2009): pictures of 32 × 32, 50,000 to train with, 10,000 to test.

    The files are in `root` or `$CHAINRULE_DATA/cifar10`, in the folder `cifar-10-batches-py` of
    torchvision (its pickles are not executed), or `cifar-10-batches-bin`, the binary version. With
    `download`, the archive (170 MB) is downloaded to the cache and verified by SHA-256.
    """

    classes = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )

    def __init__(
        self,
        root: PathLike,
        train: bool = True,
        transform: Any = None,
        target_transform: Any = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, None, transform, target_transform)
        self.train = train
        places = [self.root or "."]
        if shared := os.environ.get("CHAINRULE_DATA"):
            places.append(os.path.join(shared, "cifar10"))
        found = next(filter(None, (cifar.read_folder(place, train) for place in places)), None)
        if found is None and not download:
            raise _missing("CIFAR10", places)
        self._pixels, self._labels = cifar.downloaded(train) if found is None else found

    @property
    def data(self) -> Array:
        """All pictures: bytes (N, 32, 32, 3)."""
        return self._pixels.transpose(0, 2, 3, 1)

    @property
    def targets(self) -> list[int]:
        """All labels."""
        return list(self._labels.tolist())

    def extra_repr(self) -> str:
        return f"    Split: {'Train' if self.train else 'Test'}"


class ImageFolder(VisionDataset):
    """PNG and JPEG files in one sub-folder per class: `root/cat/1.png`, `root/dog/7.jpg`, ..."""

    waits = True

    def __init__(
        self,
        root: PathLike,
        transform: Any = None,
        target_transform: Any = None,
        loader: Callable[[str], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
    ) -> None:
        super().__init__(root, None, transform, target_transform)
        folders = class_folders(root)
        self.classes = tuple(folders)
        self.class_to_idx = {name: label for label, name in enumerate(folders)}
        self.loader = loader or _open
        self.samples = [
            (path, self.class_to_idx[name])
            for name, paths in folders.items()
            for path in paths
            if is_valid_file is None or is_valid_file(path)
        ]
        self.imgs, self.targets = self.samples, [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        path, label = self.samples[index]
        return self.transforms(self.loader(path), label)


def _open(path: str) -> Any:
    """The picture of a file, in colour."""
    return pictures.from_array(read_image(path, "RGB").transpose(1, 2, 0))


class FakeData(VisionDataset):
    """Pictures of noise, always the same."""

    def __init__(
        self,
        size: int = 1000,
        image_size: Sequence[int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Any = None,
        target_transform: Any = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(None, None, transform, target_transform)
        self.size, self.num_classes = size, num_classes
        self.image_size, self.random_offset = tuple(image_size), random_offset

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self.size:
            raise OutOfRangeError(f"sample {index} of a dataset of {self.size}")
        generator = Generator(seed=int(index) + self.random_offset)
        picture = F.to_pil_image(generator.normal(*self.image_size))
        label = int(generator.integers(0, self.num_classes, (1,)).item())
        return self.transforms(picture, label)


def _missing(name: str, places: Sequence[str]) -> FormatError:
    return FormatError(
        f"{name} is not in {' or '.join(places)}",
        instead="Pass download=True, or set CHAINRULE_DATA to a folder that has it.",
    )


__getattr__, __dir__ = names.facade(__name__)
