"""What an object holds that its results may depend on, under whatever names.

It errs on the safe side: what is not known to change while the object works counts as a setting, so that at
worst something is measured twice.
"""

from __future__ import annotations

import ast
import contextlib
import dis
import functools
import inspect
import numbers
import textwrap
import types
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from nemo_lab.definitions import definition

TOOLS = {  # modules whose objects are how something is done, not what: locks, files, threads, connections
    "_contextvars", "_io", "_queue", "_thread", "_weakref", "asyncio", "concurrent", "io", "logging",
    "multiprocessing", "queue", "socket", "sqlite3", "subprocess", "tempfile", "threading", "weakref",
}  # fmt: skip
ADDED_TO = numbers.Number, str, list, dict, set, deque, np.ndarray  # what a cache, a counter or a log is
FILLS = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "move_to_end", "pop", "popitem",
    "popleft", "remove", "setdefault", "update",
}  # fmt: skip

OF_THE_MOMENT = {  # calls whose answer is another in every process, so that no result depends on it
    "datetime.datetime.now", "datetime.now", "os.dup", "os.getpid", "os.memfd_create", "os.open", "os.pipe",
    "os.urandom",
}  # fmt: skip
MODULES_OF_THE_MOMENT = {"secrets", "tempfile", "time", "uuid"}
TRIES = 20  # to take code apart, which another thread may disturb


def arguments_kept(made: Any) -> dict[str, Any]:
    """What an object was made with, as far as it keeps it under the names of its constructor's arguments."""
    try:
        names = inspect.signature(type(made)).parameters
    except (TypeError, ValueError):
        return {}
    return {name: getattr(made, name) for name in names if _kept(made, name)}


def _kept(made: Any, name: str) -> bool:
    """Whether an object has it of its own: as an attribute, in a slot, or by a property."""
    shown = inspect.getattr_static(type(made), name, None)
    return name in getattr(made, "__dict__", ()) or isinstance(shown, property | types.MemberDescriptorType)


def settings(made: Any, but: Iterable[str] = ()) -> dict[str, str]:
    """Digests of what an object holds, by the name of the attribute, but of those names.

    Not counted are the tools that it works with, such as locks and files, what is of the moment
    (``self.log = os.open(...)``, ``self.began = time.time()``), and what its ``evaluate`` adds to as it
    works: numbers that it counts up (``self.calls += 1``), and what it stores into
    (``self.cache[key] = found``, ``self.log.append(found)``).
    """
    without, added_to = {*but, *_of_the_moment(type(made))}, _added_to(type(made), "evaluate")
    return {
        name: _digest(value, made)
        for name, value in sorted(dict(_held(made)).items())
        if not (name in without or (name in added_to and isinstance(value, ADDED_TO)) or _tool(value))
    }


def patched(made: Any) -> dict[str, str]:
    """Digests of the functions that an object has in place of methods of its class, by name."""
    return {
        name: _digest(value, made)
        for name, value in sorted(dict(_held(made)).items())
        if callable(value) and callable(inspect.getattr_static(type(made), name, None))
    }


def attributes_of(kind: type) -> set[str]:
    """The names of all attributes that the methods of a class, or of one that it inherits from, assign."""
    methods = [one for base in kind.__mro__ for one in vars(base).values()]
    codes = [one.__code__ for one in methods if isinstance(one, types.FunctionType)]
    return {
        step.argval for code in codes for step in dis.get_instructions(code) if step.opname == "STORE_ATTR"
    }


def _held(made: Any) -> Iterator[tuple[str, Any]]:
    """All attributes of its own, in slots, too."""
    yield from dict(getattr(made, "__dict__", ())).items()
    for kind in type(made).__mro__:
        for name, member in dict(vars(kind)).items():
            if isinstance(member, types.MemberDescriptorType) and hasattr(made, name):
                yield name, getattr(made, name)


def _tool(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in TOOLS


def _digest(value: Any, holder: Any) -> str:
    """Of one attribute; of a problem by its fingerprint."""
    try:
        if callable(getattr(value, "fingerprint", None)) and not isinstance(value, type):
            value = value.fingerprint()
        return definition(value, within=holder)
    except Exception:  # nothing that could be told from others of its kind
        return f"{type(value).__module__}.{type(value).__qualname__}"


def _added_to(kind: type, begin: str) -> set[str]:
    """Attributes that a method counts up or stores into, or another one that it calls."""
    found: set[str] = set()
    called, done = {begin}, set[str]()
    while left := called - done:
        name = left.pop()
        done.add(name)
        for read in _methods(kind, name):
            found |= read.stored
            called |= read.named
    return found


def _of_the_moment(kind: type) -> set[str]:
    """Attributes that a class assigns what it gets by a call whose answer is another each time."""
    names = {name for one in kind.__mro__ for name, method in vars(one).items() if inspect.isfunction(method)}
    return {attribute for name in names for read in _methods(kind, name) for attribute in read.of_the_moment}


def _asks_the_moment(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    return called in OF_THE_MOMENT or called.partition(".")[0] in MODULES_OF_THE_MOMENT


class _Method(NamedTuple):
    """Which attributes of ``self`` a method names, adds to, and assigns what is of the moment."""

    named: frozenset[str] = frozenset()
    stored: frozenset[str] = frozenset()
    of_the_moment: frozenset[str] = frozenset()


def _methods(kind: type, name: str) -> Iterator[_Method]:
    """Every method of that name, of a class and of those that it inherits from."""
    for one in kind.__mro__:
        method = vars(one).get(name)
        code = getattr(inspect.unwrap(method), "__code__", None) if inspect.isfunction(method) else None
        if code is not None:
            yield _read(code)


@functools.lru_cache(maxsize=1024)
def _read(method: types.CodeType) -> _Method:
    """A method, taken apart once.

    Up to Python 3.11.8 and 3.12.2 code that is taken apart in two threads at once, such as a cell while a
    report is saved, fails in one of them; then it is done again.
    """
    try:
        source = textwrap.dedent(inspect.getsource(method))
        for _ in range(TRIES):
            with contextlib.suppress(SystemError):
                tree = ast.parse(source)
                break
        else:
            tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError):  # typed in: nothing is known of it
        return _Method()
    nodes = list(ast.walk(tree))
    targets = [
        target
        for one in nodes
        if isinstance(one, ast.Assign) and any(map(_asks_the_moment, ast.walk(one.value)))
        for target in one.targets
    ]
    return _Method(
        frozenset(_own(nodes)),
        frozenset(_stored(nodes)),
        frozenset(name for target in targets for name in _own(ast.walk(target))),
    )


def _own(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Attributes of ``self``."""
    return (one.attr for one in nodes if isinstance(one, ast.Attribute) and _of_self(one))


def _stored(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        places: list[Any] = []
        if isinstance(node, ast.AugAssign):
            places = [node.target]
        elif isinstance(node, ast.Assign | ast.Delete):
            places = [one.value for one in node.targets if isinstance(one, ast.Subscript)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FILLS:
            places = [node.func.value]
        for place in places:
            place = place.value if isinstance(place, ast.Subscript) else place
            if isinstance(place, ast.Attribute) and _of_self(place):
                yield place.attr


def _of_self(node: ast.Attribute) -> bool:
    """Whether it is an attribute of ``self``, or of ``super()``."""
    of = node.value
    if isinstance(of, ast.Call):
        return isinstance(of.func, ast.Name) and of.func.id == "super"
    return isinstance(of, ast.Name) and of.id == "self"
