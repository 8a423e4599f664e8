"""Every constant of the search, by name, with its default and its source."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from nemo_lab.errors import ArgumentError, UnknownNameError


@dataclass(frozen=True)
class SearchOptions:
    """Constants of the engine (METHOD sections 3 to 5); "ours" where the paper is silent.

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
        imitation_steps: most gradient steps in which a re-seeded graph network learns its source,
            after its output layer is solved for it; ours.
        crossover_prob, mutation_prob: per parameter tensor, cr_dist and mut_dist of SSNE; ours.
        mutation_strength, mutation_fraction: noise relative to the weight, share of entries hit.
        super_strength, super_prob: of the rare strong noise.
        reset_prob: of drawing an entry anew.
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
    imitation_steps: int = 100
    crossover_prob: float = 0.5
    mutation_prob: float = 0.9
    mutation_strength: float = 0.1
    mutation_fraction: float = 0.05
    super_strength: float = 10.0
    super_prob: float = 0.05
    reset_prob: float = 0.02
    noise_floor: float = 0.1

    def __post_init__(self) -> None:
        for name in ("population", "min_size", "r2_partitions", "gnn_hidden"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"{name}={value!r}", "give a whole number of at least 1")
        if self.gnn_edges not in ("sequential", "topology"):
            raise ArgumentError(f"gnn_edges={self.gnn_edges!r}", "use 'sequential' or 'topology'")
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
