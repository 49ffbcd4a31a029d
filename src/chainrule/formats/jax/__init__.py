"""Programs of JAX's (the extra `jax`): training steps as pure functions for GPUs and TPUs.

Modules, in the order in which they may import each other: numpy, rewriting, philox, references,
convolutions, recurrences, table, step, engine.

- `numpy`: NumPy's functions as the references of ops call them, by `jax.numpy`.
- `rewriting`, `references`: the references of ops with that in place of NumPy, and without writes
  into arrays.
- `philox`, `convolutions`, `recurrences`, `table`: what is better said in JAX's own words.
- `step`: `to_jax`. `engine`: the Trainer's steps by JAX.
"""

from chainrule.formats.jax.engine import JaxEngine
from chainrule.formats.jax.step import JaxStep, to_jax

__all__ = ["JaxEngine", "JaxStep", "to_jax"]
