"""What a check says before a search: its figures, what it advises, and what it leaves alone."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.checks import CheckReport
from nemo_lab.errors import ArgumentError, NemoWarning, UnknownNameError
from tests.references import problems_in
from tests.test_words import found_in
from tests.toy import ToyProblem


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum().item() > 0 else -x


class Checked(nn.Linear):
    """torch.fx cannot trace it, torch.export can."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != 4:
            raise ValueError("four, please")
        return super().forward(x)


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.lstm = nn.Embedding(50, 8), nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens: Tensor) -> Any:
        return self.head(self.lstm(self.embed(tokens))[0][:, -1])


def sound(report: CheckReport) -> CheckReport:
    """A report that can be read, and whose advice names what there is."""
    text = str(report)
    assert len(text.splitlines()) <= 25
    assert max(map(len, text.splitlines())) <= 100
    assert json.loads(json.dumps(report.to_dict()))["ok"] is report.ok
    assert report.verdict in report._repr_html_()
    for one in report.advice:
        assert problems_in(one) == []
        assert found_in(one, told=True) == []
    return report


@pytest.fixture(scope="module")
def uneven(digits: nl.Workload) -> nl.Workload:
    """The digits with an eleventh class that never wins, and whose weights leave no room for the others."""
    net = copy.deepcopy(digits.module)
    old: Any = net.classifier
    new = nn.Linear(old.in_features, 11)
    new.weight.data[:10], new.bias.data[:10] = old.weight.data, old.bias.data
    new.weight.data[10], new.bias.data[10] = -1000.0, 0.0
    net.classifier = new
    assert digits.data is not None
    example = torch.from_numpy(digits.data.calibration.inputs[:1])
    return dataclasses.replace(nl.Workload.from_module(net, example, name="uneven"), data=digits.data)


def test_the_figures_are_those_of_the_problem(digits: nl.Workload, digits_problem: Any) -> None:
    report = sound(nl.check(digits_problem))
    assert report.ok
    assert report.advice == ()
    assert (report.weights, report.activations) == (17, 19)
    assert (report.params, report.macs, report.traced_by) == (digits.params, digits.macs, "torch.fx")
    ends = digits_problem.evaluate([[8] * 36, [2] * 36])
    assert report.errors == {8: ends[0, 0], 2: ends[1, 0]}
    assert report.full_precision_error == digits_problem.full_precision_error()
    assert report.memory_bytes == digits_problem.memory_bytes
    assert list(report.sizes_mb) == [32, 8, 2]
    assert report.sizes_mb[8] == pytest.approx(digits.params / 1e6)
    assert (report.examples, report.calibration_examples) == (600, 128)
    assert report.seconds is not None
    assert report.minutes == pytest.approx(500 * report.seconds / 60)
    assert "97.67% in full precision" in str(report)


def test_a_way_out_is_tried_before_it_is_told(uneven: nl.Workload) -> None:
    report = sound(nl.check(uneven))
    assert report.ok
    assert report.errors[8] > 0.5
    assert report.full_precision_error is not None
    assert "8 bits everywhere are far from full precision" in report.advice[0]
    assert "use per_channel=True, which gives accuracy 97.67%" in report.advice[0]
    again = nl.check(uneven, per_channel=True)
    assert f"{100 * (1 - again.errors[8]):.2f}%" == "97.67%"
    assert "far" not in str(again)


def test_without_time_nothing_is_tried(uneven: nl.Workload) -> None:
    advice = sound(nl.check(uneven, seconds=0)).advice
    assert "takes longer than 0 seconds" in advice[0]
    assert "which gives" not in advice[0]


def test_calibration_that_can_be_read_once_is_enough(uneven: nl.Workload) -> None:
    assert uneven.data is not None
    once = iter([uneven.data.calibration.inputs])
    report = sound(nl.check(uneven, calibration=once))
    assert "use per_channel=True, which gives accuracy" in report.advice[0]


def test_too_few_examples_are_said(digits: nl.Workload) -> None:
    assert digits.data is not None
    few = (digits.data.search.inputs[:40], digits.data.search.labels[:40])
    report = sound(nl.check(digits, calibration=few[0][:8], data=few, seconds=0))
    assert [one.split(",")[0].split(":")[0] for one in report.advice] == [
        "with 40 examples accuracy moves in steps of 2.5 points",
        "the ranges of activations come from 8 examples",
    ]


