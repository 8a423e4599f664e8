"""Looks up what a sentence names of our interface: functions, methods, classes, keywords, magics, buttons."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from typing import Any

import nemo_lab
from nemo_lab import CostModel, Dashboard, QuantizationProblem, Study, Workload
from nemo_lab.search import Problem
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.species.base import Species
from tests.messages import HOLE, package_files, plain

HOMES = (
    "nemo_lab",
    "nemo_lab.study",
    "nemo_lab.export",
    "nemo_lab.testing",
    "nemo_lab.plots",
    "nemo_lab.search",
)
CLASSES = (Study, Dashboard, QuantizationProblem, Workload, CostModel, Problem, Species)
CALLED = {  # what people call the things they hold
    "nl": nemo_lab,
    "study": Study,
    "dashboard": Dashboard,
    "problem": QuantizationProblem,
    "workload": Workload,
    "w": Workload,
    "costs": CostModel,
    **{one.__name__: one for one in CLASSES},
}
CALL = re.compile(r"(?<![\w.'%])([A-Za-z_][\w.]*)\(([^()]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)*)\)")
DOTTED = re.compile(r"(?<![\w.'/])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?![\w(])")
KEYWORD = re.compile(r"(?<![\w.?])([a-z_]+)=")
SNAKE = re.compile(r"(?<![\w.'=-])([a-z]+(?:_[a-z]+)+)(?![\w.(=])")
MAGIC = re.compile(r"(?<!\w)%(\w+)")
PRESS = re.compile(r"\b(?:[Pp]ress|the button) (?:the button )?\"?([A-Z][a-z]+)")


def problems_in(text: str) -> list[str]:
    """What in a sentence cannot be looked up, or not be called so; empty where all is well."""
    return list(_wrong(text))


def _wrong(text: str) -> Iterator[str]:
    rest = text
    for name, arguments in _calls(text):
        found = [one for one in candidates(name) if callable(one[0])]
        if not found:
            yield f"{name}(...) is nothing that we have"
        elif not any(_fits(function, bound, arguments) for function, bound in found):
            yield f"{name}({arguments}) does not take these arguments"
    rest = CALL.sub(" ", rest)
    rest = re.sub(r"'[^']*'|\"[^\"]*\"", " ", rest)
    for name in DOTTED.findall(rest):
        root = name.split(".")[0]
        if (root in CALLED or root in ("nemo_lab", "torch")) and not candidates(name):
            yield f"{name} is nothing that we have"
    for name in KEYWORD.findall(rest):
        if name not in keywords():
            yield f"{name}= is a keyword of nothing that is public"
    for name in SNAKE.findall(rest if " " in text else ""):  # a single word is no sentence
        if name not in known_names():
            yield f"{name} is nothing that we have"
    for name in MAGIC.findall(rest):
        if name not in ("nemo", "load_ext"):
            yield f"%{name} is no magic of ours"
    for name in PRESS.findall(rest):
        if name not in labels():
            yield f"there is no button {name!r}"


def _calls(text: str) -> Iterator[tuple[str, str]]:
    """Every call in a sentence, those in arguments included."""
    for name, arguments in CALL.findall(text):
        yield name, arguments
        yield from _calls(arguments)


def candidates(name: str) -> list[tuple[Any, bool]]:
    """What a name may mean, each with whether its first argument is given already."""
    root, *path = name.split(".")
    if root in CALLED:
        return _follow(CALLED[root], path, root[0].islower() and root != "nl")
    if root in ("nemo_lab", "torch"):
        return _imported(name)
    if path:
        return []
    places = [(importlib.import_module(home), False) for home in HOMES]
    places += [(one, True) for one in CLASSES] + [(builtins, False)]
    return [(getattr(place, root), bound) for place, bound in places if hasattr(place, root)]


def _follow(owner: Any, path: list[str], held: bool) -> list[tuple[Any, bool]]:
    for step in path:
        if inspect.isclass(owner) and step in getattr(owner, "__dataclass_fields__", {}):
            return [(object(), False)]  # a field: what is behind it is somebody else's
        if step in _own_attributes(owner):
            return [(object(), False)]
        if not hasattr(owner, step):
            return []
        owner = getattr(owner, step)
        if isinstance(owner, property | cached_property):
            return [(object(), False)]
    return [(owner, held or inspect.isfunction(owner))] if path or not held else [(owner, held)]


def _imported(name: str) -> list[tuple[Any, bool]]:
    """As Python reads it: an attribute where there is one, else a module."""
    first, *path = name.split(".")
    owner: Any = importlib.import_module(first)
    methods = False
    for step in path:
        methods = inspect.isclass(owner)
        if not hasattr(owner, step) and inspect.ismodule(owner):
            try:
                importlib.import_module(f"{owner.__name__}.{step}")
            except ImportError:
                return []
        if not hasattr(owner, step):
            return []
        owner = getattr(owner, step)
    return [(owner, methods)]


def _own_attributes(owner: Any) -> set[str]:
    """What ``__init__`` puts on an instance: assigned to self, or annotated."""
    if not inspect.isclass(owner):
        return set()
    names: set[str] = set()
    for base in owner.__mro__[:-1]:
        names |= set(getattr(base, "__annotations__", {}))
        try:
            source = inspect.getsource(base)
        except (OSError, TypeError):
            continue
        names |= set(re.findall(r"\bself\.([a-z]\w*)(?:: [^=\n]+)? = ", source))
        names |= {
            name
            for line in re.findall(r"^ +(self\..+?) = ", source, re.M)
            for name in re.findall(r"self\.([a-z]\w*)", line)
        }
    return names


def _fits(function: Callable[..., Any], bound: bool, arguments: str) -> bool:
    given = _parsed(arguments)
    if given is None:
        return True  # words in brackets
    count, names, open_ended = given
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    parameters = [one for one in signature.parameters.values() if not (bound and one.name == "self")]
    anything = any(one.kind is one.VAR_KEYWORD for one in parameters)
    if not anything and not set(names) <= {one.name for one in parameters}:
        return False
    if anything and function.__name__ == "create_study":
        options = set(SearchOptions.__dataclass_fields__) | {one.name for one in parameters}
        if not set(names) <= options:
            return False
    mine = inspect.Signature(parameters)
    try:
        (mine.bind_partial if open_ended else mine.bind)(*[None] * count, **dict.fromkeys(names))
    except TypeError:
        return False
    return True


def _parsed(arguments: str) -> tuple[int, list[str], bool] | None:
    """How many by position, names of the others, and whether "..." leaves some out."""
    open_ended = "..." in arguments or not arguments.strip()  # "call start()" names the function only
    text = arguments.replace("...", "").replace(HOLE, "None")
    text = re.sub(r"(\w=)(?=\s*(?:,|$))", r"\1None", text)
    parts = [part for part in re.split(r",(?![^(\[]*[)\]])", text) if part.strip()]
    try:
        call = ast.parse(f"f({', '.join(parts)})", mode="eval").body
    except SyntaxError:
        return None
    if not isinstance(call, ast.Call):
        return None
    names = [keyword.arg for keyword in call.keywords if keyword.arg is not None]
    return len(call.args), names, open_ended


@cache
def keywords() -> frozenset[str]:
    """Every parameter of something public, and every option of the search."""
    found = set(SearchOptions.__dataclass_fields__)
    for home in HOMES:
        module = importlib.import_module(home)
        found |= {name for one in module.__all__ for name in _parameters(getattr(module, one))}
    for one in CLASSES:
        found |= {name for method in _methods(one) for name in _parameters(method)}
    return frozenset(found - {"self", "args", "kwargs"})


def _methods(owner: type) -> list[Any]:
    return [
        getattr(owner, name)
        for name, one in inspect.getmembers_static(owner)
        if callable(one) or isinstance(one, classmethod | staticmethod)
    ]


def _parameters(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


@cache
def known_names() -> frozenset[str]:
    """Keywords, public names and attributes of what people hold; modules; words of tables."""
    found = set(keywords()) | {"nemo_lab", "nemo", "import_module"}
    for home in HOMES:
        found |= set(importlib.import_module(home).__all__)
    for one in CLASSES:
        found |= set(dir(one)) | _own_attributes(one) | set(getattr(one, "__dataclass_fields__", {}))
    found |= set(Problem.__annotations__) | {"cost_names", "objective_bounds", "costs"}
    return frozenset(found)


@cache
def labels() -> frozenset[str]:
    """First words of the labels of the dashboard's buttons."""
    found = set()
    for path in package_files():
        if "widgets" not in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
                "button", "press", "Button", "_button",
            ):  # fmt: skip
                for value in [*node.args[:1], *(k.value for k in node.keywords if k.arg == "description")]:
                    found |= set(plain(value).split()[:1])
    return frozenset(found)
