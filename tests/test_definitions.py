"""What a function is: the same however it is laid out, another where it does another thing."""

from __future__ import annotations

import enum
import functools
import importlib
import math
import re
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from nemo_lab.definitions import definition
from nemo_lab.errors import ArgumentError

FACTOR = 2.0


def helped(outputs: Any) -> Any:
    return outputs * FACTOR


def by_helper(outputs: Any, labels: Any) -> Any:
    return helped(outputs)


def around(factor: Any) -> Callable[..., Any]:
    return lambda outputs, labels: outputs * factor


def before_it_is_complete() -> str:
    def metric(outputs: Any, labels: Any) -> Any:
        return later

    found = definition(metric)
    later = found
    return found


class Scaled(torch.nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([weight]))

    def forward(self, outputs: Any, labels: Any) -> Any:
        return outputs * self.weight


@dataclass
class Weighted:
    weight: float = 1.0

    def __call__(self, outputs: Any, labels: Any) -> Any:
        return outputs * self.weight

    def method(self, outputs: Any, labels: Any) -> Any:
        return outputs + self.weight


class Named:
    """A metric that says itself what it is called."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.__name__ = "loss"

    def __call__(self, outputs: Any, labels: Any) -> Any:
        return outputs * self.weight


class Slotted:
    __slots__ = ("weight",)

    def __init__(self, weight: float) -> None:
        self.weight = weight


class Mode(enum.Enum):
    A = 1
    B = 2


def kind(**members: Any) -> type:
    return type("Made", (), {"method": lambda self, outputs, labels: outputs, **members})


def with_attribute(value: Any) -> Any:
    def metric(outputs: Any, labels: Any) -> Any:
        return outputs * metric.weight  # type: ignore[attr-defined]

    metric.weight = value  # type: ignore[attr-defined]
    return metric


class Kept:
    def __init__(self, strength: float, table: Any = None) -> None:
        self.strength = strength
        self.calls = 0


def two(text: str) -> tuple[Any, Any]:
    first, second = eval(text)
    return first, second


IN_ONE_LINE = (lambda o, y: 1 if o else 2), (lambda o, y: 1 if o else 3)
NESTED = lambda o, y: lambda: o, lambda o, y: lambda: y


DIFFERENT = {
    "lambdas in one line": IN_ONE_LINE,
    "lambdas with functions inside": NESTED,
    "lambdas without source": two("(lambda o, y: o + y), (lambda o, y: o - y)"),
    "numbers without source": two("(lambda o, y: o + 1), (lambda o, y: o + 2)"),
    "numbers around": (around(1), around(2)),
    "1 and 1.0": (around(1), around(1.0)),
    "arrays around": (around(np.arange(3)), around(np.arange(3) + 1)),
    "tensors around": (around(torch.zeros(2)), around(torch.ones(2))),
    "half precision": (around(torch.zeros(2)), around(torch.zeros(2, dtype=torch.bfloat16))),
    "functions around": (around(np.exp), around(np.log)),
    "sets around": (around({1, 2}), around({1, 3})),
    "defaults": (lambda o, y, k=1: o * k, lambda o, y, k=2: o * k),
    "bound arguments": (functools.partial(by_helper, labels=1), functools.partial(by_helper, labels=2)),
    "parameters": (Scaled(1.0), Scaled(2.0)),
    "fields": (Weighted(1.0), Weighted(2.0)),
    "fields of the object of a method": (Weighted(1.0).method, Weighted(2.0).method),
    "methods": (Weighted().method, Weighted()),
    "settings of torch's losses": (
        torch.nn.CrossEntropyLoss(),
        torch.nn.CrossEntropyLoss(label_smoothing=0.1),
    ),
    "functions of torch": (torch.nn.functional.cross_entropy, torch.nn.functional.nll_loss),
    "decorated": (torch.no_grad()(lambda o, y: o), torch.no_grad()(lambda o, y: y)),
    "cached": (functools.lru_cache(lambda o, y: o), functools.lru_cache(lambda o, y: y)),
    "classes": (Kept, Weighted),
    "objects that have a name": (Named(1.0), Named(2.0)),
    "attributes of functions": (with_attribute(1), with_attribute(2)),
    "cached methods": (
        kind(method=functools.lru_cache(lambda self: 1)),
        kind(method=functools.lru_cache(lambda self: 2)),
    ),
    "lists of classes": (kind(weights=[1]), kind(weights=[2])),
    "properties": (kind(one=property(lambda self: 1)), kind(one=property(lambda self: 2))),
    "classes inside": (kind(inner=kind(a=1)), kind(inner=kind(a=2))),
    "the class of the object of a method": (
        kind(scale=lambda self: 1)().method,
        kind(scale=lambda self: 2)().method,
    ),
    "classes from texts": two(
        "type('A', (), {'__call__': lambda s, o, y: 1})(), type('A', (), {'__call__': lambda s, o, y: 2})()"
    ),
    "float64 tensors": (
        around(torch.tensor(0.1, dtype=torch.float64)),
        around(torch.tensor(0.1 + 1e-12, dtype=torch.float64)),
    ),
    "arrays of objects": (around(np.array(["a", (1, 2)], object)), around(np.array(["a", (1, 3)], object))),
    "masks": (around(np.ma.array([1.0, 2.0], mask=[0, 1])), around(np.ma.array([1.0, 2.0], mask=[0, 0]))),
    "sparse tensors": (around(torch.eye(2).to_sparse()), around(torch.ones(2, 2).to_sparse())),
    **{
        f"{type(one).__name__} around": (around(one), around(other))
        for one, other in (
            (SimpleNamespace(a=1), SimpleNamespace(a=2)),
            (Kept(1.0), Kept(2.0)),
            (Slotted(1.0), Slotted(2.0)),
            (Mode.A, Mode.B),
            (torch.float16, torch.float32),
            (range(2), range(3)),
            (slice(2), slice(3)),
            (re.compile("a"), re.compile("b")),
            (Path("a"), Path("b")),
            (Decimal(1), Decimal(2)),
            (pd.Series([1]), pd.Series([2])),
            (deque([1]), deque([2])),
            (bytearray(b"a"), bytearray(b"b")),
            (10**5000, 10**5000 + 1),
            (np.vectorize(math.sin), np.vectorize(math.cos)),
            (MappingProxyType({"a": 1}), MappingProxyType({"a": 2})),
            ({"a": 1}.get, {"a": 2}.get),
        )
    },
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_another_is_told_apart(pair: tuple[Any, Any]) -> None:
    first, second = (definition(one) for one in pair)
    assert first == definition(pair[0])
    assert first != second


def test_what_a_helper_and_a_global_do_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = definition(by_helper)
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    changed = definition(by_helper)
    monkeypatch.setitem(globals(), "helped", around(1))
    assert len({before, changed, definition(by_helper)}) == 3


def test_what_a_module_of_ones_own_does_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for text in ("def loss(o): return o", "def loss(o): return o + 1", "# again\ndef loss(o): return o + 1"):
        monkeypatch.delitem(sys.modules, "nemo_lab_helpers", raising=False)
        importlib.invalidate_caches()
        (tmp_path / "nemo_lab_helpers.py").write_text(text)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        space: dict[str, Any] = {}
        exec("import nemo_lab_helpers\ndef metric(o, y): return nemo_lab_helpers.loss(o)", space)
        found.append(definition(space["metric"]))
    assert found[0] != found[1] == found[2]


REACHES = {  # how a module of one's own is reached
    "by its whole name": "import ownpkg.metrics\ndef made():\n    return lambda: ownpkg.metrics.factor()\n",
    "by an import inside": (
        "def made():\n    def inside():\n        from ownpkg.metrics import factor\n"
        "        return factor()\n    return inside\n"
    ),
    "by an import of the package": (
        "def made():\n    def inside():\n        import ownpkg.metrics\n"
        "        return ownpkg.metrics.factor()\n    return inside\n"
    ),
    "by an object that holds it": (
        "import ownpkg.metrics\nclass Holder:\n"
        "    def __init__(self, module):\n        self.module = module\n"
        "    def __call__(self):\n        return self.module.factor()\n"
        "def made():\n    return Holder(ownpkg.metrics)\n"
    ),
    "by itself": "import ownpkg.metrics\ndef made():\n    return ownpkg.metrics\n",
}


@pytest.mark.parametrize("way", REACHES)
def test_a_module_of_ones_own_counts_however_it_is_reached(way: str, tmp_path: Path) -> None:
    package = tmp_path / "ownpkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "reaches.py").write_text(REACHES[way])
    code = (
        "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, sys.argv[1])\n"
        "import reaches\nfrom nemo_lab.definitions import definition\nprint(definition(reaches.made()))\n"
    )

    def digest(text: str) -> str:
        (package / "metrics.py").write_text(text)
        command = [sys.executable, "-c", code, str(tmp_path)]
        root = Path(__file__).parents[1]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout

    first = digest("def factor():\n    return 1.0\n")
    assert first == digest("# a comment\ndef factor():\n    return 1.0\n")
    assert first != digest("def factor():\n    return 0.5\n")


def test_what_cannot_be_imported_and_packages_are_passed_over() -> None:
    def inside() -> Any:
        from json import dumps

        import no_such_module  # type: ignore[import-not-found]

        return dumps(no_such_module.x)

    assert definition(inside) == definition(inside)
    assert "no_such_module" not in sys.modules


def test_what_is_named_alike_but_not_used_counts_not(monkeypatch: pytest.MonkeyPatch) -> None:
    space: dict[str, Any] = {}
    exec("def metric(o, y): return o.mean()", space)
    before = definition(space["metric"])
    space["mean"] = 3
    assert definition(space["metric"]) == before


def test_what_is_looked_at_stays_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "log.txt").open("w") as log:
        definition(around(log))
        log.write("still there")
    lock = threading.Lock()
    assert definition(around(lock)) == definition(around(threading.Lock()))


def test_what_cannot_be_read_is_said() -> None:
    class Broken(dict):  # type: ignore[type-arg]
        @property
        def __class__(self) -> Any:
            raise RuntimeError("no")

    with pytest.raises(ArgumentError, match="cannot be told from others: RuntimeError: no; keep plain"):
        definition(around(Broken()))


def test_made_again_it_is_the_same() -> None:
    assert definition(around(3)) == definition(around(3))
    assert definition(Scaled(3.0)) == definition(Scaled(3.0))
    assert before_it_is_complete() == before_it_is_complete()
    loop: list[Any] = []
    loop.append(loop)
    assert definition(around(loop)) == definition(around(loop))


LAYOUTS = (
    "def metric(o, y):\n    return o * 2\n",
    "def metric(o,  y):\n    # and why\n    return (o*2)\n",
    "import torch\n\n\ndef metric(\n    o,\n    y,\n):\n    return o * 2\n",
)


def test_layout_comments_hash_seeds_and_processes_change_nothing(tmp_path: Path) -> None:
    shown = "\nfrom nemo_lab.definitions import definition\nK = {'a', 'b', 'c'}\n"
    shown += "print(definition(metric), definition(lambda o, y: K))\n"
    found = []
    for seed, layout in enumerate(LAYOUTS):
        (tmp_path / "mine.py").write_text(layout + shown)
        command = [sys.executable, str(tmp_path / "mine.py")]
        environment = {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(__file__).parent.parent)}
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found.append(run.stdout)
    assert len(set(found)) == 1
    assert found[0].split()[0] != found[0].split()[1]
