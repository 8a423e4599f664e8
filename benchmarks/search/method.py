"""What a method of the comparison is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.search.meter import Meter


@dataclass(frozen=True)
class Method:
    """A way to search.

    Attributes:
        name: on the command line.
        title: in the table.
        run: spends the budget; takes the meter and a seed.
        note: what it does, with its settings, for the page of results.
        seeded: whether it depends on the seed; if not it runs once.
        limit: evaluations it gets at most, by the number of nodes, where it takes too long itself.
    """

    name: str
    title: str
    run: Callable[[Meter, int], object]
    note: str
    seeded: bool = True
    limit: Callable[[int], int] | None = None
