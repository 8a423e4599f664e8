"""Code of one's own that raises half-way leaves a run as it was: it goes on, and is made again, the same."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nemo_lab import NemoWarning, Study, create_study, load_study
from nemo_lab.search.species import Species
from nemo_lab.search.view import SearchView
from tests.scripts import made_by
from tests.study.journal.rewriting import execute
from tests.toy import ToyProblem

HOOKS = ("initial", "offspring", "decode", "imitate", "observe", "state_dict", "costs")


class Once:
    """Raises at one call of all that pass here by a name, before or after what is called has been done."""

    def __init__(self, hook: str = "", at: int = -1, error: type[BaseException] = RuntimeError) -> None:
        self.hook, self.left, self.error = hook, at, error
        self.raised = False

    def __call__(self, hook: str) -> None:
        if hook == self.hook:
            self.left -= 1
            if self.left == 0:
                self.raised = True
                raise self.error(f"{hook} went wrong, once")


class Shaky(Species):
    """Nudges widths; remembers how often it was asked for children, and breeds by that."""

    name = "shaky"
    summary = "bit-widths, some nodes one level up or down"

    def __init__(self, problem: Any, once: Once) -> None:
        self.widths = np.asarray(problem.bit_widths, dtype=np.uint8)
        self.nodes, self.once = problem.num_nodes, once
        self.asked, self.seen = 0, 0

    def initial(self, count: int, rng: np.random.Generator) -> list[Any]:
        made = list(rng.integers(len(self.widths), size=(count, self.nodes)))
        self.once("initial")
        return made

    def offspring(self, parents: Sequence[Any], count: int, rng: np.random.Generator) -> list[Any]:
        self.asked += 1
        chosen = np.asarray(parents)[rng.integers(len(parents), size=count)]
        steps = rng.integers(-1, 2, size=chosen.shape) * (rng.random(chosen.shape) < 0.1 * (self.asked % 5))
        self.once("offspring")
        return list((chosen + steps + self.seen % 2) % len(self.widths))

    def decode(self, genome: Any) -> Any:
        self.once("decode")
        return self.widths[genome]

    def imitate(self, bits: Any, rng: np.random.Generator) -> list[Any]:
        rng.random(3)
        self.once("imitate")
        return list(np.searchsorted(self.widths, bits))

    def observe(self, view: SearchView) -> None:
        self.seen = len(view.front)
        self.once("observe")

    def state_dict(self) -> Any:
        self.once("state_dict")
        return {"asked": self.asked}

    def load_state_dict(self, state: Any) -> None:
        self.asked = state["asked"]


class Priced(ToyProblem):
    """Its exact costs, which species ask for, may raise."""

    def __init__(self, once: Once) -> None:
        super().__init__(bit_widths=(2, 4, 8))
        self.once = once

    def costs(self, bits: Any) -> Any:
        self.once("costs")
        return super().costs(bits)


STEERS: list[tuple[int, Callable[[Study, Species], object]]] = [
    (0, lambda s, own: s.reseed("shaky", "random")),
    (17, lambda s, own: s.pin(s.problem.node_names[0], 4)),
    (17, lambda s, own: s.reseed("shaky", "front", 0.6)),
    (31, lambda s, own: s.reseed("surrogate", "sensitivity")),
    (44, lambda s, own: s.remove_species("shaky")),
    (50, lambda s, own: s.add_species(own)),
    (58, lambda s, own: s.undo()),
    (61, lambda s, own: s.enqueue(8)),
    (75, lambda s, own: s.what_if(4)),
]


def again(what: Callable[[], object], once: Once) -> None:
    """Do something, and do it once more where it raised."""
    done = once.raised
    try:
        what()
    except BaseException:
        if done or not once.raised:
            raise
        what()


def run(path: Path | None, workers: int, once: Once) -> Study:
    problem = Priced(Once())
    kept = {} if path is None else {"storage": path}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NemoWarning)
        own = Shaky(problem, Once())
        species = [own, "surrogate", "integer"]
        study = create_study(
            problem, seed=5, species=species, workers=workers, population=15, min_size=3, retries=2, **kept
        )
        problem.once = own.once = once
        for at, steer in STEERS:
            if at > len(study.snapshot.evaluations):
                again(lambda at=at: study.optimize(until=at, progress=False), once)
            again(lambda steer=steer: steer(study, own), once)
        again(lambda: study.optimize(until=90, progress=False), once)
    problem.once = Once()
    return study


def table(study: Study) -> dict[str, list[Any]]:
    log = study.snapshot.evaluations
    kept = ("bits", "objectives", "species", "origin", "generation")
    return {**{name: getattr(log, name).tolist() for name in kept}, "history": [repr(study.snapshot.history)]}


def loaded(path: Path, alone: bool) -> Study:
    if alone:
        execute(path, "DELETE FROM checkpoints")
    problem = Priced(Once())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NemoWarning)
        return load_study(path, problem=problem, species=[Shaky(problem, Once())])


def by_script(study: Study) -> Study:
    problem = Priced(Once())
    text = study.to_script().replace("problem = ...", "problem = PROBLEM")
    text = text.replace("'shaky'", "SHAKY")  # where the object is to be given
    for call in ("reseed", "remove_species"):
        text = text.replace(f"study.{call}(SHAKY", f"study.{call}('shaky'")
    return made_by(text, PROBLEM=problem, SHAKY=Shaky(problem, Once()))


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, list[Any]]:
    return table(run(None, 1, Once()))


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(("at", "workers"), [(1, 1), (2, 3), (9, 1), (9, 3)])
def test_a_hook_that_raises_once_changes_nothing(
    hook: str, at: int, workers: int, undisturbed: dict[str, list[Any]], tmp_path: Path
) -> None:
    path, once = tmp_path / "run.sqlite", Once(hook, at)
    study = run(path, workers, once)
    if hook in ("decode", "costs"):
        assert once.raised
    expected = table(study)
    assert expected == undisturbed
    assert table(by_script(study)) == undisturbed
    study.close()
    for alone in (False, True):
        with contextlib.closing(loaded(path, alone)) as other:
            assert table(other) == undisturbed


@pytest.mark.parametrize("hook", ["initial", "imitate", "decode", "offspring", "observe"])
def test_ctrl_c_while_nothing_runs_takes_a_command_whole_or_not_at_all(
    hook: str, undisturbed: dict[str, list[Any]], tmp_path: Path
) -> None:
    once = Once(hook, 2, KeyboardInterrupt)
    study = run(tmp_path / "run.sqlite", 1, once)
    assert table(study) == undisturbed
    study.close()
    with contextlib.closing(loaded(tmp_path / "run.sqlite", alone=True)) as other:
        assert table(other) == undisturbed
