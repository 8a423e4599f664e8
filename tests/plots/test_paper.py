"""The paper's figures of a study: what they show are its tables, and they need no network."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest

from nemo_lab import Study, create_study, plots
from tests.toy import ToyProblem


@pytest.fixture(scope="module")
def study() -> Study:
    return create_study(ToyProblem(), population=16, min_size=2).optimize(80, progress=False)


@pytest.mark.parametrize("most", [60, 5, 1])
def test_the_heatmap_shows_the_bits_of_the_front(study: Study, most: int) -> None:
    cells = plots.heatmap(study, most).sources["cells"].data
    front = study.front().sort_values("size", kind="stable")
    shown = list(dict.fromkeys(cells["config"].tolist()))
    assert len(shown) == min(most, len(front))
    assert shown == [one for one in front.index if one in shown]  # the cheapest first
    table = study.evaluations(bits=True)
    for config, node, y, bits in zip(cells["config"], cells["node"], cells["y"], cells["bits"], strict=True):
        assert bits == table.loc[config, node]
        assert shown[y] == config


def test_the_course_of_the_species_is_the_history(study: Study) -> None:
    data = plots.generations(study).sources["history"].data
    history = study.history()
    names = [one.name for one in study.species]
    for part, column in (("slots", "allocation"), ("r2", "r2"), ("share", "front_share")):
        wanted = history.pivot(index="generation", columns="species", values=column)[names].to_numpy()
        found = np.stack([data[f"{part}_{place}"] for place in range(len(names))], axis=1)
        assert np.allclose(found[1:-1], wanted, equal_nan=True)


def test_the_projections_show_the_front(study: Study) -> None:
    shown = plots.projections(study).sources["front"].data
    assert sorted(shown["key"]) == sorted(study.front().index)
    by_config = dict(zip(shown["key"], shown["x1"], strict=True))
    assert by_config == pytest.approx(study.front()["size"].to_dict())


@pytest.mark.parametrize("draw", [plots.heatmap, plots.generations, plots.projections])
def test_a_cell_shows_it_without_a_network_whatever_there_is_to_show(draw: object, study: Study) -> None:
    for one in (study, create_study(ToyProblem())):
        plot = draw(one)  # type: ignore[operator]
        page = plot.to_html()
        assert not re.search(r"<(script|link)[^>]+(src|href)=", page)
        (shown,) = re.findall(
            r'^<iframe title="[^"]+" srcdoc="([^"]*)" style="[^"]*"></iframe>$', plot._repr_html_()
        )
        assert "Bokeh" in unescape(shown)
        assert len(unescape(shown)) == len(page)


def test_what_a_node_is_called_does_not_become_markup() -> None:
    problem = ToyProblem()
    problem.node_names = ("</script><script>alert(1)</script>", '"><b>', "a", "b", "c", "d")
    plot = plots.heatmap(create_study(problem, population=8, min_size=2).optimize(16, progress=False))
    assert "</script><script>alert(1)" not in plot.to_html()
    assert "<b>" not in plot._repr_html_()
