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


class SharedTab:
    """The tab with its kernel that tests share: made when one needs it, and again after one has failed."""

    def __init__(self, server: Any, browser: Any) -> None:
        self._server, self._browser, self._tab = server, browser, None

    def get(self) -> Any:
        """The tab."""
        self._tab = self._tab or lab.Tab(self._browser, self._server)
        return self._tab

    def close(self) -> None:
        """Close it; the next who asks gets another one."""
        tab, self._tab = self._tab, None
        if tab:
            tab.close()
            assert tab.outside == []


@pytest.fixture(scope="session")
def shared_tab(server: Any, browser: Any) -> Iterator[SharedTab]:
    shared = SharedTab(server, browser)
    yield shared
    shared.close()


@pytest.fixture
def open_notebook(server: Any, shared_tab: SharedTab, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Open a fresh copy of the quickstart, in the tab that tests share unless a ``page`` is given.

    A failure leaves a screenshot behind.
    """
    opened: list[Any] = []

    def open_(**options: Any) -> Any:
        name = f"{request.node.name}-{len(opened)}.ipynb"
        shutil.copy(server.folder / "00_quickstart.ipynb", server.folder / name)
        notebook = lab.Notebook(shared_tab.get(), name, **options)
        opened.append(notebook)
        return notebook

    yield open_
    results, failed = Path("test-results"), getattr(request.node, "failed", False)
    try:
        for number, notebook in enumerate(opened):
            if failed and not notebook.page.is_closed():
                results.mkdir(exist_ok=True)
                notebook.page.screenshot(path=results / f"{request.node.name}-{number}.png", full_page=True)
    finally:
        for notebook in opened:
            if not failed:
                notebook.close()
            elif notebook.page is not notebook.tab.page:
                notebook.page.close()
        if failed:  # also where it could not even open one
            shared_tab.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    if outcome.get_result().failed:  # type: ignore[attr-defined]
        item.failed = True  # type: ignore[attr-defined]
