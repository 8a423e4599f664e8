"""A configuration as a torch network of its own."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import fx, nn

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, BitWidthError
from nemo_lab.export import quantized_module


def task_error(module: fx.GraphModule, split: Any, batch: int = 200) -> float:
    """As the problem counts it: in the same batches, so that sums are rounded alike."""
    inputs, labels = torch.from_numpy(split.inputs), torch.from_numpy(split.labels)
    with torch.inference_mode():
        predicted = torch.cat([module(part).argmax(1) for part in inputs.split(batch)])
    return float((predicted != labels).sum()) / len(labels)


@pytest.fixture(scope="module", params=["digits", "fashion"])
def problem(request: pytest.FixtureRequest) -> nl.QuantizationProblem:
    return nl.QuantizationProblem(nl.load_workload(request.param))


def rows(problem: nl.QuantizationProblem) -> np.ndarray:
    rng = np.random.default_rng(0)
    uniform = np.repeat([[8], [5], [3]], problem.num_nodes, axis=1)
    return np.concatenate([uniform, rng.integers(4, 9, (4, problem.num_nodes))])


def test_predicts_what_was_evaluated(problem: nl.QuantizationProblem) -> None:
    data = problem.workload.data
    assert data is not None
    for bits in rows(problem):
        module = quantized_module(problem, bits)
        assert task_error(module, data.search) == problem.evaluate(bits)[0, 0]
        assert task_error(module, data.held_out) == problem.error(bits, data.held_out)[0]


def test_takes_a_configuration_by_name(problem: nl.QuantizationProblem) -> None:
    bits = dict.fromkeys(problem.node_names, 6)
    module = quantized_module(problem, bits)
    assert module.meta["bits"] == bits
    data = problem.workload.data
    assert data is not None
    assert task_error(module, data.search) == problem.evaluate([6] * problem.num_nodes)[0, 0]


def test_weights_and_activations_hold_no_more_values_than_their_widths_allow(
    problem: nl.QuantizationProblem,
) -> None:
    bits = rows(problem)[-1]
    module = quantized_module(problem, bits)
    for node in problem.workload.nodes:
        if node.kind == "weight":
            weight = module.get_parameter(node.name)
            assert len(weight.unique()) <= 2 ** int(bits[node.index])

    class Record(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            out = super().run_node(n)
            if n.op == "call_method" and n.target == "mul":
                values.append(len(out.unique()))
            return out

    values: list[int] = []
    assert problem.workload.data is not None
    with torch.inference_mode():
        Record(module).run(torch.from_numpy(problem.workload.data.search.inputs[:50]))
    widths = [int(bits[node.index]) for node in problem.workload.nodes if node.kind == "activation"]
    assert len(values) == len(widths)
    assert all(count <= 2**width for count, width in zip(sorted(values), sorted(widths), strict=True))


def test_is_plain_torch(problem: nl.QuantizationProblem) -> None:
    module = quantized_module(problem, rows(problem)[-1])
    assert not module.training
    assert not any(type(part).__module__.startswith("nemo_lab") for part in module.modules())
    assert not any(isinstance(part, nn.BatchNorm2d) for part in module.modules())
    assert problem.workload.data is not None
    images = torch.from_numpy(problem.workload.data.search.inputs[:8])
    with torch.inference_mode():
        expected = module(images)
        file = io.BytesIO()
        torch.export.save(torch.export.export(module, (images,)), file)
        file.seek(0)
        assert torch.equal(torch.export.load(file).module()(images), expected)
        assert torch.equal(copy.deepcopy(module)(images), expected)


def test_shares_nothing_with_the_problem(problem: nl.QuantizationProblem) -> None:
    bits = rows(problem)[-1]
    before = problem.evaluate(bits)
    full = problem.full_precision_error()
    module = quantized_module(problem, bits)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(problem.evaluate(bits), before)
    assert problem.full_precision_error() == full
    other = quantized_module(problem, bits)
    assert any(bool(parameter.any()) for parameter in other.parameters())


def test_the_input_is_left_as_it_was(problem: nl.QuantizationProblem) -> None:
    assert problem.workload.data is not None
    images = torch.from_numpy(problem.workload.data.search.inputs[:4].copy())
    kept = images.clone()
    with torch.inference_mode():
        quantized_module(problem, rows(problem)[0])(images)
    assert torch.equal(images, kept)


def test_what_cannot_be_exported(problem: nl.QuantizationProblem) -> None:
    with pytest.raises(ArgumentError, match="Workload has no network"):
        quantized_module(problem.workload, 8)
    with pytest.raises(BitWidthError):
        quantized_module(problem, [8])
    with pytest.raises(BitWidthError):
        quantized_module(problem, 9)
    with pytest.raises(BitWidthError, match="one by one"):
        quantized_module(problem, rows(problem))


@pytest.mark.parametrize("symmetric", [False, True])
def test_runs_with_ranges_of_least_squared_error(symmetric: bool, digits: nl.Workload) -> None:
    problem = nl.QuantizationProblem(digits, ranges="mse", symmetric=symmetric)
    assert digits.data is not None
    module = quantized_module(problem, 5)
    assert task_error(module, digits.data.search) == problem.evaluate([5] * problem.num_nodes)[0, 0]
