"""The journal by itself: what goes in comes out, one writer, and every way in which a file can be wrong."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nemo_lab import create_study, load_study
from nemo_lab.errors import ArgumentError, StorageError, StudyStateError, UnknownNameError
from nemo_lab.search import Evaluations, GenerationRecord, SpeciesRecord
from nemo_lab.study.journal import (
    Checkpoint,
    Header,
    Journal,
    Stored,
    StoredProblem,
    salvage,
    studies,
)
from nemo_lab.study.journal.packing import pack, unpack
from nemo_lab.study.results.snapshot import Intervention
from tests.study.journal.rewriting import rewrite_header
from tests.toy import ToyProblem


def header(name: str = "a", fingerprint: str = "w") -> Header:
    return Header(
        name=name,
        seed=2**70,
        species=("floor", "gcn"),
        options={"population": 8},
        workers=1,
        problem=StoredProblem.of(ToyProblem()),
        recipe=None,
        fingerprint={"workload": fingerprint},
        versions={"nemo_lab": "1"},
        created="2026-01-01T00:00:00+00:00",
    )


def content(count: int = 40, seed: int = 0) -> Stored:
    rng = np.random.default_rng(seed)
    species = tuple(SpeciesRecord(n, float("nan"), 0.1, 4, 5, 0.5) for n in ("floor", "gcn"))
    return Stored(
        Evaluations(
            bits=rng.integers(2, 9, (count, 6)).astype(np.uint8),
            objectives=rng.random((count, 3)),
            species=rng.integers(-1, 2, count).astype(np.int16),
            origin=rng.integers(0, 6, count).astype(np.int16),
            generation=np.sort(rng.integers(0, 9, count)).astype(np.int32),
            asks=np.ones(count, np.int32),
            place=np.zeros(count, np.int32),
        ),
        tuple(GenerationRecord(g, 8 * g, 0.1 * g, species) for g in range(count // 8)),
        tuple(
            Intervention(i, "pin", f"layer {i} é", {"pins": [[0, i]], "x": np.arange(i)}) for i in range(3)
        ),
        Checkpoint(count, 3, {"rng": 2**127, "a": [1.5, None, float("inf")], "b": rng.random((2, 3))}),
        {"state": "idle", "seconds": 1.25},
    )


def put(journal: Journal, stored: Stored, evaluations: int | None = None) -> None:
    part = Evaluations(**{n: c[:evaluations] for n, c in vars(stored.evaluations).items()})
    journal.write(
        evaluations=part,
        history=stored.history,
        record=stored.record,
        checkpoint=stored.checkpoint,
        status=stored.status,
    )


def same(one: Stored, two: Stored, *, checkpoint: bool = True) -> bool:
    return (
        all(np.array_equal(c, getattr(two.evaluations, n)) for n, c in vars(one.evaluations).items())
        and repr(one.history) == repr(two.history)
        and [pack(vars(s)) for s in one.record] == [pack(vars(s)) for s in two.record]
        and one.status == two.status
        and (not checkpoint or pack(vars(one.checkpoint)) == pack(vars(two.checkpoint)))
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


@pytest.fixture
def full(path: Path) -> Iterator[Journal]:
    with Journal.create(path, header()) as journal:
        put(journal, content())
        yield journal


@pytest.mark.parametrize(
    "value",
    [
        {"$array": 1, "$$x": [1, "a", None, True, 2**200, 0.1, float("-inf")]},
        {"a": np.arange(6, dtype=np.uint8).reshape(2, 3), "b": np.array(3.5), "c": b"\x00\xff"},
        [np.zeros((0, 4), dtype=np.float32), np.array([True, False]), []],
    ],
)
def test_what_is_packed_comes_back(value: Any) -> None:
    back = unpack(*pack(value))
    assert pack(back) == pack(value)
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("text", "blob"),
    [
        ('{"$array": ["|O", [1], 0]}', b"12345678"),
        ('{"$array": ["<f8", [2], 0]}', b"12345678"),
        ('{"$array": ["<f8", [-1, -1], 0]}', b"12345678"),
        ('{"$array": ["<f8", [1], -8]}', b"12345678"),
        ('{"$array": ["<f8", [99999999999999999999], 0]}', b"12345678"),
        ('{"$array": ["(2,2)<f8", [1], 0]}', b"1" * 32),
        ('{"$bytes": [0, true]}', b"1"),
        ("[" * 100_000, b""),
        ("nonsense", b""),
    ],
)
def test_what_nobody_packed_is_refused(text: str, blob: bytes) -> None:
    with pytest.raises(StorageError):
        unpack(text, blob)


def test_only_plain_things_are_packed() -> None:
    for value in (object(), {1: 2}, np.array([object()]), np.array(["a"]), {1, 2}):
        with pytest.raises(TypeError):
            pack(value)


def test_everything_comes_back_and_only_what_is_new_is_written(path: Path) -> None:
    stored = content()
    with Journal.create(path, header()) as journal:
        for count in (3, 17, 17, 40):
            put(journal, stored, count)
        assert same(journal.read(), stored)
    with Journal.open(path, write=True) as journal:
        assert same(journal.read(), stored)
        assert journal.header.seed == 2**70
        assert journal.header.problem.node_names == ToyProblem().node_names
        with pytest.raises(StudyStateError, match=r"load_study\(path, problem="):
            journal.header.problem.evaluate([[2] * 6])


def test_a_reader_sees_what_a_writer_wrote(path: Path) -> None:
    stored = content()
    with Journal.create(path, header()) as writer, Journal.open(path, write=False) as reader:
        first = reader.read()
        assert len(first.evaluations) == 0
        assert reader.read(first) is first
        put(writer, stored, 10)
        second = reader.read(first)
        assert len(second.evaluations) == 10
        put(writer, stored)
        third = reader.read(second)
        assert same(third, stored, checkpoint=False)
        assert reader.read(third) is third


def test_several_studies_in_one_file(path: Path) -> None:
    with Journal.create(path, header("")) as one, Journal.create(path, header("")) as two:
        put(one, content(seed=1))
        put(two, content(8, seed=2))
        assert (one.header.name, two.header.name) == ("study 1", "study 2")
        assert same(one.read(), content(seed=1))
        with pytest.raises(ArgumentError, match="load_study"):
            Journal.create(path, header("study 1"))
        with Journal.create(path, header("c", "other")) as other:
            assert other.known(content(seed=1).evaluations.bits[0].tobytes()) is None
        for log in (content(seed=1).evaluations, content(8, seed=2).evaluations):
            for bits, objectives in zip(log.bits, log.objectives, strict=True):
                assert np.array_equal(two.known(bits.tobytes()), objectives)
    assert list(studies(path)["evaluations"].items()) == [
        ("study 1", 40),
        ("study 2", 8),
        ("c", 0),
    ]
    with pytest.raises(UnknownNameError, match="did you mean 'study 1'"):
        Journal.open(path, "study1", write=False)


def test_one_writer_at_a_time_and_a_killed_one_leaves_no_lock(full: Journal, path: Path) -> None:
    with pytest.raises(StorageError, match=rf"{os.getpid()} on .*read_only"):
        Journal.open(path, "a", write=True)
    Journal.open(path, "a", write=False).close()
    full.close()
    script = (
        "import os, signal; from nemo_lab.study.journal import Journal; "
        f"j = Journal.open({str(path)!r}, write=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    Journal.open(path, "a", write=True).close()


def test_a_full_disk_loses_nothing_stored_and_the_next_write_has_it_all(path: Path) -> None:
    journal = Journal.create(path, header())
    put(journal, content(8))
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count={pages}")
    big = content(4000)
    with pytest.raises(StorageError, match="full; make room"):
        put(journal, big)
    assert same(journal.read(), content(8))
    journal._connection.execute("PRAGMA max_page_count=1000000")
    more = content(4000)
    more.evaluations.bits[:8] = content(8).evaluations.bits
    put(journal, more)
    assert len(journal.read().evaluations) == 4000
    journal.close()


def test_files_that_are_no_journal(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to look like something " * 40)
    foreign = tmp_path / "other.sqlite"
    with sqlite3.connect(foreign) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    for write in (False, True):
        for wrong, message in (
            (text, "not a database"),
            (foreign, "not a journal"),
            (tmp_path, "is a folder"),
        ):
            before = wrong.read_bytes() if wrong.is_file() else b""
            with pytest.raises(StorageError, match=message):
                Journal.open(wrong, write=write)
            assert not wrong.is_file() or wrong.read_bytes() == before
        with pytest.raises(StorageError, match="no file"):
            Journal.open(tmp_path / "missing.sqlite", write=write)
    with pytest.raises(StorageError, match="no folder"):
        Journal.create(tmp_path / "missing" / "run.sqlite", header())


def test_a_newer_format_is_named(full: Journal, path: Path) -> None:
    full._connection.execute("PRAGMA user_version=7")
    full.close()
    with pytest.raises(StorageError, match="format 7, this nemo_lab knows up to 3; upgrade nemo_lab"):
        Journal.open(path, write=False)


@pytest.mark.parametrize(
    "extra",
    [
        "CREATE TRIGGER t AFTER INSERT ON evaluations BEGIN DELETE FROM steers; END",
        "CREATE VIEW v AS SELECT * FROM studies",
        "CREATE TABLE more (x)",
        "ALTER TABLE steers RENAME TO stairs",
    ],
)
def test_a_file_with_anything_beside_our_tables_is_refused(full: Journal, path: Path, extra: str) -> None:
    full._connection.execute(extra)
    full.close()
    with pytest.raises(StorageError, match="are not those of a journal"):
        Journal.open(path, write=True)


def test_truncated_and_flipped_files_give_an_error_or_the_truth(full: Journal, path: Path) -> None:
    put(full, content(400))
    full._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    full.close()
    truth, whole = content(40), path.read_bytes()
    rng = random.Random(0)
    refused = 0
    for trial in range(150):
        raw = bytearray(whole)
        if trial % 3:
            for _ in range(rng.choice((1, 4, 64))):
                raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        else:
            del raw[rng.randrange(len(raw)) :]
        copy = path.with_name(f"copy{trial}.sqlite")
        copy.write_bytes(raw)
        try:
            with Journal.open(copy, write=False) as journal:
                stored = journal.read()
        except (StorageError, UnknownNameError):
            refused += 1
            continue
        assert len(stored.evaluations) in (0, 400)
        part = {n: c[:40] for n, c in vars(stored.evaluations).items()}
        assert not len(stored.evaluations) or all(
            np.array_equal(c, part[n]) for n, c in vars(truth.evaluations).items()
        )
    assert refused > 50


def test_what_can_be_read_is_saved(path: Path, tmp_path: Path) -> None:
    with Journal.create(path, header()) as journal:
        put(journal, content(3000))
        journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 4096] = os.urandom(4096)
    path.write_bytes(raw)
    with pytest.raises(StorageError, match="salvage"), Journal.open(path, write=False) as journal:
        journal.read()
    copied = salvage(path, tmp_path / "saved.sqlite")
    assert 0 < copied["evaluations"] < 3000
    with Journal.open(tmp_path / "saved.sqlite", write=False) as journal:
        stored = journal.read()
    count = len(stored.evaluations)
    assert 500 < count < 3000
    assert np.array_equal(stored.evaluations.bits, content(3000).evaluations.bits[:count])


def test_a_read_only_folder_can_be_read(full: Journal, path: Path, tmp_path: Path) -> None:
    full.close()
    target = tmp_path / "readonly"
    target.mkdir()
    shutil.copy(path, target / "run.sqlite")
    os.chmod(target / "run.sqlite", 0o444)
    os.chmod(target, 0o555)
    try:
        with Journal.open(target / "run.sqlite", write=False) as journal:
            assert same(journal.read(), content(), checkpoint=False)
        if os.geteuid():  # root may write anywhere
            with pytest.raises(StorageError, match="read_only=True"):
                Journal.open(target / "run.sqlite", write=True)
    finally:
        os.chmod(target, 0o755)


def test_options_that_are_refused_today_can_be_looked_at(path: Path) -> None:
    create_study(ToyProblem(), population=8, min_size=1, storage=path).optimize(9, progress=False).close()
    rewrite_header(path, lambda fields: fields["options"].update(surrogate_explore="often"))
    with pytest.raises(StorageError, match=r"refused today: surrogate_explore='often'.*read_only=True"):
        load_study(path, problem=ToyProblem())
    study = load_study(path, read_only=True)
    assert len(study.evaluations()) == 9
    assert study.options.surrogate_explore == "often"
    study.close()
    again = create_study(ToyProblem(), population=8, min_size=1, storage=path).optimize(9, progress=False)
    assert again.snapshot.reused == 9
