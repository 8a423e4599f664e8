"""Every command by its name in the log: read from a record, carried out, or followed without an engine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from nemo_lab.errors import StorageError, UnknownNameError
from nemo_lab.search import Engine, Ledger, Problem
from nemo_lab.search.species import Species
from nemo_lab.study.commands.base import Command, Evaluate
from nemo_lab.study.commands.evaluations import EVALUATION_COMMANDS
from nemo_lab.study.commands.search import SEARCH_COMMANDS
from nemo_lab.study.commands.species import SPECIES_COMMANDS, AddSpecies

LOGGER = logging.getLogger(__name__)
NOTHING = "nothing changed"
COMMANDS = {one.action: one for one in (*SEARCH_COMMANDS, *EVALUATION_COMMANDS, *SPECIES_COMMANDS)}


class Recorded(Protocol):
    """A command that took effect, as a record has it."""

    @property
    def evaluation(self) -> int:
        """Evaluations made before it."""

    @property
    def action(self) -> str:
        """Name of the command."""

    @property
    def detail(self) -> str:
        """What was done, for people."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """As ``Command.arguments`` gave them."""


def restored(one: Recorded, problem: Problem, make: Callable[[str], Species] | None = None) -> Command:
    """The command that a record describes.

    Args:
        one: from a journal, or of this run.
        problem: that it is about.
        make: gives a species by name, for one that is to be applied; not needed to follow it.

    Raises:
        StorageError: if nothing of ours is described so.
    """
    try:
        fields = {
            name: {int(key): value for key, value in value["pairs"]} if isinstance(value, dict) else value
            for name, value in one.arguments.items()
        }
        if one.action == AddSpecies.action:
            name = str(fields["name"])
            return AddSpecies(name, None if make is None else _made(name, make))
        command = COMMANDS[one.action](**fields)
        if command.sound(problem):
            return command
        wrong: object = fields
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        wrong = error
    raise StorageError(
        f"the journal has an intervention {one.action!r} that cannot be read: {wrong!r:.200}",
        "load_study(..., read_only=True) shows the rest",
    )


def _made(name: str, make: Callable[[str], Species]) -> Species:
    try:
        return make(name)
    except UnknownNameError as error:
        raise StorageError(
            f"the journal does not hold species {name!r}, which was added in the middle of the run",
            "give it: load_study(path, species=[...]), or watch: load_study(path, read_only=True)",
        ) from error


def carry_out(engine: Engine, command: Command, evaluate: Evaluate) -> str:
    """Apply a command, and note what people call it; returns what was done.

    One that was right when it was asked for does nothing where another failed that came before it.
    """
    before = engine.ledger
    if command.decides and command.decide(before, len(engine.evaluations)) is before:
        detail = NOTHING
    else:
        detail = command.apply(engine, evaluate)
        if command.undoable and engine.ledger is not before:
            engine.steering.describe(f"{command.action} {detail}")
    if command.action:
        engine.state.take_asks()  # what follows counts from here
    return detail


def follow(ledger: Ledger, command: Command, evaluations: int, detail: str = "") -> Ledger:
    """What is in force after a command: what ``carry_out`` leaves in an engine's ledger."""
    after = command.decide(ledger, evaluations)
    if command.undoable and after is not ledger:
        return after.describe(f"{command.action} {detail}")
    return after


def followed(ledger: Ledger, record: Iterable[Recorded], problem: Problem) -> Ledger:
    """What is in force after a record of commands; what cannot be read, in a damaged file, is passed over."""
    for one in record:
        try:
            ledger = follow(ledger, restored(one, problem), one.evaluation, one.detail)
        except (StorageError, ValueError):  # the latter of a species that never took part
            LOGGER.warning("an intervention of the journal is passed over", exc_info=True)
    return ledger
