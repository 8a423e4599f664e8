"""What a function, an object or a class is, so that another of the same name is never taken for it.

The digest is made of compiled code, so of what runs, without comments and layout; of the values that it holds
(defaults, variables around it, attributes, what pickle would save of an object); and of the functions,
classes and values that it uses. What is installed counts by name: the standard library, packages, and this
one. The digest is the same in every process of one minor version of Python.
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from nemo_lab.errors import ArgumentError
from nemo_lab.reached import codes, file_of, installed, is_installed, used

PLAIN = (str, bytes, float, complex, type(None), type(...))
CONTAINERS = (dict, list, tuple, set, frozenset, str, bytes, np.ndarray)
PARTS = {  # of descriptors, which pickle does not save
    property: ("fget", "fset"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    functools.cached_property: ("func",),
    functools.partialmethod: ("func", "args", "keywords"),
}


def definition(value: Any, within: Any = None) -> str:
    """A short hexadecimal digest of a function, of anything that can be called, or of a class.

    Args:
        value: what is digested.
        within: an object that holds it, which is left out where it is met again.

    Raises:
        ArgumentError: if something that it holds cannot be read.
    """
    try:
        return _Digest(within).add(value).hexdigest()
    except Exception as error:
        name = getattr(value, "__qualname__", type(value).__qualname__)
        raise ArgumentError(
            f"what {name} does cannot be told from others: {type(error).__name__}: {error}",
            "keep plain numbers, texts, arrays and functions in it",
        ) from error


class _Digest:
    def __init__(self, within: Any = None) -> None:
        self._found = hashlib.blake2b(digest_size=16)
        self._seen: dict[int, tuple[int, Any]] = {}  # with the objects, so that no id is used again
        if within is not None:
            self._seen[id(within)] = 0, within

    def hexdigest(self) -> str:
        return self._found.hexdigest()

    def add(self, value: Any) -> _Digest:
        """One more value, with all that it holds."""
        if isinstance(value, PLAIN):
            return self._text(type(value).__name__, repr(value))
        if isinstance(value, int):
            return self._text(type(value).__name__, hex(value))
        if isinstance(value, np.generic):
            return self._text(value.dtype.str, value.tobytes().hex())
        if type(value) in (tuple, frozenset) and not value:
            return self._text(type(value).__name__)
        if type(value) is tuple:  # Python may share equal ones, so which they are tells nothing
            return self._all("tuple", value)
        if id(value) in self._seen:
            return self._text("again", self._seen[id(value)][0])
        self._seen[id(value)] = len(self._seen), value
        value = _dense(value)
        if type(value) is np.ndarray and not value.dtype.hasobject:
            self._text(value.dtype.str, value.shape)
            self._found.update(np.ascontiguousarray(value).tobytes())
        elif type(value) is np.ndarray:
            self._all("array", [value.shape, value.tolist()])
        elif type(value) is list:
            self._all("list", value)
        elif type(value) in (set, frozenset):
            self._text("set", sorted(_Digest().add(one).hexdigest() for one in value))
        elif type(value) in (dict, types.MappingProxyType):
            self._all("dict", [part for pair in value.items() for part in pair])
        elif type(value) is functools.partial:
            self._all("partial", [value.func, value.args, dict(sorted(value.keywords.items()))])
        elif isinstance(value, types.MethodType):
            self._all("method", [value.__func__, value.__self__])
        elif type(value) in PARTS:
            self._all(type(value).__name__, [getattr(value, part, None) for part in PARTS[type(value)]])
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.ModuleType):
            self._module(value)
        else:
            self._object(value)
        return self

    def _text(self, *parts: Any) -> _Digest:
        self._found.update(f"{parts!r};".encode("utf-8", "surrogatepass"))
        return self

    def _all(self, kind: str, parts: Iterable[Any]) -> _Digest:
        listed = list(parts)
        self._text(kind, len(listed))
        for part in listed:
            self.add(part)
        return self

    def _function(self, function: types.FunctionType) -> None:
        code, attributes = function.__code__, dict(vars(function))
        self._text("function", function.__qualname__)
        if installed(code.co_filename):
            self._text(function.__module__)
            if "__wrapped__" in attributes:  # by a decorator of a package
                self.add(attributes["__wrapped__"])
            return
        for one in codes(code):
            self._text(one.co_name, one.co_code.hex(), one.co_names, one.co_varnames)
            self._all(
                "constants", [value for value in one.co_consts if not isinstance(value, types.CodeType)]
            )
        self._all("defaults", [function.__defaults__, function.__kwdefaults__, attributes])
        self._all("around", [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)])
        for name, value in used(code, function.__globals__):
            if isinstance(value, types.ModuleType):  # what is read of it comes by itself
                self._text(name, 1)._text("module", value.__name__)
            else:
                self._all(name, [value])

    def _module(self, module: types.ModuleType) -> None:
        """A module that an object holds: what is defined in one's own, since any of it may be called."""
        self._text("module", module.__name__)
        if is_installed(module):
            return
        for name, value in sorted(vars(module).items()):
            defined = getattr(value, "__module__", None) == module.__name__
            if not name.startswith("__") and (defined or isinstance(value, (*PLAIN, int))):
                self._all(name, [value])

    def _class(self, kind: type) -> None:
        self._text("class", kind.__qualname__)
        if installed(file_of(kind)):
            self._text(kind.__module__)
            return
        self._all("bases", kind.__bases__)
        for name, member in sorted(dict(vars(kind)).items()):
            written = not (name.startswith("__") and name.endswith("__"))
            if isinstance(member, types.FunctionType) or (written and not name.startswith("_abc_")):
                self._all(name, [member])

    def _object(self, value: Any) -> None:
        """What can be called and is wrapped, then what pickle would save; else its type, or its name."""
        name = getattr(value, "__qualname__", None) if callable(value) else None
        if isinstance(value, types.BuiltinFunctionType) or (name and type(value).__module__ == "builtins"):
            self._text(getattr(value, "__module__", None), name)
            if type(owner := getattr(value, "__self__", None)) in CONTAINERS:  # such as the ``get`` of a dict
                self.add(owner)
            return
        self.add(type(value))
        if "__wrapped__" in getattr(value, "__dict__", ()):
            self.add(value.__wrapped__)
            return
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            saved = value.__reduce_ex__(2) if reduce is None else reduce(value)
        except Exception:  # a file, a lock: nothing that could be saved, so nothing that is a setting
            return
        parts = (saved,) if isinstance(saved, str) else saved
        self._all("saved", [list(one) if isinstance(one, Iterator) else one for one in parts])
        if any(_says_itself(kind) for kind in type(value).__mro__):  # maybe less than what it does depends on
            self._all("held", [dict(getattr(value, "__dict__", ()))])


def _says_itself(kind: type) -> bool:
    """Whether a class of one's own says what pickle saves of its objects."""
    own = not {"__getstate__", "__reduce__", "__reduce_ex__"}.isdisjoint(vars(kind))
    return own and not installed(file_of(kind))


def _dense(value: Any) -> Any:
    """A tensor of torch as its type and an array."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return value
    plain = value.detach().cpu()
    plain = plain.to_dense() if plain.layout != torch.strided else plain
    try:
        return [str(value.dtype), plain.numpy()]
    except TypeError:  # a type that NumPy has not
        return [str(value.dtype), plain.float().numpy()]


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  it raises on a variable that has no value yet
    except ValueError:
        return False
    return True
