"""A latency table: it adds up, says nothing that was not measured, and is searched with."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.errors import ArgumentError
from nemo_lab.export import measure_latency
from nemo_lab.export.latency import Latency
from nemo_lab.interruption import Interrupted, interruptible


class Images(nn.Module):
    """Convolutions with and without bias, one of them called twice, an addition, a functional layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.twice = nn.Conv2d(8, 8, 1, bias=False)
        self.weight, self.offset = nn.Parameter(torch.randn(5, 8)), nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = x + self.twice(F.relu(self.twice(x)))
        return F.linear(x.mean((2, 3)), self.weight, self.offset)


class Words(nn.Module):
    """What cannot be quantized stays in full precision; two activations are multiplied."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 8)
        self.query, self.key = nn.Linear(8, 8, bias=False), nn.Linear(8, 8)
        self.head = nn.Linear(6, 3)

    def forward(self, words: Tensor) -> Tensor:
        x = self.embedding(words)
        return self.head(F.softmax(self.query(x) @ self.key(x).transpose(1, 2), 2).mean(1))


IMAGES = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(0))
WORDS = torch.randint(7, (32, 6), generator=torch.Generator().manual_seed(0))


def problem_of(module: nn.Module, data: Tensor, ignore: Any = (), **settings: Any) -> nl.QuantizationProblem:
    workload = nl.Workload.from_module(module.eval(), data[:4], ignore=ignore)
    return nl.QuantizationProblem(workload, data, data, metric="kl", **{"bias": "int32", **settings})


@pytest.fixture(scope="module")
def problem() -> nl.QuantizationProblem:
    torch.manual_seed(0)
    return problem_of(Images(), IMAGES, bit_widths=(2, 4, 5, 7, 8, 16))


@pytest.fixture(scope="module")
def latency(problem: nl.QuantizationProblem) -> Latency:
    return measure_latency(problem, runs=7)


def rows(problem: nl.QuantizationProblem, kind: str) -> list[str]:
    return [
        node.name for node in problem.workload.nodes if (node.kind == "activation") == (kind == "activation")
    ]


def check_sums(latency: Latency, problem: nl.QuantizationProblem) -> None:
    assert list(latency.table.index) == list(problem.node_names)
    assert tuple(latency.table.columns) == problem.bit_widths
    assert (latency.table >= 0).all(axis=None)
    assert (latency.table.loc[rows(problem, "weight")] > 0).all(axis=None)
    assert np.allclose(latency.table.sum() + latency.remainder_ms, latency.total_ms, rtol=1e-12)


def test_column_and_remainder_are_the_time_of_the_network(
    latency: Latency, problem: nl.QuantizationProblem
) -> None:
    check_sums(latency, problem)
    assert (latency.total_ms > 0).all()
    assert latency.float_ms > 0
    assert (latency.threads, latency.batch_size, latency.runs) == (1, 1, 7)
    assert latency.runtime.startswith("onnxruntime ")
    assert latency.spread >= 0
    assert latency.seconds > 0


def test_the_same_kernels_have_the_same_time(latency: Latency, problem: nl.QuantizationProblem) -> None:
    table, weights, activations = latency.table, rows(problem, "weight"), rows(problem, "activation")
    assert table[2].equals(table[4])
    assert table[5].equals(table[7])
    assert latency.total_ms[2] == latency.total_ms[4]
    assert table.loc[weights, 7].equals(table.loc[weights, 8].rename(7))
    convolutions = ["stem.weight", "twice.weight"]  # in floating point, with up to 4 bits or above 8
    for other in (4, 16):
        assert (table.loc[convolutions, other] != table.loc[convolutions, 8]).all()
    assert (table.loc[activations, 7] > table.loc[activations, 8]).all()  # clipped to fewer than 8 bits


@pytest.mark.parametrize("settings", [{"per_channel": True, "symmetric": True}, {"bias": "float"}])
def test_settings(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    problem = problem_of(Images(), IMAGES, bit_widths=(3, 8, 12), **settings)
    check_sums(measure_latency(problem, runs=5, threads=2, batch_size=40), problem)


def test_what_stays_in_full_precision_is_the_remainder() -> None:
    torch.manual_seed(0)
    problem = problem_of(Words(), WORDS, "embedding", bit_widths={"*": (6, 8), "head.weight": 8})
    found = measure_latency(problem, runs=5)
    check_sums(found, problem)
    assert found.table[6].loc[rows(problem, "activation")].sum() > 0


def test_it_is_searched_with(latency: Latency, problem: nl.QuantizationProblem, tmp_path: Path) -> None:
    workload = problem.workload
    costs = nl.CostModel(workload, tables={"latency_ms": latency.table})
    sums = costs.evaluate([[width] * problem.num_nodes for width in (2, 8)])[:, 2]
    assert sums == pytest.approx([latency.table[2].sum(), latency.table[8].sum()])
    latency.table.to_csv(tmp_path / "table.csv")
    again = nl.CostModel(workload, tables={"latency_ms": tmp_path / "table.csv"})
    assert again.evaluate([5] * problem.num_nodes) == pytest.approx(costs.evaluate([5] * problem.num_nodes))
    searched = nl.QuantizationProblem(
        workload, IMAGES, IMAGES, "kl", problem.bit_widths, bias="int32", cost_model=costs
    )
    study = nl.create_study(searched, population=8, min_size=1, seed=0).optimize(12, progress=False)
    front = study.front()
    assert "latency_ms" in front
    for number, found in front["latency_ms"].items():
        bits = study.config(number)
        assert found == pytest.approx(sum(latency.table.loc[name, width] for name, width in bits.items()))


def test_it_says_plainly_that_integers_gain_nothing(latency: Latency) -> None:
    slow, quick = (dataclasses.replace(latency, float_ms=ms, spread=0.1) for ms in (1e-9, 1e9))
    assert "No width is faster than float32 here" in str(slow)
    assert "No width is faster" not in str(quick)
    equal = dataclasses.replace(latency, float_ms=1.05 * float(latency.total_ms.min()), spread=0.1)
    assert "No width is faster" in str(equal)  # by less than chance gives
    lines = str(latency).splitlines()
    assert lines[0].startswith(f"{latency.runtime}, 1 thread, batch of 1, 7 runs: ")
    assert [line.split(" bits: ")[0].strip() for line in lines[1:7]] == ["2", "4", "5", "7", "8", "16"]


@pytest.mark.parametrize("checks", [0, 40])
def test_it_stops_when_asked_and_leaves_nothing(
    checks: int, problem: nl.QuantizationProblem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    asked = itertools.count()
    with pytest.raises(Interrupted), interruptible(lambda: next(asked) >= checks):
        measure_latency(problem, runs=100_000)
    assert not list(tmp_path.iterdir())


def test_what_it_cannot_measure(problem: nl.QuantizationProblem, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="give a QuantizationProblem"):
        measure_latency("digits")
    with pytest.raises(ArgumentError, match="runtime='tensorrt'; give 'onnxruntime'"):
        measure_latency(problem, "tensorrt")
    for wrong in ({"threads": 0}, {"batch_size": 0}, {"runs": 4}, {"threads": 1.5}):
        with pytest.raises(ArgumentError, match=f"{next(iter(wrong))}=.*; give a whole number from"):
            measure_latency(problem, **wrong)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ArgumentError, match=r'pip install "nemo_lab\[deploy\]"'):
        measure_latency(problem)
