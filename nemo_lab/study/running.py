"""How people run a study: start, pause, resume, stop, wait."""

from __future__ import annotations

from collections.abc import Callable

from nemo_lab.arguments import Number, OrNone, Whole
from nemo_lab.errors import StudyStateError
from nemo_lab.study.commands.evaluations import MANY, Prepare
from nemo_lab.study.parsing.budget import budget
from nemo_lab.study.parsing.listener import LISTENER
from nemo_lab.study.run.limits import NO_LIMITS, limits
from nemo_lab.study.run.runner import Runner

CANDIDATES = Whole(0, MANY)
TIMEOUT = OrNone(Number(0.0))


class Running:
    """The part of a ``Study`` that runs it.

    Args:
        runner: of the study.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def start(
        self,
        evaluations: int | None = None,
        *,
        until: int | None = None,
        minutes: float | None = None,
        stop_when: str | tuple[float, int] | None = None,
    ) -> None:
        """Run in a background thread; arguments as for ``optimize``.

        After a failure it goes on with the evaluation that failed.

        Raises:
            StudyStateError: if a run is on.
            ArgumentError: on a budget that is not a positive whole number, or already spent; on limits that
                are none.
        """
        ends = limits(minutes, stop_when)
        target = budget(evaluations, until, self._runner.snapshot.target, open_end=ends != NO_LIMITS)
        self._runner.start(target, ends)

    def prepare(self, candidates: int = 0) -> None:
        """Make the first population now rather than when the run starts; blocks while it does.

        Args:
            candidates: how many to draw up already. ``to_script`` writes that where a run was stopped in the
                middle of so many evaluations, before a command: the search had chosen them by then.
        """
        self._runner.post(Prepare(CANDIDATES.check("candidates", candidates)))

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every new snapshot, on the thread that made it; it must not block."""
        self._runner.listen(LISTENER.check("listener", listener))

    def forget(self, listener: Callable[[], None]) -> None:
        """Take a listener back."""
        self._runner.forget(LISTENER.check("listener", listener))

    def pause(self) -> None:
        """Hold a run after the evaluation in flight, which is made to its end.

        Raises:
            StudyStateError: if none is on.
        """
        self._refuse_after_failure("pause")
        self._runner.pause()

    def resume(self) -> None:
        """Go on after a pause.

        Raises:
            StudyStateError: if the study is not paused.
        """
        self._refuse_after_failure("resume")
        self._runner.resume()

    def stop(self) -> None:
        """End a run without delay; ``start`` goes on later. Harmless if none is on.

        The evaluation in flight is left at its next batch of images (or where else the problem calls
        ``nemo_lab.check_interrupted``) and made again later: a run that was stopped gives the very
        evaluations of one that never was.
        """
        self._runner.stop()

    def close(self) -> None:
        """Stop, and let go of the journal, so that another process may go on with it. Blocks."""
        self._runner.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until no run is on, or it is paused.

        Args:
            timeout: seconds; no limit by default.

        Returns:
            whether that came before the timeout.

        Raises:
            EvaluationError: if the run failed.
        """
        ended = self._runner.wait(TIMEOUT.check("timeout", timeout))
        self._runner.raise_failure()
        return ended

    def _refuse_after_failure(self, verb: str) -> None:
        snapshot = self._runner.snapshot
        if snapshot.state == "failed" and snapshot.error:
            reason = snapshot.error.strip().splitlines()[-1]
            raise StudyStateError(
                f"cannot {verb}: the run failed: {reason}", "fix the cause and call start()"
            )
