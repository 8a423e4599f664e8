"""One JupyterLab and one Chromium for all browser tests."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def _load(name: str, file: str) -> Any:
    """A module beside the tests, for all of them to import from ``sys.modules``."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / file)
    if spec is None or spec.loader is None:
        raise ImportError(file)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lab = _load("nemo_lab_e2e", "lab.py")
_load("nemo_lab_hands", "hands.py")
Opened = Callable[..., Any]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with lab.jupyterlab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with lab.chromium() as running:
        yield running


@pytest.fixture
def open_notebook(server: Any, browser: Any, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Open a fresh copy of the quickstart in a new tab; a failure leaves a screenshot behind."""
    opened: list[Any] = []

    def open_(**options: Any) -> Any:
        name = f"{request.node.name}-{len(opened)}.ipynb"
        shutil.copy(server.folder / "00_quickstart.ipynb", server.folder / name)
        notebook = lab.Notebook(browser, server, name, **options)
        opened.append(notebook)
        return notebook

    yield open_
    results = Path("test-results")
    for number, notebook in enumerate(opened):
        if getattr(request.node, "failed", False):
            results.mkdir(exist_ok=True)
            notebook.page.screenshot(path=results / f"{request.node.name}-{number}.png", full_page=True)
        notebook.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    if outcome.get_result().failed:  # type: ignore[attr-defined]
        item.failed = True  # type: ignore[attr-defined]
