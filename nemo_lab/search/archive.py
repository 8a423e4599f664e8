"""Every evaluation ever made, and the non-dominated ones that keep the constraints in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.constraints import Constraints, Pins, satisfies
from nemo_lab.search.indicators import hypervolume, non_dominated
from nemo_lab.search.objective import only


@dataclass(frozen=True)
class Evaluations:
    """Read-only columns over all evaluations so far; a row's number is its config id.

    Attributes:
        bits: uint8[N, Q].
        objectives: float64[N, K].
        species: int16[N], position in the study's species, -1 for none (uniform starts, enqueued ones).
        origin: int16[N], position in ``ORIGINS``.
        generation: int32[N].
        asks: int32[N], how often the search was asked for a candidate since the tell or steer before.
        place: int32[N], which of the candidates that were out it was, in the order asked.
    """

    bits: NDArray[np.uint8]
    objectives: NDArray[np.float64]
    species: NDArray[np.int16]
    origin: NDArray[np.int16]
    generation: NDArray[np.int32]
    asks: NDArray[np.int32]
    place: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.bits)

    def first(self, count: int) -> Evaluations:
        """The first ``count`` of them, without a copy."""
        return Evaluations(**{name: column[:count] for name, column in vars(self).items()})

    def satisfying(self, pins: Pins) -> NDArray[np.bool_]:
        """bool[N]: which configurations have every pinned node at its width, or in its range."""
        return satisfies(self.bits, pins)


ORIGINS = ("initial", "offspring", "random", "reseed", "projected", "enqueued")


class EvaluationLog:
    """Append-only storage; rows once written never change, so views of it may cross threads."""

    def __init__(self, num_nodes: int, num_objectives: int) -> None:
        self._count = 0
        self._configs: dict[bytes, int] = {}
        self._columns: dict[str, NDArray[Any]] = {
            "bits": np.empty((256, num_nodes), dtype=np.uint8),
            "objectives": np.empty((256, num_objectives), dtype=np.float64),
            "species": np.empty(256, dtype=np.int16),
            "origin": np.empty(256, dtype=np.int16),
            "generation": np.empty(256, dtype=np.int32),
            "asks": np.empty(256, dtype=np.int32),
            "place": np.empty(256, dtype=np.int32),
        }

    def __len__(self) -> int:
        return self._count

    def find(self, bits: NDArray[np.uint8]) -> int | None:
        """Config id under which uint8[Q] was first evaluated, None if it never was."""
        return self._configs.get(bits.tobytes())

    def append(self, *, asks: int = 1, place: int = 0, **row: Any) -> int:
        """Add one row, given by column name; returns its number."""
        row |= {"asks": asks, "place": place}
        if self._count == len(self._columns["bits"]):  # old views keep the old arrays
            self._columns = {
                name: np.concatenate([column, np.empty_like(column)])
                for name, column in self._columns.items()
            }
        for name, column in self._columns.items():
            column[self._count] = row[name]
        self._configs.setdefault(self._columns["bits"][self._count].tobytes(), self._count)
        self._count += 1
        return self._count - 1

    def extend(self, rows: Evaluations) -> None:
        """Add many rows at once, to an empty log."""
        for name, column in self._columns.items():
            spare = np.empty_like(column)
            self._columns[name] = np.concatenate([getattr(rows, name), spare], dtype=column.dtype)
        self._count = len(rows)
        for config in range(len(rows) - 1, -1, -1):  # the first of equal ones wins
            self._configs[rows.bits[config].tobytes()] = config

    def view(self) -> Evaluations:
        """All rows so far, read-only, without a copy."""
        views = {name: column[: self._count] for name, column in self._columns.items()}
        for view in views.values():
            view.setflags(write=False)
        return Evaluations(**views)


class ParetoFront:
    """Config ids of the non-dominated evaluations under the constraints, kept up to date.

    Attributes:
        ids: integers[F], read-only.
        excess: by how much the front goes beyond the limits; infinite while it is empty.
    """

    def __init__(self) -> None:
        self.ids: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self.excess = np.inf

    def take(self, ids: NDArray[np.intp], excess: float) -> None:
        """Go on from a front that was saved."""
        self.ids, self.excess = _read_only(np.asarray(ids, dtype=np.intp)), excess

    def add(self, config: int, log: Evaluations, constraints: Constraints) -> bool:
        """Let one new evaluation in; returns whether it is on the front."""
        if not bool(constraints.pinned(log.bits[config : config + 1])[0]):
            return False
        excess = float(constraints.excess(log.objectives[config : config + 1])[0])
        if excess != self.excess:
            if excess < self.excess:
                self.ids, self.excess = _read_only(np.array([config], dtype=np.intp)), excess
            return excess == self.excess
        objectives, front = log.objectives[config], log.objectives[self.ids]
        if bool((front <= objectives).all(axis=1).any()):
            return False
        beaten = (objectives <= front).all(axis=1)
        self.ids = _read_only(np.append(self.ids[~beaten], config))
        return True

    def rebuild(self, log: Evaluations, constraints: Constraints) -> None:
        """Start again from all evaluations, after the constraints have changed."""
        rows = np.flatnonzero(constraints.pinned(log.bits))
        excess = constraints.excess(log.objectives[rows])
        self.excess = float(excess.min()) if len(rows) else np.inf
        rows = rows[excess == self.excess]
        self.ids = _read_only(rows[non_dominated(log.objectives[rows])])


class Archive:
    """All evaluations of a search, and its front.

    Args:
        num_nodes: Q.
        bounds: float[2, K], the box in which hypervolume is measured.
        varying: columns of the objectives that count in it, the others are the same for all.

    Attributes:
        pareto: keeps the front.
    """

    def __init__(self, num_nodes: int, bounds: NDArray[np.float64], varying: NDArray[np.intp]) -> None:
        self._log = EvaluationLog(num_nodes, bounds.shape[1])
        self.pareto = ParetoFront()
        self._varying, self._bounds = varying, only(varying, bounds)
        self._measured = (self.pareto.ids, 0.0)

    def __len__(self) -> int:
        return len(self._log)

    @property
    def evaluations(self) -> Evaluations:
        """All so far, read-only; a row's number is its config id."""
        return self._log.view()

    @property
    def front(self) -> NDArray[np.intp]:
        """Config ids of the non-dominated evaluations under the constraints (ours, step 6)."""
        return self.pareto.ids

    def find(self, bits: NDArray[np.uint8]) -> int | None:
        """Config id under which uint8[Q] was first evaluated, None if it never was."""
        return self._log.find(bits)

    def add(self, constraints: Constraints, **row: Any) -> int:
        """Add an evaluation, given by column name; returns its config id."""
        config = self._log.append(**row)
        self.pareto.add(config, self.evaluations, constraints)
        return config

    def rebuild(self, constraints: Constraints) -> None:
        """Find the front again, after the constraints have changed."""
        self.pareto.rebuild(self.evaluations, constraints)

    def front_of(self, count: int, constraints: Constraints) -> NDArray[np.intp]:
        """What the front was after so many evaluations, under the constraints in force."""
        if count == len(self):
            return self.front
        earlier = ParetoFront()
        earlier.rebuild(self.evaluations.first(count), constraints)
        return earlier.ids

    def made_by(self, species: int, *, since: int) -> NDArray[np.int64]:
        """int64[S]: how many of the latest evaluations each of so many species made by itself."""
        log = self.evaluations
        by_hand = np.isin(log.origin[since:], [ORIGINS.index("projected"), ORIGINS.index("enqueued")])
        makers = log.species[since:][~by_hand & (log.species[since:] >= 0)]
        return np.bincount(makers, minlength=species).astype(np.int64)

    def hypervolume(self, front: NDArray[np.intp] | None = None) -> float:
        """Normalised, of the front, or of one that was before."""
        ids = self.front if front is None else front
        if self._measured[0] is not ids:
            measured = hypervolume(only(self._varying, self.evaluations.objectives[ids]), self._bounds)
            if ids is not self.front:
                return measured
            self._measured = (ids, measured)
        return self._measured[1]

    def state_dict(self) -> dict[str, Any]:
        """The front; the evaluations are stored for themselves."""
        return {"front": np.asarray(self.front, dtype=np.int64), "excess": self.pareto.excess}

    def load_state_dict(self, saved: Mapping[str, Any], evaluations: Evaluations) -> None:
        """Fill an empty archive."""
        self._log.extend(evaluations)
        self.pareto.take(np.array(saved["front"]), saved["excess"])


def _read_only(ids: NDArray[np.intp]) -> NDArray[np.intp]:
    ids.setflags(write=False)
    return ids


def front_ids(log: Evaluations, pins: Pins) -> NDArray[np.intp]:
    """Config ids of the non-dominated evaluations that satisfy the pins, ascending."""
    front = ParetoFront()
    front.rebuild(log, Constraints().holding(pins))
    return front.ids
