"""The base class of layers that exist for 1, 2 and 3 spatial dimensions."""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule.nn.functional.dimensions import documented
from chainrule.nn.module import Module


class Spatial(Module):
    """A layer that is defined once for n spatial dimensions. ::

    class Blur(Spatial):
        text = '''Blurs inputs (N, C, {sizes}).'''
        ...

    class Blur1d(Blur, dimensions=1): ...
    class Blur2d(Blur, dimensions=2): ...

    `text` is the template of the docstrings; see nn/functional/dimensions.py.
    """

    text: ClassVar[str] = ""
    dimensions: ClassVar[int]

    def __init_subclass__(cls, dimensions: int | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if dimensions is not None:
            cls.dimensions = dimensions
            cls.__doc__ = documented(cls.text, dimensions)
