"""A configuration as a program of torch.export: what torch computes from it is what was evaluated."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, DataError, ExportError, VerificationError
from nemo_lab.export import quantized_module, save_torch, verify
from tests.export.test_onnx import IMAGES, Net, Two, mixed, problem_of


def ran(path: Path, *batch: Tensor) -> Any:
    with torch.no_grad():
        return torch.export.load(path).module()(*batch)


@pytest.fixture(scope="module")
def written_once(digits_problem: nl.QuantizationProblem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torch") / "net.pt2"
    save_torch(digits_problem, mixed(digits_problem), path)
    return path


@pytest.fixture
def written(written_once: Path, tmp_path: Path) -> Path:
    (tmp_path / "net.pt2").write_bytes(written_once.read_bytes())
    return tmp_path / "net.pt2"


def test_torch_says_what_was_searched_bit_for_bit(
    written: Path, digits_problem: nl.QuantizationProblem
) -> None:
    found, bits = verify(written, digits_problem), mixed(digits_problem)
    (run,) = found.runs
    assert (run.difference, run.agreement, run.flips, run.integers) == (0, 1, (), 0)
    split = digits_problem.workload.data.held_out  # type: ignore[union-attr]
    assert (found.bytes, found.examples) == (written.stat().st_size, len(split))
    predicted = ran(written, torch.from_numpy(split.inputs)).argmax(1).numpy()
    assert np.mean(predicted != split.labels) == digits_problem.error(bits, split)[0]
    for count in (1, 7):
        images = torch.from_numpy(split.inputs[:count])
        assert torch.equal(ran(written, images), quantized_module(digits_problem, bits)(images))
    assert "100.00 % of predictions agree" in str(found)


def test_it_needs_torch_alone_and_holds_its_widths_and_nothing_of_this_machine(
    written: Path, digits_problem: nl.QuantizationProblem
) -> None:
    code = (
        "import sys, torch; extra = {'nemo_lab': ''}; "
        "program = torch.export.load('net.pt2', extra_files=extra); "
        "program.module()(torch.zeros(3, 1, 8, 8)); "
        "assert 'nemo_lab' not in sys.modules; print(extra['nemo_lab'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=written.parent, capture_output=True, text=True, check=True
    )
    assert list(json.loads(done.stdout)["bits"].values()) == mixed(digits_problem)
    with zipfile.ZipFile(written) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert not any(str(Path(nl.__file__).parent).encode() in part for part in parts.values())
    assert not any(part for name, part in parts.items() if "sample_inputs" in name)  # images are not ours


@pytest.mark.parametrize("settings", [{}, {"per_channel": True, "bit_widths": (2, 9, 16)}])
def test_layers_of_every_kind(settings: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    problem = problem_of(Net(), IMAGES, **settings)
    bits = np.random.default_rng(0).choice(problem.bit_widths, problem.num_nodes)
    (run,) = save_torch(problem, bits, tmp_path / "net.pt2").runs
    assert run.difference < 1e-6
    with torch.no_grad():
        expected = quantized_module(problem, bits)(IMAGES[:7])
    assert torch.allclose(ran(tmp_path / "net.pt2", IMAGES[:7]), expected, atol=1e-6)


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    given = {"left": torch.randn(40, 6), "right": torch.randn(40, 4)}
    workload = nl.Workload.from_module(Two(), {name: x[:4] for name, x in given.items()})

    def apart(outputs: Any, _: Any, reference: Any) -> Tensor:
        return (outputs["sum"] - reference["sum"]).abs().mean(1)

    problem = nl.QuantizationProblem(workload, given, given, metric=apart)
    (run,) = save_torch(problem, 4, tmp_path / "net.pt2").runs
    assert run.difference == 0
    assert np.isnan(run.agreement)
    found = ran(tmp_path / "net.pt2", given["left"], given["right"])
    expected = quantized_module(problem, 4)(**given)
    assert found.keys() == {"sum", "left"}
    assert torch.equal(found["sum"], expected["sum"])


def test_text_is_what_was_searched(text: nl.Workload, tmp_path: Path) -> None:
    (run,) = save_torch(nl.QuantizationProblem(text), 6, tmp_path / "net.pt2").runs
    assert (run.difference, run.agreement) == (0, 1)


def changed(path: Path, part: str, data: bytes | None) -> None:
    """Write a file again with another part, or without it."""
    with zipfile.ZipFile(path) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts:
            new = data if name.endswith(part) else content
            if new is not None:
                archive.writestr(name, new)


def test_a_file_that_was_changed_or_is_of_others_is_found_out(
    written: Path, digits_problem: nl.QuantizationProblem
) -> None:
    whole, other = written.read_bytes(), nl.QuantizationProblem(digits_problem.workload, symmetric=True)
    with pytest.raises(DataError, match="written from another network or other settings"):
        verify(written, other)
    changed(written, "weights/weight_0", np.full(108, 0.1, np.float32).tobytes())
    with pytest.raises(VerificationError, match="does not compute what was searched, in torch"):
        verify(written, digits_problem)
    for data in (None, b"", b"{}", b'{"bits": 3}'):
        written.write_bytes(whole)
        changed(written, "extra/nemo_lab", data)
        with pytest.raises(DataError, match="does not say which widths it has; give a file that save_torch"):
            verify(written, digits_problem)
    for part in (whole[:-1000], whole[: len(whole) // 2], b"", b"nothing of the kind"):
        written.write_bytes(part)
        with pytest.raises(DataError, match="damaged, or not a program"):
            verify(written, digits_problem)
    with pytest.raises(ArgumentError, match="No such file"):
        verify(written.with_name("none.pt2"), digits_problem)


@torch.library.custom_op("nemo_lab_tests::export_twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    """An operation of which torch does not know what shape it gives."""
    return 2 * x


@twice.register_fake
def unknown(x: Tensor) -> Tensor:
    """A name of its own: of two operations of one name in a process, the last counts."""
    raise NotImplementedError("nobody knows what it gives")


class Strange(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return twice(self.layer(x))  # type: ignore[no-any-return]


class Drawing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.layer(x), 0.5, training=True)


def test_what_cannot_be_written_leaves_the_file_that_was_there(
    written: Path, digits_problem: nl.QuantizationProblem
) -> None:
    before, x = written.read_bytes(), torch.randn(16, 4)
    with pytest.raises(ExportError, match=r"Strange cannot be written by torch\.export: .*; use nemo_lab"):
        save_torch(problem_of(Strange(), x), 4, written)
    with pytest.raises(ExportError, match="draws random numbers"):
        save_torch(problem_of(Drawing(), x), 4, written)
    with pytest.raises(ArgumentError, match=r"call the file \.pt2"):
        save_torch(digits_problem, 4, written.with_suffix(".pt"))
    with pytest.raises(ArgumentError, match="give a file in a folder that exists"):
        save_torch(digits_problem, 4, written.parent / "none" / "net.pt2")
    with pytest.raises(ArgumentError, match="has no network to export"):
        save_torch("digits", 4, written)
    assert written.read_bytes() == before
    assert [one.name for one in written.parent.iterdir()] == ["net.pt2"]


def test_another_order_of_additions_is_told_of_and_not_refused(tmp_path: Path) -> None:
    for seed in range(8):  # the search has channels last in memory; a mean may then lie across a border
        torch.manual_seed(seed)
        images = torch.randn(6000, 2, 9, 9)
        net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
        problem = problem_of(net, images, bit_widths=(2, 10))
        (run,) = save_torch(problem, 10, tmp_path / "net.pt2").runs
        assert run.agreement > 0.999
        if run.difference > 1e-4:
            with torch.no_grad():
                expected = quantized_module(problem, 10)(images)
            assert torch.equal(ran(tmp_path / "net.pt2", images), expected)
            return
    pytest.skip("no mean lies on a border on this machine")
