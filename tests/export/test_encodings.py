"""A configuration for tools that simulate quantization: AIMET encodings, QONNX, and widths back by name."""

from __future__ import annotations

import json
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
from nemo_lab.errors import ArgumentError, BitWidthError, DataError, ExportError, VerificationError
from nemo_lab.export import load_bits, quantized_module, save_encodings, save_qonnx

SETTINGS = [
    {},
    {"bias": "int32", "per_channel": True},
    {"symmetric": True, "ranges": "mse"},
    {"bias": "int32", "per_channel": True, "symmetric": True},
]


class Net(nn.Module):
    """Layers of many kinds: one called twice, one without a bias, a tensor that is read unrounded, too."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.twice = nn.Conv2d(8, 8, 1, bias=False)
        self.grouped = nn.Conv2d(8, 8, 3, groups=4)
        self.up = nn.ConvTranspose2d(8, 4, 2)
        self.weight, self.offset = nn.Parameter(torch.randn(5, 196)), nn.Parameter(torch.randn(5))
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(2 * F.relu(self.twice(F.relu6(self.norm(self.stem(x))))))
        x = self.up(F.relu(self.grouped(x))).flatten(1)
        return self.head(F.linear(x, self.weight, self.offset))


IMAGES = torch.randn(48, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def problem_of(module: nn.Module, data: Tensor, ignore: Any = (), **settings: Any) -> nl.QuantizationProblem:
    workload = nl.Workload.from_module(module.eval(), data[:4], ignore=ignore)
    return nl.QuantizationProblem(workload, data, data, metric="kl", **settings)


def mixed(problem: nl.QuantizationProblem, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).choice(problem.bit_widths, problem.num_nodes).tolist()


def encodings(path: Path) -> dict[str, dict[str, Any]]:
    record = json.loads(path.with_suffix(".encodings").read_text())
    assert record["version"] == "1.0.0"
    return {one["name"]: one for part in ("param", "activation") for one in record[f"{part}_encodings"]}


def ran(path: Path, x: Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


def test_the_network_is_in_full_precision_and_every_decision_has_an_encoding(
    fashion: nl.Workload, tmp_path: Path
) -> None:
    problem, path = nl.QuantizationProblem(fashion), tmp_path / "net.onnx"
    bits = mixed(problem)
    found = save_encodings(problem, bits, path)
    (run,) = found.runs
    assert (run.agreement, run.optimized, found.path, found.bytes) == (1, False, path, path.stat().st_size)
    assert run.difference < 1e-4
    assert sorted(one.name for one in tmp_path.iterdir()) == ["net.encodings", "net.onnx"]
    images = torch.from_numpy(fashion.data.held_out.inputs[:64])  # type: ignore[union-attr]
    with torch.no_grad():
        full = fashion.graph(images).numpy()
    assert np.abs(ran(path, images) - full).max() < 1e-4 * np.ptp(full)
    said, graph = encodings(path), onnx.load(path).graph
    assert len(said) == len(bits) == 37
    known = {one.name for one in graph.input} | {name for node in graph.node for name in node.output}
    assert set(said) <= known | {one.name for one in graph.initializer}
    widths = dict(zip(problem.node_names, bits, strict=True))
    assert all(one["bw"] == widths["stem.conv.input" if name == "x" else name] for name, one in said.items())
    assert {node.op_type for node in graph.node}.isdisjoint({"Identity", "QuantizeLinear", "Round"})
    assert load_bits(path.with_suffix(".encodings"), problem).tolist() == bits


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("widths", [(2, 3, 4, 5, 6, 7, 8), (9, 12, 16)])
def test_encodings_say_the_very_integers_of_the_search(
    settings: dict[str, Any], widths: tuple[int, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    problem = problem_of(Net(), IMAGES, bit_widths=widths, **settings)
    path = tmp_path / "net.onnx"
    bits = mixed(problem)
    (run,) = save_encodings(problem, bits, path).runs
    assert run.difference < (1e-4 if max(widths) <= 8 else 1e-3)  # float32 resolves 16 bits no better
    with torch.no_grad():
        expected = quantized_module(problem, bits)(IMAGES[:7])
    assert expected.shape == ran(path, IMAGES[:7]).shape
    assert load_bits(path.with_suffix(".encodings"), problem).tolist() == bits
    said, network = encodings(path), problem.network()
    network.set_bits(bits)
    stored = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    for node, width in zip(problem.workload.nodes, bits, strict=True):
        if node.kind == "activation":
            continue
        one, full = said[node.name], stored[node.name]
        axis = [-1 if count > 1 else 1 for count in node.quantizers[0].scales]
        shape = axis if one["enc_type"] == "PER_CHANNEL" else [1] * full.ndim
        scale, offset = (np.array(one[of], dtype=np.float32).reshape(shape) for of in ("scale", "offset"))
        codes = np.clip(np.rint(full / scale) - offset, 0, 2**width - 1)
        assert np.array_equal((codes + offset) * scale, network.weights.at(node.name, width).numpy())
        if settings.get("symmetric"):
            assert one["is_sym"]
            assert set(one["offset"]) == {-(2 ** (width - 1))}


@pytest.mark.parametrize("settings", SETTINGS)
def test_qonnx_rounds_by_quant_of_any_width(settings: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    problem = problem_of(Net(), IMAGES, bit_widths=(2, 3, 5, 8, 11, 16), **settings)
    path = tmp_path / "net.onnx"
    bits = mixed(problem, 1)
    (run,) = save_qonnx(problem, bits, path).runs
    assert run.difference < 1e-4
    model = onnx.load(path)
    assert not model.functions
    stored = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    quants = {one.output[0]: one for one in model.graph.node if one.op_type == "Quant"}
    assert {one.domain for one in quants.values()} == {"qonnx.custom_op.general"}
    assert {name: int(stored[one.input[3]]) for name, one in quants.items()} == dict(
        zip(problem.node_names, bits, strict=True)
    )
    for one in quants.values():
        attributes = {part.name: onnx.helper.get_attribute_value(part) for part in one.attribute}
        assert attributes["rounding_mode"] == b"ROUND"
        assert not (attributes["signed"] and stored[one.input[2]].any())
        if settings.get("symmetric"):
            assert not stored[one.input[2]].any()  # what builds hardware wants no zero points


def test_tensors_that_are_shared_or_read_unrounded_too(tmp_path: Path) -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            hidden = self.a(x)
            return self.c(F.relu(hidden) + self.b(hidden)) + x[:, :4]

    torch.manual_seed(0)
    problem = problem_of(Branches(), torch.randn(40, 6, generator=torch.Generator().manual_seed(0)))
    for save in (save_encodings, save_qonnx):
        for seed in range(3):
            (run,) = save(problem, mixed(problem, seed), tmp_path / "net.onnx").runs
            assert run.difference < 1e-4
    assert load_bits(tmp_path / "net.encodings", problem).tolist() == mixed(problem, 2)


def test_what_stays_in_full_precision_has_no_encoding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    problem = problem_of(Net(), IMAGES, ignore=["grouped", "head.weight"])
    bits = mixed(problem)
    (run,) = save_encodings(problem, bits, tmp_path / "net.onnx").runs
    assert run.difference < 1e-4
    assert {"grouped.weight", "head.weight"}.isdisjoint(encodings(tmp_path / "net.onnx"))
    assert load_bits(tmp_path / "net.encodings", problem).tolist() == bits


def test_what_cannot_be_said_is_refused_and_leaves_what_was_there(
    digits_problem: nl.QuantizationProblem, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    save_encodings(digits_problem, 4, path)
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    torch.manual_seed(0)
    up = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 4, 2, groups=2), nn.Flatten())
    grouped = problem_of(up, IMAGES, per_channel=True)
    with pytest.raises(ExportError, match=r"scales along 2 axes.*per_channel=False"):
        save_encodings(grouped, 4, path)
    assert save_qonnx(grouped, 4, tmp_path / "q.onnx").runs[0].difference < 1e-4
    (tmp_path / "q.onnx").unlink()
    (tmp_path / "other.encodings").mkdir()
    for save in (save_encodings, save_qonnx):
        with pytest.raises(ArgumentError, match=r"call the file \.onnx"):
            save(digits_problem, 4, path.with_suffix(".json"))
        with pytest.raises(ArgumentError, match="give a file in a folder that exists"):
            save(digits_problem, 4, tmp_path / "none" / "net.onnx")
        with pytest.raises(BitWidthError):
            save(digits_problem, 32, path)
        with pytest.raises(ArgumentError, match="has no network to export"):
            save("digits", 4, path)
    with pytest.raises(ArgumentError, match="Is a directory"):
        save_encodings(digits_problem, 4, tmp_path / "other.onnx")
    (tmp_path / "other.encodings").rmdir()
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_a_network_that_another_tool_would_compute_otherwise_is_not_written(
    digits_problem: nl.QuantizationProblem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = json.dumps

    def wrong(record: Any, **options: Any) -> str:
        for one in record.get("param_encodings", []):
            one["scale"] = [1.5 * scale for scale in one["scale"]]
        return real(record, **options)

    monkeypatch.setattr("nemo_lab.export.encodings_file.json.dumps", wrong)
    with pytest.raises(VerificationError, match=r"net\.onnx does not compute what was searched"):
        save_encodings(digits_problem, 8, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def affine(bits: int, channels: int = 1) -> list[dict[str, Any]]:
    one = {"bitwidth": bits, "dtype": "int", "is_symmetric": "False", "scale": 0.1, "offset": 0, "min": 0}
    return [one] * channels


def test_encodings_of_other_tools_by_name(digits_problem: nl.QuantizationProblem, tmp_path: Path) -> None:
    """Of schema 0.6.1, with names of layers and functions, biases, and a width that is none of the search."""
    path = tmp_path / "model.encodings"
    weights = {name: affine(4, 3) for name in digits_problem.node_names if name.endswith(".weight")}
    record: dict[str, Any] = {
        "version": "0.6.1",
        "param_encodings": {**weights, "stem.conv.bias": affine(8), "classifier.bias": affine(32)},
        "activation_encodings": {
            "x": affine(8),
            "stem.relu": affine(5),
            "blocks.1.expand.conv.input": affine(6),
        },
    }
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"has no width for .*load_bits\(path, problem, default="):
        load_bits(path, digits_problem)
    found = dict(zip(digits_problem.node_names, load_bits(path, digits_problem, default=7), strict=True))
    assert {width for name, width in found.items() if name.endswith(".weight")} == {4}
    assert (found["stem.conv.input"], found["blocks.0.depthwise.conv.input"]) == (8, 5)
    assert (found["blocks.1.expand.conv.input"], found["classifier.input"]) == (6, 7)
    study = nl.create_study(digits_problem, population=8, min_size=2)
    study.enqueue(load_bits(path, digits_problem, default=7))
    assert study.optimize(1, progress=False).config(0).to_dict() == found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "2.1.0"}, r"of version '2\.1\.0'; export them again as 1\.0\.0"),
        ({"activation_encodings": 3}, "neither a list nor an object"),
        ({"activation_encodings": [3]}, "number 0 of activation_encodings in .* has no name"),
        ({"activation_encodings": [{"name": "x"}]}, "'x' in .* has no width"),
        ({"activation_encodings": {"x": [*affine(4), *affine(5)]}}, "'x' in .* has no width, or several"),
        ({"activation_encodings": [{"name": "x", "bw": 16, "dtype": "FLOAT"}]}, "floating point of 16 bits"),
        (
            {
                "activation_encodings": [
                    {"name": "/stem/conv/Conv_output_0", "bw": 8},
                    {"name": "stem", "bw": 4},
                ]
            },
            "like 2 of 2 tensors in .*: '/stem/conv/Conv_output_0', 'stem'; take these out .*default=8",
        ),
        (
            {"activation_encodings": [{"name": "x", "bw": 8}, {"name": "x.output", "bw": 4}]},
            "'stem.conv.input' has 8 bits .* and 4 bits",
        ),
    ],
)
def test_encodings_that_cannot_be_meant(
    change: dict[str, Any], said: str, digits_problem: nl.QuantizationProblem, tmp_path: Path
) -> None:
    path = tmp_path / "model.encodings"
    path.write_text(json.dumps({"version": "1.0.0", "param_encodings": [], **change}))
    with pytest.raises(DataError, match=said) as caught:
        load_bits(path, digits_problem, default=8)
    assert caught.value.hint
    path.write_text(json.dumps({"version": "1.0.0", "param_encodings": [{"name": "x", "bw": 9}]}))
    with pytest.raises(BitWidthError, match=r"'x' in .*9 is not allowed"):
        load_bits(path, digits_problem, default=8)