def test_untrained_weights_are_said(digits: nl.Workload) -> None:
    assert digits.data is not None
    net = copy.deepcopy(digits.module)
    for parameter in net.parameters():
        parameter.data.fill_(0.01)
    data = (digits.data.search.inputs, digits.data.search.labels)
    example = torch.from_numpy(data[0][:1])
    report = sound(nl.check(net, example, calibration=data[0][:64], data=data))
    assert "see that the weights are trained" in report.advice[0]
    random = sound(nl.check(dataclasses.replace(digits, trained=False, data=None)))
    assert random.ok
    assert "the weights are random" in random.advice[0]
    assert random.errors == {}


def test_what_cannot_be_traced_is_told_and_not_raised() -> None:
    report = sound(nl.check(Branch(), torch.ones(1, 2)))
    assert not report.ok
    assert "cannot trace Branch: torch.fx says" in report.reason
    assert "way out" in str(report)
    assert report.hint in report.to_dict()["hint"]


def test_why_torch_fx_was_not_enough_is_said() -> None:
    report = sound(nl.check(Checked(4, 3), torch.ones(1, 4)))
    assert report.traced_by == "torch.export"
    assert "control flow" in report.fx_says
    assert "torch.fx says" in str(report)


def test_what_stays_in_full_precision_is_named_with_the_reason() -> None:
    report = sound(nl.check(Reader(), torch.zeros(2, 3, dtype=torch.long)))
    assert [(part.name, part.op, part.params) for part in report.full_precision] == [
        ("embed", "embedding", 400),
        ("lstm", "lstm", 1536),
    ]
    assert "looked up" in report.full_precision[0].why
    assert report.advice[0].startswith("errors and times need data")


def test_data_that_cannot_be_used_are_told(digits: nl.Workload) -> None:
    report = sound(nl.check(digits, data=(np.zeros((2, 3)), np.zeros(2, dtype=int))))
    assert not report.ok
    assert "has shape (3,)" in report.reason
    assert report.weights == 17


def test_a_problem_of_ones_own_is_checked(toy: ToyProblem) -> None:
    report = sound(nl.check(toy))
    assert report.ok
    assert report.errors[2] == toy.evaluate([[2] * 6])[0, 0]
    assert (report.weights, report.full_precision_error) == (None, None)


def test_a_candidate_that_was_evaluated_is_not_timed(digits: nl.Workload) -> None:
    assert nl.check(digits, bit_widths=(8,)).seconds is None


def test_module_mode_and_random_numbers_stay() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Dropout(), nn.Linear(3, 2)).train()
    before = copy.deepcopy(net.state_dict())
    torch.manual_seed(3)
    expected = torch.rand(1), np.random.default_rng(0).random()
    torch.manual_seed(3)
    state = np.random.get_state()[1].copy()  # type: ignore[union-attr]  # noqa: NPY002
    images = torch.linspace(-1, 1, 160).reshape(40, 4)
    nl.check(net, images[:1], calibration=images, data=images, metric="kl")
    assert torch.rand(1) == expected[0]
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert all(part.training for part in net.modules())
    assert all(torch.equal(now, before[name]) for name, now in net.state_dict().items())


def test_what_does_not_belong_together_is_refused(digits: nl.Workload, toy: ToyProblem) -> None:
    with pytest.raises(ArgumentError, match="example_input is missing for a Linear"):
        nl.check(nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match="example_input goes with a module"):
        nl.check(digits, torch.ones(1))
    with pytest.raises(ArgumentError, match="metric= goes with a network"):
        nl.check(toy, metric="kl")
    with pytest.raises(ArgumentError, match="a int cannot be checked; give"):
        nl.check(3)
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        nl.check("digit")
    with pytest.raises(UnknownNameError, match="did you mean 'per_channel'"):
        nl.check(digits, per_chanel=True)


def doubt(outputs: Tensor, labels: Tensor) -> Tensor:
    return 1 - outputs.softmax(1).gather(1, labels[:, None])[:, 0]


def test_a_problem_that_knows_both_ends_warns_by_itself(uneven: nl.Workload, digits: nl.Workload) -> None:
    nl.QuantizationProblem(digits, metric=doubt, batch_size=600)
    with pytest.warns(
        NemoWarning, match="8 bits everywhere are far from full precision: doubt is 0.9"
    ) as said:
        nl.QuantizationProblem(uneven, metric=doubt, batch_size=600)
    assert said[0].filename == __file__
