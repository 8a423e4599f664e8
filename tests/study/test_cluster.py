"""A cluster of Dask's: real schedulers and real worker processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

import nemo_lab as nl
from nemo_lab.errors import EvaluationError
from tests.study.test_ahead import QUICK, steered, stopped, straight, table
from tests.study.test_processes import Alone, processes
from tests.toy import ToyProblem
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")
OPTIONS = {**QUICK, "ahead": 6, "dedupe": True}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=None
        ) as cluster,
        Client(cluster) as one,
    ):
        yield one


@pytest.mark.parametrize("go", [straight, stopped])
def test_the_table_is_that_of_one_process(go: Any, client: Client, tmp_path: Path) -> None:
    alone = table(steered(nl.create_study(ToyProblem(), **OPTIONS), straight))
    study = nl.create_study(Alone(tmp_path), executor=client.get_executor(), **OPTIONS)
    assert table(steered(study, go)) == alone
    used = processes(tmp_path)
    assert len(used) == 2
    assert os.getpid() not in used


def test_a_network_is_evaluated_there_bit_for_bit(
    client: Client, digits_problem: nl.QuantizationProblem
) -> None:
    options = {key: value for key, value in QUICK.items() if key != "species"}
    alone = nl.create_study(digits_problem, **options).optimize(40, progress=False)
    fresh = nl.QuantizationProblem(digits_problem.workload)
    study = nl.create_study(fresh, executor=client.get_executor(), **options).optimize(40, progress=False)
    assert fresh.evaluated <= 2, "only the ends, if anything"
    assert table(study) == table(alone)


def test_workers_that_are_killed_lose_nothing(client: Client, tmp_path: Path) -> None:
    study = nl.create_study(Alone(tmp_path), executor=client.get_executor(), **OPTIONS)
    study.start(200)
    for made in (20, 80):
        until(lambda made=made: len(study.snapshot.evaluations) > made)
        os.kill(max(processes(tmp_path)), signal.SIGKILL)  # the cluster begins another one
    assert study.wait(PATIENCE)
    assert table(study) == table(nl.create_study(ToyProblem(), **OPTIONS).optimize(200, progress=False))


def test_a_scheduler_and_workers_of_their_own_come_and_go(tmp_path: Path) -> None:
    """Each by its own command; a run goes on with others when all of them are gone."""
    path, begun = tmp_path / "run.sqlite", list[subprocess.Popen[str]]()

    def command(*words: str) -> subprocess.Popen[str]:
        begun.append(
            subprocess.Popen(
                [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]],
                stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        return begun[-1]

    def cluster() -> tuple[str, list[subprocess.Popen[str]]]:
        scheduler = command("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        assert scheduler.stderr is not None
        found = None
        while found is None:
            found = re.search(r"tcp://127\.0\.0\.1:\d+", scheduler.stderr.readline())
        worker = ["dask_worker", found[0], "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        return found[0], [scheduler, *(command(*worker) for _ in range(2))]

    try:
        address, first = cluster()
        with Client(address) as client:
            client.wait_for_workers(2, timeout=PATIENCE)
            study = nl.create_study(
                Alone(tmp_path), executor=client.get_executor(), workers=4, storage=path, **OPTIONS
            )
            study.start(100_000)
            until(lambda: len(study.snapshot.evaluations) > 40)
            for one in first:
                one.kill()
            with pytest.raises(EvaluationError, match="the scheduler of the cluster is gone"):
                study.wait(PATIENCE)
            made = len(study.snapshot.evaluations)
            study.close()
        address, _ = cluster()
        with Client(address) as client:
            again = nl.load_study(path, problem=Alone(tmp_path), executor=client.get_executor())
            again.optimize(until=made + 40, progress=False)
            assert table(again) == table(
                nl.create_study(ToyProblem(), **OPTIONS).optimize(made + 40, progress=False)
            )
            again.close()
    finally:
        for one in begun:
            one.kill()
            one.communicate()
