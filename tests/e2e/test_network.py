"""The network and the inspector as a person uses them: folding, finding, colours, edits by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]


def test_blocks_fold_nodes_are_found_and_coloured(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.open_dashboard()
    page, figure = notebook.page, notebook.figure("The network")
    expect(figure).to_have_attribute("data-count-folded", "0")
    notebook.tap("The network", "blocks", key=2, x="x", y="height")  # the heading of blocks.1
    expect(figure).to_have_attribute("data-count-folded", "1")
    notebook.button("Collapse all").focus()
    page.keyboard.press("Enter")
    expect(figure).to_have_attribute("data-count-folded", "8")
    notebook.label("Find").fill("depthwise")
    notebook.button("Select matches").click()
    notebook.wait_for_text("10 of 36 nodes selected")
    expect(figure).to_have_attribute("data-count-folded", "3")  # those with one are open
    notebook.label("Kind").select_option("depthwise")
    notebook.button("Select kind").click()
    notebook.wait_for_text("nodes selected: blocks.0.depthwise")
    notebook.button("Expand all").click()
    expect(figure).to_have_attribute("data-count-folded", "0")

    # a box around the first nodes, then a pin
    notebook.button("Clear selection").click()
    notebook.wait_for_text("No node is selected")
    notebook.drag("The network", (-0.6, 1.35), (2.4, -0.6))
    notebook.wait_for_text("3 of 36 nodes selected: stem.conv.input, stem.conv.weight, blocks.0")
    notebook.label("to bits").select_option("6")
    notebook.button("Pin").click()
    notebook.wait_for_text("stem.conv.input = 6, stem.conv.weight = 6")

    before = notebook.still(figure.screenshot)
    notebook.label("Colour").select_option("sensitivity")
    notebook.wait_for_text("Most sensitive:")
    page.mouse.move(5, 5)
    notebook.until(lambda: figure.screenshot() != before)
    notebook.label("Colour").select_option("SQNR")
    notebook.wait_for_text("in dB")
    notebook.button("Zoom in").focus()
    notebook.rest()
    whole = notebook.still(figure.screenshot)
    page.keyboard.press("Enter")
    notebook.until(lambda: figure.screenshot() != whole)
    assert notebook.errors == []


def test_a_draft_by_keyboard_and_two_configurations_side_by_side(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.open_dashboard()
    notebook.ask("dashboard.study.optimize(40, progress=False); print('done')")
    notebook.wait_for_evaluations(40)
    page = notebook.page
    notebook.label("Select").select_option("most accurate")
    best = int(
        notebook.ask(
            "f = dashboard.study.front(); print(f.sort_values(['task_error', 'model_ratio']).index[0])"
        )
    )
    notebook.wait_for_text(f"study.config({best})")
    notebook.label("Select").select_option("smallest")
    notebook.wait_for_text("difference")
    notebook.wait_for_text("points")
    assert f"Configuration {best}" in notebook.text()
    assert "kB" in notebook.text()
    assert "MBOPs" in notebook.text()
    strip = notebook.figure("Bit-width")
    strip.scroll_into_view_if_needed()  # what nobody sees is not painted
    expect(strip).not_to_have_attribute("data-count-marks", "0")

    notebook.label("Find").fill("classifier.weight")
    notebook.button("Select matches").focus()
    page.keyboard.press("Enter")
    notebook.wait_for_text("1 of 36 nodes selected: classifier.weight")
    notebook.label("Change to").select_option("8")
    notebook.button("Set").focus()
    page.keyboard.press("Enter")
    notebook.wait_for_text("not measured")  # the costs are there, the accuracy is not
    expect(strip).to_have_attribute("data-count-marks", "1")
    notebook.button("Evaluate").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".nemo-dashboard").first).not_to_contain_text("not measured")
    notebook.button("Add to run").focus()
    page.keyboard.press("Enter")
    notebook.wait_for_text("enqueue")
    notebook.button("Undo").click()
    notebook.wait_for_text("undo")
    notebook.button("Copy as Python").click()
    expect(page.locator(".nemo-copy [role=status]").first).not_to_be_empty()
    notebook.button("Save report").click()
    notebook.wait_for_text("saved the report to")
    assert (notebook.server.folder / "digits.html").stat().st_size > 500_000
    assert notebook.errors == []
