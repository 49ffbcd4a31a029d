"""The exceptions of Chainrule, and how their messages are built.

A message says what was given, what was expected, and what to write instead. Each class is a
subclass of the built-in exception that a Python user would catch (`ValueError`, `TypeError`, ...).
For an error inside a model, :class:`~chainrule.nn.Module` adds the path of the layer and the shapes
of the layers before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class LayerTrail:
    """Where in a model an error occurred: the path of the failing layer, and the shapes before it.

    kind, layer: the class of the failing layer, and its text form.
    source: the module through whose call the error passed last.
    path: the names from the model to the failing layer.
    steps: the name and the output shape of each layer that ran before.
    """

    kind: str
    layer: str
    source: object
    path: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)

    def lines(self, expected: object) -> list[str]:
        """The layers that ran, with their shapes, then the one that failed."""
        failed = f"{'.'.join(self.path)} {self.kind}"
        width = max(len(name) for name in [failed, *(name for name, _ in self.steps)])
        wants = "" if expected is None else f"expects {expected}"
        lines = [f"    {name:<{width}}  {shape}" for name, shape in self.steps]
        return [*lines, f"  > {failed:<{width}}  {wants}".rstrip()]


class ChainruleError(RuntimeError):
    """Base of all errors raised by Chainrule. Each is also what PyTorch raises: a RuntimeError.

    Parameters
    ----------
    problem: one sentence that says what is wrong, with the numbers.
    given, expected: what the caller passed, and what would have been valid.
    instead: what to write instead, as a sentence or a piece of code.

    >>> print(ShapeError("cannot add", given="(2, 3) and (4,)", expected="equal last dimensions"))
    cannot add; given: (2, 3) and (4,); expected: equal last dimensions
    """

    def __init__(
        self,
        problem: str,
        *,
        given: object = None,
        expected: object = None,
        instead: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.given = given
        self.expected = expected
        self.instead = instead
        self.trail: LayerTrail | None = None

    def __str__(self) -> str:
        trail = self.trail
        steps = trail.steps if trail else []
        text = self.problem
        if self.given is not None and not (steps and str(self.given) == steps[-1][1]):
            text += f"; given: {self.given}"
        if self.expected is not None and not steps:
            text += f"; expected: {self.expected}"
        if trail is None or not trail.path:
            text = text if trail is None else f"in {trail.layer}: {text}"
            return text + (f". {self.instead}" if self.instead else "")
        text = f"in {'.'.join(['model', *trail.path])} ({trail.layer}): {text}."
        lines = [text, *(trail.lines(self.expected) if steps else [])]
        return "\n".join([*lines, f"  {self.instead}"] if self.instead else lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions are sent between processes; the default would lose the keyword-only fields.
        return (_rebuild, (type(self), self.problem), self.__dict__)


def _rebuild(kind: type[ChainruleError], problem: str) -> ChainruleError:
    return kind(problem)


class ShapeError(ChainruleError, ValueError):
    """Shapes that do not fit together."""


class ArgumentError(ChainruleError, ValueError):
    """An argument with a value that is not valid."""


class DTypeError(ChainruleError, TypeError):
    """Element types (or Python types) that do not fit together."""


class OutOfRangeError(ChainruleError, IndexError):
    """An index, or a class label, outside the range it indexes."""


class UnknownNameError(ChainruleError, AttributeError):
    """A name that an object, such as a module, does not have."""


class UninitializedError(ChainruleError, ValueError):
    """A parameter whose shape is not known before the first call of its layer."""


class LinAlgError(ChainruleError):
    """A matrix without the requested inverse, factor or solution, such as a singular one."""


class NestingError(ChainruleError, RecursionError):
    """Structures or modules nested more deeply than Python's recursion limit."""


class GradientError(ChainruleError):
    """A gradient that cannot be computed: the graph was freed, a value was overwritten, a tensor is
    detached or not a scalar."""


class NotDifferentiableError(ChainruleError, NotImplementedError):
    """An op without a derivative, or without one of this order."""


class NotDefinedError(ChainruleError, NotImplementedError):
    """A quantity that a distribution, or a pair of distributions, does not have."""


class CaptureError(ChainruleError):
    """Code that cannot be captured by `cr.compile`, such as code that needs a tensor's numbers."""


class LevelError(ChainruleError):
    """An operation that is not possible in a function that `vmap` or `jvp` runs."""


class GraphError(ChainruleError):
    """A graph, record or program that is not valid."""


class NonFiniteError(ChainruleError, FloatingPointError):
    """A NaN or an infinity where numbers must be finite."""


class FormatError(ChainruleError, ValueError):
    """A file that does not follow its format."""


class DownloadError(ChainruleError, OSError):
    """A download that failed, or whose checksum is wrong."""


class WorkerError(ChainruleError):
    """A worker process of a loader ended, or took too long."""


class RankError(ChainruleError):
    """Ranks that differ from each other, or one that the others wait for in vain."""


class CheckpointError(ChainruleError):
    """A checkpoint or run folder that cannot be written, resumed or shared."""


class MissingDependencyError(ChainruleError, ImportError):
    """An optional library that this call needs is not installed."""


def missing_dependency(library: str, extra: str | None, purpose: str) -> MissingDependencyError:
    """The error for a library that is missing; it names the extra that installs it, if one does."""
    wanted = library.lower() if extra is None else f"'chainrule[{extra}]'"
    return MissingDependencyError(
        f"{purpose} needs {library}, which is not installed",
        instead=f"Install it with: pip install {wanted}.",
    )


def unknown_name(owner: object, called: str, name: str) -> UnknownNameError:
    """The error for an attribute. Python 3.12 shows the name of the owner's that is like it."""
    error = UnknownNameError(
        f"{called} has no `{name}`",
        instead="`chainrule check SCRIPT.py` lists which of PyTorch's names in a script are not "
        "here, and what to use",
    )
    error.name, error.obj = name, owner
    return error


def shortened(value: object, limit: int = 60) -> str:
    """The text of a value, cut after `limit` characters: texts from files may have any length."""
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def listing(names: Sequence[object], limit: int = 8, like: str | None = None) -> str:
    """`a, b, c and 4 more`: at most `limit` names, each shortened, for a message.

    like: what was given instead; of more than `limit` names, those most like it come first.

    >>> listing(["pencil", "price", "colour", "weight"], 2, like="prize")
    'price, pencil and 2 more'
    """
    if like is not None and len(names) > limit:
        names = sorted(names, key=lambda name: -_likeness(str(name), like))
    shown = ", ".join(shortened(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _likeness(first: str, second: str) -> float:
    from difflib import SequenceMatcher  # only errors need it

    return SequenceMatcher(None, first.lower(), second.lower()).ratio()
