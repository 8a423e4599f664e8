"""QONNX: the operation ``Quant``, which rounds a tensor to integers of any width and gives back numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nemo_lab.export.codes import spread
from nemo_lab.export.extra import needed
from nemo_lab.export.grids import Grid
from nemo_lab.export.onnx_tracing import constant

QONNX, QUANT = "qonnx.custom_op.general", "Quant"
DEFINED = f"""
<domain: "{QONNX}", opset_import: ["" : 21]>
{QUANT} <signed: int, narrow: int, rounding_mode: string> (x, scale, zero_point, bits) => (y)
{{
    one = Constant <value_float = 1.0> ()
    two = Constant <value_float = 2.0> ()
    is_signed_ = Constant <value_int: int = @signed> ()
    is_narrow_ = Constant <value_int: int = @narrow> ()
    is_signed = Cast <to = 1> (is_signed_)
    is_narrow = Cast <to = 1> (is_narrow_)
    exponent = Sub (bits, is_signed)
    levels = Pow (two, exponent)
    down = Mul (levels, is_signed)
    less = Mul (is_narrow, is_signed)
    lowest = Sub (less, down)
    above = Sub (levels, one)
    left_out = Sub (is_narrow, less)
    highest = Sub (above, left_out)
    divided = Div (x, scale)
    moved = Add (divided, zero_point)
    raised = Max (moved, lowest)
    clipped = Min (raised, highest)
    rounded = Round (clipped)
    back = Sub (rounded, zero_point)
    y = Mul (back, scale)
}}
"""  # what the operation is, in those of ONNX


def add_quant(model: Any, grids: Mapping[str, Grid]) -> None:
    """Round tensors of a model, an ``onnx_ir.Model``, each by a ``Quant``: everyone reads what it gives.

    What it gives is called like the quantizer, a weight like its path; the tensor is called so no longer.

    Args:
        model: changed in place.
        grids: of every tensor to be rounded, by its name.
    """
    ir = needed("onnx_ir", purpose="to write ONNX")
    graph = model.graph
    named = {value.name: value for value in (*graph.inputs, *graph.initializers.values())}
    named |= {value.name: value for node in graph for value in node.outputs}
    for tensor, grid in grids.items():
        value, result = named[tensor], grid.name if grid.kind == "activation" else tensor
        signed, narrow = grid.signed, grid.signed and grid.symmetric
        shape = tuple(value.shape) if value.is_initializer() else ()
        scales, zeros = (
            np.ascontiguousarray(spread(part, shape))
            for part in (grid.scales, np.zeros_like(grid.lows) if signed else -grid.lows)
        )
        parts = {"scale": scales, "zero_point": zeros, "bits": np.float32(grid.bits)}
        inputs = [constant(graph, f"{result}_{name}", part) for name, part in parts.items()]
        attributes = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": "ROUND"}
        node = ir.node(QUANT, [value, *inputs], attributes, domain=QONNX)
        given = node.outputs[0]
        given.shape, given.type = value.shape, value.type
        if not value.is_graph_input():
            value.name = f"{tensor}_float"
        given.name = result
        ir.convenience.replace_all_uses_with(value, given, replace_graph_outputs=True)
        node.replace_input_with(0, value)
        producer = value.producer()
        if producer is None:
            graph.insert_before(graph[0], [node])
        else:
            graph.insert_after(producer, [node])
    model.opset_imports[QONNX] = 1


def save_defined(model: Any, path: Path) -> None:
    """Write a model, an ``onnx_ir.Model``, and in it what ``Quant`` does, so that any runtime runs it."""
    ir, onnx = needed("onnx_ir", "onnx", purpose="to write ONNX")
    proto = ir.to_proto(model)
    proto.functions.append(onnx.parser.parse_function(DEFINED))
    path.parent.mkdir(exist_ok=True)
    onnx.save(proto, path)
