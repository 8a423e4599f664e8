"""torch-geometric, imported on first use, whatever other threads import meanwhile."""

from __future__ import annotations

import functools
import sys
import time
from contextlib import suppress
from typing import Any

from nemo_lab.errors import TraceError
from nemo_lab.exclusion import alone, tracing
from nemo_lab.interruption import LOOK_UP, check_interrupted

PATIENCE = 120.0  # seconds in which another thread should have imported what torch-geometric needs


@functools.cache
def library() -> Any:
    """``graph_nets``, imported on first use, while nobody computes.

    Of threads that import parts of torch at once, as torch does in the middle of a computation, Python gives
    one half a module rather than have them wait for each other for good. That ends its import. Threads of
    one's own may do the same: what is left of an import that ended so would end each later one, so it is
    forgotten, and the import begins again until the other thread is done.
    """
    with tracing():
        with suppress(TraceError), alone():
            return _imported()
        return _imported()  # somebody computes who does not look up


def _imported() -> Any:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            from nemo_lab.search.species import graph_nets

            return graph_nets
        except (ImportError, AttributeError) as error:
            if isinstance(error, ModuleNotFoundError) or time.monotonic() > deadline:
                raise
            while half := [name for name in sys.modules if _is_half(name)]:
                for name in half:
                    sys.modules.pop(name, None)
        time.sleep(LOOK_UP)
        check_interrupted()


def _is_half(name: str) -> bool:
    """Whether a module is left of an import that ended half-way: of the library, or without its package."""
    top, _, rest = name.partition(".")
    orphan = bool(rest) and name.rpartition(".")[0] not in sys.modules
    return top == "torch_geometric" or (top == "torch" and orphan)
