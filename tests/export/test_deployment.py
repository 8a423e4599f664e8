"""A configuration in one call: every file is there and does what the card says, or none is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.export import deploy, load_bits, load_packed, verify
from tests.toy import ToyProblem

FILES = {"MODEL_CARD.md", "bits.json", "net.onnx", "net.safetensors", "replay.py"}


@pytest.fixture(scope="module")
def study(digits: nl.Workload) -> nl.Study:
    problem = nl.QuantizationProblem(digits, bias="int32")
    return nl.create_study(problem, population=8, min_size=2).optimize(12, progress=False)


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def test_a_folder_is_whole(study: nl.Study, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    found = deploy(study, 3, folder)
    assert names(folder) == FILES
    assert names(folder.parent) == {"folder"}
    assert found.bytes["net.onnx"] == (folder / "net.onnx").stat().st_size
    assert found.verification.path == folder / "net.onnx"
    assert study.written[3] == found.bytes
    assert str(folder) in str(found)
    bits = study.snapshot.evaluations.bits[3]
    assert load_bits(folder / "bits.json", study.problem).tolist() == bits.tolist()
    load_packed(folder / "net.safetensors", study.problem.workload)  # type: ignore[arg-type]
    assert (folder / "replay.py").read_text() == study.to_script()


def test_the_card_says_what_is_so(study: nl.Study, tmp_path: Path) -> None:
    deploy(study, 3, tmp_path)
    text = (tmp_path / "MODEL_CARD.md").read_text()
    assert 3 not in study.validated, "what was validated is another's"
    study.validate(3)
    row, found = study.evaluations().loc[3], study.validated[3]
    assert f"| accuracy, in the search | {1 - row.task_error:.2%} |" in text
    assert f"| accuracy, on held-out examples | {found} |" in text
    assert " kB |" in text
    assert "100.00 % of predictions agree" in text
    assert "times the time of float32" in text
    for name, size in {one.name: one.stat().st_size for one in tmp_path.iterdir()}.items():
        assert name == "MODEL_CARD.md" or f"| `{name}` | {size:,} |" in text
    listed = dict(re.findall(r"\| `([^`]+)` \| (?:weight|activation) \| (\d+) \|", text))
    assert {name: int(width) for name, width in listed.items()} == study.config(3).to_dict()


def test_the_lines_that_run_it_run(study: nl.Study, tmp_path: Path) -> None:
    deploy(study, 0, tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "MODEL_CARD.md").read_text(), re.S)
    assert len(code.strip().splitlines()) <= 5
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().startswith("[[")


def test_a_tuned_one_takes_its_place(study: nl.Study, tmp_path: Path) -> None:
    deploy(study, 0, tmp_path)
    before = (tmp_path / "net.onnx").read_bytes()
    tuned = nl.correct_bias(study.problem, study.config(0))  # type: ignore[arg-type]
    deploy(study, 0, tmp_path, tuned=tuned)
    assert names(tmp_path) == FILES | {"net.tuned.pt"}
    assert (tmp_path / "net.onnx").read_bytes() != before
    assert verify(tmp_path / "net.onnx", tuned).runs[0].agreement == 1
    text = (tmp_path / "MODEL_CARD.md").read_text()
    assert "with corrected biases" in text
    assert re.search(r"held-out examples \| [\d.]+% .* before \|", text)
    again = nl.TunedNetwork.load(tmp_path / "net.tuned.pt", study.problem)  # type: ignore[arg-type]
    assert all(torch.equal(values, again.tensors[name]) for name, values in tuned.tensors.items())
    study.enqueue(study.config(0))  # the same bits once more
    study.optimize(1, progress=False)
    deploy(study, len(study.evaluations()) - 1, tmp_path, tuned=tuned)
    deploy(study, 0, tmp_path)
    assert names(tmp_path) == FILES, "the numbers of another network are left"


@pytest.mark.parametrize(
    "given", ["config", "tuned", "another", "none", "problem", "file", "taken", "onnxruntime"]
)
def test_nothing_is_left_of_what_is_refused(
    given: str, study: nl.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, arguments = tmp_path / "folder", dict[str, Any](study=study, config_id=0)
    error: Any = ArgumentError
    if given == "config":
        arguments["config_id"], error = 99, UnknownNameError
    elif given == "tuned":
        arguments["tuned"] = nl.correct_bias(study.problem, 3)  # type: ignore[arg-type]
    elif given == "another":
        other = nl.QuantizationProblem(study.problem.workload, bias="int32", per_channel=True)  # type: ignore[arg-type]
        arguments["tuned"] = nl.correct_bias(other, study.config(0))
    elif given == "none":
        arguments["tuned"] = "tuned"
    elif given == "taken":
        (folder / "net.safetensors").mkdir(parents=True)
    elif given == "problem":
        arguments["study"] = nl.create_study(ToyProblem(), population=8, min_size=2).optimize(
            3, progress=False
        )
    elif given == "file":
        folder.write_text("mine")
    else:
        monkeypatch.setitem(sys.modules, given, None)
    with pytest.raises(error):
        deploy(**arguments, folder=folder)
    assert names(tmp_path) == ({"folder"} if given in ("file", "taken") else set())
    assert given != "taken" or names(folder) == {"net.safetensors"}
