"""What people see when the kernel is not the one that made the dashboard: the truth, and how to go on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from playwright.sync_api import expect

from tests.waiting import PATIENCE

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]


def image_is_there(picture: Any) -> bool:
    """Whether the browser could read the image."""
    expect(picture).to_be_visible()
    return bool(picture.evaluate("one => one.decode().then(() => one.naturalWidth > 400)"))


def test_restart_and_reopening_say_what_to_do(open_notebook: Opened) -> None:
    notebook = open_notebook()
    page = notebook.page
    notebook.open_dashboard()
    notebook.ask("dashboard.study.optimize(60, progress=False); print('done')")
    notebook.wait_for_evaluations(60)
    static = page.locator(".nemo-static")
    expect(static).to_be_hidden()
    expect(static).to_contain_text("60 evaluations")
    notebook.rest()
    page.keyboard.press("Escape")
    notebook.save()

    page.locator(".lm-MenuBar-item", has_text="Kernel").click()
    page.locator(".lm-Menu-item", has_text="Restart Kernel…").first.click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    dashboard = page.locator(".nemo-dashboard.jupyter-widgets-disconnected").first
    dashboard.wait_for()
    told = dashboard.evaluate("one => getComputedStyle(one, '::before').content")
    assert "Run this cell again" in told
    expect(static).to_be_visible()
    notebook.open_dashboard()  # the cell again
    expect(page.locator(".jupyter-widgets-disconnected")).to_have_count(0)
    expect(static).to_be_hidden()
    assert notebook.evaluated() == 0

    # closed without saving the second run, opened with a kernel that knows nothing
    notebook.reopen()
    expect(static).to_contain_text("Run this cell in Jupyter to make it live again")
    expect(static).to_contain_text("60 evaluations")
    assert image_is_there(static.locator("img"))
    expect(page.get_by_text("model not found")).to_be_hidden()
    notebook.open_dashboard()
    expect(static).to_be_hidden()


def test_a_stored_study_goes_on_after_a_restart(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.ask(
        "import nemo_lab as nl\n"
        "study = nl.create_study('digits', seed=1, storage='truth.sqlite')\n"
        "study.optimize(30, progress=False); print('done')"
    )
    notebook.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    notebook.ready()
    notebook.ask("import nemo_lab as nl\nnl.Dashboard(nl.load_study('truth.sqlite'))")
    notebook.figure("Pareto front").wait_for()
    notebook.wait_for_evaluations(30)
    assert notebook.evaluated() == 30
    notebook.button("Start").click()
    notebook.wait_for_evaluations(40)
    notebook.button("Stop").click()


CELLS = (
    "import nemo_lab as nl\ndashboard = nl.Dashboard('digits', species=('continuous', 'floor'))\ndashboard",
    "dashboard.study.optimize(40, progress=False)\nimport threading, time\n"
    "while 'nemo_lab publisher' in [one.name for one in threading.enumerate()]: time.sleep(0.1)",  # it draws
    "'the end'",
)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook that ran from top to bottom without anybody looking."""
    path = tmp_path_factory.mktemp("executed") / "executed.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    NotebookClient(notebook, timeout=int(PATIENCE), kernel_name="python3").execute()
    nbformat.write(notebook, path)
    return path


@pytest.mark.parametrize("dark", [False, True])
def test_nbconvert_without_network(executed: Path, browser: Any, dark: bool) -> None:
    assert "widgets" in nbformat.read(executed, as_version=4).metadata  # nbclient keeps what cannot run
    theme = ["--theme", "dark"] if dark else []
    command = [sys.executable, "-m", "nbconvert", "--to", "html", *theme, str(executed)]
    subprocess.run(command, check=True, capture_output=True)
    page = browser.new_page(viewport={"width": 900, "height": 1200})
    page.route(lambda url: not url.startswith(("file:", "data:")), lambda route: route.abort())
    page.goto(executed.with_suffix(".html").as_uri(), wait_until="domcontentloaded")
    static = page.locator(".nemo-static")
    expect(static).to_contain_text("40 evaluations")
    assert image_is_there(static.locator("img"))
    expect(static.locator("table")).to_be_visible()
    expect(page.get_by_text("model not found")).to_have_count(0)
    page.close()


def test_somebody_elses_notebook_shows_the_picture(executed: Path, server: Any, shared_tab: Any) -> None:
    """JupyterLab does not trust it, so neither styles nor scripts in it count."""
    shutil.copy(executed, server.folder / "foreign.ipynb")
    notebook = sys.modules["nemo_lab_e2e"].Notebook(shared_tab.get(), "foreign.ipynb")
    static = notebook.page.locator(".nemo-static")
    expect(static).to_contain_text("40 evaluations")
    assert image_is_there(static.locator("img"))
    notebook.close()
