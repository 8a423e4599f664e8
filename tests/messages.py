"""Every sentence that nemo_lab tells people, read from its source: errors, hints, warnings and notices."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nemo_lab

PACKAGE = Path(nemo_lab.__file__).parent
HOLE = "…"  # stands for what an f-string fills in
TELLING = ("notice", "warn")


@dataclass(frozen=True)
class Message:
    """A text as people may read it.

    Attributes:
        where: file and line.
        text: with ``HOLE`` for what is not known before.
    """

    where: str
    text: str


def package_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def messages() -> tuple[Message, ...]:
    """Of the whole package."""
    return tuple(message for path in package_files() for message in messages_of(path))


def messages_of(path: Path) -> Iterator[Message]:
    """Of one file: the texts inside of calls that make an error, warn, or give notice."""
    yield from read(ast.parse(path.read_text(encoding="utf-8")), path.relative_to(PACKAGE).as_posix())


def read(tree: ast.Module, name: str) -> Iterator[Message]:
    """Of a parsed file; texts that are assigned to a name, or returned by a function, are followed."""
    functions = {one.name: one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}
    scopes = [tree, *functions.values()]
    assigned: dict[str, list[ast.expr]] = {}
    for scope in scopes:
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        assigned.setdefault(target.id, []).append(node.value)

    def inside(node: ast.AST, seen: frozenset[str]) -> Iterator[ast.expr]:
        if isinstance(node, ast.JoinedStr):
            yield node
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    yield from inside(part.value, seen)
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node
        if isinstance(node, ast.Name) and node.id not in seen:
            for value in assigned.get(node.id, ()):
                yield from inside(value, seen | {node.id})
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in seen:
            helper = functions.get(node.func.id)
            for part in ast.walk(helper) if helper else ():
                if isinstance(part, ast.Return) and part.value is not None:
                    yield from inside(part.value, seen | {node.func.id})
        for child in ast.iter_child_nodes(node):
            yield from inside(child, seen)

    errors = [one for one in ast.walk(tree) if isinstance(one, ast.ClassDef) and one.name.endswith("Error")]
    own = {call for error in errors for call in ast.walk(error) if isinstance(call, ast.Call)}
    found: dict[tuple[int, str], None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (_tells(node) or node in own):
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                for text in inside(argument, frozenset()):
                    found.setdefault((text.lineno, plain(text)))
    for line, text in sorted(found):
        yield Message(f"{name}:{line}", text)


def _tells(call: ast.Call) -> bool:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return called.endswith(("Error", "Warning")) or called in TELLING


def plain(node: ast.expr) -> str:
    """The text of a literal; of an f-string with ``HOLE`` for every value."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(HOLE if isinstance(part, ast.FormattedValue) else plain(part) for part in node.values)
    return ""
