"""A run as a plain Python file that makes it again, interventions included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from nemo_lab.search import Ledger, Problem, SearchOptions
from nemo_lab.search.species import NAMES
from nemo_lab.study.commands.base import Command, plain
from nemo_lab.study.commands.evaluations import Foresee, Prepare
from nemo_lab.study.commands.registry import NOTHING, follow, restored
from nemo_lab.study.commands.search import Budget
from nemo_lab.study.commands.species import AddSpecies
from nemo_lab.study.inherited import NO_NETWORKS, Inherited
from nemo_lab.study.results.snapshot import Snapshot


@dataclass(frozen=True)
class Beginning:
    """How a study began.

    Attributes:
        title: of the workload or problem.
        problem: that is searched.
        seed, options: of the search.
        recipe: how nemo_lab makes the problem by itself; None leaves a line to fill in.
        inherited: graph networks that were taken over from other studies.
    """

    title: str
    problem: Problem
    seed: int
    options: SearchOptions
    recipe: Mapping[str, Any] | None
    inherited: Inherited = NO_NETWORKS


def script(beginning: Beginning, snapshot: Snapshot) -> str:
    """Python that makes a study and its evaluations again, bit for bit."""
    count = len(snapshot.evaluations)
    lines = [
        f'"""{_one_line(beginning.title)}: {count} evaluations, as nemo_lab made them."""',
        "",
        "import nemo_lab as nl",
        "",
        *_creation(beginning, snapshot.begun_with),
    ]
    problem, done = beginning.problem, 0
    asked = np.concatenate([[0], np.cumsum(snapshot.evaluations.asks, dtype=np.int64)])
    beside = back = 0  # asked for since the evaluation before, and given back
    ledger = Ledger(snapshot.begun_with)
    record = [one for one in snapshot.record if one.action != Foresee.action]  # which the run asks for itself
    for one, later in zip_longest(record, record[1:]):
        command = restored(one, problem)
        beside += one.asks
        out = max(0, int(asked[one.evaluation]) + beside - one.evaluation - back)  # drawn up by then
        after = follow(ledger, command, one.evaluation, one.detail)
        idle, ledger = command.decides and after is ledger, after
        if idle:
            lines += [f"# study.{command.call(problem)}: {NOTHING}"]
            continue
        if isinstance(command, Prepare):
            back += out
            if later is None or later.evaluation > one.evaluation:
                continue  # what was drawn up was evaluated next
            command = Prepare(command.candidates + out)
        lines += _run(done, one.evaluation)
        done = max(done, one.evaluation)
        if isinstance(command, Budget):
            command = Budget(max(command.evaluations, done))
        if command != Prepare(0):
            comment = "  # give the object or class" if _is_own(command) else ""
            lines += [f"study.{command.call(problem)}{comment}"]
    lines += _run(done, count)
    return "\n".join([*lines, "print(study.front())", ""])


def _run(done: int, until: int) -> list[str]:
    """What goes on from one number of evaluations to another."""
    return [f"study.optimize(until={until})"] if until > done else []


def _creation(beginning: Beginning, names: tuple[str, ...]) -> list[str]:
    recipe, title = beginning.recipe, _one_line(beginning.title)
    lines = []
    if recipe is None:
        lines += [
            "",
            "def make_problem():",
            f'    """The problem or workload that was searched: {title}."""',
            "    problem = ...  # fill in",
            "    return problem",
            "",
            "",
        ]
    own = [name for name in names if name not in NAMES]
    if own:
        lines += [f"# species of your own, as objects or classes in place of their names: {_one_line(own)}"]
    inherited, transferred, checked = beginning.inherited, [], []
    if inherited.networks:
        transferred = ["    transfer=[", *(f"        {_source(one)}" for one in inherited.sources), "    ],"]
        checked = [
            f"if study.transferred.digest != {inherited.digest!r}:",
            '    raise SystemExit("what is transferred has gone on since: give a copy of it as it was then")',
        ]
    usual, options = SearchOptions(), vars(beginning.options)
    changed = {name: value for name, value in options.items() if value != getattr(usual, name)}
    return [
        *lines,
        "study = nl.create_study(",
        f"    {'make_problem()' if recipe is None else repr(recipe['workload'])},",
        f"    seed={beginning.seed!r},",
        '    preset="paper",',
        f"    species={tuple(map(plain, names))!r},",
        *(f"    {name}={value!r}," for name, value in changed.items()),
        *transferred,
        ")",
        *checked,
    ]


def _source(source: tuple[str, str] | None) -> str:
    if source is None:
        return "...,  # fill in the study"
    path, name = map(ascii, source)
    return f"nl.load_study({path}, {name}, read_only=True),"


def _is_own(command: Command) -> bool:
    return isinstance(command, AddSpecies) and command.name not in NAMES


def _one_line(value: object) -> str:
    """For a comment or a docstring: nothing of it can end either."""
    return ascii(value)[1:-1].replace("\\", "/").replace('"', "'")
