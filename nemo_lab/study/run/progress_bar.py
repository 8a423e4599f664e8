"""A bar that shows how far a run is, while somebody waits for it."""

from __future__ import annotations

from nemo_lab.study.run.runner import Runner


class ProgressBar:
    """Made before the run starts: tqdm changes Python's warning filters while it loads, as other imports do.

    Args:
        shown: whether there is a bar to be seen.
    """

    def __init__(self, *, shown: bool) -> None:
        from tqdm.auto import tqdm

        self._make, self._shown = tqdm, shown

    def wait(self, runner: Runner) -> None:
        """Block until no run is on, and show its progress meanwhile."""
        snapshot = runner.snapshot
        done = len(snapshot.evaluations)
        total = None if snapshot.endless else snapshot.target
        with self._make(total=total, initial=done, unit="eval", disable=not self._shown) as bar:
            ended = False
            while not ended:
                ended = runner.wait(0.1, through_pauses=True)
                snapshot = runner.snapshot
                bar.update(len(snapshot.evaluations) - bar.n)
                bar.set_postfix(front=len(snapshot.front), hv=f"{snapshot.hypervolume:.3f}", refresh=False)
