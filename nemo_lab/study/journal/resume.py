"""From a journal back to an engine: its last stored state, and all that came after gone through again."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from nemo_lab.errors import StorageError
from nemo_lab.search import Engine
from nemo_lab.search.species import Bits, Species
from nemo_lab.search.state import restore
from nemo_lab.study.commands.search import Command, restored
from nemo_lab.study.journal import Stored

LOGGER = logging.getLogger(__name__)


def taken_up(make: Callable[[], Engine], stored: Stored, species: Callable[[str], Species]) -> Engine:
    """An engine that has made the stored evaluations and steers, bit for bit.

    Args:
        make: gives a fresh engine of the study.
        stored: by its journal.
        species: gives one by name that was added in the middle of the run.

    Raises:
        StorageError: if the search makes other evaluations than the journal has.
    """
    checkpoint = stored.checkpoint
    if checkpoint is not None and checkpoint.evaluation <= len(stored.evaluations):
        engine = make()
        try:
            done = type(stored.evaluations)(
                **{name: column[: checkpoint.evaluation] for name, column in vars(stored.evaluations).items()}
            )
            history = stored.history[: checkpoint.state["generation"]]
            restore(engine, checkpoint.state, done, history, species)
            _go_through(engine, stored, checkpoint.steers, species)
            return engine
        except Exception:
            LOGGER.info("the stored state cannot be used: evaluations and steers are enough", exc_info=True)
    engine = make()
    try:
        _go_through(engine, stored, 0, species)
    except StorageError:
        raise
    except Exception as error:
        raise StorageError(
            f"the journal cannot be gone through again: {type(error).__name__}: {error}",
            "load_study(..., read_only=True) shows what is in it",
        ) from error
    return engine


def _go_through(engine: Engine, stored: Stored, first: int, species: Callable[[str], Species]) -> None:
    for number in range(first, len(stored.steers)):
        steer = stored.steers[number]
        _evaluate_until(engine, stored, steer.evaluation)
        carry_out(engine, restored(steer.action, steer.arguments, engine.problem, species), _refuse)
    _evaluate_until(engine, stored, len(stored.evaluations))


def _evaluate_until(engine: Engine, stored: Stored, count: int) -> None:
    log = stored.evaluations
    for number in range(len(engine.evaluations), count):
        candidate = engine.ask()
        if candidate is None or not np.array_equal(candidate.bits, log.bits[number]):
            raise StorageError(
                f"evaluation {number} of the journal is not what this search would make",
                "use the versions that it names, or load_study(..., read_only=True)",
            )
        engine.tell(candidate, log.objectives[number])


def carry_out(engine: Engine, command: Command, evaluate: Callable[[Bits], np.ndarray]) -> str:
    """Apply a command, and note what people call it; returns what was done."""
    before = engine.undoable
    detail = command.apply(engine, evaluate)
    if command.undoable and engine.undoable is not before:
        engine.describe(f"{command.action} {detail}")
    return detail


def _refuse(bits: Bits) -> np.ndarray:
    raise StorageError("a journal evaluates nothing")
