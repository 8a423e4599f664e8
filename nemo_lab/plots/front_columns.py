"""The data of the front panel: every evaluation, the front, and what is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nemo_lab.plots import style
from nemo_lab.plots.figure import Coded, Columns
from nemo_lab.plots.front import PLACES
from nemo_lab.plots.front_info import FrontInfo
from nemo_lab.study.results.frames import NO_SPECIES


class Places:
    """A row for every member of the front that it keeps while it is one, so that few rows change.

    Rows that are free have config id -1 and are not drawn.
    """

    def __init__(self) -> None:
        self._rows = np.zeros(0, dtype=np.intp)

    def of(self, ids: np.ndarray) -> np.ndarray:
        """int[R]: the config id in every row, for int[F] config ids."""
        rows = np.where(np.isin(self._rows, ids), self._rows, -1)
        new = ids[~np.isin(ids, rows)]
        free = np.flatnonzero(rows < 0)
        if len(free) > 3 * len(ids):  # many went at once: begin anew
            rows, new, free = rows[:0], ids, free[:0]
        rows[free[: len(new)]] = new[: len(free)]
        self._rows = np.concatenate([rows, new[len(free) :]])
        return self._rows


def front_columns(
    info: FrontInfo,
    chosen: int | None = None,
    references: Sequence[tuple[str, np.ndarray]] = (),
    members: np.ndarray | None = None,
) -> Columns:
    """The data of the front panel.

    Args:
        info: of a snapshot.
        chosen: config id to ring.
        references: text and drawn values float[3] of points for orientation.
        members: the front's config ids, as ``Places`` puts them.
    """
    names = (*info.species_names, NO_SPECIES)
    position = np.where(info.species < 0, len(names) - 1, info.species).astype(np.uint8)

    def points(ids: np.ndarray, shown: np.ndarray) -> dict[str, object]:
        return {
            "key": np.where(ids >= 0, info.config[ids], -1).astype(np.int32) if len(ids) else ids,
            **{
                place: np.where(shown, info.values[ids, k], np.nan) if len(ids) else np.zeros(0)
                for k, place in enumerate(PLACES)
            },
            "species": Coded(position[ids], names),
            "generation": info.generation[ids],
        }

    # every evaluation keeps its row, so that only what is new is sent; those drawn strongly have no place
    strong = info.on_front.copy()
    strong[info.beyond] = True
    markers = tuple(style.species_marker(s) for s in (*range(len(info.species_names)), -1))
    best = np.flatnonzero(info.on_front) if members is None else members
    ring = info.values[[chosen] if chosen is not None and chosen < len(info.config) else []]
    drawn = np.array([values for _, values in references], dtype=np.float64).reshape(-1, 3)
    held = info.held_out[:, 0].astype(np.intp)
    return {
        "evaluated": {**points(info.config, ~strong), "alpha": np.where(info.feasible, 0.45, 0.12)},
        "beyond": points(info.beyond, info.beyond >= 0),
        "front": {**points(best, best >= 0), "marker": Coded(position[best], markers)},
        "held": {
            "key": held.astype(np.int32),
            "y": info.held_out[:, 1],
            "x1": info.values[held, 1],
            "x2": info.values[held, 2],
            "low": info.held_out[:, 2],
            "high": info.held_out[:, 3],
            "text": [
                f"{text}, tuned" if tuned else text
                for text, tuned in zip(info.held_out_text, info.tuned, strict=True)
            ],
            "marker": np.where(info.tuned, "asterisk", "dash").tolist(),
            "width": np.where(info.tuned, 1.5, 3.0),
        },
        "references": {**_placed(drawn), "text": [text for text, _ in references]},
        "chosen": _placed(ring),
        "asked": _asked(info),
    }


def _placed(values: np.ndarray) -> dict[str, np.ndarray]:
    return {place: values[:, k] for k, place in enumerate(PLACES)}


def _asked(info: FrontInfo) -> dict[str, np.ndarray]:
    """The box asked for; where an objective is free, it reaches over all that can be reached."""
    if np.isnan(info.asked).all():
        return {f"{end}_{place}": np.zeros(0) for place in PLACES for end in ("low", "high")}
    box = np.where(np.isnan(info.asked), info.bounds, info.asked)
    return {
        f"{end}_{place}": box[[row_], k]
        for k, place in enumerate(PLACES)
        for row_, end in enumerate(("low", "high"))
    }


def front_ranges(values: np.ndarray) -> dict[str, list[float]]:
    """Ranges of the views that show points float[N, 3] and little else; none without points."""
    if not len(values):
        return {}
    found = {}
    for k, place in enumerate(PLACES):
        low, high = float(values[:, k].min()), float(values[:, k].max())
        room = 0.06 * (high - low) or 0.01
        found[place] = [low - room, high + room]
    return {**found, "map": found["x2"]}
