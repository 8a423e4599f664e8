"""The picture beside the live view: there at once, and brought up to date as the study goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.testing.globalipapp import start_ipython

from nemo_lab import create_study
from tests.toy import GatedProblem, ToyProblem
from tests.widgets.conftest import SMALL, Open
from tests.widgets.watching import until, words

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What IPython's own recorder of displays was told."""
    shell = start_ipython() or __import__("IPython").get_ipython()
    recorder = CapturingDisplayPublisher()
    monkeypatch.setattr(shell, "display_pub", recorder)
    yield recorder.outputs
    shell.run_line_magic("reset", "-f")


def test_two_outputs_and_the_second_follows_the_study(open_dashboard: Open, published: list[Any]) -> None:
    problem = GatedProblem()
    dashboard = open_dashboard(create_study(problem, **SMALL))
    assert published == []
    dashboard._ipython_display_()
    live, picture = published[:2]  # the picture may have been made anew since
    assert live["data"][WIDGET]["model_id"] == dashboard.model_id
    assert "img" not in live["data"]["text/html"]
    assert WIDGET not in picture["data"]
    assert "0 evaluations" in picture["data"]["text/html"]
    mark = picture["transient"]["display_id"]

    problem.gate.set()
    dashboard.study.start(30)

    def latest() -> str:
        assert published[-1]["transient"]["display_id"] == mark
        return str(published[-1]["data"]["text/html"])

    until(lambda: "finished, 30 evaluations" in latest())
    assert published[-1]["update"]
    assert "data:image/png" in latest()
    assert len(published) < 8  # not at every evaluation
    dashboard.select(3)
    until(lambda: "configuration 3" in latest())


def test_a_view_that_was_not_shown_publishes_nothing(open_dashboard: Open, published: list[Any]) -> None:
    dashboard = open_dashboard(create_study(ToyProblem(), **SMALL))
    dashboard.study.optimize(30, progress=False)
    until(lambda: "30 of 30" in words(dashboard.controls))
    assert published == []
