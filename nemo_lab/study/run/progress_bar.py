"""A bar that shows how far a run is, while somebody waits for it."""

from __future__ import annotations

from nemo_lab.study.run.runner import Runner


def wait_with_bar(runner: Runner, *, shown: bool) -> None:
    """Block until no run is on, or it is paused for good, and show its progress meanwhile."""
    from tqdm.auto import tqdm

    snapshot = runner.snapshot
    done = len(snapshot.evaluations)
    with tqdm(total=snapshot.target, initial=done, unit="eval", disable=not shown) as bar:
        ended = False
        while not ended:
            ended = runner.wait(0.1, through_pauses=True)
            snapshot = runner.snapshot
            bar.update(len(snapshot.evaluations) - bar.n)
            bar.set_postfix(front=len(snapshot.front), hv=f"{snapshot.hypervolume:.3f}", refresh=False)
