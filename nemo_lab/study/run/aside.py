"""Calls with the engine, between two evaluations of a run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from nemo_lab.interruption import LOOK_UP, check_interrupted
from nemo_lab.search import Engine
from nemo_lab.study.commands.aside import Aside
from nemo_lab.study.commands.evaluations import WhatIf
from nemo_lab.study.run.runner import Runner


def call_aside(runner: Runner, work: Callable[[Engine], None]) -> None:
    """Call a function with the engine; blocks until it is done, and raises what it raises.

    Whoever may be a part of the run says ``check_outside`` before.
    """
    command = Aside(work)
    wait_for(runner, command)
    command.answer.result()


def wait_for(runner: Runner, command: Aside | WhatIf) -> None:
    """Post a command, and wait for its answer; who is interrupted wants it no more."""
    answer: Future[Any] = command.answer
    try:
        runner.post(command)
        while not wait([answer], LOOK_UP).done:
            check_interrupted()
    finally:
        answer.cancel()
