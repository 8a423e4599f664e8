"""Threads that steer a run at random: every kind of command, and every way to run it."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable

import numpy as np

import nemo_lab as nl
from benchmarks.journal.soak.told import Told, Trouble
from nemo_lab.errors import NemoError, StorageError

QUICK = ("continuous", "floor", "integer", "surrogate")
GRAPHS = ("gcn", "unet")  # which take seconds to be fitted
AT_REST = ("idle", "finished", "failed")


def node(study: nl.Study, rng: random.Random) -> str:
    return rng.choice(study.problem.node_names)


def species(study: nl.Study, rng: random.Random) -> str:
    return rng.choice(sorted({*QUICK, *(one.name for one in study.species)}))


def width(study: nl.Study, rng: random.Random) -> int | tuple[int, int]:
    low, high = sorted(rng.choices(study.problem.bit_widths, k=2))
    return low if low == high or rng.random() < 0.7 else (low, high)


def row(study: nl.Study, rng: random.Random) -> list[int]:
    return rng.choices(study.problem.bit_widths, k=study.problem.num_nodes)


def pin(study: nl.Study, rng: random.Random) -> None:
    study.pin({node(study, rng): width(study, rng) for _ in range(rng.choice((1, 1, 2, 4)))})


def unpin(study: nl.Study, rng: random.Random) -> None:
    study.unpin(*([node(study, rng)] if rng.random() < 0.6 else []))


def reseed(study: nl.Study, rng: random.Random) -> None:
    made = max(1, len(study.snapshot.evaluations))
    ids = [rng.randrange(made) for _ in range(3)]
    source = rng.choice(["front", "random", "uniform", "sensitivity", ids])
    study.reseed(species(study, rng), source, rng.choice((0.2, 0.5, 1.0)))


def constrain(study: nl.Study, rng: random.Random) -> None:
    study.constrain(
        *[f"{study.problem.objective_names[0]} <= {rng.uniform(0.05, 0.9)!r}"] * (rng.random() < 0.8)
    )


def aspire(study: nl.Study, rng: random.Random) -> None:
    problem = study.problem
    low, high = np.asarray(problem.objective_bounds)[:, 1].tolist()
    study.aspire(**{problem.objective_names[1]: (low, low + (high - low) * rng.uniform(0.1, 1.0))})


def budget(study: nl.Study, rng: random.Random) -> None:
    study.set_budget(len(study.snapshot.evaluations) + rng.randrange(1, 400))


def pause_and_resume(study: nl.Study, rng: random.Random) -> None:
    study.pause()
    time.sleep(rng.uniform(0, 0.02))
    study.resume()


def stop_and_start(study: nl.Study, rng: random.Random) -> None:
    study.stop()
    time.sleep(rng.uniform(0, 0.02))
    study.start(rng.randrange(1, 300))


COMMANDS: tuple[tuple[int, Callable[[nl.Study, random.Random], object]], ...] = (
    (4, pin),
    (1, unpin),
    (2, reseed),
    (1, lambda study, rng: study.share(species(study, rng), rng.choice((0.1, 0.3, None)))),
    (1, lambda study, rng: study.freeze(species(study, rng), rng.random() < 0.5)),
    (1, lambda study, rng: study.remove_species(species(study, rng))),
    (1, lambda study, rng: study.add_species(species(study, rng))),
    (1, constrain),
    (1, aspire),
    (1, lambda study, rng: study.enqueue([row(study, rng) for _ in range(rng.randrange(1, 4))])),
    (3, lambda study, rng: study.undo()),
    (1, lambda study, rng: study.redo()),
    (1, lambda study, rng: study.what_if(row(study, rng))),
    (1, budget),
    (1, lambda study, rng: study.prepare(rng.randrange(4))),
    (1, pause_and_resume),
    (1, lambda study, rng: study.stop()),
    (1, lambda study, rng: study.start(50)),
    (1, stop_and_start),
)


def steer(study: nl.Study, seed: str, until: float, told: Told, trouble: Trouble) -> None:
    """Steer until a moment of the monotonic clock; whatever is raised and should not be, is told.

    Args:
        study: that is steered.
        seed: of all that is chosen here.
        until: when to end.
        told: takes what is odd.
        trouble: says whether the journal may refuse to be written at the moment.
    """
    rng = random.Random(seed)
    weights = [weight for weight, _ in COMMANDS]
    while time.monotonic() < until:
        attempt(lambda: rng.choices(COMMANDS, weights)[0][1](study, rng), told, trouble)
        time.sleep(rng.uniform(0, 0.08))
        if study.state in AT_REST and rng.random() < 0.7:
            attempt(lambda: study.start(120), told, trouble)


def attempt(call: Callable[[], object], told: Told, trouble: Trouble) -> NemoError | None:
    """Make a call that may be refused; returns the refusal."""
    before = trouble.times
    try:
        call()
    except StorageError as error:
        if not trouble.on and trouble.times == before:
            told("odd", f"the journal refused without a reason: {error}\n{traceback.format_exc()}")
        return error
    except NemoError as error:
        if not error.hint:
            told("odd", f"a refusal names no way out: {error}")
        return error
    except BaseException:
        told("odd", traceback.format_exc())
    return None
