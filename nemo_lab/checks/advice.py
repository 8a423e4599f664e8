"""What to do about what a check found: each with a way out, which was tried where that is cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nemo_lab.checks.figures import safe_width
from nemo_lab.checks.report import EVALUATIONS, CheckReport
from nemo_lab.checks.subject import Subject
from nemo_lab.checks.trials import Trial, Trials
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.quantize.memory import ANNOUNCED, LESS_MEMORY, megabytes
from nemo_lab.quantize.sanity import SAFE_WIDTH, is_far, reach_of

FEW_EXAMPLES = 200  # below, a single one is half a point
FEW_FOR_RANGES = 32
LONG = 30.0  # minutes
MOSTLY_WRONG = 0.5


def advice(report: CheckReport, subject: Subject, seconds: float) -> tuple[str, ...]:
    """What to do, the most important first.

    Args:
        report: without advice.
        subject: what was checked.
        seconds: that trials may take together.
    """
    found = [*_of_network(report, subject)]
    problem = subject.problem
    if isinstance(problem, QuantizationProblem) and report.ok:
        found += _Measured(report, problem, seconds).all()
    if report.minutes is not None and report.minutes > LONG:
        quarter = "" if report.examples is None else (
            f": time goes with the examples, and a quarter of {report.examples:,} takes about "
            f"{report.minutes / 4:.0f} min; a GPU is faster"
        )  # fmt: skip
        found.append(f"{EVALUATIONS} evaluations take about {report.minutes:.0f} min{quarter}")
    if report.memory_bytes is not None and report.memory_bytes > ANNOUNCED:
        found.append(f"up to {megabytes(report.memory_bytes)} of memory: {LESS_MEMORY} to save some")
    return tuple(found)


def _of_network(report: CheckReport, subject: Subject) -> Iterator[str]:
    workload = subject.workload
    if workload is None:
        return
    if not workload.trained:
        yield (
            "the weights are random: sizes and MACs are exact, errors would mean nothing; load trained "
            "weights into the module, and trace it by Workload.from_module"
        )
    if subject.problem is None and report.ok:
        yield (
            "errors and times need data: nl.check(..., calibration=inputs, data=(inputs, labels)) "
            "measures them"
        )


class _Measured:
    """Advice on what was measured of a quantized network."""

    def __init__(self, report: CheckReport, problem: QuantizationProblem, seconds: float) -> None:
        self.report, self.problem, self.seconds = report, problem, seconds
        self.trials = Trials(problem, report.seconds or 0.0, seconds)
        self.full = report.full_precision_error or 0.0
        self.lowest = report.errors[min(report.errors)]
        self.objective = problem.objectives[0]
        self.reach = reach_of(problem.metrics[0].objective, self.full, self.lowest)

    def all(self) -> list[str]:
        """What there is to say."""
        ways: tuple[Callable[[], str], ...] = (
            self._far, self._depthwise, self._insensitive, self._few_examples, self._few_for_ranges,
        )  # fmt: skip
        return [text for way in ways if (text := way())]

    def _is_far(self, error: float, full: float | None = None) -> bool:
        examples = self.problem.example_count if self.objective.share else None
        return is_far(self.full if full is None else full, error, self.reach, examples)

    def _shown(self, error: float) -> str:
        return f"{self.objective.label} {self.objective.text(error)}"

    def _far(self) -> str:
        """The widest bits that should cost nothing, and do."""
        width = safe_width(self.problem)
        found = self.report.errors[width]
        if width > SAFE_WIDTH or not self._is_far(found):
            return ""
        wide = self.trials.error(SAFE_WIDTH) if width < SAFE_WIDTH else None
        said = f"{width} bits everywhere are far from full precision ({self._against(found)})"
        if wide is not None and not self._is_far(wide):
            return f"{said}, and 8 are not ({self._shown(wide)}): add wider ones, bit_widths=(..., 8)"
        tried = list[Trial]()
        for some in (self.trials.ranges, self.trials.operands, self.trials.both, self.trials.worst_left_out):
            if all(self._is_far(trial.error) for trial in tried):
                tried += some(width)
        if not tried:
            return (
                f"{said}: try per_channel=True, equalize=True, ranges='percentile' or ranges='mse'; to try "
                f"them here takes longer than {self.seconds:g} seconds"
            )
        best = min(tried, key=lambda trial: trial.error)
        others = ", ".join(f"{t.words} {self.objective.text(t.error)}" for t in tried if t is not best)
        also = f"; {others}" if others else ""
        if self._is_far(best.error):
            return (
                f"{said}: the best of what was tried is {best.words} ({self._shown(best.error)}{also}); see "
                "problem.sqnr() for the nodes that suffer, and whether calibration is like data"
            )
        return f"{said}: use {best.words}, which gives {self._shown(best.error)}{also}"

    def _against(self, error: float) -> str:
        return f"{self._shown(error)} against {self.objective.text(self.full)}"

    def _depthwise(self) -> str:
        """Weights of depthwise layers, whose channels differ most, with one scale for all."""
        count = sum(node.depthwise and node.kind == "weight" for node in self.problem.workload.nodes)
        if not count or self.problem.config.per_channel:
            return ""
        width = int(self.problem.bit_widths[len(self.problem.bit_widths) // 2])
        now, other = self.trials.error(width), self.trials.error(width, per_channel=True)
        if now is None or other is None or not self._is_far(now, other):
            return ""
        return (
            f"{count} depthwise weights have one scale for all channels: per_channel=True gives "
            f"{self._shown(other)} at {width} bits everywhere, in place of {self.objective.text(now)}"
        )

    def _insensitive(self) -> str:
        """The lowest width that costs nothing: either nothing works, or everything does."""
        width = min(self.report.errors)
        if self._is_far(self.lowest) or width > SAFE_WIDTH // 2:
            return ""
        if self.objective.share and self.full >= MOSTLY_WRONG:
            return (
                f"full precision does as badly as {width} bits everywhere ({self._shown(self.full)}): see "
                "that the weights are trained, and that inputs are normalised as in training"
            )
        return (
            f"{width} bits everywhere are close to full precision ({self._against(self.lowest)}): a search "
            "has little to find; metric='kl' tells finer differences"
        )

    def _few_examples(self) -> str:
        count = self.problem.example_count
        if not self.objective.share or count >= FEW_EXAMPLES:
            return ""
        return (
            f"with {count} examples {self.objective.label} moves in steps of {100 / count:.2g} points, and "
            "configurations often differ by less than one: give a few hundred, or metric='kl', which has "
            "no steps"
        )

    def _few_for_ranges(self) -> str:
        count = self.problem.calibration_count
        if count >= FEW_FOR_RANGES:
            return ""
        return (
            f"the ranges of activations come from {count} examples: give {FEW_FOR_RANGES} or "
            "more as calibration"
        )
