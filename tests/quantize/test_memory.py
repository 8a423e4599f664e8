"""What a problem takes is told beforehand, and only a failed allocation is out of memory."""

from __future__ import annotations

from pathlib import Path
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
    with pytest.raises(EvaluationError, match="'forgetful' raised RuntimeError: no memory of this label"):
        problem(forgetful).evaluate(eights)
    for metric in (greedy, greedy_too):
        with pytest.raises(
            EvaluationError, match="out of memory in a batch of 20 examples; make the problem"
        ):
            problem(metric).evaluate(eights)


def test_calibration_batches_are_counted(workload: Workload) -> None:
    def needed(images: int, **sizes: int) -> int:
        some = IMAGES[:1].expand(images, -1, -1, -1)
        return QuantizationProblem(workload, some, IMAGES, "kl", kept_mb=0, **sizes).memory_bytes

    one = 16 * 48  # bytes for an example: the largest activation is float[3, 4, 4]
    assert (
        needed(48, batch_size=4, calibration_batch=32) - needed(48, batch_size=4, calibration_batch=2)
        == 28 * one
    )
    assert (
        needed(40, batch_size=512, calibration_batch=2) - needed(40, batch_size=4, calibration_batch=2)
        == 16 * one
    )
    assert needed(8, batch_size=4) == needed(8, batch_size=8)


def test_files_in_memory_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads a large data set from disk fills the container's memory with pages that go when asked."""
    limit, used, pages = (tmp_path / name for name in ("max", "current", "stat"))
    monkeypatch.setattr(memory, "LIMITS", ((limit, used, pages, "inactive_file"),))
    limit.write_text("3000000\n")
    used.write_text("2900000\n")
    assert memory.free_bytes() == 100_000
    pages.write_text("anon 700000\nfile 2200000\ninactive_file 2000000\nactive_file 200000\n")
    assert memory.free_bytes() == 2_100_000
    used.write_text("3100000\n")
    pages.write_text("inactive_file 0\n")
    assert memory.free_bytes() == 0
    limit.write_text("max\n")
    monkeypatch.undo()
    unlimited = memory.free_bytes()
    assert unlimited is None or unlimited > 3_000_000


def test_bytes_are_written_for_a_reader() -> None:
    assert [memory.megabytes(count) for count in (0, 128e6, 1e9, 5.34e9)] == [
        "0 MB",
        "128 MB",
        "1.0 GB",
        "5.3 GB",
    ]


def test_batches_are_powers_of_two_that_a_cache_holds() -> None:
    def batch(width: int) -> int:
        net = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))
        return memory.default_batch(Workload.from_module(net, torch.zeros(1, 4)))

    # 2**23 bytes hold 2**21 numbers: of 100,000 20 times, of 2**15 64 times
    assert [batch(width) for width in (8, 2**15, 100_000, 10**6)] == [512, 64, 16, 4]
