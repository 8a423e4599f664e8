"""Dashboards that are taken away after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nemo_lab import Dashboard
from nemo_lab.widgets.view import state
from tests.widgets.watching import DRAWING

SMALL: dict[str, Any] = {"species": ("continuous", "floor"), "population": 12, "min_size": 2}
Open = Callable[..., Dashboard]


@pytest.fixture(autouse=True)
def whole_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test looks at a dashboard while it is drawn by half."""

    class Publisher(state.Publisher):
        def __init__(self, draw: Callable[[], None]) -> None:
            def draw_whole() -> None:
                with DRAWING:
                    draw()

            super().__init__(draw_whole)

    monkeypatch.setattr(state, "Publisher", Publisher)


@pytest.fixture
def open_dashboard() -> Iterator[Open]:
    """Open a dashboard of a study, or of a problem with two quick species."""
    opened: list[Dashboard] = []

    def open_(study: Any, **options: Any) -> Dashboard:
        if hasattr(study, "evaluate"):
            options = {**SMALL, **options}
        opened.append(Dashboard(study, **options))
        return opened[-1]

    yield open_
    for dashboard in opened:
        dashboard.study.stop()
        dashboard.close()
