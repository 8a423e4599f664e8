"""What could be saved by leaving a candidate after a part of the examples, once it is clearly dominated.

``python -m benchmarks.search.racing`` goes through searches that measured every candidate on all examples,
and counts what racing would have left out. A candidate is left after a block if a configuration that costs
no more was better on the same examples by so many standard errors of the mean difference. Not counted
against it: the search would learn from candidates of which only a part is known.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from numpy.typing import NDArray

import nemo_lab as nl
from benchmarks.search.foresight import COST

SIZE = 250  # examples per forward pass
BLOCKS = 10
ERRORS = 2.0  # standard errors
BUDGET = 250
SEEDS = 3

Floats = NDArray[np.float64]


def by_example(name: str, bits: NDArray[np.uint8]) -> Floats:
    """Error of every configuration on every example of the search, shuffled: float64[N, examples]."""
    problem = nl.QuantizationProblem(nl.load_workload(name))
    network, metric = problem.network(), problem.metrics[0]
    data = problem.workload.data
    assert data is not None
    inputs, labels = (torch.as_tensor(part) for part in (data.search.inputs, data.search.labels))
    parts = [(network.prepare(x), y) for x, y in zip(inputs.split(SIZE), labels.split(SIZE), strict=True)]
    rows = []
    for row in bits:
        network.set_bits(row)
        each = [metric.errors(network(x), y, None) for x, y in parts]
        rows.append(torch.cat(each).double().numpy())
    found = np.array(rows)
    return found[:, np.random.default_rng(0).permutation(found.shape[1])]


def saved(errors: Floats, costs: Floats) -> tuple[float, float, float]:
    """Shares of one: candidates dominated when they are evaluated, blocks left out, most that could be.

    Members of the front are measured whole, so no rule leaves out more than all blocks but the first of
    those that are dominated.
    """
    blocks = np.array_split(np.arange(errors.shape[1]), BLOCKS)
    means = errors.mean(axis=1)
    whole: list[int] = []
    dominated = left_out = 0
    for candidate in range(len(errors)):
        dominated += any(
            (costs[other] <= costs[candidate]).all() and means[other] <= means[candidate]
            for other in range(candidate)
        )
        better = [other for other in whole if (costs[other] <= costs[candidate]).all()]
        for block in range(1, BLOCKS):
            seen = np.concatenate(blocks[:block])
            worse = errors[candidate, seen] - errors[np.ix_(better, seen)]
            error = worse.std(axis=1, ddof=1) / np.sqrt(len(seen))
            if (worse.mean(axis=1) > ERRORS * error).any():
                left_out += BLOCKS - block
                break
        else:
            whole.append(candidate)
    share = dominated / len(errors)
    return share, left_out / (len(errors) * BLOCKS), share * (BLOCKS - 1) / BLOCKS


def main(names: list[str]) -> None:
    """Print a Markdown table, one row a problem."""
    print("| problem | dominated when evaluated | passes left out | at most, by any rule |")
    print("|---|---|---|---|")
    for name in names:
        rows = []
        for seed in range(SEEDS):
            study = nl.create_study(name, seed=seed).optimize(BUDGET - COST, progress=False)
            log = study.snapshot.evaluations
            rows.append(saved(by_example(name, log.bits), log.objectives[:, 1:]))
        means = " | ".join(f"{100 * value:.0f} %" for value in np.mean(rows, axis=0))
        print(f"| {name} | {means} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["fashion", "text"])
