"""Ways to search, by name: which species take part, and what differs from the paper's constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A way to search, by name.

    Attributes:
        species: their names.
        options: what differs from the paper's constants.
        summary: one sentence for people.
    """

    species: tuple[str, ...]
    options: Mapping[str, Any]
    summary: str


ALL = ("continuous", "floor", "gcn", "unet", "integer", "surrogate")
OURS = {
    "ucb_c": 0.03,
    "min_size": 1,
    "initial": 0,
    "min_initial": 0,
    "first_slots": "expected",
    "uniform": True,
    "offspring": 8,
    "offspring_growth": 0.02,
    "fill": False,
    "utility": "hypervolume",
    "mating": "tournament",
    "start": "levels",
    "dedupe": True,
    "lift": True,
    "find_reach": True,
}

PRESETS = {
    "default": Preset(
        ALL,
        OURS,
        "the paper's species, the bit-widths themselves, and a model that learns what every node can bear; "
        "gets furthest with few evaluations",
    ),
    "teaching": Preset(
        ALL,
        {
            **OURS,
            "ucb_c": 1.0,
            "min_size": 4,
            "initial": 24,
            "min_initial": 4,
            "first_slots": "equal",
            "offspring": 16,
        },
        "the same species, whose shares stay apart for some hundred evaluations: to watch them compete",
    ),
    "paper": Preset(
        ("continuous", "floor", "gcn", "unet"),
        {},
        "arXiv 2106.07611 to the letter; docs/method.md, sections 4 and 5",
    ),
}
