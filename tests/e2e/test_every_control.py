"""Every control of the dashboard by mouse, and again by keyboard alone; ``SCENES`` leaves none out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from nemo_lab_hands import (
    Seen,
    by_keyboard,
    by_mouse,
    changes,
    control,
    controls,
    counts,
    dragging,
    focused,
    listed,
    past,
    present,
    repaints,
    says,
    selected,
    shown,
    there,
    turns,
    unsays,
)
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
# a run that has ended, with a choice to be made and more steers than are listed at once
STUDY = (
    "import nemo_lab as nl, nemo_lab.widgets.panels.front as front\n"
    "front.REPLAY_SECONDS = 120  # so that a hand comes in time\n"
    "study = nl.create_study('digits', species=('continuous', 'floor'), population=12)\n"
    "study.optimize(40, progress=False)\n"
    "for _ in range(5): study.pin('classifier.weight', 8); study.unpin()\n"
    "dashboard = nl.Dashboard(study)\ndashboard"
)


class Step(NamedTuple):
    """A control, what is given to it, if anything, and what is seen then; None if the next step shows it."""

    panel: str
    name: str
    given: str | None
    seen: Seen | None


NETWORK, FRONT = "The network", "Pareto front"
SCENES = {
    "a run": [
        Step("run", "Evaluations", "40000", None),
        Step("run", "Start", None, says(r"searching · \d+ of 400\d\d")),
        Step("run", "Evaluations", "7000", None),
        Step("run", "Extend", None, says(r"of 470\d\d evaluations")),
        Step("run", "Pause", None, says("paused")),
        Step("run", "Resume", None, says("searching")),
        Step("run", "Stop", None, there("run", "Start", enabled=True)),
    ],
    "files": [
        Step("run", "Save as", "by-{hand}", None),
        Step("run", "Save report", None, says(r"saved the report to .*by-(mouse|keyboard)\.html")),
        Step("run", "Save front", None, says(r"saved the front to .*by-(mouse|keyboard)\.json")),
    ],
    "the network": [
        Step("network", "Colour", "SQNR", says("quantization-noise ratio .* in dB")),
        Step("network", "Size", "MACs", repaints(NETWORK)),
        Step("network", "Drag", "pan", dragging(NETWORK, "pan")),
        Step("network", "Drag", "select", dragging(NETWORK, "box_select")),
        Step("network", "Zoom in", None, repaints(NETWORK)),
        Step("network", "Left", None, repaints(NETWORK)),
        Step("network", "Right", None, repaints(NETWORK)),
        Step("network", "Zoom out", None, repaints(NETWORK)),
        Step("network", "Zoom in", None, repaints(NETWORK)),
        Step("network", "Fit", None, repaints(NETWORK)),
        Step("network", "Find", "depthwise", says("10 matches")),
        Step("network", "Select matches", None, says("10 of 36 nodes selected")),
        Step("network", "Kind", "linear", None),
        Step("network", "Select kind", None, says("1 of 36 nodes selected: classifier.weight")),
        Step("network", "Show selected", None, repaints(NETWORK)),
        Step("network", "Block", "blocks.1", None),
        Step("network", "Expand / collapse", None, counts(NETWORK, "folded", 1)),
        Step("network", "Select block", None, says("6 of 36 nodes selected: blocks.1.expand")),
        Step("network", "Collapse all", None, counts(NETWORK, "folded", 8)),
        Step("network", "Expand all", None, counts(NETWORK, "folded", 0)),
        Step("network", "Clear selection", None, says("No node is selected")),
    ],
    "pins, constraints and aspiration": [
        Step("steer", "Nodes", "classifier.weight", says("1 of 36 nodes selected: classifier.weight")),
        Step("steer", "to bits", "3", None),
        Step("steer", "up to", "5", None),
        Step("steer", "Pin", None, says("Pinned: classifier.weight = 3 to 5")),
        Step("steer", "Unpin", None, says("Nothing is pinned")),
        Step("steer", "matching", "*.weight", None),
        Step("steer", "Pin", None, says("Pinned: 17 of 36 nodes")),
        Step("steer", "Pinned", None, says("stem.conv.weight = 3 to 5")),
        Step("steer", "Unpin all", None, says("Nothing is pinned")),
        Step("steer", "Constraints", "task_error <= 0.4", None),
        Step("steer", "Set constraints", None, says("Constraints: task_error <= 0.4")),
        Step("steer", "Aspiration", "task_error 0 to 0.2", None),
        Step("steer", "Set aspiration", None, says("Aspiration: task_error 0 to 0.2")),
        Step("front", "Clear aspiration", None, unsays("Aspiration: task_error 0 to 0.2")),
    ],
    "a configuration": [
        Step("inspect", "Select", "smallest", says(r"Configuration \d+ \(smallest\)")),
        Step("inspect", "Next", None, changes(selected)),
        Step("inspect", "Previous", None, changes(selected)),
        Step("inspect", "Config", "3", says(r"study\.config\(3\)")),
        Step("inspect", "Baseline", "7", says(r"Configuration 3\s+Configuration 7")),
        Step("inspect", "Clear baseline", None, there("inspect", "Set as baseline")),
        Step("inspect", "Set as baseline", None, there("inspect", "Clear baseline")),
        Step("inspect", "Validate", None, says("300 examples")),
        Step("inspect", "Copy as Python", None, says("copied")),
        Step("inspect", "Show", None, says("study.what_if")),
        Step("steer", "Nodes", "head.conv.weight", says("1 of 36 nodes selected: head.conv.weight")),
        Step("inspect", "Change to", "8", None),
        Step("inspect", "Set", None, says(r"▲ 1 raised, ▼ 0 lowered")),
        Step("inspect", "- 1", None, repaints("Bit-width")),
        Step("inspect", "+ 1", None, repaints("Bit-width")),
        Step("inspect", "Evaluate", None, unsays("not measured")),
        Step("inspect", "Add to run", None, says("enqueue")),
        Step("inspect", "Set", None, says(r"▲ 1 raised, ▼ 0 lowered")),
        Step("inspect", "Discard", None, unsays(r"▲ 1 raised, ▼ 0 lowered")),
    ],
    "the front": [
        Step("front", "Zoom to", "front", repaints(FRONT)),
        Step("front", "Zoom to", "all points", repaints(FRONT)),
        Step("front", "Drag", "zoom", dragging(FRONT, "box_zoom")),
        Step("front", "Drag", "off", dragging(FRONT, "")),
        Step("front", "Validate front", None, repaints(FRONT)),
        Step("front", "History", "15", turns(past, True)),
        Step("front", "Now", None, turns(present, True)),
        Step("front", "Replay", None, counts(FRONT, "evaluated", 0)),
        Step("front", "Now", None, turns(present, True)),
        Step("front", "Show as", "parallel coordinates", shown("Parallel coordinates")),
        Step("front", "Show as", "projections", shown(FRONT)),
    ],
    "species and what was done": [
        Step("species", "Species", "floor", None),
        Step("species", "Freeze", None, says(r"\(frozen\)")),
        Step("history", "Undo", None, unsays(r"\(frozen\)")),
        Step("history", "Redo", None, says(r"\(frozen\)")),
        Step("history", "earlier", None, changes(listed)),
        Step("species", "Unfreeze", None, unsays(r"\(frozen\)")),
        Step("species", "Remove", None, says(r"\(removed\)")),
        Step("species", "Add back", None, unsays(r"\(removed\)")),
        Step("species", "Share", "0.3", None),
        Step("species", "Set share", None, says("share fixed at 30%")),
        Step("species", "Automatic share", None, unsays("share fixed at 30%")),
        Step("species", "from", "front", None),
        Step("species", "fraction", "0.5", None),
        Step("species", "Re-seed", None, says("floor from front, ")),
    ],
}


@pytest.fixture(scope="module", params=["mouse", "keyboard"])
def at(server: Any, shared_tab: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A dashboard for all scenes by one hand."""
    name = f"every-{request.param}.ipynb"
    (server.folder / name).write_bytes((server.folder / "00_quickstart.ipynb").read_bytes())
    try:
        notebook = sys.modules["nemo_lab_e2e"].Notebook(shared_tab.get(), name)
    except Exception:
        shared_tab.close()  # the next who asks gets another one
        raise
    notebook.hand, notebook.met = request.param, set()
    notebook.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    notebook.type(STUDY)
    notebook.page.keyboard.press("Control+Enter")
    for label in (FRONT, NETWORK, "Bit-width", "Population"):
        notebook.figure(label).wait_for()
    notebook.wait_for_evaluations(40)
    failures = request.session.testsfailed
    yield notebook
    if request.session.testsfailed > failures:
        shared_tab.close()
    else:
        notebook.close()


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene(at: Any, scene: str) -> None:
    for number, (panel, name, value, seen) in enumerate(SCENES[scene]):
        found, given = control(at, panel, name), value and value.format(hand=at.hand)
        expect(found, f"{panel}: {name}").to_be_enabled()
        at.met |= {(one["panel"], one["name"]) for one in controls(at)}
        done = seen(at) if seen else None
        if at.hand == "mouse":
            by_mouse(found, given)
        else:
            by_keyboard(found, given, ("Enter", "Space")[number % 2])
        try:
            at.until(done or (lambda: True))
        except TimeoutError as error:
            Path("test-results").mkdir(exist_ok=True)
            at.page.screenshot(path=f"test-results/{at.hand}-{panel}-{name}.png")
            raise AssertionError(f"{panel}: {name} {given or ''} by {at.hand} shows nothing") from error
    at.rest()
    assert at.errors == []


def test_no_control_is_left_out(at: Any) -> None:
    """Of those that were to be seen before any of the steps, and now."""
    used = {(step.panel, step.name) for scene in SCENES.values() for step in scene}
    met = at.met | {(one["panel"], one["name"]) for one in controls(at)}
    assert len(met) > 60
    assert met - used == set()


def test_tab_reaches_all_of_them_in_order(at: Any) -> None:
    """In the order of the page: from panel to panel, line by line; and back."""
    at.rest()
    wanted = [(one["panel"], one["name"]) for one in controls(at) if one["enabled"]]
    control(at, *wanted[0]).focus()
    for press, order in (("Tab", wanted), ("Shift+Tab", wanted[::-1])):
        reached: list[tuple[str, str]] = []
        for _ in range(2 * len(wanted)):
            reached += focused(at)
            if reached[-1:] == order[-1:]:
                break
            at.page.keyboard.press(press)
        assert reached == order
