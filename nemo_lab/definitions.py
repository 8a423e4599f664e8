"""What a function, an object or a class is, so that another of the same name is never taken for it.

The digest is made of the source as Python reads it, without comments, docstrings and layout; of the values
that it holds (defaults, variables around it, fields); and of the functions, classes and values that it uses.
What is installed counts by name: the standard library, packages, and this one. The digest is the same in
every process and, where there is source, in every version of Python.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import inspect
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PLAIN = (str, bytes, int, float, complex, type(None), type(...), np.generic)
FIXED = (*PLAIN, tuple, frozenset, np.ndarray)
BUILT_IN = "<frozen built-in>"
STANDARD = Path(sysconfig.get_paths()["stdlib"])
PACKAGES = {"site-packages", "dist-packages"}
OURS = Path(__file__).parent
METHODS = (types.FunctionType, property, staticmethod, classmethod, functools.cached_property)


def definition(value: Any) -> str:
    """A short hexadecimal digest of a function, of anything that can be called, or of a class."""
    return _Digest().add(value).hexdigest()


def arguments_kept(made: Any) -> dict[str, Any]:
    """What an object was made with, as far as it keeps it under the names of its constructor's arguments."""
    try:
        names = inspect.signature(type(made)).parameters
    except (TypeError, ValueError):
        return {}
    return {name: vars(made)[name] for name in names if name in getattr(made, "__dict__", ())}


class _Digest:
    def __init__(self) -> None:
        self._found = hashlib.blake2b(digest_size=16)
        self._seen: dict[int, tuple[int, Any]] = {}  # with the objects, so that no id is used again

    def hexdigest(self) -> str:
        return self._found.hexdigest()

    def add(self, value: Any) -> _Digest:
        """One more value, with all that it holds."""
        if isinstance(value, PLAIN):
            return self._text(type(value).__name__, repr(value))
        if id(value) in self._seen:
            return self._text("again", self._seen[id(value)][0])
        self._seen[id(value)] = len(self._seen), value
        if hasattr(value, "detach") and not isinstance(value, type | types.ModuleType):  # a tensor
            value = value.detach().cpu()
            value = (str(value.dtype), np.asarray(value.float() if value.is_floating_point() else value))
        if isinstance(value, np.ndarray):
            self._text(value.dtype.str, value.shape)
            self._found.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, list | tuple):
            self._all(type(value).__name__, value)
        elif isinstance(value, set | frozenset):
            self._text("set", sorted(_Digest().add(one).hexdigest() for one in value))
        elif isinstance(value, dict):
            self._all("dict", [part for pair in value.items() for part in pair])
        elif isinstance(value, functools.partial):
            self._all("partial", [value.func, value.args, value.keywords])
        elif isinstance(value, types.MethodType):
            self.add(value.__func__)
            self._fields(value.__self__)
        elif isinstance(value, types.FunctionType) and not _installed(value.__code__.co_filename):
            self._function(value)
        elif isinstance(value, type) and not _installed(_file(value)):
            self._class(value)
        else:
            self._other(value)
        return self

    def _text(self, *parts: Any) -> _Digest:
        self._found.update(f"{parts!r};".encode("utf-8", "surrogatepass"))
        return self

    def _all(self, kind: str, parts: Any) -> None:
        self._text(kind, len(parts))
        for part in parts:
            self.add(part)

    def _function(self, function: types.FunctionType) -> None:
        code = function.__code__
        self._text("function", _source(code) or tuple(_instructions(code)))
        self._all("defaults", [function.__defaults__, function.__kwdefaults__])
        self._all("around", [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)])
        used = {name: function.__globals__[name] for name in _names(code) if name in function.__globals__}
        self._all("used", [part for name in sorted(used) for part in (name, used[name])])

    def _class(self, kind: type) -> None:
        self._text("class", kind.__qualname__)
        self._all("bases", kind.__bases__)
        for name, member in sorted(dict(vars(kind)).items()):
            if isinstance(member, METHODS) and not _generated(member):
                inner = [getattr(member, part, None) for part in ("fget", "fset", "__func__", "func")]
                self._all(name, [member, *inner] if isinstance(member, types.FunctionType) else inner)
            elif isinstance(member, FIXED) and not (name.startswith("__") and name.endswith("__")):
                self._all(name, [member])

    def _other(self, value: Any) -> None:
        """By name; with the fields of what can be called and of records."""
        name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
        self._text(getattr(value, "__module__", None), name)
        if name is None:
            self.add(type(value))
        if "__wrapped__" in getattr(value, "__dict__", ()):  # by a decorator
            self.add(value.__wrapped__)
        elif name is None and (callable(value) or dataclasses.is_dataclass(value)):
            self._fields(value)

    def _fields(self, value: Any) -> None:
        held = dict(getattr(value, "__dict__", {}))  # others may add to it meanwhile
        self._all("fields", [part for name in sorted(held) for part in (name, held[name])])


def _file(kind: type) -> str:
    module = sys.modules.get(kind.__module__)
    known = module is None or kind.__module__ == "__main__" or hasattr(module, "__file__")
    return (getattr(module, "__file__", None) or "") if known else BUILT_IN


def _installed(file: str) -> bool:
    """Whether a file belongs to the standard library, to an installed package or to this one."""
    if file.startswith("<"):  # no file: typed in, or made from a text
        return file.startswith("<frozen ")
    path = Path(file)
    packages = not PACKAGES.isdisjoint(path.parts)
    return packages or path.is_relative_to(STANDARD) or path.is_relative_to(OURS)


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  it raises on a variable that has no value yet
    except ValueError:
        return False
    return True


def _generated(member: Any) -> bool:
    """Whether it is a method that a dataclass has written."""
    return isinstance(member, types.FunctionType) and member.__code__.co_filename == "<string>"


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _codes(one)


def _names(code: types.CodeType) -> set[str]:
    return {name for one in _codes(code) for name in one.co_names}


def _instructions(code: types.CodeType) -> Iterator[Any]:
    """What is left of a function without source; it differs between versions of Python."""
    for one in _codes(code):
        plain = [repr(value) for value in one.co_consts if not isinstance(value, types.CodeType | frozenset)]
        yield one.co_name, one.co_code.hex(), one.co_names, one.co_varnames, plain


def _source(code: types.CodeType) -> str:
    """The function's source in one layout, without docstrings; empty where there is none."""
    try:
        tree = ast.parse("".join(inspect.findsource(code)[0]))
    except (OSError, TypeError, SyntaxError, ValueError, IndexError):
        return ""
    node = _node(tree, code)
    if node is None:
        return ""
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            inner, clean=False
        ):
            inner.body[:1] = [] if len(inner.body) > 1 else [ast.Pass()]
    return ast.unparse(node)


def _node(tree: ast.AST, code: types.CodeType) -> ast.AST | None:
    """The function in a file that the code is of: the smallest that has all of it."""
    places = [
        ((line, column), (end, end_column))
        for line, end, column, end_column in code.co_positions()
        if None not in (line, end, column, end_column) and (line, column) != (end, end_column)
    ]
    named = code.co_name != "<lambda>"
    found: ast.AST | None = None
    for node in ast.walk(tree):  # from the outside in
        if named and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == code.co_name:
            if min(one.lineno for one in (node, *node.decorator_list)) == code.co_firstlineno:
                found = node
        elif not named and isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno:
            first = node.body.lineno, node.body.col_offset
            last = node.body.end_lineno, node.body.end_col_offset
            if all(first <= begin and end <= last for begin, end in places):
                found = node
    return found
