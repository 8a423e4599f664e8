"""Failures and mistakes: shown where people look, escaped, and gone once mended."""

from __future__ import annotations

import gc
import re
import threading
import time
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nemo_lab import Dashboard, NemoError, NemoWarning, create_study
from nemo_lab.search.species.real import FloorSpecies
from tests.toy import SlowProblem, ToyProblem
from tests.waiting import PATIENCE
from tests.widgets.conftest import SMALL, Open
from tests.widgets.watching import button, column, control, figure, markup, parsed, until, words

SCRIPT, IMAGE = "<script>x</script>", '<img src=x onerror="alert(1)">'


class Hostile(ToyProblem):
    """Every name that comes from outside is HTML; ``broken`` makes it fail with more of it."""

    objective_names = (IMAGE, SCRIPT, "work & play")
    cost_names = (SCRIPT, "work & play")
    broken = False

    def __init__(self) -> None:
        super().__init__()
        self.node_names = (SCRIPT, IMAGE, "<b>bold</b>.weight", 'a"b&c.input', "plain.input", "plain.weight")

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        if self.broken:
            raise OSError(f"{SCRIPT} and {IMAGE}")
        return super().evaluate(bits)


class HostileSpecies(FloorSpecies):
    name = '<iframe src="x">'


OURS = re.compile(r'<img width="\d+" alt="[^"<>]*" src="data:image/png;base64,[\w+/=]+">')


def assert_harmless(html: str) -> None:
    page = parsed(OURS.sub("", html))
    assert not page.tags & {"script", "img", "iframe"}
    assert not {name for name in page.attributes if name.startswith("on")}


def test_names_with_html_in_them_stay_text(open_dashboard: Open) -> None:
    problem = Hostile()
    dashboard = open_dashboard(problem, species=("continuous", HostileSpecies))
    study = dashboard.study
    study.optimize(30, progress=False)
    with pytest.warns(NemoWarning):
        study.pin({SCRIPT: 4, IMAGE: 3})
    study.reseed(HostileSpecies.name, "random", 1.0)
    until(lambda: f"{SCRIPT} = 4" in words(dashboard.steering))
    until(lambda: HostileSpecies.name in words(dashboard.history))
    for config in range(0, 30, 5):
        dashboard.select(config)
        until(lambda config=config: f"Configuration {config}" in words(dashboard.inspector))
        assert_harmless(markup(dashboard))
    assert IMAGE in words(dashboard.inspector)  # an objective, as it is called
    assert HostileSpecies.name in words(dashboard.front)
    assert HostileSpecies.name in words(dashboard.species)
    assert_harmless(dashboard._repr_mimebundle_()[0]["text/html"])


def test_a_failure_with_html_in_it_stays_text(open_dashboard: Open) -> None:
    problem = Hostile()
    dashboard = open_dashboard(problem)
    until(lambda: len(column(figure(dashboard, "Pareto front"), "references", "text")) == 3)
    problem.broken = True
    dashboard.study.start(10)
    until(lambda: "The run failed" in words(dashboard))
    assert f"OSError: {SCRIPT} and {IMAGE}" in words(dashboard)
    assert_harmless(markup(dashboard))
    assert_harmless(dashboard._repr_mimebundle_()[0]["text/html"])


def test_a_failing_reference_is_a_notice_and_the_search_can_start(open_dashboard: Open) -> None:
    problem = Hostile()
    problem.broken = True
    dashboard = open_dashboard(problem)
    until(lambda: f"{SCRIPT} and {IMAGE}" in words(dashboard))
    assert_harmless(markup(dashboard))
    problem.broken = False
    button(dashboard, "Start").click()
    until(lambda: "searching" in words(dashboard.controls) or "finished" in words(dashboard.controls))
    until(lambda: f"{SCRIPT} and {IMAGE}" not in words(dashboard))


