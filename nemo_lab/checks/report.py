"""What a check found, as figures, as text and as HTML."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from nemo_lab.objective import Objective
from nemo_lab.quantize.memory import megabytes

COLUMNS, MARGIN = 100, 18  # of the text, and of what stands before it
LINES = 25
NAMED = 3  # parts in full precision
EVALUATIONS = 500  # that the estimated time is for


@dataclass(frozen=True)
class LeftOut:
    """A part of a network that stays in full precision.

    Attributes:
        name, op: what it is.
        params: its weights.
        macs: its multiply-accumulates for one example, None if nobody knows.
        why: it is not quantized.
    """

    name: str
    op: str
    params: int
    macs: int | None
    why: str

    def __str__(self) -> str:
        macs = "MACs unknown" if self.macs is None else f"{self.macs:,} MACs"
        return f"{self.name} ({self.op}: {self.params:,} weights, {macs}; {self.why})"


@dataclass(frozen=True, eq=False, repr=False)
class CheckReport:
    """What ``nl.check`` found. What is not known is None, or empty.

    Attributes:
        title: what was checked.
        reason: why it cannot be searched, empty if it can.
        hint: the way out of that.
        traced_by: ``"torch.fx"`` or ``"torch.export"``.
        fx_says: why torch.fx could not trace it, if torch.export had to.
        weights, activations: how many decisions are of each kind.
        params, macs: weights, and multiply-accumulates for one example.
        full_precision: what is not quantized.
        sizes_mb: size in MB of the network with one width everywhere, by width; 32 is full precision.
        memory_bytes: what a search takes at most; without data, besides the examples.
        objective: the first one, which says how errors are shown.
        full_precision_error: of the network as it is.
        errors: with one width everywhere, by width.
        examples, calibration_examples: how many errors and ranges come from.
        seconds: for a candidate, the median of a few at random.
        minutes: for 500 of them with ``workers=1``, an estimate.
        advice: what to do, the most important first.
    """

    title: str
    reason: str = ""
    hint: str = ""
    traced_by: str | None = None
    fx_says: str = ""
    weights: int | None = None
    activations: int | None = None
    params: int | None = None
    macs: int | None = None
    full_precision: tuple[LeftOut, ...] = ()
    sizes_mb: Mapping[int, float] = field(default_factory=dict)
    memory_bytes: int | None = None
    objective: Objective | None = None
    full_precision_error: float | None = None
    errors: Mapping[int, float] = field(default_factory=dict)
    examples: int | None = None
    calibration_examples: int | None = None
    seconds: float | None = None
    advice: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.reason

    @property
    def minutes(self) -> float | None:
        """Estimated, for 500 evaluations with ``workers=1``."""
        return None if self.seconds is None else EVALUATIONS * self.seconds / 60

    def to_dict(self) -> dict[str, Any]:
        """All figures as texts and numbers, for JSON; widths are texts."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        plain["objective"] = None if self.objective is None else self.objective.name
        plain["full_precision"] = [asdict(part) for part in self.full_precision]
        for name in ("sizes_mb", "errors"):
            plain[name] = {str(width): value for width, value in plain[name].items()}
        plain["advice"] = list(self.advice)
        return {"ok": self.ok, **plain, "minutes": self.minutes}

    @property
    def verdict(self) -> str:
        """One line: whether it can be searched."""
        if not self.ok:
            return f"{self.title} cannot be searched"
        return f"{self.title} can be searched" if self.errors else f"{self.title} can be traced"

    def rows(self) -> list[tuple[str, str]]:
        """What is known, as label and text."""
        return [row for row in (*self._obstacle(), *self._network(), *self._measured()) if row[1]]

    def _obstacle(self) -> list[tuple[str, str]]:
        return [("because", self.reason), ("way out", self.hint)]

    def _network(self) -> list[tuple[str, str]]:
        rows = []
        if self.traced_by:
            why = f"; torch.fx says {self.fx_says}" if self.fx_says else ""
            rows.append(("traced by", textwrap.shorten(f"{self.traced_by}{why}", 2 * (COLUMNS - MARGIN))))
        if self.weights is not None:
            counts = ((self.weights, "weight"), (self.activations, "activation"))
            each = [f"{count} {kind}{'' if count == 1 else 's'}" for count, kind in counts]
            rows.append(("decisions", ", ".join(each)))
        if self.params is not None:
            sizes = ", ".join(f"{size:.3g} MB at {width} bits" for width, size in self.sizes_mb.items())
            rows.append(("weights", f"{self.params:,}{': ' if sizes else ''}{sizes}"))
            rows.append(("MACs", f"{self.macs:,} for one example"))
            rows.append(("full precision", self._left_out()))
        return rows

    def _left_out(self) -> str:
        if not self.full_precision:
            return "nothing that counts"
        named = ", ".join(map(str, self.full_precision[:NAMED]))
        more = len(self.full_precision) - NAMED
        return f"{named}{f', and {more} more' if more > 0 else ''}"

    def _measured(self) -> list[tuple[str, str]]:
        rows = []
        if self.memory_bytes is not None:
            beside = "" if self.errors else ", and the examples"
            rows.append(("memory", f"up to {megabytes(self.memory_bytes)}{beside}"))
        if self.objective is not None and self.errors:
            text = self.objective.text
            full = self.full_precision_error
            parts = [] if full is None else [f"{text(full)} in full precision"]
            parts += [f"{text(error)} at {width} bits" for width, error in sorted(self.errors.items())[::-1]]
            counted = "" if self.examples is None else f" ({self.examples:,} examples)"
            rows.append((self.objective.label, f"{', '.join(parts)}{counted}"))
        if self.seconds is not None and self.minutes is not None:
            rows.append(
                (
                    "time",
                    f"{self.seconds:.2g} s for a candidate; by estimate {_time(self.minutes)} for "
                    f"{EVALUATIONS} evaluations with workers=1",
                )
            )
        return rows

    def __str__(self) -> str:
        lines = [self.verdict]
        for label, text in self.rows():
            lines += textwrap.wrap(
                text, COLUMNS, initial_indent=f"  {label:<{MARGIN - 2}}"[: max(MARGIN, len(label) + 3)],
                subsequent_indent=" " * MARGIN,
            )  # fmt: skip
        for number, one in enumerate(self.advice):
            block = textwrap.wrap(one, COLUMNS, initial_indent="- ", subsequent_indent="  ")
            if len(lines) + len(block) >= LINES:
                left = len(self.advice) - number
                lines.append(f"- and {left} more: see advice of the report")
                break
            lines += block
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<CheckReport {self.verdict}: {len(self.advice)} pieces of advice>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(label)}</th><td style='text-align:left'>{html.escape(text)}</td></tr>"
            for label, text in self.rows()
        )
        advice = "".join(f"<li>{html.escape(one)}</li>" for one in self.advice)
        return (
            f"<p><b>{html.escape(self.verdict)}</b></p>"
            f'<table border="1" class="dataframe"><tbody>{rows}</tbody></table>'
            f"{f'<ul>{advice}</ul>' if advice else ''}"
        )


def _time(minutes: float) -> str:
    return f"{60 * minutes:.2g} s" if minutes < 1 else f"{minutes:.2g} min"
