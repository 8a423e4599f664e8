"""The figures of a report: what a network says of itself, and what is measured of a problem."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from nemo_lab.checks.report import LeftOut
from nemo_lab.choices import choices, fit
from nemo_lab.cost import CostModel
from nemo_lab.errors import NemoError
from nemo_lab.problem import Problem
from nemo_lab.quantize import BIT_WIDTHS, QuantizationProblem
from nemo_lab.quantize.memory import default_batch, needed_bytes, weight_bytes
from nemo_lab.quantize.sanity import SAFE_WIDTH
from nemo_lab.search.objective import objectives_of
from nemo_lab.search.problem import checked_objectives
from nemo_lab.workload import FullPrecision, Workload
from nemo_lab.workload.capture import FX_SAYS
from nemo_lab.workload.records import FULL_PRECISION

CANDIDATES = 5  # that are timed at most
TIMED = 30.0  # seconds after which no further one is timed
KEPT = 128 * 10**6  # bytes that a problem keeps by default
REASONS = {
    **dict.fromkeys(("embedding", "embeddingbag"), "its rows are looked up, not multiplied"),
    **dict.fromkeys(("lstm", "gru", "rnn"), "torch runs it as one operation"),
    **dict.fromkeys(
        ("conv", "depthwise conv", "transposed conv", "linear", "matmul", "parameter"),
        "left out by ignore=, or of another kind than real numbers",
    ),
}


def network_figures(workload: Workload, problem: Problem | None) -> dict[str, Any]:
    """What a network says of itself, as fields of a report."""
    kinds = [node.kind for node in workload.nodes]
    widths = BIT_WIDTHS if problem is None else problem.bit_widths
    memory = _memory(workload) if problem is None else None
    if isinstance(problem, QuantizationProblem):
        memory = problem.memory_bytes
    return {
        "traced_by": workload.traced_by,
        "fx_says": workload.graph.meta.get(FX_SAYS, ""),
        "weights": kinds.count("weight"),
        "activations": kinds.count("activation"),
        "params": workload.params,
        "macs": workload.macs,
        "full_precision": tuple(map(_left_out, workload.full_precision)),
        "sizes_mb": _sizes(workload, problem, (int(widths[-1]), int(widths[0]))),
        "memory_bytes": memory,
    }


def _left_out(part: FullPrecision) -> LeftOut:
    usual = "nobody knows what it multiplies" if part.macs is None else "it is none of the layers we quantize"
    return LeftOut(part.name, part.op, part.params, part.macs, REASONS.get(part.op, usual))


def _sizes(workload: Workload, problem: Problem | None, widths: tuple[int, ...]) -> dict[int, float]:
    """In MB, by width, 32 first."""
    try:
        costs = (None if problem is None else problem.cost_model) or CostModel(workload)
    except NemoError:  # without weights, or MACs
        return {}
    full = costs.full_precision[0]
    return {FULL_PRECISION: full, **{width: full * costs.uniform(width)[0] for width in widths}}


def _memory(workload: Workload) -> int:
    """As a problem with the usual settings takes, besides its examples."""
    weights = weight_bytes(workload, len(BIT_WIDTHS))
    return needed_bytes(workload, 0, default_batch(workload), KEPT, weights)


def measured_figures(problem: Problem) -> dict[str, Any]:
    """What is measured of a problem, as fields of a report.

    Raises:
        EvaluationError: if it cannot be evaluated.
        ArgumentError: if its objectives are not such.
    """
    own: dict[str, Any] = {}
    if isinstance(problem, QuantizationProblem):
        own = {
            "full_precision_error": problem.full_precision_error(),
            "examples": problem.example_count,
            "calibration_examples": problem.calibration_count,
        }
    widths = sorted({int(problem.bit_widths[0]), safe_width(problem)})
    return {
        "objective": objectives_of(problem)[0],
        "errors": {width: error_at(problem, width) for width in widths},
        "seconds": _seconds(problem),
        **own,
    }


def safe_width(problem: Problem) -> int:
    """The highest width up to 8 bits, at which a network should lose next to nothing; else the lowest."""
    return int(max((w for w in problem.bit_widths if w <= SAFE_WIDTH), default=problem.bit_widths[0]))


def error_at(problem: Problem, width: int) -> float:
    """The first objective with one width everywhere, or the nearest that a node may take."""
    rows = fit(np.full((1, problem.num_nodes), width), choices(problem), problem.bit_widths)
    return float(checked_objectives(problem, problem.evaluate(rows))[0, 0])


def _seconds(problem: Problem) -> float | None:
    """For a candidate: the median of a few at random; None if all of them had been evaluated before.

    The generator is not seeded, so that another check draws others.
    """
    rng, spent = np.random.default_rng(), list[float]()
    for _ in range(CANDIDATES):
        drawn = rng.choice(problem.bit_widths, size=(1, problem.num_nodes))
        row = fit(drawn, choices(problem), problem.bit_widths)
        before = _evaluated(problem)
        begun = time.perf_counter()
        checked_objectives(problem, problem.evaluate(row))
        took = time.perf_counter() - begun
        if before is None or before != _evaluated(problem):
            spent.append(took)
        if sum(spent) > TIMED:
            break
    return statistics.median(spent) if spent else None


def _evaluated(problem: Problem) -> int | None:
    """How many configurations a problem has evaluated; None if it does not say."""
    return problem.evaluated if isinstance(problem, QuantizationProblem) else None
