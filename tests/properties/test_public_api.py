"""Whatever is given to whatever is public: an error of ours or an answer, and a sound study afterwards.

What may be called, and with which parameters, is read from the signatures.
"""

from __future__ import annotations

import ast
import functools
import inspect
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nemo_lab as nl
import nemo_lab.objective
import nemo_lab.study
from nemo_lab import export
from nemo_lab.search import SearchOptions
from tests.properties.hostile import VALUES
from tests.test_signatures import PROBLEM, WORKLOAD
from tests.toy import ToyProblem

EXAMPLES = int(os.environ.get("NEMO_LAB_FUZZ", "100"))
SECONDS = 20.0  # for one call
SPECIES = ("continuous", "floor", "integer")

RIGHT: dict[str, tuple[Any, ...]] = {  # ordinary values, by the name of a parameter
    "name": ("layer0", "layer1.weight", "*.input", "floor", "digits", "latency"),
    "names": (["a"], None),
    "bits": (4, [2, 3, 4, 5, 6, 7], [[8] * 6, [2] * 6], [8] * 4, True),
    "weight": (4, (3, 5)),
    "activation": (8, [2, 4]),
    "min": (3,),
    "max": (7,),
    "kind": ("weight", "activation"),
    "species": ("floor", "integer", ("floor",), "surrogate"),
    "source": ("random", "front", "uniform", "sensitivity", [0, 3]),
    "fraction": (0.5, 1),
    "part": (0.3, None),
    "constraints": ("loss <= 0.5", "size <= 0.3"),
    "evaluations": (3, 40),
    "until": (20, 40),
    "progress": (False,),
    "timeout": (0.1, 0),
    "path": ("other.sqlite", "run.sqlite", "one.json"),
    "new_path": ("saved.sqlite",),
    "storage": ("third.sqlite", "run.sqlite"),
    "read_only": (True, False),
    "ids": ([0, 1], 2),
    "config_id": (0, 3),
    "candidates": (2,),
    "population": (8,),
    "width": (8,),
    "widths": ((4, 8),),
    "default": (8, None),
    "join": (True, False),
    "start_from": (4, {"*": 8, "layer0": 4}, [[2] * 6, "one.json"], "front.json"),
    "at": ((2, 4),),
    "targets": ((0.5,),),
    "problem": (ToyProblem,),
    "study": (),
}
BOUNDED = ("evaluations", "until", "candidates", "population", "offspring", "initial", "size")
PARTS = ("problem", "study", "snapshot", "studies", "workload")


@functools.cache
def small() -> nl.CostModel:
    return nl.CostModel(WORKLOAD)


def reading(made: Any, name: str) -> Callable[[], Any]:
    return lambda: getattr(made, name)


def methods(made: Any, *but: str) -> dict[str, Callable[..., Any]]:
    """The public methods of an object, and its properties as functions."""
    kind, found = type(made), {}
    for name in dir(kind):
        if name.startswith("_") or name in but:
            continue
        member = inspect.getattr_static(kind, name)
        if isinstance(member, property):
            found[name] = reading(made, name)
        elif callable(getattr(made, name)):
            found[name] = getattr(made, name)
    return {f"{kind.__name__}.{name}": one for name, one in found.items()}


def of_modules() -> dict[str, Callable[..., Any]]:
    """Public functions and classes that need no study."""
    found: dict[str, Callable[..., Any]] = {"SearchOptions": SearchOptions}
    for module in (nl, nemo_lab.study, export):
        skipped = {"Dashboard", "check_interrupted", "NemoError", "NemoWarning", "Study", "Snapshot"}
        for name in module.__all__:
            if name not in {
                *skipped,
                "Intervention",
                "SOURCES",
                "Workload",
                "QuantizationProblem",
            }:
                found[name] = getattr(module, name)
    for name in ("Objective", "Scale"):
        found[name] = getattr(nemo_lab.objective, name)
    return found


def callables(study: nl.Study) -> dict[str, Callable[..., Any]]:
    return {
        **of_modules(),
        **methods(study, "close", "snapshot", "problem"),
        **methods(small()),
        **methods(WORKLOAD),
        **methods(PROBLEM, "network", "quantized"),
    }


def made_study(path: Path | None = None) -> nl.Study:
    return nl.create_study(
        ToyProblem(), species=SPECIES, population=8, min_size=2, storage=path, seed=1
    ).optimize(8, progress=False)


