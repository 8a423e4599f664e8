"""A network as an ONNX graph in floating point, in which every tensor that is a decision has a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nemo_lab.errors import ExportError
from nemo_lab.export.extra import needed
from nemo_lab.export.grids import Grid
from nemo_lab.export.onnx_tracing import DOMAIN, constant, forget_origins, traced
from nemo_lab.quantize.folding import paths_of, stored
from nemo_lab.quantize.network import QuantizedNetwork

Arrays = Mapping[str, NDArray[np.float32]]


def named_model(
    network: QuantizedNetwork,
    grids: Mapping[str, Grid],
    weights: Arrays,
    batch: tuple[Tensor, ...],
    *,
    clips: bool = False,
) -> tuple[Any, dict[str, Grid]]:
    """The model, an ``onnx_ir.Model`` that rounds nothing, and the grid of each tensor in it by its name.

    A weight is called by its path, as often as it has one; an activation like its quantizer, but for inputs
    of the network, which keep their names. An ``Identity`` stands where others read what is not rounded, too.

    Args:
        network: one's own, set to the widths, which its biases have; its graph is used up.
        grids: of every quantizer, by name.
        weights: what is written of every weight, by the name of its quantizer.
        batch: an example.
        clips: whether what is rounded symmetrically is cut at its lowest number before.

    Raises:
        ExportError: if torch or ONNX cannot write one of its operations.
        ArgumentError: if a library is missing.
    """
    ir = needed("onnx_ir", purpose="to write ONNX")
    paths: dict[str, str] = {}
    for one in (one for node in network.workload.nodes for one in node.quantizers if one.kind == "weight"):
        paths |= dict.fromkeys(paths_of(network.graph, one.source), one.name)
        stored(network.graph, one.source).data = torch.from_numpy(weights[one.name])
    model = traced(network, batch, clamps=True)
    found = {path: grids[name] for path, name in paths.items() if path in model.graph.initializers}
    for node in [one for one in model.graph if one.domain == DOMAIN]:
        grid, x = grids[node.attributes["name"].as_string()], node.inputs[0]
        alone = len(x.uses()) == 1 and not (x.is_graph_output() or x.is_initializer())
        step = None
        if clips and grid.narrow:
            step = ir.node("Clip", [x, constant(model.graph, f"{grid.name}_low", grid.lows * grid.scales)])
        elif not alone or x.name in found:
            step = ir.node("Identity", [x])
        if step is not None:
            step.outputs[0].shape, step.outputs[0].type = x.shape, x.type
            model.graph.insert_before(node, [step])
            x = step.outputs[0]
        if not x.is_graph_input():
            x.name = grid.name
        found[x.name] = grid
        ir.convenience.replace_all_uses_with(node.outputs[0], x, replace_graph_outputs=True)
        model.graph.remove(node, safe=True)
    model.opset_imports.pop(DOMAIN, None)
    forget_origins(model)
    missing = grids.keys() - {grid.name for grid in found.values()}
    if missing:
        raise ExportError(f"the ONNX graph has no tensor {min(missing)}", "use quantized_module instead")
    return model, found
