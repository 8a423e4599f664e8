"""Files damaged at random: the right data or a NemoError, never anything else; and what is saved loads."""

from __future__ import annotations

import os
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nemo_lab import create_study, load_study
from nemo_lab.errors import NemoError, NemoWarning, StorageError
from nemo_lab.search import Evaluations
from nemo_lab.study import studies
from nemo_lab.study.journal import Journal, salvage
from tests.study.journal.rewriting import execute
from tests.toy import ToyProblem

pytestmark = pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")

PAGE = 4096
Damage = Callable[[bytearray, random.Random], None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluations]:
    """A file with two studies, steers and notes, and what the first has."""
    path = tmp_path_factory.mktemp("damage") / "run.sqlite"
    kind = {"population": 16, "species": ("floor", "integer"), "storage": path}
    study = create_study(ToyProblem(), seed=1, name="first", **kind)
    study.optimize(60, progress=False)
    study.pin("layer0.weight", 4)
    study.optimize(60, progress=False)
    study.what_if([7] * 6)
    assert study.journal is not None
    study.journal.annotate("star", "3", {"why": "é"})
    study.close()
    create_study(ToyProblem(), seed=2, name="second", **kind).optimize(30, progress=False).close()
    return path, study.snapshot.evaluations


def zero_a_page(raw: bytearray, rng: random.Random) -> None:
    page = rng.randrange(len(raw) // PAGE)
    raw[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)


def flip_bits(raw: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 3, 30, 300))):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)


def cut(raw: bytearray, rng: random.Random) -> None:
    del raw[rng.randrange(len(raw)) :]


def swap_pages(raw: bytearray, rng: random.Random) -> None:
    one, two = (rng.randrange(1, len(raw) // PAGE) * PAGE for _ in range(2))
    raw[one : one + PAGE], raw[two : two + PAGE] = raw[two : two + PAGE], raw[one : one + PAGE]


def repeat_a_page(raw: bytearray, rng: random.Random) -> None:
    one, two = (rng.randrange(len(raw) // PAGE) * PAGE for _ in range(2))
    raw[one : one + PAGE] = raw[two : two + PAGE]


def noise(raw: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(raw))
    length = min(rng.choice((8, 100, 5000)), len(raw) - start)
    raw[start : start + length] = rng.randbytes(length)


def break_texts(raw: bytearray, rng: random.Random) -> None:
    places = [place for place, byte in enumerate(raw) if 0x61 <= byte <= 0x7A]
    for place in rng.sample(places, rng.choice((1, 3, 40))):
        raw[place] = 0xFF


DAMAGES = (zero_a_page, flip_bits, cut, swap_pages, repeat_a_page, noise, break_texts)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_gives_the_truth_or_an_error(
    whole: tuple[Path, Evaluations], tmp_path: Path, damage: Damage
) -> None:
    source, truth = whole
    rng = random.Random(damage.__name__)
    refused = saved = 0
    for trial in range(40):
        path, new = tmp_path / f"{trial}.sqlite", tmp_path / f"{trial}-saved.sqlite"
        raw = bytearray(source.read_bytes())
        damage(raw, rng)
        path.write_bytes(raw)
        for look in (lambda path=path: studies(path), lambda path=path: followed(path, truth)):
            try:
                look()
            except NemoError:
                refused += 1
        path.write_bytes(raw)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NemoWarning)
                copied = salvage(path, new)
        except StorageError:
            assert not new.exists()
        else:
            saved += copied["evaluations"]
            for name in studies(new).index:  # all that is in it can be read
                followed(new, truth, name)
        try:
            opened(path, truth)
        except NemoError:
            refused += 1
        assert not [one for one in os.listdir(tmp_path) if one.startswith(".")]
    assert refused > 10
    assert saved > 40


def followed(path: Path, truth: Evaluations, name: str = "first") -> None:
    study = load_study(path, name, read_only=True)
    study._repr_html_()
    if name == "first":
        is_part_of(study.snapshot.evaluations, truth)
    study.close()


def opened(path: Path, truth: Evaluations) -> None:
    with Journal.open(path, "first", write=True) as journal:
        is_part_of(journal.read().evaluations, truth)


def is_part_of(log: Evaluations, truth: Evaluations) -> None:
    for name, column in vars(log).items():
        assert np.array_equal(column, getattr(truth, name)[: len(log)])


def test_what_is_saved_goes_on_as_if_nothing_had_been_lost(
    whole: tuple[Path, Evaluations], tmp_path: Path
) -> None:
    source, truth = whole
    for table, number in (("steers", 0), ("evaluations", 90), ("evaluations", 0), ("generations", 2)):
        path = Path(shutil.copy(source, tmp_path / f"{table}{number}.sqlite"))
        execute(path, f"UPDATE {table} SET crc = crc + 1 WHERE study = 1 AND number = ?", number)
        new = tmp_path / f"{table}{number}-saved.sqlite"
        copied = salvage(path, new)
        assert copied["annotations"] == 1
        problem = ToyProblem()
        study = load_study(new, "first", problem=problem)
        kept = len(study.evaluations())
        assert kept == {"steers": 0, "evaluations": number, "generations": 120}[table]
        study.optimize(until=60, progress=False) if kept < 60 else None
        if len(study.interventions()) == 0:
            study.pin("layer0.weight", 4)
        study.optimize(until=130, progress=False)
        assert np.array_equal(study.snapshot.evaluations.bits[:120], truth.bits)
        assert problem.calls == 10 + (number == 90)  # what is new, and what was lost; the other study has 0
        study.close()


def test_a_study_without_its_head_is_left_out_and_named(
    whole: tuple[Path, Evaluations], tmp_path: Path
) -> None:
    path = Path(shutil.copy(whole[0], tmp_path / "run.sqlite"))
    execute(path, "UPDATE studies SET header = 'x' WHERE name = 'first'")
    with pytest.warns(NemoWarning, match="the head of study 'first' is lost"):
        copied = salvage(path, tmp_path / "saved.sqlite")
    assert copied["studies"] == 1
    assert list(studies(tmp_path / "saved.sqlite").index) == ["second"]


def test_salvage_overwrites_nothing(whole: tuple[Path, Evaluations], tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        salvage(whole[0], taken)
    assert taken.read_text() == "mine"
    with pytest.raises(StorageError, match="no folder"):
        salvage(whole[0], tmp_path / "missing" / "new.sqlite")
    with pytest.raises(StorageError, match="no file"):
        salvage(tmp_path / "missing.sqlite", tmp_path / "new.sqlite")
    assert os.listdir(tmp_path) == ["taken"]
