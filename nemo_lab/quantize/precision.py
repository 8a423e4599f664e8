"""The floating type that a network computes in, where its code names one."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from nemo_lab.workload.operations import function_name, is_function
from nemo_lab.workload.regions import HALVES, LESS_PRECISE

METHODS = {"half": torch.float16, "bfloat16": torch.bfloat16, "float": torch.float32}  # of a tensor
NAMES = {torch.float32: "float", torch.float64: "double"}


def compute_in(graph: fx.GraphModule, dtype: torch.dtype) -> fx.GraphModule:
    """Have a graph compute in one floating type, its parameters, its buffers, and the casts in its code.

    Args:
        graph: changed in place.
        dtype: float32, or float64. Casts to narrower types become casts to it.

    Returns:
        the graph.
    """
    narrow = {one for one in (*HALVES, torch.float32) if one.itemsize < dtype.itemsize}

    def wide(value: Any) -> Any:
        return dtype if value in narrow else value

    for node in list(graph.graph.nodes):
        if is_function(node) and function_name(node) == "_assert_tensor_metadata":  # of the types there were
            graph.graph.erase_node(node)
            continue
        node.args = _mapped(node.args, wide)
        node.kwargs = _mapped(node.kwargs, wide)
        if node.op == "call_method" and METHODS.get(str(node.target)) in narrow:
            node.target = NAMES[dtype]
    graph.graph.lint()
    graph.recompile()
    return graph.to(dtype)


def narrowest(graph: fx.GraphModule) -> torch.dtype | None:
    """The half type of least precision that a traced network computes in; None if it does in none."""
    found = {graph.meta.get(LESS_PRECISE), *(node.meta.get("dtype") for node in graph.graph.nodes)}
    return next((one for one in reversed(HALVES) if one in found), None)


def _mapped(value: Any, change: Any) -> Any:
    """``value`` with every number, type and text in it changed."""
    if isinstance(value, dict):
        return {key: _mapped(one, change) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_mapped(one, change) for one in value)
    return change(value) if isinstance(value, torch.dtype) else value
