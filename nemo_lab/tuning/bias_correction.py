"""Biases that take back what rounding adds to the mean of each channel (Nagel et al., arXiv 1906.04721)."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from nemo_lab._torch import torch_threads
from nemo_lab.arguments import COUNT
from nemo_lab.errors import ArgumentError
from nemo_lab.exclusion import computing
from nemo_lab.interruption import check_interrupted
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.quantize.biases import biased_layers
from nemo_lab.quantize.data import Examples
from nemo_lab.quantize.folding import stored
from nemo_lab.quantize.network import Batch, QuantizedNetwork
from nemo_lab.tuning.fine_tuning import one_row, training_examples
from nemo_lab.tuning.tuned import PROBLEM, TunedNetwork
from nemo_lab.workload.arranged import readers_of
from nemo_lab.workload.nodes import function_name

EXAMPLES = 256
See = Callable[[fx.Node, Sequence[Tensor]], None]


def correct_bias(
    problem: QuantizationProblem, bits: Any, data: Any = None, *, examples: int = EXAMPLES
) -> TunedNetwork:
    """A configuration with corrected biases: some seconds, no labels, no training.

    Rounding shifts the mean of a layer's outputs, channel by channel. Layer after layer, with all before it
    corrected already, each bias takes back the shift that is measured on examples.

    Args:
        problem: a ``QuantizationProblem``; it is not touched.
        bits: integers[Q], one width for all nodes, or name -> width as from ``study.config``.
        data: inputs; what the problem was calibrated with by default.
        examples: the first so many of them are looked at.

    Raises:
        ArgumentError: if no layer has a bias of its own, or on an argument that cannot be used.
        BitWidthError, UnknownNameError: if the bits do not fit.
        DataError: on data that do not fit.
    """
    problem = PROBLEM.check("problem", problem)
    row, count = one_row(problem, bits), COUNT.check("examples", examples)
    given = training_examples(problem, data, labelled=False)
    with computing(), torch_threads(problem.threads), torch.no_grad():
        network = problem.network()
        layers = _biased(network)
        if not layers:
            raise ArgumentError(
                f"no layer of {network.workload.name} has a bias of its own to correct",
                "use finetune instead",
            )
        batches = [
            network.prepare(part.inputs)
            for part in Examples(tuple(tensor[:count] for tensor in given.inputs), None).batches(
                problem.batch_size
            )
        ]
        wanted: dict[fx.Node, Tensor] = {}

        def note(node: fx.Node, values: Sequence[Tensor]) -> None:
            wanted[node] = _means(values, _channels(node, network.graph))

        def correct(node: fx.Node, values: Sequence[Tensor]) -> None:
            _lower(network, layers[node], _means(values, _channels(node, network.graph)) - wanted[node])

        for widths, see in ((None, note), (row, correct)):
            network.set_bits(widths)
            _through(network, batches, layers, see)
        quantizers = {
            one.name: network.quantizers(one, int(row[node.index]))
            for node in network.workload.nodes
            for one in node.quantizers
        }
        network.set_bits(None)
        tensors = {path: stored(network.graph, path).detach().cpu().clone() for path in layers.values()}
    return TunedNetwork(problem, row, "with corrected biases", 0, tensors, quantizers)


def _biased(network: QuantizedNetwork) -> dict[fx.Node, str]:
    """Layers with a bias that nobody else reads -> its path."""
    graph = network.graph
    readers = readers_of(graph)
    found = {node: path for node in graph.graph.nodes for _, _, path, _ in biased_layers(graph, node)}
    plain = {node: path for node, path in found.items() if stored(graph, path).ndim == 1}
    return {node: path for node, path in plain.items() if readers[id(stored(graph, path))] == 1}


def _through(
    network: QuantizedNetwork, batches: Sequence[Batch], layers: Container[fx.Node], see: See
) -> None:
    """All batches through the network together, node by node; what ``see`` changes at a layer counts."""
    runs = [fx.Interpreter(network.graph) for _ in batches]
    for run, batch in zip(runs, batches, strict=True):
        run.args_iter = iter(network.entering(batch))
    with network.as_at_first(0):
        for node in network.graph.graph.nodes:
            if node.op == "output":
                break
            check_interrupted()
            values = [run.run_node(node) for run in runs]
            if node in layers:
                see(node, values)
                values = [run.run_node(node) for run in runs]
            for run, value in zip(runs, values, strict=True):
                run.env[node] = value
                for read in run.user_to_last_uses.get(node, ()):
                    del run.env[read]


def _means(values: Sequence[Tensor], axis: int) -> Tensor:
    """Of each channel, float64[C]."""
    rows = [value.movedim(axis, -1).flatten(0, -2).double() for value in values]
    return torch.stack([one.sum(0) for one in rows]).sum(0) / sum(map(len, rows))


def _lower(network: QuantizedNetwork, path: str, shift: Tensor) -> None:
    """Subtract from a bias, whether it is rounded or not."""
    rounded = next((one for one in network.biases.found if one.path == path), None)
    full = stored(network.graph, path).data if rounded is None else rounded.full
    if full.shape != shift.shape:
        return  # one number for all channels
    full.sub_(shift.float())
    network.biases.forget()
    network.biases.update(network.widths, network.ranges, network.weights)


def _channels(node: fx.Node, graph: fx.GraphModule) -> int:
    """The axis of the channels in what a layer gives."""
    if node.op == "call_module":
        return -1 if isinstance(graph.get_submodule(str(node.target)), nn.Linear) else 1
    return 1 if function_name(node).startswith("conv") else -1
