"""The costs of a cost model as objectives: labels, absolute units and bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from nemo_lab.objective import MEASURED, Objective, Scale

if TYPE_CHECKING:
    from nemo_lab.cost.model import CostModel

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


def cost_objectives(model: CostModel, widths: Iterable[int]) -> tuple[Objective, ...]:
    """What the columns of ``model.evaluate`` are, in their order, with what can be reached by the widths.

    Raises:
        BitWidthError: as ``CostModel.bounds``.
    """
    low, high = model.bounds(widths).tolist()
    ratios = [
        replace(one, units=(replace(unit, factor=full),))
        for one, unit, full in zip(RATIOS, ABSOLUTE, model.full_precision, strict=True)
    ]
    tables = [Objective(name, exact=True) for name in model.cost_names[len(ratios) :]]
    return tuple(
        replace(one, low=best, high=worst)
        for one, best, worst in zip((*ratios, *tables), low, high, strict=True)
    )
