"""``%load_ext nemo_lab`` and ``%nemo`` in a real IPython shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from nemo_lab import Dashboard, NemoError
from nemo_lab.search.presets import PRESETS
from tests.waiting import PATIENCE
from tests.widgets.watching import until, words


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    options = Config()
    options.HistoryManager.enabled = False
    made = InteractiveShell.instance(config=options)
    made.colors = "nocolor"
    assert made.run_cell("%load_ext nemo_lab").success
    yield made
    for value in list(made.user_ns.values()):
        if isinstance(value, Dashboard):
            value.study.stop()
            value.close()
    InteractiveShell.clear_instance()


def failure(shell: InteractiveShell, cell: str) -> BaseException | None:
    error: BaseException | None = shell.run_cell(cell).error_in_exec
    return error


def test_one_word_opens_the_dashboard(shell: InteractiveShell) -> None:
    assert shell.run_cell("dashboard = %nemo digits").success
    dashboard: Any = shell.user_ns["dashboard"]
    assert isinstance(dashboard, Dashboard)
    assert dashboard.study.title == "digits"
    assert dashboard.study.state == "idle"
    assert dashboard.study.seed == 0
    assert [one.name for one in dashboard.study.species] == list(PRESETS["default"].species)


def test_options_reach_the_study(shell: InteractiveShell) -> None:
    line = "--seed 7 --population 12 --species continuous,floor --start 5 digits"
    dashboard = shell.run_line_magic("nemo", line)
    shell.user_ns["dashboard"] = dashboard
    study = dashboard.study
    assert study.seed == 7
    assert study.options.population == 12
    assert [one.name for one in study.species] == ["continuous", "floor"]
    assert study.wait(PATIENCE)
    assert len(study.evaluations()) == 5
    until(lambda: "5 of 5 evaluations" in words(dashboard.controls))


def test_digits_is_the_default_and_nothing_is_printed(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.run_cell("shown = %nemo --species floor").success
    assert shell.user_ns["shown"].study.title == "digits"
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("digitz", "no workload 'digitz'; did you mean 'digits'?"),
        ("digits --species floor,gnc", "no species 'gnc'; did you mean 'gcn'?"),
        ("digits --sed 3", "unrecognized arguments: --sed 3; usage: %nemo [WORKLOAD]"),
        ("digits --seed many", "invalid int value: 'many'; usage: %nemo [WORKLOAD]"),
        ("digits --start", "expected one argument; usage: %nemo [WORKLOAD]"),
        ("digits fashion", "unrecognized arguments: fashion; usage: %nemo [WORKLOAD]"),
        ("'digits", "No closing quotation; usage: %nemo [WORKLOAD]"),
        ("digits --seed -1", "seed=-1; give a whole number of at least 0"),
        ("digits --population 0", "population=0; give a whole number of at least 1"),
    ],
)
def test_a_mistake_names_the_way_out_without_a_long_traceback(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    error = failure(shell, f"%nemo {line}")
    assert isinstance(error, NemoError)
    assert says in str(error)
    printed = capsys.readouterr()
    assert says in printed.out
    assert "File " not in printed.out
    assert len(printed.out.splitlines()) <= 4
    assert printed.err == ""


def test_other_errors_keep_their_traceback(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(failure(shell, "1 / 0"), ZeroDivisionError)
    assert "----> 1 1 / 0" in capsys.readouterr().out


def test_unloading_forgets_the_magic_and_loading_brings_it_back(shell: InteractiveShell) -> None:
    assert shell.run_cell("%unload_ext nemo_lab").success
    assert isinstance(failure(shell, "%nemo digits"), UsageError)
    assert shell.run_cell("%load_ext nemo_lab").success
    assert shell.run_cell("dashboard = %nemo digits --species floor").success
    assert isinstance(shell.user_ns["dashboard"], Dashboard)
