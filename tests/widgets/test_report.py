"""The report as a file: complete, alone, harmless."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from nemo_lab import create_study
from nemo_lab.errors import ArgumentError
from nemo_lab.export import load_front
from nemo_lab.widgets.static import report
from tests.toy import SlowProblem, ToyProblem
from tests.waiting import PATIENCE
from tests.widgets.conftest import SMALL, Open
from tests.widgets.watching import parsed

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(1)>'\"&amp;<!--"


def embedded(page: str, name: str) -> str:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)
    assert found is not None
    return found[1]


def test_it_holds_the_whole_study(open_dashboard: Open, tmp_path: Path) -> None:
    dashboard = open_dashboard(create_study(ToyProblem(), seed=5, **SMALL))
    study = dashboard.study
    study.pin({"layer0.weight": 4})
    study.optimize(60, progress=False)
    path = dashboard.save(tmp_path / "report.html")
    page = path.read_text(encoding="utf-8")
    words = " ".join(parsed(page).words)
    for said in ("ToyProblem", "seed", "60 of 60", "layer0.weight = 4", "study.pin(", "continuous, floor"):
        assert said in words
    assert page.count("<tr data-config=") == len(study.front())
    # the front in it is the file that save_front writes
    saved = tmp_path / "front.json"
    saved.write_text(embedded(page, "report-front"), encoding="utf-8")
    expected = np.array([study.config(config).to_numpy() for config in study.front().index])
    np.testing.assert_array_equal(load_front(saved, ToyProblem()), expected)
    data = json.loads(embedded(page, "report-data"))
    assert set(data["figures"]) == {"front", "graph", "strip", "hypervolume", "species"}
    assert data["bits"] == study.config(data["config"]).tolist()


def test_it_asks_nobody_for_anything(tmp_path: Path) -> None:
    study = create_study(ToyProblem(), **SMALL).optimize(20, progress=False)
    page = report.page(study)
    assert "default-src 'none'" in page
    ours = page[: page.index('id="report-data"')] + page[page.rindex("<script>") :]
    assert "http" not in ours.replace("http-equiv", "")
    assert not {"link", "iframe", "object"} & parsed(page).tags


def test_names_are_text_in_markup_and_in_scripts() -> None:
    problem = ToyProblem()
    problem.node_names = (NASTY, *problem.node_names[1:])
    problem.objective_names = ("loss", "si<b>ze", "work")  # type: ignore[assignment]
    problem.cost_names = ("si<b>ze", "work")  # type: ignore[assignment]
    problem.title = NASTY  # type: ignore[attr-defined]
    study = create_study(problem, **SMALL)
    study.pin({NASTY: 4})
    study.optimize(30, progress=False)
    page = report.page(study)
    found = parsed(page)
    assert "onerror" not in found.attributes
    assert "<b>ze" not in page
    assert page.count("</script>") == 4
    assert page.count("<script") == 4
    assert json.loads(embedded(page, "report-front"))["node_names"][0] == NASTY


def test_an_empty_study_has_a_report_that_says_so(tmp_path: Path) -> None:
    study = create_study(ToyProblem(), **SMALL)
    page = report.save(study, tmp_path / "empty.html").read_text(encoding="utf-8")
    assert "Nothing has been evaluated yet" in page
    assert set(json.loads(embedded(page, "report-data"))["figures"]) == {"graph", "strip"}


def test_a_file_is_replaced_or_left_whole(open_dashboard: Open, tmp_path: Path) -> None:
    dashboard = open_dashboard(ToyProblem())
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    assert dashboard.save(str(path)) == path
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ArgumentError, match="give a file in a folder that exists"):
        dashboard.save(tmp_path / "nowhere" / "report.html")
    with pytest.raises(ArgumentError, match="cannot write"):
        dashboard.save(tmp_path)


def test_a_running_study_is_reported_as_of_one_moment(tmp_path: Path) -> None:
    study = create_study(SlowProblem(), **SMALL)
    study.start(100_000)
    failures: list[Exception] = []

    def save() -> None:
        for _ in range(2):
            page = report.page(study)
            record = json.loads(embedded(page, "report-front"))
            if page.count("<tr data-config=") != len(record["front"]):
                failures.append(ValueError("two moments in one report"))

    saving = [threading.Thread(target=save) for _ in range(2)]
    for one in saving:
        one.start()
    for one in saving:
        one.join()
    study.stop()
    study.wait(PATIENCE)
    assert failures == []
