"""A run as a plain Python file that makes it again, steers included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nemo_lab.search import SearchOptions
from nemo_lab.search.species import NAMES
from nemo_lab.study.commands.search import Budget, Prepare, restored
from nemo_lab.study.commands.species import AddSpecies
from nemo_lab.study.results.snapshot import Intervention

if TYPE_CHECKING:
    from nemo_lab.study.study import Study

LOST_RACE = "nothing was left"  # an undo or redo that another one came before


def script(study: Study, steers: Sequence[Intervention], recipe: Mapping[str, Any] | None) -> str:
    """Python that makes a study and its evaluations again, bit for bit.

    Args:
        study: what to write down.
        steers: all of it, in order, with the candidates drawn up before a steer.
        recipe: how nemo_lab makes the problem by itself; None leaves a line to fill in.
    """
    count = len(study.snapshot.evaluations)
    lines = [
        f'"""{_one_line(study.title)}: {count} evaluations, as nemo_lab made them."""',
        "",
        "import nemo_lab as nl",
        "",
    ]
    if recipe is None:
        title = _one_line(study.title)
        lines += [f"problem = ...  # the problem or workload that was searched: {title}", ""]
    source = "problem" if recipe is None else repr(recipe["workload"])
    names = study.begun_with
    own = [name for name in names if name not in NAMES]
    if own:
        lines += [f"# species of your own, as objects or classes in place of their names: {_one_line(own)}"]
    plain = SearchOptions()
    options = {name: value for name, value in vars(study.options).items() if value != getattr(plain, name)}
    lines += [
        "study = nl.create_study(",
        f"    {source},",
        f"    seed={study.seed!r},",
        '    preset="paper",',
    ]
    lines += [f"    species={tuple(names)!r},"]
    lines += [f"    {name}={value!r}," for name, value in options.items()]
    lines += [")"]
    done = 0
    for number, steer in enumerate(steers):
        command = restored(steer.action, steer.arguments, study.problem, study.species_named)
        if isinstance(command, Prepare) and (
            not command.candidates
            or number + 1 == len(steers)
            or steers[number + 1].evaluation != steer.evaluation
        ):
            continue
        if steer.detail.startswith(LOST_RACE):
            lines += [f"# {_one_line(steer.action)}: {LOST_RACE}"]
            continue
        if steer.evaluation > done:
            done = steer.evaluation
            lines += [f"study.optimize(until={done})"]
        if isinstance(command, Budget):
            command = Budget(max(command.evaluations, done))
        comment = "  # give the object or class" if _is_own(command) else ""
        lines += [f"study.{command.call(study.problem)}{comment}"]
    if count > done:
        lines += [f"study.optimize(until={count})"]
    return "\n".join([*lines, "print(study.front())", ""])


def _is_own(command: Any) -> bool:
    return isinstance(command, AddSpecies) and command.name not in NAMES


def _one_line(value: object) -> str:
    """For a comment or a docstring: nothing of it can end either."""
    return ascii(value)[1:-1].replace("\\", "/").replace('"', "'")
