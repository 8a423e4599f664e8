"""The network's panel without a browser: finding, folding, selecting, measuring."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nemo_lab import create_study
from tests.toy import Foreseeing, ToyProblem
from tests.waiting import PATIENCE
from tests.widgets.conftest import SMALL, Open
from tests.widgets.watching import button, column, control, figure, selected_nodes, until, words


def network(layers: int) -> ToyProblem:
    """Two layers to a block, two blocks to a stage."""
    problem = ToyProblem(2 * layers)
    problem.node_names = tuple(
        f"layer{1 + layer // 4}.{layer // 2 % 2}.conv{layer % 2}.{part}"
        for layer in range(layers)
        for part in ("input", "weight")
    )
    return problem


def test_finding_rings_what_fits_and_the_enter_key_selects_it(open_dashboard: Open) -> None:
    dashboard = open_dashboard(network(40))  # 80 nodes: it begins folded
    graph = figure(dashboard, "The network")
    assert len(column(graph, "folded", "key")) == 20
    control(dashboard.graph, "Find").value = "LAYER2.1.*.weight"
    until(lambda: "2 matches" in words(dashboard.graph))
    until(lambda: column(graph, "found", "x") == column(graph, "folded", "x")[3:4])
    control(dashboard.graph, "Find")._handle_custom_msg({"event": "submit"}, [])  # as the browser does
    until(lambda: "2 of 80 nodes selected: layer2.1.conv0.weight" in words(dashboard.graph))
    until(lambda: len(column(graph, "folded", "key")) == 19)
    assert control(dashboard.steering, "Nodes").index == (13, 15)
    control(dashboard.graph, "Find").value = "LAYER?.1"  # inside of modules, as in a pin
    until(lambda: "36 matches" in words(dashboard.graph))
    control(dashboard.graph, "Find").value = "nothing like that"
    button(dashboard, "Select matches").click()
    until(lambda: "no node's name contains 'nothing like that'" in words(dashboard.graph))
    until(lambda: selected_nodes(dashboard) == (13, 15))


def test_stages_fold_and_open_by_tap_and_by_button(open_dashboard: Open) -> None:
    dashboard = open_dashboard(network(16))  # four stages of two blocks; 32 nodes, all open
    graph = figure(dashboard, "The network")
    folded = lambda: column(graph, "folded", "key")  # noqa: E731
    assert folded() == []
    graph._handle_custom_msg({"source": "stages", "keys": [1]}, [])
    until(lambda: folded() == [2])
    graph._handle_custom_msg({"source": "folded", "keys": [2]}, [])
    until(lambda: folded() == [])
    button(dashboard, "Collapse all").click()
    until(lambda: len(folded()) == 8)
    button(dashboard, "Collapse stages").click()
    until(lambda: len(folded()) == 4)
    control(dashboard.graph, "Block").label = "layer2 (stage)"
    button(dashboard, "Select block").click()
    until(lambda: "8 of 32 nodes selected: layer2.0" in words(dashboard.graph))
    until(lambda: len(column(graph, "framed", "x")) == 1)
    button(dashboard, "Expand / collapse").click()
    until(lambda: len(folded()) == 5)
    button(dashboard, "Expand all").click()
    until(lambda: folded() == [])


def test_a_box_takes_folded_blocks_with_it(open_dashboard: Open) -> None:
    dashboard = open_dashboard(network(16))
    graph = figure(dashboard, "The network")
    control(dashboard.graph, "Block").label = "layer1.1"  # of nodes 4 to 7
    button(dashboard, "Expand / collapse").click()
    until(lambda: column(graph, "folded", "key") == [1])
    # BokehJS tells of the nodes first, then of the box
    graph._handle_custom_msg({"source": "nodes", "keys": [2, 3]}, [])
    graph._handle_custom_msg({"plot": "network", "box": [1.5, 5.0, -0.5, 1.5]}, [])
    until(lambda: "6 of 32 nodes selected" in words(dashboard.graph))
    until(lambda: selected_nodes(dashboard) == (2, 3, 4, 5, 6, 7))
    assert graph.frame["selected"]["nodes"] == [2, 3, 4, 5, 6, 7]


def test_the_part_shown_follows_buttons_and_mouse(open_dashboard: Open) -> None:
    dashboard = open_dashboard(network(60))
    graph = figure(dashboard, "The network")
    button(dashboard, "Expand all").click()
    until(lambda: graph.ranges["network"] == [-1, 120])
    until(lambda: max(column(graph, "nodes", "size")) < 16)  # no room
    graph.ranges = {"network": [50.0, 80.0]}  # as the browser does after a pan
    until(lambda: min(column(graph, "nodes", "size")) >= 16)
    graph.pixels = 200  # as the browser does where the window is narrow
    until(lambda: max(column(graph, "nodes", "size")) < 16)
    graph.pixels = 900
    button(dashboard, "Zoom in").click()
    until(lambda: graph.ranges["network"] == [57.5, 72.5])
    button(dashboard, "Zoom out").click()
    until(lambda: graph.ranges["network"] == [50, 80])
    button(dashboard, "Collapse all").click()  # what was in the middle stays there
    until(lambda: len(column(graph, "folded", "key")) == 30)
    low, high = graph.ranges["network"]
    assert high - low == 30
    assert low < column(graph, "folded", "x")[65 // 4] < high
    button(dashboard, "Expand all").click()
    control(dashboard.steering, "Nodes").index = (100, 104)
    button(dashboard, "Show selected").click()
    until(lambda: graph.ranges["network"] == [98, 106])
    button(dashboard, "Fit").click()
    until(lambda: graph.ranges["network"] == [-1, 120])


class Measured(ToyProblem):
    """Ratios of signal to noise of 6 dB a bit; the first node is exact, and the first attempt fails."""

    attempts = 0

    def sqnr(self) -> pd.DataFrame:
        self.attempts += 1
        if self.attempts == 1:
            raise ValueError("no <b>memory</b> left")
        table = np.tile(6.0 * np.array(self.bit_widths), (self.num_nodes, 1))
        table[0] = np.inf
        return pd.DataFrame(table)


def test_a_measurement_that_failed_can_be_tried_again(open_dashboard: Open) -> None:
    problem = Measured()
    study = create_study(problem, **SMALL).optimize(20, progress=False)
    dashboard = open_dashboard(study)
    graph = figure(dashboard, "The network")
    control(dashboard.graph, "Colour").value = "SQNR"
    until(lambda: "no <b>memory</b> left" in words(dashboard.graph))
    until(lambda: control(dashboard.graph, "Colour").value == "bits")
    control(dashboard.graph, "Colour").value = "SQNR"
    until(lambda: "signal-to-quantization-noise ratio" in words(dashboard.graph))
    shown = column(graph, "nodes", "measured")
    bits = [int(one) for one in column(graph, "nodes", "bits")]
    assert shown == ["SQNR inf dB", *(f"SQNR {6 * width} dB" for width in bits[1:])]
    assert "inf" not in words(dashboard.graph)


def test_sensitivities_are_the_loss_of_each_node_alone(open_dashboard: Open) -> None:
    problem = ToyProblem()
    dashboard = open_dashboard(problem)
    graph = figure(dashboard, "The network")
    button(dashboard, "Collapse all").click()  # grey, then coloured, with no warning of empty means
    control(dashboard.graph, "Colour").value = "sensitivity"
    until(lambda: "Most sensitive" in words(dashboard.graph))
    worst = problem.node_names[int(problem.sensitivity.argmax())]
    assert f"Most sensitive: {worst}." in words(dashboard.graph)
    losses = [float(one.split()[1]) for one in column(graph, "nodes", "measured")]
    share = 1 - 2.0**-6  # from 8 bits to 2
    expected = 100 * share * problem.sensitivity / problem.sensitivity.sum()
    assert losses == pytest.approx(expected.tolist(), rel=0.01)
    assert all(math.isfinite(one) for one in losses)


class Foreseen(ToyProblem):
    """Gradients say the damage of each node: the last one's is the largest, the first has none."""

    def __init__(self, unit: float) -> None:
        super().__init__()
        table = unit * np.arange(self.num_nodes)[:, None] * 4.0 ** -np.array(self.bit_widths)
        self.sensitivity = lambda: table  # type: ignore[assignment]


