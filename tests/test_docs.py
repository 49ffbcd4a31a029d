"""The code in the README and the docs runs, and prints what they say it prints."""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn import functional as F

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
CHECKER = doctest.OutputChecker()
MADE = ("../reference/", "../lessons/")
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
            try:
                with contextlib.redirect_stdout(out):
                    exec(compile(body, page.name, "exec"), namespace)
            except ModuleNotFoundError as error:
                if (error.name or "chainrule").startswith("chainrule"):
                    raise
                pytest.skip(f"needs {error.name}")
            printed = out.getvalue()
        elif language == "text" and printed:
            assert CHECKER.check_output(body, printed, LENIENT), f"{page.name} printed:\n{printed}"


def test_the_script_of_the_readme_prints_what_it_says(tmp_path):
    """By `chainrule run`, and with PyTorch where it is installed."""
    page = (ROOT / "README.md").read_text()
    code, said = re.search(
        r"(?s)```py\n(.*?)```\n\n```\n\$ chainrule run sine.py\n(.*?)```", page
    ).groups()
    script = tmp_path / "sine.py"
    script.write_text(code)
    command = [sys.executable, "-m", "chainrule", "run", str(script)]
    assert subprocess.run(command, capture_output=True, text=True).stdout == said
    if importlib.util.find_spec("torch"):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, "sine.py", "exec"), {})
        assert out.getvalue() == said


MISTAKES = re.findall(
    r"^\| `(.+?)` \| (.+) \|$",
    (ROOT / "docs/guides/errors.md").read_text().partition("| mistake | message |")[2],
    re.M,
)


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_common_mistakes_say_what_the_table_says(mistake, message):
    names = {"cr": cr, "nn": nn, "optim": optim, "F": F, "np": np}
    with pytest.raises(cr.ChainruleError) as caught:
        eval(mistake, names)
    assert str(caught.value) == message


def test_links_lead_somewhere():
    """Every relative link in the README and the docs names a file that exists.

    Links from the docs to pages that are made (lessons, reference) are checked by the site's build.
    """
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target and not target.startswith(MADE):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
