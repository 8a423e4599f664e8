"""What an objective is: how it is called, on which scales it is read, and how its numbers are written.

Plain records that the problem owns. Whoever draws, lists or reads an objective asks them; nobody compares
names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nemo_lab.arguments import Domain, Flag, Instance, Number, OrNone, Several, Text
from nemo_lab.definitions import definition
from nemo_lab.errors import ArgumentError
from nemo_lab.scales import FORMATS as FORMATS
from nemo_lab.scales import NUMBER as NUMBER
from nemo_lab.scales import PERCENT as PERCENT
from nemo_lab.scales import PLAIN as PLAIN
from nemo_lab.scales import TEXT, Format
from nemo_lab.scales import Scale as Scale

SCALE, SCALES, LIMIT = Instance(Scale), Several(Instance(Scale)), OrNone(Number())
DOMAINS: dict[str, Domain[Any]] = {
    "name": Text(),
    "label": TEXT,
    "display": SCALE,
    "title": TEXT,
    "unit": TEXT,
    "format": Instance(Format),
    "units": SCALES,
    "best": TEXT,
    "metric": TEXT,
    "low": LIMIT,
    "high": LIMIT,
    "exact": Flag(),
    "share": Flag(),
}


@dataclass(frozen=True)
class Objective:
    """One objective of a problem; its values are minimised as they are stored.

    Attributes:
        name: among ``problem.objective_names``, and in every table.
        label: what people call it, on its ``display``; the name by default.
        display: the scale on which it is shown.
        title: the label in full, for axes; the label by default.
        unit: said after it.
        format: of its numbers.
        units: further scales for constraints and tables.
        best: what the one with the best value is called, such as ``"most accurate"``.
        metric: what measures it, such as ``"top1"``, or the name and the digest of a function; empty for
            costs and where that is not known.
        low, high: the best and the worst value that can be reached, None if not known.
        exact: whether it costs no evaluation.
        share: whether it is the share of examples that an answer is wrong for, so that it has the confidence
            interval of a share.

    Raises:
        ArgumentError: on a field of another kind.

    >>> error = Objective("task_error", "accuracy", Scale("accuracy", 1, -1), format=PERCENT)
    >>> error.text(0.0625), error.superlative, error.written
    ('93.75%', 'highest accuracy', 'accuracy')
    >>> Objective("latency_ms").axis
    'latency ms'
    """

    name: str
    label: str = ""
    display: Scale = PLAIN
    title: str = ""
    unit: str = ""
    format: Format = NUMBER
    units: tuple[Scale, ...] = ()
    best: str = ""
    metric: str = ""
    low: float | None = None
    high: float | None = None
    exact: bool = False
    share: bool = False

    def __post_init__(self) -> None:
        for name, domain in DOMAINS.items():
            object.__setattr__(self, name, domain.check(name, getattr(self, name)))
        if not self.label:
            object.__setattr__(self, "label", self.name.replace("_", " ").strip() or self.name)

    @property
    def axis(self) -> str:
        """The label in full, and the unit."""
        return ", ".join(part for part in (self.title or self.label, self.unit) if part)

    @property
    def heading(self) -> str:
        """The label, told apart from the columns of its other units: ``model size ratio``."""
        return f"{self.label} {self.unit.split()[0]}" if self.units and self.unit else self.label

    @property
    def written(self) -> str:
        """Under which name its shown values may be written: ``accuracy``."""
        return self.display.name or self.name

    @property
    def superlative(self) -> str:
        """What the best is called."""
        return self.best or f"{'highest' if self.display.larger_is_better else 'lowest'} {self.label}"

    def text(self, stored: float) -> str:
        """A value in a table."""
        shown = float(self.display.of(stored))
        return f"{shown:{self.format.exact}}" if self.format.exact else number(shown)

    def in_units(self, stored: float) -> str:
        """The same, then in its other units: ``0.2500 = 0.54 MB``."""
        return " = ".join([self.text(stored), *(unit.text(stored) for unit in self.units)])

    def brief(self, shown: float) -> str:
        """A shown value beside an axis."""
        return f"{shown:{self.format.brief}}"

    def difference(self, first: float, second: float) -> str:
        """How much more the first of two stored values is, as shown: in points, or a number and percent."""
        more = float(self.display.of(first) - self.display.of(second))
        if self.format == PERCENT:
            return f"{100 * more:+.2f} points"
        base = float(self.display.of(second))
        percent = f" ({more / abs(base):+.1%})" if base else ""
        return f"{'+' if more > 0 else ''}{number(more)}{percent}"

    def measured_as(self, other: Objective) -> bool:
        """Whether values of both may stand side by side."""
        return (self.name, self.metric) == (other.name, other.metric)

    def saved(self) -> dict[str, Any]:
        """As texts and numbers, for JSON."""
        return {**asdict(self), "format": self.format.name}

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> Objective:
        """Back from ``saved``.

        Raises:
            KeyError, TypeError, ValueError: if that is not what was saved.
        """
        display, *units = (_scale(one) for one in (saved["display"], *saved["units"]))
        rest = {one.name: saved[one.name] for one in fields(cls)}
        for name in ("name", "label", "title", "unit", "best", "metric"):
            if not isinstance(rest[name], str):
                raise TypeError(f"{name} is {rest[name]!r:.40}")
        for name in ("low", "high"):
            rest[name] = None if rest[name] is None else float(rest[name])
        rest |= {name: bool(rest[name]) for name in ("exact", "share")}
        return cls(**{**rest, "display": display, "units": tuple(units), "format": FORMATS[saved["format"]]})


def _scale(saved: Mapping[str, Any]) -> Scale:
    texts = {name: str(saved[name]) for name in ("name", "sign", "thousandth")}
    exponential = bool(saved.get("exponential", False))  # older journals have none
    try:
        return Scale(
            offset=float(saved["offset"]), factor=float(saved["factor"]), exponential=exponential, **texts
        )
    except ArgumentError as error:
        raise ValueError(error.message) from error


def number(value: float) -> str:
    """With four decimals, or as many digits where those would show nothing, or too many stand before them."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.3g}"


_SHARE = Objective("task_error", format=PERCENT, low=0.0, high=1.0, share=True)
# by metric; the first of a problem that is an error between 0 and 1 keeps the name ``task_error``
MEASURED = {
    one.metric: one
    for one in (
        replace(
            _SHARE, metric="top1", label="accuracy", display=Scale("accuracy", 1, -1), best="most accurate"
        ),
        replace(_SHARE, metric="top5", label="top-5 accuracy", display=Scale("top5_accuracy", 1, -1)),
        replace(
            _SHARE,
            metric="agreement",
            label="agreement",
            title="agreement with full precision",
            display=Scale("agreement", 1, -1),
        ),
        Objective(
            "kl_divergence",
            "KL divergence",
            unit="in units of ln(classes)",
            metric="kl",
            low=0.0,
            high=1.0,
        ),
        Objective("log_perplexity", "perplexity", Scale("perplexity", exponential=True), metric="perplexity"),
    )
}


def of_function(metric: Callable[..., Any]) -> Objective:
    """What a function of outputs and labels measures: called by its name, told apart by its definition."""
    name = str(getattr(metric, "__name__", type(metric).__name__)).strip("<>")
    return Objective(name, metric=f"{name} {definition(metric)}")
