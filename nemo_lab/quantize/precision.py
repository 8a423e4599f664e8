"""The floating type that a network computes in, where its code names one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_aggregate

from nemo_lab.workload.nodes import function_name, is_function
from nemo_lab.workload.regions import HALVES, LESS_PRECISE

FLOATING = (*HALVES, torch.float32, torch.float64)
METHODS = ("half", "bfloat16", "float", "double")  # of a tensor
TEXTS = tuple(f"torch.{name}Tensor" for name in ("Half", "BFloat16", "Float", "Double"))  # for Tensor.type


def compute_in(graph: fx.GraphModule, dtype: torch.dtype) -> fx.GraphModule:
    """Have a graph compute in one floating type: its parameters, its buffers, and the casts in its code.

    Args:
        graph: changed in place.
        dtype: float32, or float64.

    Returns:
        the graph.
    """

    def changed(value: Any) -> Any:
        return dtype if value in FLOATING else value

    for node in list(graph.graph.nodes):
        if is_function(node) and function_name(node) == "_assert_tensor_metadata":  # of the types there were
            graph.graph.erase_node(node)
            continue
        node.args, node.kwargs = map_aggregate((node.args, node.kwargs), changed)
        if node.op == "call_method" and (node.target in METHODS or set(node.args[1:]) & set(TEXTS)):
            node.target, node.args = "to", (node.args[0], dtype)
    graph.graph.lint()
    graph.recompile()
    complex_type = torch.complex128 if dtype == torch.float64 else torch.complex64

    def converted(tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            return tensor.to(complex_type)
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    graph._apply(converted)
    return graph


def narrowest(graph: fx.GraphModule) -> torch.dtype | None:
    """The half type of least precision that a traced network computes in; None if it does in none."""
    found = {graph.meta.get(LESS_PRECISE), *(node.meta.get("dtype") for node in graph.graph.nodes)}
    return next((one for one in reversed(HALVES) if one in found), None)
