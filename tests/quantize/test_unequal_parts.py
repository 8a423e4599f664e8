"""Batches of unequal size, metrics of a whole set, and names: no part counts for more than it is."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.errors import DataError, EvaluationError
from nemo_lab.quantize.joined import joined

BITS = [3, 3, 4, 4, 3]


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)]
    return nn.Sequential(*layers).eval()


def images(count: int, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def workload() -> Workload:
    return Workload.from_module(network(), images(2))


def ranges(workload: Workload, calibration: Any, **settings: Any) -> tuple[float, float]:
    return QuantizationProblem(workload, calibration, images(8), "agreement", **settings).ranges["0.input"]


@pytest.mark.parametrize("rule", ["minmax", "percentile"])
@pytest.mark.parametrize("blank", [1, 2, 15])
def test_a_few_that_are_left_over_are_no_batch_of_their_own(
    workload: Workload, rule: Any, blank: int
) -> None:
    usual = ranges(workload, images(64), ranges=rule)
    with_blank = ranges(workload, torch.cat([images(64), torch.zeros(blank, 3, 8, 8)]), ranges=rule)
    assert with_blank == pytest.approx(usual, rel=0.05 if rule == "percentile" else 1e-9)


@pytest.mark.parametrize("count", [64, 48, 80])
def test_batches_are_averaged_as_the_paper_does(workload: Workload, count: int) -> None:
    given = images(count)
    extremes = [(float(part.min()), float(part.max())) for part in given.split(32)]
    assert ranges(workload, given) == tuple(np.mean(extremes, axis=0))


@pytest.mark.parametrize(
    ("count", "size", "least", "sizes"),
    [
        (65, 32, 2, [32, 33]),
        (66, 32, 2, [32, 32, 2]),
        (3, 2, 2, [3]),
        (3, 1, 2, [1, 1, 1]),
        (1, 32, 2, [1]),
        (64, 32, 2, [32, 32]),
        (79, 32, 16, [32, 47]),
        (80, 32, 16, [32, 32, 16]),
        (10, 32, 16, [10]),
    ],
)
def test_too_few_join_the_last_batch(
    workload: Workload, count: int, size: int, least: int, sizes: list[int]
) -> None:
    from nemo_lab.quantize.data import as_examples

    parts = as_examples(images(count), workload, "data", "taken").batches(size, least)
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat([part.inputs[0] for part in parts]), images(count))


class Squeezed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(nn.functional.adaptive_avg_pool2d(self.conv(x).relu(), 1).squeeze())


@pytest.mark.parametrize("count", [64, 65])
@pytest.mark.parametrize("metric", ["top1", "agreement"])
def test_a_network_that_squeezes_the_batch_axis_away_for_one_example(count: int, metric: str) -> None:
    torch.manual_seed(0)
    module, inputs = Squeezed().eval(), images(count)
    labels = module(inputs).argmax(1)
    made = QuantizationProblem(
        Workload.from_module(module, inputs[:4]), inputs, (inputs, labels), metric, batch_size=32
    )
    assert made.full_precision_error() == 0
    assert made.evaluate([8] * made.num_nodes)[0, 0] < 0.1
    with pytest.raises(DataError, match="for 1 examples"):
        QuantizationProblem(made.workload, inputs, (inputs[:1], labels[:1]), "top1")


def worst_class(outputs: Tensor, labels: Tensor) -> float:
    """Of the whole set: the share of wrong answers in the class that fares worst."""
    wrong = outputs.argmax(1) != labels
    return max(float(wrong[labels == one].float().mean()) for one in labels.unique())


def each(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs.argmax(1) != labels).float()


@pytest.mark.parametrize("size", [7, 32, 96])
def test_a_metric_of_one_number_sees_the_whole_set(workload: Workload, size: int) -> None:
    inputs = images(96)
    labels = workload.module(inputs).argmax(1)
    made = QuantizationProblem(
        workload, images(32, 2), (inputs, labels), [worst_class, each], batch_size=size
    )
    own = made.network()
    own.set_bits(BITS)
    outputs = own(own.prepare(inputs))
    rows = [BITS, [8] * 5, [2] * 5]
    found = made.evaluate(rows)
    assert found[0, :2] == pytest.approx([worst_class(outputs, labels), float(each(outputs, labels).mean())])
    assert found.tolist() == [made.evaluate(row)[0].tolist() for row in rows]
    assert made.error(BITS, (inputs, labels), worst_class)[0] == pytest.approx(worst_class(outputs, labels))


def test_what_is_measured_of_a_set_is_never_taken_for_an_average_of_batches(workload: Workload) -> None:
    inputs = images(64)
    labels = workload.module(inputs).argmax(1)

    def made(metric: Any, size: int) -> QuantizationProblem:
        return QuantizationProblem(workload, inputs, (inputs, labels), metric, batch_size=size)

    batches, whole, single = made(worst_class, 32), made(worst_class, 64), made(each, 32)
    assert batches.fingerprint()["code"] != whole.fingerprint()["code"]
    assert batches.former_fingerprints(batches.fingerprint()) == ()
    assert whole.former_fingerprints(whole.fingerprint()) != ()
    assert single.former_fingerprints(single.fingerprint()) != ()


@dataclass
class Out:
    logits: Tensor
    extra: tuple[Tensor, None]


Pair = namedtuple("Pair", "left right")


def test_outputs_of_batches_are_joined_in_whatever_they_come() -> None:
    a, b = torch.ones(2, 3), torch.zeros(1, 3)
    both = torch.cat([a, b])
    assert torch.equal(joined([a, b]), both)
    assert torch.equal(joined([Out(a, (a, None)), Out(b, (b, None))]).extra[0], both)
    assert torch.equal(joined([Pair(a, 1), Pair(b, 1)]).left, both)
    assert torch.equal(joined([{"x": [a]}, {"x": [b]}])["x"][0], both)
    for parts in ([torch.tensor(1.0), torch.tensor(2.0)], [a, torch.zeros(1, 4)], ["one", "other"]):
        with pytest.raises(EvaluationError, match="one number for each example"):
            joined(parts)


class Named(nn.Module):
    """Parts of the network's own are called as ours would be."""

    def __init__(self) -> None:
        super().__init__()
        self.quantizer_0, self.quantizer_ = nn.Linear(6, 8), nn.Tanh()
        self.quantizer_1 = nn.Parameter(torch.randn(8))
        self.register_buffer("quantizer__0", torch.randn(8))
        self.scores, self.context, self.output = nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)

    def forward(self, output: Tensor) -> Tensor:
        x = self.quantizer_(self.quantizer_0(output)) * self.quantizer_1 + self.quantizer__0
        return self.output(self.context(self.scores(x)))


def test_a_network_may_call_its_parts_as_we_do() -> None:
    torch.manual_seed(0)
    module, inputs = Named().eval(), torch.randn(64, 6)
    with torch.no_grad():
        wanted = module(inputs)

    def mean_square(outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - labels).square().mean(1)

    made = QuantizationProblem(
        Workload.from_module(module, inputs[:2]), inputs, (inputs, wanted), mean_square
    )
    signal = float(wanted.square().mean())
    assert made.full_precision_error() < 1e-10 * signal
    assert made.evaluate([8] * made.num_nodes)[0, 0] < 0.01 * signal


def test_examples_of_another_size_are_refused_with_a_way_out(workload: Workload) -> None:
    with pytest.raises(DataError, match="resize, pad or crop"):
        QuantizationProblem(workload, [images(8), images(8), torch.randn(8, 3, 9, 9)], images(8), "agreement")
