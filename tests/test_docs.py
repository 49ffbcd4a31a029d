"""The code in the README and the docs runs, and prints what they say it prints."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
CHECKER = doctest.OutputChecker()
LENIENT = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_on_a_page_runs_and_prints_what_it_says(page, tmp_path, monkeypatch):
    """A `python` block is run; a `text` block after it is what it printed (`...` for any text)."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for language, body in BLOCK.findall(page.read_text()):
        if language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(body, page.name, "exec"), namespace)
            printed = out.getvalue()
        elif language == "text" and printed:
            assert CHECKER.check_output(body, printed, LENIENT), f"{page.name} printed:\n{printed}"


def test_links_lead_somewhere():
    """Every relative link in the README and the docs names a file that exists."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
