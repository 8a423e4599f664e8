"""Runs of a network in segments that begin where an earlier run agrees.

Every segment ends with an activation quantizer, so what flows between segments is whole numbers that
fit a byte. Two configurations with the same widths in the first segments have the same numbers there:
a later one starts behind them. What is kept is exact, so no result depends on what was kept. Kept is
only what has come up twice: most beginnings never return, and would push out those that do; and only
where all that flows is such numbers, or depends on no decision, as a mask does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from nemo_lab.quantize.activation_quantizer import ActivationQuantizer
from nemo_lab.quantize.affine import Codes
from nemo_lab.quantize.segments import Segment

Prefix = bytes
REMEMBERED = 50_000  # beginnings


@dataclass(frozen=True, eq=False)
class Plain:
    """What flows as it is: a number, or a tensor that depends on no decision.

    Attributes:
        value: a copy of what flowed, which later segments may write to.
        nbytes: in memory.
    """

    value: Any
    nbytes: int

    def decode(self) -> Any:
        """A copy of the value."""
        return _copied(self.value)


Part = Codes | Plain
State = tuple[Part, ...]


class KeptStates:
    """What flowed between segments, least recently used forgotten first, within ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._states: OrderedDict[Hashable, State] = OrderedDict()
        self._users: dict[int, int] = {}
        self._first: OrderedDict[Hashable, Prefix] = OrderedDict()
        self._plain: WeakValueDictionary[tuple[int, fx.Node], Plain] = WeakValueDictionary()

    def recurs(self, beginning: Hashable, configuration: Prefix) -> bool:
        """Whether another configuration began like this before; takes note that this one does."""
        first = self._first.setdefault(beginning, configuration)
        self._first.move_to_end(beginning)
        if len(self._first) > REMEMBERED:
            self._first.popitem(last=False)
        return first != configuration

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[State]:
        """Every state, least recently used first."""
        return iter(tuple(self._states.values()))

    def get(self, key: Hashable) -> State | None:
        """A state, if it is still there."""
        state = self._states.get(key)
        if state is not None:
            self._states.move_to_end(key)
        return state

    def put(self, key: Hashable, state: State) -> None:
        """Keep a state; parts that other states have too are counted once."""
        if key in self._states or sum(part.nbytes for part in state) > self.limit // 8:
            return
        self._states[key] = state
        for part in state:
            self._users[id(part)] = self._users.get(id(part), 0) + 1
            self.bytes += part.nbytes if self._users[id(part)] == 1 else 0
        while self.bytes > self.limit:
            _, oldest = self._states.popitem(last=False)
            for part in oldest:
                self._users[id(part)] -= 1
                if not self._users[id(part)]:
                    del self._users[id(part)]
                    self.bytes -= part.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._first.clear()
        self._states.clear()
        self._users.clear()
        self.bytes = 0

    def run(
        self,
        segments: Sequence[Segment],
        batch: int,
        row: NDArray[np.uint8],
        values: Sequence[Any],
        quantizers: Mapping[fx.Node, ActivationQuantizer],
    ) -> Any:
        """Run all segments, or begin where an earlier run agrees.

        Args:
            segments: of a network.
            batch: number of the batch.
            row: widths that the network is set to.
            values: that flow into the first segment.
            quantizers: that some nodes call.

        Returns:
            what flows out of the last.
        """
        last, configuration = len(segments) - 1, row.tobytes()
        beginnings = [(k, row[segment.decisions].tobytes()) for k, segment in enumerate(segments)]
        begin, parts = 0, dict[fx.Node, Part]()
        wanted = [k for k in range(last) if self.recurs(beginnings[k], configuration)]
        flowing = {node for k in wanted for node in segments[k].outputs}
        with _coding([module for node, module in quantizers.items() if node in flowing]):
            for k in range(last - 1, -1, -1):
                state = self.get((batch, beginnings[k]))
                if state is not None:
                    begin = k + 1
                    parts = dict(zip(segments[k].outputs, state, strict=True))
                    values = tuple(part.decode() for part in state)
                    break
            for k in range(begin, last):
                values = segments[k].run.forward(*values)
                for node, value in zip(segments[k].outputs, values, strict=True):
                    if node in flowing and node not in parts:
                        coded = quantizers[node].codes if node in quantizers else None
                        part = coded or self._as_it_is(batch, node, value, node in segments[k].fixed)
                        parts.update({} if part is None else {node: part})
                if k in wanted and parts.keys() >= set(segments[k].outputs):
                    self.put((batch, beginnings[k]), tuple(parts[node] for node in segments[k].outputs))
            return segments[last].run.forward(*values)

    def _as_it_is(self, batch: int, node: fx.Node, value: Any, fixed: bool) -> Plain | None:
        """A value as a part, the same object for the same one; None for tensors that decisions change."""
        tensors = [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]
        if tensors and not fixed:
            return None
        found = self._plain.get((batch, node))
        if found is None:
            found = Plain(_copied(value), sum(tensor.nbytes for tensor in tensors))
            if tensors:
                self._plain[batch, node] = found
        return found


def _copied(value: Any) -> Any:
    return pytree.tree_map_only(Tensor, Tensor.clone, value)


@contextmanager
def _coding(modules: Sequence[ActivationQuantizer]) -> Iterator[None]:
    """Have quantizers give codes."""
    try:
        for module in modules:
            module.keep = True
        yield
    finally:
        try:
            _give_none(modules)
        except BaseException:  # Ctrl-C at this very moment: none may be left giving codes
            _give_none(modules)
            raise


def _give_none(modules: Sequence[ActivationQuantizer]) -> None:
    """Have quantizers give no codes, and forget those they gave."""
    for module in modules:
        module.keep, module.codes = False, None
