"""Models and training steps as one readable C99 file, with nothing but the standard library."""

from chainrule.formats.c.export import Report, export

__all__ = ["Report", "export"]
