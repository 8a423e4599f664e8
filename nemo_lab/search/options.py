"""Every constant of the search, by name, with its default, its domain and its source."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from nemo_lab.arguments import COUNT, FROM_ZERO, PROBABILITY, Choice, Flag, Number, OrNone, Several
from nemo_lab.fields import check_fields, check_names, declared, documented

NOT_NEGATIVE = Number(0)
PRICES = Several(Number(0, open="low"), 2, 2, ascending=True, words="two numbers above 0, low and high")


@documented
@dataclass(frozen=True)
class SearchOptions:
    """Constants of the engine (docs/method.md, sections 4 to 6); "ours" where the paper is silent.

    The defaults are those of the preset ``paper``.

    Raises:
        ArgumentError: on a value outside of an option's domain.
    """

    population: int = declared(48, COUNT, "Members of all species together.")
    ucb_c: float = declared(1.0, NOT_NEGATIVE, "Exploration constant c of the allocation score; ours.")
    min_size: int = declared(4, COUNT, "Members every species keeps, so that none dies out for good; ours.")
    r2_partitions: int = declared(
        12, COUNT, "Divisions of the Das-Dennis weight vectors of the R2 utility; ours."
    )
    resize: bool = declared(
        True, Flag(), "Whether UCB moves population slots between species; off is the paper's ablation."
    )
    sbx_eta: float = declared(15.0, NOT_NEGATIVE, "Distribution index of SBX (Deb).")
    sbx_prob_var: float = declared(0.5, PROBABILITY, "Crossover probability of a gene in SBX (Deb).")
    pm_eta: float = declared(
        20.0,
        NOT_NEGATIVE,
        "Distribution index of polynomial mutation (Deb); its probability is 1 / Q per gene.",
    )
    gnn_hidden: int = declared(32, COUNT, "Channels of the hidden graph layers; ours.")
    gnn_edges: str = declared(
        "sequential",
        Choice(("sequential", "topology")),
        '``"sequential"`` (paper), or ``"topology"``, the data flow (ours).',
    )
    gnn_spread: float = declared(
        1.0,
        NOT_NEGATIVE,
        "How strongly a new graph network leans to one width level, in logits per bit of distance, against "
        "node differences of unit deviation; ours.",
    )
    gnn_start: str = declared(
        "spread",
        Choice(("spread", "plain")),
        'New graph networks ``"spread"`` over width levels, with nodes that differ (ours), or ``"plain"``, '
        "drawn by fan-in only.",
    )
    gnn_decode: str = declared(
        "argmax",
        Choice(("argmax", "sample")),
        'A node\'s width is the ``"argmax"`` of its logits (paper), or a ``"sample"``: noise of its own, '
        "which is part of the genome, is added before.",
    )
    gnn_position: int = declared(
        0,
        FROM_ZERO,
        "Number of sines and of cosines of a node's place in the network that graph networks see; ours.",
    )
    imitation_steps: int = declared(
        100,
        FROM_ZERO,
        "Most gradient steps in which a re-seeded graph network learns its source, after its output layer is "
        "solved for it; ours.",
    )
    crossover_prob: float = declared(0.5, PROBABILITY, "cr_dist of SSNE, per parameter tensor; ours.")
    mutation_prob: float = declared(0.9, PROBABILITY, "mut_dist of SSNE, per parameter tensor; ours.")
    mutation_strength: float = declared(0.1, NOT_NEGATIVE, "Noise relative to the weight.")
    mutation_fraction: float = declared(
        0.05, Number(0, 1), "Share of a tensor's entries that a mutation changes."
    )
    super_strength: float = declared(
        10.0, NOT_NEGATIVE, "Strength of the rare large noise, relative to the weight."
    )
    super_prob: float = declared(0.05, PROBABILITY, "Probability of the large noise.")
    reset_prob: float = declared(0.02, PROBABILITY, "Probability of redrawing an entry.")
    noise_floor: float = declared(
        0.1,
        NOT_NEGATIVE,
        "Noise never falls below this share of the tensor's root mean square, so that zero weights "
        "move; ours.",
    )
    initial: int | None = declared(
        None,
        OrNone(FROM_ZERO),
        "First members of all species together, at least ``min_initial`` each; as many as the population "
        "if None.",
    )
    min_initial: int = declared(
        2, FROM_ZERO, "First members of a species, at least, where ``initial`` is given; ours."
    )
    first_slots: str = declared(
        "equal",
        Choice(("equal", "expected")),
        'Until there are children to judge by, slots are ``"equal"``, or go to the species that are '
        '``"expected"`` to add most: those that read a sensitivity, if there is one; ours.',
    )
    uniform: bool = declared(False, Flag(), "Begin with one width everywhere, every width once; ours.")
    offspring: int | None = declared(
        None,
        OrNone(COUNT),
        "New members of all species together in a generation; as many as the population has if None (paper).",
    )
    offspring_growth: float = declared(
        0.0,
        Number(0, 1),
        "Share of all evaluations so far that a generation has as new members, where ``offspring`` are "
        "fewer, and at most as many as the population; ours.",
    )
    ahead: int = declared(
        0,
        FROM_ZERO,
        "Candidates that a new generation does without, those asked for last: so many are evaluated at once "
        "across generations, where otherwise all wait for the last one; ours.",
    )
    fill: bool = declared(
        True,
        Flag(),
        "Whether slots for which nobody survived are filled with children at once (paper); else as offspring "
        "come (ours).",
    )
    utility: str = declared(
        "r2",
        Choice(("r2", "hypervolume")),
        'What a species\' share is decided by: ``"r2"`` (paper) or ``"hypervolume"``, what the hypervolume '
        "would lose without it.",
    )
    mating: str = declared(
        "random",
        Choice(("random", "tournament")),
        '``"random"`` parents, or the better of two by ``"tournament"``; ours.',
    )
    start: str = declared(
        "random",
        Choice(("random", "levels")),
        'First members ``"random"`` over the whole space, or spread over width ``"levels"``; ours.',
    )
    dedupe: bool = declared(False, Flag(), "Never evaluate a configuration twice; ours.")
    retries: int = declared(
        2, FROM_ZERO, "Other children that a member tries if its configuration is known; ours."
    )
    find_reach: bool = declared(
        False,
        Flag(),
        "Whether gains are measured between the least and the most that the exact costs reach, where the "
        "bounds that the problem states lie further apart; ours.",
    )
    lift: bool = declared(
        False,
        Flag(),
        "Widen what costs nothing by it, such as activations narrower than their layer's weights under "
        "``max`` bit-operations; ours.",
    )
    integer_front: float = declared(
        0.5,
        PROBABILITY,
        "How often a child of ``integer`` has its parents from the front of all evaluations; ours.",
    )
    integer_crossover: float = declared(
        0.5, PROBABILITY, "How often it takes a stretch of nodes from a second parent; ours."
    )
    integer_redraw: float = declared(
        0.1,
        PROBABILITY,
        "How often a piece is set to one width at random, where else it moves by one; ours.",
    )
    surrogate_prices: int = declared(
        96, COUNT, "Random prices for which the species ``surrogate`` finds the best widths; ours."
    )
    surrogate_price_range: tuple[float, float] = declared(
        (0.03, 60.0),
        PRICES,
        "Least and largest sum of the prices of the costs, each scaled to its range; ours.",
    )
    surrogate_sweeps: int = declared(
        4, FROM_ZERO, "Passes over all nodes in which it finds the best widths; ours."
    )
    surrogate_pool: int = declared(
        64, FROM_ZERO, "Variations of the front among which it chooses as well; ours."
    )
    surrogate_spread: float = declared(
        0.7,
        NOT_NEGATIVE,
        "How far the damage it assumes strays from the best fit, in standard deviations; ours.",
    )
    surrogate_explore: float = declared(
        0.05, Number(0, 1), "Share of its offspring taken at random from what it found; ours."
    )
    surrogate_memory: int = declared(
        2000, COUNT, "Evaluations it learns from: the newest, and the front; ours."
    )
    surrogate_refit: float = declared(
        0.02, NOT_NEGATIVE, "Share by which the evaluations grow before it learns again; ours."
    )

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def make(cls, **given: Any) -> SearchOptions:
        """Options from keywords.

        Raises:
            UnknownNameError: on a keyword that is not an option.
            ArgumentError: on a value outside of an option's domain.
        """
        check_names("search option", given, [one.name for one in dataclasses.fields(cls)])
        return cls(**given)
