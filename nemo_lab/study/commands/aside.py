"""What is done with the engine between two evaluations, and leaves it as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from nemo_lab.search import Engine
from nemo_lab.study.commands.base import Command, Evaluate


@dataclass(frozen=True)
class Aside(Command):
    """Call a function with the engine; a failure goes to the one who asked."""

    decides = False
    work: Callable[[Engine], None] = field(repr=False)
    answer: Future[None] = field(default_factory=Future)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        with contextlib.suppress(InvalidStateError):  # of an answer that was cancelled meanwhile
            try:
                if self.answer.set_running_or_notify_cancel():
                    self.work(engine)
                    self.answer.set_result(None)
            except BaseException as error:
                self.answer.set_exception(error)
                if not isinstance(error, Exception):
                    raise
        return ""
