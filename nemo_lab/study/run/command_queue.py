"""Commands on their way to the engine, and the right to touch it: one owner at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from nemo_lab.search import Ledger
from nemo_lab.study.commands.base import Command
from nemo_lab.study.commands.registry import follow


class CommandQueue:
    """Who puts a command while nobody owns the engine owns it, until nothing waits any more.

    Args:
        condition: under which everything here happens, and that wakes who waits for it.
    """

    def __init__(self, condition: threading.Condition) -> None:
        self._condition = condition
        self._waiting: deque[Command] = deque()
        self._unseen: list[Command] = []  # put, and in no snapshot yet
        self.owned = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, command: Command) -> bool:
        """Queue a command; returns whether the caller owns the engine now and has to apply it."""
        with self._condition:
            self._waiting.append(command)
            self._unseen.append(command)
            self._condition.notify_all()
            mine, self.owned = not self.owned, True
            return mine

    def take(self) -> Command | None:
        """The next command, for the owner."""
        with self._condition:
            return self._waiting.popleft() if self._waiting else None

    def own(self) -> None:
        """Become the owner; blocks while somebody else is."""
        with self._condition:
            self._condition.wait_for(lambda: not self.owned)
            self.owned = True

    def release(self) -> bool:
        """Own the engine no more, unless commands wait; returns whether that is so."""
        with self._condition:
            if self._waiting:
                return False
            self.owned = False
            self._condition.notify_all()
            return True

    def seen(self, commands: Iterable[Command]) -> None:
        """These took effect, or failed, and the latest snapshot shows it."""
        with self._condition:
            done = {id(command) for command in commands}
            self._unseen = [command for command in self._unseen if id(command) not in done]

    def ahead(self, ledger: Ledger, evaluations: int) -> Ledger:
        """What is in force once all commands that the snapshot of this ledger lacks have taken effect."""
        with self._condition:
            for command in self._unseen:
                ledger = follow(ledger, command, evaluations)
            return ledger
