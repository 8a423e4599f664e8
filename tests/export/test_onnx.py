"""A configuration as an ONNX file: what runtimes compute from it is what was evaluated."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, DataError, ExportError, VerificationError
from nemo_lab.export import quantized_module, save_onnx, verify


def problem_of(module: nn.Module, data: Any, ignore: Any = (), **settings: Any) -> nl.QuantizationProblem:
    few = tuple(x[:4] for x in data) if isinstance(data, tuple) else data[:4]
    workload = nl.Workload.from_module(module.eval(), few, ignore=ignore)
    return nl.QuantizationProblem(workload, data, data, **{"metric": "kl", "bias": "int32", **settings})


def mixed(problem: nl.QuantizationProblem, seed: int = 0) -> list[int]:
    return [int(width) for width in np.random.default_rng(seed).integers(2, 9, problem.num_nodes)]


def ran(path: Path, *batch: Tensor) -> np.ndarray:
    """By default settings."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    (out, *_) = session.run(None, {name: x.numpy() for name, x in zip(names, batch, strict=True)})
    return np.asarray(out)


def stored(path: Path) -> dict[str, Any]:
    return {one.name: one for one in onnx.load(path).graph.initializer}


class Net(nn.Module):
    """Layers of many kinds, one of them called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.twice = nn.Conv2d(8, 8, 1)
        self.grouped = nn.Conv2d(8, 8, 3, groups=4)
        self.up = nn.ConvTranspose2d(8, 4, 2, groups=2)
        self.weight, self.offset = nn.Parameter(torch.randn(5, 196)), nn.Parameter(torch.randn(5))
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(2 * F.relu(self.twice(F.relu(self.norm(self.stem(x))))))
        x = self.up(F.relu(self.grouped(x))).flatten(1)
        return self.head(F.relu(F.linear(x, self.weight, self.offset)))


IMAGES = torch.randn(48, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["digits", "fashion"])
def test_runtimes_say_what_was_searched(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    problem = nl.QuantizationProblem(
        request.getfixturevalue(name), bias="int32", per_channel=name == "fashion"
    )
    path = tmp_path / "net.onnx"
    found = save_onnx(problem, mixed(problem), path)
    off, default = found.runs
    assert (off.optimized, default.optimized) == (False, True)
    assert off.agreement == default.agreement == 1
    assert off.flips == default.flips == ()
    assert off.difference < 1e-4
    assert off.integers == 0 < default.integers
    weights = {one.name for one in problem.workload.nodes if one.kind == "weight"}
    assert weights & set(default.layers)
    assert found.bytes == path.stat().st_size
    assert off.time is default.time is None
    off, default = (timed := verify(path, problem, timed=True)).runs
    assert off.time is None
    assert default.time is not None
    assert 0.01 < default.time < 100
    assert f"{default.time:.2f} times the time of float32" in str(timed)
    split = problem.workload.data.held_out  # type: ignore[union-attr]
    predicted = ran(path, torch.from_numpy(split.inputs)).argmax(1)
    assert np.mean(predicted != split.labels) == problem.error(mixed(problem), split)[0]
    assert verify(path, problem).runs == found.runs
    assert "100.00 % of predictions agree" in str(found)


@pytest.mark.parametrize("bias", ["float", "int32"])
def test_a_bias_that_runtimes_would_round_by_themselves(bias: str, tmp_path: Path) -> None:
    conv = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        conv.weight.fill_(1.5)
        assert conv.bias is not None
        conv.bias.fill_(0.24)
    x = torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(1, 1, 1, 4).repeat(4, 1, 1, 1)
    problem = problem_of(nn.Sequential(conv, nn.Flatten()), x, bias=bias)
    save_onnx(problem, 2, tmp_path / "net.onnx")
    expected = [0.24, 1.74, 3.24, 4.74] if bias == "float" else [0, 1.5, 3, 4.5]
    assert ran(tmp_path / "net.onnx", x[:1]).flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize("settings", [{}, {"per_channel": True}, {"symmetric": True}, {"bias": "float"}])
def test_layers_of_every_kind(settings: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    problem = problem_of(Net(), IMAGES, **settings)
    for seed in range(3):
        bits = mixed(problem, seed)
        found = save_onnx(problem, bits, tmp_path / "net.onnx")
        assert [run.difference < 1e-4 for run in found.runs] == [True, True]
        with torch.no_grad():
            expected = quantized_module(problem, bits)(IMAGES[:7]).numpy()
        assert np.abs(ran(tmp_path / "net.onnx", IMAGES[:7]) - expected).max() < 1e-4 * np.ptp(expected)


def test_integers_are_stored_as_narrow_as_runtimes_take_them(
    digits_int32: nl.QuantizationProblem, tmp_path: Path
) -> None:
    problem, path = digits_int32, tmp_path / "net.onnx"
    bits = mixed(problem)
    save_onnx(problem, bits, path)
    tensors, network = stored(path), problem.network()
    network.set_bits(bits)
    for node, width in zip(problem.workload.nodes, bits, strict=True):
        if node.kind == "activation":
            continue
        codes = tensors[f"{node.name}_codes"]
        kind = onnx.TensorProto.UINT4 if width <= 4 else onnx.TensorProto.UINT8
        assert codes.data_type == kind
        scale, zero = (numpy_helper.to_array(tensors[f"{node.name}_{of}"]) for of in ("scale", "zero_point"))
        numbers = (numpy_helper.to_array(codes).astype(np.float32) - zero.astype(np.float32)) * scale
        assert np.array_equal(numbers, network.weights.at(node.name, width).numpy())
    of_biases = [one for name, one in tensors.items() if name.endswith("bias_codes")]
    assert len(of_biases) == len(network.biases.found)
    assert {one.data_type for one in of_biases} == {onnx.TensorProto.INT32}
    text = path.read_bytes()
    assert str(Path(nl.__file__).parent).encode() not in text  # where torch found the code
    (record,) = (json.loads(one.value) for one in onnx.load(path).metadata_props)
    assert list(record["bits"].values()) == bits


def test_no_tensor_is_left_that_nothing_reads(tmp_path: Path) -> None:
    problem = problem_of(Net(), IMAGES, bias="float")
    save_onnx(problem, mixed(problem), tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    read = {name for node in graph.node for name in node.input} | {one.name for one in graph.output}
    assert {one.name for one in graph.initializer} <= read


class Filled(nn.Module):
    """Some of its outputs stand for "not at all"."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(x))).masked_fill(x[:, :4] > 1.5, -1e9)


