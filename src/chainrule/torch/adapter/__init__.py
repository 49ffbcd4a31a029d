"""What turns the package's own objects into PyTorch's: names, calls, devices, dtypes, the face.

In the order in which the files build on each other: `absent`, `placement`, `dtypes`, `calls`,
`printing`, `face`, `tensors`, `modules`, `optimizers`, `mersenne`, `compiled`, `facts`, `names`.
"""
