"""A journal under a real Jupyter kernel that is interrupted, restarted and shut down during a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from nemo_lab import create_study, load_study
from tests.toy import SlowProblem
from tests.waiting import PATIENCE, until

BEGIN = """
import warnings; warnings.simplefilter("ignore")
import nemo_lab as nl
from tests.toy import SlowProblem
study = nl.create_study(SlowProblem(), seed=5, population=16, storage={path!r})
"""


class Kernel:
    """A kernel, and cells that are run in it."""

    def __init__(self) -> None:
        self.manager = KernelManager()
        self.manager.start_kernel()
        self.connect()

    def connect(self) -> None:
        """Talk to the kernel, a new one perhaps."""
        if hasattr(self, "client"):
            self.client.stop_channels()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(PATIENCE)

    def run(self, code: str) -> str:
        """Text printed by a cell, and the names of its errors."""
        said: list[str] = []

        def listen(message: dict[str, Any]) -> None:
            content = message["content"]
            said.append(str(content.get("text", "") or content.get("ename", "")))

        self.client.execute_interactive(code, timeout=PATIENCE, output_hook=listen)
        return "".join(said)

    def begin(self, code: str) -> None:
        """Have a cell run; does not wait."""
        self.client.execute(code)

    def close(self) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self.manager.context.destroy(linger=0)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    try:
        yield made
    finally:
        made.close()


def stored(path: Path) -> int:
    watching = load_study(path, read_only=True)
    count = len(watching.evaluations())
    watching.close()
    return count


def test_a_file_survives_interrupt_restart_and_shutdown(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    kernel.run(BEGIN.format(path=str(path)))
    kernel.begin("study.optimize(100_000, progress=False)")
    until(lambda: stored(path) > 10)
    kernel.manager.interrupt_kernel()
    assert "idle" in kernel.run("print(study.state)")
    first = int(kernel.run("print(len(study.evaluations()))"))
    assert stored(path) == first > 10

    kernel.run("study.start(100_000)")
    until(lambda: stored(path) > first + 10)
    kernel.manager.restart_kernel(now=True)
    kernel.connect()
    second = stored(path)
    load = f"import nemo_lab as nl; from tests.toy import SlowProblem; s = nl.load_study({str(path)!r}, "
    assert int(kernel.run(load + "problem=SlowProblem()); print(len(s.evaluations()))")) == second
    kernel.run("s.start(100_000)")
    until(lambda: stored(path) > second + 10)
    kernel.manager.shutdown_kernel()

    third = stored(path)
    with_us = load_study(path, problem=SlowProblem())
    assert len(with_us.evaluations()) == third
    found = with_us.optimize(20, progress=False).evaluations(bits=True)
    with_us.close()
    whole = create_study(SlowProblem(), seed=5, population=16).optimize(third + 20, progress=False)
    assert found.equals(whole.evaluations(bits=True))
