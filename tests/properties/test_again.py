"""A run made again, from its journal alone and by its script, is the run: whatever was steered, and when."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import Phase, given, settings

from nemo_lab import NemoError, NemoWarning, Study, create_study, load_study
from nemo_lab.errors import EvaluationError
from tests.properties.test_ledger import ASKED, SPECIES
from tests.scripts import made_by
from tests.toy import ToyProblem

FEW = (2, 4, 8)  # so that species often come upon the same configuration
OPTIONS: dict[str, Any] = {"population": 12, "min_size": 2, "retries": 2}
Asked = Callable[[Study], object]


class Shaky(ToyProblem):
    """Fails at some evaluations, so that several at once are left half-way."""

    def __init__(self, fatal: frozenset[int] = frozenset()) -> None:
        super().__init__(bit_widths=FEW)
        self.fatal = fatal
        self.lock = threading.Lock()

    def evaluate(self, bits: Any) -> np.ndarray:
        with self.lock:
            found = super().evaluate(bits)
            if self.calls in self.fatal:
                raise OSError("the accelerator went away")
        return found


def table(study: Study) -> dict[str, list[Any]]:
    log = study.snapshot.evaluations
    kept = ("bits", "objectives", "species", "origin", "generation")
    return {name: getattr(log, name).tolist() for name in kept}


def ask(study: Study, what: Asked) -> None:
    with contextlib.suppress(NemoError), warnings.catch_warnings():
        warnings.simplefilter("ignore", NemoWarning)
        what(study)


def by_script(study: Study) -> Study:
    text = study.to_script().replace("problem = ...", "problem = PROBLEM")
    return made_by(text, PROBLEM=Shaky())


def from_the_journal_alone(path: Path) -> Study:
    """Without the stored state of the search."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM checkpoints")
        connection.commit()
    with warnings.catch_warnings():  # it is made with other arguments, which change nothing
        warnings.simplefilter("ignore", NemoWarning)
        return load_study(path, problem=Shaky())


def assert_made_again(study: Study, path: Path) -> None:
    expected = table(study)
    assert table(by_script(study)) == expected
    study.close()
    with contextlib.closing(from_the_journal_alone(path)) as again:
        assert table(again) == expected
        assert again.snapshot.ledger == study.snapshot.ledger
        assert by_script(again) is not None


@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.generate), derandomize=True)
@given(
    plan=st.lists(st.tuples(st.integers(0, 9), ASKED), max_size=12),
    workers=st.integers(1, 4),
    fatal=st.frozensets(st.integers(10, 60), max_size=3),
)
def test_any_steering_is_made_again(
    plan: list[tuple[int, Asked]], workers: int, fatal: frozenset[int], tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("again") / "run.sqlite"
    study = create_study(Shaky(fatal), seed=1, workers=workers, storage=path, species=SPECIES, **OPTIONS)
    for evaluations, what in plan:
        if evaluations:
            with contextlib.suppress(EvaluationError):
                study.optimize(evaluations, progress=False)
        ask(study, what)
    assert_made_again(study, path)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_steers_from_two_threads_in_the_middle_of_a_run_are_made_again(
    workers: int, seed: int, tmp_path: Path
) -> None:
    path = tmp_path / "run.sqlite"
    study = create_study(
        Shaky(frozenset({40, 95})), seed=seed, workers=workers, storage=path, species=SPECIES, **OPTIONS
    )
    study.start(100_000)

    def steer(number: int) -> None:
        rng = random.Random(100 * seed + number)
        for _ in range(30):
            wild = rng.choice(WILD)
            ask(study, partial(wild, r=rng))
            if study.state in ("idle", "finished", "failed") and rng.random() < 0.8:
                ask(study, lambda s: s.start(100_000))

    threads = [threading.Thread(target=steer, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ask(study, Study.resume)
    study.stop()
    with contextlib.suppress(EvaluationError):
        study.wait()
    assert len(study.snapshot.interventions) > 10
    assert_made_again(study, path)


NODES = ToyProblem().node_names
WILD: list[Callable[..., object]] = [
    lambda s, r: s.pin(r.choice(NODES), r.choice(FEW)),
    lambda s, r: s.unpin(r.choice(NODES)),
    lambda s, r: s.unpin(),
    lambda s, r: s.reseed(r.choice(SPECIES), r.choice(("front", "uniform")), 0.5),
    lambda s, r: s.remove_species(r.choice(SPECIES)),
    lambda s, r: s.add_species(r.choice(SPECIES)),
    lambda s, r: s.freeze(r.choice(SPECIES), r.random() < 0.5),
    lambda s, r: s.share(r.choice(SPECIES), r.choice((0.2, 0.6, None))),
    lambda s, r: s.enqueue(r.choice(FEW)),
    lambda s, r: s.what_if(r.choice(FEW)),
    lambda s, r: s.undo(),
    lambda s, r: s.redo(),
    lambda s, r: s.set_budget(len(s.snapshot.evaluations) + 7),
    lambda s, r: s.constrain("loss <= 0.5"),
    lambda s, r: s.stop(),
    lambda s, r: (s.pause(), s.resume()),
]
