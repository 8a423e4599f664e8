"""A network as torch writes it in ONNX, with an operation of ours at every decision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from nemo_lab._quiet import no_logging, no_warnings
from nemo_lab._version import __version__
from nemo_lab.errors import ExportError
from nemo_lab.exclusion import alone, tracing
from nemo_lab.export.extra import needed
from nemo_lab.quantize.activation_quantizer import ActivationQuantizer
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


def traced(network: QuantizedNetwork, batch: tuple[Tensor, ...], *, clamps: bool = False) -> Any:
    """The model, an ``onnx_ir.Model``, whose initializers are called as in the network.

    Where an activation is rounded stands an operation of ``DOMAIN`` with its name.

    Args:
        network: one's own, set to the widths; its graph is used up.
        batch: an example, of which two rows are taken.
        clamps: whether activation functions that a rounding does by its bounds stand before it, too.

    Raises:
        ExportError: if torch or ONNX cannot write one of its operations.
        ArgumentError: if a library is missing.
    """
    needed("onnx_ir", "onnx", "onnxscript", purpose="to write ONNX")
    check_steady(network)
    _mark(network, clamps)
    model = _written(network, tuple(tensor[:2] for tensor in batch))
    for value in list(model.graph.initializers.values()):
        value.name = value.name.removeprefix("network.")
    return model


def _mark(network: QuantizedNetwork, clamps: bool) -> None:
    """Put an operation that torch leaves as it is in the place of each quantizer."""
    graph, names = network.graph, {one.path: name for name, one in network.activations.items()}
    for node in list(graph.graph.nodes):
        module = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, ActivationQuantizer) and module.quantizer is not None:
            x, bounds = node.all_input_nodes[0], (module.floor, module.ceiling)
            with graph.graph.inserting_before(node):
                if clamps and bounds == (0.0, math.inf):
                    x = graph.graph.call_function(torch.relu, (x,))
                elif clamps and bounds != (-math.inf, math.inf):
                    x = graph.graph.call_function(torch.clamp, (x, *bounds))
                arguments = (x, names[module.path])
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


def constant(graph: Any, name: str, array: Any) -> Any:
    """A stored tensor of a graph, new in it."""
    ir = needed("onnx_ir", purpose="to write ONNX")
    tensor = ir.tensor(np.asarray(array), name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def forget_origins(model: Any) -> None:
    """Take away what torch notes of itself and of every operation: where it stood in whose code."""
    graph = model.graph
    model.producer_name, model.producer_version = "nemo_lab", __version__
    model.metadata_props.clear()
    values = [*graph.inputs, *graph.initializers.values(), *(one for node in graph for one in node.outputs)]
    for part in (graph, *graph, *values):
        part.metadata_props.clear()
        part.doc_string = None


def reason(error: BaseException) -> str:
    """The first line of what an error came of in the end."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
