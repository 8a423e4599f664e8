"""Every metric under its own name: on axes, in tables, in constraints, and on held-out examples."""

from __future__ import annotations

import functools
import html
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nemo_lab import NemoWarning, QuantizationProblem, Study, Workload, create_study, load_study
from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.objective import number
from nemo_lab.plots import front_columns, front_info, front_plot, parallel_columns, parallel_plot
from nemo_lab.plots.info import drawn_objectives
from nemo_lab.plots.png import front_png
from nemo_lab.search.objective import objectives_of, varied
from nemo_lab.study.journal import StoredProblem
from nemo_lab.study.parsing.objectives import ObjectiveNames
from nemo_lab.study.results.decision_making import choices
from nemo_lab.widgets.panels import inspector_html
from nemo_lab.widgets.static import picture, report_html
from tests.toy import ToyProblem
from tests.widgets.watching import parsed

X = torch.randn(40, 1, 6, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 8
MORE = (X.flip(0) * 0.9, Y)


def cross_entropy(outputs: Any, labels: Any) -> Any:
    return nn.functional.cross_entropy(outputs, labels, reduction="none")


def accuracy(outputs: Any, labels: Any) -> Any:
    """Somebody's own, minimised all the same."""
    return (outputs.argmax(1) == labels).double()


def named(function: Any, name: str) -> Any:
    def metric(outputs: Any, labels: Any) -> Any:
        return function(outputs, labels)

    metric.__name__ = name
    return metric


@functools.cache
def workload() -> Workload:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 8))
    return Workload.from_module(net, X[:1], name="tiny")


def problem(metric: Any, **options: Any) -> QuantizationProblem:
    with torch.no_grad():  # for a perplexity a network that is better than a guess
        labels = workload().module(X).argmax(1) if metric == "perplexity" else Y
    return QuantizationProblem(workload(), X, (X, labels), metric=metric, **options)


def searched(metric: Any, **options: Any) -> Study:
    study = create_study(problem(metric, **options), species=("floor",), population=4, min_size=2)
    return study.optimize(10, progress=False)


@dataclass(frozen=True)
class Case:
    """A metric, and what is said of it."""

    metric: Any
    axis: str
    label: str
    written: str
    larger: bool
    best: str
    near: str = "smallest within a point of the best"
    share: bool = True


CASES = [
    Case("top1", "accuracy", "accuracy", "accuracy", True, "most accurate"),
    Case("top5", "top-5 accuracy", "top-5 accuracy", "top5_accuracy", True, "highest top-5 accuracy"),
    Case(
        "agreement", "agreement with full precision", "agreement", "agreement", True, "highest agreement"
    ),
    Case(
        "kl", "KL divergence, in units of ln(classes)", "KL divergence", "kl_divergence", False,
        "lowest KL divergence", "smallest within 0.01 of the best KL divergence", False,
    ),
    Case(
        "perplexity", "perplexity", "perplexity", "perplexity", False, "lowest perplexity",
        "smallest within 1% of the best perplexity", False,
    ),
    Case(
        cross_entropy, "cross entropy", "cross entropy", "cross_entropy", False, "lowest cross entropy",
        "smallest within 0.01 of the best cross entropy", False,
    ),
    Case(
        accuracy, "accuracy", "accuracy", "accuracy", False, "lowest accuracy",
        "smallest within 0.01 of the best accuracy", False,
    ),
]  # fmt: skip
IDS = ["top1", "top5", "agreement", "kl", "perplexity", "function", "function called accuracy"]


@pytest.fixture(scope="module", params=CASES, ids=IDS)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def study(case: Case) -> Study:
    return searched(case.metric)


def info_of(study: Study) -> Any:
    names = [one.name for one in study.species]
    return front_info(study.snapshot, study.problem, names, study.validated)


def shown(case: Case, stored: Any) -> Any:
    if case.metric == "perplexity":
        return np.exp(stored)
    return 1 - stored if case.larger else stored


