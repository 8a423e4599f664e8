"""What a function is: the same however it is laid out, another where it does another thing."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nemo_lab.definitions import arguments_kept, definition

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


def test_made_again_it_is_the_same() -> None:
    assert definition(around(3)) == definition(around(3))
    assert definition(Scaled(3.0)) == definition(Scaled(3.0))
    assert before_it_is_complete() == before_it_is_complete()
    loop: list[Any] = []
    loop.append(loop)
    assert definition(around(loop)) == definition(around(loop))


LAYOUTS = (
    "def metric(o, y):\n    return o * 2\n",
    "def metric(o,  y):\n    'what it does'\n    # and why\n    return (o*2)\n",
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


def test_arguments_that_are_kept() -> None:
    kept = Kept(0.5, table=3)
    kept.calls = 7
    assert arguments_kept(kept) == {"strength": 0.5}
    assert arguments_kept(Weighted(2.0)) == {"weight": 2.0}
    assert arguments_kept(object()) == {}
