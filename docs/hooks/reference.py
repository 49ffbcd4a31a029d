"""Generates the API reference from the imported objects: signature, docstring, record of an op.

The source alone would not suffice: an op is a class in the source and a `Primitive` at run time,
with the signature of its `arguments`, and methods of Tensor are created in a loop. The build fails
if a public object is on no page.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chainrule as cr
import docstrings
from chainrule.op_methods import OpMethods
from chainrule.primitive import Primitive
from contents import FACES, PAGES, Page, Section

SOURCE = Path(cr.__file__).parent
WIDTH = 84


@dataclass(frozen=True)
class Entry:
    """A public object: its module, its name there, and its page."""

    face: str
    name: str
    page: str
    value: Any

    @property
    def anchor(self) -> str:
        return f"{self.face}.{self.name}"

    @property
    def call(self) -> str:
        """The name as written in a program."""
        short = {"chainrule": "cr", "chainrule.nn.functional": "F", "chainrule.errors": "cr.errors"}
        return f"{short.get(self.face, self.face.removeprefix('chainrule.'))}.{self.name}"


def names(section: Section) -> Iterator[tuple[str, Any]]:
    """The objects of a section: those given by name, and all that its modules define."""
    face = importlib.import_module(section.face)
    for name in section.names:
        yield name, getattr(face, name)
    homes = {f"chainrule.{module}" for module in section.modules}
    for name in shown(section.face) if homes else ():
        value = getattr(face, name)
        if getattr(value, "__module__", "") in homes:
            yield name, value


def shown(face_name: str) -> list[str]:
    """The public classes, functions and ops of a module."""
    face = importlib.import_module(face_name)
    found = getattr(face, "__all__", None) or [n for n in dir(face) if n[0] != "_"]
    package = hasattr(face, "__path__")
    return [
        name
        for name in sorted(found, key=lambda n: (n.lower(), n))
        if callable(value := getattr(face, name))
        and str(getattr(value, "__module__", "")).startswith("chainrule")
        and (package or value.__module__ == face_name)
    ]


@functools.cache
def contents() -> tuple[Page, ...]:
    """The pages of the contents, with a section for each file that no section shows."""
    seen = {id(v) for page in PAGES for section in page.sections for _, v in names(section)}
    rest: dict[str, dict[tuple[str, str], None]] = {}
    for face, home in FACES.items():
        values = [getattr(importlib.import_module(face), name) for name in shown(face)]
        for value in values:
            if id(value) not in seen:
                rest.setdefault(home, {})[face, value.__module__] = None
    return tuple(
        page._replace(
            sections=(*page.sections, *(_of_file(*place) for place in rest.get(page.name, ())))
        )
        for page in PAGES
    )


def _of_file(face: str, module: str) -> Section:
    """A section with the public names of one file."""
    about = inspect.getdoc(importlib.import_module(module)) or module
    title = re.split(r"[.:\n]", about)[0]
    return Section(title, face, modules=(module.removeprefix("chainrule."),))


@functools.cache
def entries() -> dict[str, Entry]:
    """All entries, by `face.name`, in the order of the pages."""
    found: dict[str, Entry] = {}
    for page in contents():
        for section in page.sections:
            for name, value in names(section):
                entry = Entry(section.face, name, page.name, value)
                found.setdefault(entry.anchor, entry)
    return found


@functools.cache
def by_short_name() -> dict[str, Entry]:
    """Entries by the last part of their name (the first one wins), and by their name in
    programs."""
    found: dict[str, Entry] = {}
    for entry in entries().values():
        found.setdefault(entry.name, entry)
        found[entry.call] = entry
    return found


def linker(page: str, own: str) -> docstrings.Linker:
    """The function that finds the links of the docstring of an entry."""

    def link(code: str) -> str | None:
        name = re.sub(r"\(.*\)$", "", code).removeprefix("chainrule.")
        entry = by_short_name().get(name)
        if entry is None or entry.anchor == own:
            return None
        return f"{entry.page}.md#{entry.anchor}"

    return link


# -- signatures ----------------------------------------------------------------------------------


def signature(value: Any, name: str) -> str:
    """`name(a: Tensor, dim: int = -1) → Tensor`; long signatures take several lines."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    rows, stage = [], ""
    for p in found.parameters.values():
        if p.name == "self":
            continue
        if p.kind is p.KEYWORD_ONLY and stage == "":
            rows.append("*")
        if p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            stage = "*"
        rows.append(_parameter(p))
    result = _annotation(found.return_annotation)
    tail = f" → {result}" if result not in ("", "None") and not inspect.isclass(value) else ""
    line = f"{name}({', '.join(rows)}){tail}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {row},\n" for row in rows) + f"){tail}"


