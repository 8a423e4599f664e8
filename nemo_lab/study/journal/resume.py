"""From a journal back to an engine: its last stored state, and all that came after gone through again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from nemo_lab.errors import StorageError
from nemo_lab.search import Engine
from nemo_lab.search.species import Bits, Species
from nemo_lab.study.commands.registry import NOTHING, carry_out, restored
from nemo_lab.study.journal.records import Checkpoint, Stored

LOGGER = logging.getLogger(__name__)
NOTHING_BEFORE = ("nothing was left to undo", "nothing was left to redo", "no other has children")  # once


def resumed(make: Callable[[], Engine], stored: Stored, species: Callable[[str], Species]) -> Engine:
    """An engine that has made the stored evaluations and interventions, bit for bit.

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
            _load(engine, checkpoint, stored, species)
            _go_through(engine, stored, checkpoint.interventions, species)
            return engine
        except Exception:
            LOGGER.info("the stored state cannot be used: the record is enough", exc_info=True)
    engine = make()
    try:
        _go_through(engine, stored, 0, species)
    except StorageError:
        raise
    except Exception as error:
        raise StorageError(
            f"the journal cannot be replayed: {type(error).__name__}: {error}",
            "load_study(..., read_only=True) shows what is in it",
        ) from error
    return engine


def _load(engine: Engine, checkpoint: Checkpoint, stored: Stored, species: Callable[[str], Species]) -> None:
    state = state_of(checkpoint)
    evaluations, history = stored.evaluations.first(checkpoint.evaluation), stored.history
    engine.state.load_state_dict(state, evaluations, history[: state["generation"]], species)


def _go_through(engine: Engine, stored: Stored, first: int, species: Callable[[str], Species]) -> None:
    for one in stored.record[first:]:
        _evaluate_until(engine, stored, one.evaluation)
        _ask(engine, one.asks)
        done = carry_out(engine, restored(one, engine.problem, species), _refuse)
        if done == NOTHING and not one.detail.endswith((NOTHING, *NOTHING_BEFORE)):
            raise StorageError(
                f"intervention {one.action!r} of the journal ({one.detail:.80}) does nothing in this search",
                "use the versions that it names, or load_study(..., read_only=True)",
            )
    _evaluate_until(engine, stored, len(stored.evaluations))


def _evaluate_until(engine: Engine, stored: Stored, count: int) -> None:
    log = stored.evaluations
    for number in range(len(engine.evaluations), count):
        _ask(engine, log.asks[number])
        candidate = next(iter(engine.out[log.place[number] :]), None)
        if candidate is None or not np.array_equal(candidate.bits, log.bits[number]):
            raise StorageError(
                f"evaluation {number} of the journal is not what this search would make",
                "use the versions that it names, or load_study(..., read_only=True)",
            )
        engine.tell(candidate, log.objectives[number])


def _ask(engine: Engine, times: int) -> None:
    for _ in range(times):
        engine.ask()


def _refuse(bits: Bits) -> NoReturn:
    raise StorageError(
        "this study is only read from its journal and cannot evaluate",
        "load_study(path) goes on with the run",
    )


def state_of(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """What a checkpoint says, as ``SearchState.state_dict`` would have it, whatever format it is of."""
    return checkpoint.state if "ledger" in checkpoint.state else _from_flat(checkpoint.state)


def _from_flat(saved: Mapping[str, Any]) -> dict[str, Any]:
    """A state of journal format 1 or 2, which knew no parts, as ``SearchState.state_dict`` would have it."""
    own, population, *streams = saved["random"]

    def step(one: Mapping[str, Any]) -> dict[str, Any]:
        kept = {"constraints": one["rules"], "controls": one["controls"]}
        return {**kept, "budget": one["budget"], "label": one["label"]}

    held = ("own", "allocation", "evaluated", "owed", "ranking", "living")
    return {
        "members": saved["members"],
        "population": {**{name: saved[name] for name in held}, "random": [population, *streams]},
        "queue": saved["pending"],
        "archive": {"front": saved["front"], "excess": saved["excess"]},
        "ledger": {
            "species": saved["species"],
            "constraints": saved["rules"],
            "controls": saved["controls"],
            "budget": saved["budget"],
            "done": list(map(step, saved["undoable"])),
            "undone": list(map(step, saved["undone"])),
        },
        "done": saved["undoable"],
        "undone": saved["undone"],
        "random": own,
        **{name: saved[name] for name in ("view", "generation", "exhausted")},
    }
