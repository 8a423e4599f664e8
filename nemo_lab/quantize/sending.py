"""A problem on its way to another process, or into a file."""

from __future__ import annotations

import pickle
import threading
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from nemo_lab.errors import ArgumentError
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.workload.workload import Workload

HERE = ("_lock", "_network", "_found")  # of this process: what runs, and what it has answered
_on_its_way: ContextVar[tuple[Any, ...]] = ContextVar("nemo_lab_on_its_way", default=())


class Sent:
    """The part of a ``QuantizationProblem`` that lets it be pickled: nothing is calibrated again.

    Classes and functions of a notebook or a script go with it, so that they need not be importable where it
    arrives; its numbers are the same there to the last bit, on a processor of the same kind.
    """

    workload: Workload

    def _running(self) -> AbstractContextManager[QuantizedNetwork]:
        """The network, for one caller at a time."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        import cloudpickle

        state = {name: value for name, value in self.__dict__.items() if name not in HERE}
        if self in _on_its_way.get():  # and would wait for itself
            raise pickle.PicklingError("it holds something that holds it again, such as a changed method")
        token = _on_its_way.set((*_on_its_way.get(), self))
        try:
            with self._running() as network:
                made = {
                    "device": network.device,
                    "kept": network.kept.limit,
                    "weights": network.weights.limit,
                }
                data = cloudpickle.dumps((state, made, network.ranges, network.channels_last))
        except Exception as error:  # of whatever somebody put into the network
            raise ArgumentError(
                f"{self.workload.name} cannot be sent to another process: {type(error).__name__}: {error}",
                "see that its modules and metrics hold no open file, lock or connection",
            ) from error
        finally:
            _on_its_way.reset(token)
        return _received, (type(self), data)


def _received(kind: Any, data: bytes) -> Any:
    """The problem that was sent."""
    state, made, ranges, channels_last = pickle.loads(data)  # noqa: S301  which pickle is about to do anyway
    problem = kind.__new__(kind)
    problem.__dict__.update(state, _lock=threading.Lock(), _found={})
    problem._network = network = QuantizedNetwork(problem.workload, problem.config, **made)
    network.restore(ranges, channels_last)
    return problem
