"""The dashboard without a browser: what it shows follows the study, what is pressed reaches it."""

from __future__ import annotations

import threading

import pytest

from nemo_lab import Dashboard, Study, create_study
from nemo_lab.widgets.elements.figure import Figure
from tests.toy import GatedProblem, SlowProblem, ToyProblem
from tests.waiting import PATIENCE
from tests.widgets.conftest import SMALL, Open
from tests.widgets.watching import button, column, control, figure, loaded, until, words


def publishers() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "nemo_lab publisher" and one.is_alive()}


def drawn_front(front: Figure) -> list[int]:
    """The members of the front that are drawn; some rows are free."""
    keys, heights = (column(front, "front", name) for name in ("key", "y"))
    assert [key < 0 for key in keys] == [height != height for height in heights]
    return sorted(key for key in keys if key >= 0)


def test_it_follows_a_run_to_its_end(open_dashboard: Open) -> None:
    problem = GatedProblem()
    dashboard = open_dashboard(problem)
    front = figure(dashboard, "Pareto front")
    assert "ready" in words(dashboard.controls)
    dashboard.study.start(60)
    until(lambda: "searching" in words(dashboard.controls))
    problem.gate.set()
    until(lambda: "60 of 60 evaluations" in words(dashboard.controls))
    assert "finished" in words(dashboard.controls)
    until(lambda: column(front, "evaluated", "key") == list(range(60)))
    until(lambda: drawn_front(front) == sorted(dashboard.study.front().index))
    until(lambda: loaded(dashboard) in dashboard.study.front().index)
    history = figure(dashboard, "Population slots")
    until(lambda: column(history, "history", "x")[-1] == 60)


def test_controls_offer_what_the_state_allows(open_dashboard: Open) -> None:
    dashboard = open_dashboard(SlowProblem())
    control(dashboard.controls, "Evaluations").value = 100_000

    def enabled() -> set[str]:
        names = ("Start", "Pause", "Resume", "Stop")
        return {name for name in names if not button(dashboard, name).disabled}

    until(lambda: enabled() == {"Start"})
    button(dashboard, "Start").click()
    until(lambda: enabled() == {"Pause", "Stop"})
    button(dashboard, "Pause").click()
    until(lambda: enabled() == {"Resume", "Stop"})
    assert "paused" in words(dashboard.controls)
    button(dashboard, "Resume").click()
    until(lambda: enabled() == {"Pause", "Stop"})
    button(dashboard, "Stop").click()
    until(lambda: enabled() == {"Start"})


