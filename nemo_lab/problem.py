"""What is searched: a base class with a default for everything optional, and how other objects are completed.

A problem is described by what every search needs, and by hooks that only some problems have. Whoever reads a
problem reads plain attributes: nobody asks whether one is there. An object that has the right members without
inheriting from ``Problem`` is completed at the door, by ``nemo_lab.adapted``, and stays what it is inside.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.definitions import definition
from nemo_lab.objective import MEASURED, Objective, of_function
from nemo_lab.settings import arguments_kept, settings

if TYPE_CHECKING:
    import pandas as pd

    from nemo_lab.cost import CostModel
    from nemo_lab.workload.workload import Workload

    default = property
else:

    class default:  # noqa: N801  used like property
        """A default that is computed; a property, a field or a plain attribute may take its place."""

        def __init__(self, compute):
            self.compute = compute
            self.__doc__ = compute.__doc__

        def __get__(self, problem, owner=None):
            if problem is None:  # a dataclass must not take it for the default of a field
                raise AttributeError(self.compute.__name__)
            return self.compute(problem)


DESCRIPTION = (  # has digests of its own, or is only shown
    "num_nodes", "node_names", "bit_widths", "allowed", "objective_names", "node_features", "edges", "title",
)  # fmt: skip


class Problem(ABC):
    """A space of bit-width configurations and K objectives to minimise.

    Everything below the first six attributes and ``evaluate`` has a default. Check a problem of your own with
    ``nemo_lab.testing.check_problem``: it finds what is missing, broken or misspelt.

    Attributes:
        num_nodes: Q, how many bit-widths make a configuration.
        node_names: of the nodes, each different.
        bit_widths: the W widths to choose from, ascending.
        objective_names: of the K objectives, each different.
        node_features: float[Q, F], what graph species know of a node.
        edges: int[2, E], sources and targets of the graph that graph species read.
        allowed: bool[Q, W], which of the widths each node may take, such as more for activations than for
            weights; None if all.
        objective_bounds: float[2, K], the reachable box, best and worst, that the hypervolume is normalised
            by; what ``objectives`` say by default, or the unit box. The search leaves out one without room.
        objectives: how each of the K objectives is called and shown; by its name by default.
        cost_names: the C objectives that ``costs`` gives.
        workload: the network, if there is one: its layers belong together, its graph is shown.
        cost_model: gives sizes in MB and operations in GBOPs beside the ratios, if there is one.
        topology: int[2, E], edges as they are shown and as ``gnn_edges="topology"`` reads them; by default
            the workload's, else ``edges``.
        title: what people call it; by default the workload's name, else that of the class.
        metric: what the task error measures, as exported records say it.
        one_at_a_time: whether calls of ``evaluate`` wait for each other, so that ``workers=4`` are processes
            rather than threads.
        error: ``error(bits, data, metric=None, count=False)``, the task error float[N] on other data, with
            ``count`` also the number of examples; ``Study.validate`` calls it.
        held_out: the data on which ``Study.validate`` measures by default; None for the workload's.
        neighbour_costs: ``neighbour_costs(bits)``, float[C, Q, W]: what ``costs`` gives, bit for bit, where
            one node of uint8[Q] alone takes each width; a faster way to ask for all of them.
        sqnr: ``sqnr()``, the signal to quantization noise in dB, a DataFrame of Q rows and W columns.
        sensitivity: ``sensitivity()``, how much each node at each width, alone, is expected to harm what is
            measured, in any unit: a DataFrame or float[Q, W], not negative. The species ``surrogate`` starts
            from it; a run asks once, before its first evaluation.
    """

    num_nodes: int
    node_names: tuple[str, ...]
    bit_widths: tuple[int, ...]
    objective_names: tuple[str, ...]
    node_features: NDArray[np.float32]
    edges: NDArray[np.int64]

    @abstractmethod
    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """Objectives of configurations: integers[N, Q] -> float[N, K].

        A long one should call ``nemo_lab.check_interrupted`` now and then, such as before each batch of
        images, so that a run can be stopped there; a run waits for one that does not.
        """

    allowed: NDArray[np.bool_] | None = None
    objectives: tuple[Objective, ...] = ()
    cost_names: tuple[str, ...] = ()
    workload: Workload | None = None
    cost_model: CostModel | None = None
    metric: str = ""
    one_at_a_time: bool = False
    error: Callable[..., Any] | None = None
    held_out: Any = None
    sqnr: Callable[[], pd.DataFrame] | None = None
    sensitivity: Callable[[], Any] | None = None
    neighbour_costs: Callable[[NDArray[np.uint8]], NDArray[np.float64]] | None = None

    def costs(self, bits: Any) -> NDArray[np.float64]:
        """Exact objectives, integers[N, Q] -> float[N, C]; a species may call it as often as it likes."""
        return np.empty((len(bits), 0))

    def stored_bytes(self, bits: Any) -> tuple[int, int] | None:
        """Bytes of one configuration, integers[Q]: of its weights alone, and of all that is stored with them.

        None where there is no network that is stored.
        """
        return None

    def quantizer(self, name: str, bits: int) -> Any:
        """Range (low, high) of an activation at a width, and its quantizer with ``scale``, ``low``, ``high``.

        None where there is nothing to tell, as for weights.
        """
        return None

    def fingerprint(self) -> dict[str, str]:
        """Digests of all that results depend on, by part: ``workload``, ``data``, ``settings``, ``code``.

        A journal goes on only with a problem of the same digests. By default those of the description, and as
        ``code`` of the class, and of all that the problem holds when the study is made: under whatever names,
        and functions that were put in place of its methods. What is told from what is on the safe side:
        something that changes no result may have evaluations made a second time. Not counted are locks,
        files, threads and the like, what calls such as ``time.time`` gave, and what ``evaluate``, with the
        methods that it calls, adds to: numbers that it counts up, as by ``self.calls += 1``, and what it
        stores into, as by ``self.cache[key] = found``. The same names as arguments of the constructor count.
        Where results depend on more, such as what is in a file, digest it here, too.
        """
        return {**self._described(), "code": self._code()}

    def former_fingerprints(self, now: Mapping[str, str]) -> tuple[dict[str, str], ...]:
        """What earlier versions gave in place of the fingerprint ``now``: by default, that without code."""
        if "code" not in now or now["code"] != self._code():  # else it is not what this class says
            return ()
        return ({part: one for part, one in now.items() if part != "code"},)

    def _code(self) -> str:
        kept = arguments_kept(self._own)
        more = settings(self._own, but=(*kept, *DESCRIPTION))
        return definition([type(self._own), kept, *([more] if more else [])])

    def _described(self) -> dict[str, str]:
        described = repr((self.node_names, self.bit_widths, self.objective_names)).encode()
        found = hashlib.blake2b(described, digest_size=16)
        more = () if self.allowed is None else (np.asarray(self.allowed, dtype=bool),)
        for array in (self.node_features, self.edges, *more):
            found.update(np.ascontiguousarray(array).tobytes())
        kind = type(self._own)
        return {"workload": found.hexdigest(), "settings": f"{kind.__module__}.{kind.__qualname__}"}

    def error_objective(self, metric: Any = None) -> Objective:
        """What ``error`` gives with this metric: one of the problem's objectives, or another one.

        Args:
            metric: as ``error`` takes it; the problem's first objective by default.
        """
        if isinstance(metric, str):
            return MEASURED.get(metric, Objective(metric, metric=metric))
        return of_function(metric)

    @default
    def objective_bounds(self) -> NDArray[np.float64]:
        """What the objectives say of themselves, float64[2, K]; from 0 to 1 where they say nothing."""
        own = {one.name: one for one in self.objectives if isinstance(one, Objective)}
        ends = [
            (own[name].low, own[name].high) if name in own else (None, None) for name in self.objective_names
        ]
        return np.array([(0.0, 1.0) if None in pair else pair for pair in ends], dtype=np.float64).T

    @default
    def topology(self) -> NDArray[np.int64]:
        """The workload's, or ``edges``."""
        return self.edges if self.workload is None else self.workload.topology

    @default
    def title(self) -> str:
        """The workload's name, or that of the class."""
        return type(self._own).__name__ if self.workload is None else self.workload.name

    @property
    def _own(self) -> Any:
        """What people gave."""
        return self
