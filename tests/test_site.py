"""The documentation site: docstrings as pages, lessons as pages, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="the extra `docs` is not installed")
pytest.importorskip("jupytext", reason="the extra `docs` is not installed")

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs" / "hooks"))

import docstrings  # noqa: E402
import lesson_pages  # noqa: E402
import reference  # noqa: E402


def no_link(name: str) -> str | None:
    return None


def test_formulas_keep_their_lines_and_their_signs() -> None:
    text = docstrings.markdown(
        "y = x·Wᵀ + b_i.   ∂y/∂x = W[0] < 1.\n\nMore *text*, `code`.", no_link
    )
    formula, rest = text.split("\n\n")
    assert formula.count("<br>") == 1 and "∂y/∂x = W&#91;0&#93; &#60; 1." in formula
    assert "b&#95;i" in formula and rest == "More &#42;text&#42;, `code`."


def test_examples_parameters_and_indented_blocks() -> None:
    text = docstrings.markdown(
        "Adds.\n\nParameters\n----------\na, b: numbers\n    of one dtype.\n\n"
        ">>> add(1, 2)\n3\n\n    a  b\n    1  2\n\n`x.add` and ShapeError.",
        lambda name: f"p.md#{name}" if name.endswith("Error") else None,
    )
    assert "`a`, `b`\n:   numbers of one dtype." in text
    assert "```pycon\n>>> add(1, 2)\n3\n```" in text and "```text\na  b\n1  2\n```" in text
    assert text.endswith("`x.add` and [ShapeError](p.md#ShapeError).")


def test_every_public_name_has_an_entry() -> None:
    pages = reference.pages()
    for entry in reference.entries().values():
        assert f"{{ #{entry.anchor} }}" in pages[entry.page]
    assert len(reference.entries()) > 250


def test_an_op_shows_its_signature_its_formula_and_its_record() -> None:
    text = reference.pages()["shapes"]
    part = text[text.index("### softmax ") :]
    assert "cr.softmax(input: Tensor, dim: int = -1)" in part
    assert 'class="formula"' in part and "The record, in ops/fused.py" in part
    assert "@primitive\n    class softmax:" in part[: part.index("### ", 4)]


def test_links_of_the_reference_lead_to_entries() -> None:
    pages = reference.pages()
    for name, text in pages.items():
        for page, anchor in re.findall(r"\]\((\w+)\.md#([\w.]+)\)", text):
            assert f"{{ #{anchor}" in pages[page], f"{name} links to {page}.md#{anchor}"


@pytest.fixture
def lesson(tmp_path: Path) -> Path:
    """A lesson with a list, a printed line, a picture and a table."""
    new: Any = nbformat.v4
    png = base64.b64encode(b"picture").decode()
    outputs = [
        new.new_output("stream", text="\x1b[31mred\x1b[0m\n" + "line\n" * 100),
        new.new_output(
            "display_data", {"image/svg+xml": "<svg/>", "text/plain": "A falling loss."}
        ),
        new.new_output("display_data", {"image/png": png, "text/plain": "A digit."}),
        new.new_output("execute_result", {"text/html": "<table>\n\n</table>"}),
        new.new_output("execute_result", {"text/plain": "<matplotlib.legend.Legend at 0x7f>"}),
    ]
    cells = [
        new.new_markdown_cell(
            "# 1. A neuron\nText:\n- one\n- [two](02_a_net.ipynb#x) [three](03_more.py)"
        ),
        new.new_code_cell("print(1)", outputs=outputs),
        new.new_code_cell("plot()", metadata={"jupyter": {"source_hidden": True}}),
        new.new_markdown_cell("[answers](answers/a.py), [site](https://example.org)"),
    ]
    path = tmp_path / "01_a_neuron.py"
    (tmp_path / "02_a_net.py").touch()
    nbformat.write(new.new_notebook(cells=cells), path.with_suffix(".ipynb"))
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "a.py").touch()
    return path


def test_a_lesson_becomes_a_page(lesson: Path) -> None:
    text, pictures = lesson_pages.page(lesson)
    assert "Text:\n\n- one\n- [two]" in text and "```python\nprint(1)\n```" in text
    assert "red\nline" in text and "... and 41 more lines" in text and "Legend" not in text
    assert pictures == {"01_a_neuron-1.svg": b"<svg/>", "01_a_neuron-2.png": b"picture"}
    assert "![A falling loss.](pictures/01_a_neuron-1.svg)" in text
    assert "![A digit.](pictures/01_a_neuron-2.png)" in text
    assert '??? note "The code of the picture"\n\n    ```python\n    plot()\n    ```' in text
    assert '<div class="output"><table>\n</table></div>' in text
    linked, others = lesson_pages.links(text, lesson.parent)
    assert "(02_a_net.md#x)" in linked and others == {"answers/a.py"}
    assert "[two](02_a_net.md#x) three" in linked, "a lesson that is not there has no link"


def test_a_lesson_without_a_notebook_is_its_text(tmp_path: Path) -> None:
    path = tmp_path / "01_a_neuron.py"
    path.write_text("# %% [markdown]\n# # 1. A neuron\n#\n# $x^2$\n\n# %%\nprint(1)\n")
    assert lesson_pages.page(path) == ("# 1. A neuron\n\n$x^2$\n\n```python\nprint(1)\n```\n", {})


def test_the_site_fetches_nothing_from_elsewhere() -> None:
    """Styles, scripts and fonts are files of the site."""
    for path in (ROOT / "docs/assets").rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import", path.read_text()), path
    for path in (ROOT / "docs").glob("assets/*.js"):
        assert "//" not in path.read_text(), path
    css = (ROOT / "docs/assets/katex/katex.min.css").read_text()
    fonts = set(re.findall(r"url\((fonts/[^)]+)\)", css))
    assert fonts and all((ROOT / "docs/assets/katex" / font).exists() for font in fonts)
    assert "font: false" in (ROOT / "mkdocs.yml").read_text()
