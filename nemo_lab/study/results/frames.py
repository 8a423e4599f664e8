"""Snapshots as DataFrames and as HTML."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nemo_lab.contract import NO_SPECIES as NO_SPECIES
from nemo_lab.search import ORIGINS, Problem
from nemo_lab.study.parsing.configs import known_config
from nemo_lab.study.results.snapshot import Snapshot


def evaluations_frame(
    snapshot: Snapshot,
    problem: Problem,
    rows: NDArray[np.intp] | None = None,
    *,
    bits: bool = False,
) -> pd.DataFrame:
    """One row per evaluation, indexed by config id."""
    log = snapshot.evaluations
    if rows is None:
        rows = np.arange(len(log))
    names = np.array([*snapshot.species_names, NO_SPECIES], dtype=object)  # species -1 is the last
    columns: dict[str, NDArray[Any]] = {
        name: log.objectives[rows, k] for k, name in enumerate(problem.objective_names)
    }
    columns["species"] = names[log.species[rows]]
    columns["generation"] = log.generation[rows].astype(np.int64)
    columns["origin"] = np.array(ORIGINS, dtype=object)[log.origin[rows]]
    index = pd.Index(rows.astype(np.int64), name="config")
    frame = pd.DataFrame(columns, index=index)
    if not bits:
        return frame
    widths = pd.DataFrame(log.bits[rows].astype(np.int64), index=index, columns=list(problem.node_names))
    return pd.concat([frame, widths], axis=1)  # a node may have the name of an objective


def front_frame(snapshot: Snapshot, problem: Problem) -> pd.DataFrame:
    """The front, one row per configuration, best first objective first."""
    frame = evaluations_frame(snapshot, problem, snapshot.front)
    return frame.sort_values(list(problem.objective_names), kind="stable")


def config_series(snapshot: Snapshot, problem: Problem, config_id: Any) -> pd.Series[int]:
    """The bit-width of every node of an evaluated configuration.

    Raises:
        UnknownNameError: if there is no evaluation of that number.
    """
    config = known_config(config_id, len(snapshot.evaluations))
    index = pd.Index(problem.node_names, name="node")
    return pd.Series(snapshot.evaluations.bits[config].astype("int64"), index=index, name=config)


def history_frame(snapshot: Snapshot) -> pd.DataFrame:
    """One row per generation and species."""
    rows = [
        {
            "generation": record.generation,
            "evaluations": record.evaluations,
            "species": one.species,
            "r2": one.r2,
            "score": one.score,
            "allocation": one.allocation,
            "species_evaluations": one.evaluations,
            "front_share": one.front_share,
            "hypervolume": record.hypervolume,
        }
        for record in snapshot.history
        for one in record.species
    ]
    columns = "generation evaluations species r2 score allocation species_evaluations front_share hypervolume"
    return pd.DataFrame(rows, columns=columns.split())


def interventions_frame(snapshot: Snapshot) -> pd.DataFrame:
    """One row per intervention."""
    rows = [(one.evaluation, one.action, one.detail) for one in snapshot.interventions]
    return pd.DataFrame(rows, columns=["evaluation", "action", "detail"])


def study_html(snapshot: Snapshot, title: str, front: pd.DataFrame) -> str:
    """A heading and the first rows of the front."""
    heading = (
        f"<b>{html.escape(title)}</b>: {snapshot.state}, {len(snapshot.evaluations)} evaluations, "
        f"{len(front)} on the front, hypervolume {snapshot.hypervolume:.3f}"
    )
    return f"<p>{heading}</p>{front.to_html(max_rows=10, float_format='{:.4f}'.format)}"
