"""What the presets promise at the level of a study: determinism, no repeats, wishes that hold."""

from __future__ import annotations

import numpy as np
import pytest

from nemo_lab import NemoWarning, Study, create_study
from nemo_lab.errors import UnknownNameError
from nemo_lab.search.presets import PRESETS
from tests.toy import ToyProblem


def table(study: Study) -> bytes:
    log = study.snapshot.evaluations
    return log.bits.tobytes() + log.objectives.tobytes() + log.species.tobytes()


@pytest.mark.parametrize("preset", PRESETS)
def test_one_seed_one_run_whatever_the_workers_and_the_stops(preset: str) -> None:
    def run(workers: int, steps: tuple[int, ...]) -> bytes:
        study = create_study(ToyProblem(), preset=preset, seed=3, population=12, workers=workers)
        for count in steps[:-1]:
            study.optimize(count, progress=False)
        with pytest.warns(NemoWarning, match="projected"):
            study.pin("layer1.weight", 6)
        study.constrain("loss <= 0.3")
        return table(study.optimize(steps[-1], progress=False))

    runs = {run(workers, steps) for workers in (1, 2, 5) for steps in ((40, 60), (10, 7, 23, 60))}
    assert len(runs) == 1


def test_default_never_pays_twice_and_ends_when_nothing_is_left() -> None:
    problem = ToyProblem(num_nodes=4, bit_widths=(2, 4, 8))
    study = create_study(problem, population=8)
    with pytest.warns(NemoWarning, match="every configuration has been evaluated"):
        study.optimize(500, progress=False)
    bits = study.snapshot.evaluations.bits
    assert study.state == "finished"
    assert len(bits) == len(np.unique(bits, axis=0)) == 3**4


def test_a_pin_leaves_less_and_its_removal_more() -> None:
    study = create_study(ToyProblem(num_nodes=4, bit_widths=(2, 4, 8)), population=8)
    study.pin({"layer0.input": 4, "layer0.weight": 4})
    with pytest.warns(NemoWarning, match="every configuration"):
        study.optimize(200, progress=False)
    assert len(study.evaluations()) == 9
    study.unpin()
    assert not study.snapshot.exhausted
    with pytest.warns(NemoWarning, match="every configuration"):
        study.optimize(200, progress=False)
    assert len(study.evaluations()) == 81


def test_the_paper_repeats_itself_and_pays() -> None:
    bits = create_study(ToyProblem(), preset="paper").optimize(200, progress=False).snapshot.evaluations.bits
    assert len(np.unique(bits, axis=0)) < len(bits) == 200


def test_an_aspiration_draws_the_search_into_its_box() -> None:
    def inside(**box: float) -> float:
        study = create_study(ToyProblem(num_nodes=12), seed=1, aspiration=box)
        found = study.optimize(200, progress=False).evaluations()[100:]
        return float(((found["loss"] <= 0.1) & (found["size"] <= 0.16)).mean())

    assert inside(loss=0.1, size=0.16) > inside() + 0.2


def test_a_preset_that_is_none() -> None:
    with pytest.raises(UnknownNameError, match="default"):
        create_study(ToyProblem(), preset="defualt")
