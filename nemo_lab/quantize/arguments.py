"""Domains of what a problem is told, and what it takes where it is told nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from nemo_lab.arguments import COUNT, Choice, Domain, Instance, Number, OrNone, Several, Whole
from nemo_lab.cost import CostModel
from nemo_lab.cost.model import BitOps, Storage
from nemo_lab.errors import ArgumentError, DataError
from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.memory import default_batch
from nemo_lab.quantize.metrics import Metric
from nemo_lab.workload.records import FULL_PRECISION
from nemo_lab.workload.workload import Workload

MANY_MACS = 2 * 10**7  # from here on an example keeps more than one thread busy

WIDTH = Whole(2, 16)
WIDTHS = Several(
    WIDTH,
    least=1,
    ascending=True,
    distinct=True,
    words="ascending whole numbers, each 2 to 16, such as (4, 8), or a mapping of such by names, such as "
    "{'weight': (2, 4, 8), 'activation': (8, 16)}",
)
ANY_WIDTH = (*range(2, 17), FULL_PRECISION)  # of a node, and what leaves it as it is
THREADS = OrNone(Whole(1, 1024))
MEGABYTES = Number(0, 1e12, words="a number of megabytes, 0 to keep nothing")


@dataclass(frozen=True)
class Device(Domain[torch.device]):
    """What torch can compute on here; None is the GPU, if torch sees one."""

    words: str = field(default="'cpu', or 'cuda' with a GPU", kw_only=True)

    def clean(self, value: Any) -> torch.device:
        """A device that has been tried."""
        usual = "cuda" if torch.cuda.is_available() else "cpu"
        found = torch.device(usual if value is None else value)
        torch.zeros(1, device=found).cpu()
        return found


def checked_workload(workload: Any) -> Workload:
    """A workload whose accuracy means something.

    Raises:
        ArgumentError: on anything else than a workload.
        DataError: if its weights are random.
    """
    found = Instance(Workload).check("workload", workload)
    if not found.trained:
        raise DataError(
            f"the weights of {found.name!r} are random: their accuracy means nothing",
            "load trained weights into workload.module and trace it by Workload.from_module; "
            "CostModel(workload) gives exact costs either way",
        )
    return found


def widths_of(workload: Workload, given: Any) -> tuple[tuple[int, ...], NDArray[np.bool_] | None]:
    """The widths to choose from, and which of them each node may take, bool[Q, W]; None if all.

    Args:
        workload: whose nodes are named.
        given: widths for all, or a mapping from names, see ``nemo_lab.workload.names``, to widths or to one
            width; of several names for a node the last counts.

    Raises:
        UnknownNameError, ArgumentError: if a name or a width cannot be used, or a node has none.
    """
    if not isinstance(given, Mapping):
        return WIDTHS.check("bit_widths", given), None
    own: dict[int, tuple[int, ...]] = {}
    for name, widths in given.items():
        several = (widths,) if isinstance(widths, int | np.integer) else widths
        checked = WIDTHS.check(f"bit_widths[{name!r}]", several)
        own.update(dict.fromkeys(workload.resolver.find(name, "bit_widths").nodes, checked))
    missing = [name for node, name in enumerate(workload.names) if node not in own]
    if missing:
        raise ArgumentError(
            f"bit_widths leave out {missing[0]!r} ({len(missing)} of {len(workload.nodes)} nodes)",
            "name 'weight' and 'activation' first, then what differs",
        )
    every = tuple(sorted({width for widths in own.values() for width in widths}))
    allowed = np.array([np.isin(every, own[node]) for node in range(len(own))])
    return every, None if allowed.all() else allowed


def cost_model_of(
    workload: Workload, bitops: Any, storage: Any, given: Any, config: QuantizationConfig
) -> CostModel:
    """The cost model that was given; on None one that counts bit-operations and model size so.

    Raises:
        ArgumentError: if it is of another workload, or counts another payload than the config gives.
    """
    Choice(get_args(BitOps)).check("bitops", bitops)
    Choice(get_args(Storage)).check("storage", storage)
    model, own = OrNone(Instance(CostModel)).check("cost_model", given), payload_of(config)
    if model is None:
        return CostModel(workload, bitops, storage=storage, **(own if storage == "payload" else {}))
    if model.workload is not workload:
        raise ArgumentError("the cost model is of another workload", "give CostModel(workload)")
    if storage == "payload" and model.storage != storage:
        raise ArgumentError(
            "storage='payload' beside a cost_model that counts weights", "give it to the CostModel"
        )
    counted = {"scales": model.scales, "fold": model.fold, "equalize": model.equalize}
    if model.storage == "payload" and counted != own:
        raise ArgumentError(
            f"the cost_model counts a payload with {_said(counted)}, the problem has one with {_said(own)}",
            f"give CostModel(workload, storage='payload', {_said(own)})",
        )
    return model


def payload_of(config: QuantizationConfig) -> dict[str, Any]:
    """What a ``CostModel`` has to be told of a config to count its payload."""
    scales = "per_channel" if config.per_channel else "per_tensor"
    return {"scales": scales, "fold": config.fold, "equalize": config.equalize}


def _said(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def metric_of(workload: Workload, given: Any) -> Any:
    """What was given as a metric; on None that of the data that came with the workload, else top1."""
    if given is not None:
        return given
    return "top1" if workload.data is None else workload.data.metric


def objective_names(metrics: Sequence[Metric], cost_names: Sequence[str]) -> tuple[str, ...]:
    """The objectives of metrics, then the costs.

    Raises:
        ArgumentError: if a metric has the name of a cost.
    """
    for metric in metrics:
        if metric.objective.name in cost_names:
            raise ArgumentError(f"metric {metric.name!r} has the name of a cost", "rename the function")
    return (*(metric.objective.name for metric in metrics), *cost_names)


def batch_size_of(workload: Workload, given: Any) -> int:
    """Examples per forward pass; chosen by the size of the activations on None."""
    chosen = OrNone(COUNT).check("batch_size", given)
    return default_batch(workload) if chosen is None else chosen


def threads_of(workload: Workload, given: Any) -> int:
    """Threads of a forward pass; on None one for a small network, which is slower on more, else all cores.

    Nothing is timed: a choice that depended on the machine's load would make results depend on it, too, in
    the last digit.
    """
    usual = 1 if workload.macs < MANY_MACS else os.cpu_count() or 1
    return THREADS.check("threads", given) or usual
