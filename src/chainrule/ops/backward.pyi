# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

class _gradients_through(Primitive):
    def __call__(self, *xs: Tensor | float, function: Any) -> tuple[Tensor, ...]:
        """yᵢ = xᵢ; on the way back the gradients by x are `function(gradients by y)`."""

gradients_through: _gradients_through
