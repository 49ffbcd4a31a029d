"""Files: tensors and trees of them, checkpoints, JSON; written whole or not at all.

Modules, in the order in which they may import each other: lock, atomic, strict_json, safetensors,
files, checkpoints, records.
"""
