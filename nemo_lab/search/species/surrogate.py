"""The species ``surrogate``: what a small model, fitted to all evaluations, expects to be best. Ours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.options import SearchOptions
from nemo_lab.search.problem import Problem
from nemo_lab.search.species.base import Bits
from nemo_lab.search.species.integer import IntegerSpecies
from nemo_lab.search.view import SearchView

if TYPE_CHECKING:
    from nemo_lab.search.surrogate.proposer import Proposer


class SurrogateSpecies(IntegerSpecies):
    """Bit-widths proposed by ``Proposer``; what remains to fill is varied like ``integer``."""

    name = "surrogate"
    summary = "a model, learnt as the search goes, of what every node can bear proposes the best widths"
    reads_sensitivity = True
    final = True  # it knows the costs: widths are as it means them

    def __init__(self, problem: Problem, options: SearchOptions) -> None:
        super().__init__(problem, options)
        self._waiting: list[Bits] | None = None
        self._view: SearchView | None = None

    @cached_property
    def _proposer(self) -> Proposer:
        """Made on first use: compiled code takes a moment to load, and costs are taken apart."""
        from nemo_lab.search.surrogate.proposer import Proposer

        return Proposer(self._problem, self.options, self.pairs)

    def observe(self, view: SearchView) -> None:
        """What to learn from at the next offspring."""
        super().observe(view)
        self._view, self._waiting = view, None

    def initial(self, count: int, rng: np.random.Generator) -> list[Bits]:
        """Proposals, where it has seen the search: without ``fill`` species may come in later."""
        if len(self._front) and not self.options.fill:
            return self.offspring((), count, rng)
        return super().initial(count, rng)

    def offspring(self, parents: Sequence[Bits], count: int, rng: np.random.Generator) -> list[Bits]:
        """The proposals that add most to the front, then variations of the front."""
        if self._view is not None and count:
            if self._waiting is None:
                own: list[NDArray[np.uint8]] = super().offspring(parents, self.options.surrogate_pool, rng)
                self._waiting = self._proposer.propose(self._view, own, count, rng)
            chosen, self._waiting = self._waiting[:count], self._waiting[count:]
        else:
            chosen = []
        return [*chosen, *super().offspring(parents, count - len(chosen), rng)]

    def state_dict(self) -> dict[str, Any]:
        """What is learnt, and which proposals nobody has taken yet."""
        learnt = self._proposer.state_dict() if "_proposer" in vars(self) else None
        return {"learnt": learnt, "waiting": self._waiting and list(self._waiting)}

    def load_state_dict(self, state: Any) -> None:
        """Go on from a state; after ``observe``."""
        learnt = state["learnt"]
        if learnt is None or not learnt["learnt"]:
            vars(self).pop("_proposer", None)  # which may have begun to learn since
        elif self._view is not None:
            self._proposer.load_state_dict(learnt, self._view)
        self._waiting = state["waiting"]
