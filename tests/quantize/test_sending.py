"""A problem that is pickled: the same numbers in another process, whatever its network is made of."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.errors import ArgumentError
from nemo_lab.workload.pickling import OF_TORCH, graph_of, record_of

X = torch.randn(48, 8, generator=torch.Generator().manual_seed(0))
THERE = """
import pickle, sys
import numpy as np
problem, rows = pickle.load(open(sys.argv[1], "rb"))
np.save(sys.argv[2], problem.evaluate(rows))
"""


class Guarded(nn.Module):
    """Traced by torch.export, with operations that pickle does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.weight = nn.Linear(8, 8), nn.Parameter(torch.randn(6, 8))
        self.register_buffer("shift", torch.randn(8), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != 8:
            raise ValueError("eight features")
        with torch.no_grad():
            x = F.gelu(self.layer(x)) + self.shift
        return torch.einsum("nc,oc->no", x, self.weight)[:, 1:5]


class Half(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8).bfloat16(), nn.Linear(8, 4).half()

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x.bfloat16())).half())


class Shared(nn.Module):
    """One weight in two layers, one layer called twice, a constant, and a buffer that is written to."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)
        self.b.weight = self.a.weight
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        x = F.relu(self.b(self.a(self.a(x)))) * torch.tensor([0.5] * 8)
        return self.c(x) + 0 * self.calls


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor, *, scale: Tensor, twice: bool = True) -> dict[str, Tensor]:
        x = self.a(x) * scale
        return {"logits": self.b(x * 2 if twice else x)}


def long() -> nn.Module:
    return nn.Sequential(*[nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(200)])


def of_module(module: nn.Module, x: Any = X, **settings: Any) -> nl.QuantizationProblem:
    few = {key: value[:4] for key, value in x.items()} if isinstance(x, dict) else x[:4]
    workload = nl.Workload.from_module(module.eval(), few)
    return nl.QuantizationProblem(workload, x, x, **{"metric": "kl", **settings})


MAKERS: dict[str, Callable[[], nl.QuantizationProblem]] = {
    "digits": lambda: nl.QuantizationProblem(nl.load_workload("digits")),
    "fashion, settings": lambda: nl.QuantizationProblem(
        nl.load_workload("fashion"), bias="int32", equalize=True, per_channel=True, ranges="mse"
    ),
    "text": lambda: nl.QuantizationProblem(nl.load_workload("text")),
    "guarded": lambda: of_module(Guarded()),
    "half": lambda: of_module(Half(), metric=("kl", "agreement")),
    "shared": lambda: of_module(Shared()),
    "two inputs": lambda: of_module(Two(), {"x": X, "scale": X.abs()}, bit_widths=(4, 8)),
    "long": lambda: of_module(
        long(), metric=lambda outputs, labels, reference: (outputs - reference).abs().mean()
    ),
}


def rows_of(problem: nl.QuantizationProblem) -> np.ndarray:
    rows = np.random.default_rng(0).choice(problem.bit_widths, size=(4, problem.num_nodes))
    return rows.astype(np.uint8)


@pytest.mark.parametrize("name", MAKERS)
def test_what_arrives_gives_the_same_numbers(name: str) -> None:
    torch.manual_seed(0)
    problem = MAKERS[name]()
    arrived = pickle.loads(pickle.dumps(problem))
    rows = rows_of(problem)
    assert np.array_equal(arrived.evaluate(rows), problem.evaluate(rows))
    assert arrived.fingerprint() == problem.fingerprint()
    known, told = (
        [one.meta.keys() - OF_TORCH for one in some.workload.graph.graph.nodes] for some in (problem, arrived)
    )
    assert told == known
    assert arrived.evaluated == 4, "answers are not sent"
    assert arrived.sqnr().equals(problem.sqnr())
    again = pickle.loads(pickle.dumps(arrived))
    assert np.array_equal(again.evaluate(rows), problem.evaluate(rows))


@pytest.mark.parametrize("name", ["digits", "guarded", "long"])
def test_another_process_knows_nothing_else(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    problem = MAKERS[name]()
    rows = rows_of(problem)
    (tmp_path / "sent").write_bytes(pickle.dumps((problem, rows)))
    command = [sys.executable, "-c", THERE, str(tmp_path / "sent"), str(tmp_path / "found.npy")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / "found.npy"), problem.evaluate(rows))


def test_what_a_script_defines_goes_with_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import pickle, sys, torch\n"
        "from torch import nn\n"
        "import nemo_lab as nl\n"
        "class Mine(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__(); self.layer = nn.Linear(8, 4)\n"
        "    def forward(self, x):\n"
        "        return self.layer(x) if x.shape[-1] == 8 else x\n"
        "x = torch.randn(16, 8)\n"
        "problem = nl.QuantizationProblem(nl.Workload.from_module(Mine(), x[:2]), x, x,\n"
        "    metric=lambda outputs, labels, reference: (outputs - reference).abs().mean(-1))\n"
        "rows = [[2] * problem.num_nodes, [4] * problem.num_nodes]\n"
        "pickle.dump((problem, rows), open(sys.argv[1], 'wb'))\n"
        "print(problem.evaluate(rows).tolist())\n"
    )
    sent, root = tmp_path / "sent", Path(__file__).parents[2]
    said = subprocess.run(
        [sys.executable, script, sent], cwd=root, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    command = [sys.executable, "-c", THERE, str(sent), str(tmp_path / "found.npy")]
    subprocess.run(command, cwd=root, capture_output=True, check=True)
    assert str(np.load(tmp_path / "found.npy").tolist()) == said.stdout.strip()


def test_what_cannot_be_sent_is_refused_with_a_reason() -> None:
    class Locked(nn.Linear):
        def __init__(self) -> None:
            super().__init__(8, 4)
            self.lock = threading.Lock()

    with pytest.raises(ArgumentError, match=r"cannot be sent to another process: TypeError: cannot pickle"):
        pickle.dumps(of_module(nn.Sequential(Locked())))


def test_a_workload_is_copied_and_pickled_with_all_that_was_traced(digits: nl.Workload) -> None:
    for other in (copy.copy(digits), copy.deepcopy(digits), pickle.loads(pickle.dumps(digits))):
        assert str(other.graph.graph) == str(digits.graph.graph)
        assert other.graph.code == digits.graph.code
        assert other.names == digits.names
        assert (other.params, other.macs) == (digits.params, digits.macs)
        assert nl.QuantizationProblem(other).fingerprint() == nl.QuantizationProblem(digits).fingerprint()
    shared = {id(one) for one in digits.module.parameters()}
    assert {id(one) for one in copy.copy(digits).graph.parameters()} == shared
    assert not {id(one) for one in copy.deepcopy(digits).graph.parameters()} & shared
    assert graph_of(record_of(digits.graph)).meta == digits.graph.meta


def test_a_problem_that_holds_itself_is_refused_and_does_not_wait_for_itself(
    digits_problem: nl.QuantizationProblem,
) -> None:
    fresh = nl.QuantizationProblem(digits_problem.workload)
    whole = fresh.evaluate
    fresh.evaluate = lambda bits: whole(bits)  # type: ignore[method-assign]
    with pytest.raises(ArgumentError, match=r"cannot be sent to another process.*holds it again"):
        pickle.dumps(fresh)
