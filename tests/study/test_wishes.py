"""Constraints and aspirations: what may be written, what they mean, and that the search follows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nemo_lab import QuantizationProblem, Study, create_study
from nemo_lab.errors import ArgumentError, ContractError, NemoWarning, UnknownNameError
from nemo_lab.study.parsing.objectives import ObjectiveNames
from tests.study.test_running import make_study
from tests.toy import ToyProblem

TOY = ObjectiveNames(ToyProblem())


@pytest.fixture(scope="module")
def names(digits_problem: QuantizationProblem) -> ObjectiveNames:
    return ObjectiveNames(digits_problem)


@pytest.mark.parametrize(
    ("texts", "limits"),
    [
        ([], {}),
        (["loss <= 0.05"], {0: 0.05}),
        (["loss<=.05"], {0: 0.05}),
        (["  size   <  1e-1 "], {1: 0.1}),
        (["work <= +0.2", "loss <= 5E-2"], {0: 0.05, 2: 0.2}),
        (["loss <= 0.05", "loss <= 0.2"], {0: 0.05}),
        (["loss <= 0.2", "loss <= 0.05"], {0: 0.05}),
        (["loss <= -1"], {0: -1.0}),
    ],
)
def test_constraints_are_read(texts: list[str], limits: dict[int, float]) -> None:
    assert TOY.limits(texts) == limits


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("loss", ArgumentError, "constraint 'loss' cannot be read; write 'loss <= 0.1' or 'size <= 0.08'"),
        ("loss <=", ArgumentError, "cannot be read"),
        ("<= 0.5", ArgumentError, "cannot be read"),
        ("loss = 0.5", ArgumentError, "cannot be read"),
        ("loss <= 5%", ArgumentError, "cannot be read"),
        ("loss <= nan", ArgumentError, "cannot be read"),
        ("loss <= inf", ArgumentError, "cannot be read"),
        ("loss <= 1e999", ArgumentError, "cannot be read"),
        ("loss <= 1.2.3", ArgumentError, "cannot be read"),
        ("loss <= --1", ArgumentError, "cannot be read"),
        ("", ArgumentError, "constraint '' cannot be read"),
        (0.5, ArgumentError, "constraint 0.5 cannot be read"),
        (("loss", 0.5), ArgumentError, "cannot be read"),
        ("loss >= 0.5", ArgumentError, "asks for more of what is minimised; write 'loss <= ...'"),
        ("size > 0.5", ArgumentError, "asks for more of what is minimised; write 'size <= ...'"),
        ("los <= 0.5", UnknownNameError, "no objective 'los'; did you mean 'loss'?"),
        ("loss =< 0.5", UnknownNameError, "did you mean 'loss'"),
        ("accuracy >= 0.5", UnknownNameError, "no objective 'accuracy'; known: loss, size, work"),
        ("model_mb <= 2", UnknownNameError, "no objective 'model_mb'; known: loss, size, work"),
    ],
)
def test_constraints_that_cannot_be(text: Any, error: type[Exception], message: str) -> None:
    study = make_study()
    study.constrain("work <= 0.2")
    with pytest.raises(error, match=message.replace("?", r"\?")):
        study.constrain("size <= 0.1", text)
    assert study.constraints == {"work": 0.2}
    assert len(study.interventions()) == 1
    with pytest.raises(error):
        create_study(ToyProblem(), constraints=[text])


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ({}, {}),
        ({"loss": None}, {}),
        ({"loss": 0.1}, {0: (0.0, 0.1)}),
        ({"loss": (0.1, 0.3), "work": 0.2}, {0: (0.1, 0.3), 2: (0.0625, 0.2)}),
        ({"loss": [0.1, 0.3]}, {0: (0.1, 0.3)}),
        ({"loss": (None, 0.3)}, {0: (0.0, 0.3)}),
        ({"loss": (0.3, None)}, {0: (0.3, 1.0)}),
        ({"loss": (None, None), "work": 0.2}, {2: (0.0625, 0.2)}),
        ({"loss": np.float32(0.5)}, {0: (0.0, 0.5)}),
        ({"loss": np.array(0.5)}, {0: (0.0, 0.5)}),
    ],
)
def test_boxes_are_read(box: dict[str, Any], found: dict[int, tuple[float, float]]) -> None:
    assert TOY.box(box) == found


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("low", r"work='low'; give the largest value, or \(smallest, largest\)"),
        ((0.1, 0.2, 0.3), "give the largest value"),
        ("0.1", "give the largest value"),
        (True, "give the largest value"),
        ((0.1, False), "give the largest value"),
        (float("nan"), "give the largest value"),
        ((float("nan"), 0.2), "give the largest value"),
        (float("inf"), "give the largest value"),
        ((0.2, 0.1), r"work=\(0.2, 0.1\) is empty; write \(0.1, 0.2\)"),
        ((0.2, 0.2), "leaves nothing"),
        (0.0625, "leaves nothing"),
        (0.01, "leaves nothing; it can be reached from 0.0625 to 0.25"),
        ((0.25, 0.4), "leaves nothing"),
        (-1, "leaves nothing"),
    ],
)
def test_boxes_that_cannot_be(value: Any, message: str) -> None:
    study = make_study()
    study.aspire(loss=0.5)
    with pytest.raises(ArgumentError, match=message):
        study.aspire(size=0.1, work=value)
    assert study.aspiration == {"loss": (0.0, 0.5)}
    with pytest.raises(ArgumentError, match=message):
        create_study(ToyProblem(), aspiration={"work": value})
    with pytest.raises(UnknownNameError, match="no objective 'wrk'; did you mean 'work'"):
        study.aspire(wrk=value)


def test_accuracy_is_one_minus_the_error(names: ObjectiveNames) -> None:
    assert names.limits(["accuracy >= 0.9"]) == {0: 0.1}, "an error of exactly 0.1 keeps it"
    assert names.limits(["accuracy > 1"]) == {0: 0.0}
    assert names.limits(["accuracy >= 9.5e-1", "task_error <= 0.2"])[0] == 0.05
    for count in range(513):  # every accuracy that 512 examples can have, as it is printed
        assert names.limits([f"accuracy >= {count / 512!r}"])[0] >= 1 - count / 512
    with pytest.raises(ArgumentError, match=r"asks for less of what is maximised; write 'accuracy >= "):
        names.limits(["accuracy <= 0.9"])


def test_an_objective_goes_by_the_name_of_its_metric_too(
    names: ObjectiveNames, digits_problem: QuantizationProblem
) -> None:
    assert names.limits(["top1 >= 0.9"]) == names.limits(["accuracy >= 0.9"])
    diverges = QuantizationProblem(digits_problem.workload, metric=["kl", "agreement"])
    limits = ObjectiveNames(diverges).limits(["kl <= 0.05", "agreement >= 0.9"])
    assert limits == {0: 0.05, 1: 0.1}


def test_absolute_costs(names: ObjectiveNames, digits_problem: QuantizationProblem) -> None:
    model, widths = digits_problem.cost_model, np.random.default_rng(0).integers(2, 9, (60, 36))
    full = model.absolute([[32] * 36])[0]
    for column, unit in enumerate(("model_mb", "gbops")):
        k = 1 + column
        assert names.limits([f"{unit} <= {full[column] / 4:.17g}"])[k] == pytest.approx(0.25, rel=1e-9)
        box = names.box({unit: (full[column] / 8, full[column] / 5)})
        assert box[k] == pytest.approx((0.125, 0.2), rel=1e-9)
        found = zip(model.absolute(widths)[:, column], model.evaluate(widths)[:, column], strict=True)
        for absolute, ratio in found:  # what a limit was read from keeps it, and little else does
            limit = names.limits([f"{unit} <= {float(absolute)!r}"])[k]
            assert ratio <= limit < ratio * (1 + 1e-9)
    with pytest.raises(
        ArgumentError, match=f"it can be reached from {full[0] / 16:.4g} to {full[0] / 4:.4g}"
    ):
        names.box({"model_mb": full[0] / 100})
    with pytest.raises(UnknownNameError, match="did you mean 'model_mb'"):
        names.limits(["model_m <= 2"])


def test_wishes_are_listed_and_replaced() -> None:
    study = make_study().optimize(20, progress=False)
    study.constrain("loss <= 0.5", "work <= 0.2")
    study.aspire(size=(0.08, 0.15))
    study.constrain("size <= 0.2")
    study.optimize(5, progress=False)
    study.constrain()
    study.aspire()
    table = study.interventions()
    assert table["evaluation"].tolist() == [20, 20, 20, 25, 25]
    assert table["action"].tolist() == ["constrain", "aspire", "constrain", "constrain", "aspire"]
    assert table["detail"].tolist() == [
        "loss <= 0.5, work <= 0.2", "size 0.08 to 0.15", "size <= 0.2", "nothing", "everything"
    ]  # fmt: skip
    assert (study.constraints, study.aspiration) == ({}, {})


@pytest.mark.parametrize("constraints", ["work <= 0.15", ("work <= 0.15",), ["work<0.15", "work <= 1"]])
def test_wishes_from_the_beginning(constraints: Any) -> None:
    wishes: dict[str, Any] = {"constraints": constraints, "aspiration": {"loss": 0.4}}
    study = create_study(ToyProblem(), preset="paper", population=12, **wishes)
    assert study.constraints == {"work": 0.15}
    assert study.aspiration == {"loss": (0.0, 0.4)}
    assert study.interventions()["evaluation"].tolist() == [0, 0]
    assert study.optimize(40, progress=False).front()["work"].max() <= 0.15


def test_the_front_shows_what_keeps_the_constraints_or_violates_them_least() -> None:
    study = make_study().optimize(60, progress=False)
    table = study.evaluations()
    before = study.front().index.tolist()
    study.constrain("work <= 0.15", "loss <= 0.6")
    shown = study.front()
    assert 0 < len(shown) < len(before)
    assert (shown["work"].max() <= 0.15) & (shown["loss"].max() <= 0.6)
    with pytest.warns(NemoWarning, match=r"no configuration .* size can be reached from 0.0625 to 0.25"):
        study.constrain("size <= 0.01")  # the smallest of all stays
    assert study.front().index.tolist() == [table["size"].idxmin()]
    study.constrain()
    assert study.front().index.tolist() == before


BOX = {"loss": (0.0, 0.3), "size": 0.15}


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_the_search_concentrates_on_the_box(preset: str) -> None:
    def inside(study: Study) -> int:
        late = study.optimize(140, progress=False).evaluations().iloc[70:]
        return int(((late["loss"] <= 0.3) & (late["size"] <= 0.15)).sum())

    def make(**wishes: Any) -> Study:
        return create_study(ToyProblem(10), preset=preset, population=24, seed=1, **wishes)

    free, aimed = inside(make()), inside(make(aspiration=BOX))
    assert aimed > free
    limited = inside(make(constraints=["loss <= 0.3", "size <= 0.15"]))
    assert limited > free


def test_of_several_limits_on_one_objective_all_hold(names: ObjectiveNames) -> None:
    assert names.box({"task_error": 0.1, "accuracy": 0.5}) == names.box({"accuracy": 0.5, "task_error": 0.1})
    assert names.box({"task_error": 0.1, "accuracy": 0.5}) == {0: (0.0, 0.1)}
    assert names.box({"task_error": (0.1, 0.3), "accuracy": (0.6, 0.8)}) == {0: (pytest.approx(0.2), 0.3)}
    with pytest.raises(ArgumentError, match=r"accuracy=0.9 leaves nothing together with another limit on it"):
        names.box({"task_error": (0.2, 0.3), "accuracy": 0.9})
    assert names.limits(["task_error <= 0.1", "accuracy >= 0.5"]) == {0: 0.1}


def test_an_objective_has_no_name_of_another_column() -> None:
    for name in ("config", "species", "generation", "origin"):
        kind = type("Odd", (ToyProblem,), {})
        problem = kind()
        problem.objective_names = (name, *problem.objective_names[1:])
        with pytest.raises(ContractError, match=f"'{name}', which is another column of tables; rename"):
            create_study(problem)


def test_a_node_may_have_the_name_of_an_objective() -> None:
    problem = ToyProblem()
    problem.node_names = ("loss", "origin", *problem.node_names[2:])
    study = create_study(problem, species=["floor"], population=8, min_size=2).optimize(9, progress=False)
    frame = study.evaluations(bits=True)
    assert list(frame.columns).count("loss") == list(frame.columns).count("origin") == 2
    assert frame.iloc[:, -problem.num_nodes :].to_numpy().tolist() == [
        study.config(config).tolist() for config in range(9)
    ]


def test_what_is_listened_with_and_where_a_script_goes_is_checked() -> None:
    study = make_study()
    with pytest.raises(ArgumentError, match="listener=3; give a function"):
        study.listen(3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="path=3; give the path of a file"):
        study.to_script(3)  # type: ignore[arg-type]
    study.pin("layer0.weight", np.array(4))
    assert study.pins == {"layer0.weight": 4}
