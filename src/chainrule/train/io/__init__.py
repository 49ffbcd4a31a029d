"""Files: tensors and trees of them, checkpoints, JSON; written whole or not at all.

Modules, in the order in which they may import each other: atomic, strict_json, lock, files,
checkpoints.
"""