def size(outputs: Tensor, labels: Any) -> Tensor:
    return outputs.abs().mean(1).clamp(max=1)


def test_masked_outputs_hide_nothing(tmp_path: Path) -> None:
    path, rows = tmp_path / "net.onnx", torch.randn(48, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    problem = problem_of(Filled(), rows, metric=size)
    assert save_onnx(problem, 4, path).runs[0].difference < 1e-6
    model = onnx.load(path)
    (scale,) = (one for one in model.graph.initializer if one.name == "second.weight_scale")
    scale.CopyFrom(numpy_helper.from_array(3 * numpy_helper.to_array(scale), scale.name))
    onnx.save(model, path)
    with pytest.raises(VerificationError, match="does not compute what was searched"):
        verify(path, problem)


@pytest.mark.parametrize("count", [16, 48])
def test_ties_are_no_other_network(count: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    problem = problem_of(module, torch.randn(count, 8), metric="agreement")
    for bits in (2, 3, 4):
        assert save_onnx(problem, bits, tmp_path / "net.onnx").runs[1].difference < 1e-4


def test_wide_integers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    problem = problem_of(Net(), IMAGES, bit_widths=(2, 9, 12, 16))
    found = save_onnx(
        problem,
        [2, 9, 12, 16] * (problem.num_nodes // 4) + [16] * (problem.num_nodes % 4),
        tmp_path / "a.onnx",
    )
    assert found.runs[0].difference < 1e-4
    kinds = {one.data_type for name, one in stored(tmp_path / "a.onnx").items() if name.endswith("_codes")}
    assert kinds == {onnx.TensorProto.UINT4, onnx.TensorProto.UINT16, onnx.TensorProto.INT32}


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(4, 8)

    def forward(self, left: Tensor, right: Tensor, scale: float = 2.0) -> dict[str, Tensor]:
        return {"sum": scale * self.a(left) + self.b(right), "left": self.a(left)}


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = (torch.randn(40, 6), torch.randn(40, 4))
    workload = nl.Workload.from_module(Two(), {"left": data[0][:4], "right": data[1][:4]})

    def apart(outputs: Any, _: Any, reference: Any) -> Tensor:
        return (outputs["sum"] - reference["sum"]).abs().mean(1)

    given = {"left": data[0], "right": data[1]}
    problem = nl.QuantizationProblem(workload, given, given, metric=apart, bias="int32")
    found = save_onnx(problem, 4, tmp_path / "net.onnx")
    assert [run.difference < 1e-4 for run in found.runs] == [True, True]
    assert all(np.isnan(run.agreement) for run in found.runs)
    names = [one.name for one in onnx.load(tmp_path / "net.onnx").graph.input]
    assert names == ["left", "right"]


def test_text_is_what_was_searched_but_for_borders(text: nl.Workload, tmp_path: Path) -> None:
    problem = nl.QuantizationProblem(text, bias="int32")
    for run in save_onnx(problem, 8, tmp_path / "net.onnx").runs:
        assert run.agreement > 0.998
        assert all(0 <= margin < 0.1 for _, margin in run.flips)


@pytest.fixture
def written(tmp_path: Path, digits_int32: nl.QuantizationProblem) -> Path:
    path = tmp_path / "net.onnx"
    save_onnx(digits_int32, 5, path)
    return path


def test_a_file_that_was_changed_is_found_out(written: Path, digits_int32: nl.QuantizationProblem) -> None:
    model = onnx.load(written)
    (codes,) = (one for one in model.graph.initializer if one.name == "blocks.1.expand.conv.weight_codes")
    codes.raw_data = bytes([codes.raw_data[0] ^ 31]) + codes.raw_data[1:]
    onnx.save(model, written)
    with pytest.raises(VerificationError, match=r"numbers of blocks\.1\.depthwise\.conv\.input are others"):
        verify(written, digits_int32)


def test_a_damaged_file_and_one_of_others(written: Path, digits_int32: nl.QuantizationProblem) -> None:
    with pytest.raises(DataError, match="written from another network or other settings"):
        verify(written, nl.QuantizationProblem(digits_int32.workload, bias="int32", symmetric=True))
    whole = written.read_bytes()
    for part in (whole[:-1000], whole[: len(whole) // 2], b"", b"nothing of the kind"):
        written.write_bytes(part)
        with pytest.raises((DataError, VerificationError)):
            verify(written, digits_int32)
    model = onnx.load_from_string(whole)
    del model.metadata_props[:]
    onnx.save(model, written)
    with pytest.raises(DataError, match="does not say which widths it has"):
        verify(written, digits_int32)
    with pytest.raises(ArgumentError, match="No such file"):
        verify(written.with_name("none.onnx"), digits_int32)


def test_what_cannot_be_written_leaves_the_file_that_was_there(
    written: Path, digits_int32: nl.QuantizationProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written.read_bytes()

    class Strange(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.matrix_exp(self.layer(x).reshape(-1, 2, 2)).flatten(1)

    strange = problem_of(Strange(), torch.randn(16, 4), ignore="linalg_matrix_exp")
    with pytest.raises(ExportError, match=r"cannot be written as ONNX: .*matrix_exp"):
        save_onnx(strange, 4, written)
    with pytest.raises(ArgumentError, match=r"call the file \.onnx"):
        save_onnx(digits_int32, 4, written.with_suffix(".json"))
    with pytest.raises(ArgumentError, match="give a file in a folder that exists"):
        save_onnx(digits_int32, 4, written.parent / "none" / "net.onnx")
    with pytest.raises(ArgumentError, match="has no network to export"):
        save_onnx("digits", 4, written)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ArgumentError, match=r'pip install "nemo_lab\[deploy\]"'):
        save_onnx(digits_int32, 4, written)
    assert written.read_bytes() == before
    assert [one.name for one in written.parent.iterdir()] == ["net.onnx"]


def tampered(path: Path, name: str, by: int) -> None:
    model = onnx.load(path)
    (codes,) = (one for one in model.graph.initializer if one.name == name)
    changed = numpy_helper.to_array(codes) + np.int32(by)
    codes.CopyFrom(numpy_helper.from_array(changed.astype(np.int32), name))
    onnx.save(model, path)


class Masked(nn.Module):
    def __init__(self, mask: list[float]) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 4)
        self.mask = nn.Buffer(torch.tensor(mask))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = F.relu(self.a(x))
        return {"hidden": hidden, "large": hidden > 1, "logits": self.b(hidden) + self.mask}


@pytest.mark.parametrize("mask", [[0.0] * 4, [0.0, 0.0, 0.0, -np.inf]])
def test_what_is_wrong_behind_the_last_rounding_is_found_too(mask: list[float], tmp_path: Path) -> None:
    torch.manual_seed(0)
    problem = problem_of(Masked(mask), torch.randn(40, 6))
    path = tmp_path / "net.onnx"
    assert [run.agreement for run in save_onnx(problem, 8, path).runs] == [1, 1]
    tampered(path, "b.bias_codes", 5000)
    with pytest.raises(VerificationError, match="behind the last number that is rounded"):
        verify(path, problem)


def test_what_draws_is_refused_and_factors_stay(tmp_path: Path) -> None:
    torch.manual_seed(0)

    class Drawing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(self.a(x), 0.5, training=True)

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.offset = nn.Parameter(torch.randn(6, 4)), nn.Parameter(torch.randn(4))

        def forward(self, x: Tensor) -> Tensor:
            return torch.addmm(self.offset, x, self.weight, beta=3.0)

    with pytest.raises(ExportError, match="draws random numbers"):
        save_onnx(problem_of(Drawing(), torch.randn(40, 6)), 8, tmp_path / "a.onnx")
    for bias in ("float", "int32"):
        found = save_onnx(problem_of(Scaled(), torch.randn(40, 6), bias=bias), 8, tmp_path / "b.onnx")
        assert found.runs[0].difference < 1e-4
