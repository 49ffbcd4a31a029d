"""The state of a module and its submodules: state dicts, conversion, gradients."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, NestingError, listing
from chainrule.nn.parameter import Parameter, Uninitialized
from chainrule.nn.parts import M, Parts
from chainrule.ops.creation import zeros
from chainrule.primitive import Array
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy

S = TypeVar("S", bound="Stateful[Any]")
Rename = Mapping[str, str | None] | Callable[[str], str | None]
"""The names of entries: other name → own name, or None for one to leave out."""
EXTRA = "_extra_state"
"""The name of the entry of a state dict for the result of `get_extra_state`."""


class KeyReport(NamedTuple):
    """The keys that a state dict lacks, and those that the model does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Stateful(Parts[M]):
    """Reads, writes and converts the parameters and buffers of a module of type M."""

    # -- state dicts ---------------------------------------------------------------------------

    def state_dict(
        self,
        *,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """A dict of all parameters and persistent buffers, by path.

        The tensors share their numbers with the module: a write to one reaches the module, and
        training changes them. Use `copy.deepcopy(module.state_dict())` for a snapshot. With
        `keep_vars` they are the module's tensors themselves. `prefix` is added to each path. The
        entries are added to `destination` if given.
        """
        if destination is None:
            self._refuse_hidden()
            try:
                return Stateful.state_dict(self, destination={}, prefix=prefix, keep_vars=keep_vars)
            except RecursionError as error:
                raise nested_too_deep(self) from error
        for hook in self._hooks_of("state_dict_pre"):
            hook.function(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, child in self._named("module"):
            child.state_dict(
                destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
            )
        for hook in self._hooks_of("state_dict_post"):
            hook.function(self, destination, prefix, {})
        return destination

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        strict: bool = True,
        assign: bool = False,
        rename: Rename | None = None,
    ) -> KeyReport:
        """Assign a state dict of tensors or arrays to the parameters and buffers.

        Returns the missing and unexpected keys. Raises one ArgumentError for all problems (keys,
        shapes, dtypes); the module is then unchanged. With `strict=False`, missing and unexpected
        keys are no error. With `assign=True`, new tensors with the given numbers replace the
        module's tensors.

        `rename` translates the names of another model: a function of a key that returns the key
        here, or None for an entry to leave out; or a dict, in which keys that keep their name may
        be absent. Raises ArgumentError if two entries get one name.

        >>> from chainrule import nn
        >>> net = nn.Sequential(nn.Linear(1, 1, bias=False))
        >>> weights = {"fc.weight": np.float32([[2.0]]), "fc.count": np.float32(9)}
        >>> names = {"fc.weight": "0.weight", "fc.count": None}
        >>> net.load_state_dict(weights, rename=names)
        KeyReport(missing_keys=[], unexpected_keys=[])
        """
        if not isinstance(state_dict, Mapping):
            raise DTypeError(
                "a state dict is a mapping from paths to tensors",
                given=type(state_dict).__name__,
                instead="Load a file first: model.load_state_dict(cr.load(path)).",
            )
        self._refuse_hidden()
        state = state_dict if rename is None else renamed(state_dict, rename)
        return _Loading(self, state, strict, assign).run()

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """Add the entries of this module alone. A subclass may add or rename some."""
        for name in self._own_entries():
            value = self._entry(name)
            if isinstance(value, Tensor) and not keep_vars:
                value = value.detach()
            destination[prefix + name] = value

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *details: Any) -> None:
        """Called before the entries are compared with the module. A subclass may change the dict,
        which is a copy. The details are those of the hooks before loading."""
        for hook in self._hooks_of("load_pre"):
            hook.function(self, state_dict, prefix, *details)

    def get_extra_state(self) -> Any:
        """Further state for the state dict. A subclass overrides this and `set_extra_state`."""
        raise NotImplementedError(f"{type(self).__name__} has no extra state")

    def set_extra_state(self, state: Any) -> None:
        """Restore the state that `get_extra_state` returned."""
        raise NotImplementedError(f"{type(self).__name__} has no extra state")

    def _own_entries(self) -> Iterator[str]:
        """The names of this module's own entries in a state dict."""
        yield from (name for name, _ in self._named("parameter"))
        yield from (name for name, _ in self._named("buffer") if name not in self._transient)
        if type(self).get_extra_state is not Stateful.get_extra_state:
            yield EXTRA

    def _entry(self, name: str) -> Any:
        return self.get_extra_state() if name == EXTRA else getattr(self, name)

    # -- conversion ----------------------------------------------------------------------------

    def to(
        self: S,
        *targets: Any,
        device: Any = None,
        dtype: Any = None,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> S:
        """Convert floating parameters and buffers to a dtype, in place: `to(dtype)`, `to(tensor)`.

        Returns the module. The device `cpu` is accepted and changes nothing, and the last two
        arguments have no effect. Raises DTypeError for another device, or a dtype that is not
        floating.
        """
        targets = tuple([t.dtype if isinstance(t, Tensor) else t for t in targets])
        targets += tuple([t for t in (device, dtype) if t is not None])
        if (found := zeros(0, dtype=np.float32).to(*targets).dtype).kind != "f":
            raise DTypeError("a model is converted to a floating dtype", given=found)
        return self._convert(lambda x: x.to(*targets))

    def _convert(self: S, function: Callable[[Tensor], Tensor]) -> S:
        """Apply a conversion to floating buffers, parameters and gradients. Buffers are replaced;
        parameters keep their identity."""
        converted: dict[int, Tensor] = {}
        with use(gradients=False):
            for module in self.modules():
                for name, x in module._named("buffer"):
                    if isinstance(x, Uninitialized):
                        x.convert(function)
                    elif x.dtype.kind == "f":
                        object.__setattr__(module, name, converted.setdefault(id(x), function(x)))
            for parameter in self.parameters():
                if parameter.dtype.kind == "f":
                    parameter.convert(function)
        return self

    def float(self: S) -> S:
        """Convert to float32."""
        return self.to(np.float32)

    def double(self: S) -> S:
        """Convert to float64."""
        return self.to(np.float64)

    def half(self: S) -> S:
        """Convert to float16."""
        return self.to(np.float16)

    def cpu(self: S) -> S:
        """The module itself, since all tensors are on the CPU."""
        return self

    # -- gradients -----------------------------------------------------------------------------

    def requires_grad_(self: S, requires_grad: bool = True) -> S:
        """Set `requires_grad` of all parameters, and return the module. False freezes them."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters; with `set_to_none=False`, set them to 0."""
        for _, module in self._walk():
            for parameter in module._own_parameters():
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    with use(gradients=False):
                        parameter.grad.zero_()


def nested_too_deep(module: Any) -> NestingError:
    """The error for calls of modules nested more deeply than Python's limit."""
    return NestingError(
        f"calls inside {type(module).__name__} are nested deeper than Python allows",
        expected=f"at most {sys.getrecursionlimit()} calls",
        instead="Put the layers side by side, or raise sys.setrecursionlimit.",
    )


def renamed(state: Mapping[str, Any], rename: Rename) -> dict[str, Any]:
    """The entries of a state dict under other names; those with the name None are left out."""
    found: dict[str, Any] = {}
    for key, value in state.items():
        name = rename.get(key, key) if isinstance(rename, Mapping) else rename(key)
        if name in found:
            raise ArgumentError(f"rename gives two entries the name {name!r}, one of them {key!r}")
        if name is not None:
            found[name] = value
    return found


class _Loading:
    """One call of load_state_dict."""

    def __init__(
        self, root: Any, state_dict: Mapping[str, Any], strict: bool, assign: bool
    ) -> None:
        self.root, self.strict, self.assign = root, strict, assign
        self.state = dict(state_dict)
        self.report = KeyReport([], [])
        self.problems: list[str] = []
        self.places = {
            f"{path}.{name}" if path else name: (module, name)
            for path, module in root._walk(unique=False)
            for name in module._own_entries()
        }

    def run(self) -> KeyReport:
        """Call the pre-hooks, compare, write, and call the post-hooks."""
        self._prepare()
        self.report.missing_keys.extend([n for n in self.places if n not in self.state])
        self.report.unexpected_keys.extend([n for n in self.state if n not in self.places])
        values = {n: self._fitting(n) for n in self.places if n in self.state}
        after = [
            (module, hook)
            for module in [*self.root.modules()][::-1]
            for hook in module._hooks_of("load_post")
        ]
        self._refuse(keys_too=not after)
        before = {n: self._current(n) for n in values if not self._is_new(n)}
        self._write(values)
        for module, hook in after:
            hook.function(module, self.report)
        try:
            self._refuse(keys_too=True)
        except ArgumentError:
            self._write(before)
            raise
        return self.report

    def _prepare(self) -> None:
        """Let each module change its part of the state."""
        found = self.report.missing_keys, self.report.unexpected_keys, self.problems
        for path, module in self.root._walk(unique=False):
            prefix = f"{path}." if path else ""
            module._load_from_state_dict(self.state, prefix, {}, self.strict, *found)

    def _fitting(self, path: str) -> Any:
        """The value to write at a path. If it does not fit, this is added to the problems."""
        (module, name), value = self.places[path], self.state[path]
        if name == EXTRA:
            return value
        wanted, found = getattr(module, name), _as_array(value)
        if found is None:
            self.problems.append(f"{path} is no tensor but {type(value).__name__}")
        elif not isinstance(wanted, Uninitialized) and wanted.shape != found.shape:
            self.problems.append(f"{path} has shape {found.shape}, the model {wanted.shape}")
        elif wanted.dtype != found.dtype and not self.assign:
            self.problems.append(f"{path} has dtype {found.dtype}, the model {wanted.dtype}")
        elif self.assign:
            own = isinstance(wanted, Parameter)
            return Parameter(found, wanted.requires_grad) if own else from_numpy(found)
        return found

    def _is_new(self, path: str) -> bool:
        """Whether the value at a path has no numbers yet."""
        module, name = self.places[path]
        return isinstance(vars(module).get(name), Uninitialized)

    def _current(self, path: str) -> Any:
        module, name = self.places[path]
        value = module._entry(name)
        return value if name == EXTRA or self.assign else value._numbers("load_state_dict")

    def _write(self, values: dict[str, Any]) -> None:
        with use(gradients=False):
            for path, value in values.items():
                module, name = self.places[path]
                if name == EXTRA:
                    module.set_extra_state(value)
                elif self.assign:
                    setattr(module, name, value)
                else:
                    getattr(module, name).assign(value)

    def _refuse(self, keys_too: bool) -> None:
        """Raise ArgumentError if there are problems; with `keys_too`, also for wrong keys."""
        texts = []
        if keys_too and self.strict and self.report.missing_keys:
            texts.append(f"missing: {listing(self.report.missing_keys)}")
        if keys_too and self.strict and self.report.unexpected_keys:
            texts.append(f"unexpected: {listing(self.report.unexpected_keys)}")
        if texts := texts + self.problems:
            kind = type(self.root).__name__
            raise ArgumentError(f"the state does not fit {kind}: {'; '.join(texts)}")


def _as_array(value: Any) -> Array | None:
    if isinstance(value, Tensor):
        return value.detach()._numbers("load_state_dict")
    return np.asarray(value) if hasattr(value, "__array__") else None
