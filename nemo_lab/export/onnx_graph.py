"""A configuration as an ONNX graph: Q/DQ pairs for activations, stored integers for weights and biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nemo_lab.errors import ExportError
from nemo_lab.export.codes import bias_codes, weight_codes
from nemo_lab.export.extra import needed
from nemo_lab.export.onnx_integers import Integers
from nemo_lab.export.onnx_tracing import DOMAIN, forget_origins, traced
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
    ir = needed("onnx_ir", purpose="to write ONNX")
    weights = {
        path: weight_codes(network, quantizer.name, widths[quantizer.name])
        for node in network.workload.nodes
        for quantizer in node.quantizers
        if quantizer.kind == "weight"
        for path in paths_of(network.graph, quantizer.source)
    }
    biases = bias_codes(network)
    lows = {name: int(network.ranges[name].quantizer(widths[name]).low) for name in network.activations}
    model = traced(network, batch)
    graph, integers = model.graph, Integers(ir, model.graph, widths)
    for node in [one for one in graph if one.domain == DOMAIN]:
        integers.activation(node, lows)
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
    forget_origins(graph)
    if unwritten:
        raise ExportError(f"the ONNX graph has no tensor {min(unwritten)}", "use quantized_module instead")
    return model
