"""What goes to the browser: the right numbers, few bytes; and what remains without a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nemo_lab import Study, create_study
from nemo_lab.plots import Coded, Plot, bits_plot
from nemo_lab.widgets.elements.figure import Figure
from nemo_lab.widgets.elements.frame_diff import SIZES, Packed
from tests.toy import ToyProblem
from tests.widgets.conftest import SMALL, Open
from tests.widgets.watching import column, figure, frame_bytes, members, numbers, parsed, until

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def study() -> Study:
    return create_study(ToyProblem(), **SMALL).optimize(500, progress=False)


def test_the_front_s_bytes_are_the_study_s_numbers(study: Study, open_dashboard: Open) -> None:
    front = figure(open_dashboard(study), "Pareto front")
    table = study.evaluations()
    best = set(study.front().index)
    assert column(front, "evaluated", "key") == list(range(500))
    for source in ("front", "evaluated"):
        keys = column(front, source, "key")
        for axis, name in (("y", "loss"), ("x1", "size"), ("x2", "work")):
            expected = table[name][keys]
            if source == "evaluated":  # drawn once, as a member of the front
                expected = expected.where(~expected.index.isin(best))
            assert column(front, source, axis) == pytest.approx(expected.tolist(), rel=1e-6, nan_ok=True)
        assert column(front, source, "species") == table.species[keys].tolist()
        assert column(front, source, "generation") == table.generation[keys].tolist()
    assert sorted(column(front, "front", "key")) == sorted(study.front().index)


def test_references_are_uniform_widths(study: Study, open_dashboard: Open) -> None:
    front = figure(open_dashboard(study), "Pareto front")
    until(lambda: column(front, "references", "text") == ["8 bit", "6 bit", "4 bit"])
    assert column(front, "references", "y") == pytest.approx([2**-6, 2**-4, 2**-2])
    assert column(front, "references", "x1") == pytest.approx([8 / 32, 6 / 32, 4 / 32])


def test_the_species_panel_s_bytes_are_the_history(study: Study, open_dashboard: Open) -> None:
    shown = figure(open_dashboard(study), "Population slots")
    history = study.history()
    once = history.drop_duplicates("generation")
    assert column(shown, "history", "x")[1:-1] == once.evaluations.tolist()
    course = figure(open_dashboard(study), "Hypervolume")
    assert column(course, "hypervolume", "x")[1:-1] == once.evaluations.tolist()
    assert column(course, "hypervolume", "hypervolume")[1:-1] == pytest.approx(once.hypervolume.tolist())
    made = [column(shown, "history", f"made_s{position}")[-1] for position in (0, 1)]
    assert made == study.evaluations().species.value_counts()[["continuous", "floor"]].tolist()
    floor = history[history.species == "floor"]
    assert column(shown, "history", "allocation_s1")[1:-1] == floor.allocation.tolist()
    assert np.isnan(column(shown, "history", "r2_s1")[0])  # NaN survives, it is a gap in the line


def test_every_kind_of_column_survives_the_way() -> None:
    made = Figure(lambda one: one.redraw(bits_plot, ("a", "b"), (2, 8)))
    made.show(
        {
            "bars": {
                "real": np.array([0.25, -1.5e-3, np.nan]),
                "whole": np.array([-1, 70_000], dtype=np.int64),
                "small": np.array([0, 255], dtype=np.uint8),
                "strided": np.arange(6, dtype=np.float64)[::2],
                "empty": np.zeros(0),
                "text": ["\u00d7", "<b>"],
                "coded": Coded(np.array([1, 0]), ("gcn", "unet")),
            }
        }
    )
    real = column(made, "bars", "real")
    assert real[:2] == pytest.approx([0.25, -1.5e-3])
    assert np.isnan(real[2])
    assert column(made, "bars", "whole") == [-1, 70_000]
    assert column(made, "bars", "small") == [0, 255]
    assert column(made, "bars", "strided") == [0, 2, 4]
    assert column(made, "bars", "empty") == []
    assert column(made, "bars", "text") == ["\u00d7", "<b>"]
    assert column(made, "bars", "coded") == ["unet", "gcn"]
    packed = made.frame["columns"]["bars"]
    assert {packed["real"]["dtype"], packed["whole"]["dtype"], packed["coded"]["dtype"]} == {"f4", "i4", "u1"}
    assert numbers(packed["small"]).itemsize == 1


def test_the_same_data_are_not_sent_twice() -> None:
    made, sent = recorded(bits_plot(("a",), (2, 8)))
    for bits in (8.0, 8.0, 2.0, 2.0):
        made.show({"bars": {"bits": np.array([bits])}})
    assert len(sent) == 2


def recorded(plot: Plot) -> tuple[Figure, list[tuple[dict[str, Any], list[bytes]]]]:
    """A figure, and all messages that it sends."""
    made, sent = Figure(lambda one: one.redraw(lambda: plot)), []
    made.send = lambda content, buffers=None: sent.append((content, buffers))  # type: ignore[method-assign]
    return made, sent


def applied(columns: Packed, change: dict[str, Any], buffers: list[bytes]) -> Packed:
    """What figure.js makes of a message."""
    after = {name: dict(column) for name, column in columns.items()}
    for name, changed in change["columns"].items():
        for key, piece in changed.items():
            if isinstance(piece, list):
                after.setdefault(name, {})[key] = piece
                continue
            size = SIZES[piece["dtype"]]
            data = after.get(name, {}).get(key, {"data": b""})["data"][: piece["start"] * size]
            data += buffers[piece["tail"]] if "tail" in piece else b""
            if "rows" in piece:
                values = np.frombuffer(data, f"<u{size}").copy()
                values[np.frombuffer(buffers[piece["rows"]], "<i4")] = np.frombuffer(
                    buffers[piece["values"]], f"<u{size}"
                )
                data = values.tobytes()
            assert len(data) == piece["length"] * size
            labels = {"labels": piece["labels"]} if "labels" in piece else {}
            after.setdefault(name, {})[key] = {"dtype": piece["dtype"], "data": data, **labels}
    return after


def test_differences_make_up_the_whole() -> None:
    rng = np.random.default_rng(0)
    made, sent = recorded(bits_plot(("a",), (2, 8)))
    rows, shown = np.zeros(0), {}
    for step in range(60):
        kind = rng.integers(5)
        if kind == 0:
            rows = np.append(rows, rng.random(rng.integers(1, 30)))
        elif kind == 1:
            rows = rows.copy()
            rows[rng.random(len(rows)) < 0.1] = np.nan
        elif kind == 2:
            rows = rng.permutation(rows)
        elif kind == 3:
            rows = rows[: rng.integers(len(rows) + 1)]
        made.show(
            {
                "bars": {
                    "x": rows,
                    "n": np.arange(len(rows)),
                    "name": [str(step // 10)] * len(rows),
                    "kind": Coded(np.arange(len(rows)) % 3, ("a", "b", str(step // 20))),
                }
            }
        )
        for content, buffers in sent:
            shown = applied(shown, content, buffers)
        sent.clear()
        assert shown == made.frame["columns"]


def test_an_update_costs_what_is_new_however_long_the_run(open_dashboard: Open) -> None:
    problem = ToyProblem(12)
    dashboard = open_dashboard(create_study(problem, **SMALL).optimize(300, progress=False))
    front = figure(dashboard, "Pareto front")
    until(lambda: len(column(front, "references", "text")) == 3)
    costs = []
    for evaluations in (320, 2000, 2020):
        before = front.sent
        dashboard.study.optimize(until=evaluations, progress=False)
        until(lambda n=evaluations: len(column(front, "evaluated", "key")) == n)
        costs.append(front.sent - before)
    assert costs[0] < 20_000
    assert costs[2] < 20_000
    whole = frame_bytes(front.frame)
    assert costs[2] < whole / 2


def test_a_front_of_500_points_fits_in_20_kilobytes(study: Study, open_dashboard: Open) -> None:
    dashboard = open_dashboard(study)
    front = figure(dashboard, "Pareto front")
    until(lambda: len(column(front, "references", "text")) == 3)
    assert len(column(front, "evaluated", "key")) == 500
    assert 500 * 5 * 4 <= frame_bytes(front.frame) <= 20_000


def test_the_live_view_comes_with_a_picture_and_a_table(study: Study, open_dashboard: Open) -> None:
    dashboard = open_dashboard(study)
    data, _ = dashboard._repr_mimebundle_()
    assert data[WIDGET]["model_id"] == dashboard.model_id
    page = parsed(data["text/html"])
    assert {"img", "table"} <= page.tags
    assert not {"svg", "script"} & page.tags  # GitHub drops them
    text = "".join(page.words)
    assert "500 evaluations" in text
    assert f"{len(study.front())} on the front" in text
    assert 'alt="loss over size, and over work: 500 evaluations' in data["text/html"]
    assert 'src="data:image/png;base64,' in data["text/html"]


def test_the_static_page_before_any_evaluation(open_dashboard: Open) -> None:
    data, _ = open_dashboard(ToyProblem())._repr_mimebundle_()
    page = parsed(data["text/html"])
    assert "0 evaluations" in "".join(page.words)
    assert "img" not in page.tags


def test_a_page_that_opens_while_a_figure_is_drawn_gets_what_it_missed(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows the figure as it was asked for, and listens only after the kernel has drawn it."""
    drawn, sent = (
        Figure(
            lambda one: one.redraw(
                bits_plot, tuple(study.problem.node_names), tuple(study.problem.bit_widths)
            )
        ),
        [],
    )
    asked = drawn.get_state()
    drawn.build()
    drawn.show({"bits": {"key": np.arange(3)}})
    monkeypatch.setattr(Figure, "_send", lambda self, message, buffers=None: sent.append(message))

    def hello(state: dict[str, Any]) -> dict[str, Any]:
        sent.clear()
        have = {"frame": state["frame"]["number"], "root": state["item"].get("root_id")}
        drawn._handle_custom_msg(have, [])
        return {key: value for message in sent for key, value in message["state"].items()}

    missed = hello(asked)
    assert missed.keys() >= {"label", "item", "frame"}
    assert missed["item"] == drawn.item
    assert missed["frame"]["number"] == 1
    assert hello(asked | missed) == {}


def test_a_second_dashboard_draws_no_plot_again(
    open_dashboard: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_dashboard(ToyProblem())
    figures = members(first, Figure)
    until(lambda: all(one.item for one in figures))
    monkeypatch.setattr("nemo_lab.widgets.elements.figure.json_item", None)  # an error, should it be called
    second = open_dashboard(ToyProblem())
    again = members(second, Figure)
    until(lambda: all(one.item for one in again))
    assert [one.item for one in again] == [one.item for one in figures]
    assert [one.label for one in again] == [one.label for one in figures]
