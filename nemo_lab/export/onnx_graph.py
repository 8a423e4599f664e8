"""A configuration as an ONNX graph: Q/DQ pairs for activations, stored integers for weights and biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from nemo_lab._quiet import no_logging, no_warnings
from nemo_lab.errors import ExportError
from nemo_lab.exclusion import alone, tracing
from nemo_lab.export.codes import bias_codes, weight_codes
from nemo_lab.export.extra import needed
from nemo_lab.export.onnx_integers import Integers
from nemo_lab.quantize.activation_quantizer import ActivationQuantizer
from nemo_lab.quantize.folding import paths_of
from nemo_lab.quantize.network import QuantizedNetwork

OPSET = 21  # the first with 4-bit integers
DOMAIN, ROUNDING = "nemo_lab", "Round"  # stands in the graph while torch writes it


class OfTensors(nn.Module):
    """The network with nothing to give it but the tensors of a batch."""

    def __init__(self, network: QuantizedNetwork) -> None:
        super().__init__()
        self.network, self._inputs = network.graph, network.workload.inputs
        self.training = False  # its parts stay as they are

    def forward(self, *tensors: Tensor) -> Any:
        """What the network gives for them."""
        args, kwargs = self._inputs.call(tensors, torch.float32)
        return self.network(*args, **kwargs)


def check_steady(network: QuantizedNetwork) -> None:
    """Whether a network gives the same each time it is run anywhere.

    Raises:
        ExportError: if it draws random numbers.
    """
    drawn = [node.name for node in network.graph.graph.nodes if node.meta.get("random")]
    if drawn:
        raise ExportError(
            f"{drawn[0]} draws random numbers, others in every runtime", "trace it without that"
        )


def onnx_model(network: QuantizedNetwork, widths: Mapping[str, int], batch: tuple[Tensor, ...]) -> Any:
    """The model, an ``onnx_ir.Model``; its numbers are the very ones that the network computes with.

    Args:
        network: one's own, set to the widths; its graph is used up.
        widths: of every quantizer, by name.
        batch: an example, of at least two rows.

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
    needed("onnx_ir", "onnx", "onnxscript", purpose="to write ONNX")
    check_steady(network)
    _mark(network)
    model = _written(network, batch)
    _forget_origins(model.graph)
    return model


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
        path = value.name.removeprefix("network.")
        if path in weights:
            integers.weight(value, path, weights[path])
            unwritten.discard(weights[path].name)
        elif path in biases:
            integers.bias(value, biases[path])
        else:
            value.name = path
    if network.config.bias == "float":
        integers.keep_biases()
    if unwritten:
        raise ExportError(f"the ONNX graph has no tensor {min(unwritten)}", "use quantized_module instead")


def _mark(network: QuantizedNetwork) -> None:
    """Put an operation that torch leaves as it is in the place of each quantizer."""
    graph, names = network.graph, {one.path: name for name, one in network.activations.items()}
    for node in list(graph.graph.nodes):
        module = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, ActivationQuantizer) and module.quantizer is not None:
            arguments = (node.all_input_nodes[0], names[module.path])
            with graph.graph.inserting_before(node):
                node.replace_all_uses_with(graph.graph.call_function(_rounding, arguments))
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()


def _rounding(x: Tensor, name: str) -> Any:
    return torch.onnx.ops.symbolic(
        f"{DOMAIN}::{ROUNDING}", (x,), {"name": name}, dtype=x.dtype, shape=x.shape, version=1
    )


fx.wrap("_rounding")


def _written(network: QuantizedNetwork, batch: tuple[Tensor, ...]) -> Any:
    """What torch makes of the network, for any number of examples."""
    leaves, rows = network.workload.inputs.leaves, torch.export.Dim("batch")
    try:
        with tracing(), alone(), no_warnings(), no_logging("torch"), torch.no_grad():
            program = torch.onnx.export(
                OfTensors(network),
                batch,
                input_names=[leaf.name for leaf in leaves],
                dynamic_shapes=(tuple({0: rows} for _ in leaves),),
                opset_version=OPSET,
                dynamo=True,
                optimize=False,
                verbose=False,
            )
        return program.model
    except Exception as error:  # whatever torch makes of an operation it does not know
        raise ExportError(
            f"{network.workload.name} cannot be written as ONNX: {reason(error)}",
            "use nemo_lab.export.quantized_module, or write that part so that torch.onnx takes it",
        ) from error


def _forget_origins(graph: Any) -> None:
    """Take away what torch notes of every operation: where it stood in whose code."""
    values = [*graph.inputs, *graph.initializers.values(), *(one for node in graph for one in node.outputs)]
    for part in (graph, *graph, *values):
        part.metadata_props.clear()
        part.doc_string = None


def reason(error: BaseException) -> str:
    """The first line of what an error came of in the end."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
