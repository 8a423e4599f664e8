"""The paper's three networks, layer by layer, against tables that ``make_workloads`` made on its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from nemo_lab import Workload
from nemo_lab._torch import torch_threads
from nemo_lab.workload.zoo.vision import VISION

pytest.importorskip("torchvision.models", exc_type=(ImportError, RuntimeError))  # type: ignore[arg-type]

FOLDER = Path(__file__).parent / "workloads"
TOTALS: dict[str, Any] = json.loads((FOLDER / "totals.json").read_text())


@pytest.fixture(scope="module", params=TOTALS)
def traced(request: pytest.FixtureRequest) -> Iterator[tuple[str, Workload]]:
    with torch_threads(1):
        yield (
            request.param,
            Workload.from_module(
                VISION[request.param].untrained(), torch.zeros(1, 3, 224, 224), name=request.param
            ),
        )


def test_the_totals_are_the_published_ones() -> None:
    found = {name: (t["parameters"], t["weights"], t["macs"], t["nodes"]) for name, t in TOTALS.items()}
    assert found == {
        "mobilenet_v2": (3_504_872, 3_469_760, 300_774_272, 116),
        "resnet50": (25_557_032, 25_502_912, 4_089_184_256, 125),
        "resnext101_32x8d": (88_791_336, 88_587_456, 16_414_015_488, 244),
    }


def test_totals(traced: tuple[str, Workload]) -> None:
    name, workload = traced
    assert {
        "parameters": sum(parameter.numel() for parameter in workload.module.parameters()),
        "weights": workload.params,
        "macs": workload.macs,
        "nodes": len(workload.nodes),
        "activations": dict(Counter(n.op for n in workload.nodes if n.kind == "activation")),
    } == TOTALS[name]
    assert workload.full_precision == ()


def test_every_weight_and_every_layer(traced: tuple[str, Workload]) -> None:
    name, workload = traced
    golden = pd.read_csv(FOLDER / f"{name}.csv")
    nodes = workload.to_frame()
    weights = nodes[nodes["kind"] == "weight"].reset_index()
    columns = {
        "op": "op", "in_channels": "in", "out_channels": "out", "kernel_size": "kernel", "stride": "stride",
        "feature_size": "features", "params": "params", "macs": "macs",
    }  # fmt: skip
    found = weights[list(columns)].rename(columns=columns)
    found.insert(0, "layer", weights["node"].str.removesuffix(".weight"))
    pd.testing.assert_frame_equal(found, golden[list(found)], check_dtype=False, check_names=False)
    assert list(weights["depthwise"]) == list(golden["op"] == "depthwise conv")
    layers = workload.to_frame("layers")
    assert list(layers.index) == list(golden["layer"])
    assert list(layers["op"]) == list(golden["op"])
    assert list(layers["macs"]) == list(golden["macs"])
    assert list(layers["left"]) == [f"{layer}.weight" for layer in golden["layer"]]


def test_every_layer_reads_an_activation_that_one_image_fills(traced: tuple[str, Workload]) -> None:
    name, workload = traced
    golden = pd.read_csv(FOLDER / f"{name}.csv").set_index("layer")
    for layer in workload.layers:
        assert layer.operands[1] is not None
        node, row = workload.nodes[layer.operands[1]], golden.loc[layer.name]
        if row["op"] == "linear":  # reads a map through the pooling, or the pooled one
            assert node.out_channels == row["in"]
        elif node.name != "layer1.0.conv1.input":  # the stem's, before max pooling
            assert (node.out_channels, node.feature_size) == (row["in"], row["features"])
