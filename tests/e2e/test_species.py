"""A species that comes in the middle of a run: its row, its sign in the legend, its colour in the figures."""

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
STUDY = (
    "import nemo_lab as nl\n"
    "study = nl.create_study('digits', species=('continuous', 'floor'), population=12)\n"
    "study.start(100_000)\n"
    "dashboard = nl.Dashboard(study)\ndashboard"
)


def painted(figure: Any, color: list[int]) -> int:
    """How many pixels of a figure have about this colour."""
    seen = np.asarray(Image.open(io.BytesIO(figure.screenshot())).convert("RGB"), dtype=int)
    return int((np.abs(seen - np.array(color)).max(axis=2) < 6).sum())


def test_a_species_added_in_the_middle_of_a_run_is_shown_like_the_others(open_notebook: Opened) -> None:
    notebook = open_notebook()
    notebook.type(STUDY)
    notebook.page.keyboard.press("Control+Enter")
    figure = notebook.figure("Population")
    figure.wait_for()
    notebook.wait_for_evaluations(40)
    front, panel = (
        notebook.page.locator(".nemo-dashboard .nemo-panel").filter(
            has=notebook.page.get_by_role("heading", name=name, exact=True)
        )
        for name in ("Pareto front", "Species")
    )
    legend = front.locator(".nemo-title")
    expect(panel.get_by_role("rowheader")).to_have_count(2)
    expect(legend).not_to_contain_text("pareto_step")
    notebook.button("Pause").click()
    notebook.wait_for_text("paused")
    green = [0, 158, 115]  # the third colour
    assert painted(figure, green) == 0

    notebook.ask("study.add_species('integer'); study.resume(); print('added')")
    row = panel.get_by_role("row").filter(has=notebook.page.get_by_role("rowheader", name="integer"))
    expect(row).to_be_visible()
    expect(panel.get_by_role("rowheader")).to_have_count(3)
    expect(legend).to_contain_text("integer")
    sign = row.locator(".nemo-sign")
    expect(sign).to_have_css("color", "rgb({}, {}, {})".format(*green))
    signs = legend.locator("b").all_inner_texts()
    assert signs.index(sign.inner_text()) == 2  # the shape of its points
    assert signs.count(sign.inner_text()) == 1
    expect(row.get_by_role("cell").nth(1)).not_to_have_text("0")  # it has made some
    notebook.wait_for_evaluations(notebook.evaluated() + 40)
    notebook.button("Pause").click()
    expect(notebook.button("Resume")).to_be_enabled()
    figure.scroll_into_view_if_needed()
    notebook.until(lambda: painted(figure, green) > 50)

    # and it is steered like the others
    notebook.label("Species").select_option("integer")
    notebook.button("Freeze").click()
    expect(row).to_contain_text("(frozen)")
    notebook.button("Stop").click()
    assert notebook.errors == []
