"""Evaluations in other processes: the same table as here, and whatever goes wrong there is said here."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, EvaluationError, UnknownNameError
from tests.toy import ToyProblem
from tests.waiting import until

QUICK = {"population": 8, "min_size": 2, "species": ("continuous", "floor", "integer"), "seed": 3}


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


def table(study: nl.Study) -> list[Any]:
    log = study.snapshot.evaluations
    return [log.bits.tolist(), log.objectives.tolist(), log.species.tolist(), log.generation.tolist()]


class Counted(ToyProblem):
    """Says in which process it was evaluated."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(**options)
        self.folder = str(folder)

    def evaluate(self, bits: Any) -> Any:
        (Path(self.folder) / f"{os.getpid()}").touch()
        return super().evaluate(bits)


class Trouble(ToyProblem):
    """Raises, waits or dies at configurations whose first node has 8 bits."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def evaluate(self, bits: Any) -> Any:
        if np.atleast_2d(bits)[0][0] == 8:
            if self.what == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.what == "waits":
                time.sleep(3600)
            elif self.what == "ours":
                raise UnknownNameError("node", "nothing", ["some"])
            else:
                raise OddError("of", "mine")
        return super().evaluate(bits)


class OddError(Exception):
    """Needs two arguments, which pickle does not know."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"an odd one {first} {second}")


