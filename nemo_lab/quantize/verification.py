"""Whether the network that is quantized is the network that was given, before anything is rounded."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from typing import Any

import torch
from torch import Tensor, fx

from nemo_lab.errors import DataError, TraceError
from nemo_lab.exclusion import tracing
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.workload.agreement import disagreement
from nemo_lab.workload.regions import LESS_PRECISE
from nemo_lab.workload.shapes_and_macs import evaluating, outputs_of
from nemo_lab.workload.workload import Workload


def check_same(network: QuantizedNetwork, batch: Tensor) -> None:
    """Hold a network in full precision against the module that it was traced from.

    Tracing may have decided by the example what depends on the data; folding may have changed numbers. What
    differs in single precision, by rounding perhaps, is compared in double precision.

    Raises:
        DataError: if the module does not run on the batch.
        TraceError: if they do not give the same; it names what may be changed.
    """
    network.set_bits(None)
    given = _as_given(network.workload, batch)
    try:
        found = network(network.prepare(batch))
    except Exception as error:
        raise _does_not_run(f"{network.workload.name}, as it was traced,", batch, error) from error
    if disagreement(found, given, network.workload.graph.meta.get(LESS_PRECISE)) is None:
        return
    wanted = _as_given(network.workload, batch, wide=True)
    differs = disagreement(_run(network, batch), wanted)
    if differs is None:
        return
    name, config = network.workload.name, network.config
    if config.fold:
        unfolded = QuantizedNetwork(network.workload, dataclasses.replace(config, fold=False))
        if disagreement(_run(unfolded, batch), wanted) is None:
            where = _first_that_differs(network, unfolded, batch)
            raise TraceError(
                f"folding batch norms changes {name}: {differs}{where}",
                "pass fold=False, or check the running variances of its batch norms",
            )
    raise TraceError(
        f"{name}, as it was traced, gives other outputs than the module itself: {differs}",
        "see that no branch of its forward depends on the data, that its weights are those it was traced "
        "with, and that nobody changes it meanwhile; then trace it again on a batch of the calibration set",
    )


def _as_given(workload: Workload, batch: Tensor, *, wide: bool = False) -> Any:
    """What the module itself gives for a batch."""
    (entry,) = (n for n in workload.graph.graph.nodes if n.op == "placeholder" and "dtype" in n.meta)
    module = copy.deepcopy(workload.module).double() if wide else workload.module
    kind = torch.float64 if wide and batch.is_floating_point() else entry.meta["dtype"]
    first = next(itertools.chain(module.parameters(), module.buffers()), batch)
    try:
        with tracing(), evaluating(module):
            return outputs_of(module, (batch.to(first.device, kind),))
    except Exception as error:
        raise _does_not_run(workload.name, batch, error) from error


def _does_not_run(what: str, batch: Tensor, error: Exception) -> DataError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return DataError(
        f"{what} does not run on a batch of {len(batch)} of the calibration set: {lines[0]}",
        "give examples as in training, or trace it on a batch of that size",
    )


def _run(network: QuantizedNetwork, batch: Tensor) -> Any:
    """The same of a network in double precision."""
    graph = copy.deepcopy(network.graph).double()
    batch = network.prepare(batch)
    return outputs_of(graph, (batch.double() if batch.is_floating_point() else batch,))


def _first_that_differs(network: QuantizedNetwork, unfolded: QuantizedNetwork, batch: Tensor) -> str:
    """The first batch norm behind which folding shows."""
    before, after = (_Noted(copy.deepcopy(one.graph).double()) for one in (unfolded, network))
    with torch.no_grad():
        for noted in (before, after):
            noted.run(batch.to(network.device).double() if batch.is_floating_point() else batch)
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
