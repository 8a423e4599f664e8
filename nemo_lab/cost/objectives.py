"""The costs of a cost model as objectives: labels, absolute units and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nemo_lab.objective import MEASURED, Objective, Scale

TO_32_BIT = "ratio to 32 bit"
RATIOS = (
    Objective("model_ratio", "model size", unit=TO_32_BIT, best="smallest", exact=True),
    Objective("bitop_ratio", "bit-operations", unit=TO_32_BIT, best="fewest bit-operations", exact=True),
)
ABSOLUTE = (Scale("model_mb", sign="MB", thousandth="kB"), Scale("gbops", sign="GBOPs", thousandth="MBOPs"))
# names that no table may have
TAKEN = (
    *dict.fromkeys(one.name for one in MEASURED.values() if one.share),
    *(one.name for one in RATIOS),
    *(one.name for one in ABSOLUTE),
)


def cost_objectives(
    names: Sequence[str], full_precision: tuple[float, float], bounds: NDArray[np.float64]
) -> tuple[Objective, ...]:
    """What the columns of ``CostModel.evaluate`` are, in their order.

    Args:
        names: of the C costs.
        full_precision: MB and 10^9 bit-operations of the network in full precision.
        bounds: float[2, C], the lowest and the highest of each.
    """
    low, high = bounds.tolist()
    ratios = [
        replace(one, units=(replace(unit, factor=full),))
        for one, unit, full in zip(RATIOS, ABSOLUTE, full_precision, strict=True)
    ]
    tables = [Objective(name, exact=True) for name in names[len(ratios) :]]
    return tuple(
        replace(one, low=best, high=worst)
        for one, best, worst in zip((*ratios, *tables), low, high, strict=True)
    )
