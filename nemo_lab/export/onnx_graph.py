"""A configuration as an ONNX graph: Q/DQ pairs for activations, stored integers for weights and biases."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nemo_lab.errors import ExportError
from nemo_lab.export.codes import bias_codes, weight_codes
from nemo_lab.export.extra import needed
from nemo_lab.export.onnx_integers import Integers
from nemo_lab.export.onnx_tracing import DOMAIN, forget_origins, traced
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.quantize.folding import paths_of
from nemo_lab.quantize.network import QuantizedNetwork


def onnx_model(network: QuantizedNetwork, widths: Mapping[str, int], batch: tuple[Tensor, ...]) -> Any:
    """The model, an ``onnx_ir.Model``; its numbers are the very ones that the network computes with.

    Args:
        network: one's own, set to the widths; its graph is used up.
        widths: of every quantizer, by name.
        batch: an example.

    Raises:
        ExportError: if torch or ONNX cannot write one of its operations.
        ArgumentError: if a library is missing.
    """
    paths = weight_paths(network)
    model = float_model(network, batch)
    put_integers(model, network, paths, widths)
    return model


def weight_paths(network: QuantizedNetwork) -> dict[str, str]:
    """Every path of each stored weight -> the name of its quantizer; as long as the graph is not used up."""
    return {
        path: quantizer.name
        for node in network.workload.nodes
        for quantizer in node.quantizers
        if quantizer.kind == "weight"
        for path in paths_of(network.graph, quantizer.source)
    }


def float_model(network: QuantizedNetwork, batch: tuple[Tensor, ...]) -> Any:
    """The model in floating point: in full precision, or of a network set to any widths for ``put_integers``.

    Arguments and errors are those of ``onnx_model``.
    """
    model = traced(network, batch)
    forget_origins(model)
    return model


def in_float(problem: QuantizationProblem) -> bytes:
    """The model in full precision, as people would run it; errors are those of ``onnx_model``."""
    ir = needed("onnx_ir", purpose="to write ONNX")
    network = QuantizedNetwork(problem.workload, dataclasses.replace(problem.config, equalize=False))
    network.set_bits(None)
    model = float_model(network, problem.task().batches[0][0])
    return bytes(ir.to_proto(model).SerializeToString())


def put_integers(
    model: Any, network: QuantizedNetwork, paths: Mapping[str, str], widths: Mapping[str, int]
) -> None:
    """Round as a network does at the widths that it is set to, and store integers.

    Args:
        model: of ``float_model``, or a clone of it; changed in place.
        network: it was made of, set to the widths.
        paths: what ``weight_paths`` gave.
        widths: of every quantizer, by name.

    Raises:
        ExportError: if a weight is missing in the model.
    """
    weights = {path: weight_codes(network, name, widths[name]) for path, name in paths.items()}
    biases = bias_codes(network)
    graph, integers = model.graph, Integers(needed("onnx_ir", purpose="to write ONNX"), model.graph, widths)
    for node in [one for one in graph if one.domain == DOMAIN]:
        name = node.attributes["name"].as_string()
        quantizer, whole = network.activations[name].quantizer, network.ranges[name].quantizer(widths[name])
        if quantizer is None:
            raise RuntimeError(f"activation quantizer {name} has no width")
        integers.activation(node, quantizer, -int(whole.low))
    model.opset_imports.pop(DOMAIN, None)
    unwritten = {one.name for one in weights.values()}
    for value in list(graph.initializers.values()):
        path = value.name
        if path in weights:
            integers.weight(value, path, weights[path])
            unwritten.discard(weights[path].name)
        elif path in biases:
            integers.bias(value, biases[path])
    if network.config.bias == "float":
        integers.keep_biases()
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]  # such as biases that are added behind their layers
    if unwritten:
        raise ExportError(f"the ONNX graph has no tensor {min(unwritten)}", "use quantized_module instead")
