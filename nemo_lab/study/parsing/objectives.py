"""From what people write about objectives to positions and numbers, with errors that name the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from nemo_lab.arguments import Number
from nemo_lab.errors import ArgumentError, UnknownNameError, shown
from nemo_lab.objective import PLAIN, Scale
from nemo_lab.search import Problem
from nemo_lab.search.objective import objectives_of, varied

ROUNDING = 1e-12  # what a limit was read from keeps it, though ratios are rounded otherwise
NUMBER = Number()
DIGITS = frozenset("0123456789+-.eE")


class ObjectiveNames:
    """Every name under which an objective may be written: its own, that of its display, and its units.

    Attributes:
        example: a constraint that can be written for this problem, such as ``accuracy >= 0.9``.
        examples: one or two of them, for hints.
        box_example: an interval, such as ``accuracy 0.9 to 1``.
    """

    def __init__(self, problem: Problem) -> None:
        self._objectives = objectives_of(problem)
        scales = [(one.name, k, PLAIN) for k, one in enumerate(self._objectives)]
        scales += [(one.display.name, k, one.display) for k, one in enumerate(self._objectives)]
        scales += [(unit.name, k, unit) for k, one in enumerate(self._objectives) for unit in one.units]
        scales += [(one.metric, k, one.display) for k, one in enumerate(self._objectives)]
        self._scales: dict[str, tuple[int, Scale]] = {}
        for name, k, scale in scales:  # the names of objectives come first, so they win
            if name.isidentifier() or name in problem.objective_names:  # a function has a digest, too
                self._scales.setdefault(name, (k, scale))
        first, *others = varied(problem)
        self.example = self._example(first.written)
        ends = sorted(self._best_tenth(*self._known(first.written)))
        self.box_example = f"{first.written} {ends[0]:.4g} to {ends[1]:.4g}"
        units = [unit.name for one in others for unit in one.units if unit.name in self._scales]
        second = units[0] if units else next((one.written for one in others), None)
        self.examples = repr(self.example) + (f" or {self._example(second)!r}" if second else "")

    def limits(self, constraints: Sequence[str]) -> dict[int, float]:
        """Objective -> largest value, from texts such as ``"model_mb <= 2"``; the tightest of several.

        Raises:
            ArgumentError: on what has another form, or bounds an objective on its good side.
            UnknownNameError: if there is no such objective.
        """
        found: dict[int, float] = {}
        for text in constraints:
            written, sign, number = _parts(text)
            if number is None:
                raise ArgumentError(f"constraint {shown(text)} cannot be read", f"write {self.examples}")
            name, at_least = self._name(written), sign == ">"
            k, scale = self._known(name)
            if at_least != scale.larger_is_better:
                wrong = "less of what is maximised" if scale.larger_is_better else "more of what is minimised"
                raise ArgumentError(
                    f"constraint {shown(text)} asks for {wrong}", f"write '{name} {_sign(scale)} ...'"
                )
            found[k] = min(_stored(scale, number), found.get(k, float("inf")))
        return found

    def box(self, given: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
        """Objective -> (smallest, largest), as stored, from names with what is wanted of them.

        Args:
            given: name = (smallest, largest), or one number: the largest wanted, or the smallest where
                larger is better; None for no limit.

        Raises:
            ArgumentError: if an interval is empty, not finite, or outside of what can be reached.
            UnknownNameError: if there is no such objective.
        """
        found: dict[int, tuple[float, float]] = {}
        for written, value in given.items():
            name = self._name(written) if isinstance(written, str) else written
            k, scale = self._known(name)
            least, most = self._bounds(k)
            asked = self._interval(name, value, k)
            if asked is None:
                continue
            first, last = asked
            low, high = found.get(k, (-float("inf"), float("inf")))
            first, last = max(first, low), min(last, high)
            if not (first < last and last > least and first < most):
                ends = sorted((scale.of(least), scale.of(most)))
                both = " together with another limit on it" if k in found else ""
                raise ArgumentError(
                    f"{name}={shown(value)} leaves nothing{both}",
                    f"it can be reached from {ends[0]:.4g} to {ends[1]:.4g}",
                )
            found[k] = (first, last)
        return found

    def out_of_reach(self, limits: Mapping[int, float]) -> list[str]:
        """What can be reached of every objective that is limited to less, as far as that is known."""
        told = []
        for k, limit in limits.items():
            (least, most), one = self._bounds(k), self._objectives[k]
            if limit < least - ROUNDING * abs(least):
                low, high = sorted((one.display.of(least), one.display.of(most)))
                told.append(f"{one.written} can be reached from {low:.4g} to {high:.4g}")
        return told

    def _interval(self, name: str, value: Any, k: int) -> tuple[float, float] | None:
        """(smallest, largest) as stored; an end of None is as far as can be reached. None if both are."""
        _, scale = self._known(name)
        pair = tuple(value) if isinstance(value, tuple | list) and len(value) == 2 else None
        if value is None or (pair is not None and pair[0] is None and pair[1] is None):
            return None
        ends = pair or ((value, None) if scale.larger_is_better else (None, value))
        try:
            low, high = (None if end is None else NUMBER.clean(end) for end in ends)
        except Exception:
            what = "smallest" if scale.larger_is_better else "largest"
            hint = f"give the {what} value, or (smallest, largest)"
            raise ArgumentError(f"{name}={shown(value)}", hint) from None
        if low is not None and high is not None and low > high:
            raise ArgumentError(f"{name}={shown(value)} is empty", f"write ({high:g}, {low:g})")
        least, most = self._bounds(k)
        first, last = (high, low) if scale.larger_is_better else (low, high)
        return (
            least if first is None else _stored(scale, first),
            most if last is None else _stored(scale, last),
        )

    def _bounds(self, k: int) -> tuple[float, float]:
        low, high = self._objectives[k].low, self._objectives[k].high
        return float(low or 0.0), 1.0 if high is None else float(high)

    def _name(self, written: str) -> str:
        """The name that is written, in quotes or not, with blanks or line breaks around or in it."""
        plain = written.strip()
        quoted = len(plain) > 2 and plain[0] == plain[-1] and plain[0] in "'\"`"
        forms = (written, plain, plain[1:-1] if quoted else plain)
        exact = next((form for form in forms if form in self._scales), None)
        wanted = [" ".join(form.split()) for form in forms]
        same = (name for name in self._scales if " ".join(name.split()) in wanted)
        return exact or next(same, wanted[-1])

    def _known(self, name: str) -> tuple[int, Scale]:
        if name not in self._scales:
            raise UnknownNameError("objective", name, self._scales)
        return self._scales[name]

    def _example(self, name: str) -> str:
        """A constraint a tenth of the way from the best to the worst that can be reached."""
        k, scale = self._known(name)
        best, near = self._best_tenth(k, scale)
        return f"{name} {_sign(scale)} {_short(near, abs(near - best) / 2)}"

    def _best_tenth(self, k: int, scale: Scale) -> tuple[float, float]:
        """The best that can be reached, and what is a tenth of the way to the worst, on a scale."""
        low, high = self._bounds(k)
        return float(scale.of(low)), float(scale.of(low + 0.1 * (high - low)))


def _sign(scale: Scale) -> str:
    return ">=" if scale.larger_is_better else "<="


def _stored(scale: Scale, shown: float) -> float:
    """As stored; 0.1, not 0.09999999999999998, for 0.9 of what is 1 at best."""
    if scale.offset and not scale.exponential:
        exact, offset, factor = (Decimal(repr(float(x))) for x in (shown, scale.offset, scale.factor))
        return float((exact - offset) / factor) + 0.0
    if scale.exponential:
        stored = float(scale.stored(shown))
        return stored + ROUNDING * abs(stored)
    return shown if scale.factor == 1 else shown / scale.factor * (1.0 + ROUNDING)


def _short(value: float, off: float) -> str:
    """With as few digits as keep it within ``off``."""
    texts = (f"{value:.{digits}g}" for digits in range(1, 17))
    return next((text for text in texts if abs(float(text) - value) <= off), repr(value))


def _parts(text: Any) -> tuple[str, str, float | None]:
    """What stands before the last ``<`` or ``>``, that sign, and the number after it, None for no number."""
    if not isinstance(text, str):
        return "", "", None
    place = max(text.rfind("<"), text.rfind(">"))
    digits = text[place + 1 :].removeprefix("=").strip()
    if place < 0 or not text[:place].strip() or not DIGITS.issuperset(digits):
        return "", "", None
    try:
        return text[:place], text[place], NUMBER.clean(float(digits))
    except ValueError:
        return "", "", None
