"""What corrections without training do to fronts and members: ``python -m benchmarks.deploy.corrections``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import nemo_lab as nl
from benchmarks.deploy.pages import replace_section, written_by
from benchmarks.deploy.tuning import RESULTS
from nemo_lab.search.indicators import hypervolume, non_dominated
from nemo_lab.search.problem import bounds_of

HEADING = "## What corrections without training do"
FRONTS = """Normalised hypervolume after {evaluations} evaluations, `bias="int32"`, mean over {seeds} seeds
(lowest and highest): as searched; searched with `equalize=True`; and of both fronts with every member's
biases corrected by `nl.correct_bias`, which costs a pass over the calibration set for each member."""
MEMBERS = """Accuracy on held-out examples of five members of the first plain front, from small to large, and
of uniform widths: at the same bits, as searched, equalized, corrected, and both."""


def volume(problem: nl.QuantizationProblem, objectives: NDArray[np.float64]) -> float:
    """Normalised hypervolume in the problem's box."""
    return hypervolume(objectives, bounds_of(problem))


def corrected(problem: nl.QuantizationProblem, study: nl.Study) -> NDArray[np.float64]:
    """The objectives of a front whose biases are corrected."""
    log = study.snapshot.evaluations
    rows = log.bits[non_dominated(log.objectives)]
    return np.array([nl.correct_bias(problem, row).evaluate() for row in rows])


def fronts(name: str, problems: list[nl.QuantizationProblem], evaluations: int, seeds: int) -> str:
    """One line of the first table."""
    found: list[list[float]] = [[], [], [], []]
    for seed in range(seeds):
        for place, problem in enumerate(problems):
            study = nl.create_study(problem, seed=seed).optimize(evaluations, progress=False)
            found[place].append(volume(problem, study.snapshot.evaluations.objectives))
            found[place + 2].append(volume(problem, corrected(problem, study)))
    cells = [f"{np.mean(some):.4f} ({min(some):.4f} to {max(some):.4f})" for some in found]
    return f"| {' | '.join([name, *cells])} |"


def members(name: str, problems: list[nl.QuantizationProblem], evaluations: int) -> Iterator[str]:
    """Lines of the second table."""
    plain, held_out = problems[0], problems[0].workload.data.held_out  # type: ignore[union-attr]
    study = nl.create_study(plain, seed=0).optimize(evaluations, progress=False)
    front = study.front().sort_values("model_ratio")
    chosen = front.index[np.unique(np.linspace(0, len(front) - 1, 5).round().astype(int))]
    some = [(f"member {one}", study.config(one).tolist()) for one in chosen]
    for called, bits in [*some, *((f"{width} bits", [width] * plain.num_nodes) for width in (3, 4, 5))]:
        errors = [problem.error(bits, held_out)[0] for problem in problems]
        errors += [nl.correct_bias(problem, bits).error(held_out) for problem in problems]
        cells = [f"{np.mean(bits):.2f}", *(f"{1 - error:.3f}" for error in errors)]
        yield f"| {' | '.join([name, called, *cells])} |"


def main() -> None:
    """Print both tables, and put them into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=["fashion", "digits"])
    parser.add_argument("--evaluations", type=int, default=250)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    ways = ["plain", "equalized", "corrected", "both"]
    first = [f"| network | {' | '.join(ways)} |", "|---" * 5 + "|"]
    second = [f"| network | configuration | mean bits | {' | '.join(ways)} |", "|---" * 7 + "|"]
    for name in given.workloads:
        workload = nl.load_workload(name)
        problems = [
            nl.QuantizationProblem(workload, bias="int32", equalize=equalize) for equalize in (False, True)
        ]
        first.append(fronts(name, problems, given.evaluations, given.seeds))
        print(first[-1], flush=True)
        for line in members(name, problems, given.evaluations):
            second.append(line)
            print(line, flush=True)
    about = written_by("benchmarks.deploy.corrections", vars(given))
    text = [HEADING, "", about, "", FRONTS.format(**vars(given)), "", *first, "", MEMBERS, "", *second]
    replace_section(RESULTS, "\n".join(text))


if __name__ == "__main__":
    main()
