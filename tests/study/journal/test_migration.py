"""Files of earlier formats: read as they are, brought to ours when they are written, whole or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from nemo_lab.errors import StorageError
from nemo_lab.study import studies
from nemo_lab.study.journal import Journal, Stored, salvage
from nemo_lab.study.journal.packing import pack
from nemo_lab.study.journal.tables import FORMATS, VERSION
from tests.study.journal.rewriting import execute

JOURNALS = Path(__file__).parents[2] / "golden" / "journals"


@pytest.fixture(params=[1, 2])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copy(JOURNALS / f"format{request.param}.sqlite", tmp_path / "run.sqlite"))


def version(path: Path) -> int:
    return int(execute(path, "PRAGMA user_version")[0][0])


def content(path: Path, *, write: bool) -> Stored:
    with Journal.open(path, write=write) as journal:
        return journal.read()


def same(one: Stored, two: Stored) -> bool:
    return (
        all(
            np.array_equal(column, getattr(two.evaluations, n)) for n, column in vars(one.evaluations).items()
        )
        and repr(one.history) == repr(two.history)
        and [pack(vars(s)) for s in one.record] == [pack(vars(s)) for s in two.record]
        and one.status == two.status
    )


def test_reading_leaves_a_file_as_it_is(old: Path) -> None:
    before = old.read_bytes()
    stored = content(old, write=False)
    assert len(studies(old)) == 1
    assert old.read_bytes() == before
    assert set(stored.evaluations.asks.tolist()) == {1}
    assert set(stored.evaluations.place.tolist()) == {0}


def test_writing_brings_it_to_our_format_with_all_it_has(old: Path) -> None:
    before = content(old, write=False)
    with Journal.open(old, write=False) as reader:
        first = reader.read()
        after = content(old, write=True)
        assert same(before, after)
        assert after.checkpoint is not None
        assert same(reader.read(first), before)  # one who looked on meanwhile goes on looking
    assert version(old) == VERSION
    tables = execute(old, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    ours = {name: " ".join(sql.split()).replace("( ", "(") for name, sql in tables}
    assert ours == FORMATS[VERSION]
    assert same(before, content(old, write=False))
    assert execute(old, "PRAGMA integrity_check") == [("ok",)]


def test_a_damaged_row_stays_damaged(old: Path) -> None:
    execute(old, "UPDATE evaluations SET objectives = zeroblob(length(objectives)) WHERE number = 7")
    execute(old, "UPDATE steers SET detail = 'another' WHERE number = 0")
    with pytest.raises(StorageError, match="damaged"):
        content(old, write=True)
    assert version(old) == VERSION
    with pytest.raises(StorageError, match="evaluation 7 of the journal is damaged"):
        content(old, write=False)
    rows = execute(old, "SELECT number FROM evaluations WHERE crc = -1")
    assert rows == [(7,)]
    assert execute(old, "SELECT number FROM steers WHERE crc = -1") == [(0,)]


def test_one_that_is_killed_in_the_middle_leaves_the_old_or_the_new(old: Path) -> None:
    before, raw = content(old, write=False), old.read_bytes()
    script = (
        "import sys; from nemo_lab.study.journal import Journal; print(1, flush=True)\n"
        "Journal.open(sys.argv[1], write=True)"
    )
    for delay in np.linspace(0, 0.03, 12):
        for part in ("-wal", "-shm"):
            Path(f"{old}{part}").unlink(missing_ok=True)
        old.write_bytes(raw)
        with subprocess.Popen([sys.executable, "-c", script, str(old)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(float(delay))
            process.send_signal(signal.SIGKILL)
        assert version(old) in (1, 2, VERSION)
        assert same(before, content(old, write=False))
        assert same(before, content(old, write=True))


def test_two_that_open_it_at_once(old: Path) -> None:
    before = content(old, write=False)
    script = (
        "import sys; from nemo_lab.study.journal import Journal; from nemo_lab.errors import StorageError\n"
        "print(1, flush=True); sys.stdin.readline()\n"
        "try: Journal.open(sys.argv[1], write=True).close()\n"
        "except StorageError as error: assert 'writes this study' in str(error), error"
    )
    command = [sys.executable, "-c", script, str(old)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    for one in both:
        assert one.stdout is not None
        one.stdout.readline()
    for one in both:
        one.communicate(b"\n")
    assert [one.returncode for one in both] == [0, 0]
    assert same(before, content(old, write=True))


def test_an_earlier_version_that_writes_it_is_not_disturbed(old: Path) -> None:
    before = content(old, write=False)
    with FileLock(f"{old}-study1.lock"):
        with pytest.raises(StorageError, match="writes this study"):
            content(old, write=True)
        assert version(old) < VERSION
    assert same(before, content(old, write=True))


def test_a_file_that_cannot_be_brought_over_stays_as_it_was(old: Path) -> None:
    was = version(old)
    with closing(sqlite3.connect(old)) as file:
        (page,) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'steers'").fetchone()
        (size,) = file.execute("PRAGMA page_size").fetchone()
    raw = bytearray(old.read_bytes())
    raw[(page - 1) * size : page * size] = bytes(size)
    old.write_bytes(raw)
    with pytest.raises(StorageError, match="salvage"):
        content(old, write=True)
    assert version(old) == was


def test_what_is_saved_of_it_has_our_format(old: Path, tmp_path: Path) -> None:
    before = content(old, write=False)
    copied = salvage(old, tmp_path / "saved.sqlite")
    assert copied["evaluations"] == len(before.evaluations)
    assert version(tmp_path / "saved.sqlite") == VERSION
    assert same(before, content(tmp_path / "saved.sqlite", write=True))
    assert not [one for one in os.listdir(tmp_path) if one.startswith(".")]
