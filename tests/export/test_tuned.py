"""A tuned network goes where the configuration goes that it came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import nemo_lab as nl
from nemo_lab.errors import BitWidthError, DataError
from nemo_lab.export import load_packed, quantized_module, save_onnx, save_packed, save_torch, verify
from tests.tuning.test_fine_tuning import mixed, odd, outputs


@pytest.fixture(scope="module", params=["float", "int32"])
def problem(request: pytest.FixtureRequest) -> nl.QuantizationProblem:
    return odd(bias=request.param, per_channel=request.param == "int32")


@pytest.fixture(scope="module", params=["finetune", "correct_bias"])
def tuned(request: pytest.FixtureRequest, problem: nl.QuantizationProblem) -> nl.TunedNetwork:
    if request.param == "correct_bias":
        return nl.correct_bias(problem, mixed(problem))
    found = nl.finetune(problem, 3, steps=20, batch_size=8, learning_rate=0.01, progress=False)
    assert found.steps
    return found


def test_files_compute_what_was_tuned(
    problem: nl.QuantizationProblem, tuned: nl.TunedNetwork, tmp_path: Path
) -> None:
    wanted = outputs(tuned.network(), problem)
    given = problem.task().batches[0][0]
    untuned = problem.network()
    untuned.set_bits(tuned.bits)
    assert not torch.allclose(outputs(untuned, problem), wanted, atol=1e-3)

    torch.testing.assert_close(quantized_module(tuned, None)(*given), wanted)
    path = tmp_path / "net.onnx"
    off, _ = save_onnx(tuned, tuned.bits, path).runs
    assert off.difference < 1e-4
    assert verify(path, tuned).runs[0] == off
    with pytest.raises(DataError, match="give what it was written from"):
        verify(path, problem)
    save_torch(tuned, None, tmp_path / "net.pt2")
    assert verify(tmp_path / "net.pt2", tuned).runs[0].agreement == 1
    packed = load_packed(save_packed(tuned, None, tmp_path / "net.safetensors"), problem.workload)
    torch.testing.assert_close(packed(*given), wanted)


def test_other_bits_are_refused(tuned: nl.TunedNetwork, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(BitWidthError, match="tuned at other bits"):
        save_onnx(tuned, np.full(len(tuned.bits), 8), path)
    assert not path.exists()