def test_the_table_is_that_of_one_process(pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    alone = nl.create_study(ToyProblem(), **QUICK).optimize(60, progress=False)
    study = nl.create_study(Counted(tmp_path), executor=pool, **QUICK).optimize(60, progress=False)
    assert table(study) == table(alone)
    processes = {int(one.name) for one in tmp_path.iterdir()}
    assert 1 <= len(processes) <= 2
    assert os.getpid() not in processes


def test_a_network_is_evaluated_there_bit_for_bit(
    pool: ProcessPoolExecutor, digits_problem: nl.QuantizationProblem, tmp_path: Path
) -> None:
    alone = nl.create_study(digits_problem, **QUICK).optimize(40, progress=False)
    fresh = nl.QuantizationProblem(digits_problem.workload)
    path = tmp_path / "run.sqlite"
    study = nl.create_study(fresh, executor=pool, storage=path, **QUICK).optimize(20, progress=False)
    assert fresh.evaluated <= 2, "only the ends, if anything"
    study.close()
    again = nl.load_study(path, problem=fresh, executor=pool).optimize(20, progress=False)
    assert table(again) == table(alone)
    assert again.to_script()
    again.close()
    here = nl.load_study(path, problem=fresh)  # and on here
    here.optimize(10, progress=False)
    assert table(here) == table(alone.optimize(10, progress=False))
    here.close()


@pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")
def test_steers_and_stops_are_as_here(pool: ProcessPoolExecutor) -> None:
    def steered(**options: Any) -> nl.Study:
        study = nl.create_study(ToyProblem(), **QUICK, **options)
        study.optimize(16, progress=False)
        study.pin("layer0.weight", 4)
        study.reseed("floor", "front", 0.5)
        study.optimize(16, progress=False)
        study.unpin()
        return study.optimize(16, progress=False)

    assert table(steered(executor=pool)) == table(steered())


def test_any_number_at_once_gives_the_same(pool: ProcessPoolExecutor) -> None:
    found = [
        table(nl.create_study(ToyProblem(), executor=pool, workers=n, **QUICK).optimize(48, progress=False))
        for n in (1, 3, 16)
    ]
    assert found[0] == found[1] == found[2]
    with ThreadPoolExecutor(3) as threads:
        study = nl.create_study(ToyProblem(), executor=threads, **QUICK).optimize(48, progress=False)
    assert table(study) == found[0]


@pytest.mark.parametrize(
    ("what", "said"),
    [("ours", "UnknownNameError: no node 'nothing'"), ("odd", "RuntimeError: OddError: an odd one of mine")],
)
def test_what_is_raised_there_is_raised_here(what: str, said: str, pool: ProcessPoolExecutor) -> None:
    study = nl.create_study(Trouble(what), executor=pool, **QUICK)
    study.enqueue(8)
    with pytest.raises(EvaluationError, match=said):
        study.optimize(20, progress=False)
    assert study.state == "failed"
    made = len(study.snapshot.evaluations)
    with pytest.raises(EvaluationError, match=said):
        study.optimize(20, progress=False)
    assert len(study.snapshot.evaluations) == made


@pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")
def test_a_worker_that_dies_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        study = nl.create_study(Trouble("dies"), executor=executor, storage=path, **QUICK)
        study.pin(study.problem.node_names[0], (2, 7))
        study.optimize(10, progress=False)
        before = table(study)
        study.unpin()
        study.enqueue(8)
        with pytest.raises(EvaluationError, match="a worker of the executor has died"):
            study.optimize(10, progress=False)
        with pytest.raises(EvaluationError, match="a worker of the executor has died"):
            study.optimize(10, progress=False)
        assert [part[:10] for part in table(study)] == before
        study.close()
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        again = nl.load_study(path, problem=Trouble("dies"), executor=executor)
        assert [part[:10] for part in table(again)] == before
        again.close()


def test_a_run_is_stopped_while_something_hangs() -> None:
    executor = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    study = nl.create_study(Trouble("waits"), executor=executor, **QUICK)
    study.enqueue(8)
    study.start(20)
    until(lambda: executor._processes)  # type: ignore[attr-defined]
    study.stop()
    assert study.wait(60)
    assert study.state == "idle"
    for process in executor._processes.values():  # type: ignore[attr-defined]
        process.kill()
    executor.shutdown(wait=True, cancel_futures=True)


class Slow:
    """An executor that answers in the reverse order."""

    def __init__(self) -> None:
        self.asked: list[tuple[Future[Any], Any, tuple[Any, ...]]] = []
        self.most, self._max_workers = 0, 5
        threading.Thread(target=self._answer, daemon=True).start()

    def submit(self, fn: Any, /, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.asked.append((future, fn, args))
        return future

    def _answer(self) -> None:
        while True:
            time.sleep(0.02)
            self.most = max(self.most, len(self.asked))
            while self.asked:
                future, fn, args = self.asked.pop()
                future.set_result(fn(*args))


def test_answers_come_in_any_order() -> None:
    slow = Slow()
    study = nl.create_study(ToyProblem(), executor=slow, **QUICK).optimize(40, progress=False)
    assert table(study) == table(nl.create_study(ToyProblem(), **QUICK).optimize(40, progress=False))
    assert slow.most == 5, "as many as it says that it has"


def test_what_cannot_be_sent_or_is_no_executor_is_refused(pool: ProcessPoolExecutor) -> None:
    problem = ToyProblem()
    problem.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(ArgumentError, match=r"cannot be sent to another process: TypeError"):
        nl.create_study(problem, executor=pool, **QUICK)
    for wrong in ("pool", 4, ProcessPoolExecutor, object()):
        with pytest.raises(ArgumentError, match="give an executor of concurrent"):
            nl.create_study(ToyProblem(), executor=wrong, **QUICK)


class Cluster:
    """Takes tasks as Dask does and ends none: one that is cancelled tells its callbacks at once."""

    def __init__(self) -> None:
        self.status, self._client, self.asked = "running", self, list[Future[Any]]()

    def submit(self, fn: Any, /, *args: Any) -> Future[Any]:
        self.asked.append(Future())
        return self.asked[-1]


def test_what_is_left_is_not_sent_again() -> None:
    cluster = Cluster()
    study = nl.create_study(ToyProblem(), executor=cluster, workers=4, **QUICK)
    study.start(20)
    until(lambda: len(cluster.asked) == 4)
    study.stop()
    assert study.wait(60)
    assert study.state == "idle"
    for one in cluster.asked:
        one.cancel()  # whoever does it
    assert len(cluster.asked) == 4


def test_a_scheduler_that_is_gone_is_said_and_a_start_asks_for_it_again() -> None:
    cluster = Cluster()
    study = nl.create_study(ToyProblem(), executor=cluster, workers=2, **QUICK)
    study.start(20)
    until(lambda: len(cluster.asked) == 2)
    cluster.status = "connecting"
    for one in cluster.asked:
        one.cancel()
    with pytest.raises(EvaluationError, match="the scheduler of the cluster is gone"):
        study.wait(60)
    with pytest.raises(EvaluationError, match="the scheduler of the cluster is gone"):
        study.optimize(20, progress=False)
    cluster.status = "running"
    study.start(20)
    until(lambda: len(cluster.asked) == 4)
    study.stop()
    study.wait(60)