@pytest.mark.parametrize("unit", [1.0, 1e-9])
def test_the_damage_that_is_expected_is_shown_before_anything_is_measured(
    unit: float, open_dashboard: Open
) -> None:
    problem = Foreseen(unit)
    dashboard = open_dashboard(problem)
    graph = figure(dashboard, "The network")
    control(dashboard.graph, "Colour").value = "expected damage"
    until(lambda: f"Most sensitive: {problem.node_names[-1]}." in words(dashboard.graph))
    assert dashboard.study.problem is problem
    assert not len(dashboard.study.evaluations())
    total = problem.num_nodes * (problem.num_nodes - 1) / 2
    shares = [float(one.split()[2]) for one in column(graph, "nodes", "measured")]
    expected = [100 * node / total for node in range(problem.num_nodes)]
    assert shares == pytest.approx(expected, rel=0.1, abs=1e-4)
    assert "0.0001 %" in words(dashboard.graph)
    assert len(set(column(graph, "nodes", "color"))) == problem.num_nodes


def test_where_no_damage_is_expected_no_node_is_the_worst(open_dashboard: Open) -> None:
    dashboard = open_dashboard(Foreseen(0.0))
    control(dashboard.graph, "Colour").value = "expected damage"
    until(lambda: "that gradients predict" in words(dashboard.graph))
    assert "Most sensitive" not in words(dashboard.graph)


class Minding(Foreseeing):
    """Says nonsense to who asks while an evaluation runs."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.inside = threading.Event(), threading.Event()

    def evaluate(self, bits: Any) -> np.ndarray:
        self.inside.set()
        self.gate.wait(PATIENCE)
        self.inside.clear()
        return np.asarray(super().evaluate(bits))

    def sensitivity(self) -> np.ndarray:
        return np.full((self.num_nodes, len(self.bit_widths)), math.nan if self.inside.is_set() else 1.0)


def test_it_is_asked_between_two_evaluations(open_dashboard: Open) -> None:
    problem = Minding()
    study = create_study(problem, **SMALL)
    dashboard = open_dashboard(study)
    study.start(40)
    until(problem.inside.is_set)
    control(dashboard.graph, "Colour").value = "expected damage"
    until(lambda: "measuring" in words(dashboard.graph))
    problem.gate.set()
    until(lambda: "that gradients predict" in words(dashboard.graph))
    shares = [float(one.split()[2]) for one in column(figure(dashboard, "The network"), "nodes", "measured")]
    assert shares == pytest.approx([100 / 6] * 6, rel=0.05)
