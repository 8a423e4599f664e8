"""What lies beside a file that is gone, what is no file, names that no disk takes: nothing comes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, StorageError
from nemo_lab.study import salvage
from tests.toy import ToyProblem

SMALL: dict[str, Any] = {"population": 8, "min_size": 2, "species": ("continuous", "integer")}
KILLED = """
import os, signal, sys, time
import nemo_lab as nl
from tests.toy import ToyProblem
small = dict(population=8, min_size=2, species=("floor",))
study = nl.create_study(ToyProblem(), seed=1, storage=sys.argv[1], **small)
study.start(10**6)
while len(study.snapshot.evaluations) < 40:
    time.sleep(0.005)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def gone(tmp_path: Path) -> Path:
    """A journal whose program was killed, and that somebody has deleted: its log is still there."""
    path = tmp_path / "run.sqlite"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert Path(f"{path}-wal").stat().st_size > 0
    path.rename(tmp_path / "moved")
    return path


@pytest.mark.parametrize("call", ["create", "save_as", "backup", "salvage"])
def test_a_log_that_was_left_behind_gets_into_no_new_file(call: str, gone: Path, tmp_path: Path) -> None:
    study = nl.create_study(ToyProblem(), storage=tmp_path / "other.sqlite", **SMALL)
    study.optimize(10, progress=False)
    before = {one.name for one in tmp_path.iterdir()}
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: nl.create_study(ToyProblem(), seed=7, storage=gone, **SMALL),
        "save_as": lambda: study.save_as(gone),
        "backup": lambda: study.backup(gone),
        "salvage": lambda: salvage(tmp_path / "other.sqlite", gone),
    }
    with pytest.raises(StorageError, match=r"run\.sqlite-wal' is: .*; move the file back beside it, or"):
        calls[call]()
    assert {one.name for one in tmp_path.iterdir()} == before
    study.optimize(5, progress=False)
    assert len(nl.load_study(tmp_path / "other.sqlite", read_only=True).evaluations()) == 15
    (tmp_path / "moved").rename(gone)  # the way out that is named
    assert len(nl.load_study(gone, problem=ToyProblem()).evaluations()) >= 40


def test_a_pipe_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for call in (
        lambda: nl.load_study(path, read_only=True),
        lambda: nl.load_study(path),
        lambda: nl.study.studies(path),
        lambda: nl.create_study(ToyProblem(), storage=path, **SMALL),
        lambda: salvage(path, tmp_path / "new.sqlite"),
    ):
        with pytest.raises(StorageError, match=r"is not a file, but a pipe|there is no file"):
            call()
    with pytest.raises(ArgumentError, match="it is not a file"):
        nl.create_study(ToyProblem(), start_from=str(path), **SMALL)
    assert [one.name for one in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("length", [246, 250, 254, 255, 300])
def test_a_name_that_is_too_long_is_refused(length: int, tmp_path: Path) -> None:
    path = tmp_path / ("x" * length)
    study = nl.create_study(ToyProblem(), **SMALL).optimize(4, progress=False)
    for call in (lambda: nl.create_study(ToyProblem(), storage=path, **SMALL), lambda: study.save_as(path)):
        with pytest.raises(nl.NemoError, match=r"shorter|check the path|folder|give the path"):
            call()
    assert not list(tmp_path.iterdir())


def test_a_journal_that_is_open_is_read_by_nobody_else_here(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    study = nl.create_study(ToyProblem(), storage=path, **SMALL).optimize(6, progress=False)
    with pytest.raises(ArgumentError, match="is a journal, which is open here"):
        nl.create_study(ToyProblem(), start_from=str(path), **SMALL)
    study.close()
    with pytest.raises(nl.NemoError):
        nl.create_study(ToyProblem(), start_from=str(path), **SMALL)


def test_a_refused_save_as_leaves_a_study_whose_file_comes_back(tmp_path: Path) -> None:
    folder, away = tmp_path / "disk", tmp_path / "away"
    folder.mkdir()
    study = nl.create_study(ToyProblem(), storage=folder / "run.sqlite", **SMALL).optimize(6, progress=False)
    folder.rename(away)
    with pytest.raises(StorageError, match="there is no folder"):
        study.save_as(folder / "run.sqlite")
    away.rename(folder)
    study.optimize(6, progress=False)
    assert len(nl.load_study(folder / "run.sqlite", read_only=True).evaluations()) == 12
    with pytest.raises(StorageError):
        nl.load_study(folder / "run.sqlite", problem=ToyProblem())
