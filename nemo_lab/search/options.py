"""Every constant of the search, by name, with its default and its source."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from nemo_lab.errors import ArgumentError, UnknownNameError

CHOICES = {
    "gnn_edges": ("sequential", "topology"),
    "gnn_decode": ("argmax", "sample"),
    "gnn_start": ("spread", "plain"),
    "utility": ("r2", "hypervolume"),
    "mating": ("random", "tournament"),
    "start": ("random", "levels"),
}


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(f"{name}={value!r}", f"give a whole number of at least {least}")


@dataclass(frozen=True)
class SearchOptions:
    """Constants of the engine (docs/method.md, sections 3 to 5); "ours" where the paper is silent.

    The defaults are those of the preset ``paper``.

    Attributes:
        population: members of all species together.
        ucb_c: exploration constant c of the allocation score; ours.
        min_size: members every species keeps, so that none dies for good; ours.
        r2_partitions: divisions of the Das-Dennis weight vectors of the R2 utility; ours.
        resize: whether UCB moves population slots between species; off is the paper's ablation.
        sbx_eta, sbx_prob_var: SBX distribution index, and crossover probability of a gene (Deb).
        pm_eta: polynomial mutation's distribution index (Deb); probability is 1 / Q per gene.
        gnn_hidden: channels of the hidden graph layers; ours.
        gnn_edges: ``"sequential"`` (paper) or ``"topology"`` (the data flow; ours).
        gnn_spread: how strongly a new graph network leans to one width level, in logits per
            bit of distance, against node differences of unit deviation; ours.
        gnn_start: new graph networks ``"spread"`` over width levels, with nodes that differ (ours), or
            ``"plain"``, drawn by fan-in only.
        gnn_decode: a node's width is the ``"argmax"`` of its logits (paper), or a ``"sample"``: noise of its
            own, which is part of the genome, is added before.
        gnn_position: sines and cosines of a node's place in the network that graph networks see, so many of
            each; ours.
        imitation_steps: most gradient steps in which a re-seeded graph network learns its source,
            after its output layer is solved for it; ours.
        crossover_prob, mutation_prob: per parameter tensor, cr_dist and mut_dist of SSNE; ours.
        mutation_strength, mutation_fraction: noise relative to the weight, share of entries hit.
        super_strength, super_prob: of the rare strong noise.
        reset_prob: of drawing an entry anew.
        initial: first members of all species together, at least two each; as many as the population
            by default.
        uniform: begin with one width everywhere, every width once; ours.
        offspring: new members of all species together in a generation; as many as the population has by
            default (paper).
        utility: what a species' share is decided by: ``"r2"`` (paper) or ``"hypervolume"``, what the
            hypervolume would lose without it.
        mating: ``"random"`` parents, or the better of two by ``"tournament"``; ours.
        start: first members ``"random"`` over the whole space, or spread over width ``"levels"``; ours.
        dedupe: never evaluate a configuration twice; ours.
        retries: other children that a member tries if its configuration is known; ours.
        lift: widen what costs nothing by it, such as activations narrower than their layer's weights under
            ``max`` bit-operations; ours.
        integer_front: how often a child of ``integer`` has its parents from the front of all evaluations.
        integer_crossover: how often it takes a stretch of nodes from a second parent.
        integer_redraw: how often a piece is set to one width at random, where else it moves by one; all ours.
        surrogate_prices: random prices for which the species ``surrogate`` finds the best widths.
        surrogate_price_range: least and largest sum of the prices of the costs, each scaled to its range.
        surrogate_sweeps: passes over all nodes in which it finds them.
        surrogate_pool: variations of the front among which it chooses as well.
        surrogate_spread: how far the damage it assumes strays from the best fit, in standard deviations.
        surrogate_explore: share of its offspring taken at random from what it found.
        surrogate_memory: evaluations it learns from, the newest and the front.
        surrogate_refit: share by which the evaluations grow before it learns again; all ours.
        noise_floor: noise never falls below this share of the tensor's root mean square, so that
            zero weights move; ours.
    """

    population: int = 48
    ucb_c: float = 1.0
    min_size: int = 4
    r2_partitions: int = 12
    resize: bool = True
    sbx_eta: float = 15.0
    sbx_prob_var: float = 0.5
    pm_eta: float = 20.0
    gnn_hidden: int = 32
    gnn_edges: str = "sequential"
    gnn_spread: float = 1.0
    gnn_start: str = "spread"
    gnn_decode: str = "argmax"
    gnn_position: int = 0
    imitation_steps: int = 100
    crossover_prob: float = 0.5
    mutation_prob: float = 0.9
    mutation_strength: float = 0.1
    mutation_fraction: float = 0.05
    super_strength: float = 10.0
    super_prob: float = 0.05
    reset_prob: float = 0.02
    noise_floor: float = 0.1
    initial: int | None = None
    uniform: bool = False
    offspring: int | None = None
    utility: str = "r2"
    mating: str = "random"
    start: str = "random"
    dedupe: bool = False
    retries: int = 2
    lift: bool = False
    integer_front: float = 0.5
    integer_crossover: float = 0.5
    integer_redraw: float = 0.1
    surrogate_prices: int = 96
    surrogate_price_range: tuple[float, float] = (0.03, 60.0)
    surrogate_sweeps: int = 4
    surrogate_pool: int = 64
    surrogate_spread: float = 0.7
    surrogate_explore: float = 0.05
    surrogate_memory: int = 2000
    surrogate_refit: float = 0.02

    def __post_init__(self) -> None:
        for name in ("population", "min_size", "r2_partitions", "gnn_hidden", "surrogate_prices"):
            _check_whole(name, getattr(self, name), 1)
        for name in ("retries", "surrogate_pool", "surrogate_sweeps", "gnn_position"):
            _check_whole(name, getattr(self, name), 0)
        for name in ("offspring", "initial"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), 1)
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ArgumentError(f"{name}={getattr(self, name)!r}", f"use {' or '.join(map(repr, known))}")
        for name in ("integer_front", "integer_crossover", "integer_redraw"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"{name}={getattr(self, name)!r}", "give a probability, from 0 to 1")
        low, high = self.surrogate_price_range
        if not 0 < low <= high:
            raise ArgumentError(
                f"surrogate_price_range={self.surrogate_price_range!r}",
                "give two numbers above 0, low and high",
            )
        if not self.ucb_c >= 0:
            raise ArgumentError(f"ucb_c={self.ucb_c!r}", "give a number of at least 0")

    @classmethod
    def make(cls, **given: Any) -> SearchOptions:
        """Options from keywords.

        Raises:
            UnknownNameError: on a keyword that is no option.
        """
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise UnknownNameError("search option", name, known)
        return cls(**given)
