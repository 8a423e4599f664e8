"""What a problem takes is told beforehand, and only a failed allocation is out of memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.errors import ArgumentError, EvaluationError, NemoWarning
from nemo_lab.quantize import memory

IMAGES = torch.randn(20, 1, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(20) % 4


@pytest.fixture
def workload() -> Workload:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    return Workload.from_module(net, IMAGES[:1])


def parameter_bytes(workload: Workload) -> int:
    return 4 * sum(p.numel() for p in workload.module.parameters())


def test_memory_is_told_and_refused_beforehand(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(NemoWarning, match=r"will take up to 5\.3 GB .*smaller batch_size"):
        assert memory.check_memory(workload, 20, 4, 5 * 10**9, 3 * 10**8) > 5.3 * 10**9
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * 10**9)
    with pytest.raises(ArgumentError, match=r"needs up to 5\.3 GB of memory, 2\.0 GB are free; use fewer"):
        memory.check_memory(workload, 20, 4, 5 * 10**9, 3 * 10**8)


def test_weights_are_kept_at_all_widths_where_a_quarter_of_memory_holds_them(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = parameter_bytes(workload)
    for free, expected in ((None, 7), (28, 7), (27, 27 / 4), (12, 3), (4, 2), (0, 2)):
        monkeypatch.setattr(memory, "free_bytes", lambda free=free: None if free is None else free * stored)
        assert memory.weight_bytes(workload, 7) == int(expected * stored)


def test_a_problem_keeps_its_weights_at_every_width(workload: Workload) -> None:
    problem = QuantizationProblem(workload, IMAGES, (IMAGES, LABELS), bit_widths=(4, 6, 8))
    weights = problem._network.weights
    assert weights.limit == 3 * parameter_bytes(workload)
    for _ in range(2):
        problem.evaluate([[width] * problem.num_nodes for width in problem.bit_widths])
    assert weights.bytes == 3 * sum(full.nbytes for full in weights.full.values())
    assert weights.bytes <= problem.memory_bytes


def test_only_a_failed_allocation_is_out_of_memory(workload: Workload) -> None:
    def problem(metric: Any) -> QuantizationProblem:
        return QuantizationProblem(workload, IMAGES, (IMAGES, LABELS), metric=metric)

    def forgetful(outputs: Tensor, labels: Tensor) -> float:
        raise RuntimeError("no memory of this label")

    def greedy(outputs: Tensor, labels: Tensor) -> float:
        return float(torch.empty(2**60, dtype=torch.uint8).sum())

    def greedy_too(outputs: Tensor, labels: Tensor) -> float:
        return float(np.empty(2**60, dtype=np.uint8).sum())

    eights = [[8] * 4]
    with pytest.raises(RuntimeError, match=r"^no memory of this label$"):
        problem(forgetful).evaluate(eights)
    for metric in (greedy, greedy_too):
        with pytest.raises(
            EvaluationError, match="out of memory in a batch of 20 examples; make the problem"
        ):
            problem(metric).evaluate(eights)