def _parameter(p: inspect.Parameter) -> str:
    stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
    annotation = _annotation(p.annotation)
    text = f"{stars}{p.name}" + (f": {annotation}" if annotation else "")
    if p.default is p.empty:
        return text
    default = p.default.__name__ if inspect.isclass(p.default) else repr(p.default)
    return f"{text} = {default}" if annotation else f"{text}={default}"


def _annotation(annotation: Any) -> str:
    if annotation in (inspect.Parameter.empty, "Any", Any):
        return ""
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


# -- entries -------------------------------------------------------------------------------------


def entry_text(entry: Entry) -> str:
    """Heading, signature, docstring, methods, and the record of an op."""
    value, link = entry.value, linker(entry.page, entry.anchor)
    parts = [f"### {docstrings.escaped(entry.name)} {{ #{entry.anchor} }}"]
    if not (inspect.isclass(value) and issubclass(value, BaseException)):
        parts.append(docstrings_block(signature(value, entry.call)))
    parts.append(docstrings.markdown(value.__doc__ or "", link))
    if inspect.isclass(value) and issubclass(value, BaseException):
        others = [f"`{base.__name__}`" for base in value.__bases__ if base is not cr.ChainruleError]
        parts.append(f"Also a {' and a '.join(others)}." if others != ["`Exception`"] else "")
    if inspect.isclass(value):
        parts += [method_text(entry, name, what, link) for name, what in methods(value)]
    record = source_of_record(value) if isinstance(value, Primitive) else None
    if record:
        place, source = record
        code = indented(f"```python\n{source}\n```")
        parts.append(f'??? quote "The record, in {place}"\n\n{code}')
    return "\n\n".join(part for part in parts if part)


def docstrings_block(text: str) -> str:
    return "```python { .signature }\n" + text + "\n```"


def indented(text: str) -> str:
    return "\n".join("    " + line if line else "" for line in text.splitlines())


def methods(owner: type) -> Iterator[tuple[str, Any]]:
    """Documented public methods and properties of a class and of its private bases."""
    seen: set[str] = set()
    for base in owner.__mro__:
        if base is not owner and not base.__name__.startswith("_"):
            continue
        for name, value in vars(base).items():
            plain = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
            if name.startswith("_") or name in seen or inspect.isclass(plain):
                continue
            seen.add(name)
            if (callable(plain) or isinstance(plain, property)) and plain.__doc__:
                yield name, plain


def method_text(entry: Entry, name: str, value: Any, link: docstrings.Linker) -> str:
    heading = f"#### {docstrings.escaped(name)} {{ #{entry.anchor}.{name} .method }}"
    text = docstrings.markdown(value.__doc__, link)
    if isinstance(value, property):
        return f"{heading}\n\n{text}"
    return f"{heading}\n\n{docstrings_block(signature(value, f'{entry.name}.{name}'))}\n\n{text}"


def source_of_record(op: Primitive) -> tuple[str, str] | None:
    """The file of an op, and the source of its record."""
    path = SOURCE.parent / (op.__module__.replace(".", "/") + ".py")
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and node.name == op.__qualname__:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            lines = text.splitlines()[first - 1 : node.end_lineno]
            return path.relative_to(SOURCE).as_posix(), "\n".join(lines)
    return None


# -- pages ---------------------------------------------------------------------------------------


def page_text(page: Page) -> str:
    parts = [f"# {page.title}", page.intro]
    for section in page.sections:
        found = [
            e
            for e in entries().values()
            if e.page == page.name
            and (e.name, e.value) in list(names(section))
            and e.face == section.face
        ]
        parts += [f"## {section.title}", section.intro, *map(entry_text, found)]
        if section.names == ("Tensor",):
            parts.append(tensor_methods())
    return "\n\n".join(part for part in parts if part) + "\n"


def tensor_methods() -> str:
    """The methods of Tensor that are functions of the face, as one table."""
    methods = [(name, entries().get(f"chainrule.{name}")) for name in sorted(vars(OpMethods))]
    rows = [f"[`{name}`]({e.page}.md#{e.anchor})" for name, e in methods if e is not None]
    text = "**Methods that are functions**: `x.exp()` is `cr.exp(x)`; `x.exp_()` assigns it to `x`."
    return f"{text}\n\n" + " · ".join(rows)


def pages() -> dict[str, str]:
    """The Markdown of all pages of the reference by their names."""
    texts = {page.name: page_text(page) for page in contents()}
    rows = []
    for page in contents():
        found = [e for e in entries().values() if e.page == page.name]
        links = [f"[{docstrings.escaped(e.name)}]({page.name}.md#{e.anchor})" for e in found]
        rows.append(f"## [{page.title}]({page.name}.md)\n\n{page.intro}\n\n{' · '.join(links)}")
    head = (
        "# Reference\n\nEvery public name, from its docstring. `import chainrule as cr`, "
        "`from chainrule import nn, optim`, `from chainrule.nn import functional as F`."
    )
    return texts | {"index": "\n\n".join([head, *rows]) + "\n"}
