"""A page that stays open for a day: what is closed, or shown again, leaves no figure behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]
# figures and documents that BokehJS keeps
KEPT = """() => __nemo_lab_bokeh_loaded.map((one) => [one.documents.length, Object.keys(one.index).length])"""


def test_figures_of_a_dashboard_that_is_gone_are_let_go_of(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.open_dashboard()
    notebook.ask("study = dashboard.study.optimize(30, progress=False); print('done')")
    notebook.wait_for_evaluations(30)
    notebook.rest()
    ((documents, views),) = notebook.page.evaluate(KEPT)
    assert documents >= 5
    assert views >= documents
    notebook.ask(
        "study.remove_species('integer'); study.add_species('integer'); print('added')"
    )  # drawn anew
    for _ in range(2):
        notebook.open_dashboard()  # the cell again
        notebook.ask("print('it has run')")
    notebook.until(lambda: notebook.page.evaluate(KEPT) == [[documents, views]])
    notebook.ask("dashboard.close(); print('closed')")
    notebook.until(lambda: notebook.page.evaluate(KEPT) == [[0, 0]])
