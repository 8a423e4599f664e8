"""Errors of several configurations over several batches: each row's own, whatever ran beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.errors import EvaluationError
from nemo_lab.quantize.data import as_examples
from nemo_lab.quantize.evaluation import Task, make_task, mean_errors
from nemo_lab.quantize.metrics import as_metrics
from nemo_lab.quantize.network import QuantizedNetwork

X = torch.randn(23, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(23) % 4
ROWS = np.random.default_rng(0).integers(2, 9, (6, 6))
ROWS[3:, :3] = ROWS[:3, :3]


@pytest.fixture
def network() -> QuantizedNetwork:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4)
    )
    network = QuantizedNetwork(Workload.from_module(net, X[:1]))
    network.calibrate([X])
    return network


def task_of(network: QuantizedNetwork, *metrics: Any, data: Any = (X, Y), size: int = 10) -> Task:
    chosen = as_metrics(metrics)
    return make_task(network, as_examples(data, network.workload, "data", "taken"), chosen, size)


def test_rows_are_measured_as_if_alone(network: QuantizedNetwork) -> None:
    task = task_of(network, "top1", "kl")
    rows = [*ROWS, None]
    alone = [mean_errors(network, task, [row])[0] for row in rows]
    assert len(network.kept) == 0
    assert len({errors[1] for errors in alone}) == len(rows)
    assert alone[-1][1] == pytest.approx(0, abs=1e-12)
    assert mean_errors(network, task, rows) == alone
    for _ in range(2):
        assert mean_errors(network, task, rows, remember=True) == alone
    assert len(network.kept) > 0
    assert mean_errors(network, task, []) == []


def test_a_mean_is_over_examples_not_over_batches(network: QuantizedNetwork) -> None:
    network.set_bits(ROWS[0])
    expected = float((network(network.prepare(X)).argmax(1) != Y).double().mean())
    for size, sizes in ((1, [1] * 23), (10, [10, 10, 3]), (22, [23]), (23, [23]), (100, [23])):
        task = task_of(network, "top1", size=size)
        assert [len(inputs) for (inputs,), _, _ in task.batches] == sizes
        assert task.count == 23
        assert mean_errors(network, task, [ROWS[0]])[0][0] == pytest.approx(expected)


def test_outputs_in_full_precision_are_there_if_a_metric_compares(network: QuantizedNetwork) -> None:
    network.set_bits(ROWS[0])
    assert all(reference is None for _, _, reference in task_of(network, "top1").batches)
    compared = task_of(network, "agreement", data=X)
    network.set_bits(None)
    for (inputs,), labels, reference in compared.batches:
        assert labels is None
        assert torch.equal(reference, network(inputs))


def test_after_memory_ran_out_a_problem_goes_on(network: QuantizedNetwork) -> None:
    full = [False]

    def greedy(outputs: Tensor, labels: Tensor) -> Tensor:
        if full[0]:
            raise MemoryError
        return (outputs.argmax(1) != labels).double()

    problem, fresh = (QuantizationProblem(network.workload, X, (X, Y), greedy, batch_size=10) for _ in "12")
    expected = fresh.evaluate(ROWS)
    problem.evaluate(ROWS[:5])
    assert problem._network.kept.bytes > 0
    full[0] = True
    with pytest.raises(
        EvaluationError, match="out of memory in a batch of 10 examples; make the problem again"
    ):
        problem.evaluate(ROWS[5:])
    assert problem._network.kept.bytes == 0
    full[0] = False
    assert np.array_equal(problem.evaluate(ROWS), expected)
