"""What a steer changed, so that it can be taken back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nemo_lab.search.constraints import Rules
from nemo_lab.search.members import Member
from nemo_lab.search.species_controls import Controls


@dataclass(frozen=True, eq=False)
class Change:
    """The difference between before a steer and after it.

    Attributes:
        rules, controls: as they were before.
        entered: members and waiting configurations that came by it.
        left: those that went, evaluated or not.
        budget: as it was before, None where the steer left it alone.
        label: what people call the steer.
    """

    rules: Rules
    controls: Controls
    entered: tuple[Member, ...] = ()
    left: tuple[Member, ...] = ()
    budget: int | None = None
    label: str = ""


def difference(before: Iterable[Member], after: Iterable[Member]) -> tuple[tuple[Member, ...], ...]:
    """Who entered and who left, each once and in order."""
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    return tuple(m for m in new if m not in old), tuple(m for m in old if m not in new)
