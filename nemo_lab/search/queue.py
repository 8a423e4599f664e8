"""Members on their way through evaluation: waiting, out, or waiting for a twin that is out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Set

from nemo_lab.search.members import Candidate, Member
from nemo_lab.search.species import Bits


class Queue:
    """Who is evaluated next, and who is out at this moment.

    A *twin* is a member whose configuration is out already: it takes the objectives when they come.
    """

    def __init__(self) -> None:
        self._waiting: deque[Member] = deque()
        self._out: dict[Member, bytes] = {}
        self._twins: dict[bytes, list[Member]] = {}

    def __iter__(self) -> Iterator[Member]:
        """Those that wait, in order."""
        return iter(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether a candidate is out."""
        return bool(self._out)

    @property
    def twins(self) -> int:
        """Members that wait for a configuration that is out."""
        return sum(map(len, self._twins.values()))

    def is_out(self, bits: Bits) -> bool:
        """Whether the configuration uint8[Q] is being evaluated."""
        return bits.tobytes() in self._out.values()

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

    def wait_for_twin(self, member: Member, bits: Bits) -> None:
        """Let a member take the objectives of a configuration that is out."""
        self._twins.setdefault(bits.tobytes(), []).append(member)

    def send(self, bits: Bits) -> Candidate:
        """Hand the next one out as a candidate with the configuration uint8[Q]."""
        member = self._waiting.popleft()
        self._out[member] = bits.tobytes()
        return Candidate(bits, member)

    def told(self, candidate: Candidate) -> list[Member]:
        """A candidate is evaluated; returns the twins that waited for it."""
        del self._out[candidate.member]
        return self._twins.pop(candidate.bits.tobytes(), [])

    def give_back(self, candidate: Candidate) -> None:
        """A candidate could not be evaluated: it is the next one again, its twins behind it."""
        self.put_first([candidate.member, *self.told(candidate)])
