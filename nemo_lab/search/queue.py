"""Members on their way through evaluation: waiting, or out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Set

import numpy as np

from nemo_lab.search.members import Candidate, Member
from nemo_lab.search.species import Bits


class Queue:
    """Who is evaluated next, and who is out at this moment."""

    def __init__(self) -> None:
        self._waiting: deque[Member] = deque()
        self._out: list[Candidate] = []
        self._keys: frozenset[bytes] | None = frozenset()  # of those that are out, None if not known

    def __iter__(self) -> Iterator[Member]:
        """Those that wait, in order."""
        return iter(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def out(self) -> tuple[Candidate, ...]:
        """Those that are out, in the order in which they were handed out."""
        return tuple(self._out)

    def unevaluated(self) -> list[Member]:
        """Those that are out and those that wait."""
        return [*(candidate.member for candidate in self._out), *self._waiting]

    def projected(self) -> Bits | None:
        """uint8[N, Q] that a pin made of the front's members and that are not evaluated yet, or None."""
        rows = [member.bits for member in self.unevaluated() if member.origin == "projected"]
        return np.array(rows, dtype=np.uint8) if rows else None

    def is_out(self, bits: Bits) -> bool:
        """Whether the configuration uint8[Q] is being evaluated."""
        if self._keys is None:
            self._keys = frozenset(candidate.bits.tobytes() for candidate in self._out)
        return bits.tobytes() in self._keys

    def append(self, members: Iterable[Member]) -> None:
        """Let members wait behind all others."""
        self._waiting.extend(members)

    def put_first(self, members: Sequence[Member]) -> None:
        """Let members wait before all others, in their order."""
        self._waiting.extendleft(reversed(members))

    def drop(self, members: Set[Member]) -> None:
        """Let these members wait no longer."""
        self._waiting = deque(member for member in self._waiting if member not in members)

    def first(self) -> Member:
        """Who is next."""
        return self._waiting[0]

    def pass_over(self) -> None:
        """Take the next one out of the queue: it needs no evaluation."""
        self._waiting.popleft()

    def send(self, bits: Bits) -> Candidate:
        """Hand the next one out as a candidate with the configuration uint8[Q]."""
        candidate = Candidate(bits, self._waiting.popleft())
        self._out.append(candidate)
        self._keys = None
        return candidate

    def told(self, candidate: Candidate) -> None:
        """A candidate is evaluated."""
        self._out.remove(candidate)
        self._keys = None

    def give_back(self, candidate: Candidate) -> None:
        """A candidate could not be evaluated: it is the next one again."""
        self.told(candidate)
        self.put_first([candidate.member])
