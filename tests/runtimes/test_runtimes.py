"""What other tools make of exported files, by their own loaders; in an environment of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nemo_lab as nl
from benchmarks.deploy.runtimes import in_aimet, in_openvino, in_qonnx
from nemo_lab.export import save_onnx, verify

for name in ("aimet_onnx", "openvino", "qonnx"):
    pytest.importorskip(name, reason="make test-runtimes")

SETTINGS = [
    {},
    {"per_channel": True, "bias": "int32"},
    {"symmetric": True, "ranges": "mse"},
    {"symmetric": True, "per_channel": True, "bias": "int32"},
]


def mixed(problem: nl.QuantizationProblem) -> list[int]:
    return [int(width) for width in np.random.default_rng(1).integers(2, 9, problem.num_nodes)]


@pytest.fixture(params=SETTINGS, ids=[",".join(one) or "plain" for one in SETTINGS])
def problem(request: pytest.FixtureRequest, fashion: nl.Workload, digits: nl.Workload) -> Any:
    workload = fashion if request.param == SETTINGS[0] else digits
    return nl.QuantizationProblem(workload, **request.param)


def test_aimet_takes_every_encoding_and_gives_it_back(problem: Any, tmp_path: Path) -> None:
    for bits in (mixed(problem), [8] * problem.num_nodes):
        found = in_aimet(problem, bits, tmp_path)
        assert found.agreement == 1
        assert found.difference < 0.01  # a number on the border of two integers
        assert found.note == f"{problem.num_nodes} of {problem.num_nodes}; back"


def test_the_executor_of_qonnx_says_what_was_searched(problem: Any, tmp_path: Path) -> None:
    found = in_qonnx(problem, mixed(problem), tmp_path)
    assert found.agreement == 1
    assert found.difference < 0.01
    assert found.note.startswith(f"{problem.num_nodes} Quant")


def test_openvino_runs_what_is_written_for_runtimes(problem: Any, tmp_path: Path) -> None:
    found = in_openvino(problem, mixed(problem), tmp_path)  # which refuses what is more than a border
    assert found.agreement == 1
    assert found.note.endswith("in integers")


def test_a_file_is_verified_in_openvino_too(digits: nl.Workload, tmp_path: Path) -> None:
    problem = nl.QuantizationProblem(digits, bias="int32")
    found = save_onnx(problem, 8, tmp_path / "net.onnx")
    assert [run.runtime.split()[0] for run in found.runs] == ["onnxruntime", "onnxruntime", "openvino"]
    assert found.runs[2].optimized
    assert found.runs[2].integers > 0
    assert "openvino" in str(found)
    assert verify(tmp_path / "net.onnx", problem).runs == found.runs
