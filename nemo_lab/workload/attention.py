"""Scaled-dot-product attention written out, so that each of its two products can be quantized."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from nemo_lab.workload.nodes import argument, function_name, is_function, is_tensor
from nemo_lab.workload.operations import ATTENTION


def write_out_attention(graph: fx.GraphModule) -> bool:
    """Replace every fused attention of a measured graph by matmul, scale, mask, softmax, matmul.

    The products are called ``scores`` (queries and keys) and ``context`` (probabilities and values).

    Returns:
        whether there was any; the graph then has to be measured again.
    """
    found = [n for n in graph.graph.nodes if is_function(n) and function_name(n) == ATTENTION]
    for node in found:
        with graph.graph.inserting_before(node):
            context = _Writer(graph.graph, node).context()
        node.replace_all_uses_with(context)
        graph.graph.erase_node(node)
    if found:
        graph.graph.lint()
        graph.recompile()
    return bool(found)


class _Writer:
    """Writes the operations of one attention in front of it."""

    def __init__(self, graph: fx.Graph, node: fx.Node) -> None:
        self.graph, self.node = graph, node
        self.stack = node.meta.get("nn_module_stack", {})

    def context(self) -> fx.Node:
        """The output of the attention, [..., L, Ev]."""
        query, key, value = (argument(self.node, i, name) for i, name in enumerate(("query", "key", "value")))
        if argument(self.node, 7, "enable_gqa", False):
            groups = query.meta["shape"][-3] // key.meta["shape"][-3]
            key, value = (self._method("repeat_interleave", x, groups, -3) for x in (key, value))
        scale = self.node.kwargs.get("scale", argument(self.node, 6, "scale"))
        if scale is None:
            scale = query.meta["shape"][-1] ** -0.5
        transposed = self._method("transpose", key, -2, -1)
        scores = self._function(torch.matmul, query, transposed, name="scores")
        masked = self._masked(self._function(torch.mul, scores, scale), query, key)
        # rows in which a mask leaves nothing: zeros, as in torch's own, where a softmax gives NaN
        softmax = torch._safe_softmax if argument(self.node, 3, "attn_mask") is not None else torch.softmax
        probabilities = self._function(softmax, masked, -1)
        return self._function(torch.matmul, probabilities, value, name="context")

    def _masked(self, scores: fx.Node, query: fx.Node, key: fx.Node) -> fx.Node:
        mask: Any = argument(self.node, 3, "attn_mask")
        if argument(self.node, 5, "is_causal", False):
            rows, columns = self._method("size", query, -2), self._method("size", key, -2)
            square = self.graph.call_method("new_ones", (scores, (rows, columns)), {"dtype": torch.bool})
            mask = self._method("tril", square)
        elif mask is None:
            return scores
        elif is_tensor(mask):
            return self._function(torch.add, scores, mask)
        return self._function(torch.where, mask, scores, float("-inf"))

    def _function(self, target: Any, *args: Any, name: str | None = None) -> fx.Node:
        return self._keep(self.graph.create_node("call_function", target, args, name=name))

    def _method(self, target: str, *args: Any) -> fx.Node:
        return self._keep(self.graph.call_method(target, args))

    def _keep(self, node: fx.Node) -> fx.Node:
        node.meta["nn_module_stack"] = self.stack
        return node
