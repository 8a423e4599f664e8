"""The states of a run, and what leads from one to the next.

``docs/architecture.md`` shows the picture that ``drawn`` gives.
"""

from __future__ import annotations

from typing import Literal

from nemo_lab.errors import StudyStateError
from nemo_lab.study.results.snapshot import State

Phase = Literal["idle", "running", "pausing", "paused", "stopping", "finished", "failed"]
Event = Literal["start", "pause", "resume", "stop", "hold", "rest", "finish", "fail"]

RESTING: tuple[Phase, ...] = ("idle", "finished", "failed")
ACTIVE: tuple[Phase, ...] = ("running", "pausing", "paused", "stopping")

# asked for by callers: start, pause, resume, stop; told by the worker: hold, rest, finish, fail
TRANSITIONS: dict[Event, dict[Phase, Phase]] = {
    "start": dict.fromkeys(RESTING, "running"),
    "pause": {"running": "pausing", "pausing": "pausing", "paused": "paused"},
    "resume": {"pausing": "running", "paused": "running"},
    "stop": dict.fromkeys(ACTIVE, "stopping"),
    "hold": {"pausing": "paused"},
    "rest": dict.fromkeys(ACTIVE, "idle"),
    "finish": dict.fromkeys(ACTIVE, "finished"),
    "fail": dict.fromkeys(ACTIVE, "failed"),
}
WAYS_OUT: dict[Event, tuple[str, str]] = {  # where an event leads nowhere
    "pause": ("", "call start() first"),
    "resume": (", not paused", "call start() to run it"),
}


class StateMachine:
    """Where a run stands; whoever uses it holds a lock.

    Args:
        phase: to begin in.
    """

    def __init__(self, phase: Phase = "idle") -> None:
        self.phase: Phase = phase

    @property
    def state(self) -> State:
        """The phase as people see it: a run that is about to pause still runs."""
        return _seen(self.phase)

    @property
    def active(self) -> bool:
        """Whether a run is on."""
        return self.phase in ACTIVE

    def stopping(self) -> bool:
        """Whether a run is to end without delay."""
        return self.phase == "stopping"

    def can(self, event: Event) -> bool:
        """Whether an event leads anywhere from here."""
        return self.phase in TRANSITIONS[event]

    def check(self, event: Event) -> None:
        """Refuse what a caller asks for and what leads nowhere from here.

        Raises:
            StudyStateError: which names what does.
        """
        if self.can(event):
            return
        state = self.state
        if event == "start":
            way_out = "call resume()" if state == "paused" else "wait for it, or stop it first"
            raise StudyStateError(f"the study is already {state}", way_out)
        but, way_out = WAYS_OUT[event]
        raise StudyStateError(f"cannot {event}: the study is {state}{but}", way_out)

    def after(self, event: Event) -> State:
        """The state to which an event leads."""
        return _seen(TRANSITIONS[event][self.phase])

    def take(self, event: Event) -> None:
        """Go where an event leads.

        Raises:
            RuntimeError: if it leads nowhere from here: ask ``can`` first.
        """
        if not self.can(event):
            raise RuntimeError(f"{event} does not lead anywhere from {self.phase}")
        self.phase = TRANSITIONS[event][self.phase]


def _seen(phase: Phase) -> State:
    return "running" if phase == "pausing" else phase


def drawn() -> str:
    """The machine as a Mermaid state diagram; what leads out of every active phase is one arrow."""
    inner: list[str] = []
    outer = ["    [*] --> idle"]
    for event, ways in TRANSITIONS.items():
        ends = set(ways.values())
        if set(ways) == set(ACTIVE) and ends <= set(RESTING):
            outer += [f"    active --> {end}: {event}" for end in ends]
            continue
        for start, end in ways.items():
            if start != end:
                (inner if start in ACTIVE else outer).append(f"    {start} --> {end}: {event}")
    return "\n".join(
        ["stateDiagram-v2", "    state active {", *(f"    {one}" for one in inner), "    }", *outer]
    )
