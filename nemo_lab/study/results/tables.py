"""What a run has found, as tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from nemo_lab.arguments import Flag
from nemo_lab.search import Problem
from nemo_lab.study.results import frames
from nemo_lab.study.results.progress import progress_frame
from nemo_lab.study.results.snapshot import Snapshot


class Tables:
    """Tables of the latest snapshot.

    Args:
        problem: that is searched.
        look: gives the latest snapshot.
    """

    def __init__(self, problem: Problem, look: Callable[[], Snapshot]) -> None:
        self._problem, self._look = problem, look

    def front(self) -> pd.DataFrame:
        """The Pareto front under the constraints: one row per configuration, best first objective first.

        Columns: the objectives, all minimised, then species, generation and origin.
        """
        return frames.front_frame(self._look(), self._problem)

    def evaluations(self, *, bits: bool = False) -> pd.DataFrame:
        """Every evaluation ever made, by config id; with ``bits`` also one column per node."""
        shown = Flag().check("bits", bits)
        return frames.evaluations_frame(self._look(), self._problem, bits=shown)

    def history(self) -> pd.DataFrame:
        """Per generation and species: R2, score, allocation, share of the front; hypervolume."""
        return frames.history_frame(self._look())

    def interventions(self) -> pd.DataFrame:
        """Everything done by hand, with the evaluation after which it took effect."""
        return frames.interventions_frame(self._look())

    def progress(self) -> pd.DataFrame:
        """Hypervolume and R2 after every evaluation that changed the front of all; see ``nl.compare``."""
        return progress_frame(self._problem, self._look().evaluations)

    def config(self, config_id: int | np.integer[Any]) -> pd.Series[int]:
        """The bit-width of every node of an evaluated configuration; UnknownNameError if there is none."""
        return frames.config_series(self._look(), self._problem, config_id)
