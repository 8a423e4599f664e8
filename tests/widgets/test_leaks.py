"""What a dashboard leaves behind: nothing, however long it was looked at."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import Counter
from pathlib import Path

import pandas as pd
from ipywidgets import Button
from ipywidgets.widgets.widget import _instances  # the public way to it is deprecated

from nemo_lab import Dashboard, create_study
from nemo_lab.plots import bits_plot
from nemo_lab.study import Study
from nemo_lab.widgets.elements.figure import BokehLibrary, Figure
from nemo_lab.widgets.elements.tree import close_tree, tree
from tests.toy import ToyProblem
from tests.widgets.conftest import SMALL
from tests.widgets.watching import button, buttons, column, control, figure, markup, until, words


class Measured(ToyProblem):
    """Has everything that a panel can show: signal-to-noise ratios and a held-out set."""

    def sqnr(self) -> pd.DataFrame:
        return pd.DataFrame([[6.0 * width for width in self.bit_widths]] * self.num_nodes)


def live() -> Counter[str]:
    """Widgets that the kernel holds, but for the carrier of BokehJS, which is meant to stay with its layout:
    one a kernel, for the next dashboard.
    """
    held = list(_instances.values())
    carriers = [one for one in held if isinstance(one, BokehLibrary)]
    shared = {id(one) for carrier in carriers for one in (carrier, carrier.layout)}
    assert len(carriers) <= 1
    return Counter(type(one).__name__ for one in held if id(one) not in shared)


def threads() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name.startswith("nemo_lab")}


def looked_at() -> Study:
    return create_study(Measured(), **SMALL).optimize(40, progress=False)


def ready(dashboard: Dashboard) -> None:
    front = figure(dashboard, "Pareto front")
    until(lambda: len(column(front, "references", "text")) == 3)


def exercise(dashboard: Dashboard, folder: Path) -> None:
    """Something of every panel, each drawn before the next."""
    study, inspector, graph = dashboard.study, dashboard.inspector, dashboard.graph
    evaluations = len(study.evaluations())
    study.optimize(12, progress=False)
    until(lambda: f"{evaluations + 12} evaluations" in words(dashboard.controls))
    control(dashboard.steering, "Nodes").index = (1, 2)
    button(dashboard, "Pin").click()
    until(lambda: "Pinned" in words(dashboard.steering))
    control(dashboard.steering, "Constraints").value = "loss <= 0.9"
    button(dashboard, "Set constraints").click()
    until(lambda: study.constraints)
    button(dashboard, "Undo").click()
    until(lambda: not study.constraints)
    button(dashboard, "Unpin all").click()
    until(lambda: "Nothing is pinned" in words(dashboard.steering))
    control(dashboard.front, "History").value = 20
    until(lambda: len(column(figure(dashboard, "Pareto front"), "evaluated", "key")) == 20)
    button(dashboard, "Now").click()
    control(dashboard.front, "Show as").value = "parallel coordinates"
    control(dashboard.front, "Zoom to").value = "front"
    control(dashboard.front, "Show as").value = "projections"
    control(dashboard.front, "Drag").value = "pan"
    dashboard.select(3)
    button(dashboard, "Set as baseline").click()
    dashboard.select(9)
    until(lambda: "Configuration 9Configuration 3" in words(inspector))
    button(dashboard, "- 1").click()
    until(lambda: "draft" in words(inspector))
    button(dashboard, "Evaluate").click()
    until(lambda: "measured" not in words(inspector))
    button(dashboard, "Discard").click()
    button(dashboard, "Clear baseline").click()
    until(lambda: "Set as baseline" in buttons(dashboard))
    button(dashboard, "Validate").click()  # this problem holds nothing out, and says so
    until(lambda: 'nemo-notice"' in markup(inspector))
    for colour in ("SQNR", "sensitivity", "bits"):
        control(graph, "Colour").value = colour
        until(lambda colour=colour: ("bits" in words(graph)) if colour == "bits" else "dB" in words(graph)
              or "Most sensitive" in words(graph))  # fmt: skip
    button(dashboard, "Collapse all").click()
    control(graph, "Find").value = "layer1"
    button(dashboard, "Select matches").click()
    until(lambda: "2 of 6 nodes selected" in words(graph))
    control(graph, "Find").value = ""
    button(dashboard, "Expand all").click()
    button(dashboard, "Freeze").click()
    until(lambda: "Unfreeze" in buttons(dashboard))
    button(dashboard, "Unfreeze").click()
    until(lambda: "Freeze" in buttons(dashboard))
    dashboard.save(folder / "report.html")
    dashboard._repr_mimebundle_()


def test_the_number_of_widgets_is_constant_over_a_run_and_nothing_stays(tmp_path: Path) -> None:
    study, before, running = looked_at(), live(), threads()
    dashboard = Dashboard(study)
    ready(dashboard)
    opened = live()
    assert (opened - before).total() > 100  # else this test counts nothing
    for _ in range(3):
        exercise(dashboard, tmp_path)
        assert live() == opened
    dashboard.close()
    assert live() == before
    until(lambda: threads() <= running)
    dashboard.close()
    study.optimize(5, progress=False)  # tells nobody any more
    assert live() == before


def test_many_draws_make_no_widget() -> None:
    dashboard = Dashboard(looked_at())
    ready(dashboard)
    front = figure(dashboard, "Pareto front")
    opened = live()
    for config in range(12):
        dashboard.select(config)
        until(lambda config=config: f"Configuration {config}" in words(dashboard.front))
    assert front.frame["number"] >= 12
    assert live() == opened
    dashboard.close()


def test_a_species_that_joins_makes_no_widget() -> None:
    study = looked_at()
    before = live()
    dashboard = Dashboard(study)
    ready(dashboard)
    opened = live()
    study.add_species("integer")
    study.optimize(10, progress=False)
    until(lambda: len(control(dashboard.species, "Species").options) == 3)
    assert live() == opened
    dashboard.close()
    assert live() == before


def test_two_dashboards_and_panels_shown_alone_leave_nothing() -> None:
    study, before = looked_at(), live()
    first, second = Dashboard(study), Dashboard(study)
    for panel in (first.front, first.graph, second.inspector):
        panel._repr_mimebundle_()
    ready(first)
    ready(second)
    first.front.close()  # somebody takes a panel that was shown alone away
    first.close()
    until(lambda: "Configuration" in words(second.front))
    second.close()
    assert live() == before


def test_a_closed_dashboard_is_let_go_of_and_its_study_too() -> None:
    study = looked_at()
    dashboard = Dashboard(study)
    ready(dashboard)
    seen = [weakref.ref(one) for one in (study, dashboard, figure(dashboard, "Pareto front"))]
    seen += [weakref.ref(control(dashboard.front, "History"))]
    dashboard.close()
    del dashboard
    until(lambda: gc.collect() >= 0 and not any(one() for one in seen[1:]))
    study.close()
    del study
    gc.collect()
    assert seen[0]() is None


def test_a_figure_alone_leaves_only_bokeh() -> None:
    before = live()
    made = Figure(lambda one: one.redraw(bits_plot, ("a",), (2, 8)))
    made.build()
    shared = made.library
    close_tree(made)
    assert live() == before
    assert shared.comm is not None  # the next figure takes the same
    assert Figure(lambda one: one.redraw(bits_plot, ("a",), (2, 8))).library is shared


def test_looks_are_shared_within_a_dashboard_and_go_with_it() -> None:
    study, before = looked_at(), live()
    first, second = Dashboard(study), Dashboard(study)
    buttons_of = [[one for one in tree(each) if isinstance(one, Button)] for each in (first, second)]
    layouts = [{one.layout for one in each} for each in buttons_of]
    assert all(len(some) <= 2 < len(each) for some, each in zip(layouts, buttons_of, strict=True))
    assert not layouts[0] & layouts[1]
    first.close()
    assert all(one.comm is not None for one in layouts[1])
    second.close()
    study.close()
    assert live() == before
