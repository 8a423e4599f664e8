"""Where a journal lies: under several names, gone, moved, cut; saved elsewhere, copied whole."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nemo_lab import Study, create_study, load_study
from nemo_lab.errors import ArgumentError, StorageError, StudyStateError, UnknownNameError
from nemo_lab.study import studies
from nemo_lab.study.journal import Journal, contents, files, schema
from tests.study.journal.rewriting import execute
from tests.study.test_running import until
from tests.toy import GatedProblem, SlowProblem, ToyProblem
from tests.waiting import PATIENCE

pytestmark = pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder" / "run.sqlite"


def make(path: Path | None, problem: Any = None, **options: Any) -> Study:
    return create_study(
        problem or ToyProblem(), seed=5, population=16, species=("floor", "integer"), storage=path, **options
    )


def symlink(path: Path) -> Path:
    path.with_name("latest").symlink_to(path)
    return path.with_name("latest")


def folder_symlink(path: Path) -> Path:
    path.parent.with_name("here").symlink_to(path.parent)
    return path.parent.with_name("here") / path.name


def hard_link(path: Path) -> Path:
    os.link(path, path.with_name("same.sqlite"))
    return path.with_name("same.sqlite")


def hard_link_elsewhere(path: Path) -> Path:
    os.link(path, path.parent.with_name("same.sqlite"))
    return path.parent.with_name("same.sqlite")


def moved(path: Path) -> Path:
    path.rename(path.with_name("moved.sqlite"))
    return path.with_name("moved.sqlite")


def lock_deleted(path: Path) -> Path:
    for lock in path.parent.glob("*.lock"):
        lock.unlink()
    return path


NAMES = (symlink, folder_symlink, hard_link, hard_link_elsewhere, moved, lock_deleted)


@pytest.mark.parametrize("other", NAMES)
def test_no_other_name_lets_a_second_writer_in(path: Path, other: Callable[[Path], Path]) -> None:
    if sys.platform != "linux" and other in (hard_link, hard_link_elsewhere, moved, lock_deleted):
        pytest.skip("only the lock beside the file there")
    study = make(path).optimize(10, progress=False)
    name = other(path)
    with pytest.raises(
        StorageError, match=rf"{os.getpid()} on .*read_only|a hard link.*run.sqlite; close it there"
    ):
        load_study(name, problem=ToyProblem())
    script = (
        "import sys; from nemo_lab.study.journal import Journal; from nemo_lab.errors import StorageError\n"
        "try: Journal.open(sys.argv[1], write=True)\n"
        "except StorageError: sys.exit(3)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(name)], check=False).returncode == 3
    study.close()
    again = load_study(name, problem=ToyProblem())
    assert len(again.optimize(5, progress=False).evaluations()) == 15
    again.close()


def test_a_look_at_the_file_lets_nobody_else_in(path: Path) -> None:
    study = make(path).optimize(10, progress=False)
    for _ in range(3):  # what is opened and closed beside it must not take its locks away
        studies(path)
        load_study(path, read_only=True).close()
        other = make(path)
        other.close()
    with pytest.raises(StorageError, match="a hard link"):
        load_study(hard_link(path), "study 1", problem=ToyProblem())
    study.close()
    if sys.platform == "linux":
        assert str(path) not in map(_target, os.listdir("/proc/self/fd"))


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def delete_all(path: Path) -> None:
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()


def cut_in_the_middle(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    os.replace(path.with_name("copy"), path)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(8192))


TROUBLES: tuple[Callable[[Path], object], ...] = (
    delete_all,
    lambda path: path.unlink(),
    lambda path: path.with_name(f"{path.name}-wal").unlink(),
    lambda path: path.with_name(f"{path.name}-shm").unlink(),
    moved,
    replace,
    cut_in_the_middle,
    lambda path: os.truncate(path, 0),
    lambda path: shutil.rmtree(path.parent),
    overwrite,
)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_file_that_vanishes_ends_the_run_and_nothing_is_lost(
    path: Path, tmp_path: Path, trouble: Callable[[Path], object]
) -> None:
    whole = make(None).optimize(60, progress=False)
    study = make(path).optimize(30, progress=False)
    assert study.journal is not None
    study.journal.annotate("star", "7", {"note": "keep"})
    trouble(path)
    with pytest.raises(StorageError, match=r"still in memory: study\.save_as\(path\)"):
        study.optimize(until=60, progress=False)
    assert study.state == "failed"
    study.save_as(tmp_path / "saved.sqlite")
    study.optimize(until=60, progress=False)
    study.close()
    again = load_study(tmp_path / "saved.sqlite", problem=ToyProblem())
    assert again.evaluations(bits=True).equals(whole.evaluations(bits=True))
    assert again.history().equals(whole.history())
    assert again.journal is not None
    assert again.journal.annotations("star") == {"7": {"note": "keep"}}
    again.close()


def test_what_was_written_last_is_cut_while_the_run_writes(path: Path) -> None:
    study = make(path, SlowProblem())
    study.start(10_000)
    until(lambda: len(study.evaluations()) > 20)
    os.truncate(f"{path}-wal", 0)
    with pytest.raises(StorageError, match=r"run\.sqlite-wal, lost a part"):
        study.wait(PATIENCE)
    made = study.evaluations(bits=True)
    study.save_as(path.with_name("saved.sqlite"))
    study.close()
    assert load_study(path.with_name("saved.sqlite"), read_only=True).evaluations(bits=True).equals(made)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.77, 0.99, -8])
@pytest.mark.parametrize("write", [1, 7, 60])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_was_written_last_is_cut_in_the_moment_of_a_write(
    path: Path, monkeypatch: pytest.MonkeyPatch, kept: float, write: int, when: str
) -> None:
    """Behind the check; SQLite goes on behind the hole, as if nothing had happened."""
    study = make(path)
    study.optimize(3, progress=False)  # a part that is in the file itself
    transaction, log, writes = contents.transaction, f"{path}-wal", iter(range(1, 1000))
    lost: list[bool] = []

    def cut() -> None:
        whole = Path(log).read_bytes()
        os.truncate(log, max(0, int(len(whole) * kept) if kept >= 0 else len(whole) + int(kept)))
        lost.append(bool(whole[os.path.getsize(log) :].strip(b"\0")))

    @contextlib.contextmanager
    def interrupted(connection: Any) -> Iterator[None]:
        number = next(writes)
        if number == write and when == "before":
            cut()
        with transaction(connection):
            yield
        if number == write and when == "after":
            cut()

    monkeypatch.setattr(contents, "transaction", interrupted)
    told: list[StorageError] = []
    try:
        study.optimize(97, progress=False)
    except StorageError as error:
        told.append(error)
    if when == "before" and not any(lost):  # what lay there was nothing yet, or nothing but zeros
        assert not told
    else:
        assert "run.sqlite-wal, lost a part" in str(told)
    made = study.evaluations(bits=True)
    assert len(made) == (3 + write if told else 100)
    study.save_as(path.with_name("saved.sqlite"))
    study.close()
    assert load_study(path.with_name("saved.sqlite"), read_only=True).evaluations(bits=True).equals(made)
    assert execute(path, "PRAGMA integrity_check") == [("ok",)]
    left = load_study(path, read_only=True).evaluations(bits=True)  # up to some moment before the cut
    assert 3 <= len(left) <= len(made)
    assert left.equals(made.iloc[: len(left)])


def test_what_was_written_last_is_cut_by_the_end_of_a_run(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make(path)
    settle = Journal.settle

    def late(journal: Journal) -> None:
        os.truncate(f"{path}-wal", os.path.getsize(f"{path}-wal") // 2)
        settle(journal)

    monkeypatch.setattr(Journal, "settle", late)
    with pytest.raises(StorageError, match="lost a part"):
        study.optimize(20, progress=False)
    monkeypatch.undo()
    study.save_as(path.with_name("saved.sqlite"))
    assert len(load_study(path.with_name("saved.sqlite"), read_only=True).evaluations()) == 20
    study.close()


def test_a_long_run_moves_what_it_wrote_into_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nemo_lab.study.journal.journal.PAGES", 20)
    study, sizes = make(path), []
    study.listen(lambda: sizes.append(os.path.getsize(f"{path}-wal")))
    study.optimize(300, progress=False)
    assert max(sizes) < 20 * 4120 + 200_000  # and the state of the engine
    study.close()
    assert len(load_study(path, read_only=True).evaluations()) == 300


@pytest.mark.parametrize("count", [40, 100])
def test_a_file_that_is_written_over_while_the_study_rests(path: Path, count: int) -> None:
    """By the journal of another study of the same problem, so that all its tables fit."""
    other = path.with_name("other.sqlite")
    again = create_study(ToyProblem(), seed=6, population=16, species=("floor", "integer"), storage=other)
    again.optimize(count, progress=False)
    again.close()
    study = make(path).optimize(count, progress=False)
    path.write_bytes(other.read_bytes())
    with pytest.raises(StorageError, match="was written over"):
        study.pin("layer0", weight=8)
    study.save_as(path.with_name("saved.sqlite"))
    study.close()
    saved = load_study(path.with_name("saved.sqlite"), read_only=True)
    assert (saved.seed, len(saved.evaluations())) == (5, count)
    assert load_study(path, read_only=True).seed == 6


def test_rows_of_another_study_are_not_taken_for_its_own(path: Path) -> None:
    """Whoever mixed the files: SQLite itself does, with what was written last beside another file."""
    other = path.with_name("other.sqlite")
    again = create_study(ToyProblem(), seed=6, population=16, species=("floor", "integer"), storage=other)
    again.optimize(60, progress=False)
    again.close()
    make(path).optimize(60, progress=False).close()
    columns = {
        "evaluations": "number = 40",
        "generations": "number = 1",
        "checkpoints": "true",
        "studies": "true",
    }
    for table, where in columns.items():
        mixed = path.with_name(f"{table}.sqlite")
        mixed.write_bytes(path.read_bytes())
        with contextlib.closing(sqlite3.connect(mixed, isolation_level=None)) as file:
            file.execute("ATTACH ? AS other", (str(other),))
            if table == "studies":
                query = "SELECT status, status_crc FROM other.studies"
                file.execute(f"UPDATE studies SET (status, status_crc) = ({query})")
            else:
                file.execute(f"DELETE FROM {table} WHERE {where}")
                file.execute(f"INSERT INTO {table} SELECT * FROM other.{table} WHERE {where}")
        if table == "checkpoints":  # a run can do without
            whole = load_study(mixed, problem=ToyProblem()).optimize(until=80, progress=False)
            study = make(None).optimize(80, progress=False)
            assert whole.evaluations(bits=True).equals(study.evaluations(bits=True))
            whole.close()
        else:
            with pytest.raises(StorageError, match="is damaged"):
                load_study(mixed, read_only=True)


def test_a_second_name_is_refused_until_the_first_is_closed(path: Path) -> None:
    script = (
        "import os, signal, sys; from nemo_lab import create_study; from tests.toy import ToyProblem\n"
        "create_study(ToyProblem(), storage=sys.argv[1], population=16, species=('floor',), min_size=2)"
        ".optimize(30, progress=False); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(path)], check=False)
    link = hard_link(path)
    for call in (
        lambda: load_study(link, problem=ToyProblem()),
        lambda: load_study(link, read_only=True),
        lambda: create_study(ToyProblem(), storage=link),
        lambda: studies(link),
    ):
        with pytest.raises(StorageError, match=r"a hard link.*run\.sqlite; close it there"):
            call()
    load_study(path, problem=ToyProblem()).close()
    assert len(load_study(link, read_only=True).evaluations()) == 30
    again = load_study(link, problem=ToyProblem())
    assert len(again.optimize(5, progress=False).evaluations()) == 35
    again.close()


def test_another_file_in_the_place_of_one_that_is_followed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where SQLite takes the file for one that nobody writes, as it does for those who may not write."""
    make(path).optimize(20, progress=False).close()
    other = path.with_name("other.sqlite")
    create_study(ToyProblem(), seed=6, storage=other).optimize(30, progress=False).close()
    monkeypatch.setattr(schema, "read_only", lambda place: files.Connection.to(place, "ro&immutable=1"))
    following = load_study(path, read_only=True)
    assert len(following.evaluations()) == 20
    os.replace(other, path)
    monkeypatch.setattr("nemo_lab.study.run.follower.LOOK", 0.0)
    with pytest.raises(StorageError, match="another file has taken the place"):
        following.evaluations()
    following.close()


