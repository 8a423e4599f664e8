"""``workers=4`` of a problem that makes one evaluation at a time: processes of the study's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, EvaluationError
from nemo_lab.study.run.processes import PROCESS_BYTES
from tests.study.test_ahead import QUICK, steered, stopped, straight, table
from tests.toy import ToyProblem
from tests.waiting import PATIENCE, until


class Alone(ToyProblem):
    """One evaluation at a time; each leaves the number of its process in a folder."""

    one_at_a_time = True

    def __init__(self, folder: Path, deadly: bool = False) -> None:
        super().__init__()
        self.folder, self.deadly = str(folder), deadly

    def evaluate(self, bits: Any) -> Any:
        mine = Path(self.folder) / f"{os.getpid()}"
        mine.touch()
        if self.deadly and np.atleast_2d(bits)[0][1] == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        while (Path(self.folder) / "hang").exists():
            time.sleep(0.002)
            nl.check_interrupted()
        return super().evaluate(bits)

    def fingerprint(self) -> dict[str, str]:
        return {"toy": "alone"}


def processes(folder: Path) -> set[int]:
    """Those that have evaluated, and live."""
    return {
        int(one.name) for one in folder.iterdir() if one.name.isdigit() and psutil.pid_exists(int(one.name))
    }


def stop_while_two_are_at_work(study: nl.Study, folder: Path) -> None:
    study.start(20)
    until(lambda: len(processes(folder)) == 2)
    study.stop()
    assert study.wait(PATIENCE)


@pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")
@pytest.mark.parametrize("ahead", [0, 8])
def test_one_table_and_nobody_is_left_behind(ahead: int, tmp_path: Path) -> None:
    options = {**QUICK, "ahead": ahead, "dedupe": True}
    alone = table(steered(nl.create_study(ToyProblem(), **options), straight))
    study = nl.create_study(Alone(tmp_path), workers=2, **options)
    assert table(steered(study, straight)) == alone
    used = processes(tmp_path)
    assert len(used) == 2
    assert os.getpid() not in used
    study.close()
    until(lambda: not processes(tmp_path))
    study = nl.create_study(Alone(tmp_path), workers=3, **options)
    assert table(steered(study, stopped)) == alone
    study.close()


def test_processes_that_are_killed_lose_nothing(tmp_path: Path) -> None:
    alone = nl.create_study(ToyProblem(), **QUICK).optimize(150, progress=False)
    study = nl.create_study(Alone(tmp_path), workers=2, **QUICK)
    study.start(150)
    for made in (20, 60, 100):
        until(lambda made=made: len(study.snapshot.evaluations) > made)
        os.kill(min(processes(tmp_path)), signal.SIGKILL)
    assert study.wait(PATIENCE)
    assert study.state == "finished"
    assert table(study) == table(alone)
    study.close()


@pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")
def test_what_kills_three_in_turn_ends_the_run_by_name_and_a_pin_goes_around_it(tmp_path: Path) -> None:
    study = nl.create_study(Alone(tmp_path, deadly=True), workers=2, **QUICK)
    study.enqueue(8)
    with pytest.raises(EvaluationError, match=r"all workers that tried \[8, 8, 8, 8, 8, 8\] have died.*pin"):
        study.optimize(20, progress=False)
    study.pin("layer0.weight", (2, 7))
    assert len(study.optimize(20, progress=False).evaluations()) == 20
    study.close()


def test_a_stop_leaves_what_is_at_work_there(tmp_path: Path) -> None:
    (tmp_path / "hang").touch()
    study = nl.create_study(Alone(tmp_path), workers=2, **QUICK)
    stop_while_two_are_at_work(study, tmp_path)
    (tmp_path / "hang").unlink()
    before = processes(tmp_path)
    assert len(study.optimize(20, progress=False).evaluations()) == 20
    assert processes(tmp_path) == before, "the same go on"
    study.close()


def test_a_script_needs_no_guard_and_leaves_nobody_behind(tmp_path: Path) -> None:
    script = tmp_path / "search.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import os, pathlib
            import numpy as np
            import nemo_lab as nl
            from tests.toy import ToyProblem

            class Mine(ToyProblem):
                one_at_a_time = True

                def evaluate(self, bits):
                    (pathlib.Path({str(tmp_path)!r}) / str(os.getpid())).touch()
                    return super().evaluate(bits)

            study = nl.create_study(Mine(), workers=2, species=["floor"], population=8, min_size=2)
            print(len(study.optimize(40, progress=False).evaluations()))
            """
        )
    )
    found = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert (found.stdout.split(), found.stderr) == (["40"], "")
    assert len([one for one in tmp_path.iterdir() if one.name.isdigit()]) == 2
    until(lambda: not processes(tmp_path))


