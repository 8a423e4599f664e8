"""Commands on their way to the engine, and the right to touch it: one owner at a time."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from nemo_lab.interruption import LOOK_UP, check_interrupted
from nemo_lab.search import Ledger
from nemo_lab.study.commands.base import Command
from nemo_lab.study.commands.registry import follow


class CommandQueue:
    """Who puts a command while nobody owns the engine owns it, until nothing waits any more.

    Attributes:
        lock: under which everything here happens.
        condition: on the lock, that wakes who waits.
        owned: whether somebody owns the engine.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.condition = threading.Condition(self.lock)
        self._waiting: deque[Command] = deque()
        self._unseen: list[Command] = []  # put, and in no snapshot yet
        self.owned = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, command: Command) -> bool:
        """Queue a command; returns whether who puts it owns the engine now, and has to apply it."""
        with self.lock:
            mine, self.owned = not self.owned, True
            self._unseen.append(command)
            self._waiting.append(command)
            self.condition.notify_all()
            return mine

    def wait_for(self, look: Callable[[], bool], timeout: float | None) -> bool:
        """Wait for something, unless cancelled; returns whether it came before the timeout."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        with self.lock:
            while (left := deadline - time.monotonic()) > 0:
                if self.condition.wait_for(look, min(left, LOOK_UP)):
                    return True
                check_interrupted()
            return look()

    def take(self, *, beside: bool = False) -> Command | None:
        """The next command, for the owner; ``beside`` evaluations only one that changes nothing."""
        with self.lock:
            if not self._waiting or (beside and self._waiting[0].action):
                return None
            return self._waiting.popleft()

    def own(self) -> None:
        """Become the owner; blocks while somebody else is."""
        with self.lock:
            self.condition.wait_for(lambda: not self.owned)
            self.owned = True

    def release(self) -> bool:
        """Own the engine no more, unless commands wait; returns whether so."""
        with self.lock:
            if not self._waiting:
                self.owned = False
                self.condition.notify_all()
            return not self.owned

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
