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
        masked = self._scaled_and_masked(scores, scale, query)
        # rows in which a mask leaves nothing: zeros, as in torch's own, where a softmax gives NaN
        softmax = torch._safe_softmax if argument(self.node, 3, "attn_mask") is not None else torch.softmax
        probabilities = self._function(softmax, masked, -1)
        return self._function(torch.matmul, probabilities, value, name="context")

    def _scaled_and_masked(self, scores: fx.Node, scale: Any, query: fx.Node) -> fx.Node:
        """In one pass over the scores, of which there are more than of anything else."""
        mask = self._added(query, scores)
        if mask is None:
            return self._function(torch.mul, scores, scale)
        return self._keep(self.graph.call_function(torch.add, (mask, scores), {"alpha": scale}))

    def _added(self, query: fx.Node, scores: fx.Node) -> fx.Node | None:
        """What is added to the scores: -inf where one place does not see another; None for nothing."""
        mask: Any = argument(self.node, 3, "attn_mask")
        if argument(self.node, 5, "is_causal", False):
            size = (self._method("size", scores, -2), self._method("size", scores, -1))
            return self._method("triu", self._method("new_full", query, size, float("-inf")), 1)
        if mask is None:
            return None
        if is_tensor(mask):
            given: fx.Node = mask
            return given
        return self._function(torch.where, mask, self._method("new_zeros", query, ()), float("-inf"))

    def _function(self, target: Any, *args: Any, name: str | None = None) -> fx.Node:
        return self._keep(self.graph.create_node("call_function", target, args, name=name))

    def _method(self, target: str, *args: Any) -> fx.Node:
        return self._keep(self.graph.call_method(target, args))

    def _keep(self, node: fx.Node) -> fx.Node:
        node.meta["nn_module_stack"] = self.stack
        return node
