"""``python -m nemo_lab check``: what it prints, and its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nemo_lab.checks.command import main

MINE = """
import torch
from torch import nn
import nemo_lab as nl

def net_and_example():
    return nn.Linear(4, 3), torch.zeros(1, 4)

class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum().item() > 0 else -x

branch = Branch(), torch.ones(1, 2)
alone = nn.Linear(4, 3)

class class_of_one(nn.Linear):
    def __init__(self, size):
        super().__init__(4, size)

def asks(size):
    return nn.Linear(4, size), torch.zeros(1, 4)

traced = nl.Workload.from_module(alone, torch.zeros(1, 4), name="mine")

def refused():
    return nl.QuantizationProblem(traced)
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "path", [*sys.path])
    file = tmp_path / "networks_of_mine.py"
    file.write_text(MINE, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("name", "status", "out", "err"),
    [
        ("net_and_example", 0, "Linear can be traced", ""),
        ("traced", 0, "mine can be traced", ""),
        ("branch", 1, "Branch cannot be searched", ""),
        ("refused", 1, "", "came without data"),
        ("alone", 2, "", "is a network without an example of its input\nname a pair (network, example)"),
        ("class_of_one", 2, "", "cannot be called: missing a required argument: 'size'"),
        ("asks", 2, "", "name a function without arguments"),
        ("tracd", 2, "", "did you mean 'traced'?"),
    ],
)
def test_what_a_file_has_is_checked(
    mine: str, capsys: pytest.CaptureFixture[str], name: str, status: int, out: str, err: str
) -> None:
    assert main(["check", f"{mine}:{name}"]) == status
    found = capsys.readouterr()
    assert found.out.startswith(out)
    assert bool(found.out) == bool(out)
    assert err in found.err
    assert "Traceback" not in found.err


@pytest.mark.parametrize(
    ("what", "err"),
    [
        ("digit", "did you mean 'digits'?"),
        ("nothing.py:make", "there is no file 'nothing.py'"),
        ("nothing_of_the_kind:make", "there is no module 'nothing_of_the_kind'"),
        ("nothing.py", "give nothing.py:NAME"),
    ],
)
def test_a_wrong_call_is_told(capsys: pytest.CaptureFixture[str], what: str, err: str) -> None:
    assert main(["check", what]) == 2
    assert err in capsys.readouterr().err


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "digits", "--json", "--seconds", "0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["weights"], found["objective"]) == (True, 17, "task_error")
    assert found["errors"].keys() == {"2", "8"}


def test_it_is_a_command_of_the_package() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nemo_lab", "check", "--help"], capture_output=True, text=True, check=True
    )
    assert "whose code is run" in " ".join(done.stdout.split())
    assert "python -m nemo_lab check digits" in done.stdout
