"""The presets of ``create_study``, and what is left of them without one of their parts."""

from __future__ import annotations

from typing import Any

import nemo_lab as nl
from benchmarks.search.bare import BareProblem
from benchmarks.search.foresight import COST
from benchmarks.search.meter import Meter
from benchmarks.search.method import Method

PAPER = ("continuous", "floor", "gcn", "unet")


def _method(name: str, title: str, note: str, *, bare: bool = False, **arguments: Any) -> Method:
    def run(meter: Meter, seed: int) -> nl.Study:
        study = nl.create_study(BareProblem(meter) if bare else meter, seed=seed, **arguments)
        asks = (
            not bare and meter.sensitivity is not None and "surrogate" in [one.name for one in study.species]
        )
        return study.optimize(meter.budget - (COST if asks else 0), progress=False)

    return Method(name, title, run, note)


def _paper(name: str, title: str, **arguments: Any) -> Method:
    return _method(f"paper_{name}", f"NEMO `paper`, {title}", "ablation", preset="paper", **arguments)


def _default(name: str, title: str, **arguments: Any) -> Method:
    return _method(f"default_{name}", f"NEMO `default`, {title}", "ablation", **arguments)


METHODS = (
    _method(
        "paper",
        "NEMO `paper`",
        '`create_study(preset="paper")`: continuous, floor, gcn and unet, population 48',
        preset="paper",
    ),
    _method(
        "default",
        "NEMO `default`",
        "`create_study()`: the paper's species, integer and surrogate, population 48, 8 offspring or more",
    ),
    _paper("no_gnn", "no graph networks", species=("continuous", "floor")),
    _paper("gnn_only", "graph networks only", species=("gcn", "unet")),
    _paper("plain_gnn", "graph networks started by fan-in", gnn_start="plain"),
    _paper("topology", "data-flow edges", gnn_edges="topology"),
    _paper("equal", "equal allocation", resize=False),
    _paper("hypervolume", "shares by hypervolume", utility="hypervolume"),
    _paper("dedupe", "without repeats", dedupe=True),
    _paper("lift", "free widths lifted", lift=True),
    _method("teaching", "NEMO `teaching`", '`create_study(preset="teaching")`: to watch', preset="teaching"),
    _default("bare", "bare: no network, no bounds, no sensitivity", bare=True),
    _default("bare_unit", "bare, gains measured in the unit box", bare=True, find_reach=False),
    _default("all_first", "first members of every species", initial=12, min_initial=2, first_slots="equal"),
    _default("sixteen", "16 offspring", offspring=16, offspring_growth=0.0),
    _default("filled", "slots filled at once", fill=True),
    _default("no_surrogate", "no surrogate", species=(*PAPER, "integer")),
    _default("no_gnn", "no graph networks", species=("continuous", "floor", "integer", "surrogate")),
    _default("surrogate_only", "surrogate only", species=("surrogate",)),
    _default("r2", "shares by R2", utility="r2"),
    _default("no_lift", "nothing lifted", lift=False),
    _default("position", "graph networks see positions", gnn_position=4),
)
