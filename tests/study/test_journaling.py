"""A study in a journal: taken up again, watched, never paid twice, and what goes wrong with it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nemo_lab import NemoWarning, Study, create_study, load_study
from nemo_lab.errors import NemoError, StorageError, StudyStateError
from nemo_lab.search.presets import PRESETS
from nemo_lab.search.species.real import ContinuousSpecies
from nemo_lab.study import studies
from nemo_lab.study.journal.packing import pack
from nemo_lab.study.journal.rows import crc_of
from tests.study.journal.rewriting import rewrite_header
from tests.toy import GatedProblem, SlowProblem, ToyProblem
from tests.waiting import PATIENCE, until

STEERS: tuple[tuple[int, Callable[[Study], None]], ...] = (
    (20, lambda s: s.pin({"layer0.weight": 8})),
    (35, lambda s: s.reseed("floor", "front", 0.5)),
    (50, lambda s: s.share("floor", 0.5)),
    (60, lambda s: s.undo()),
    (70, lambda s: s.unpin()),
    (70, lambda s: s.freeze("gcn")),
    (85, lambda s: s.remove_species("unet")),
    (100, lambda s: s.enqueue([[5] * 6, [2] * 6])),
    (105, lambda s: s.pin("layer1.*", min=4, max=6)),
    (110, lambda s: s.undo()),
    (110, lambda s: s.redo()),
    (110, lambda s: s.constrain("loss <= 0.6")),
    (115, lambda s: s.add_species("unet")),
)
COUNT = 140


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NemoWarning)
        yield


def make(preset: str = "default", problem: Any = None, **options: Any) -> Study:
    return create_study(problem or ToyProblem(), preset=preset, population=16, seed=5, **options)


def go_on(study: Study, count: int = COUNT) -> pd.DataFrame:
    """To ``count`` evaluations, with the steers that are due and not made yet."""
    for at, steer in STEERS[len(study.interventions()) :]:
        if at > count:
            break
        if len(study.evaluations()) < at:
            study.optimize(until=at, progress=False)
        steer(study)
    if len(study.evaluations()) < count:
        study.optimize(until=count, progress=False)
    return study.evaluations(bits=True)


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_that_is_taken_up_again_and_again_is_the_same(preset: str, workers: int, path: Path) -> None:
    whole = go_on(make(preset))
    study = make(preset, storage=path, workers=workers)
    for count in (1, 19, 35, 36, 77, 100, 112, 139, COUNT):
        go_on(study, count)
        study.close()
        study = load_study(path, problem=ToyProblem())
        assert len(study.evaluations()) == count
    assert go_on(study).equals(whole)
    assert list(study.interventions()["evaluation"]) == [at for at, _ in STEERS]
    assert set(study.front().index) == brute_force(path, study)


def brute_force(path: Path, study: Study) -> set[int]:
    """Who is on the front, one by one from the rows of the file: under the pins, least beyond the limits."""
    with sqlite3.connect(path) as file:
        rows = file.execute("SELECT number, bits, objectives FROM evaluations ORDER BY number").fetchall()
    file.close()
    pins = [(list(ToyProblem().node_names).index(name), width) for name, width in study.pins.items()]
    found = []
    for number, bits, objectives in rows:
        held = [
            low <= bits[node] <= high
            for node, width in pins
            for low, high in [width if isinstance(width, tuple) else (width, width)]
        ]
        if all(held):
            values = dict(zip(ToyProblem.objective_names, np.frombuffer(objectives), strict=True))
            excess = sum(max(0.0, values[name] - limit) for name, limit in study.constraints.items())
            found.append((number, excess, tuple(values.values())))
    least = min(excess for _, excess, _ in found)
    kept = [(number, values) for number, excess, values in found if excess == least]
    return {
        number
        for number, values in kept
        if not any(
            other != values and all(a <= b for a, b in zip(other, values, strict=True)) for _, other in kept
        )
        and not any(earlier < number and other == values for earlier, other in kept)
    }


def test_a_run_without_its_stored_state_is_gone_through_again(path: Path) -> None:
    whole = go_on(make())
    study = make(storage=path)
    go_on(study, 90)
    study.close()
    with sqlite3.connect(path) as file:
        file.execute("DELETE FROM checkpoints")
    file.close()
    assert go_on(load_study(path, problem=ToyProblem())).equals(whole)


def test_a_species_that_cannot_be_written_down_costs_a_longer_start_only(path: Path) -> None:
    class Odd:
        name = "odd"
        summary = "its genomes are objects of its own"

        def __init__(self, problem: Any, options: Any) -> None: ...

        def initial(self, count: int, rng: np.random.Generator) -> list[Any]:
            return [{"bits": rng.integers(2, 9, 6)} for _ in range(count)]

        def offspring(self, parents: Any, count: int, rng: np.random.Generator) -> list[Any]:
            return self.initial(count, rng)

        def decode(self, genome: Any) -> Any:
            return genome["bits"].astype(np.uint8)

        def imitate(self, bits: Any, rng: np.random.Generator) -> list[Any]:
            return [{"bits": row} for row in bits]

    species = ["floor", Odd]
    whole = make(species=species).optimize(60, progress=False).evaluations(bits=True)
    study = make(species=species, storage=path)
    study.optimize(30, progress=False)
    study.close()
    with pytest.raises(StorageError, match=r"does not hold species odd; give them: .*species=\[\.\.\.\]"):
        load_study(path, problem=ToyProblem())
    assert len(load_study(path, read_only=True).evaluations()) == 30
    again = load_study(path, problem=ToyProblem(), species=[Odd])
    assert again.optimize(until=60, progress=False).evaluations(bits=True).equals(whole)


def test_what_is_in_the_file_is_not_evaluated_again(path: Path) -> None:
    first = make(storage=path)
    go_on(first)
    problem = ToyProblem()
    again = make(problem=problem, storage=path)
    assert go_on(again).equals(first.evaluations(bits=True))
    assert problem.calls == 0
    assert again.snapshot.reused == COUNT
    wider = ToyProblem(bit_widths=(2, 4, 8))
    make(problem=wider, storage=path).optimize(20, progress=False)
    assert wider.calls == 20


def test_a_second_notebook_watches(path: Path) -> None:
    problem = GatedProblem(free=20)
    study = make(problem=problem, storage=path)
    heard: list[int] = []
    watching = load_study(path, read_only=True)
    watching.listen(lambda: heard.append(len(watching.snapshot.evaluations)))
    study.start(150)
    until(lambda: len(watching.snapshot.evaluations) > 10)
    assert watching.state == "running"
    study.pin({"layer0.weight": 8})
    problem.gate.set()
    until(lambda: watching.pins == {"layer0.weight": 8})
    study.wait(PATIENCE)
    assert watching.wait(PATIENCE)
    assert watching.state == "finished"
    assert watching.evaluations(bits=True).equals(study.evaluations(bits=True))
    assert watching.front().equals(study.front())
    assert watching.history().equals(study.history())
    assert watching.interventions().equals(study.interventions())
    until(lambda: heard[-1:] == [150])
    assert heard == sorted(heard)
    for refused in (
        lambda: watching.start(-1),
        lambda: watching.prepare("x"),
        watching.pause,
        watching.resume,
        watching.undo,
        watching.redo,
        lambda: watching.pin("no such node", 4),
        lambda: watching.unpin("layer1"),
        lambda: watching.constrain("no such objective <= 1"),
        lambda: watching.aspire(task_error=-1),
        lambda: watching.set_budget(1),
        lambda: watching.enqueue([]),
        lambda: watching.what_if([]),
        lambda: watching.reseed("no such species"),
        lambda: watching.add_species("floor"),
        lambda: watching.remove_species("no such species"),
        lambda: watching.freeze("no such species"),
        lambda: watching.share("floor", 2),
    ):
        with pytest.raises(
            StudyStateError, match=r"only followed here; .*load_study\('.*', '.*', problem=...\) goes on"
        ):
            refused()
    with pytest.raises(StudyStateError, match="problem="):
        watching.problem.evaluate([[2] * 6])
    watching.close()


def test_a_watched_run_that_was_killed_is_not_under_way(path: Path) -> None:
    script = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from nemo_lab import create_study\n"
        "from tests.toy import SlowProblem\n"
        f"create_study(SlowProblem(), population=16, storage={str(path)!r}).optimize(100_000, progress=False)"
    )

    def stored() -> int:
        try:
            return int(studies(path)["evaluations"].iloc[0])
        except (StorageError, IndexError):  # not begun yet
            return 0

    with subprocess.Popen([sys.executable, "-c", script]) as process:
        try:
            until(lambda: stored() > 3)
            watching = load_study(path, read_only=True)
            assert watching.state == "running"
        finally:
            process.kill()
    until(lambda: watching.state == "idle")
    assert len(watching.evaluations()) > 3
    watching.close()
    load_study(path, problem=SlowProblem()).close()


def test_a_paused_run_says_so_in_the_file(path: Path) -> None:
    study = make(problem=SlowProblem(), storage=path)
    study.start(100_000)
    until(lambda: len(study.evaluations()) > 5)
    study.pause()
    study.wait()
    watching = load_study(path, read_only=True)
    assert watching.state == "paused"
    study.close()
    until(lambda: watching.state == "idle")
    watching.close()


def test_what_changed_is_named(path: Path) -> None:
    study = make(storage=path)
    study.optimize(5, progress=False)
    study.close()
    other = ToyProblem()
    other.node_features = other.node_features + 1
    with pytest.raises(StorageError, match="the workload changed since study 'study 1'"):
        load_study(path, problem=other)
    with pytest.raises(StorageError, match="the settings changed"):
        load_study(path, problem=SlowProblem())
    with pytest.raises(StorageError, match=r"does not hold the network of 'ToyProblem'.*problem=.*read_only"):
        load_study(path)
    rewrite_header(path, lambda fields: fields["versions"].update(numpy=f"0.{fields['versions']['numpy']}"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_study(path, problem=ToyProblem())
    assert any("other versions (numpy 0." in str(one.message) for one in caught)


def test_the_script_makes_the_run_again(path: Path) -> None:
    study = make(storage=path)
    go_on(study)
    study.start(60)
    until(lambda: len(study.evaluations()) > COUNT + 5)
    study.stop()
    study.wait()
    study.aspire(loss=0.4)
    study.set_budget(COUNT + 80)
    study.optimize(until=COUNT + 80, progress=False)
    text = study.to_script(path.with_suffix(".py"))
    assert text == path.with_suffix(".py").read_text()
    names: dict[str, Any] = {"given": ToyProblem()}
    exec(text.replace("problem = ...", "problem = given").replace("print(", "str("), names)
    assert names["study"].evaluations(bits=True).equals(study.evaluations(bits=True))
    study.close()
    assert load_study(path, read_only=True).to_script() == text


def test_undo_goes_back_and_redo_forward_again() -> None:
    study = make()
    study.optimize(40, progress=False)
    states = [picture(study)]
    steers: list[Callable[[], None]] = [
        lambda: study.pin({"layer1.weight": 3}),
        lambda: study.constrain("loss <= 0.5"),
        lambda: study.reseed("surrogate", "uniform", 0.5),
        lambda: study.share("floor", 0.25),
        lambda: study.freeze("gcn"),
        lambda: study.remove_species("unet"),
        lambda: study.enqueue(7),
        lambda: study.aspire(size=0.2),
        lambda: study.set_budget(77),
        lambda: study.add_species("unet"),
    ]
    for steer in steers:
        steer()
        states.append(picture(study))
    for expected in reversed(states[:-1]):
        study.undo()
        assert picture(study) == expected
    with pytest.raises(StudyStateError, match="nothing to undo"):
        study.undo()
    for expected in states[1:]:
        study.redo()
        assert picture(study) == expected
    with pytest.raises(StudyStateError, match="nothing to redo"):
        study.redo()
    study.undo()
    study.unpin()
    with pytest.raises(StudyStateError, match="nothing to redo"):
        study.redo()


def picture(study: Study) -> tuple[Any, ...]:
    """Everything that an intervention may change, as the study shows it."""
    now = study.snapshot
    decided = now.constraints, now.controls, now.target
    taking_part = study.controls()[["takes_part", "frozen", "share"]]
    return (*decided, tuple(now.front), now.waiting, repr(taking_part))


def test_hostile_files_show_as_text_or_are_refused(path: Path) -> None:
    nasty = "<script>alert(1)</script>'; DROP TABLE studies; --\x00../../etc/passwd"
    problem = ToyProblem()
    problem.node_names = (nasty, *problem.node_names[1:])
    study = make(problem=problem, storage=path, name=nasty)
    study.optimize(20, progress=False)
    study.pin({nasty: 4})
    study.close()
    watching = load_study(path, nasty, read_only=True)
    assert watching.pins == {nasty: 4}
    assert "<script>" not in watching._repr_html_()
    assert nasty in watching.interventions()["detail"][0]
    compile(watching.to_script(), "script", "exec")
    import pickle

    bomb = pickle.dumps(Bomb())
    for action, arguments in (
        ("pin", {"pins": {"pairs": [[99, 4]]}}),
        ("pin", {"pins": {"pairs": [[0, 400]]}}),
        ("pin", {"pins": bomb}),
        ("__class__", {}),
        ("what_if", {"bits": np.zeros(6)}),
        ("reseed", {"species": "../x", "source": "front", "fraction": 1.0}),
        ("reseed", {"species": "floor", "source": [10**9], "fraction": 1.0}),
        ("share", {"name": "floor", "part": "all"}),
        ("add_species", {"name": "os.system"}),
        ("enqueue", {"bits": np.full((1, 6), 99, dtype=np.uint8)}),
        ("prepare", {"candidates": -(10**9)}),
    ):
        copy = path.with_name(f"{abs(hash((action, str(arguments))))}.sqlite")
        copy.write_bytes(path.read_bytes())
        text, blob = pack(arguments)
        detail = nasty.replace("\x00", "")
        with sqlite3.connect(copy) as file:
            (mark,) = file.execute("SELECT crc FROM studies").fetchone()
            crc = crc_of(blob, action, detail, text, numbers=(20, 0), mark=mark)
            file.execute("DELETE FROM checkpoints")
            file.execute(
                "UPDATE steers SET evaluation = 20, asks = 0, action = ?, detail = ?, arguments = ?, "
                "arrays = ?, crc = ?",
                (action, detail, text, blob, crc),
            )
        file.close()
        fresh = ToyProblem()
        fresh.node_names = problem.node_names
        with pytest.raises(NemoError):
            load_study(copy, problem=fresh)
        assert "<script>" not in load_study(copy, read_only=True)._repr_html_()


class Bomb:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was loaded",))


def test_a_species_that_was_added_is_asked_for(path: Path) -> None:
    class Late(ContinuousSpecies):
        name = "late"

    study = make(storage=path).optimize(20, progress=False)
    study.add_species(Late)
    study.optimize(20, progress=False)
    study.close()
    with pytest.raises(
        StorageError, match=r"does not hold species 'late', which was added.*species=\[\.\.\.\]"
    ):
        load_study(path, problem=ToyProblem())
    assert [one.name for one in load_study(path, read_only=True).species][-1] == "late"
    load_study(path, problem=ToyProblem(), species=[Late]).optimize(5, progress=False).close()


def test_a_closed_study_is_read_and_nothing_else(path: Path) -> None:
    study = make(storage=path).optimize(20, progress=False)
    node = study.problem.node_names[0]
    study.constrain("loss <= 0.9")
    study.close()
    for go_on_with in (
        lambda: study.start(5),
        lambda: study.optimize(5, progress=False),
        lambda: study.prepare(),
        lambda: study.pin(node, 4),
        lambda: study.enqueue(4),
        lambda: study.what_if({"*": 4, node: 8}),
        lambda: study.set_budget(50),
        lambda: study.undo(),
    ):
        with pytest.raises(
            StudyStateError, match=r"the study is closed.*load_study\('.*', problem=\.\.\.\) goes on"
        ):
            go_on_with()
    assert len(study.evaluations()) == len(load_study(path, read_only=True).evaluations()) == 20
    study.close()
    kept_nowhere = make().optimize(20, progress=False)
    kept_nowhere.close()
    assert len(kept_nowhere.optimize(5, progress=False).evaluations()) == 25
