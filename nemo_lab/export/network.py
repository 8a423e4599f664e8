"""A configuration as a network of its own: plain torch.fx, nothing of nemo_lab left in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import fx

from nemo_lab.errors import ArgumentError, BitWidthError
from nemo_lab.problem import Problem
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.quantize.activation_quantizer import ActivationQuantizer
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.study.parsing.nodes import Selection
from nemo_lab.tuning import TunedNetwork


def quantized_module(problem: Any, bits: Any) -> fx.GraphModule:
    """The network of a problem at fixed bit-widths, by fake quantization in float32.

    Batch norms are folded, weights hold their quantized values, and every activation quantizer is
    written out as ``div, round, clamp, mul`` with the problem's calibrated range, so the module runs,
    saves and exports without nemo_lab, and predicts exactly what ``problem.evaluate`` measured.

    Args:
        problem: a ``QuantizationProblem``, or a ``TunedNetwork``; it is not touched, and shares no weights
            with the result.
        bits: integers[Q], one width for all nodes, or name -> width as from ``study.config``; of a
            ``TunedNetwork`` its own, or None.

    Returns:
        a module in evaluation mode; ``meta["bits"]`` maps each node's name to its width.

    Raises:
        ArgumentError: if the problem is neither.
        BitWidthError, UnknownNameError: if the bits do not fit.
    """
    return written_out(*configured(problem, bits))


def written_out(network: QuantizedNetwork, widths: dict[str, int]) -> fx.GraphModule:
    """The graph of a network that is set to widths, without anything of ours; the network is used up."""
    graph = network.graph
    for node in list(graph.graph.nodes):
        if node.op != "call_module":
            continue
        module = graph.get_submodule(str(node.target))
        if isinstance(module, ActivationQuantizer):
            _write_out(graph, node, module)
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
    graph.meta["bits"] = widths
    return graph


def configured(problem: Any, bits: Any) -> tuple[QuantizedNetwork, dict[str, int]]:
    """A network of one's own at fixed widths, and the width of each node; raises as ``quantized_module``."""
    tuned = problem if isinstance(problem, TunedNetwork) else None
    if tuned is not None:
        problem, bits = tuned.problem, tuned.bits if bits is None else bits
    if not isinstance(problem, QuantizationProblem):
        name = problem.title if isinstance(problem, Problem) else f"a {type(problem).__name__}"
        raise ArgumentError(
            f"{name} has no network to export", "give a QuantizationProblem, or what finetune returns"
        )
    rows = Selection(problem).bits(bits)
    if len(rows) != 1:
        raise BitWidthError(f"got {len(rows)} configurations", "export them one by one")
    if tuned is not None and not np.array_equal(rows[0], tuned.bits):
        raise BitWidthError("the network was tuned at other bits than these", "give tuned.bits, or None")
    network = problem.network() if tuned is None else tuned.network()
    network.set_bits(rows[0])
    return network, dict(zip(problem.node_names, rows[0].tolist(), strict=True))


def _write_out(graph: fx.GraphModule, node: fx.Node, module: ActivationQuantizer) -> None:
    """Replace the call of a quantizer by the operations it does, in the same order."""
    if module.quantizer is None:
        raise RuntimeError(f"activation quantizer {node.target} has no width")
    scale, low, high = module.quantizer
    value = node.all_input_nodes[0]
    with graph.graph.inserting_before(node):
        for method, arguments in (
            ("div", (scale,)),
            ("round", ()),
            ("clamp", (low, high)),
            ("mul", (scale,)),
        ):
            value = graph.graph.call_method(method, (value, *arguments))
    node.replace_all_uses_with(value)
    graph.graph.erase_node(node)
