"""Who may use torch when: many threads compute, one at a time traces, and torch.export has torch to itself.

While it traces, torch changes itself for the whole process. What torch.fx changes, our tracer keeps from
other threads, so that only two traces exclude each other, but for older versions of torch: see
``nemo_lab.workload.capture``. torch.export changes far more (builtins, kernels,
the parameters of the network), so nobody computes meanwhile: those who do let it through where they look up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

from nemo_lab.errors import TraceError
from nemo_lab.interruption import LOOK_UP, check_interrupted, held, looking_up

PATIENCE = 5.0  # seconds that one who waits to be alone keeps others from beginning
GIVES_UP = 60.0  # seconds after which it gives up: what it waits for may be waiting for it

_turn = threading.Condition()
_traces = threading.Lock()
_computing: set[int] = set()  # threads
_tracer: int | None = None  # the thread that traces
_waits = _alone = False  # whether it waits to be alone, whether it is


@contextmanager
def computing() -> Iterator[None]:
    """Use torch in the body, together with others who compute, while nobody is ``alone``.

    Harmless in a thread that computes or traces already. In a long body ``check_interrupted`` lets through
    who waits to be alone.

    Raises:
        Interrupted: see ``check_interrupted``.
    """
    me = get_ident()
    if me in _computing or me == _tracer:
        yield
        return
    try:
        _enter(me)
        yield
    finally:
        _leave(me)


@contextmanager
def tracing() -> Iterator[None]:
    """Trace in the body, while no other thread does. A thread that computes does not while it traces.

    Raises:
        Interrupted: see ``check_interrupted``.
    """
    global _tracer
    me = get_ident()
    if me == _tracer:
        yield
        return
    computes = me in _computing
    try:
        _leave(me)  # two that compute, and each wants to trace, would wait for each other
        with held(_traces):
            try:
                _tracer = me
                yield
            finally:
                _tracer = None
    finally:
        if computes:
            _enter(me)


@contextmanager
def alone() -> Iterator[None]:
    """Within ``tracing``: have torch to oneself, once all who compute have ended or looked up.

    Raises:
        TraceError: if that does not come to pass within a minute.
        Interrupted: see ``check_interrupted``.
    """
    global _waits, _alone
    if _alone:
        yield
        return
    try:
        with looking_up(_give_way):
            _wait_for_all()
        yield
    finally:
        with _turn:
            _waits = _alone = False
            _turn.notify_all()


def _wait_for_all() -> None:
    global _waits, _alone
    given_up = time.monotonic() + GIVES_UP
    while True:
        with _turn:
            _waits = True
            if not _computing:
                _waits, _alone = False, True
                return
            _turn.wait(LOOK_UP)
        check_interrupted()
        if time.monotonic() > given_up:
            raise TraceError(
                f"this network can be traced only while nothing is evaluated, and an evaluation has been "
                f"under way for {GIVES_UP:.0f} seconds",
                "pause the study and try again, or call nemo_lab.check_interrupted() now and then in an "
                "evaluate of your own, which lets a trace through",
            )


def _enter(me: int) -> None:
    patient = time.monotonic() + PATIENCE if _waits else 0.0
    while True:
        with _turn:
            if not _alone and not (_waits and time.monotonic() < patient):
                _computing.add(me)
                return
            _turn.wait(LOOK_UP)
        check_interrupted()


def _leave(me: int) -> None:
    with _turn:
        _computing.discard(me)
        if _waits:
            _turn.notify_all()


def _give_way() -> None:
    """Let through who waits to be alone."""
    me = get_ident()
    if me in _computing:
        _leave(me)
        _enter(me)
