"""A configuration as a file of as many bits as it claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, DataError
from nemo_lab.export import load_packed, quantized_module, save_packed
from nemo_lab.export.packing import AT_ONCE, bytes_of, packed, unpacked


@given(st.integers(2, 16), st.integers(0, 70), st.integers(0, 2**32 - 1))
def test_packing_there_and_back(bits: int, count: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 2**bits, count)
    data = packed(codes, bits)
    assert len(data) == bytes_of(count, bits)
    assert unpacked(data, bits, count).tolist() == codes.tolist()


@pytest.mark.parametrize("bits", [3, 8, 11])
def test_packing_many(bits: int) -> None:
    codes = np.random.default_rng(0).integers(0, 2**bits, AT_ONCE + 5)
    data = packed(codes, bits)
    assert len(data) == bytes_of(len(codes), bits)
    assert np.array_equal(unpacked(data, bits, len(codes)), codes)


@pytest.mark.parametrize("name", ["digits", "text"])
@pytest.mark.parametrize("settings", [{}, {"bias": "int32", "per_channel": True}])
def test_the_network_comes_back(
    name: str, settings: dict[str, Any], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    workload = request.getfixturevalue(name)
    problem = nl.QuantizationProblem(workload, **settings)
    bits = np.random.default_rng(0).integers(2, 9, problem.num_nodes)
    path = save_packed(problem, bits, tmp_path / "net.safetensors")
    found, expected = load_packed(path, workload), quantized_module(problem, bits)
    assert found.meta["bits"] == expected.meta["bits"]
    x = torch.from_numpy(workload.data.search.inputs[:50])
    for key, tensor in expected.state_dict().items():
        assert torch.equal(found.state_dict()[key], tensor)
    with torch.no_grad():
        assert torch.equal(found(x).argmax(-1), expected(x).argmax(-1))
    claimed = sum(
        node.params * int(width)
        for node, width in zip(workload.nodes, bits, strict=True)
        if node.kind == "weight"
    )
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    floats = sum(t.numel() for key, t in expected.state_dict().items()) - sum(
        node.params for node in workload.nodes if node.kind == "weight"
    )
    scales = sum(
        np.prod(q.scales) if settings else 1
        for n in workload.nodes
        for q in n.quantizers
        if n.kind == "weight"
    )
    assert len(data) - header <= claimed / 8 + 4 * floats + 6 * scales + 2 * len(workload.nodes) + 64


@pytest.fixture
def written(tmp_path: Path, digits_problem: nl.QuantizationProblem) -> Path:
    return save_packed(digits_problem, 5, tmp_path / "net.safetensors")


def test_damage_is_found_wherever_it_is(written: Path, digits: nl.Workload) -> None:
    whole = written.read_bytes()
    places = np.random.default_rng(0).integers(0, len(whole), 60)
    for place in (0, 7, 8, len(whole) - 1, *places.tolist()):
        written.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = load_packed(written, digits)
        except DataError:
            continue
        assert place < 8 + int.from_bytes(whole[:8], "little")  # a letter of a name that nothing depends on
        assert len(found.state_dict())
    for part in (b"", whole[:5], whole[:-1], whole[: len(whole) // 2], b"nothing of the kind" * 9):
        written.write_bytes(part)
        with pytest.raises(DataError, match="damaged"):
            load_packed(written, digits)


def test_it_is_of_its_network(written: Path, fashion: nl.Workload, digits: nl.Workload) -> None:
    torch.manual_seed(0)
    other = nl.Workload.from_module(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    with pytest.raises(DataError, match="holds another network than Linear"):
        load_packed(written, other)
    with pytest.raises(ArgumentError, match="No such file"):
        load_packed(written.with_name("none.safetensors"), digits)


def test_bad_calls_leave_the_file_that_was_there(
    written: Path, digits_problem: nl.QuantizationProblem
) -> None:
    before = written.read_bytes()
    with pytest.raises(ArgumentError, match=r"call the file \.safetensors"):
        save_packed(digits_problem, 4, written.with_suffix(".onnx"))
    with pytest.raises(ArgumentError, match="give a file in a folder that exists"):
        save_packed(digits_problem, 4, written.parent / "none" / "a.safetensors")
    with pytest.raises(ArgumentError, match="has no network to export"):
        save_packed("digits", 4, written)
    assert written.read_bytes() == before
    assert [one.name for one in written.parent.iterdir()] == [written.name]
    header = json.loads(before[8 : 8 + int.from_bytes(before[:8], "little")])
    assert set(json.loads(header["__metadata__"]["nemo_lab"])["bits"].values()) == {5}


class Buffered(torch.nn.Module):
    def __init__(self, factor: float, act: torch.nn.Module) -> None:
        super().__init__()
        self.a, self.act, self.b = torch.nn.Linear(6, 6), act, torch.nn.Linear(6, 4)
        self.factor = torch.nn.Buffer(torch.tensor(factor), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.act(self.a(x))) * self.factor


def test_all_numbers_come_from_the_file_and_other_operations_are_refused(tmp_path: Path) -> None:
    x = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))

    def traced(factor: float, act: torch.nn.Module) -> nl.Workload:
        return nl.Workload.from_module(Buffered(factor, act).eval(), x[:4])

    problem = nl.QuantizationProblem(traced(2.0, torch.nn.ReLU()), x, x, metric="kl")
    path = save_packed(problem, 4, tmp_path / "net.safetensors")
    with torch.no_grad():
        expected = quantized_module(problem, 4)(x)
        assert torch.allclose(load_packed(path, traced(5.0, torch.nn.ReLU()))(x), expected)
    with pytest.raises(DataError, match="another network"):
        load_packed(path, traced(2.0, torch.nn.GELU()))


class Recurrent(nn.Module):
    """A layer whose settings its text does not show."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(8, 6, batch_first=True, nonlinearity=kind), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


def test_what_a_module_was_told_is_part_of_the_network(tmp_path: Path) -> None:
    x = torch.randn(20, 5, 8)
    tanh, relu = (
        nl.Workload.from_module(Recurrent(kind).eval(), x[:2], ignore=("rnn",)) for kind in ("tanh", "relu")
    )
    path = save_packed(nl.QuantizationProblem(tanh, x, x, metric="kl"), 8, tmp_path / "net.safetensors")
    load_packed(path, tanh)
    with pytest.raises(DataError, match="another network"):
        load_packed(path, relu)
