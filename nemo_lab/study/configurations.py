"""Configurations made by hand: evaluated next in the run, or beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nemo_lab.arguments import Flag
from nemo_lab.errors import ArgumentError, BitWidthError, EvaluationError, NemoError
from nemo_lab.interruption import LOOK_UP, Interrupted, check_interrupted
from nemo_lab.search import Engine, Problem
from nemo_lab.search.problem import sensitivity_of
from nemo_lab.search.species import Bits
from nemo_lab.study.commands.evaluations import Enqueue, WhatIf
from nemo_lab.study.parsing.nodes import Selection
from nemo_lab.study.run.aside import call_aside, wait_for
from nemo_lab.study.run.inside import check_outside
from nemo_lab.study.run.runner import Runner


class Configurations:
    """The part of a ``Study`` that takes configurations.

    Args:
        problem: that is searched.
        runner: of the study.
    """

    def __init__(self, problem: Problem, runner: Runner) -> None:
        self._problem, self._runner = problem, runner
        self._names = Selection(problem)

    def enqueue(self, bits: Any, *, join: bool = False) -> None:
        """Evaluate hand-made configurations next, as part of the run; pins in force are applied.

        Args:
            bits: integers[Q] or [N, Q], one width for all nodes, or name -> width as from ``config``. A name
                means what it means to ``pin``: that of a layer its weight and its input. A later name goes
                before an earlier one: ``{"*": 8, "stem.conv.weight": 4}``.
            join: whether they become members of the species, too, so that children come from them: one or
                more for each species, up to ``population`` in all. A graph network is fitted to its share,
                and evaluated as what it comes to; the preset ``paper``, which evaluates again what is known,
                does so with all of them.

        Raises:
            BitWidthError, UnknownNameError: if they do not fit.
        """
        rows = self._names.bits(bits).copy()  # the caller's array may change
        if not len(rows):
            raise BitWidthError("enqueue got no configuration", "give at least one, integers[Q]")
        self._runner.post(Enqueue(rows, Flag().check("join", join)))

    def what_if(self, bits: Any) -> pd.Series[float]:
        """Objectives of one configuration beside the search; blocks until it is evaluated, or Ctrl-C.

        Args:
            bits: as for ``enqueue``, one configuration.

        Raises:
            BitWidthError, UnknownNameError: if it does not fit.
            EvaluationError: if the evaluation failed; the run does not mind.
            StudyStateError: if an evaluation or a listener of the run asks.
        """
        check_outside(self._runner, "what_if()")
        rows = self._names.bits(bits)
        if len(rows) != 1:
            raise ArgumentError(f"what_if got {len(rows)} configurations", "give one, or use enqueue")
        return pd.Series(
            self._answer(rows[0].copy()), index=list(self._problem.objective_names), name="what_if"
        )

    def sensitivity(self) -> NDArray[np.float64] | None:
        """What each node at each width is expected to harm, float64[Q, W]; None where nobody says it.

        What the run was told, or else what the problem says now, asked between two evaluations.

        Raises:
            EvaluationError: if what the problem says is not such a table.
            StudyStateError: if a part of the run asks.
        """
        found: list[NDArray[np.float64] | None] = []

        def ask(engine: Engine) -> None:
            known = engine.state.sensitivity
            found.append(sensitivity_of(engine.problem) if known is None else known)

        check_outside(self._runner, "sensitivity()")
        call_aside(self._runner, ask)
        return None if found[0] is None else found[0].copy()

    def _answer(self, bits: Bits) -> NDArray[np.float64]:
        """Objectives float64[K] of uint8[Q]; asked again if a run that is stopped left them half-way."""
        while True:
            command = WhatIf(bits)
            try:
                wait_for(self._runner, command)
                return _result(command)
            except Interrupted:
                check_interrupted()
                if self._runner.closed:  # Python exits
                    raise
                self._runner.wait(LOOK_UP, through_pauses=True)


def _result(command: WhatIf) -> NDArray[np.float64]:
    """The answer, or the failure of the evaluation as a run tells it."""
    try:
        return command.answer.result()
    except NemoError:
        raise
    except Exception as error:
        raise EvaluationError(
            f"the evaluation failed: {type(error).__name__}: {error}", "fix the cause and ask again"
        ) from error
