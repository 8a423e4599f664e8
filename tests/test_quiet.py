"""Warnings and what imports leave behind: nothing is taken from another thread, and nothing stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from nemo_lab._quiet import VARIABLE, importing, no_warnings
from tests.waiting import PATIENCE

EVERYTHING = """
import json, os, sys, warnings
import numpy, pandas, torch
import nemo_lab as nl
from nemo_lab.workload import Workload
class Looks(torch.nn.Linear):
    def forward(self, x):
        if x.shape[1] != 4:
            raise ValueError("four, please")
        return super().forward(x)
before = list(warnings.filters), dict(os.environ)
assert Workload.from_module(Looks(4, 3), torch.ones(1, 4)).traced_by == "torch.export"
study = nl.create_study("digits", species=("gcn", "unet", "surrogate"), population=12, min_size=2)
study.optimize(30, progress=False)
left = [str(one) for one in warnings.filters if one not in before[0]]
left += [str(one) for one in before[0] if one not in warnings.filters]
left += [name for name, value in os.environ.items() if before[1].get(name) != value]
print(json.dumps([left, sorted({"sympy", "torch_geometric", "scipy.sparse", "requests"} & set(sys.modules))]))
"""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    with warnings.catch_warnings():
        yield


@contextmanager
def in_a_thread(
    context: Callable[[], AbstractContextManager[None]], body: Callable[[], object]
) -> Iterator[None]:
    """While our body runs, another thread is inside of the context; afterwards it runs its own body there."""
    inside, go_on = threading.Event(), threading.Event()

    def run() -> None:
        try:
            with context():
                inside.set()
                go_on.wait(PATIENCE)
                body()
        finally:
            inside.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert inside.wait(PATIENCE)
        yield
    finally:
        go_on.set()
        thread.join(PATIENCE)


def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of all warnings of the process from now on that are not ignored."""
    found: list[str] = []
    warnings.simplefilter("always")
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_, **__: found.append(str(message)))
    return found


def warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=1)


def test_who_is_quiet_stays_so_when_another_is_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    found = heard(monkeypatch)
    before = list(warnings.filters)
    with in_a_thread(no_warnings, lambda: warn("of the quiet one")):
        with no_warnings():
            warn("of another quiet one")
        warn("of one who is not")
    warn("afterwards")
    assert found == ["of one who is not", "afterwards"]
    assert list(warnings.filters) == before


def test_who_is_quiet_stays_so_whatever_another_thread_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    found = heard(monkeypatch)
    with in_a_thread(no_warnings, lambda: warn("of the first")):
        warnings.simplefilter("always", RuntimeWarning)
        with no_warnings():
            warn("of the second")
        warn("aloud")
    assert found == ["aloud"]


class OfMine(UserWarning):
    """A kind of warning that did not exist before."""


@pytest.mark.parametrize(
    "keywords",
    [
        {"message": "mine"},
        {"category": OfMine},
        {"message": "mine", "category": DeprecationWarning},
        {"message": ".*is in beta and the API may change.*"},
    ],
)
def test_an_import_takes_no_filter_of_another_thread(keywords: dict[str, object]) -> None:
    before = list(warnings.filters)
    with in_a_thread(importing, lambda: None):
        warnings.filterwarnings("error", **keywords)  # type: ignore[arg-type]
        after = list(warnings.filters)
    assert list(warnings.filters) == after != before


def test_an_import_takes_no_variable_of_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with in_a_thread(importing, lambda: None):
        monkeypatch.setenv(VARIABLE, "a place of mine")
    assert os.environ[VARIABLE] == "a place of mine"


def test_what_libraries_set_when_they_are_imported_does_not_stay() -> None:
    done = subprocess.run([sys.executable, "-c", EVERYTHING], capture_output=True, text=True, check=True)
    left, loaded = json.loads(done.stdout.splitlines()[-1])
    assert left == []
    assert loaded == ["requests", "scipy.sparse", "sympy", "torch_geometric"]
