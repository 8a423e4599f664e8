"""The embedded workloads on images: sizes by independent count, data that is what it says it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nemo_lab import NemoError, QuantizationProblem, Workload, load_workload
from nemo_lab.errors import UnknownNameError
from nemo_lab.workload.zoo.registry import DATA_FOLDER, EMBEDDED, ImageEntry


@pytest.fixture(params=["digits", "fashion"])
def workload(request: pytest.FixtureRequest) -> Workload:
    found: Workload = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    ("name", "weights", "activations", "params"), [("digits", 17, 19, 12_258), ("fashion", 17, 20, 14_450)]
)
def test_sizes_are_those_of_the_method(
    request: pytest.FixtureRequest, name: str, weights: int, activations: int, params: int
) -> None:
    workload: Workload = request.getfixturevalue(name)
    kinds = [node.kind for node in workload.nodes]
    assert (kinds.count("weight"), kinds.count("activation")) == (weights, activations)
    assert len(workload.nodes) == weights + activations
    assert sum(p.numel() for p in workload.module.parameters()) == params


def test_macs_and_params_agree_with_forward_hooks(workload: Workload) -> None:
    macs: dict[str, int] = {}

    def count(name: str) -> Any:
        def hook(layer: Any, _: Any, output: torch.Tensor) -> None:
            per_output = layer.weight[0].numel()  # one output value reads one filter
            macs[name] = macs.get(name, 0) + output[0].numel() * per_output

        return hook

    layers = {n: m for n, m in workload.module.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    handles = [layer.register_forward_hook(count(name)) for name, layer in layers.items()]
    with torch.no_grad():
        workload.module(torch.zeros(workload.example_shapes[0]))
    for handle in handles:
        handle.remove()
    assert {layer.name: layer.macs for layer in workload.layers} == macs
    assert workload.macs == sum(macs.values())
    assert workload.params == sum(layer.weight.numel() for layer in layers.values())


def test_nodes_are_numbered_and_named_once(workload: Workload) -> None:
    assert [node.index for node in workload.nodes] == list(range(len(workload.nodes)))
    assert len(set(workload.names)) == len(workload.nodes)
    for node in workload.nodes:
        assert math.prod(node.shape) > 0
        for name in (node.name, *node.aliases):
            assert workload.find(name) is node


def test_sequential_edges_join_each_node_to_the_next(workload: Workload) -> None:
    assert workload.edges.tolist() == [[*range(len(workload.nodes) - 1)], [*range(1, len(workload.nodes))]]


def test_depthwise_layers_and_additions_are_recognised(digits: Workload) -> None:
    depthwise = [node.name for node in digits.nodes if node.depthwise]
    assert depthwise == [f"blocks.{i}.depthwise.conv.weight" for i in range(5)]
    assert [node.op for node in digits.nodes].count("add") == 2  # the two blocks of stride 1


def test_features_are_normalised_and_constant_columns_are_zero(workload: Workload) -> None:
    features = workload.features
    assert features.dtype == np.float32
    assert features.min() == 0
    assert features.max() == 1
    varying = features.max(axis=0) > features.min(axis=0)
    assert np.all(features[:, varying].min(axis=0) == 0)
    assert np.all(features[:, varying].max(axis=0) == 1)
    assert np.all(features[:, ~varying] == 0)
    assert features[:, -1].tolist() == [float(node.kind == "weight") for node in workload.nodes]


@pytest.mark.parametrize("name", ["digits", "fashion"])
def test_files_are_small_and_load_without_pickle(name: str) -> None:
    entry = EMBEDDED[name]
    assert isinstance(entry, ImageEntry)
    for suffix in (".pt", ".npz"):
        assert (DATA_FOLDER / f"{name}{suffix}").stat().st_size < 1_000_000
    state = torch.load(DATA_FOLDER / f"{name}.pt", weights_only=True)
    assert all(torch.isfinite(tensor.float()).all() for tensor in state.values())
    with np.load(DATA_FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        for split, size in entry.sizes.items():
            assert len(arrays[f"{split}_images"]) == len(arrays[f"{split}_labels"]) == size
            assert arrays[f"{split}_images"].max() <= entry.pixel_max


def test_no_image_is_in_two_splits(workload: Workload) -> None:
    assert workload.data is not None
    data = workload.data
    images = {
        split: {image.tobytes() for image in getattr(data, split).inputs}
        for split in ("calibration", "search", "held_out")
    }
    for one, other in (("search", "held_out"), ("search", "calibration"), ("held_out", "calibration")):
        assert not images[one] & images[other], f"{one} and {other} share images"


def test_splits_hold_every_class_in_proportion(workload: Workload) -> None:
    assert workload.data is not None
    for split in (workload.data.calibration, workload.data.search, workload.data.held_out):
        counts = np.bincount(split.labels, minlength=10)
        assert len(counts) == len(workload.data.classes) == 10
        assert counts.max() - counts.min() <= 0.2 * counts.mean() + 1
    assert workload.data.calibration.inputs.dtype == np.float32


@pytest.mark.parametrize(("name", "limit"), [("digits", 0.05), ("fashion", 0.15)])
def test_shipped_networks_are_trained(request: pytest.FixtureRequest, name: str, limit: float) -> None:
    workload: Workload = request.getfixturevalue(name)
    assert workload.data is not None
    problem = QuantizationProblem(workload)
    assert problem.full_precision_error() < limit
    assert problem.full_precision_error(workload.data.held_out) < limit


def test_unknown_workload_proposes_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        load_workload("digit")
    with pytest.raises(NemoError, match="known: digits, fashion, text"):
        load_workload(None)  # type: ignore[arg-type]


def test_frame_and_html_show_every_node(digits: Workload) -> None:
    frame = digits.to_frame()
    assert tuple(frame.index) == digits.names
    assert frame["params"].sum() == digits.params
    assert "36 bit-width decisions (17 weights, 19 activations)" in digits._repr_html_()
