"""The dashboard of a study that another process runs, and of a file that wishes it ill."""

from __future__ import annotations

from pathlib import Path

import ipywidgets

from nemo_lab import Dashboard, create_study, load_study
from tests.toy import SlowProblem, ToyProblem
from tests.widgets.watching import button, members, until, words

NASTY = "<img src=x onerror=alert(1)>'; DROP TABLE studies; --"


def test_a_dashboard_follows_a_file_and_refuses_to_steer(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    study = create_study(SlowProblem(), seed=1, population=16, storage=path)
    study.optimize(10, progress=False)
    dashboard = Dashboard(load_study(path, read_only=True))
    assert "10 of 10 evaluations" in words(dashboard.controls)
    study.optimize(until=60, progress=False)
    until(lambda: "60 of 60 evaluations" in words(dashboard.controls))
    button(dashboard, "Start").click()
    until(lambda: "only followed here" in words(dashboard))
    dashboard.close()
    dashboard.study.close()
    study.close()


def test_names_from_a_file_are_text(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    problem = ToyProblem()
    problem.node_names = (NASTY, *problem.node_names[1:])
    study = create_study(problem, seed=1, population=16, storage=path, name=NASTY)
    study.pin({NASTY: 4})
    study.optimize(30, progress=False)
    study.close()
    dashboard = Dashboard(load_study(path, NASTY, read_only=True))
    shown = [str(one.value) for one in members(dashboard, ipywidgets.HTML)]
    assert any("&lt;img" in text for text in shown)
    assert not any("<img" in text for text in shown)
    html = dashboard._repr_mimebundle_()[0]["text/html"]
    assert "<img src=x" not in html
    dashboard.close()
    dashboard.study.close()
