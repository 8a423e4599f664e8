"""What a person sees and does: a real JupyterLab, a real Chromium, real evaluations."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]


def test_watch_pin_reseed_pause_and_stop_by_mouse(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.open_dashboard()
    assert notebook.evaluated() == 0
    expect(notebook.button("Pause")).to_be_disabled()

    wanted = notebook.page.get_by_label("Evaluations", exact=True)
    wanted.fill("20000")  # more than a fast machine makes while a hand is at work
    wanted.press("Tab")
    notebook.button("Start").click()
    notebook.wait_for_evaluations(20)
    first = notebook.until(lambda: notebook.points("evaluated"))
    notebook.wait_for_evaluations(60)
    notebook.until(lambda: notebook.points("evaluated") > first)
    notebook.until(lambda: notebook.points("front") > 1)

    # tap a node in the graph, pin it
    notebook.tap("The network", "nodes", key=1)
    expect(notebook.page.locator(".nemo-dashboard select[multiple]")).to_have_values(["stem.conv.weight"])
    notebook.label("to bits").select_option("3")
    notebook.button("Pin").click()
    notebook.wait_for_text("stem.conv.weight = 3")
    done = notebook.evaluated()

    # re-seed a species
    notebook.page.get_by_label("Species", exact=True).select_option("floor")
    notebook.page.get_by_label("from", exact=True).select_option("front")
    notebook.button("Re-seed").click()
    notebook.wait_for_text("floor from front")
    notebook.wait_for_evaluations(done + 40)

    notebook.button("Pause").click()
    notebook.wait_for_text("paused")
    held = notebook.evaluated()
    assert notebook.ask("print(len(dashboard.study.evaluations()))") == str(held)
    notebook.rest()
    assert notebook.evaluated() == held
    notebook.button("Resume").click()
    notebook.wait_for_evaluations(held + 5)
    notebook.button("Stop").click()
    expect(notebook.button("Start")).to_be_enabled()
    notebook.rest()
    stopped = notebook.evaluated()

    kept = notebook.ask(
        "s = dashboard.study\n"
        "at = s.interventions().query(\"action == 'pin'\").evaluation.iloc[0]\n"
        "after = s.evaluations(bits=True).loc[at:, 'stem.conv.weight']\n"
        "print(len(after), set(after), len(s.evaluations()))"
    )
    count, widths, total = kept.split(maxsplit=1)[0], kept.split("{")[1].split("}")[0], kept.split()[-1]
    assert int(count) > 20
    assert widths == "3"
    assert int(total) == stopped
    assert notebook.errors == []
    assert notebook.outside == []


# the member of the front that no other lies near, of those that are not selected by themselves
ALONE = """
import numpy as np
front = dashboard.study.front()
place = front[["model_ratio", "task_error"]].to_numpy()
place = (place - place.min(axis=0)) / np.ptp(place, axis=0)
far = np.linalg.norm(place[:, None] - place, axis=2) + 9 * np.eye(len(place))
far[front.task_error < front.task_error.min() + 0.02] = 0
print(front.index[far.min(axis=1).argmax()])
"""


def test_tapping_the_front_loads_the_network(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.open_dashboard()
    notebook.ask("dashboard.study.optimize(60, progress=False); print('done')")
    notebook.wait_for_evaluations(60)
    alone = int(notebook.ask(ALONE))
    before = notebook.still(notebook.figure("The network").screenshot)
    notebook.tap("Pareto front", "front", key=alone)
    notebook.wait_for_text(f"Configuration {alone}")
    notebook.until(lambda: notebook.figure("The network").screenshot() != before)
    # the same by keyboard
    notebook.button("Next").focus()
    notebook.page.keyboard.press("Enter")
    expect(notebook.page.locator(".nemo-dashboard").first).not_to_contain_text(f"study.config({alone})")


def test_a_configuration_is_validated_on_held_out_images(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.open_dashboard()
    notebook.ask("dashboard.study.optimize(30, progress=False); print('done')")
    notebook.wait_for_evaluations(30)
    notebook.button("Next").click()
    notebook.button("Validate").focus()
    notebook.page.keyboard.press("Enter")
    notebook.wait_for_text("held out")
    notebook.wait_for_text("300 examples")
    assert notebook.ask("print(len(dashboard.study.validated))").strip() == "1"
    assert notebook.errors == []


def test_keyboard_alone_starts_pins_and_stops(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.open_dashboard()
    press = notebook.page.keyboard.press
    notebook.button("Start").focus()
    press("Enter")
    notebook.wait_for_evaluations(10)
    notebook.page.locator(".nemo-dashboard select[multiple]").focus()
    press("ArrowDown")
    press("ArrowDown")
    press("Tab")  # the glob
    press("Tab")
    press("4")
    press("Tab")  # up to
    press("Tab")
    press("Enter")
    notebook.wait_for_text("Pinned:")
    expect(notebook.page.locator(".nemo-pins")).to_contain_text("= 4")
    notebook.button("Stop").focus()
    press("Enter")
    expect(notebook.button("Start")).to_be_enabled()


def test_a_failing_evaluator_is_shown_and_the_run_goes_on_after(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.open_dashboard()
    notebook.ask(
        "problem = dashboard.study.problem\n"
        "whole = problem.evaluate\n"
        "def broken(bits):\n"
        "    if len(dashboard.study.evaluations()) >= 12: raise OSError('disk of the <b>test</b> is full')\n"
        "    return whole(bits)\n"
        "problem.evaluate = broken; print('broken')"
    )
    notebook.button("Start").click()
    notebook.wait_for_text("The run failed")
    alert = notebook.page.get_by_role("alert")
    expect(alert).to_contain_text("OSError: disk of the <b>test</b> is full")
    expect(alert.locator("pre")).to_be_hidden()
    alert.locator("summary").click()
    expect(alert.locator("pre")).to_be_visible()
    assert notebook.evaluated() == 12
    notebook.ask("problem.evaluate = whole; print('mended')")
    notebook.button("Start").click()
    notebook.wait_for_evaluations(20)
    expect(notebook.page.get_by_role("alert")).to_have_count(0)


def test_a_mistake_gets_a_hint_and_changes_nothing(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.open_dashboard()
    notebook.button("Pin").click()
    notebook.wait_for_text("no node is selected")
    assert "Error" in (answer := notebook.ask("dashboard.study.pin('stem.cnv.weight', 4)", fails=True))
    assert "did you mean 'stem.conv.weight'?" in answer


def test_two_views_and_a_reload_in_the_middle_of_a_run(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.open_dashboard()
    notebook.ask("dashboard")
    expect(notebook.page.locator(".nemo-dashboard")).to_have_count(2)
    second = notebook.page.locator(".nemo-dashboard").nth(1)
    budget = second.get_by_role("spinbutton", name="Evaluations")
    budget.fill("20000")  # a reload takes a while, the run must outlast it
    budget.press("Tab")
    second.get_by_role("button", name="Start").click()
    notebook.wait_for_evaluations(20)
    notebook.save()
    with notebook.slow(3):
        notebook.page.reload()
        notebook.figure("Pareto front").wait_for()
        seen = notebook.evaluated()
        assert seen >= 20
        notebook.wait_for_evaluations(seen + 20)
    notebook.until(lambda: notebook.points("front") > 0)
    notebook.button("Stop").click()
    expect(notebook.button("Start")).to_be_enabled()
    assert notebook.errors == []


# anywidget gives up on every module at once, as on a machine so slow that none comes within two seconds
HASTE = """() => {
  const wait = (AbortSignal.patient = AbortSignal.timeout);
  AbortSignal.timeout = (patience) => wait.call(AbortSignal, patience === 2000 ? 0 : patience);
}"""
PATIENT = "AbortSignal.timeout = AbortSignal.patient"


def test_figures_live_in_a_browser_that_is_too_slow_for_anywidget(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.page.evaluate(HASTE)
    notebook.open_dashboard()
    notebook.page.evaluate(PATIENT)  # the tab is shared
    assert len(notebook.late) >= 4
    notebook.ask("dashboard.study.optimize(30, progress=False); print('done')")
    notebook.wait_for_evaluations(30)
    notebook.until(lambda: notebook.points("evaluated") == 30)
    notebook.button("Next").click()
    expect(notebook.page.locator(".nemo-copy pre").first).to_contain_text("stem.conv.weight")
    expect(notebook.label("History")).to_have_attribute("max", "30")
    assert notebook.errors == []


@pytest.mark.parametrize("dark", [False, True])
def test_ink_follows_the_theme(open_notebook: Opened, dark: bool) -> None:
    notebook = open_notebook(dark=dark)
    notebook.open_dashboard()
    notebook.rest()
    picture = Image.open(io.BytesIO(notebook.figure("The network").screenshot())).convert("L")
    grey = np.asarray(picture, dtype=float)
    background = float(np.median(grey))
    assert (background < 80) == dark
    contrast = np.abs(grey - background)
    assert (contrast > 100).mean() > 0.002  # block names and outlines stand out
    header = grey[: int(0.2 * grey.shape[0])]
    ink = header[np.abs(header - background) > 100]
    assert (ink.mean() > background) == dark
