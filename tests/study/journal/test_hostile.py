"""A file may say anything, with the right check sum: what nemo_lab cannot have written is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nemo_lab as nl
from nemo_lab import create_study, load_study
from nemo_lab.errors import NemoError
from nemo_lab.study import studies
from tests.study.journal.rewriting import execute, rewrite_header, rewrite_status
from tests.toy import ToyProblem

pytestmark = pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")

NAN, INFINITE = float("nan"), float("inf")
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 3, 10**400, NAN, INFINITE, -1e308, "", "x", "\ud800", b"raw", [], [None],
    [[1, 2], [3]], ["a", "a"], [10**400] * 3, {}, {"a": 1}, {"a": {"b": NAN}}, np.zeros(0),
    np.full((2, 3), NAN),
    np.full((2, 3), 1e308), np.array([[-1e308] * 3, [1e308] * 3]), np.array([[1.0] * 3, [0.0] * 3]),
    np.zeros((2, 3), dtype=np.float32), np.full((2, 5), 10**9), np.arange(10).reshape(2, 5) - 3,
)  # fmt: skip
PATHS: tuple[tuple[str, ...], ...] = (
    *((name,) for name in ("name", "seed", "species", "options", "workers", "problem", "recipe")),
    *((name,) for name in ("fingerprint", "versions", "created", "engine", "more")),
    *(("problem", name) for name in ("num_nodes", "node_names", "bit_widths", "objective_names", "title")),
    *(("problem", name) for name in ("node_features", "edges", "objective_bounds", "objectives", "more")),
    *(("options", name) for name in ("population", "min_size", "surrogate_explore", "unknown")),
)
STATUS = (
    *(("status", name) for name in ("state", "generation", "allocation", "hypervolume", "waiting", "target")),
    *(
        ("status", name)
        for name in ("seconds", "rate", "reused", "exhausted", "error", "species", "summaries")
    ),
    ("status",),
    ("counts",),
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "run.sqlite"
    study = create_study(ToyProblem(), population=8, min_size=2, species=("floor", "integer"), storage=path)
    study.optimize(20, progress=False)
    study.pin("layer0.weight", 4)
    study.optimize(10, progress=False)
    study.close()
    return path


def put(fields: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for name in place[:-1]:
        fields = fields[name]
    fields[place[-1]] = value


def looks(path: Path) -> str:
    """Everything that shows a file without running it; what it says, or that it was refused."""
    said = []
    for look in (studies, watch, go_on):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                look(path)
            said.append("shown")
        except NemoError:
            said.append("refused")
    return " ".join(said)


def watch(path: Path) -> None:
    study = load_study(path, read_only=True)
    try:
        study._repr_html_()
        study.progress()
        study.history()
        study.to_script()
        nl.compare([study])
    finally:
        study.close()


def go_on(path: Path) -> None:
    study = load_study(path, problem=ToyProblem())
    try:
        study.optimize(until=32, progress=False)
    finally:
        study.close()


@pytest.mark.parametrize("place", PATHS, ids=".".join)
def test_a_header_that_says_anything(honest: Path, tmp_path: Path, place: tuple[str, ...]) -> None:
    said = []
    for number, value in enumerate(VALUES):
        path = Path(shutil.copy(honest, tmp_path / f"{number}.sqlite"))
        try:
            rewrite_header(path, lambda fields, value=value: put(fields, place, value))  # type: ignore[misc]
        except (TypeError, ValueError):  # no file can say that
            continue
        said.append(looks(path))
    assert len(said) > 20
    assert any("refused" in one for one in said)


@pytest.mark.parametrize("place", STATUS, ids=".".join)
def test_a_status_that_says_anything(honest: Path, tmp_path: Path, place: tuple[str, ...]) -> None:
    said = []
    for number, value in enumerate(one for one in VALUES if not isinstance(one, np.ndarray | bytes)):
        path = Path(shutil.copy(honest, tmp_path / f"{number}.sqlite"))
        rewrite_status(path, lambda fields, value=value: put(fields, place, value))  # type: ignore[misc]
        said.append(looks(path))
    assert len(said) > 15
    if place != ("status", "state"):  # a state that is not known is idle
        assert any("refused" in one for one in said)


@pytest.mark.parametrize(
    "bounds",
    [np.full((2, 3), NAN), np.array([[-1e308] * 3, [1e308] * 3]), np.array([[0.0] * 3, [INFINITE] * 3])],
    ids=["nan", "too wide", "infinite"],
)
def test_bounds_that_are_none_reach_no_native_code(honest: Path, tmp_path: Path, bounds: Any) -> None:
    path = Path(shutil.copy(honest, tmp_path / "run.sqlite"))
    rewrite_header(path, lambda fields: fields["problem"].update(objective_bounds=bounds))
    script = (
        "import sys, nemo_lab as nl\n"
        "from nemo_lab.errors import StorageError\n"
        "try: nl.Dashboard(nl.load_study(sys.argv[1], read_only=True)).save(sys.argv[1] + '.html')\n"
        "except StorageError: sys.exit(3)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(path)], check=False)
    assert done.returncode == 3


def test_one_bad_study_hides_none_of_the_others(honest: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(honest, tmp_path / "run.sqlite"))
    rewrite_header(path, lambda fields: fields["problem"].update(bit_widths=[8, 4]))
    create_study(ToyProblem(), storage=path, name="good").optimize(5, progress=False).close()
    create_study(ToyProblem(), storage=path, name="newest").close()
    with_bad = studies(path)
    assert with_bad["state"].to_dict() == {"study 1": "unreadable", "good": "finished", "newest": "idle"}
    with pytest.raises(NemoError, match="head of study 'study 1' cannot be read"):
        load_study(path, "study 1", read_only=True)
    assert len(load_study(path, "good", problem=ToyProblem()).evaluations()) == 5
    execute(path, "UPDATE studies SET crc = crc + 1 WHERE name = 'newest'")
    for read_only in (True, False):
        with pytest.raises(NemoError, match=r"study 'newest' cannot be read.*load_study\('.*', 'good'\)"):
            load_study(path, problem=ToyProblem(), read_only=read_only)
    assert len(load_study(path, "good", problem=ToyProblem()).evaluations()) == 5
    create_study(ToyProblem(), storage=path, name="more").close()
