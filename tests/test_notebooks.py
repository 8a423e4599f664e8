"""Every notebook: how it is kept in git, and that it runs to its end in a fresh kernel."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.waiting import PATIENCE

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
GOALS = re.compile(r"(after this (notebook|lesson) you (can|will|know)|learning goals|you will learn)", re.I)
WIDGET = "application/vnd.jupyter.widget-view+json"


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_quickstart_is_among_them() -> None:
    assert "00_quickstart.ipynb" in NAMES


def test_numbers_are_given_once() -> None:
    numbers = [name.partition("_")[0] for name in NAMES]
    assert all(re.fullmatch(r"\d\d", number) for number in numbers)
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("name", NAMES)
def test_kept_without_outputs_and_with_ids(name: str) -> None:
    notebook = read(FOLDER / name)
    nbformat.validate(notebook)
    assert code_cells(notebook)
    for cell in code_cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None
    assert "widgets" not in notebook.metadata
    ids = [cell["id"] for cell in notebook.cells]
    assert all(ids)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", NAMES)
def test_starts_with_its_number_and_its_learning_goals(name: str) -> None:
    first = read(FOLDER / name).cells[0]
    assert first.cell_type == "markdown"
    lines = first.source.splitlines()
    assert re.match(rf"# {name[:2]}\b.*\w", lines[0])
    at = next(i for i, line in enumerate(lines) if GOALS.search(line))
    goals = [line for line in lines[at + 1 :] if re.match(r"\s*[-*] \w", line)]
    assert len(goals) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_questions_have_a_hidden_answer(name: str) -> None:
    cells = [cell.source for cell in read(FOLDER / name).cells if cell.cell_type == "markdown"]
    answers = [cell for cell in cells if "<details>" in cell]
    assert answers
    for cell in answers:
        assert "Question" in cell
        assert cell.count("<details>") == cell.count("</details>") == cell.count("<summary>")


@pytest.mark.parametrize("name", NAMES)
def test_runs_in_a_fresh_kernel(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    work = tmp_path / "notebooks"
    shutil.copytree(FOLDER, work, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    notebook = read(work / name)
    NotebookClient(
        notebook, timeout=int(PATIENCE), kernel_name="python3", resources={"metadata": {"path": str(work)}}
    ).execute()
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    printed = "".join(output.text for output in outputs if output.get("name") == "stderr")
    assert "Traceback" not in printed
    assert "Warning" not in printed
    shown = [output.data for output in outputs if "data" in output]
    assert shown
    if any("%nemo" in cell.source or "Dashboard(" in cell.source for cell in code_cells(notebook)):
        live = [data for data in shown if WIDGET in data]
        assert live
        assert all("text/html" in data for data in live)
