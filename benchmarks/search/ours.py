"""The presets of ``create_study``, and what is left of them without one of their parts."""

from __future__ import annotations

from typing import Any

import nemo_lab as nl
from benchmarks.search.foresight import COST
from benchmarks.search.meter import Meter
from benchmarks.search.method import Method

PAPER = ("continuous", "floor", "gcn", "unet")


def _method(name: str, title: str, note: str, **arguments: Any) -> Method:
    def run(meter: Meter, seed: int) -> nl.Study:
        study = nl.create_study(meter, seed=seed, **arguments)
        asks = meter.sensitivity is not None and "surrogate" in [one.name for one in study.species]
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
        "`create_study()`: the paper's species, integer and surrogate, population 48, 16 offspring",
    ),
    _paper("no_gnn", "no graph networks", species=("continuous", "floor")),
    _paper("gnn_only", "graph networks only", species=("gcn", "unet")),
    _paper("plain_gnn", "graph networks started by fan-in", gnn_start="plain"),
    _paper("topology", "data-flow edges", gnn_edges="topology"),
    _paper("equal", "equal allocation", resize=False),
    _paper("hypervolume", "shares by hypervolume", utility="hypervolume"),
    _paper("dedupe", "without repeats", dedupe=True),
    _paper("lift", "free widths lifted", lift=True),
    _default("no_surrogate", "no surrogate", species=(*PAPER, "integer")),
    _default("no_gnn", "no graph networks", species=("continuous", "floor", "integer", "surrogate")),
    _default("surrogate_only", "surrogate only", species=("surrogate",)),
    _default("r2", "shares by R2", utility="r2"),
    _default("no_lift", "nothing lifted", lift=False),
    _default("position", "graph networks see positions", gnn_position=4),
)
