"""Several studies of one problem side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from nemo_lab.arguments import Instance, Number, Several, Text, Whole
from nemo_lab.errors import ArgumentError
from nemo_lab.search.problem import bounds_of
from nemo_lab.study.study import Study

AT = (100, 250, 500, 1000)
NAMES = Several(Text(), words="a text for each study")
COUNTS = Several(Whole(1), words="numbers of evaluations, such as (100, 500)")
VOLUMES = Several(Number(0), words="hypervolumes, such as (0.7, 0.8)")


def compare(
    studies: Sequence[Study],
    names: Sequence[str] | None = None,
    *,
    at: Sequence[int] = AT,
    targets: Sequence[float] = (),
) -> pd.DataFrame:
    """Studies of one problem side by side: one row each.

    Args:
        studies: to be compared; they must have the same objectives and bounds.
        names: of the rows; numbers from 0 by default.
        at: numbers of evaluations after which the hypervolume is given, missing where a study has fewer.
        targets: hypervolumes; ``to_0.7`` is how many evaluations it took to reach 0.7.

    Returns:
        ``evaluations``, ``distinct`` configurations, ``front`` members, ``hypervolume``, ``r2``,
        ``hypervolume@n`` for each of ``at``, and ``to_90%``, ``to_95%``, ``to_99%``: evaluations until so
        much of the best study's hypervolume was reached, missing where it was not.

    Raises:
        ArgumentError: if there is none, names do not fit, or they are of different problems.
    """
    given = (studies,) if isinstance(studies, Study) else studies
    studies = Several(Instance(Study)).check("studies", given)
    rows = list(range(len(studies))) if names is None else list(NAMES.check("names", names))
    if not studies or len(rows) != len(studies):
        raise ArgumentError(f"{len(studies)} studies and {len(rows)} names", "give one name for each study")
    counts, volumes = COUNTS.check("at", at), VOLUMES.check("targets", targets)
    first = studies[0].problem
    for study in studies[1:]:
        same = study.problem.objective_names == first.objective_names
        if not same or not np.allclose(bounds_of(study.problem), bounds_of(first)):
            raise ArgumentError(
                f"{study.title!r} has other objectives or bounds than {studies[0].title!r}",
                "compare studies of one problem",
            )
    curves = [study.progress() for study in studies]
    best = max((curve["hypervolume"].max() for curve in curves if len(curve)), default=0.0)
    found = [_row(study, curve, best, counts, volumes) for study, curve in zip(studies, curves, strict=True)]
    return pd.DataFrame(found, index=pd.Index(rows, name="study"))


def _row(
    study: Study, curve: pd.DataFrame, best: float, at: Sequence[int], targets: Sequence[float]
) -> dict[str, Any]:
    log = study.snapshot.evaluations
    last = curve.iloc[-1] if len(curve) else pd.Series({"front": 0, "hypervolume": 0.0, "r2": np.nan})
    row: dict[str, Any] = {
        "evaluations": len(log),
        "distinct": len(np.unique(log.bits, axis=0)),
        "front": int(last["front"]),
        "hypervolume": last["hypervolume"],
        "r2": last["r2"],
    }
    for count in at:
        upto = curve[curve["evaluations"] <= count]
        row[f"hypervolume@{count}"] = upto["hypervolume"].max() if len(log) >= count else np.nan
    wanted = {f"{share}%": best * share / 100 for share in (90, 95, 99)} | {f"{t:g}": t for t in targets}
    for name, target in wanted.items():
        row[f"to_{name}"] = curve.loc[curve["hypervolume"] >= target, "evaluations"].min()  # NaN of none
    return row