def test_a_refused_call_leaves_the_file_as_it_was(path: Path) -> None:
    make(path, name="mine").optimize(20, progress=False).close()
    before = path.read_bytes()
    with pytest.raises(UnknownNameError):
        load_study(path, "other", problem=ToyProblem())
    with pytest.raises(StorageError):
        load_study(path, problem=ToyProblem(8))
    with pytest.raises(ArgumentError):
        make(path, name="mine")
    assert path.read_bytes() == before
    empty = path.with_name("empty.sqlite")
    empty.touch()
    with pytest.raises(StorageError, match="no study"):
        load_study(empty, problem=ToyProblem())
    assert empty.stat().st_size == 0


def test_an_interrupt_in_the_moment_of_a_commit_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make(path).optimize(10, progress=False)
    transaction = contents.transaction

    @contextlib.contextmanager
    def interrupted(connection: Any) -> Iterator[None]:
        with transaction(connection):
            yield
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(contents, "transaction", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.pin("layer0", weight=8)
    study.pin("layer1", weight=4)
    study.optimize(10, progress=False)
    made = study.evaluations(bits=True)
    study.close()
    assert load_study(path, read_only=True).evaluations(bits=True).equals(made)


def test_a_study_is_collected_in_the_middle_of_anything(path: Path) -> None:
    """Also where a lock is held that closing it needs."""
    study = make(path, SlowProblem()).optimize(5, progress=False)
    study.start(1000)

    def others() -> list[Any]:
        return [at for one, at in sys._current_frames().items() if one != threading.get_ident()]

    with files.guard:  # the worker waits for it, and holds what stops the run
        study.stop()
        until(lambda: any(at.f_code.co_filename == files.__file__ for at in others()))
        del study
        gc.collect()

    def free() -> Study | None:
        with contextlib.suppress(StorageError):
            return load_study(path, problem=SlowProblem())
        return None

    again = until(free)
    assert len(again.evaluations()) >= 5
    again.close()


def test_others_that_rest_are_no_trouble(path: Path) -> None:
    study, other = make(path, SlowProblem()), make(path)
    study.start(120)
    for count in range(1, 40):  # each end moves all of the file's latest into it
        other.optimize(until=count, progress=False)
    assert study.wait(PATIENCE)
    assert study.state == "finished"


@pytest.mark.parametrize("moment", ["fresh", "finished", "running", "paused"])
def test_a_study_is_saved_at_any_moment(path: Path, moment: str) -> None:
    study = make(None, SlowProblem())
    if moment == "finished":
        study.optimize(20, progress=False)
        study.pin({"layer0.weight": 8})
    elif moment != "fresh":
        study.start(100)
        until(lambda: len(study.evaluations()) > 10)
        study.pin({"layer0.weight": 8})
        if moment == "paused":
            study.pause()
            study.wait()
    with pytest.raises(StudyStateError, match=r"study\.save_as\(path\)"):
        study.backup(path)
    study.save_as(path, "mine")
    watching = load_study(path, "mine", read_only=True)
    if moment == "paused":
        study.resume()
    elif moment in ("fresh", "finished"):
        study.start(until=100)
    assert study.wait(PATIENCE)
    until(lambda: len(watching.evaluations()) == 100)
    assert watching.evaluations(bits=True).equals(study.evaluations(bits=True))
    assert watching.interventions().equals(study.interventions())
    study.close()
    again = load_study(path, problem=SlowProblem())
    expected = study.evaluations(bits=True)
    assert again.optimize(10, progress=False).evaluations(bits=True)[:100].equals(expected)
    again.close()


def test_a_study_is_saved_where_there_is_room_for_it(path: Path) -> None:
    study = make(path, name="mine").optimize(20, progress=False)
    text = path.with_name("notes.txt")
    text.write_text("not a database, but long enough to look like something " * 40)
    with pytest.raises(StorageError, match="not a database"):
        study.save_as(text)
    other = path.with_name("other.sqlite")
    make(other, name="mine").close()
    with pytest.raises(ArgumentError, match=r"has a study 'mine' already.*another name"):
        study.save_as(other)
    with pytest.raises(StorageError, match="no folder"):
        study.save_as(path.parent / "missing" / "run.sqlite")
    assert study.journal is not None
    assert study.journal.path == path
    study.save_as(other, "theirs")
    study.optimize(5, progress=False).close()
    assert studies(other)["evaluations"].to_dict() == {"mine": 0, "theirs": 25}
    assert studies(path)["evaluations"].to_dict() == {"mine": 20}
    with pytest.raises(StudyStateError, match="only followed"):
        load_study(path, read_only=True).save_as(path.with_name("new.sqlite"))


def test_a_folder_that_is_made_again_gets_the_study_back(path: Path) -> None:
    study = make(path).optimize(20, progress=False)
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    study.save_as(path)
    study.optimize(5, progress=False).close()
    assert len(load_study(path, read_only=True).evaluations()) == 25


def test_a_backup_is_whole_while_runs_write(path: Path) -> None:
    study, other = make(path, SlowProblem()), make(path).optimize(30, progress=False)
    study.start(400)
    until(lambda: len(study.evaluations()) > 20)
    copies = [path.with_name(f"copy{number}.sqlite") for number in range(5)]
    for copy in copies:
        study.backup(copy)
    with pytest.raises(StorageError, match="exists already"):
        study.backup(copies[0])
    study.stop()
    study.wait()
    whole = study.evaluations(bits=True)
    for copy in copies:
        assert studies(copy)["evaluations"]["study 2"] == 30
        again = load_study(copy, "study 1", problem=SlowProblem())
        count = len(again.evaluations())
        assert 20 < count <= len(whole)
        assert again.evaluations(bits=True).equals(whole[:count])
        again.close()
    assert not [one for one in os.listdir(path.parent) if one.startswith(".")]
    study.close()
    other.close()
    study.backup(path.with_name("closed.sqlite"))
    assert len(load_study(path.with_name("closed.sqlite"), "study 1", read_only=True).evaluations()) == len(
        whole
    )


def test_the_file_alone_has_everything_whenever_nothing_runs(path: Path) -> None:
    study = make(path, SlowProblem())

    def copied() -> tuple[int, int]:
        copy = Path(shutil.copy(path, path.with_name("copy.sqlite")))
        look = load_study(copy, read_only=True)
        found = len(look.evaluations()), len(look.interventions())
        look.close()
        delete_all(copy)
        return found

    assert copied() == (0, 0)
    study.optimize(20, progress=False)
    assert copied() == (20, 0)
    study.pin({"layer0.weight": 8})
    assert copied() == (20, 1)
    study.start(500)
    until(lambda: len(study.evaluations()) > 30)
    study.pause()
    study.wait()
    study.unpin()
    until(lambda: copied() == (len(study.evaluations()), 2))
    study.stop()
    study.wait()
    study.close()


def test_a_killed_process_left_everything_in_the_file(path: Path) -> None:
    script = (
        "import os, sys; from nemo_lab import create_study; from tests.toy import ToyProblem\n"
        "s = create_study(ToyProblem(), population=16, species=('floor',), storage=sys.argv[1])\n"
        "s.optimize(50, progress=False); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    copy = shutil.copy(path, path.with_name("copy.sqlite"))
    assert len(load_study(copy, read_only=True).evaluations()) == 50


def test_what_is_refused_leaves_nothing(path: Path) -> None:
    for wrong in ({"constraints": "loss <= x"}, {"aspiration": {"loss": -5.0}}, {"species": ("nobody",)}):
        with pytest.raises((ArgumentError, KeyError)):
            create_study(ToyProblem(), storage=path, name="mine", **wrong)
        assert not os.listdir(path.parent)
    big = ToyProblem()
    big.node_features = big.node_features.astype(np.float64) * 1e300
    with pytest.raises(ArgumentError, match="larger than"):
        create_study(big, storage=path, name="mine")
    assert not os.listdir(path.parent)
    make(path, name="mine").close()
    before = execute(path, "SELECT count(*) FROM studies"), sorted(os.listdir(path.parent))
    with pytest.raises(ArgumentError, match="already"):
        make(path, name="mine")
    assert before == (execute(path, "SELECT count(*) FROM studies"), sorted(os.listdir(path.parent)))


def test_nobody_pays_twice(path: Path) -> None:
    one, two = ToyProblem(), ToyProblem()
    first, second = make(path, one), make(path, two)
    first.optimize(40, progress=False)
    second.optimize(40, progress=False)
    assert (one.calls, two.calls, second.snapshot.reused) == (40, 0, 40)
    first.what_if([5] * 6)
    second.what_if([5] * 6)
    assert two.calls == 0
    second.enqueue([2, 8, 2, 8, 2, 8])
    second.optimize(1, progress=False)
    first.enqueue([2, 8, 2, 8, 2, 8])
    first.optimize(1, progress=False)
    assert (two.calls, first.snapshot.reused) == (1, 1)
    first.close()
    second.close()


def test_two_processes_that_run_at_once_share(path: Path) -> None:
    """One stands in its 41st evaluation while another passes it; each takes what the other has paid for."""
    stands, passed = path.with_name("stands"), path.with_name("passed")
    script = (
        "import sys, threading; from pathlib import Path; from nemo_lab import create_study\n"
        "from tests.toy import GatedProblem; from tests.waiting import until\n"
        "problem, stands, passed = GatedProblem(free=40), *map(Path, sys.argv[2:])\n"
        "kind = dict(seed=5, population=16, species=('floor', 'integer'))\n"
        "study = create_study(problem, storage=sys.argv[1], **kind)\n"
        "study.start(80); until(problem.entered.is_set); stands.touch()\n"
        "until(passed.exists); problem.gate.set()\n"
        "study.wait(); print(problem.calls, study.snapshot.reused); study.close()\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, str(path), str(stands), str(passed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            until(lambda: stands.exists() or other.poll() is not None)
            problem = GatedProblem(free=40)
            problem.gate.set()
            study = make(path, problem).optimize(80, progress=False)
            assert (problem.calls, study.snapshot.reused) == (40, 40)
            study.close()
            passed.touch()
            assert other.communicate(timeout=PATIENCE)[0].split() == ["41", "39"]
        finally:
            other.kill()


def test_annotations_are_kept_by_kind_and_key(path: Path) -> None:
    study = make(path)
    assert study.journal is not None
    study.journal.annotate("star", "3", {"why": "small", "bits": np.arange(6)})
    study.journal.annotate("star", "4", True)
    study.journal.annotate("worker", "3", "host")
    study.journal.annotate("star", "4", None)
    with pytest.raises(TypeError):
        study.journal.annotate("star", "5", object())
    study.backup(path.with_name("copy.sqlite"))
    study.close()
    for place in (path, path.with_name("copy.sqlite")):
        with Journal.open(place, write=False) as journal:
            assert list(journal.annotations("star")) == ["3"]
            assert journal.annotations("star")["3"]["bits"].tolist() == list(range(6))
            assert journal.annotations("worker") == {"3": "host"}
            assert journal.annotations("nothing") == {}