def test_the_chosen_configuration_is_shown_everywhere(open_dashboard: Open) -> None:
    study = create_study(ToyProblem(), **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    dashboard.select(7)
    until(lambda: loaded(dashboard) == 7)
    bits = study.config(7).tolist()
    until(lambda: column(figure(dashboard, "The network"), "nodes", "text") == [str(b) for b in bits])
    until(lambda: column(figure(dashboard, "Bit-width"), "bars", "bits") == bits)
    assert column(figure(dashboard, "Pareto front"), "chosen", "x1") == pytest.approx(
        [study.evaluations()["size"][7]]
    )
    assert f"{study.evaluations().loss[7]:.4f}" in words(dashboard.inspector)
    dashboard.select(40)  # there is none of that number
    dashboard.select(-1)
    dashboard.select(8)
    until(lambda: loaded(dashboard) == 8)


def test_each_tap_takes_the_next_of_the_points_that_lie_on_each_other(open_dashboard: Open) -> None:
    study = create_study(ToyProblem(), **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    front = figure(dashboard, "Pareto front")

    def tap(expected: int, **hit: list[int]) -> None:
        for source, keys in hit.items():  # a message for each that has points there
            front._handle_custom_msg({"source": source, "keys": keys}, [])
        until(lambda: loaded(dashboard) == expected)

    for expected in (4, 9, 3, 4):
        tap(expected, front=[3, 9, 4])
    tap(7, front=[7])
    dashboard.select(9)
    until(lambda: loaded(dashboard) == 9)
    tap(3, front=[3, 9])  # what is selected already need not be selected again
    for expected in (4, 9, 3, 4):
        tap(expected, evaluated=[20, 21], front=[4, 3, 9])


def test_next_and_previous_walk_the_front_by_size(open_dashboard: Open) -> None:
    study = create_study(ToyProblem(), **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    by_size = study.front().sort_values("size", kind="stable").index.tolist()
    assert len(by_size) > 3
    dashboard.select(by_size[0])
    until(lambda: loaded(dashboard) == by_size[0])
    for expected, pressed in (
        (by_size[1], "Next"),
        (by_size[2], "Next"),
        (by_size[1], "Previous"),
        (by_size[0], "Previous"),
    ):
        button(dashboard, pressed).click()
        until(lambda expected=expected: loaded(dashboard) == expected)


def test_pinning_by_the_list_and_the_button(open_dashboard: Open) -> None:
    dashboard = open_dashboard(SlowProblem())
    study = dashboard.study
    control(dashboard.steering, "Nodes").index = (1, 4)
    control(dashboard.steering, "to bits").value = 3
    button(dashboard, "Pin").click()
    until(lambda: "layer0.weight = 3, layer2.input = 3" in words(dashboard.steering))
    assert study.pins == {"layer0.weight": 3, "layer2.input": 3}
    graph = figure(dashboard, "The network")
    until(lambda: column(graph, "nodes", "pinned") == ["-", "3", "-", "-", "3", "-"])
    assert column(graph, "pins", "x") == [1, 4]
    assert graph.frame["selected"] == {"nodes": [1, 4]}
    button(dashboard, "Unpin").click()
    until(lambda: "Nothing is pinned" in words(dashboard.steering))
    assert study.pins == {}
    until(lambda: "unpinlayer0.weight" in words(dashboard.history))
    assert "pinlayer0.weight = 3, layer2.input = 3" in words(dashboard.history)


def test_pinning_a_range_by_a_glob(open_dashboard: Open) -> None:
    dashboard = open_dashboard(SlowProblem())
    study, matching = dashboard.study, control(dashboard.steering, "matching")
    control(dashboard.steering, "Nodes").index = (1,)
    matching.value = " *.input "
    control(dashboard.steering, "to bits").value = 3
    control(dashboard.steering, "up to").value = 5
    button(dashboard, "Pin").click()
    until(lambda: "layer0.input = 3 to 5, layer1.input = 3 to 5" in words(dashboard.steering))
    assert study.pins == {f"layer{i}.input": (3, 5) for i in range(3)}
    graph = figure(dashboard, "The network")
    until(lambda: column(graph, "nodes", "pinned") == ["3 to 5", "-"] * 3)
    until(lambda: column(graph, "pins", "x") == [0, 2, 4])
    matching.value = "*.inptu"
    button(dashboard, "Pin").click()
    until(lambda: "no node or layer '*.inptu'" in words(dashboard))
    matching.value = "layer[12]"
    button(dashboard, "Unpin").click()
    until(lambda: study.pins == {"layer0.input": (3, 5)})
    matching.value = ""
    button(dashboard, "Unpin").click()
    until(lambda: "nothing matching 'layer0.weight' is pinned" in words(dashboard))


def test_two_dashboards_of_one_study_show_the_same(open_dashboard: Open) -> None:
    study = create_study(SlowProblem(), **SMALL)
    one, other = open_dashboard(study), open_dashboard(study)
    control(one.controls, "Evaluations").value = 100_000
    button(one, "Start").click()
    until(lambda: "searching" in words(other.controls))
    button(other, "Stop").click()
    until(lambda: "ready" in words(one.controls) and "ready" in words(other.controls))
    done = len(study.evaluations())
    for dashboard in (one, other):
        front = figure(dashboard, "Pareto front")
        until(lambda front=front: len(column(front, "evaluated", "key")) == done)
    fronts = [drawn_front(figure(dashboard, "Pareto front")) for dashboard in (one, other)]
    assert fronts[0] == fronts[1] == sorted(study.front().index)


def test_closing_ends_its_thread_and_the_study_goes_on() -> None:
    problem = GatedProblem(free=10)  # three of them for orientation
    study = create_study(problem, **SMALL)
    before = publishers()
    dashboard, other = Dashboard(study), Dashboard(study)
    study.start(600)
    until(lambda: len(study.evaluations()) > 5 and len(publishers() - before) == 2)
    dashboard.close()
    until(lambda: len(publishers() - before) == 1)
    done = len(study.evaluations())
    problem.gate.set()
    assert study.wait(PATIENCE)
    assert study.state == "finished"
    assert len(study.evaluations()) == 600 > done
    until(lambda: "600 of 600" in words(other.controls))
    other.close()
    until(lambda: publishers() <= before)
    other.close()  # twice is as good as once


def test_it_opens_on_a_study_that_has_run(open_dashboard: Open) -> None:
    study = create_study(ToyProblem(), **SMALL).optimize(30, progress=False)
    dashboard = open_dashboard(study)
    assert "30 of 30 evaluations" in words(dashboard.controls)
    assert drawn_front(figure(dashboard, "Pareto front")) == sorted(study.front().index)
    assert isinstance(dashboard.study, Study)
    assert dashboard.study is study
