"""The runner of a study: fresh, taken up from a journal, or a look at what another process runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from nemo_lab.search import Engine
from nemo_lab.search.species import Species
from nemo_lab.study.journal import Journal, Recorder, resumed
from nemo_lab.study.run.driver import Driver
from nemo_lab.study.run.elsewhere import Executor
from nemo_lab.study.run.follower import Follower
from nemo_lab.study.run.runner import Runner
from nemo_lab.study.run.worker import Worker


def runner_of(
    journal: Journal | None,
    engine: Callable[[], Engine],
    named: Callable[[str], Species],
    workers: int,
    executor: Executor | None,
) -> tuple[Recorder, Runner]:
    """What records a study, and what runs it.

    Args:
        journal: that it is in, if it is in one.
        engine: makes a fresh one.
        named: the species of a name, for an engine that is taken up.
        workers: configurations evaluated at once.
        executor: where, if not in this process.
    """
    if journal is not None and not journal.writable:
        return Recorder(journal), cast("Runner", Follower(journal))
    stored = None if journal is None else journal.read()
    begun = stored if stored is not None and (len(stored.evaluations) or stored.record) else None
    made = engine() if begun is None else resumed(engine, begun, named)
    recorder = Recorder(journal, stored)
    ended = begun is not None and begun.status.get("state") == "finished"
    return recorder, Worker(Driver(made, workers, recorder, begun, executor), ended=ended)
