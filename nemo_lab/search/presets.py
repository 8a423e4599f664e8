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


PRESETS = {
    "default": Preset(
        ("continuous", "floor", "gcn", "unet", "integer", "surrogate"),
        {
            "ucb_c": 0.03,
            "min_size": 1,
            "initial": 12,
            "uniform": True,
            "offspring": 16,
            "utility": "hypervolume",
            "mating": "tournament",
            "start": "levels",
            "dedupe": True,
            "lift": True,
        },
        "the paper's species, the bit-widths themselves, and a model that learns what every node can bear",
    ),
    "paper": Preset(
        ("continuous", "floor", "gcn", "unet"),
        {},
        "arXiv 2106.07611 to the letter; docs/method.md, sections 4 and 5",
    ),
}
