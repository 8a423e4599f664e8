"""Graph networks that were evolved on one network, on another: ``python -m benchmarks.search.transfer``.

Prints two Markdown tables. The first: the hypervolume of all that the graph networks of a search of 500
evaluations give on the other network at once (zero-shot), beside as many new ones. The second: that of a
search that begins with them, beside one that does not.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nemo_lab as nl
from benchmarks.search.problems import PROBLEMS
from nemo_lab.search import Problem, SearchOptions
from nemo_lab.search.indicators import hypervolume
from nemo_lab.search.problem import bounds_of
from nemo_lab.search.species import make_species

PAIRS = (
    ("digits", "fashion"),
    ("fashion", "digits"),
    ("mobilenet_v2", "resnext101_32x8d"),
    ("resnext101_32x8d", "mobilenet_v2"),
)
GRAPH = ("gcn", "unet")
PRESETS = ("paper", "default")
EVOLVED, BUDGETS, SEEDS = 500, (50, 100, 250), 3

Row = list[float]


def zero_shot(study: nl.Study, problem: Problem, seed: int) -> Row:
    """How many networks a study has taken over; their hypervolume, that of new ones, of uniform widths."""
    species = make_species(GRAPH, problem, SearchOptions())
    given = study.transferred.networks
    rng = np.random.default_rng(seed)
    taken = [one.decode(network) for one in species for network in given[one.name]]
    new = [one.decode(network) for one in species for network in one.initial(len(given[one.name]), rng)]
    uniform = [np.full(problem.num_nodes, width, dtype=np.uint8) for width in problem.bit_widths]
    return [len(taken), *(_volume(problem, _measured(problem, rows)) for rows in (taken, new, uniform))]


def _measured(problem: Problem, rows: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    return np.concatenate([problem.evaluate(row[None]) for row in np.unique(rows, axis=0)])


def _volume(problem: Problem, objectives: Any) -> float:
    return hypervolume(objectives, bounds_of(problem))


def course(problem: Problem, preset: str, seed: int, source: nl.Study | None) -> Row:
    """Hypervolumes of a search after so many evaluations."""
    study = nl.create_study(problem, preset=preset, seed=seed, transfer=source)
    study.optimize(BUDGETS[-1], progress=False)
    objectives = study.snapshot.evaluations.objectives
    return [_volume(problem, objectives[:count]) for count in BUDGETS]


def main(pairs: list[tuple[str, str]]) -> None:
    """Print both tables."""
    zero, later = [], []
    for there, here in pairs:
        shot: list[Row] = []
        runs: dict[tuple[str, bool], list[Row]] = {}
        for seed in range(SEEDS):
            source = nl.create_study(PROBLEMS[there](), preset="paper", seed=seed)
            source.optimize(EVOLVED, progress=False)
            problem = PROBLEMS[here]()
            taken = nl.create_study(problem, preset="paper", transfer=source)
            shot.append(zero_shot(taken, problem, seed))
            for preset in PRESETS:
                for given in (None, source):
                    row = course(PROBLEMS[here](), preset, 100 + seed, given)
                    runs.setdefault((preset, given is not None), []).append(row)
        name = f"{there} -> {here}"
        zero.append([name, f"{np.mean(shot, axis=0)[0]:.0f}", *_cells(np.array(shot)[:, 1:])])
        for preset in PRESETS:
            for transferred in (False, True):
                label = "transferred" if transferred else "new"
                later.append([name, preset, label, *_cells(runs[preset, transferred])])
        print(zero[-1], later[-4:], file=sys.stderr, flush=True)
    _print(["evolved on -> applied to", "networks", "transferred", "new ones", "uniform widths"], zero)
    _print(["evolved on -> searched", "preset", "networks", *(f"at {one}" for one in BUDGETS)], later)


def _cells(rows: Any) -> list[str]:
    return [
        f"{mean:.3f} ({spread:.3f})"
        for mean, spread in zip(np.mean(rows, axis=0), np.std(rows, axis=0), strict=True)
    ]


def _print(head: list[str], rows: list[list[str]]) -> None:
    print("", *(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)), sep="\n")


if __name__ == "__main__":
    main([pair for pair in PAIRS if not sys.argv[1:] or pair[0] in sys.argv[1:]])
