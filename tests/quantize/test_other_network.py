"""Another network is never taken for this one: not by its trace, not by what is stored of it, not later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.errors import DataError, StorageError, TraceError
from nemo_lab.quantize.fingerprint import workload_digests
from nemo_lab.workload.agreement import disagreement

IMAGES = torch.randn(24, 3, 12, 12, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(24, 8, generator=torch.Generator().manual_seed(0))
pytestmark = pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")  # untrained: 8 bits may be far


@dataclass
class Answer:
    """What pytree does not know."""

    scores: Tensor
    task: str = "none"


class Packed(dict[str, Any]):
    """Nor this."""


class Normed(nn.Module):
    """Computes its weight from others, which were loaded after it had been traced."""

    def __init__(self, pack: str = "", mask: float | None = None) -> None:
        super().__init__()
        self.layer = nn.utils.parametrizations.weight_norm(nn.Linear(8, 5))
        self.pack, self.mask = pack, mask

    def forward(self, x: Tensor) -> Any:
        found = self.layer(x)
        if self.mask is not None:
            found = found.masked_fill(torch.tensor([False] * 4 + [True]), self.mask)
        packed = {"": found, "dataclass": Answer(found), "dictionary": Packed(scores=found)}
        return {"list": [packed["dataclass"]], **packed}[self.pack]


def difference(outputs: Any, labels: Any, reference: Any) -> Tensor:
    def scores(one: Any) -> Tensor:
        found: Tensor = getattr(one, "scores", one)
        return found

    return (scores(outputs) - scores(reference)).square().mean(1)


@pytest.mark.parametrize("pack", ["", "dataclass", "dictionary", "list"])
def test_outputs_are_compared_however_they_are_packed(pack: str) -> None:
    torch.manual_seed(0)
    module = Normed(pack).eval()
    workload = nl.Workload.from_module(module, ROWS[:2])
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(-2)
    with pytest.raises(TraceError, match="gives other outputs than the module itself"):
        nl.QuantizationProblem(workload, ROWS, ROWS, difference)


def test_what_has_no_tensor_cannot_be_compared() -> None:
    assert disagreement({"a": 1}, {"a": 1}) == "there is no tensor that could be compared"
    assert disagreement([torch.tensor(1.0), 3], [torch.tensor(1.0), 4]) is None
    nan = torch.tensor([1.0, torch.nan])
    assert disagreement(nan, nan.clone()) is None


@pytest.mark.parametrize("mask", [None, -1e4, -1e9, float(torch.finfo(torch.float32).min), -torch.inf])
def test_one_huge_number_hides_no_difference(mask: float | None) -> None:
    torch.manual_seed(0)
    module = Normed(mask=mask).eval()
    workload = nl.Workload.from_module(module, ROWS[:2])
    nl.QuantizationProblem(workload, ROWS, ROWS, "agreement")
    with torch.no_grad():
        module.layer.parametrizations.weight.original1.neg_()  # type: ignore[union-attr, operator]
    with pytest.raises(TraceError, match="gives other outputs than the module itself"):
        nl.QuantizationProblem(workload, ROWS, ROWS, "agreement")


class Told(nn.Module):
    """What it was told is neither in its code nor in its weights."""

    def __init__(self, **told: Any) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=told.get("padding", 1), dilation=told.get("dilation", 1))
        self.act = nn.LeakyReLU(told.get("slope", 0.01))
        self.norm = nn.BatchNorm2d(8, eps=told.get("eps", 1e-5))
        self.pool = told.get("pool", nn.AvgPool2d)(2)
        self.second = nn.Conv2d(8, 4, 3, padding_mode=told.get("mode", "zeros"), padding=1)
        self.register_buffer("factor", torch.full((1, 8, 1, 1), told.get("factor", 1.0)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.second(self.pool(self.norm(self.act(self.first(x))) * self.factor))
        return found.mean((2, 3))


def told(**settings: Any) -> nl.QuantizationProblem:
    torch.manual_seed(0)
    workload = nl.Workload.from_module(Told(**settings).eval(), IMAGES[:2])
    return nl.QuantizationProblem(workload, IMAGES, IMAGES, "kl")


OTHERS: list[dict[str, Any]] = [
    {"slope": 0.5}, {"dilation": 2, "padding": 2}, {"eps": 1.0}, {"pool": nn.MaxPool2d}, {"factor": -1.0},
    {"padding": 0}, {"mode": "circular"},
]  # fmt: skip


def test_what_modules_were_told_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    own = told()
    digests = [workload_digests(told(**one).workload) for one in ({}, *OTHERS)]
    assert digests[0] == workload_digests(own.workload)
    assert len({first for first, _ in digests}) == 1 + len(OTHERS)
    path = tmp_path / "run.sqlite"
    study = nl.create_study(own, species=("continuous",), population=8, min_size=2, storage=path)
    study.optimize(10, progress=False)
    study.close()
    with pytest.raises(StorageError, match="the workload changed"):
        nl.load_study(path, problem=told(slope=0.5))
    assert len(nl.load_study(path, problem=told()).evaluations()) == 10


def test_what_an_earlier_version_stored_goes_on() -> None:
    problem = told()
    now = problem.fingerprint()
    earlier = {**now, "workload": workload_digests(problem.workload)[1]}
    assert earlier in problem.former_fingerprints(now)
    assert now not in problem.former_fingerprints(now)
    assert problem.former_fingerprints({**now, "workload": "another", "settings": "others"}) == ()


def test_a_network_that_was_trained_since_is_not_measured_with_the_old_ranges() -> None:
    problem = told()
    before, bits = problem.fingerprint(), np.full(problem.num_nodes, 4)
    found = problem.evaluate(bits)
    with torch.no_grad():
        problem.workload.module.first.weight.mul_(1.5)  # type: ignore[operator, union-attr]
    for later in (problem.network, lambda: problem.error_with(bits)):
        with pytest.raises(
            DataError, match=r"another network than when this problem was made.*make the problem"
        ):
            later()
    assert problem.fingerprint() == before  # its own copy of the weights is what it measures
    assert np.array_equal(problem.evaluate(bits), found)


def test_other_settings_are_measured_on_the_same_data_and_on_the_same_network() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(400, 3)).eval()
    module[1].running_var.fill_(1e-30)  # type: ignore[union-attr, operator]
    module[1].eps = 0.0  # type: ignore[assignment]
    module[0].weight.data.mul_(1e-15)  # type: ignore[union-attr, operator]
    workload = nl.Workload.from_module(module, IMAGES[:2])
    data = torch.utils.data.DataLoader(IMAGES, 8, shuffle=True)  # type: ignore[arg-type]
    problem = nl.QuantizationProblem(workload, data, IMAGES, "agreement", fold=False)
    bits = np.full(problem.num_nodes, 3)
    assert all(problem.error_with(bits) == problem.evaluate(bits)[0, 0] for _ in range(3))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("training", [False, True])
def test_half_precision_in_training_mode_is_held_against_as_it_evaluates(
    kind: torch.dtype, training: bool
) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 4)).to(kind)
    workload = nl.Workload.from_module(module.train(training), ROWS[:2].to(kind))
    nl.QuantizationProblem(workload, ROWS.to(kind), ROWS.to(kind), "agreement")
    assert all(part.training == training for part in module.modules())
