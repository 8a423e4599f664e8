"""A control tells a person's choice from what the publisher shows, on whatever thread either comes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import ipywidgets as w
import pytest

from nemo_lab import Dashboard, create_study
from nemo_lab.widgets.elements.control import Control
from nemo_lab.widgets.elements.slider import Slider
from nemo_lab.widgets.panels.base import Panel
from nemo_lab.widgets.panels.front import FrontPanel
from nemo_lab.widgets.panels.inspector import InspectorPanel
from nemo_lab.widgets.panels.steering import SteeringPanel
from nemo_lab.widgets.view.publisher import Publisher
from nemo_lab.widgets.view.state import ViewState
from tests.toy import ToyProblem
from tests.waiting import PATIENCE
from tests.widgets.conftest import SMALL, Open
from tests.widgets.watching import control, loaded, selected_nodes, until, words

Run = Callable[[Callable[[], object]], None]


def here(action: Callable[[], object]) -> None:
    action()


def elsewhere(action: Callable[[], object]) -> None:
    other = threading.Thread(target=action)
    other.start()
    other.join()


@pytest.mark.parametrize("publisher", [here, elsewhere])
@pytest.mark.parametrize("person", [here, elsewhere])
def test_only_a_person_is_reported(publisher: Run, person: Run) -> None:
    slider, chosen = Slider(label="History"), list[int]()
    shown = Control(slider, chosen.append)
    publisher(lambda: shown.show(30, max=40))
    assert (slider.value, slider.max, chosen) == (30, 40, [])
    person(lambda: slider.set_state({"value": 7}))  # as a message of the browser
    assert chosen == [7]
    publisher(lambda: shown.show(7, max=41))
    person(lambda: slider.set_state({"value": 30}))  # back to what was shown first
    person(lambda: slider.set_state({"value": 7}))
    assert chosen == [7, 30, 7]


def test_a_range_that_shrinks_is_nobody_s_choice() -> None:
    number, chosen = w.BoundedIntText(value=90, min=0, max=100), list[int]()
    shown = Control(number, chosen.append)
    shown.show(3, max=10)
    assert (number.value, number.max, chosen) == (3, 10, [])
    menu, picked = w.Dropdown(options=["a", "b"], value="b"), list[str]()
    options = Control(menu, picked.append)
    options.show("b", options=("x", "a", "b"))  # ipywidgets goes to the first in between
    assert (menu.value, picked) == ("b", [])
    menu.value = "x"
    assert picked == ["x"]


def test_a_person_during_the_publisher_s_write_is_heard() -> None:
    """Two threads in one widget: what the person chose is reported, what the publisher wrote is not."""
    number, chosen = w.IntText(value=0), list[int]()
    shown = Control(number, chosen.append)
    inside, go_on = threading.Event(), threading.Event()

    def halt(change: object) -> None:
        if threading.current_thread().name == "publisher":
            inside.set()
            go_on.wait(PATIENCE)

    number.observe(halt, names="value")
    writing = threading.Thread(target=lambda: shown.show(5), name="publisher")
    writing.start()
    assert inside.wait(PATIENCE)
    number.set_state({"value": 9})  # while the other thread is still inside show
    go_on.set()
    writing.join()
    assert chosen == [9]


def test_the_publisher_s_write_that_another_thread_delivers_is_not_reported() -> None:
    """ipywidgets holds notifications while it takes a message in, those of other threads, too."""
    number, chosen = w.IntText(value=0), list[int]()
    shown = Control(number, chosen.append)
    with number.hold_trait_notifications():
        elsewhere(lambda: shown.show(5))
    assert (number.value, chosen) == (5, [])


def test_an_error_in_showing_leaves_the_control_at_work() -> None:
    menu, picked = w.Dropdown(options=["a", "b"]), list[str]()
    shown = Control(menu, picked.append)
    with pytest.raises(Exception, match="value"):
        shown.show("nothing like that")
    menu.value = "b"
    assert picked == ["b"]


@pytest.mark.parametrize("person", [here, elsewhere])
def test_two_views_stay_in_step_whoever_is_asked(open_dashboard: Open, person: Run) -> None:
    """The list, the graph and the inspector follow a message on the main thread and on a subshell's."""
    dashboard: Dashboard = open_dashboard(ToyProblem())
    dashboard.study.optimize(30, progress=False)
    number = control(dashboard.inspector, "Config")
    until(lambda: number.max == 29)
    person(lambda: number.set_state({"value": 4}))
    until(lambda: loaded(dashboard) == 4 and "Configuration 4" in words(dashboard.front))
    dashboard.study.optimize(30, progress=False)  # draws that follow do not undo it
    until(lambda: number.max == 59)
    assert (number.value, loaded(dashboard)) == (4, 4)
    nodes = control(dashboard.steering, "Nodes")
    person(lambda: nodes.set_state({"index": [1, 4]}))
    until(lambda: "2 of 6 nodes selected" in words(dashboard.graph))
    assert selected_nodes(dashboard) == (1, 4)
    history = control(dashboard.front, "History")
    person(lambda: history.set_state({"value": 10}))
    until(lambda: loaded(dashboard) == 4 and history.value == 10)
    dashboard.select(5)
    until(lambda: number.value == 5 and loaded(dashboard) == 5)


@pytest.mark.parametrize(
    ("panel", "label", "message"),
    [
        (FrontPanel, "History", {"value": 7}),
        (InspectorPanel, "Config", {"value": 7}),
        (InspectorPanel, "Select", {"index": 2}),
        (InspectorPanel, "Baseline", {"value": "7"}),
        (SteeringPanel, "Nodes", {"index": [1, 4]}),
    ],
)
def test_a_view_that_is_older_than_a_person_s_choice_leaves_it(
    panel: type[Panel], label: str, message: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow machine a press of a key arrives while an earlier one is drawn; the next goes on from it."""
    monkeypatch.setattr(Publisher, "wake", lambda _: None)  # draws when the test says so
    state = ViewState(create_study(ToyProblem(), **SMALL).optimize(20, progress=False), lambda: None)
    made = panel(state)
    made.show(state.view())
    one = control(made.widget, label)
    (trait,) = message
    drawn = state.view()
    one.set_state(message)
    chosen = getattr(one, trait)
    made.show(drawn)
    assert getattr(one, trait) == chosen
    made.show(state.view())  # the one that knows of it
    assert getattr(one, trait) == chosen
