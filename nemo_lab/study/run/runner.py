"""What runs a study, as the study sees it: a worker of this process, or a follower of another one's run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nemo_lab.search import Ledger
from nemo_lab.study.commands.base import Command
from nemo_lab.study.results.snapshot import Snapshot
from nemo_lab.study.run.limits import NO_LIMITS, Limits

Posted = Command | Callable[[Ledger], Command]


class Runner(Protocol):
    """Every method may be called from any thread, and returns at once unless it says otherwise."""

    @property
    def snapshot(self) -> Snapshot:
        """The latest."""

    @property
    def ledger(self) -> Ledger:
        """What is in force once every command posted so far has taken effect."""

    @property
    def following(self) -> bool:
        """Whether another process runs the study, and this one only looks."""

    @property
    def closed(self) -> bool:
        """Whether it will never run again."""

    def check_writable(self) -> None:
        """Refuse what cannot be run or steered here.

        Raises:
            StudyStateError: if another process runs it, or its journal is closed.
        """

    def start(self, target: Callable[[int], int], limits: Limits = NO_LIMITS) -> None:
        """Run until as many evaluations are made as ``target`` says of those made so far, or to a limit.

        Raises:
            StudyStateError: if a run is on.
        """

    def pause(self) -> None:
        """Hold after the evaluation in flight, which is made to its end."""

    def resume(self) -> None:
        """Go on after a pause."""

    def stop(self) -> None:
        """End the run; the evaluation in flight is left where it looks up. Harmless when none is on."""

    def wait(self, timeout: float | None = None, *, through_pauses: bool = False) -> bool:
        """Block until no run is on, or it is paused; returns whether that came before the timeout.

        Raises:
            StudyStateError: if a part of the run waits for it without a timeout.
        """

    def post(self, command: Posted) -> None:
        """Have a command applied between two evaluations; blocks while it is where no run is on.

        Args:
            command: or a function that gives it, or refuses, from what is in force once every command posted
                before has taken effect; none can be posted between the two.
        """

    def close(self) -> None:
        """Stop for good, and let go of the journal. Blocks."""

    def abandon(self) -> None:
        """Stop, and let go of the journal as soon as that can be; does not wait for it."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every snapshot; it must return at once."""

    def forget(self, listener: Callable[[], None]) -> None:
        """Take a listener back."""

    def tell_listeners(self) -> None:
        """Call every listener, as after a snapshot."""

    def raise_failure(self) -> None:
        """Raise what ended the last run, if it failed here."""