def test_more_processes_than_there_is_memory_for_are_refused(
    digits_problem: nl.QuantizationProblem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nemo_lab.quantize.memory.free_bytes", lambda: 2 * 10**9)
    path = tmp_path / "run.sqlite"
    with pytest.raises(
        ArgumentError, match=r"8 processes take about 3\.9 GB of memory; 2\.0 GB are free; use workers=4"
    ):
        nl.create_study(digits_problem, workers=8, storage=path)
    assert not path.exists()
    nl.create_study(digits_problem, workers=4, storage=path).close()
    monkeypatch.setattr("nemo_lab.quantize.memory.free_bytes", lambda: 10**9)
    with pytest.raises(ArgumentError, match="4 processes take"):
        nl.load_study(path, problem=digits_problem)
    assert nl.load_study(path, problem=digits_problem, read_only=True).state == "idle"


def test_a_network_is_evaluated_there_bit_for_bit_in_about_the_memory_that_is_said(
    digits_problem: nl.QuantizationProblem,
) -> None:
    options = {key: value for key, value in QUICK.items() if key != "species"}
    alone = nl.create_study(digits_problem, **options).optimize(60, progress=False)
    fresh = nl.QuantizationProblem(digits_problem.workload)
    study = nl.create_study(fresh, workers=2, **options).optimize(60, progress=False)
    assert fresh.evaluated <= 2, "only the ends, if anything"
    assert table(study) == table(alone)
    taken = [one.memory_full_info().uss for one in psutil.Process().children(recursive=True)]
    study.close()
    for one in sorted(taken)[-2:]:
        assert one == pytest.approx(PROCESS_BYTES + fresh.memory_bytes, rel=0.3)


def test_ctrl_c_and_kill_and_the_end_of_a_script_leave_nobody_behind(tmp_path: Path) -> None:
    script, path = tmp_path / "search.py", tmp_path / "run.sqlite"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            import nemo_lab as nl
            from pathlib import Path
            from tests.study.test_processes import Alone

            study = nl.create_study(
                Alone(Path({str(tmp_path)!r})), workers=2, name=sys.argv[1],
                storage={str(path)!r}, **{QUICK!r}
            )
            study.start(100_000)
            while len(study.snapshot.evaluations) < 30:
                pass
            print("on", flush=True)
            if sys.argv[1] == "interrupted":
                study.optimize(1000, progress=False) if study.state == "idle" else study.wait()
            elif sys.argv[1] == "killed":
                study.wait()
            """
        )
    )
    for name in ("ended", "killed", "interrupted"):
        begun = subprocess.Popen(
            [sys.executable, script, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        assert begun.stdout is not None
        assert begun.stdout.readline() == "on\n"
        if name == "killed":
            begun.kill()
        elif name == "interrupted":
            os.killpg(begun.pid, signal.SIGINT)
        _, said = begun.communicate(timeout=PATIENCE)
        assert name != "ended" or said == ""
        until(lambda: not processes(tmp_path))
        for one in tmp_path.iterdir():
            if one.name.isdigit():
                one.unlink()
        study = nl.load_study(path, name=name, problem=Alone(tmp_path), read_only=True)
        assert study.state != "failed"
        assert len(study.snapshot.evaluations) >= 30
        study.close()


def test_what_hangs_and_was_left_does_not_block_the_next_run(tmp_path: Path) -> None:
    study = nl.create_study(Hanging(tmp_path), workers=2, **QUICK)
    stop_while_two_are_at_work(study, tmp_path)
    (tmp_path / "hang").touch()
    assert len(study.optimize(20, progress=False).evaluations()) == 20
    study.close()


class Hanging(Alone):
    """Until there is a file, evaluations neither end nor look up."""

    def evaluate(self, bits: Any) -> Any:
        (Path(self.folder) / f"{os.getpid()}").touch()
        while not (Path(self.folder) / "hang").exists():
            time.sleep(3600)
        return ToyProblem.evaluate(self, bits)
