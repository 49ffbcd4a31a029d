"""Files: tensors and trees of tensors, checkpoints, JSON. All files are written atomically.

Modules, in the order in which they may import each other: lock, atomic, strict_json, safetensors,
files, checkpoints, records.
"""
