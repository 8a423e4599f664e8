"""The whole state of an engine as plain numbers, texts and arrays, and back.

Taken between two evaluations, when no candidate is out. What the evaluations themselves tell is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from nemo_lab.search.archive import Evaluations
from nemo_lab.search.changes import Change
from nemo_lab.search.constraints import Rules
from nemo_lab.search.engine import Engine
from nemo_lab.search.members import GenerationRecord, Member
from nemo_lab.search.species import Genome, OpaqueError, Species
from nemo_lab.search.species_controls import Controls
from nemo_lab.search.view import SearchView

State = dict[str, Any]


def save(engine: Engine) -> State:
    """Everything that decides how a search goes on.

    Raises:
        OpaqueError: if a genome is neither an array nor a sequence of arrays, or a species observes the
            search and has no method ``state_dict``.
        RuntimeError: while a candidate is out.
    """
    if engine._in_flight or engine._twins:
        raise RuntimeError("a candidate is out")
    population = engine.population
    changes = (*engine.undoable, *engine.undone)
    members = dict.fromkeys(
        chain(engine._present(), chain.from_iterable((*c.entered, *c.left) for c in changes))
    )
    number = {member: i for i, member in enumerate(members)}

    def numbers(some: Iterable[Member]) -> list[int]:
        return [number[member] for member in some]

    def change(one: Change) -> State:
        return {
            "rules": rules_saved(one.rules),
            "controls": controls_saved(one.controls),
            "entered": numbers(one.entered),
            "left": numbers(one.left),
            "budget": one.budget,
            "label": one.label,
        }

    view = engine._view
    return {
        "species": [one.name for one in engine.species],
        "own": [one.state_dict() for one in engine.species],
        "random": [_rng(one) for one in (engine._rng, population.rng, *population.streams)],
        "allocation": population.allocation,
        "evaluated": population.evaluated,
        "owed": population.owed,
        "ranking": population.ranking.memory,
        "members": _members(list(members)),
        "living": [numbers(living) for living in population.members],
        "pending": numbers(engine._pending),
        "view": view
        and {
            "evaluations": len(view.evaluations),
            "front": np.asarray(view.front, dtype=np.int64),
            "allowed": view.allowed,
            "box": view.box,
        },
        "front": np.asarray(engine.front, dtype=np.int64),
        "excess": engine._front.excess,
        "rules": rules_saved(engine.rules),
        "controls": controls_saved(engine.controls),
        "budget": engine.budget,
        "generation": engine.generation,
        "exhausted": engine.exhausted,
        "undoable": [change(one) for one in engine.undoable],
        "undone": [change(one) for one in engine.undone],
    }


def restore(
    engine: Engine,
    state: Mapping[str, Any],
    evaluations: Evaluations,
    history: Sequence[GenerationRecord],
    make: Callable[[str], Species],
) -> None:
    """Put a fresh engine of the same problem, options and seed into a state that was saved.

    Args:
        engine: to be filled; it must not have begun.
        state: from ``save``.
        evaluations: made by then.
        history: of the generations ended by then.
        make: gives a species by name that was added in the middle of the run.
    """
    population = engine.population
    for name in state["species"][len(engine.species) :]:
        population.append(make(name), engine._seed_of(len(engine.species)))
    engine._log.extend(evaluations)
    log = engine.evaluations
    members = _made(state["members"])
    for rng, saved in zip((engine._rng, population.rng, *population.streams), state["random"], strict=True):
        rng.bit_generator.state = saved
    population.allocation = np.array(state["allocation"])
    population.evaluated = np.array(state["evaluated"])
    population.owed = np.array(state["owed"])
    population.ranking.memory = state["ranking"]
    population.members = [[members[i] for i in living] for living in state["living"]]
    engine._pending.extend(members[i] for i in state["pending"])
    engine.rules = rules_of(state["rules"])
    engine.controls = controls_of(state["controls"])
    engine.budget, engine.generation = state["budget"], state["generation"]
    engine.exhausted = state["exhausted"]
    engine.history = tuple(history)
    engine._front.take(np.array(state["front"]), state["excess"])

    def change(saved: Mapping[str, Any]) -> Change:
        return Change(
            rules_of(saved["rules"]),
            controls_of(saved["controls"]),
            tuple(members[i] for i in saved["entered"]),
            tuple(members[i] for i in saved["left"]),
            saved["budget"],
            saved["label"],
        )

    engine.undoable = tuple(map(change, state["undoable"]))
    engine.undone = tuple(map(change, state["undone"]))
    view = state["view"]
    if view is not None:
        seen = Evaluations(**{name: column[: view["evaluations"]] for name, column in vars(log).items()})
        engine._view = SearchView(
            seen, np.array(view["front"], dtype=np.intp), view["allowed"], view["box"], engine._known
        )
    for one, own in zip(engine.species, state["own"], strict=True):
        if engine._view is not None:
            one.observe(engine._view)
        one.load_state_dict(own)


def _rng(rng: np.random.Generator) -> Any:
    return rng.bit_generator.state


def rules_saved(rules: Rules) -> State:
    """Mappings as lists of pairs, since only texts can be keys."""
    return {name: [[k, v] for k, v in mapping.items()] for name, mapping in vars(rules).items()}


def rules_of(saved: Mapping[str, Any]) -> Rules:
    """Back from ``rules_saved``."""
    wishes: dict[str, Any] = {
        name: {int(k): tuple(v) if isinstance(v, list) else v for k, v in pairs}
        for name, pairs in saved.items()
    }
    return Rules(**wishes)


def controls_saved(controls: Controls) -> State:
    """The decisions, with lists for sets and mappings."""
    return {
        "removed": sorted(controls.removed),
        "frozen": sorted(controls.frozen),
        "shares": [[s, share] for s, share in controls.shares.items()],
    }


def controls_of(saved: Mapping[str, Any]) -> Controls:
    """Back from ``controls_saved``."""
    return Controls(
        frozenset(saved["removed"]), frozenset(saved["frozen"]), {int(s): x for s, x in saved["shares"]}
    )


PLAIN = ("species", "origin", "retried", "parent")
VECTORS = ("bits", "objectives", "imitates")


def _members(members: Sequence[Member]) -> State:
    """Columns; vectors that are missing are left out of their matrix, and genomes go by species."""
    columns: State = {name: [getattr(member, name) for member in members] for name in PLAIN}
    for name in VECTORS:
        rows = [i for i, member in enumerate(members) if getattr(member, name) is not None]
        values = [getattr(members[i], name) for i in rows]
        columns[name] = {"rows": rows, "values": np.array(values) if rows else None}
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, member in enumerate(members):
        if member.genome is not None:
            groups.setdefault(_shape(member.genome), []).append(i)
    columns["genomes"] = [
        {"rows": rows, "sequence": shape[0], "parts": _stack([members[i].genome for i in rows], shape[0])}
        for shape, rows in groups.items()
    ]
    return columns


def _shape(genome: Genome) -> tuple[Any, ...]:
    """Equal for genomes that can be stacked."""
    if isinstance(genome, np.ndarray) and genome.dtype.kind in "iufb":
        return (None, genome.shape, genome.dtype.str)
    whole = isinstance(genome, tuple | list) and len(genome)
    if whole and all(isinstance(part, np.ndarray) and part.dtype.kind in "iufb" for part in genome):
        return (type(genome).__name__, *((part.shape, part.dtype.str) for part in genome))
    raise OpaqueError(f"a genome is a {type(genome).__name__}")


def _stack(genomes: Sequence[Genome], sequence: str | None) -> list[np.ndarray]:
    if sequence is None:
        return [np.stack(genomes)]
    return [np.stack(parts) for parts in zip(*genomes, strict=True)]


def _made(columns: Mapping[str, Any]) -> list[Member]:
    members = [
        Member(species=species, genome=None, origin=origin, retried=retried, parent=parent)
        for species, origin, retried, parent in zip(*(columns[name] for name in PLAIN), strict=True)
    ]
    for name in VECTORS:
        for position, i in enumerate(columns[name]["rows"]):
            setattr(members[i], name, np.array(columns[name]["values"][position]))
    for group in columns["genomes"]:
        for position, i in enumerate(group["rows"]):
            parts = [np.array(part[position]) for part in group["parts"]]
            sequence = group["sequence"]
            members[i].genome = (
                parts[0] if sequence is None else tuple(parts) if sequence == "tuple" else parts
            )
    return members
