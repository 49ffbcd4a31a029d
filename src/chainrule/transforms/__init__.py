"""Transformations of functions that need an interpreter of their own.

`recompute` forgets what derivatives need and computes it again when they ask for it: that is
`cr.checkpoint`. `watch` notes which state a function touches, and can put it back. `batching` runs
each op for many examples at once, and `vmap` makes a function of many examples of one for a single
example.
"""
