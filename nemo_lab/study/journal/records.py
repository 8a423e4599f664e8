"""What a journal keeps of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.contract import check_description
from nemo_lab.cost.objectives import RATIOS
from nemo_lab.errors import StorageError, StudyStateError, shown
from nemo_lab.objective import MEASURED, PERCENT, Objective, Scale
from nemo_lab.search import Evaluations, GenerationRecord, Problem
from nemo_lab.search.objective import objectives_of
from nemo_lab.search.problem import bounds_of, feature_names_of
from nemo_lab.study.inherited import NO_NETWORKS, Inherited
from nemo_lab.study.results.snapshot import Intervention


@dataclass(frozen=True, eq=False)
class StoredProblem(Problem):
    """A problem as a journal describes it: to look at, not to evaluate. Attributes as of ``Problem``."""

    num_nodes: int
    node_names: tuple[str, ...]
    bit_widths: tuple[int, ...]
    objective_names: tuple[str, ...]
    node_features: NDArray[np.float32] = field(repr=False)
    edges: NDArray[np.int64] = field(repr=False)
    objective_bounds: NDArray[np.float64] = field(repr=False)
    title: str = "stored problem"
    objectives: tuple[Objective, ...] = ()
    allowed: NDArray[np.bool_] | None = field(default=None, repr=False)
    feature_names: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, problem: Problem) -> StoredProblem:
        """The description of a problem."""
        return cls(
            int(problem.num_nodes),
            tuple(map(str, problem.node_names)),
            tuple(map(int, problem.bit_widths)),
            tuple(map(str, problem.objective_names)),
            np.asarray(problem.node_features, dtype=np.float32),
            np.asarray(problem.edges, dtype=np.int64),
            bounds_of(problem),
            str(problem.title),
            objectives_of(problem),
            None if problem.allowed is None else np.asarray(problem.allowed, dtype=bool),
            feature_names_of(problem),
        )

    def saved(self) -> dict[str, Any]:
        """What ``read`` takes."""
        fields = {**vars(self), "objectives": [one.saved() for one in self.objectives]}
        allowed = fields.pop("allowed")
        if not self.feature_names:
            fields.pop("feature_names")
        return fields if allowed is None else {**fields, "allowed": allowed.astype(np.uint8)}

    @classmethod
    def read(cls, fields: Mapping[str, Any], recipe: Mapping[str, Any] | None = None) -> StoredProblem:
        """From what a file says, and how nemo_lab makes the problem by itself, if it can.

        Raises:
            StorageError: if it does not fit together.
        """
        try:
            made = cls(
                fields["num_nodes"],
                tuple(fields["node_names"]),
                tuple(fields["bit_widths"]),
                tuple(fields["objective_names"]),
                _array(fields["node_features"], np.float32),
                _array(fields["edges"], np.int64),
                _array(fields["objective_bounds"], np.float64),
                fields["title"],
                _objectives(fields, recipe),
                _array(fields["allowed"], np.uint8).astype(bool) if "allowed" in fields else None,
                tuple(map(str, fields.get("feature_names", ()))),
            )
            check_description(made)
            ends = [end for one in made.objectives for end in (one.low, one.high) if end is not None]
            fits = (
                tuple(one.name for one in made.objectives) == made.objective_names
                and np.isfinite(ends).all()
                and np.isfinite(np.diff(made.objective_bounds, axis=0)).all()
            )
        except Exception as error:  # a file may say anything
            raise StorageError(f"the journal's problem cannot be read: {shown(str(error))}") from error
        if not fits:
            raise StorageError("the journal's problem does not fit together")
        return made

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """A description evaluates nothing.

        Raises:
            StudyStateError: always.
        """
        raise StudyStateError(
            f"the journal does not hold the network of {self.title!r}",
            "give it: load_study(path, problem=...)",
        )


def _array(found: Any, kind: type[np.generic]) -> NDArray[Any]:
    if not isinstance(found, np.ndarray) or found.dtype != kind:
        raise TypeError(f"an array is {shown(found)}")
    return found


def _objectives(fields: Mapping[str, Any], recipe: Mapping[str, Any] | None) -> tuple[Objective, ...]:
    """As a file describes them; those of an older file, which has only names, as far as these say it."""
    if fields.get("objectives"):
        return tuple(Objective.read(one) for one in fields["objectives"])
    accuracy = MEASURED["top1"]
    if not recipe:  # whether top-1, top-5 or agreement was measured is not known
        accuracy = Objective(
            accuracy.name, f"1 - {accuracy.name.replace('_', ' ')}", Scale("", 1, -1), format=PERCENT
        )
    known = {one.name: one for one in (accuracy, *RATIOS)}
    return tuple(known.get(str(name), Objective(str(name))) for name in fields["objective_names"])


@dataclass(frozen=True)
class Header:
    """What a study is, from its first moment.

    Attributes:
        name: unique in a file.
        seed, species, options, workers: as for ``create_study``.
        problem: described.
        recipe: how nemo_lab can make the problem by itself, None if it cannot.
        fingerprint: digests by part: ``workload``, ``data``, ``settings``, and ``code`` where there is any.
        versions: of nemo_lab and of what results depend on, by package.
        created: ISO 8601, UTC.
        engine: the version of the search that makes its evaluations; files of before it was stored are of
            the first.
        inherited: what its graph species begin with.
    """

    name: str
    seed: int
    species: tuple[str, ...]
    options: Mapping[str, Any]
    workers: int
    problem: StoredProblem
    recipe: Mapping[str, Any] | None
    fingerprint: Mapping[str, str]
    versions: Mapping[str, str]
    created: str
    engine: int = 1
    inherited: Inherited = NO_NETWORKS


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The engine's state after so many evaluations and interventions."""

    evaluation: int
    interventions: int
    state: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Stored:
    """Everything a journal has of a study at one moment."""

    evaluations: Evaluations
    history: tuple[GenerationRecord, ...]
    record: tuple[Intervention, ...]
    checkpoint: Checkpoint | None
    status: Mapping[str, Any]
