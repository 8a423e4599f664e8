"""Real disks that are full, or become read-only, in the middle of a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from nemo_lab import Study, create_study, load_study
from nemo_lab.errors import StorageError
from tests.conftest import Remount
from tests.toy import ToyProblem


def make(path: Path | None) -> Study:
    return create_study(ToyProblem(), seed=5, population=16, storage=path)


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_run_ends_safely_and_goes_on_when_the_disk_is_mended(
    disk: tuple[Path, Remount], trouble: str
) -> None:
    place, remount = disk
    remount("size=5m")
    whole = make(None).optimize(300, progress=False).evaluations(bits=True)
    study = make(place / "run.sqlite")
    study.optimize(10, progress=False)
    connection: Any = study.journal._connection  # type: ignore[union-attr]
    filler = place / "filler"
    if trouble == "full":
        filler.write_bytes(b"x" * (shutil.disk_usage(place).free - 8192))
    else:
        connection.execute("PRAGMA query_only=ON")  # what is open stays writable on a read-only disk
    with pytest.raises(
        StorageError, match=r"full; make room|readonly.*make the file and its folder writable"
    ):
        study.optimize(until=300, progress=False)
    assert study.state == "failed"
    assert 10 <= len(study.evaluations()) < 300
    watching = load_study(place / "run.sqlite", read_only=True)
    stored = watching.evaluations(bits=True)
    assert 10 <= len(stored) <= len(study.evaluations())
    assert stored.equals(whole[: len(stored)])
    watching.close()
    filler.unlink(missing_ok=True)
    connection.execute("PRAGMA query_only=OFF")
    assert study.optimize(until=300, progress=False).evaluations(bits=True).equals(whole)
    study.close()
    again = load_study(place / "run.sqlite", problem=ToyProblem())
    assert again.evaluations(bits=True).equals(whole)
    again.close()


def test_a_disk_that_is_full_from_the_start_says_so(disk: tuple[Path, Remount]) -> None:
    place, _ = disk
    (place / "filler").write_bytes(b"x" * 190_000)
    with pytest.raises(StorageError, match=r"full; make room|unable to open|disk I/O"):
        make(place / "run.sqlite")


def test_a_read_only_disk_can_be_watched(disk: tuple[Path, Remount]) -> None:
    place, remount = disk
    remount("size=50m")
    study = make(place / "run.sqlite")
    study.optimize(20, progress=False)
    expected = study.evaluations(bits=True)
    study.close()
    remount("ro")
    watching = load_study(place / "run.sqlite", read_only=True)
    assert watching.evaluations(bits=True).equals(expected)
    with pytest.raises(StorageError, match=r"writable|read_only"):
        load_study(place / "run.sqlite", problem=ToyProblem())
    with pytest.raises(StorageError, match=r"writable|read_only"):
        make(place / "run.sqlite")
    watching.close()
    remount("rw")
