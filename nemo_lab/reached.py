"""What code may reach: global values, members of modules of one's own, and what it imports where it runs."""

from __future__ import annotations

import contextlib
import dis
import functools
import importlib.util
import sys
import sysconfig
import types
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

STANDARD = Path(sysconfig.get_paths()["stdlib"])
PACKAGES = {"site-packages", "dist-packages"}
OURS = Path(__file__).parent


def file_of(kind: type) -> str:
    """The file of a class."""
    module = sys.modules.get(kind.__module__)
    if module is None or kind.__module__ == "__main__":
        return "<typed in>"
    return getattr(module, "__file__", None) or "<frozen built-in>"


def installed(file: str) -> bool:
    """Whether a file belongs to the standard library, to an installed package or to this one."""
    if file.startswith("<"):  # no file: typed in, or made from a text
        return file.startswith("<frozen ")
    path = Path(file)
    packages = not PACKAGES.isdisjoint(path.parts)
    return packages or path.is_relative_to(STANDARD) or path.is_relative_to(OURS)


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Compiled code, and that of the functions inside it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from codes(one)


def used(code: types.CodeType, known: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The global values that code reads; of modules of one's own, also what it may read of them."""
    everything = {name for one in codes(code) for name in one.co_names}
    for name in sorted(_globals_of(code) & known.keys()):
        value = known[name]
        yield name, value
        if isinstance(value, types.ModuleType):
            yield from _read_of(value, name, everything, {id(value)})
    for module in _imported(code, str(known.get("__package__") or "")):
        yield from _read_of(module, module.__name__, everything, {id(module)})


def _read_of(
    module: types.ModuleType, path: str, names: Set[str], seen: set[int]
) -> Iterator[tuple[str, Any]]:
    """What code that has these names may read of a module of one's own, and of those inside it."""
    if is_installed(module):
        return
    for name in sorted(names & vars(module).keys()):
        value = vars(module)[name]
        yield f"{path}.{name}", value
        if isinstance(value, types.ModuleType) and id(value) not in seen:
            seen.add(id(value))
            yield from _read_of(value, f"{path}.{name}", names, seen)


def is_installed(module: types.ModuleType) -> bool:
    """The same of a module."""
    return installed(getattr(module, "__file__", None) or "<frozen >")


def _imported(code: types.CodeType, package: str) -> Iterator[types.ModuleType]:
    """Modules of one's own that code imports where it runs; imported now, so that they are always there."""
    for level, name in _imports_of(code):
        with contextlib.suppress(Exception):  # what cannot be imported here may not be reached
            path = importlib.util.resolve_name("." * level + name, package)
            spec = None if path in sys.modules else importlib.util.find_spec(path)
            if path not in sys.modules and (spec is None or spec.origin is None or installed(spec.origin)):
                continue
            yield importlib.import_module(path)


@functools.lru_cache(maxsize=4096)
def _imports_of(code: types.CodeType) -> tuple[tuple[int, str], ...]:
    """The modules that code imports where it runs: level and name."""
    found, before = set(), list[Any]()
    for step in (step for one in codes(code) for step in dis.get_instructions(one)):
        if step.opname == "IMPORT_NAME" and len(before) > 1 and isinstance(before[-2], int):
            found.add((before[-2], str(step.argval)))
        before.append(step.argval)
    return tuple(sorted(found))


@functools.lru_cache(maxsize=4096)  # the same functions are described at every step of a study
def _globals_of(code: types.CodeType) -> frozenset[str]:
    """The names of global values that code reads."""
    steps = (step for one in codes(code) for step in dis.get_instructions(one))
    return frozenset(step.argval for step in steps if _reads(step))


def _reads(step: dis.Instruction) -> bool:
    return step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
