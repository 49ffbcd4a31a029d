"""Gives the package's objects PyTorch's names, keywords, attributes, dtypes and devices.

The files, each of which may import the earlier ones: `absent`, `placement`, `dtypes`, `calls`,
`printing`, `attributes`, `tensors`, `internals`, `modules`, `optimizers`, `mersenne`, `compiled`,
`creation`, `facts`, `names`.
"""
