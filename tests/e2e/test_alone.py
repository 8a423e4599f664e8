"""Panels in cells of their own, without the dashboard: they look and answer as they do in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]


def test_panels_alone_and_what_is_left_of_them(open_notebook: Opened) -> None:
    notebook = open_notebook()
    page = notebook.page
    notebook.ask(
        "import nemo_lab as nl\n"
        "study = nl.create_study('digits', species=('continuous', 'floor'))\n"
        "study.optimize(40, progress=False)\n"
        "study.pin('stem.conv.weight', 8)\n"
        "dashboard = nl.Dashboard(study); print('made')"
    )
    notebook.ask("dashboard.history")
    log = page.locator(".nemo-panel", has_text="Steering log").first
    expect(log).to_contain_text("stem.conv.weight")
    expect(page.locator(".nemo-dashboard")).to_have_count(0)
    expect(page.locator(".nemo-static")).to_be_hidden()
    # it has its style sheet though no figure brought one
    assert log.locator(".nemo-title").evaluate("one => getComputedStyle(one).fontWeight") == "600"
    undo = log.get_by_role("button", name="Undo")
    undo.focus()
    page.keyboard.press("Enter")
    expect(log).to_contain_text("undo")

    notebook.ask("dashboard.front")
    front = notebook.figure("Pareto front")
    expect(front).to_have_attribute("data-count-evaluated", "40")
    zoom = page.get_by_label("Zoom to", exact=True)
    zoom.select_option("front")
    texts = page.locator(".jp-MarkdownCell").count()
    zoom.focus()
    page.keyboard.press("4")  # JupyterLab would make the cell a heading
    expect(page.locator(".jp-MarkdownCell")).to_have_count(texts)
    notebook.ask("study.optimize(20, progress=False); print('on')")
    expect(front).to_have_attribute("data-count-evaluated", "60")

    notebook.rest()  # the picture for whoever reads it without a kernel is there
    page.keyboard.press("Escape")
    notebook.save()
    notebook.reopen()
    expect(page.locator(".nemo-static").first).to_contain_text("This was a panel of the dashboard")
    expect(page.get_by_text("model not found").first).to_be_hidden()
