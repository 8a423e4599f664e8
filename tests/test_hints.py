"""What errors, warnings and notices tell people to do can be done: every name in them is looked up."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.messages import HOLE, messages, package_files, read
from tests.references import problems_in
from tests.test_docs import PAGES, ROOT

EXAMPLES = {"latency_ms"}  # names that are the reader's own


def test_the_walk_finds_the_messages_of_the_package() -> None:
    texts = [message.text for message in messages()]
    assert len(texts) > 500
    assert any(
        text == f"call start({HOLE}), or press Start, to evaluate them" or "or press Start" in text
        for text in texts
    )
    assert any("load_study(" in text for text in texts)
    assert "call resume()" in texts  # assigned to a name first
    assert any("see to_frame('full_precision')" in text for text in texts)  # returned by a helper
    assert any("click a point of the front first" in text for text in texts)  # in an error's own __init__


def test_every_message_names_what_exists_and_can_be_called_so() -> None:
    wrong = {
        f"{message.where}: {message.text}": found
        for message in messages()
        if (found := problems_in(message.text))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    "text",
    [
        "see Journal.salvage(path)",
        "use Study.repair",
        "call restart() first",
        "give it: load_study(path, problm=...)",
        "call load_study(path, name, problem) again",
        "nemo_lab.study.rescue(path, new_path) saves what can still be read",
        "nemo_lab.study.salvage(path) saves what can still be read",
        "create_study(..., sbx_etta=3)",
        "give storag= as well",
        "a smaller batch_sise",
        "set study.budget_left",
        "run %nemoo digits",
        "press Begin to go on",
        "torch.nn.utils.parametrize.remove_parametrisations(layer, 'weight')",
    ],
)
def test_what_is_wrong_is_found(text: str) -> None:
    assert problems_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "call start() first",
        f"call start({HOLE}), or press Start, to evaluate them",
        "load_study(..., read_only=True) shows the rest",
        "nemo_lab.study.salvage(path, new_path) copies all that can be read",
        "create_study(..., sbx_eta=3)",
        "add bits=, weight= or activation=, or min= and max= for a range",
        "use a problem with error(bits, data, metric=, count=), see QuantizationProblem.error",
        "give (lowest, highest), or a number (of bits)",
        "run %nemo digits",
    ],
)
def test_what_is_right_passes(text: str) -> None:
    assert problems_in(text) == []


def test_messages_are_followed_through_names_helpers_and_f_strings() -> None:
    source = """
def refuse(path):
    hint = f"call {path!r} or repair()"
    raise StorageError("broken", hint)

def told():
    return "see restore()"

def warn_it():
    warnings.warn(told(), NemoWarning)
"""
    texts = {message.text for message in read(ast.parse(source), "some.py")}
    assert texts == {"broken", f"call {HOLE} or repair()", "see restore()"}


def test_docstrings_name_what_exists() -> None:
    wrong = [
        f"{path.name}: {name}"
        for path in package_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        for name in re.findall(r"``(nemo_lab\.[\w.]+)``", ast.get_docstring(node) or "")
        if problems_in(name)
    ]
    assert wrong == []


def spans(page: Path) -> list[str]:
    """Calls and dotted names in code spans and in blocks of Python of a page."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    named = r"\b((?:nl|nemo_lab|study|dashboard|problem|workload)\.[a-z_][\w.]*)"
    found = [one for part in (*re.findall(r"`([^`]+)`", prose), *blocks) for one in re.findall(named, part)]
    return [one for one in found if not one.endswith(".py")]  # a file


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_name_what_exists(page: Path) -> None:
    wrong = {name: found for name in spans(page) if (found := problems_in(name.rstrip(".")))}
    assert wrong == {}