def test_axes_and_points(case: Case, study: Study) -> None:
    info = info_of(study)
    assert [one.axis for one in info.axes] == [
        case.axis, "model size, ratio to 32 bit", "bit-operations, ratio to 32 bit"
    ]  # fmt: skip
    first = study.problem.objective_names[0]
    assert info.values[:, 0].tolist() == shown(case, study.evaluations()[first].to_numpy()).tolist()
    plot = front_plot(drawn_objectives(study.problem)).fill(front_columns(info))
    assert plot.label.startswith(f"Pareto front: {case.axis} over model size")
    assert plot.layout.children[0].yaxis.axis_label == case.axis  # type: ignore[attr-defined]
    assert ("%" in str(getattr(plot.layout.children[0].yaxis[0].formatter, "format", ""))) == case.larger  # type: ignore[attr-defined]
    axes = parallel_plot(varied(study.problem)).fill(parallel_columns(info, None)).layout
    assert axes.xaxis.major_label_overrides[0] == case.axis  # type: ignore[attr-defined]
    described = html.unescape(picture.picture(study, study.snapshot))
    assert f"{case.axis} over model size, ratio to 32 bit" in described


def test_words_of_report_and_inspector(case: Case, study: Study) -> None:
    table = "".join(parsed(report_html.front_table(study, study.snapshot)).words)
    for heading in (case.label, "model size ratio", "bit-operations ratio", "kB", "MBOPs"):
        assert heading in table
    one = inspector_html.evaluated(study.snapshot, study.problem, 3, study.validated)
    said = "".join(parsed(inspector_html.table(study.problem, ("weight",) * 4, [one])).words)
    value = study.evaluations().iloc[3, 0]
    text = (
        f"{case.label}{shown(case, value):.2%}"
        if case.larger
        else f"{case.label}{number(shown(case, value))}"
    )
    assert text in said
    chooser = "".join(parsed(report_html.chooser(study, study.snapshot)).words)
    assert f"{case.label} " in chooser
    if case.label != "accuracy":
        assert "accuracy" not in (table + said + chooser).replace("top-5 accuracy", "")


def test_choices_are_called_by_what_is_best(case: Case, study: Study) -> None:
    assert list(choices(varied(study.problem))) == [case.near, case.best, "smallest", "balanced"]


def test_constraints_are_written_as_it_is_shown(case: Case) -> None:
    names = ObjectiveNames(problem(case.metric))
    own = problem(case.metric).objective_names[0]
    assert names.limits([f"{own} <= 0.25"]) == {0: 0.25}
    good, bad = (">=", "<=") if case.larger else ("<=", ">=")
    if case.metric == "perplexity":
        limits = names.limits([f"{case.written} {good} 4"])
        assert limits == {0: pytest.approx(math.log(4))}
        assert limits[0] >= math.log(4), "what it was read from keeps it"
        with pytest.raises(ArgumentError, match="leaves nothing; it can be reached from"):
            names.box({case.written: -1})
        return
    assert names.limits([f"{case.written} {good} 0.9"]) == {0: 0.1 if case.larger else 0.9}
    with pytest.raises(ArgumentError, match=f"what is m.*imised; write '{case.written} {good} "):
        names.limits([f"{case.written} {bad} 0.9"])
    for other in {"accuracy", "agreement", "top5_accuracy", "kl_divergence"} - {case.written}:
        with pytest.raises(UnknownNameError, match=f"no objective '{other}'"):
            names.limits([f"{other} {good} 0.9"])
    box = names.box({case.written: 0.5 if case.larger else (0, 0.5), "model_mb": 1.0})
    assert box[0] == (0.0, 0.5)
    assert names.box({case.written: (0.25, 0.75)})[0] == (0.25, 0.75)


def test_hints_can_be_written_as_they_stand(case: Case) -> None:
    names = ObjectiveNames(problem(case.metric))
    assert names.example.startswith(f"{case.written} ")
    with pytest.raises(ArgumentError, match="cannot be read; write ") as failed:
        names.limits(["what?"])
    texts = [text.strip("'") for text in failed.value.hint.removeprefix("write ").split(" or ")]
    assert set(names.limits(texts)) == {0, 1}
    assert "model_mb" in texts[1]


