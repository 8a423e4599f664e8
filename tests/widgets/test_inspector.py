"""The inspector: one configuration beside another, edits by hand, files."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import nemo_lab as nl
from nemo_lab import create_study
from nemo_lab.cost.objectives import RATIOS
from nemo_lab.export import load_front
from nemo_lab.objective import MEASURED, Objective
from nemo_lab.study.results.decision_making import choices
from nemo_lab.widgets.panels import inspector_html
from tests.toy import GatedProblem, ToyProblem
from tests.widgets.conftest import SMALL, Open
from tests.widgets.watching import button, buttons, column, control, figure, loaded, parsed, until, words

POINTS = np.array(
    [[0.50, 0.1, 0.1], [0.109, 0.2, 0.9], [0.105, 0.3, 0.3], [0.100, 0.4, 0.4], [0.3, 0.15, 0.12]]
)


@pytest.mark.parametrize(
    ("name", "row"),
    [("smallest within a point of the best", 1), ("most accurate", 3), ("smallest", 0), ("balanced", 4)],
)
def test_choices_by_hand(name: str, row: int) -> None:
    assert choices((MEASURED["top1"], *RATIOS))[name](POINTS) == row


def test_choices_are_called_by_what_the_problem_has() -> None:
    assert list(choices((Objective("loss"), Objective("watts")))) == [
        "lowest watts within 0.01 of the best loss", "lowest loss", "lowest watts", "balanced"
    ]  # fmt: skip


def test_it_compares_with_the_one_before_or_the_one_kept(open_dashboard: Open) -> None:
    study = create_study(ToyProblem(), **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    table = study.evaluations(bits=True)
    names = study.problem.node_names
    strip = figure(dashboard, "Bit-width")

    def marked() -> set[int]:
        return {int(x) for x in column(strip, "marks", "x")}

    def differing(one: int, other: int) -> set[int]:
        return set(np.flatnonzero(table.loc[one, list(names)] != table.loc[other, list(names)]))

    dashboard.select(3)
    dashboard.select(9)
    until(lambda: "Configuration 9Configuration 3difference" in words(dashboard.inspector))
    until(lambda: marked() == differing(9, 3))
    assert f"{table.loc[9, 'loss'] - table.loc[3, 'loss']:+.4f}" in words(dashboard.inspector)
    assert f"nodes that differ{len(differing(9, 3))}" in words(dashboard.inspector)
    signs = dict(zip(column(strip, "marks", "x"), column(strip, "marks", "sign"), strict=True))
    for node, sign in signs.items():
        raised = table.loc[9, names[int(node)]] > table.loc[3, names[int(node)]]
        assert sign == ("triangle" if raised else "inverted_triangle")
    button(dashboard, "Set as baseline").click()
    until(lambda: "Clear baseline" in buttons(dashboard))
    dashboard.select(12)
    dashboard.select(15)
    until(lambda: "Configuration 15Configuration 9" in words(dashboard.inspector))
    control(dashboard.inspector, "Baseline").value = "4"  # by number
    until(lambda: "Configuration 15Configuration 4" in words(dashboard.inspector))
    button(dashboard, "Clear baseline").click()
    until(lambda: "Configuration 15Configuration 12" in words(dashboard.inspector))


def test_a_draft_tells_its_costs_at_once_and_its_quality_when_measured(open_dashboard: Open) -> None:
    problem = ToyProblem()
    study = create_study(problem, **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    dashboard.select(7)
    button(dashboard, "Set").click()
    until(lambda: "no node is selected" in words(dashboard.inspector))
    control(dashboard.steering, "Nodes").index = (1, 4)
    control(dashboard.inspector, "Change to").value = 5
    button(dashboard, "Set").click()
    bits = study.config(7).to_numpy().copy()
    bits[[1, 4]] = 5
    until(lambda: "draftConfiguration 7" in words(dashboard.inspector))
    said = words(dashboard.inspector)
    size, _ = problem.costs(bits[None])[0]
    assert f"{size:.4f}" in said
    assert "lossnot measured" in said
    until(lambda: column(figure(dashboard, "Bit-width"), "bars", "bits") == bits.tolist())
    until(lambda: column(figure(dashboard, "The network"), "nodes", "text") == [str(b) for b in bits])
    button(dashboard, "+ 1").click()
    until(lambda: column(figure(dashboard, "Bit-width"), "bars", "bits")[1] == 6)
    button(dashboard, "- 1").click()
    until(lambda: column(figure(dashboard, "Bit-width"), "bars", "bits")[1] == 5)
    button(dashboard, "Evaluate").click()
    loss = problem.evaluate(bits[None])[0, 0]
    until(lambda: f"loss{loss:.4f}" in words(dashboard.inspector))
    assert len(study.evaluations()) == 40  # it was no part of the run
    button(dashboard, "Add to run").click()
    until(lambda: "enqueue1 configurations" in words(dashboard.history))
    until(lambda: button(dashboard, "Discard").disabled)
    study.optimize(41, progress=False)
    assert study.config(40).to_numpy().tolist() == bits.tolist()
    button(dashboard, "Set").click()
    until(lambda: "draft" in words(dashboard.inspector))
    button(dashboard, "Discard").click()
    until(lambda: "draft" not in words(dashboard.inspector))


def test_a_choice_selects_and_follows_the_front_until_somebody_selects(open_dashboard: Open) -> None:
    study = create_study(ToyProblem(), **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    control(dashboard.inspector, "Select").value = "lowest size"
    front = study.front()
    until(lambda: loaded(dashboard) == front["size"].idxmin())
    study.optimize(400, progress=False)
    smallest = study.front()["size"].min()
    until(lambda: study.evaluations()["size"][loaded(dashboard)] == smallest)
    dashboard.select(3)
    until(lambda: control(dashboard.inspector, "Select").value == "by hand")
    assert loaded(dashboard) == 3


def test_copied_python_gives_the_configuration_again() -> None:
    problem = ToyProblem()
    problem.node_names = ("it's", '"quoted"', "back\\slash", "new\nline", "</script>", "plain")
    bits = np.array([2, 3, 4, 5, 6, 7], dtype=np.uint8)
    code = inspector_html.as_python(problem, bits)
    (assigned, called) = ast.parse(code).body
    assert isinstance(assigned, ast.Assign)
    assert ast.literal_eval(assigned.value) == dict(zip(problem.node_names, bits.tolist(), strict=True))
    assert ast.unparse(called) == "study.what_if(bits)"


def subject(title: str, bits: list[int], **objectives: float) -> inspector_html.Subject:
    return inspector_html.Subject(title, np.array(bits, dtype=np.uint8), objectives)


def test_the_difference_is_of_the_first_two_and_as_fine_as_it_is() -> None:
    problem = ToyProblem()
    one = subject("draft", [8, 2, 3, 3, 4, 5], loss=0.25, size=2e-7, work=0.5)
    other = subject("<b>7</b>", [2, 8, 3, 3, 4, 5], loss=0.20, size=1e-7, work=0.5)
    third = subject("Configuration 3", [2] * 6, loss=0.9, size=3e9, work=0.1)
    page = parsed(inspector_html.table(problem, ("weight",) * 6, [one, other, third]))
    assert "b" not in page.tags
    said = "".join(page.words)
    assert "draft<b>7</b>differenceConfiguration 3" in said
    assert "loss0.25000.2000+0.0500 (+25.0%)0.9000" in said
    assert "size2e-071e-07+1e-07 (+100.0%)3e+09" in said
    assert "work0.50000.5000same0.1000" in said
    assert "mean bits, weights4.174.17same2.00" in said
    assert "nodes that differ2" in said
    alone = "".join(parsed(inspector_html.table(problem, ("weight",) * 6, [one])).words)
    assert "difference" not in alone
    assert "differ" not in alone
    words_ = "".join(parsed(inspector_html.marks([one, other])).words)
    assert words_ == "▲ 1 raised, ▼ 1 lowered; the line is the bit-width in <b>7</b>."
    assert inspector_html.marks([one]) == ""


def test_beside_a_draft_stands_what_was_kept(open_dashboard: Open) -> None:
    study = create_study(ToyProblem(), **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    dashboard.select(3)
    button(dashboard, "Set as baseline").click()
    dashboard.select(9)
    control(dashboard.steering, "Nodes").index = (1,)
    button(dashboard, "- 1").click()
    until(lambda: "draftConfiguration 9differenceConfiguration 3" in words(dashboard.inspector))
    until(lambda: "lowered; the line is the bit-width in Configuration 9" in words(dashboard.inspector))


def test_absolute_costs_are_said_where_they_are_known(open_dashboard: Open) -> None:
    problem = nl.QuantizationProblem(nl.load_workload("digits"))
    study = create_study(problem, **SMALL)
    study.enqueue(np.full((1, 36), 8))
    study.optimize(1, progress=False)
    dashboard = open_dashboard(study)
    dashboard.select(0)
    until(lambda: "kB" in words(dashboard.inspector))
    megabytes, giga = problem.cost_model.absolute(np.full(36, 8))[0]
    assert f"0.2500 = {1000 * megabytes:.4g} kB" in words(dashboard.inspector)
    assert f"= {1000 * giga:.4g} MBOPs" in words(dashboard.inspector)
    assert "11.2 kB weights, 13.6 kB with biases and scales" in words(dashboard.inspector)
    study.note_files(0, {"MODEL_CARD.md": 5000, "net.onnx": 61_234, "net.safetensors": 900})
    until(
        lambda: (
            "biases and scales · net.onnx 61.2 kB · net.safetensors 900 bytes" in words(dashboard.inspector)
        )
    )
    assert "MODEL_CARD" not in words(dashboard.inspector)
    control(dashboard.steering, "Nodes").index = (1,)
    button(dashboard, "- 1").click()
    bits = np.full(36, 8)
    bits[1] = 7
    weights, payload = problem.stored_bytes(bits)
    said = f"{weights / 1e3:.1f} kB weights, {payload / 1e3:.1f} kB with biases and scales"
    until(lambda: "draft" in words(dashboard.inspector) and said in words(dashboard.inspector))
    assert "net.onnx" not in words(dashboard.inspector)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ((812, 1_234), "812 bytes weights, 1.2 kB with biases and scales"),
        ((11_710_000, 11_800_000), "11.7 MB weights, 11.8 MB with biases and scales"),
        (None, ""),
    ],
)
def test_the_size_that_is_stored_is_said_where_there_is_one(stored: object, said: str) -> None:
    problem = ToyProblem()
    problem.stored_bytes = lambda bits: stored  # type: ignore[method-assign, assignment, return-value]
    assert "".join(parsed(inspector_html.size(problem, np.full(6, 8, np.uint8), {})).words) == said


def test_the_front_is_saved_where_it_is_said(
    open_dashboard: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    problem = ToyProblem()
    study = create_study(problem, **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    name = control(dashboard.controls, "Save as")
    name.value = "kept.html"  # left from a report
    button(dashboard, "Save front").click()
    until(lambda: f"saved the front to {tmp_path / 'kept.json'}" in words(dashboard.controls))
    expected = [study.config(config).tolist() for config in study.front().index]
    assert load_front(tmp_path / "kept.json", problem).tolist() == expected
    name.value = "no/such/folder"
    button(dashboard, "Save front").click()
    until(lambda: "no/such" in words(dashboard.controls) and "kept.json" not in words(dashboard.controls))


def test_a_file_that_was_there_is_replaced_only_when_pressed_again(
    open_dashboard: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "mine.json"
    there.write_text("of somebody else")
    dashboard = open_dashboard(create_study(ToyProblem(), **SMALL).optimize(40, progress=False))
    control(dashboard.controls, "Save as").value = "mine"
    button(dashboard, "Save front").click()
    until(lambda: "press again to replace it" in words(dashboard.controls))
    assert there.read_text() == "of somebody else"
    button(dashboard, "Save front").click()
    until(lambda: "saved the front to" in words(dashboard.controls))
    assert len(load_front(there, ToyProblem()))
    button(dashboard, "Save front").click()  # it is ours now
    until(lambda: there.exists() and "press again" not in words(dashboard.controls))


def test_buttons_mean_what_was_shown_when_they_were_pressed(open_dashboard: Open) -> None:
    study = create_study(ToyProblem(), **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    dashboard.select(3)
    button(dashboard, "Set as baseline").click()
    dashboard.select(9)  # before anything was drawn
    until(lambda: "Configuration 9Configuration 3" in words(dashboard.inspector))
    button(dashboard, "Clear baseline").click()
    until(lambda: "Set as baseline" in buttons(dashboard))
    control(dashboard.inspector, "Baseline").value = "3"  # the previous one, by its number
    until(lambda: "Clear baseline" in buttons(dashboard))
    control(dashboard.steering, "Nodes").index = (1,)
    width = 8 if study.config(9).iloc[1] != 8 else 7
    control(dashboard.inspector, "Change to").value = width
    button(dashboard, "Set").click()
    control(dashboard.steering, "Nodes").index = (2,)
    dashboard.select(12)
    until(lambda: "Configuration 12Configuration 3" in words(dashboard.inspector))
    assert "draft" not in words(dashboard.inspector)
    dashboard.select(9)  # its draft was not lost
    until(lambda: "draftConfiguration 9" in words(dashboard.inspector))
    expected = study.config(9).to_numpy().copy()
    expected[1] = width
    until(lambda: column(figure(dashboard, "Bit-width"), "bars", "bits") == expected.tolist())


def test_a_measurement_is_of_the_draft_it_was_asked_for(open_dashboard: Open) -> None:
    problem = GatedProblem()
    problem.gate.set()
    study = create_study(problem, **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    until(lambda: len(column(figure(dashboard, "Pareto front"), "references", "text")) == 3)
    dashboard.select(9)
    control(dashboard.steering, "Nodes").index = (1, 2)
    control(dashboard.inspector, "Change to").value = 5
    button(dashboard, "Set").click()
    until(lambda: not button(dashboard, "Evaluate").disabled)
    problem.entered.clear()
    problem.gate.clear()
    button(dashboard, "Evaluate").click()
    until(problem.entered.is_set)
    until(lambda: "being measured" in words(dashboard.inspector))
    assert button(dashboard, "Evaluate").disabled
    button(dashboard, "+ 1").click()
    until(lambda: "not measured" in words(dashboard.inspector))
    problem.gate.set()
    assert study.what_if(8) is not None  # answered after the one before
    assert "not measured" in words(dashboard.inspector)
    button(dashboard, "Evaluate").click()
    until(lambda: "measured" not in words(dashboard.inspector))

    def broken(bits: object) -> object:
        raise OSError("<b>no</b> accelerator")

    problem.evaluate = broken  # type: ignore[method-assign, assignment]
    button(dashboard, "- 1").click()
    button(dashboard, "- 1").click()  # once would be what was measured before
    until(lambda: not button(dashboard, "Evaluate").disabled)
    button(dashboard, "Evaluate").click()
    until(lambda: "<b>no</b> accelerator" in words(dashboard.inspector))
    until(lambda: not button(dashboard, "Evaluate").disabled)  # to be tried again
