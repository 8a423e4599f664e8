"""The front panel as a person sees it: drawn boxes, the past, other views; by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]


@pytest.fixture
def finished(open_notebook: Opened) -> Any:
    """A notebook whose run of 80 evaluations has ended."""
    notebook = open_notebook()
    notebook.open_dashboard()
    notebook.ask(
        "import nemo_lab.widgets.panels.front as panel\n"
        "panel.REPLAY_SECONDS = 120  # so that a hand comes in time\n"
        "dashboard.study.optimize(80, progress=False); print('done')"
    )
    notebook.wait_for_evaluations(80)
    notebook.rest()
    return notebook


def test_a_box_drawn_by_mouse_is_what_the_search_looks_within(finished: Any) -> None:
    page = finished.page
    figure = finished.figure("Pareto front")
    before = finished.still(figure.screenshot)
    finished.label("Drag").select_option("set aspiration")
    expect(figure).to_have_attribute("data-drag", "box_select")  # the kernel has had its say
    finished.drag("Pareto front", (0.07, 0.95), (0.12, 0.6))
    finished.wait_for_text("Aspiration: model_ratio")
    asked = finished.page.locator(".nemo-pins").filter(has_text="Aspiration:").inner_text()
    assert "task_error" in asked
    numbers = [float(word.strip(",")) for word in asked.split() if word.strip(",").replace(".", "").isdigit()]
    assert numbers == pytest.approx([0.07, 0.12, 0.05, 0.4], abs=0.02)
    page.mouse.move(5, 5)
    finished.until(lambda: figure.screenshot() != before)
    finished.button("Clear aspiration").focus()
    page.keyboard.press("Enter")
    finished.wait_for_text("No constraints and no aspiration.")
    # the twin by keyboard
    finished.label("Aspiration").fill("task_error 0 to 0.2")
    finished.label("Aspiration").press("Tab")
    page.keyboard.press("Enter")
    finished.wait_for_text("Aspiration: task_error 0 to 0.2")
    assert finished.errors == []


def test_the_slider_goes_back_in_time_and_replay_shows_the_run(finished: Any) -> None:
    page = finished.page
    assert finished.points("evaluated") == 80
    slider = finished.label("History")
    slider.scroll_into_view_if_needed()
    slider.focus()
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    expect(finished.figure("Pareto front")).to_have_attribute("data-count-evaluated", "50")
    assert finished.evaluated() == 80  # the run itself is where it was
    expect(finished.button("Now")).to_be_enabled()
    box = slider.bounding_box()  # by mouse: click near its beginning
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + box["height"] / 2)
    finished.until(lambda: finished.points("evaluated") < 50)
    finished.button("Now").click()
    expect(finished.figure("Pareto front")).to_have_attribute("data-count-evaluated", "80")
    finished.button("Replay").click()
    finished.until(lambda: finished.points("evaluated") < 60)
    finished.button("Now").click()  # who moves takes over
    expect(finished.figure("Pareto front")).to_have_attribute("data-count-evaluated", "80")
    finished.rest()
    assert finished.points("evaluated") == 80


def test_zoom_and_parallel_coordinates(finished: Any) -> None:
    figure = finished.figure("Pareto front")
    whole = finished.still(figure.screenshot)
    finished.label("Zoom to").select_option("front")
    finished.until(lambda: figure.screenshot() != whole)
    finished.label("Zoom to").select_option("all points")
    finished.until(lambda: figure.screenshot() == whole)
    finished.label("Show as").select_option("parallel coordinates")
    expect(figure).to_be_hidden()
    lines = finished.figure("Parallel coordinates")
    expect(lines).to_be_visible()
    members = int(finished.ask("print(len(dashboard.study.front()))"))
    assert lines.get_attribute("data-count-lines") == str(2 * members)
    finished.label("Show as").select_option("projections")
    expect(figure).to_be_visible()
    assert finished.errors == []
    assert finished.outside == []