def test_searched_and_held_out_values_are_of_one_metric(case: Case, study: Study) -> None:
    frame = study.validate(data=MORE)
    expected = problem(case.metric).error([study.config(int(i)) for i in frame.index], MORE)
    name = case.written
    assert list(frame.columns) == [f"searched_{name}", f"held_out_{name}", "low", "high", "examples"]
    assert frame[f"held_out_{name}"].to_numpy() == pytest.approx(shown(case, expected))
    stored = study.evaluations().loc[frame.index].iloc[:, 0]
    assert frame[f"searched_{name}"].tolist() == shown(case, stored).tolist()
    assert frame["low"].notna().all() == frame["high"].notna().all() == case.share
    if case.share:
        assert (frame["low"] <= frame[f"held_out_{name}"]).all()
        assert (frame["high"] >= frame[f"held_out_{name}"]).all()
    drawn = info_of(study)
    assert drawn.held_out[:, 0].tolist() == list(frame.index)
    assert len(drawn.held_out_text) == len(frame)
    one = inspector_html.evaluated(study.snapshot, study.problem, int(frame.index[0]), study.validated)
    said = "".join(parsed(inspector_html.table(study.problem, ("weight",) * 4, [one])).words)
    assert f"held out, {case.label}" in said
    assert f"held out, {case.label}" in "".join(parsed(report_html.front_table(study, study.snapshot)).words)


def test_another_metric_on_held_out_examples_stands_alone() -> None:
    study = searched("agreement")
    frame = study.validate(data=MORE, metric="top1")
    assert list(frame.columns) == ["held_out_accuracy", "low", "high", "examples"]
    assert len(info_of(study).held_out) == 0, "an accuracy is not drawn over agreement"
    some = int(frame.index[0])
    study.validate(int(frame.index[-1]), MORE)
    subjects = [
        inspector_html.evaluated(study.snapshot, study.problem, i, study.validated)
        for i in (some, int(frame.index[-1]))
    ]
    said = "".join(parsed(inspector_html.table(study.problem, ("weight",) * 4, subjects)).words)
    assert "held outaccuracy" in said
    assert "agreement" in said.split("held out")[1]
    both = searched(["kl", "top1"])
    frame = both.validate(data=MORE, metric="top1")
    assert list(frame.columns)[:2] == ["searched_accuracy", "held_out_accuracy"]
    table = both.evaluations().loc[frame.index]
    assert frame["searched_accuracy"].tolist() == (1 - table["task_error"]).tolist()
    own = searched("top1").validate(data=MORE, metric=cross_entropy)
    assert list(own.columns) == ["held_out_cross_entropy", "low", "high", "examples"]
    assert own["low"].isna().all()


def test_several_metrics_at_once_are_told_apart() -> None:
    found = objectives_of(problem(["kl", "top1", "top5", "agreement", accuracy]))
    assert [(one.name, one.label, one.written) for one in found[:5]] == [
        ("kl_divergence", "KL divergence", "kl_divergence"),
        ("task_error", "accuracy (task_error)", "task_error"),
        ("top5_error", "top-5 accuracy", "top5_accuracy"),
        ("agreement_error", "agreement", "agreement"),
        ("accuracy", "accuracy", "accuracy"),
    ]
    names = ObjectiveNames(problem(["kl", "top1", "top5", "agreement", accuracy]))
    assert names.limits(["agreement >= 0.95", "top5_accuracy > 0.9", "accuracy <= 0.5"]) == {
        3: 0.05, 2: 0.1, 4: 0.5
    }  # fmt: skip


def test_names_with_html_in_them_stay_words() -> None:
    name = "<img src=x onerror=alert(1)>&amp"
    study = searched(named(cross_entropy, name))
    study.validate(data=MORE)
    one = inspector_html.evaluated(study.snapshot, study.problem, 0, study.validated)
    for page in (
        report_html.front_table(study, study.snapshot),
        report_html.chooser(study, study.snapshot),
        inspector_html.table(study.problem, ("weight",) * 4, [one]),
        picture.page(study),
    ):
        assert "<img src=x" not in page
    written = study.problem.objective_names[0]
    study.constrain(f"{written} <= 5")
    assert study.constraints == {written: 5.0}


