"""Whether numbers are others because they lay on the border of two integers, or because of anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from nemo_lab.errors import VerificationError
from nemo_lab.export.comparing import FLIPPED, Floats, Run, Runtime
from nemo_lab.quantize.evaluation import Task
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.workload.records import FULL_PRECISION

NEAR = 1e-3  # steps from where rounding goes the other way ...
RESOLVED = 2.0**-23  # ... or this share of all integers of a width, of which float32 knows no finer parts


def check_rounding(
    opened: Callable[..., Runtime], path: Path, network: QuantizedNetwork, task: Task, run: Run
) -> None:
    """Whether the first numbers that are different lay on the border of two integers.

    Raises:
        VerificationError: if they did not, or too many predictions are others.
    """
    names = list(network.activations)
    where = "by default settings" if run.optimized else "with optimisations off"
    session = opened(path, also=names)
    for number, (inputs, _, _) in enumerate(task.batches):
        found = dict(zip(names, session.run(inputs)[-len(names) :], strict=True))
        for name, before, after in _rounded(network, inputs, number):
            bits = network.widths[name] or FULL_PRECISION
            scale, near = network.ranges[name].quantizer(bits).scale, max(NEAR, 2**bits * RESOLVED)
            apart = np.abs(after - found[name].reshape(after.shape)) > scale / 2
            if not apart.any():
                continue
            steps = before[apart] / scale
            border = np.abs(np.abs(steps - np.floor(steps)) - 0.5)
            if border.max() > near or run.agreement < 1 - FLIPPED:
                raise VerificationError(
                    f"{path.name} does not compute what was searched, in {run.runtime} {where}: "
                    f"{int(apart.sum())} numbers of {name} are others, up to {border.max():.3f} steps from "
                    f"where they are rounded; {100 * run.agreement:.2f} % of predictions agree",
                    "write it with another version of the runtime, or keep to quantized_module",
                )
            return  # what comes behind is different because of this
    raise VerificationError(
        f"{path.name} does not compute what was searched, in {run.runtime} {where}: outputs differ by "
        f"{run.difference:.1e} of their range, behind the last number that is rounded",
        "write it with another version of the runtime, or keep to quantized_module",
    )


def _rounded(
    network: QuantizedNetwork, inputs: tuple[Tensor, ...], number: int
) -> Iterator[tuple[str, Floats, Floats]]:
    """Every activation in the order of the network, before and after it is rounded."""
    seen: list[tuple[str, Floats, Floats]] = []
    handles = []
    for name, module in network.activations.items():

        def see(_: Any, args: Any, result: Tensor, name: str = name) -> None:
            seen[-1] = (name, seen[-1][1], result.detach().cpu().numpy().copy())

        def keep(_: Any, args: Any, name: str = name) -> None:
            seen.append((name, args[0].detach().cpu().numpy().copy(), np.empty(0, dtype=np.float32)))

        handles += [module.register_forward_pre_hook(keep), module.register_forward_hook(see)]
    try:
        network(inputs, number)
    finally:
        for handle in handles:
            handle.remove()
    yield from seen
