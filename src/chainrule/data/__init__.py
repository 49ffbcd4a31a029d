"""Datasets, the loader, transforms, readers, and the small sets that ship with the package.

Modules, in the order in which they may import each other: seeds, transforms, augment, numbers,
dataset, splits, fields, collate, samplers, workers, chunks, reading, ahead, position, loader,
files, numpy_files, idx, cells, labels, tables, arrow_files, table_dataset, columns, values, schema,
roles, encoding, table, images, synthetic, shipped, download, mnist, sources, inputs, catalog,
tokenizers, texts.
"""

from chainrule.data.augment import CenterCrop, RandomCrop, RandomHorizontalFlip, RandomShift
from chainrule.data.catalog import NAMES, open_dataset, open_like
from chainrule.data.collate import default_collate, default_convert
from chainrule.data.dataset import (
    ArrayDataset,
    ChainDataset,
    ConcatDataset,
    Dataset,
    ImageFormat,
    IterableDataset,
)
from chainrule.data.encoding import EncodeTable
from chainrule.data.fields import StackDataset, TensorDataset
from chainrule.data.idx import read_idx
from chainrule.data.images import ImageFolder, read_image
from chainrule.data.inputs import read_inputs
from chainrule.data.labels import encode_labels
from chainrule.data.loader import DataLoader
from chainrule.data.mnist import MNIST, FashionMNIST
from chainrule.data.numpy_files import read_npy, read_npz
from chainrule.data.samplers import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from chainrule.data.schema import Column, Schema
from chainrule.data.shipped import breast_cancer, digits
from chainrule.data.sources import csv_dataset
from chainrule.data.splits import Subset, random_split, train_test_split
from chainrule.data.synthetic import blobs, circles, moons, rings, sine, spirals, xor
from chainrule.data.table import table
from chainrule.data.table_dataset import TableDataset
from chainrule.data.tables import Table, read_csv
from chainrule.data.tokenizers import BytePairTokenizer, CharTokenizer, tokenizer_from
from chainrule.data.transforms import (
    Compose,
    Flatten,
    Normalize,
    OneHot,
    Rescale,
    Standardize,
    Transform,
    deterministic,
    transform_from_config,
)
from chainrule.data.workers import WorkerInfo, get_worker_info

__all__ = [
    "MNIST",
    "NAMES",
    "ArrayDataset",
    "BatchSampler",
    "BytePairTokenizer",
    "CenterCrop",
    "ChainDataset",
    "CharTokenizer",
    "Column",
    "Compose",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "EncodeTable",
    "FashionMNIST",
    "Flatten",
    "ImageFolder",
    "ImageFormat",
    "IterableDataset",
    "Normalize",
    "OneHot",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomSampler",
    "RandomShift",
    "Rescale",
    "Sampler",
    "Schema",
    "SequentialSampler",
    "StackDataset",
    "Standardize",
    "Subset",
    "SubsetRandomSampler",
    "Table",
    "TableDataset",
    "TensorDataset",
    "Transform",
    "WeightedRandomSampler",
    "WorkerInfo",
    "blobs",
    "breast_cancer",
    "circles",
    "csv_dataset",
    "default_collate",
    "default_convert",
    "deterministic",
    "digits",
    "encode_labels",
    "get_worker_info",
    "moons",
    "open_dataset",
    "open_like",
    "random_split",
    "read_csv",
    "read_idx",
    "read_image",
    "read_inputs",
    "read_npy",
    "read_npz",
    "rings",
    "sine",
    "spirals",
    "table",
    "tokenizer_from",
    "train_test_split",
    "transform_from_config",
    "xor",
]
