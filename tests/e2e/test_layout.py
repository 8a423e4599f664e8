"""What fits where: nothing sticks out, overlaps or is cut off, at 1280 pixels and at twice the size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]
STUDY = (
    "import nemo_lab as nl\n"
    "study = nl.create_study('digits', species=('continuous', 'floor'), population=12)\n"
    "study.optimize(40, progress=False)\n"
    "study.pin('*.weight', 8); study.aspire(task_error=0.2)\n"
    "dashboard = nl.Dashboard(study)\ndashboard"
)
# what is wrong with the places of what is to be seen, in words
WRONG = """dashboard => {
  const found = [];
  const seen = (one) =>
    one.checkVisibility({visibilityProperty: true}) && one.getBoundingClientRect().width > 0;
  const all = (place, what) => [...place.querySelectorAll(what)].filter(seen);
  const word = (one) => (one.labels?.[0]?.textContent || one.textContent || one.tagName).trim().slice(0, 40);
  const output = dashboard.closest(".jp-OutputArea-output") ?? dashboard.parentElement;
  const edge = output.getBoundingClientRect().right + 1;
  if (output.scrollWidth > output.clientWidth + 1) found.push(`it scrolls: ${output.scrollWidth}`);
  for (const one of all(dashboard, "*")) {
    const {right} = one.getBoundingClientRect();
    if (right > edge && !one.closest("select, pre")) found.push(`${one.className} sticks out: ${word(one)}`);
  }
  // a canvas to measure texts in the font of a place
  const pen = document.createElement("canvas").getContext("2d");
  const wide = (text, style) => ((pen.font = style.font), pen.measureText(text).width);
  for (const one of all(dashboard, "button, label.widget-label, .widget-label")) {
    if (one.scrollWidth > one.clientWidth + 1) found.push(`cut off: ${word(one)}`);
  }
  for (const one of all(dashboard, "input:not([type=range]), select:not([multiple])")) {
    const style = getComputedStyle(one);
    const arrow = one.tagName === "SELECT" ? 16 : one.type === "number" ? 15 : 0;
    const room = one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const text = one.tagName === "SELECT" ? one.selectedOptions[0]?.text : one.value || one.placeholder;
    const spare = Math.max(arrow - (one.tagName === "SELECT" ? parseFloat(style.paddingRight) : 0), 0);
    if (wide(text ?? "", style) > room - spare + 1) found.push(`cut off in ${word(one)}: ${text}`);
  }
  for (const panel of all(dashboard, ".nemo-panel")) {
    const boxes = all(panel, "button, input, select, summary, .widget-label, .nemo-figure").map(
      (one) => ({name: word(one), ...one.getBoundingClientRect().toJSON()}));
    boxes.forEach((one, at) => boxes.slice(at + 1).forEach((other) => {
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const upright = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (across > 1 && upright > 1) found.push(`${one.name} lies over ${other.name}`);
    }));
  }
  for (const one of all(dashboard, ".widget-html-content")) {
    const box = one.closest(".widget-html");
    if (box.scrollHeight > box.clientHeight + 2 || box.scrollWidth > box.clientWidth + 1)
      found.push(`cut off: ${word(one)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("zoom", [1, 2])
def test_nothing_sticks_out_overlaps_or_is_cut_off(open_notebook: Opened, browser: Any, zoom: int) -> None:
    """At 200 % a window of 1280 by 900 pixels has the room of one of 640 by 450."""
    viewport = {"width": 1280 // zoom, "height": 900 // zoom}
    page = browser.new_page(viewport=viewport, device_scale_factor=zoom)
    notebook = open_notebook(page=page)
    if zoom > 1:  # JupyterLab's files would take half of the window
        page.keyboard.press("Control+b")
        page.locator("#jp-left-stack").wait_for(state="hidden")
    notebook.type(STUDY)
    page.keyboard.press("Control+Enter")
    for label in ("Pareto front", "The network", "Bit-width", "Population"):
        notebook.figure(label).wait_for()
    notebook.wait_for_evaluations(40)
    dashboard = page.locator(".nemo-dashboard")
    dashboard.get_by_role("button", name="Pin", exact=True).click()
    notebook.wait_for_text("no node is selected")  # a notice has its place, too
    assert dashboard.evaluate(WRONG) == []
    # the check itself sees what is wrong
    dashboard.get_by_role("button", name="Pin", exact=True).evaluate("one => one.style.maxWidth = '12px'")
    dashboard.get_by_role("button", name="Start").evaluate("one => one.style.minWidth = '3000px'")
    wrong = dashboard.evaluate(WRONG)
    assert "cut off: Pin" in wrong
    assert any(one.endswith("sticks out: Start") for one in wrong)


# how far below the top of the dashboard the buttons and fields of its first panels, with Steering, lie
PLACES = """() => {
  const dashboard = document.querySelector(".nemo-dashboard");
  const panels = [...dashboard.querySelectorAll(".nemo-panel")].slice(0, 4);
  const boxes = panels.flatMap((one) => [...one.querySelectorAll("button, input, select")]);
  const top = dashboard.getBoundingClientRect().top;
  return boxes.map((one) => [one.labels?.[0]?.textContent || one.textContent.slice(0, 20),
    Math.round(one.getBoundingClientRect().top - top)]);
}"""


def test_nothing_moves_under_a_hand(open_notebook: Opened) -> None:
    """A click whose button goes away between press and release is none: on a slow machine that happens."""
    notebook = open_notebook()
    notebook.open_dashboard()
    places = notebook.still(lambda: notebook.page.evaluate(PLACES))
    assert {"Start", "Show selected", "Pin", "Set aspiration"} <= {name for name, _ in places}

    def nothing_moved() -> None:
        assert notebook.still(lambda: notebook.page.evaluate(PLACES)) == places

    wanted = notebook.label("Evaluations")
    wanted.fill("20000")  # more than are made while a hand is at work
    wanted.press("Tab")
    notebook.button("Start").click()
    notebook.wait_for_evaluations(40)
    nothing_moved()
    for nodes in ["stem.conv.weight"], ["stem.conv.weight", "head.conv.weight", "classifier.weight"]:
        notebook.label("Nodes").select_option(nodes)
        notebook.wait_for_text(f"{len(nodes)} of 36 nodes selected")
        nothing_moved()
    notebook.button("Stop").click()
    expect(notebook.button("Start")).to_be_enabled()
    nothing_moved()
    for colour in "SQNR", "sensitivity", "bits":
        notebook.label("Colour").select_option(colour)
        notebook.until(lambda: notebook.figure("The network").get_attribute("aria-label"))
        notebook.rest()
        nothing_moved()
