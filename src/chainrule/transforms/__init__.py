"""Transformations of functions that need an interpreter of their own.

`recompute` forgets what derivatives need and computes it again when they ask for it: that is
`cr.checkpoint`. `watch` notes which state a function touches, and can put it back. `levels` is the
base of interpreters that compute on the level below: `batching` runs each op for many examples at
once, for `vmap`, and `forward` carries tangents along, for `jvp`. `jacobians` is made of both.
"""

from chainrule.transforms.forward import jvp as jvp
from chainrule.transforms.jacobians import hessian as hessian
from chainrule.transforms.jacobians import jacfwd as jacfwd
from chainrule.transforms.jacobians import jacrev as jacrev
from chainrule.transforms.recompute import checkpoint as checkpoint
from chainrule.transforms.vmap import vmap as vmap