def test_bounds_are_measured_once_and_never_by_a_property() -> None:
    calls = []

    def counted(outputs: Any, labels: Any) -> Any:
        calls.append(1)
        return 3 * cross_entropy(outputs, labels)

    made = problem([counted, "kl"])
    before = len(calls)
    assert before > 0
    bounds = made.objective_bounds
    ends = made.evaluate([[2] * 4, [8] * 4])
    assert bounds[:, 0].tolist() == [0.0, max(1.0, ends[:, 0].max())]
    assert len(calls) == before, "both ends were remembered"
    for _ in range(3):
        assert made.objective_bounds.tolist() == bounds.tolist()
        assert [(one.low, one.high) for one in made.objectives] == list(map(tuple, bounds.T.tolist()))
    assert len(calls) == before
    calls.clear()
    known = named(counted, "known")
    known.bounds = (0, 30)
    assert problem(known).objective_bounds[:, 0].tolist() == [0, 30]
    assert len(calls) == 1, "in full precision, to see whether it is of a set; nothing else is run"


def test_constant_costs_are_named_and_left_out_of_figures() -> None:
    from nemo_lab import CostModel

    names = workload().names
    table = {name: dict.fromkeys(range(2, 9), 1.5) for name in names}
    costs = CostModel(workload(), tables={"latency_ms": table, "<b>": table})
    made = QuantizationProblem(workload(), X, (X, Y), metric="kl", cost_model=costs)
    with pytest.warns(NemoWarning, match="the same for every configuration: latency_ms, <b>; search and"):
        study = create_study(made, species=("floor", "surrogate"), population=8, min_size=2)
    study.optimize(40, progress=False)
    plain = create_study(problem("kl"), species=("floor", "surrogate"), population=8, min_size=2)
    plain.optimize(40, progress=False)
    assert study.snapshot.hypervolume == plain.snapshot.hypervolume
    assert np.array_equal(study.snapshot.evaluations.bits, plain.snapshot.evaluations.bits)
    assert (study.evaluations()["species"] == "surrogate").any()
    assert (study.front()["latency_ms"] == 1.5 * len(names)).all()
    info = info_of(study)
    assert [one.name for one, _ in info.objectives] == ["kl_divergence", "model_ratio", "bitop_ratio"]
    heads = "".join(parsed(report_html.front_table(study, study.snapshot)).words)
    assert "latency ms" in heads, "tables keep it"


@pytest.mark.parametrize("metric", ["top5", "agreement", "kl", "perplexity", cross_entropy])
def test_a_journal_keeps_what_objectives_are(metric: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    study = create_study(problem(metric), species=("floor",), population=4, min_size=2, storage=path)
    study.optimize(6, progress=False)
    study.close()
    watched = load_study(path, read_only=True)
    assert objectives_of(watched.problem) == objectives_of(study.problem)
    now, then = (report_html.chooser(one, one.snapshot) for one in (watched, study))
    assert now == then
    assert front_png(info_of(watched)) == front_png(info_of(study))
    assert pickle.loads(pickle.dumps(objectives_of(watched.problem))) == objectives_of(study.problem)
    watched.close()


@pytest.mark.parametrize(
    ("recipe", "label", "text"),
    [(None, "1 - task error", "75.00%"), ({"workload": "digits"}, "accuracy", "75.00%")],
)
def test_an_older_journal_says_what_is_certain(recipe: Any, label: str, text: str) -> None:
    saved = StoredProblem.of(problem("agreement")).saved()
    del saved["objectives"]
    error, size, work = objectives_of(StoredProblem.read(saved, recipe))  # type: ignore[arg-type]
    assert (error.label, error.text(0.25)) == (label, text)
    assert (size.label, size.unit, work.label) == ("model size", "ratio to 32 bit", "bit-operations")
    assert (size.low, size.high) == (2 / 32, 8 / 32)
    assert math.isclose(float(size.units[0].factor) if size.units else 1.0, 1.0)


def test_a_problem_of_ones_own_is_called_by_its_names() -> None:
    study = create_study(ToyProblem(), species=("floor",), population=4, min_size=2)
    study.optimize(8, progress=False)
    info = info_of(study)
    assert [one.axis for one in info.axes] == ["loss", "size", "work"]
    assert list(choices(varied(study.problem)))[:2] == [
        "lowest size within 0.01 of the best loss",
        "lowest loss",
    ]
    with pytest.raises(UnknownNameError, match="no objective 'accuracy'"):
        study.constrain("accuracy >= 0.9")
    with pytest.raises(UnknownNameError, match="no objective 'model_mb'"):
        study.aspire(model_mb=2)
