"""Fixtures for all tests, and how hypothesis runs."""

from __future__ import annotations

import gc
import signal
import subprocess
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from nemo_lab import QuantizationProblem, Workload, load_workload
from tests.toy import ToyProblem

with warnings.catch_warnings():  # torch-geometric compiles with torch.jit, which torch calls deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", FutureWarning)  # newer versions of torch say it so
    import torch_geometric.nn  # noqa: F401

Remount = Callable[[str], None]

# a shell that starts the tests in the background has Ctrl-C ignored, for them and for what they start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("nemo_lab", deadline=None, max_examples=50, derandomize=True, database=None)
settings.load_profile("nemo_lab")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several at once take files of few tests first: those wait, and would leave cores idle at the end."""
    if hasattr(config, "workerinput"):
        tests = Counter(item.path for item in items)
        items.sort(key=lambda item: tests[item.path])


def pytest_collection_finish() -> None:
    """What is there by now stays: it need not be gone through at every collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def digits() -> Workload:
    return load_workload("digits")


@pytest.fixture(scope="session")
def fashion() -> Workload:
    return load_workload("fashion")


@pytest.fixture(scope="session")
def text() -> Workload:
    return load_workload("text")


@pytest.fixture(scope="session")
def digits_problem(digits: Workload) -> QuantizationProblem:
    return QuantizationProblem(digits)


@pytest.fixture
def toy() -> ToyProblem:
    return ToyProblem()


@pytest.fixture(scope="session")
def digits_int32(digits: Workload) -> QuantizationProblem:
    return QuantizationProblem(digits, bias="int32")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Remount]]:
    """A disk of its own, and how to change it; only where tests may mount one."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options: str) -> int:
        command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(place)]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode
        except OSError:
            return 1

    if mount("-o", "size=200k"):
        pytest.skip("no right to mount a disk here")
    try:
        yield place, lambda options: subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)  # type: ignore[func-returns-value]
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
