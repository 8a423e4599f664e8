"""Tests look at what a user or a neighbour sees: how often they still reach into privates is counted down.

A private access is ``x._name`` where x is neither ``self`` nor ``cls``, and ``_name`` is defined in nemo_lab.
``python -m tests.test_privates`` lists them all, and the present counts.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.messages import package_files

TESTS = Path(__file__).parent

# as many as are left in a file; goes down, never up
LEFT: dict[
    str, int
] = {  # a damaged file is made by the connection itself; what a network keeps is not public
    "quantize/test_exactness.py": 1,
    "quantize/test_interruption.py": 2,
    "quantize/test_measure.py": 2,
    "quantize/test_memory.py": 1,
    "study/journal/test_journal.py": 7,
    "study/test_answers.py": 2,
    "study/test_disk.py": 1,
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@cache
def ours() -> frozenset[str]:
    """Every private attribute, method and function that nemo_lab defines; what Jupyter calls is no secret."""
    found = set()
    for path in package_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return frozenset(name for name in found if is_private(name) and not name.startswith("_repr_")) - {
        "_", "_ipython_display_", "_esm", "_css",
    }  # fmt: skip


def privates_in(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every access to something private of ours, imports and patches by name included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ours():
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nemo_lab"):
            yield from ((node.lineno, f"import {one.name}") for one in node.names if is_private(one.name))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "setattr", "getattr", "delattr", "hasattr",
        ):  # fmt: skip
            for part in node.args[:2]:
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    name = part.value.rpartition(".")[2]
                    if name in ours():
                        yield node.lineno, f"{part.value!r}"


def everything() -> dict[str, list[tuple[int, str]]]:
    """Every private access, by file."""
    found = {
        path.relative_to(TESTS).as_posix(): sorted(privates_in(path.read_text(encoding="utf-8")))
        for path in sorted(TESTS.rglob("*.py"))
    }
    return {name: some for name, some in found.items() if some}


def test_no_test_reaches_into_more_privates_than_before() -> None:
    more = {name: some for name, some in everything().items() if len(some) > LEFT.get(name, 0)}
    assert more == {}


def test_what_is_left_is_counted_down() -> None:
    found = {name: len(some) for name, some in everything().items()}
    fewer = {name: (count, found.get(name, 0)) for name, count in LEFT.items() if found.get(name, 0) < count}
    assert fewer == {}, "lower these numbers in LEFT"


@pytest.mark.parametrize(
    "source",
    [
        "study._runner.close()",
        "state = dashboard._state",
        "engine._waiting.clear()",
        "from nemo_lab.workload.decisions import _topology",
        "monkeypatch.setattr(study, '_runner', None)",
        "monkeypatch.setattr('nemo_lab.study.run.notices._frames_of_ours', None)",
    ],
)
def test_privates_are_found(source: str) -> None:
    assert list(privates_in(source))


@pytest.mark.parametrize(
    "source",
    [
        "self._worker = 1",
        "study.snapshot.front",
        "module._modules_of_somebody_else",
        "figure._repr_mimebundle_()",
        "x.__class__",
    ],
)
def test_what_is_public_passes(source: str) -> None:
    assert list(privates_in(source)) == []


if __name__ == "__main__":
    for name, some in everything().items():
        counted = ", ".join(
            f"{text} {count}" for text, count in Counter(text for _, text in some).most_common()
        )
        print(f'    "{name}": {len(some)},  # {counted}')  # noqa: T201
