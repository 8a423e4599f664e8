"""How people choose from a front: on examples that the search has never seen, and by what they need."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from nemo_lab.arguments import Choice, Flag, OrNone, Whole
from nemo_lab.errors import ArgumentError, shown
from nemo_lab.objective import Objective
from nemo_lab.search import Problem
from nemo_lab.search.objective import objectives_of, varied
from nemo_lab.study.parsing.configs import known_config, known_configs
from nemo_lab.study.parsing.objectives import ObjectiveNames
from nemo_lab.study.results.frames import front_frame
from nemo_lab.study.results.validation import Validation, validate, validate_tuned, validation_frame
from nemo_lab.study.run.runner import Runner

BYTES = Whole(0, 2**63)


class Validating:
    """The part of a ``Study`` that validates and chooses.

    Args:
        problem: that is searched.
        runner: of the study.

    Attributes:
        validated, tuned: what was measured on held-out examples, by config id; the latter after tuning.
        written: bytes of the files of a configuration, by their names, by config id.
    """

    def __init__(self, problem: Problem, runner: Runner) -> None:
        self._problem, self._runner = problem, runner
        self.validated: dict[int, Validation] = {}
        self.tuned: dict[int, Validation] = {}
        self.written: dict[int, dict[str, int]] = {}

    def validate(
        self, ids: Any = None, data: Any = None, metric: Any = None, tuned: Any = ()
    ) -> pd.DataFrame:
        """The first objective, as it is shown, on images that the search has never seen. Blocks.

        Args:
            ids: config ids; the front by default.
            data: as the problem's own; by default its ``held_out``, or what came with the workload.
            metric: what to measure instead, such as ``"top1"``.
            tuned: what ``nemo_lab.finetune`` or ``correct_bias`` made of configurations of this study, one or
                several; these configurations are validated, before and after, unless ``ids`` says more.

        Returns:
            per configuration ``searched_accuracy`` beside ``held_out_accuracy``, called by what is measured;
            without the former if the search does not measure it. ``low`` and ``high`` are the 95 %
            confidence interval of a share of right answers, NaN for other metrics; ``examples`` their number.
            With ``tuned`` also ``tuned_accuracy``, ``tuned_low`` and ``tuned_high``.
        """
        snapshot = self._runner.snapshot
        after = self._by_config(tuned)
        given = list(after) or front_frame(snapshot, self._problem).index if ids is None else ids
        chosen = known_configs(given, len(snapshot.evaluations))
        bits = [snapshot.evaluations.bits[config] for config in chosen]
        found = validate(self._problem, bits, data, metric)
        of_tuned = zip(after, validate_tuned(self._problem, list(after.values()), data, metric), strict=True)
        self.validated |= zip(chosen, found, strict=True)
        self.tuned |= (now := dict(of_tuned))
        self._runner.tell_listeners()
        return validation_frame(snapshot, self.validated, chosen, self._problem, now)

    def note_files(self, config_id: int, files: Mapping[str, int]) -> None:
        """Remember what was written of a configuration, for the inspector, until this session ends.

        ``nemo_lab.export.deploy`` does so.

        Args:
            config_id: its number.
            files: name of each file -> its bytes.

        Raises:
            UnknownNameError: if there is no evaluation of that number.
            ArgumentError: if the files are something else.
        """
        config = known_config(config_id, len(self._runner.snapshot.evaluations))
        if not isinstance(files, Mapping) or not all(isinstance(name, str) for name in files):
            raise ArgumentError(f"files={shown(files)}", "give the bytes of each file by its name")
        self.written[config] = {name: BYTES.check(f"files[{name!r}]", n) for name, n in files.items()}
        self._runner.tell_listeners()

    def _by_config(self, tuned: Any) -> dict[int, Any]:
        """Tuned networks by the config id that each came from."""
        several = tuned if isinstance(tuned, list | tuple) else [tuned]
        log, found = self._runner.snapshot.evaluations, dict[int, Any]()
        for one in several:
            if not all(hasattr(one, name) for name in ("bits", "error", "belongs_to")):
                raise ArgumentError(f"tuned={shown(one)}", "give what finetune or correct_bias returned")
            same = one.belongs_to(self._problem)
            rows = np.flatnonzero((log.bits == one.bits).all(axis=1)) if same else np.empty(0, dtype=np.intp)
            if not len(rows):
                raise ArgumentError(
                    f"{one} is not of a configuration of this study",
                    "enqueue its bits first, or ask the study it came from",
                )
            config = int(rows[0])
            if found.setdefault(config, one) is not one:
                raise ArgumentError(
                    f"tuned has two networks of configuration {config}", "validate one at a time"
                )
        return found

    def smallest(self, /, *, by: str | None = None, held_out: bool = False, **needed: Any) -> pd.DataFrame:
        """The configuration of the front with the least cost that has what is needed.

        Args:
            by: the objective that is to be least; the second, the model's size, by default.
            held_out: whether the first objective must be reached on held-out examples, too. Blocks while the
                configurations are measured, from the least cost on, to the first that holds.
            **needed: objective, under any name that ``constrain`` takes = its largest value (its smallest,
                where larger is better), or (smallest, largest).

        Returns:
            one row, as ``front`` has it; with ``held_out`` also what ``validate`` measured, the 95 %
            confidence interval included. Of several tried on held-out examples the first that holds is a
            little lucky: look at the interval.

        Raises:
            ArgumentError: if none has that; says the nearest.
            UnknownNameError: if there is no such objective.

        >>> import nemo_lab as nl
        >>> study = nl.create_study("digits").optimize(60, progress=False)
        >>> best = study.smallest(accuracy=0.95, held_out=True)
        >>> bool(best.held_out_accuracy.item() >= 0.95)
        True
        """
        snapshot, own = self._runner.snapshot, objectives_of(self._problem)
        measured = Flag().check("held_out", held_out)
        names = [one.name for one in own]
        second = varied(self._problem)[:2][-1].name
        cost = OrNone(Choice(tuple(names))).check("by", by) or second
        box = ObjectiveNames(self._problem).box(needed)
        front = front_frame(snapshot, self._problem)
        holds = {k: front[names[k]].between(low, high) for k, (low, high) in box.items()}
        fit = front[_all(front, holds.values())].sort_values(cost, kind="stable")
        if front.empty:
            raise ArgumentError(
                "the front is still empty", "start the study, or wait for its first evaluations"
            )
        if len(fit) and not measured:
            return fit.iloc[:1]
        tried = []
        for config in fit.index:
            found = self.validate([config])
            value = own[0].display.stored(found[f"held_out_{own[0].written}"].item())
            if 0 not in box or value <= box[0][1]:
                return fit.loc[[config]].join(found)
            tried.append(value)
        wanted = ", ".join(f"{name}={value!r}" for name, value in needed.items())
        if tried:
            hint = f"there {own[0].label} is {own[0].text(min(tried))} at best: ask for that, or search on"
        else:
            ends = (_end(front[_all(front, rest)], own[k]) for k, rest in _others(holds))
            left = " or ".join(filter(None, ends)) or "none"
            hint = f"with the rest as it is, there is {left}: ask for that, or search on"
        raise ArgumentError(
            f"none of the {len(front)} configurations of the front has {wanted}"
            + (" on held-out examples" if tried else ""),
            hint,
        )


def _all(front: pd.DataFrame, holds: Iterable[pd.Series[bool]]) -> pd.Series[bool]:
    """Which rows have everything."""
    return functools.reduce(operator.and_, holds, pd.Series(data=True, index=front.index))


def _others(holds: Mapping[int, pd.Series[bool]]) -> Iterator[tuple[int, list[pd.Series[bool]]]]:
    """Each objective that something is asked of, and what is asked of the others."""
    for k in holds:
        yield k, [one for other, one in holds.items() if other != k]


def _end(front: pd.DataFrame, objective: Objective) -> str:
    """The best that is left of an objective, empty if nothing is."""
    return f"{objective.label} {objective.text(front[objective.name].min())}" if len(front) else ""
