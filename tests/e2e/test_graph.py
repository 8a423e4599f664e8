"""A network of stages as a person uses it: seen from far and near by mouse, folded blocks taken by a box."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]
# 80 nodes in five stages, quick to evaluate
STAGED = """
import numpy as np, nemo_lab as nl
class Staged:
    objective_names, cost_names = ("loss", "size"), ("size",)
    objective_bounds = np.array([[0.0, 2.0], [1.0, 8.0]])
    num_nodes, bit_widths = 80, (2, 4, 8)
    node_names = tuple(f"layer{1 + n // 16}.{n // 4 % 4}.conv{n // 2 % 2}.{('input', 'weight')[n % 2]}"
                       for n in range(80))
    node_features = np.zeros((80, 4), dtype=np.float32)
    edges = np.stack([np.arange(79), np.arange(1, 80)])
    def costs(self, bits):
        return np.atleast_2d(bits).mean(axis=1, keepdims=True).astype(float)
    def evaluate(self, bits):
        loss = (2.0 ** (2 - np.atleast_2d(bits).astype(float))).mean(axis=1, keepdims=True)
        return np.column_stack([loss, self.costs(bits)])
study = nl.create_study(Staged(), species=("continuous", "floor"), population=12, min_size=2)
study.optimize(30, progress=False)
dashboard = nl.Dashboard(study)
dashboard
"""
SEEN = "import json; print('seen', json.dumps(dashboard._graph.figure.ranges['network']))"


def seen(notebook: Any) -> tuple[float, float]:
    """The part of the network that the kernel takes for the one that is looked at."""
    low, high = notebook.ask(SEEN).split("[")[1].split("]")[0].split(",")
    return float(low), float(high)


@pytest.mark.parametrize("dark", [False, True])
def test_stages_boxes_and_the_mouse(open_notebook: Opened, dark: bool) -> None:
    notebook = open_notebook(dark=dark, width=1280 if dark else 900)
    notebook.ask(STAGED)
    page, figure = notebook.page, notebook.figure("The network")
    expect(figure).to_have_attribute("data-count-folded", "20")  # a big network begins folded
    notebook.button("Collapse stages").focus()
    page.keyboard.press("Enter")
    expect(figure).to_have_attribute("data-count-folded", "5")
    notebook.tap("The network", "folded", key=4)  # the second stage, whose first block is the fifth
    expect(figure).to_have_attribute("data-count-folded", "8")

    # a box around the first stage and the two blocks beside it
    notebook.drag("The network", (-0.7, 1.3), (5.4, -0.7))
    notebook.wait_for_text("24 of 80 nodes selected: layer1.0.conv0.input")
    expect(figure).to_have_attribute("data-count-framed", "3")

    # typing rings what fits, the Enter key selects it and opens where it is
    notebook.label("Find").fill("LAYER5.3*weight")
    notebook.wait_for_text("2 matches")
    notebook.label("Find").press("Enter")
    notebook.wait_for_text("2 of 80 nodes selected: layer5.3.conv0.weight")
    expect(figure).to_have_attribute("data-count-framed", "0")

    # Ctrl and wheel, then a drag: the buttons know what is seen
    notebook.button("Expand all").click()
    expect(figure).to_have_attribute("data-count-folded", "0")
    notebook.button("Collapse stages").click()
    expect(figure).to_have_attribute("data-count-folded", "5")
    notebook.button("Expand all").focus()
    page.keyboard.press("Enter")
    expect(figure).to_have_attribute("data-count-folded", "0")
    assert seen(notebook) == (-1, 80)
    page.mouse.move(*notebook.drawn_at("The network", 0, 40, 0.5))
    page.keyboard.down("Control")
    for _ in range(5):
        page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    notebook.until(lambda: seen(notebook) != (-1, 80))
    low, high = notebook.still(lambda: seen(notebook))
    assert -1 < low < 40 < high < 80
    notebook.page.get_by_label("Drag", exact=True).nth(1).select_option("pan")
    expect(figure).to_have_attribute("data-drag", "pan")
    middle = (low + high) / 2
    notebook.drag("The network", (middle, -0.6), ((low + middle) / 2, -0.6))
    notebook.until(lambda: seen(notebook)[0] > low + 1)
    panned = notebook.still(lambda: seen(notebook))
    assert panned[1] - panned[0] == pytest.approx(high - low, rel=0.01)
    notebook.button("Show selected").click()
    notebook.until(lambda: seen(notebook) == (74, 80))  # nodes 77 and 79, with two more on either side
    notebook.button("Fit").click()
    notebook.until(lambda: seen(notebook) == (-1, 80))
    assert notebook.errors == []
    assert notebook.outside == []
