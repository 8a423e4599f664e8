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

    Attributes:
        lock: under which everything here happens. ``with`` takes it or not, also where Ctrl-C comes; the
            condition is Python code, and may keep it then.
        condition: on the lock, that wakes who waits.
        owner: who owns the engine, None for nobody.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.condition = threading.Condition(self.lock)
        self._waiting: deque[Command] = deque()
        self._unseen: list[Command] = []  # put, and in no snapshot yet
        self.owner: object = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, command: Command, who: object) -> None:
        """Queue a command; who puts it owns the engine now, unless somebody does, and has to apply it."""
        with self.lock:
            self.owner = self.owner or who  # first: what waits has somebody who applies it
            self._unseen.append(command)
            self._waiting.append(command)
            self.condition.notify_all()

    def take(self) -> Command | None:
        """The next command, for the owner."""
        with self.lock:
            return self._waiting.popleft() if self._waiting else None

    def own(self, who: object) -> None:
        """Become the owner; blocks while somebody else is."""
        with self.lock:
            self.condition.wait_for(lambda: self.owner is None)
            self.owner = who

    def release(self) -> None:
        """Own the engine no more, unless commands wait."""
        with self.lock:
            if not self._waiting:
                self._unseen.clear()  # also of one that Ctrl-C took away
                self.owner = None
                self.condition.notify_all()

    def seen(self, commands: Iterable[Command]) -> None:
        """These took effect, or failed, and the latest snapshot shows it."""
        with self.lock:
            done = {id(command) for command in commands}
            self._unseen = [command for command in self._unseen if id(command) not in done]

    def ahead(self, ledger: Ledger, evaluations: int) -> Ledger:
        """What is in force once all commands that the snapshot of this ledger lacks have taken effect."""
        with self.lock:
            for command in self._unseen:
                ledger = follow(ledger, command, evaluations)
            return ledger