def test_a_failure_is_folded_and_goes_when_the_run_goes_on(open_dashboard: Open) -> None:
    problem = Hostile()
    dashboard = open_dashboard(problem)
    until(lambda: len(column(figure(dashboard, "Pareto front"), "references", "text")) == 3)
    dashboard.study.optimize(12, progress=False)
    problem.broken = True
    control(dashboard.controls, "Evaluations").value = 10
    button(dashboard, "Start").click()
    until(lambda: "The run failed" in words(dashboard))
    html = markup(dashboard)
    assert 'role="alert"' in html
    folded = html.split("<details>")[1].split("</details>")[0]
    assert "<summary>Traceback</summary>" in folded
    assert "in evaluate" in folded
    assert "Traceback (most recent call last)" not in html.replace(folded, "")
    assert "failed" in words(dashboard.controls)
    assert "12 of 22 evaluations" in words(dashboard.controls)
    problem.broken = False
    button(dashboard, "Start").click()
    until(lambda: "22 of 22 evaluations" in words(dashboard.controls))
    until(lambda: "The run failed" not in words(dashboard))


def test_a_mistake_is_a_notice_until_the_next_action(open_dashboard: Open) -> None:
    dashboard = open_dashboard(ToyProblem())
    button(dashboard, "Pin").click()
    until(lambda: "no node is selected; select some" in words(dashboard))
    assert dashboard.study.pins == {}
    button(dashboard, "Next").click()
    until(lambda: "the front is still empty; press Start" in words(dashboard))
    assert "no node is selected" not in words(dashboard)
    control(dashboard.steering, "Nodes").index = (0,)
    button(dashboard, "Unpin").click()
    until(lambda: "nothing matching 'layer0.input' is pinned" in words(dashboard))
    control(dashboard.species, "from").value = "front"
    button(dashboard, "Re-seed").click()
    until(lambda: "so the new members are random ones" in words(dashboard))
    button(dashboard, "Pin").click()
    until(lambda: dashboard.study.pins == {"layer0.input": 8})
    until(lambda: 'role="status"' not in markup(dashboard))


def test_pinning_a_finished_study_says_so_and_prints_nothing(open_dashboard: Open) -> None:
    study = create_study(ToyProblem(), **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    control(dashboard.steering, "Nodes").index = (0,)
    control(dashboard.steering, "to bits").value = 5
    with warnings.catch_warnings(record=True) as printed:
        warnings.simplefilter("always")
        button(dashboard, "Pin").click()
        until(lambda: "waiting to be evaluated" in words(dashboard.controls))
    assert [str(one.message) for one in printed] == []


def test_what_cannot_be_opened_says_why_and_leaves_no_noise() -> None:
    with pytest.raises(NemoError, match="did you mean 'digits'"):
        Dashboard("digitz")
    with pytest.raises(NemoError, match="an object of type list cannot be searched"):
        Dashboard([1, 2])
    gc.collect()  # pytest fails on what a half-made dashboard raises when it goes


def test_clicks_on_any_thread_while_it_runs(open_dashboard: Open) -> None:
    dashboard = open_dashboard(SlowProblem())
    study = dashboard.study
    study.start(100_000)
    until(lambda: "searching" in words(dashboard.controls))
    control(dashboard.steering, "Nodes").index = (1, 2)
    raised: list[BaseException] = []

    def press(seed: int) -> None:
        names = ["Start", "Pause", "Resume", "Pin", "Unpin", "Unpin all", "Re-seed", "Next", "Previous"]
        order = np.random.default_rng(seed).permutation(names * 4)
        try:
            for number, name in enumerate(order):
                button(dashboard, str(name)).click()
                dashboard.select(number % 5)
                time.sleep(0.01)
        except BaseException as error:
            raised.append(error)

    pressing = [threading.Thread(target=press, args=(seed,), daemon=True) for seed in range(6)]
    for one in pressing:
        one.start()
    for one in pressing:
        one.join(PATIENCE)
    assert not any(one.is_alive() for one in pressing)
    assert raised == []

    # it still does as it is told
    button(dashboard, "Stop").click()
    until(lambda: study.state == "idle" and "ready" in words(dashboard.controls))
    done = len(study.evaluations())
    control(dashboard.controls, "Evaluations").value = 7
    button(dashboard, "Start").click()
    until(lambda: f"{done + 7} of {done + 7} evaluations" in words(dashboard.controls))
