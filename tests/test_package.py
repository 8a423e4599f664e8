"""The package as it is shipped: light to import, complete, typed, small."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import nemo_lab

SOURCE = Path(str(files("nemo_lab")))
PUBLIC = {
    "load_workload", "Workload", "CostModel", "QuantizationProblem", "create_study", "Study", "Dashboard",
    "check_interrupted", "NemoError", "NemoWarning",
}  # fmt: skip


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_importing_it_imports_nothing_heavy() -> None:
    done = run("import nemo_lab, sys, json; dir(nemo_lab); print(json.dumps(sorted(sys.modules)))")
    modules = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert "nemo_lab" in modules
    heavy = {"torch", "torch_geometric", "bokeh", "numba", "pymoo", "ipywidgets", "anywidget"}
    assert not modules & (heavy | {"pandas", "numpy", "IPython", "tqdm"})
    assert done.stderr == ""


def test_every_public_name_is_listed_and_there() -> None:
    assert set(nemo_lab.__all__) >= PUBLIC
    assert len(set(nemo_lab.__all__)) == len(nemo_lab.__all__)
    for name in dir(nemo_lab):
        assert getattr(nemo_lab, name) is not None
    assert set(dir(nemo_lab)) >= PUBLIC | {"__version__"}


def test_names_work_in_a_fresh_process_in_another_order() -> None:
    names = nemo_lab.__all__[::-1]
    done = run(f"import nemo_lab\nfor name in {names!r}: print(getattr(nemo_lab, name).__name__)")
    assert done.stdout.split() == list(names)


def test_star_import_brings_the_public_names() -> None:
    """In the order of ``__all__``, in a fresh process."""
    done = run("from nemo_lab import *\nprint(*[n for n in dir() if not n.startswith('_')])")
    assert set(done.stdout.split()) == set(nemo_lab.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'nemo_lab' has no attribute 'creat_study'"):
        _ = nemo_lab.creat_study
    with pytest.raises(ImportError, match="creat_study"):
        exec("from nemo_lab import creat_study")


def test_type_checkers_see_the_hints() -> None:
    assert (SOURCE / "py.typed").is_file()


def test_the_version_is_the_distribution_s() -> None:
    assert nemo_lab.__version__ == importlib.metadata.version("nemo_lab")


def test_shipped_data_are_small_and_complete() -> None:
    data = {path.name: path.stat().st_size for path in (SOURCE / "workload/zoo/data").iterdir()}
    assert data.keys() == {
        f"{name}{suffix}" for name in ("digits", "fashion", "text") for suffix in (".npz", ".pt")
    }
    assert {name: size for name, size in data.items() if size >= 1_000_000} == {}


def test_files_the_browser_needs_are_shipped() -> None:
    elements = (
        "bokeh_models.js",
        "copy_button.js",
        "element.js",
        "figure.js",
        "figure.css",
        "frames.js",
        "slider.js",
        "turns.js",
        "theme.js",
        "theme.css",
    )
    for name in (*(f"elements/{one}" for one in elements), "static/report.js", "static/report.css"):
        assert (SOURCE / "widgets" / name).is_file()


def test_no_source_file_grows_without_end() -> None:
    long = {
        str(path.relative_to(SOURCE)): lines
        for path in SOURCE.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 320
    }
    assert long == {}