NAMES = sorted(callables(made_study()))
VALUE = st.one_of(
    st.sampled_from(sorted(VALUES)).map(lambda label: ("value", label)),
    st.tuples(st.just("list"), st.lists(st.sampled_from(sorted(VALUES)), max_size=3)),
    st.tuples(st.just("dict"), st.lists(st.sampled_from(sorted(VALUES)), max_size=2)),
    st.tuples(st.just("plain"), st.one_of(st.integers(), st.floats(), st.text(max_size=30))),
)
ARGUMENT = st.one_of(st.just(("right", 0)), st.tuples(st.just("right"), st.integers(0, 5)), VALUE, VALUE)
CALL = st.tuples(st.sampled_from(NAMES), st.lists(st.one_of(st.none(), ARGUMENT), min_size=8, max_size=8))


def value_of(way: tuple[str, Any], name: str, parts: dict[str, Any]) -> Any:
    """What an argument is, made anew."""
    how, what = way
    if how == "value":
        return VALUES[what]()
    if how == "list":
        return [VALUES[label]() for label in what]
    if how == "dict":
        return {("layer0.input", "loss")[i]: VALUES[label]() for i, label in enumerate(what)}
    if how == "plain":
        return what
    if name in parts:
        return parts[name]
    right = RIGHT.get(name, (None,)) or (None,)
    return right[what % len(right)]


def arguments(
    function: Callable[..., Any], ways: list[tuple[str, Any] | None], parts: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Arguments that Python lets through: required ones are given, each other one or not."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for place, parameter in enumerate(inspect.signature(function).parameters.values()):
        way = ways[place % len(ways)]
        if way is None:
            if parameter.default is not parameter.empty or parameter.kind in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ):
                continue
            way = ("right", 0)
        value = value_of(way, parameter.name, parts)
        if isinstance(value, int) and parameter.name in BOUNDED and 60 < value <= 10**12:
            value = 60  # a right value, of which a test does not see the end
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional.append(value)
        elif parameter.kind is parameter.VAR_KEYWORD:
            named["loss"] = value
        else:
            named[parameter.name] = value
    if function.__name__ == "optimize" and named.get("evaluations") is None and named.get("until") is None:
        named["evaluations"] = 3
    return positional, named


def called(study: nl.Study, name: str, ways: list[tuple[str, Any] | None]) -> str:
    """How a call went: a sentence if that is neither an answer nor an error of ours."""
    function = callables(study)[name]
    parts = {
        "problem": PROBLEM if name.startswith("quantized") else study.problem,
        "study": study,
        "snapshot": study.snapshot,
        "studies": [study],
        "workload": WORKLOAD,
    }
    positional, named = arguments(function, ways, parts)
    begun = time.perf_counter()
    try:
        if positional:  # what comes before *args goes by place, too
            named = {key: one for key, one in named.items() if key == "loss"}
        found = function(*positional, **named)
        if isinstance(found, nl.Study) and found is not study:
            found.close()
    except nl.NemoError as error:
        if not str(error):
            return f"{name}: an error that says nothing"
    except Exception as error:
        return f"{name}: {type(error).__name__}: {error}"
    seconds = time.perf_counter() - begun
    return f"{name}: took {seconds:.0f} s" if seconds > SECONDS else ""


def check_sound(study: nl.Study, path: Path) -> None:
    """What a study is for works: it goes on, is steered, tells, is written down and read again."""
    study.stop()
    study.wait()
    told: list[int] = []
    listener = functools.partial(told.append, 1)
    study.listen(listener)
    done = len(study.evaluations())
    study.optimize(3, progress=False)
    assert len(study.evaluations()) == done + 3 or study.snapshot.exhausted
    assert told
    pins, before = study.pins, len(told)
    study.pin("layer1.weight", 5)
    assert study.pins == {**pins, "layer1.weight": 5}
    assert len(told) > before
    study.undo()
    assert study.pins == pins
    study.forget(listener)
    ast.parse(study.to_script())
    assert study._repr_html_()
    whole = study.evaluations(bits=True)
    study.close()
    watched = nl.load_study(path if study.journal is None else study.journal.path, read_only=True)
    assert watched.evaluations(bits=True).equals(whole)
    watched.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        yield Path(name)
        os.chdir(before)


@settings(
    max_examples=EXAMPLES,
    derandomize="NEMO_LAB_FUZZ" not in os.environ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(st.lists(CALL, min_size=1, max_size=12))
def test_every_call_is_answered_or_refused_and_the_study_stays_sound(
    folder: Path, calls: list[tuple[str, list[tuple[str, Any] | None]]]
) -> None:
    for one in folder.iterdir():
        if one.is_file():
            one.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = made_study(folder / "own.sqlite")
        try:
            wrong = [said for name, ways in calls if (said := called(study, name, ways))]
            assert wrong == []
            check_sound(study, folder / "own.sqlite")
        finally:
            study.close()
