"""Whether the network that is quantized is the network that was given, before anything is rounded."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, fx

from nemo_lab.errors import DataError, TraceError
from nemo_lab.exclusion import tracing
from nemo_lab.quantize.network import Batch, QuantizedNetwork
from nemo_lab.quantize.precision import compute_in, narrowest
from nemo_lab.workload.agreement import disagreement
from nemo_lab.workload.shapes_and_macs import evaluating, outputs_of, plain_attention, run
from nemo_lab.workload.workload import Workload


def check_same(network: QuantizedNetwork, batch: Batch) -> None:
    """Hold a network in full precision against the module that it was traced from.

    Tracing may have decided by the example what depends on the data; folding may have changed numbers. What
    differs in single precision, by rounding perhaps, is compared in double precision.

    Raises:
        DataError: if the module does not run on the batch.
        TraceError: if they do not give the same; it names what may be changed.
    """
    workload, config = network.workload, network.config
    network.set_bits(None)
    given = _as_given(workload, batch)
    try:
        found = network(network.prepare(batch))
    except Exception as error:
        raise _does_not_run(f"{workload.name}, as it was traced,", batch, error) from error
    if disagreement(found, given, narrowest(workload.graph)) is None:
        return
    wanted = _in_double(workload, batch, given)
    differs = disagreement(_run(network.graph, workload, batch), wanted)
    if differs is None:
        return
    if config.equalize:
        plain = QuantizedNetwork(workload, dataclasses.replace(config, equalize=False))
        if disagreement(_run(plain.graph, workload, batch), wanted) is None:
            raise TraceError(f"equalizing layers changes {workload.name}: {differs}", "pass equalize=False")
        network, config = plain, plain.config
    if config.fold:
        unfolded = QuantizedNetwork(workload, dataclasses.replace(config, fold=False))
        if disagreement(_run(unfolded.graph, workload, batch), wanted) is None:
            where = _first_that_differs(network, unfolded, batch)
            raise TraceError(
                f"folding batch norms changes {workload.name}: {differs}{where}",
                "pass fold=False, or check the running variances of its batch norms",
            )
    raise _other_outputs(workload, differs)


def _other_outputs(workload: Workload, differs: str) -> TraceError:
    return TraceError(
        f"{workload.name}, as it was traced, gives other outputs than the module itself: {differs}",
        "see that no branch of its forward depends on the data, that its weights are those it was traced "
        "with, and that nobody changes it meanwhile; then trace it again on a batch of the calibration set",
    )


def _as_given(workload: Workload, batch: Batch) -> Any:
    """What the module itself gives for a batch."""
    try:
        with tracing(), evaluating(workload.module), plain_attention(workload.module):
            return outputs_of(workload.module, *_own(workload, batch))
    except Exception as error:
        raise _does_not_run(workload.name, batch, error) from error


def _in_double(workload: Workload, batch: Batch, given: Any) -> Any:
    """What the module gives in double precision.

    Where its code names other types, its trace gives that, which gives what the module does in their own.
    """
    if narrowest(workload.graph) is None:
        with suppress(Exception), tracing(), evaluating(workload.module):  # it may mix types
            module = copy.deepcopy(workload.module).double()
            with plain_attention(module):
                return outputs_of(module, *workload.inputs.call(_double(batch), torch.float64))
    with evaluating(workload.module):  # with which the graph shares its parts
        differs = disagreement(_outputs(workload.graph, *_own(workload, batch)), given)
        if differs is not None:
            raise _other_outputs(workload, differs)
        return _run(workload.graph, workload, batch)


def _does_not_run(what: str, batch: Batch, error: Exception) -> DataError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return DataError(
        f"{what} does not run on a batch of {len(batch[0])} of the calibration set: {lines[0]}",
        "give examples as in training, or trace it on a batch of that size",
    )


def _own(workload: Workload, batch: Batch) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A batch as the module takes it: where it is, and in the types of its example."""
    module = workload.module
    device = next(itertools.chain(module.parameters(), module.buffers()), batch[0]).device
    leaves = workload.inputs.leaves
    return workload.inputs.call([x.to(device, leaf.dtype) for x, leaf in zip(batch, leaves, strict=True)])


def _double(batch: Batch) -> Batch:
    return tuple(tensor.double() if tensor.is_floating_point() else tensor for tensor in batch)


def _run(graph: fx.GraphModule, workload: Workload, batch: Batch) -> Any:
    """What a graph gives in double precision."""
    wide = compute_in(copy.deepcopy(graph), torch.float64).cpu()
    return _outputs(wide, *workload.inputs.call(_double(batch), torch.float64))


def _outputs(graph: fx.GraphModule, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a graph gives for copies of an input, of another size than the example's, too."""
    return graph.graph.process_outputs(run(fx.Interpreter(graph), args, kwargs))


def _first_that_differs(network: QuantizedNetwork, unfolded: QuantizedNetwork, batch: Batch) -> str:
    """The first batch norm behind which folding shows."""
    graphs = (copy.deepcopy(one.graph) for one in (unfolded, network))
    before, after = (_Noted(compute_in(graph, torch.float64).cpu()) for graph in graphs)
    args = network.workload.inputs.call(_double(batch), torch.float64)
    for noted in (before, after):
        run(noted, *args)
    for norm, conv in network.folded.items():
        if norm in before.seen and disagreement(after.seen.get(conv), before.seen[norm]) is not None:
            path = next(str(n.target) for n in unfolded.graph.graph.nodes if n.name == norm)
            return f", first behind {path}"
    return ""


class _Noted(fx.Interpreter):
    """Keeps what every module gave."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.seen: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        """One node."""
        result = super().run_node(n)
        if n.op == "call_module":
            self.seen[n.name] = result.clone() if isinstance(result, Tensor) else result
        return result
