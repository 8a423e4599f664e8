"""What is called in the other process: it knows a problem by digest, and evaluates one configuration."""

from __future__ import annotations

import pickle
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nemo_lab.interruption import Interrupted, interruptible
from nemo_lab.search import Problem
from nemo_lab.search.problem import evaluate_one
from nemo_lab.search.species import Bits

Floats = NDArray[np.float64]
HELD = 2  # problems that a process remembers


@dataclass(frozen=True)
class Failure:
    """An evaluation that raised.

    Attributes:
        error: what it raised; in words alone where that cannot be sent.
    """

    error: BaseException


_problems: OrderedDict[str, Problem] = OrderedDict()
_arriving = threading.Lock()


def evaluate_there(
    digest: str, data: bytes | None, row: Bits, mark: Path | None = None
) -> Floats | Failure | None:
    """Objectives of a configuration, or why there are none; None where the problem is not known."""
    with _arriving:
        problem = _problems.get(digest)
        if problem is None:
            if data is None:
                return None
            problem = _problems[digest] = pickle.loads(data)  # noqa: S301  from who starts this process, too
            while len(_problems) > HELD:
                _problems.popitem(last=False)
    try:
        with interruptible(lambda: mark is not None and mark.exists()):
            return evaluate_one(problem, row)
    except Interrupted as error:  # it is not needed any more
        return Failure(error)
    except Exception as error:
        return Failure(_sendable(error))


def _sendable(error: Exception) -> Exception:
    """The error, or the same in words where it would not arrive."""
    with suppress(Exception):  # whatever an error of somebody's own needs to be made
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301  our own
            return error
    return RuntimeError(f"{type(error).__name__}: {error}")
