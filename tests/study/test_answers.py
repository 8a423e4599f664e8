"""What was measured beside a run, or in another: known, and never paid for again."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nemo_lab import QuantizationProblem, create_study, load_study, load_workload
from nemo_lab.errors import StorageError
from nemo_lab.study import salvage
from tests.study.journal.rewriting import rewrite_header
from tests.toy import GatedProblem, ToyProblem
from tests.waiting import PATIENCE, until, waits

ROW = [8, 2, 7, 3, 6, 5]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


def make(problem: Any, **options: Any) -> Any:
    return create_study(problem, population=8, min_size=1, seed=3, **options)


def execute(path: Path, *statements: str) -> list[Any]:
    connection = sqlite3.connect(path, isolation_level=None)
    found = [row for statement in statements for row in connection.execute(statement).fetchall()]
    connection.close()
    return found


def test_what_the_run_has_measured_is_not_measured_again_beside_it() -> None:
    problem = ToyProblem()
    study = make(problem).optimize(20, progress=False)
    for config in (0, 11, 19):
        answer = study.what_if(study.config(config))
        assert answer.tolist() == study.evaluations()[list(problem.objective_names)].loc[config].tolist()
    assert problem.calls == 20


def test_what_was_asked_is_not_measured_again_by_the_run() -> None:
    problem = ToyProblem()
    study = make(problem)
    answers = [study.what_if(ROW).tolist() for _ in range(3)]
    assert answers == [ToyProblem().evaluate([ROW])[0].tolist()] * 3
    assert problem.calls == 1
    study.enqueue([ROW])
    study.optimize(20, progress=False)
    assert problem.calls == 20
    assert study.snapshot.reused == 1
    assert (study.evaluations(bits=True)[list(problem.node_names)] == ROW).all(axis=1).sum() == 1


def test_what_was_asked_is_in_the_file_for_whoever_comes_next(path: Path) -> None:
    study = make(ToyProblem(), storage=path)
    asked = study.what_if(ROW).tolist()
    study.close()
    for study in (
        load_study(path, problem=(problem := ToyProblem())),
        make(problem, storage=path, name="second"),
    ):
        assert study.what_if(ROW).tolist() == asked
        assert problem.calls == 0
        study.close()
    other = ToyProblem(bit_widths=(2, 3, 5, 6, 7, 8))  # it is not the same
    make(other, storage=path, name="third").what_if(ROW)
    assert other.calls == 1


def metric_of(factor: float) -> Any:
    return lambda outputs, labels: factor * outputs.softmax(1).amin(1)


def own(metric: Any) -> QuantizationProblem:
    return QuantizationProblem(load_workload("digits"), metric=metric)


def test_what_another_function_of_the_same_name_measured_is_not_taken(path: Path) -> None:
    """Every lambda has the name of every other."""
    settings: dict[str, Any] = {"population": 8, "min_size": 1, "species": ("floor",), "storage": path}
    first = create_study(own(metric_of(1.0)), **settings).optimize(8, progress=False)
    first.close()
    second = create_study(own(metric_of(0.5)), **settings).optimize(8, progress=False)
    second.close()
    assert second.snapshot.reused == 0
    assert second.evaluations()["lambda"].tolist() == (first.evaluations()["lambda"] / 2).tolist()
    same = create_study(own(metric_of(1.0)), **settings).optimize(8, progress=False)
    same.close()
    assert same.snapshot.reused == 8
    load_study(path, "study 1", problem=own(metric_of(1.0))).close()
    with pytest.raises(StorageError, match="the code changed since study 'study 1' was made"):
        load_study(path, "study 1", problem=own(metric_of(0.5)))


def test_what_an_earlier_version_knew_by_name_goes_on_but_is_not_taken_over(path: Path) -> None:
    settings: dict[str, Any] = {"population": 8, "min_size": 1, "species": ("floor",), "storage": path}
    create_study(own(metric_of(1.0)), **settings).optimize(8, progress=False).close()
    ((text,),) = execute(path, "SELECT fingerprint FROM studies")
    older = {part: one for part, one in json.loads(text).items() if part != "code"}
    again = own(metric_of(1.0))
    assert older in again.former_fingerprints(again.fingerprint())
    rewrite_header(path, lambda fields: fields.update(fingerprint=older))
    assert create_study(own(metric_of(0.5)), **settings).optimize(8, progress=False).snapshot.reused == 0
    load_study(path, "study 1", problem=own(metric_of(1.0))).optimize(4, progress=False).close()


def test_a_problem_of_other_code_or_settings_is_another(path: Path) -> None:
    class Chain(ToyProblem):
        def __init__(self, strength: float) -> None:
            super().__init__()
            self.strength = strength

        def evaluate(self, bits: Any) -> Any:
            return super().evaluate(bits) * self.strength

    before = Chain

    class Chain(ToyProblem):  # type: ignore[no-redef]
        def __init__(self, strength: float) -> None:
            super().__init__()
            self.strength = strength

        def evaluate(self, bits: Any) -> Any:
            return super().evaluate(bits) * (1 - self.strength)

    make(before(0.5), storage=path).optimize(20, progress=False).close()
    reused = []
    for number, problem in enumerate((before(0.5), before(0.25), Chain(0.5))):
        study = make(problem, storage=path, name=f"again {number}").optimize(20, progress=False)
        study.close()
        reused.append(study.snapshot.reused)
    assert reused == [20, 0, 0]


@pytest.mark.parametrize(
    "damage",
    [
        "objectives = zeroblob(24)",
        "objectives = 'text'",
        "bits = x'0102'",
        "crc = 'one'",
        "fingerprint = 'of another'",
    ],
)
def test_a_damaged_answer_is_measured_again(path: Path, damage: str) -> None:
    study = make(ToyProblem(), storage=path)
    asked = study.what_if(ROW).tolist()
    study.close()
    execute(path, f"UPDATE answers SET {damage}")
    problem = ToyProblem()
    study = load_study(path, problem=problem)
    assert study.what_if(ROW).tolist() == asked
    assert problem.calls == 1
    study.close()


def test_a_full_disk_takes_no_answer_away(path: Path) -> None:
    study = make(ToyProblem(), storage=path)
    study.journal._connection.execute("PRAGMA query_only=ON")  # as for a disk that turned read-only
    assert study.what_if(ROW).tolist() == ToyProblem().evaluate([ROW])[0].tolist()
    study.journal._connection.execute("PRAGMA query_only=OFF")
    study.optimize(20, progress=False)
    assert len(study.evaluations()) == 20
    study.close()


def test_answers_are_saved_from_a_damaged_file(path: Path) -> None:
    study = make(ToyProblem(), storage=path)
    study.what_if(ROW)
    study.close()
    copied = salvage(path, path.with_name("saved.sqlite"))
    assert copied["answers"] == 1
    problem = ToyProblem()
    load_study(path.with_name("saved.sqlite"), problem=problem).what_if(ROW)
    assert problem.calls == 0


def test_an_answer_asked_in_mid_run_is_one_measurement() -> None:
    problem = GatedProblem()
    study = make(problem)
    study.start(60)
    assert problem.entered.wait(PATIENCE)
    asking = threading.Thread(target=study.what_if, args=(ROW,))
    asking.start()
    until(lambda: waits(asking))
    study.enqueue([ROW])
    problem.gate.set()
    asking.join(PATIENCE)
    assert study.wait(PATIENCE)
    assert problem.calls == 60


class WithAFile(QuantizationProblem):
    """Results depend on a file, too."""

    file = "1"

    def fingerprint(self) -> dict[str, str]:
        return {**super().fingerprint(), "file": self.file}


class Wrapped:
    """All of a problem but its fingerprint."""

    def __init__(self, problem: Any, file: str) -> None:
        self.problem, self.file = problem, file

    def __getattr__(self, name: str) -> Any:
        return getattr(self.problem, name)

    def fingerprint(self) -> dict[str, str]:
        return {**self.problem.fingerprint(), "file": self.file}


@pytest.mark.parametrize("metric", ["top1", metric_of(1.0)], ids=["top1", "own"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_a_fingerprint_of_ones_own_adds_is_minded(path: Path, metric: Any, wrapped: bool) -> None:
    def problem(file: str) -> Any:
        made: Any = (QuantizationProblem if wrapped else WithAFile)(load_workload("digits"), metric=metric)
        if wrapped:
            return Wrapped(made, file)
        made.file = file
        return made

    settings: dict[str, Any] = {"population": 8, "min_size": 1, "species": ("floor",), "storage": path}
    create_study(problem("1"), name="first", **settings).optimize(4, progress=False).close()
    load_study(path, "first", problem=problem("1")).close()
    with pytest.raises(StorageError, match="the file changed since"):
        load_study(path, "first", problem=problem("2"))
    other = create_study(problem("2"), name="second", **settings).optimize(4, progress=False)
    other.close()
    assert other.snapshot.reused == 0


def test_a_fingerprint_without_code_needs_no_digest_of_it(path: Path) -> None:
    class Deep(ToyProblem):
        def __init__(self) -> None:
            super().__init__()
            self.deep: list[Any] = []
            for _ in range(5000):
                self.deep = [self.deep]

        def fingerprint(self) -> dict[str, str]:
            return {"all": "1"}

    make(Deep(), storage=path).close()
    load_study(path, problem=Deep()).close()


class Forwarding:
    """Another problem, scaled; everything else is asked of that."""

    def __init__(self, problem: Any, scale: float) -> None:
        self.problem, self.scale = problem, scale

    def __getattr__(self, name: str) -> Any:
        return getattr(self.problem, name)

    def evaluate(self, bits: Any) -> Any:
        return self.problem.evaluate(bits) * self.scale


def test_who_wraps_another_problem_is_told_from_it_and_from_other_wrappers(path: Path) -> None:
    workload = load_workload("digits")
    makers: list[Any] = [
        lambda: QuantizationProblem(workload),
        lambda: Forwarding(QuantizationProblem(workload), 0.5),
        lambda: Forwarding(QuantizationProblem(workload), 0.25),
        ToyProblem,
        lambda: Forwarding(ToyProblem(), 0.5),
        lambda: Forwarding(ToyProblem(), 0.25),
    ]
    settings: dict[str, Any] = {"population": 8, "min_size": 1, "species": ("floor",), "storage": path}
    for number, maker in enumerate(makers):
        first = create_study(maker(), name=f"{number}", **settings).optimize(3, progress=False)
        first.close()
        assert first.snapshot.reused == 0
        again = create_study(maker(), name=f"{number} again", **settings).optimize(3, progress=False)
        again.close()
        assert again.snapshot.reused == 3
        for other in makers[:number]:
            with pytest.raises(StorageError, match="changed since study"):
                load_study(path, f"{number}", problem=other())
        load_study(path, f"{number}", problem=maker()).close()


class Private(ToyProblem):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self._multiplied_by = scale

    def evaluate(self, bits: Any) -> Any:
        return super().evaluate(bits) * self._multiplied_by


def patched(problem: Any, scale: float) -> Any:
    evaluate = problem.evaluate
    problem.evaluate = lambda bits: evaluate(bits) * scale
    return problem


class Doubled(QuantizationProblem):
    """One that says nothing of itself."""

    scale = 1.0

    def evaluate(self, bits: Any) -> Any:
        return super().evaluate(bits) * self.scale


def doubled(scale: float) -> Any:
    made = Doubled(load_workload("digits"))
    made.scale = scale
    return made


@pytest.mark.parametrize(
    "makers",
    [
        [lambda: Private(0.5), lambda: Private(0.25)],
        [ToyProblem, lambda: patched(ToyProblem(), 0.5), lambda: patched(ToyProblem(), 0.25)],
        [
            lambda: QuantizationProblem(load_workload("digits")),
            lambda: patched(QuantizationProblem(load_workload("digits")), 0.5),
            lambda: doubled(1.0),
            lambda: doubled(0.5),
        ],
    ],
    ids=["private names", "functions in place of methods", "classes that inherit a fingerprint"],
)
def test_what_a_problem_was_told_in_any_way_is_minded(path: Path, makers: Any) -> None:
    settings: dict[str, Any] = {"population": 8, "min_size": 1, "species": ("floor",), "storage": path}
    for number, maker in enumerate(makers):
        first = create_study(maker(), name=f"{number}", **settings).optimize(3, progress=False)
        first.close()
        assert first.snapshot.reused == 0
        used = maker()
        used.evaluate(np.full((1, used.num_nodes), 8))
        for name, problem in (("again", maker()), ("with one that was used", used)):
            again = create_study(problem, name=f"{number} {name}", **settings).optimize(3, progress=False)
            again.close()
            assert again.snapshot.reused == 3
        load_study(path, f"{number}", problem=used).close()
    with pytest.raises(StorageError, match="the code changed since study"):
        load_study(path, f"{len(makers) - 1}", problem=makers[-2]())


def test_a_study_is_of_the_problem_as_it_was_when_it_was_made(path: Path) -> None:
    problem = Private(0.5)
    study = make(problem).optimize(20, progress=False)
    problem._multiplied_by = 0.25
    study.save_as(path)
    study.close()
    assert make(Private(0.25), storage=path, name="b").optimize(20, progress=False).snapshot.reused == 0
    assert make(Private(0.5), storage=path, name="c").optimize(20, progress=False).snapshot.reused == 20
