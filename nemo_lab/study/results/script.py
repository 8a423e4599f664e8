"""A run as a plain Python file that makes it again, interventions included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nemo_lab.search import Ledger, Problem, SearchOptions
from nemo_lab.search.species import NAMES
from nemo_lab.study.commands.base import Command
from nemo_lab.study.commands.evaluations import Prepare
from nemo_lab.study.commands.registry import follow, restored
from nemo_lab.study.commands.search import Budget, Redo, Undo
from nemo_lab.study.commands.species import AddSpecies
from nemo_lab.study.results.snapshot import Intervention, Snapshot


@dataclass(frozen=True)
class Beginning:
    """How a study began.

    Attributes:
        title: of the workload or problem.
        problem: that is searched.
        seed, options: of the search.
        recipe: how nemo_lab makes the problem by itself; None leaves a line to fill in.
    """

    title: str
    problem: Problem
    seed: int
    options: SearchOptions
    recipe: Mapping[str, Any] | None


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
    ledger = Ledger(snapshot.begun_with)
    for number, one in enumerate(snapshot.record):
        command = restored(one, problem)
        after = follow(ledger, command, one.evaluation, one.detail)
        idle, ledger = isinstance(command, Undo | Redo) and after is ledger, after
        if isinstance(command, Prepare) and not _matters(command, one, snapshot.record[number + 1 :]):
            continue
        if idle:  # another one came before it
            lines += [f"# {one.action}: nothing was left"]
            continue
        if one.evaluation > done:
            done = one.evaluation
            lines += [f"study.optimize(until={done})"]
        if isinstance(command, Budget):
            command = Budget(max(command.evaluations, done))
        comment = "  # give the object or class" if _is_own(command) else ""
        lines += [f"study.{command.call(problem)}{comment}"]
    if count > done:
        lines += [f"study.optimize(until={count})"]
    return "\n".join([*lines, "print(study.front())", ""])


def _creation(beginning: Beginning, names: tuple[str, ...]) -> list[str]:
    recipe, title = beginning.recipe, _one_line(beginning.title)
    lines = []
    if recipe is None:
        lines += [f"problem = ...  # the problem or workload that was searched: {title}", ""]
    own = [name for name in names if name not in NAMES]
    if own:
        lines += [f"# species of your own, as objects or classes in place of their names: {_one_line(own)}"]
    plain, options = SearchOptions(), vars(beginning.options)
    changed = {name: value for name, value in options.items() if value != getattr(plain, name)}
    return [
        *lines,
        "study = nl.create_study(",
        f"    {'problem' if recipe is None else repr(recipe['workload'])},",
        f"    seed={beginning.seed!r},",
        '    preset="paper",',
        f"    species={names!r},",
        *(f"    {name}={value!r}," for name, value in changed.items()),
        ")",
    ]


def _matters(command: Prepare, one: Intervention, later: tuple[Intervention, ...]) -> bool:
    """Whether candidates were drawn up before an intervention that came before they were evaluated."""
    return bool(command.candidates and later and later[0].evaluation == one.evaluation)


def _is_own(command: Command) -> bool:
    return isinstance(command, AddSpecies) and command.name not in NAMES


def _one_line(value: object) -> str:
    """For a comment or a docstring: nothing of it can end either."""
    return ascii(value)[1:-1].replace("\\", "/").replace('"', "'")
