"""Operations at which ONNX Runtime ends its process are found out, and end nothing here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.errors import ExportError, VerificationError
from nemo_lab.export import measure_latency, quantized_module, save_onnx
from nemo_lab.export.runtimes import onnx_alone
from nemo_lab.export.runtimes.onnx_alone import check_survives

TOKENS = torch.randint(0, 50, (64, 6), generator=torch.Generator().manual_seed(0))


class Bag(nn.Module):
    """Its layer becomes a loop over a sequence, which onnxruntime 1.32 does not survive."""

    def __init__(self) -> None:
        super().__init__()
        self.bag, self.fc = nn.EmbeddingBag(50, 8, mode="mean"), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.bag(x))
        return y


@pytest.fixture(scope="module")
def bag() -> nl.QuantizationProblem:
    torch.manual_seed(0)
    with pytest.warns(nl.NemoWarning, match="bag"):
        workload = nl.Workload.from_module(Bag().eval(), TOKENS[:2])
    return nl.QuantizationProblem(workload, TOKENS, TOKENS, "agreement")


def test_a_network_that_ends_the_runtime_ends_nothing_here(
    bag: nl.QuantizationProblem, tmp_path: Path
) -> None:
    (tmp_path / "net.onnx").write_bytes(b"before")
    told = r"onnxruntime .* ends the process that runs .*: SIG\w+; write that part .* quantized_module or"
    for _ in range(2):  # it is not taken for one that has run
        with pytest.raises(VerificationError, match=told):
            save_onnx(bag, 4, tmp_path / "net.onnx")
    with pytest.raises(ExportError, match="ends the process that runs Bag in float32"):
        measure_latency(bag)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"before"]
    assert quantized_module(bag, 4)(TOKENS).shape == (64, 4)


def test_kinds_that_have_run_are_not_tried_again(
    digits_problem: nl.QuantizationProblem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.onnx"
    save_onnx(digits_problem, 4, path)
    batch = digits_problem.task().batches[0][0]
    once = tmp_path / "once.py"
    once.write_text("import os; os.abort()")
    monkeypatch.setattr(onnx_alone, "ONCE", once)
    check_survives(path.read_bytes(), path.name, batch)
    monkeypatch.setattr(onnx_alone, "survived", set())
    with pytest.raises(VerificationError, match=r"ends the process that runs net\.onnx: SIGABRT"):
        check_survives(path.read_bytes(), path.name, batch)
    check_survives(b"no model", path.name, batch)  # of which the runtime says more


@pytest.mark.parametrize(
    "code",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os; os.kill(os.getpid(), 36)",
        "import sys; sys.exit(97)",
        "raise SystemError",
    ],
    ids=["killed by others", "a signal without a name", "no runtime there", "an error"],
)
def test_what_is_no_fault_of_the_runtime_is_taken_for_none(
    code: str, digits_problem: nl.QuantizationProblem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_alone, "survived", set())
    once = tmp_path / "once.py"
    once.write_text(code)
    monkeypatch.setattr(onnx_alone, "ONCE", once)
    assert save_onnx(digits_problem, 4, tmp_path / "net.onnx").runs[0].agreement == 1
    assert onnx_alone.survived == set()


def test_no_process_to_be_had(
    digits_problem: nl.QuantizationProblem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_alone, "survived", set())
    monkeypatch.setattr(onnx_alone.sys, "executable", str(tmp_path / "none"))
    assert save_onnx(digits_problem, 4, tmp_path / "net.onnx").runs[0].agreement == 1
