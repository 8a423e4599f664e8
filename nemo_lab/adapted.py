"""The door for problems: what is given is checked, completed, and taken at its word.

An object that has the right members without inheriting from ``Problem`` stays what it is inside. What it says
of the search space is read once, and that answer is checked and kept: a property that gives another one later
changes nothing.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.contract import check_description, check_kinds, check_object
from nemo_lab.errors import ContractError, shown
from nemo_lab.problem import Problem

DESCRIBED = ("num_nodes", "node_names", "bit_widths", "objective_names", "node_features", "edges")
NEEDED = (*DESCRIBED, "evaluate")
MEMBERS = frozenset(name for name in (*vars(Problem), *Problem.__annotations__) if not name.startswith("_"))
KEPT = (  # what arrays are shaped by, and results are read by
    *DESCRIBED,
    "allowed",
    "objectives",
    "objective_bounds",
    "cost_names",
    "topology",
    "workload",
)


class AdaptedProblem(Problem):
    """An object that has the members of a problem, with the defaults of ``Problem`` for those it lacks.

    It reads and writes through. ``KEPT`` are as they were when they were first read, or set here.

    Attributes:
        original: the object.
    """

    original: Any

    def __init__(self, original: Any) -> None:
        object.__setattr__(self, "original", original)
        object.__setattr__(self, "_kept", {})

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """As the object does."""
        objectives: NDArray[np.float64] = self.original.evaluate(bits)
        return objectives

    def __getattribute__(self, name: str) -> Any:
        if name not in MEMBERS:
            return object.__getattribute__(self, name)
        kept = object.__getattribute__(self, "_kept")
        if name in kept:
            return kept[name]
        found = object.__getattribute__(self, "_read")(name)
        if name in KEPT:
            kept[name] = found
        return found

    def _read(self, name: str) -> Any:
        original = object.__getattribute__(self, "original")
        try:
            return getattr(original, name)
        except AttributeError:
            if inspect.getattr_static(original, name, None) is not None:
                raise  # it is there, and fails
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        if name in ("original", "_kept") or name.startswith("__"):  # while it is being copied
            raise AttributeError(name)
        return getattr(self.original, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.original, name, value)
        self._kept.pop(name, None)

    @property
    def _own(self) -> Any:
        return self.original


def adapt_problem(given: Any) -> Problem:
    """A problem from anything with the members of one: itself if it inherits from ``Problem``.

    Raises:
        ContractError: if it is a class, lacks what every search needs, or says of itself what cannot be.
    """
    check_object(given)
    problem = given if isinstance(given, Problem) else AdaptedProblem(given)
    missing = [name for name in NEEDED if _member(given if name == "evaluate" else problem, name) is None]
    if missing:
        lacks = f": it lacks {', '.join(missing)}" if len(missing) < len(NEEDED) else ""
        raise ContractError(
            f"an object of type {type(given).__name__} cannot be searched{lacks}",
            "give a workload's name, a Workload, or an object with the members of nemo_lab.search.Problem",
        )
    for name in ("workload", "cost_model"):
        _member(problem, name)
    _check_parts(problem)  # before the defaults that read them
    for name in sorted(MEMBERS):
        _member(problem, name)
    check_kinds(problem, Problem)
    if problem.workload is not None and len(problem.workload.nodes) != problem.num_nodes:
        raise ContractError(
            f"the workload has {len(problem.workload.nodes)} nodes, the problem {problem.num_nodes}",
            "give the workload whose nodes are searched, or none",
        )
    check_description(problem)
    if problem is given:
        _check_steady(problem)
    return problem


def _member(given: Any, name: str) -> Any:
    """A member, None where there is none.

    Raises:
        ContractError: if it is there, and fails.
    """
    try:
        return getattr(given, name)
    except Exception as error:
        own = given.original if isinstance(given, AdaptedProblem) else given
        there = any(inspect.getattr_static(one, name, None) is not None for one in (given, own))
        if isinstance(error, AttributeError) and not there:
            return None
        raise ContractError(
            f"{name} cannot be read: {type(error).__name__}: {error}", "mend it, or make it a plain attribute"
        ) from error


def _check_steady(problem: Problem) -> None:
    """Whether what is kept of others is the same whenever it is read."""
    for name in KEPT:
        first, second = getattr(problem, name), getattr(problem, name)
        if first is not second and not np.array_equal(np.asarray(first), np.asarray(second)):
            raise ContractError(
                f"{name} changes from one reading to the next", "compute it once, and keep it in an attribute"
            )


def _check_parts(problem: Any) -> None:
    """Whether a workload and a cost model have what is read of them, where they are not left out.

    Raises:
        ContractError: if not.
    """
    for name, kind, members in (
        ("workload", "Workload", ("name", "nodes", "layers", "topology")),
        ("cost_model", "CostModel", ("bitops",)),
    ):
        given = getattr(problem, name)
        if given is not None and not all(hasattr(given, member) for member in members):
            raise ContractError(f"{name} is {shown(given)}", f"give a nemo_lab.{kind}, or leave it out")
