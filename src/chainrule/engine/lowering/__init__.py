"""From primitives to native calls: which ops have a kernel, and for which layouts.

`table` defines the table and `lower`; `conditions` defines the conditions that rows use. Each of
the other files has the rows for the ops in the file of `ops/` with the same name. `chain` has those
for the chains that a compiler pass creates.
"""

from chainrule.engine.lowering import attention as attention
from chainrule.engine.lowering import chain as chain
from chainrule.engine.lowering import contract as contract
from chainrule.engine.lowering import convolution as convolution
from chainrule.engine.lowering import elementwise as elementwise
from chainrule.engine.lowering import fused as fused
from chainrule.engine.lowering import index as index
from chainrule.engine.lowering import labels as labels
from chainrule.engine.lowering import normalization as normalization
from chainrule.engine.lowering import pooling as pooling
from chainrule.engine.lowering import random as random
from chainrule.engine.lowering import recurrent as recurrent
from chainrule.engine.lowering import reduce as reduce
from chainrule.engine.lowering import shape as shape
from chainrule.engine.lowering import update as update
from chainrule.engine.lowering.contract import LAYERS
from chainrule.engine.lowering.elementwise import is_fusible, steps_of
from chainrule.engine.lowering.table import has_kernel, is_sweep, kernel_call, lower

__all__ = ["LAYERS", "has_kernel", "is_fusible", "is_sweep", "kernel_call", "lower", "steps_of"]
