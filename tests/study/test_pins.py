"""Pins by name, module, glob and kind, exact or to a range: what they select, hold, say and refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import nemo_lab as nl
from nemo_lab import NemoWarning, create_study, load_study
from nemo_lab.errors import ArgumentError, BitWidthError, UnknownNameError
from nemo_lab.export import front_to_dict
from tests.study.test_running import make_study
from tests.toy import ToyProblem

QUICK: dict[str, Any] = {"species": ("continuous",), "population": 4}


@pytest.fixture(scope="module")
def digits() -> Any:
    return create_study("digits", **QUICK)


def pinned(study: Any, *args: Any, **options: Any) -> dict[str, Any]:
    """What one call pins on a study that is free before and after it."""
    study.pin(*args, **options)
    pins = study.pins
    study.unpin()
    return dict(pins)


def named(study: Any, ask: Any) -> list[str]:
    return [node.name for node in study.problem.workload.nodes if ask(node)]


def test_a_range_holds_in_the_run_and_is_shown(tmp_path: Any) -> None:
    path = tmp_path / "run.sqlite"
    study = create_study(ToyProblem(), population=12, species=("continuous", "floor"), storage=path)
    study.optimize(20, progress=False)
    with pytest.warns(NemoWarning):
        study.pin({"layer0.weight": (4, 6), "layer2.weight": (5, 7), "layer1.weight": (2, 3)})
    study.optimize(study.snapshot.waiting, progress=False)
    done = len(study.evaluations())
    with pytest.warns(NemoWarning):
        study.pin("layer2.input", 8)
    wanted = {"layer0.weight": (4, 6), "layer1.weight": (2, 3), "layer2.input": 8, "layer2.weight": (5, 7)}
    assert study.pins == wanted
    table = study.optimize(60, progress=False).evaluations(bits=True)
    later = table.loc[20:]
    assert later["layer0.weight"].isin([4, 5, 6]).all()
    assert later["layer1.weight"].isin([2, 3]).all()
    assert later["layer2.weight"].isin([5, 6, 7]).all()
    assert (table.loc[done:, "layer2.input"] == 8).all()
    assert len(table.loc[done:]) == 60
    assert later["layer0.weight"].nunique() > 1, "a range leaves a choice"
    front = table.loc[study.front().index]
    assert front["layer0.weight"].between(4, 6).all()
    assert study.interventions()["detail"][0].startswith("layer0.weight = 4 to 6, layer2.weight = 5 to 7, ")
    saved = json.loads(json.dumps(front_to_dict(study)))
    assert saved["pins"] == {name: [*w] if isinstance(w, tuple) else w for name, w in wanted.items()}
    study.close()
    again = load_study(path, problem=ToyProblem())
    assert again.pins == wanted
    assert again.optimize(10, progress=False).evaluations(bits=True).iloc[-1]["layer0.weight"] in (4, 5, 6)
    again.undo()
    assert set(again.pins) == set(wanted) - {"layer2.input"}
    again.close()


def test_a_range_and_a_width_replace_each_other() -> None:
    study = make_study()
    study.pin("layer0.weight", min=6)
    study.pin("layer0.weight", 3)
    assert study.pins == {"layer0.weight": 3}
    study.pin("layer0.weight", (3, 5))
    assert study.pins == {"layer0.weight": (3, 5)}
    study.pin("layer0.weight", min=5, max=5)
    assert study.pins == {"layer0.weight": 5}
    study.undo()
    assert study.pins == {"layer0.weight": (3, 5)}


def test_globs_modules_and_lists_select_nodes(digits: Any) -> None:
    weights = named(digits, lambda n: n.name.endswith(".depthwise.conv.weight"))
    assert len(weights) == 5
    assert pinned(digits, "*.depthwise.conv.weight", 4) == dict.fromkeys(weights, 4)
    inside = named(digits, lambda n: n.name.startswith(("blocks.0.", "blocks.1.")))
    assert len(inside) == 10
    assert pinned(digits, "blocks.[01].*", min=6) == dict.fromkeys(inside, (6, 8))
    assert pinned(digits, ["blocks.0", "blocks.1"], 5) == dict.fromkeys(inside, 5)
    assert pinned(digits, "blocks.[01]", 5) == dict.fromkeys(inside, 5)
    both = {"stem.conv.input": 7, "stem.conv.weight": 7}
    assert pinned(digits, "stem.conv", 7) == pinned(digits, "stem", 7) == both
    mixed = pinned(digits, {"*": 8, "stem.*": (2, 4), "stem.conv.input": 3})
    assert mixed.pop("stem.conv.input") == 3
    assert mixed.pop("stem.conv.weight") == (2, 4)
    assert set(mixed.values()) == {8}
    assert len(mixed) == len(digits.problem.node_names) - 2


def test_globs_of_layers_mean_their_weights_and_inputs(digits: Any) -> None:
    found = pinned(digits, "blocks.?.project.conv", weight=(2, 4), activation=8)
    assert len(found) == 10
    assert {name for name, width in found.items() if width == (2, 4)} == {
        f"blocks.{i}.project.conv.weight" for i in range(5)
    }
    assert {name for name, width in found.items() if width == 8} == {
        f"blocks.{i}.project.conv.input" for i in range(5)
    }
    assert pinned(digits, "blocks.?.project.conv.weight", activation=8) == {
        f"blocks.{i}.project.conv.input": 8 for i in range(5)
    }
    assert list(pinned(digits, ["stem", "classifier"], weight=6)) == ["stem.conv.weight", "classifier.weight"]


def test_an_alias_is_found_where_no_node_is_called_so(digits: Any) -> None:
    node = next(n for n in digits.problem.workload.nodes if "stem.relu.output" in n.aliases)
    assert pinned(digits, "stem.relu.*", 4) == {node.name: 4}
    assert node.name not in pinned(digits, "stem.*", 4), "what flows out of a module is not in it"


def test_kinds_select_nodes_and_layers(digits: Any) -> None:
    depthwise = named(digits, lambda n: n.depthwise)
    assert pinned(digits, kind="depthwise", min=6) == dict.fromkeys(depthwise, (6, 8))
    assert pinned(digits, kind="depthwise conv", bits=5) == dict.fromkeys(depthwise, 5)
    inputs = [name.replace(".weight", ".input") for name in depthwise]
    assert pinned(digits, kind="depthwise", activation=3) == dict.fromkeys(inputs, 3)
    assert set(pinned(digits, kind="linear", weight=8, activation=4)) == {
        "classifier.weight",
        "classifier.input",
    }
    activations = named(digits, lambda n: n.kind == "activation")
    assert list(pinned(digits, kind="activation", bits=8)) == activations
    assert list(pinned(digits, kind="relu6", bits=8)) == named(digits, lambda n: n.op == "relu6")
    assert pinned(digits, "blocks.0", 4, kind="conv") == {"blocks.0.project.conv.weight": 4}
    assert pinned(digits, "blocks.0", kind="conv", activation=4) == {"blocks.0.project.conv.input": 4}
    assert pinned(digits, {"blocks.0": 4, "stem": 3}, kind="weight") == {
        "blocks.0.depthwise.conv.weight": 4,
        "blocks.0.project.conv.weight": 4,
        "stem.conv.weight": 3,
    }


def test_a_problem_without_a_workload_has_weights_and_activations() -> None:
    study = make_study()
    assert pinned(study, kind="weight", max=4) == {f"layer{i}.weight": (2, 4) for i in range(3)}
    assert pinned(study, "layer[12]", kind="activation", bits=4) == {
        "layer1.input": 4,
        "layer2.input": 4,
    }


def test_tied_nodes_are_pinned_by_any_of_their_names() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4))
    inputs = torch.linspace(-1, 1, 32).reshape(8, 4)
    workload = nl.Workload.from_module(net, inputs[:2], tie=[("0.weight", "2.weight")])
    data = (inputs, torch.arange(8) % 4)
    problem = nl.QuantizationProblem(workload, calibration=inputs, data=data, metric="top1")
    study = create_study(problem, **QUICK)
    for name in ("0.weight", "2.weight", "[2].weight", "[02].weight"):
        assert pinned(study, name, 4) == {"0.weight": 4}
    assert pinned(study, "2", weight=6, activation=3) == {"0.weight": 6, "2.input": 3}


def test_what_is_called_like_a_glob_is_taken_by_its_name() -> None:
    class Odd(ToyProblem):
        node_names: Any

        def __init__(self) -> None:
            super().__init__()
            self.node_names = ("a[0].weight", "a0.weight", "*", "b.input", "c.input", "d.input")

    study = make_study(Odd())
    assert pinned(study, "a[0].weight", 4) == {"a[0].weight": 4}
    assert pinned(study, "a[0]*", 4) == {"a0.weight": 4}
    assert pinned(study, "*", 4) == {"*": 4}
    assert len(pinned(study, "**", 4)) == 6


def test_unpin_takes_the_same_selections(digits: Any) -> None:
    digits.pin("*", 8)
    digits.unpin(kind="depthwise")
    assert not [name for name in digits.pins if name.endswith("depthwise.conv.weight")]
    digits.unpin("*.input")
    assert all(name.endswith((".weight", ".output")) for name in digits.pins)
    digits.unpin(["stem", "blocks.?.project.*"], kind="conv")
    assert "stem.conv.weight" not in digits.pins
    assert "blocks.4.project.norm.output" in digits.pins
    for name, kind, message in (
        ("*.input", None, r"'\*\.input' is not pinned; pinned are: \d+ nodes"),
        (None, "depthwise", "nothing of kind 'depthwise' is pinned"),
        ("stem", "conv", "nothing matching 'stem' of kind 'conv' is pinned"),
    ):
        with pytest.raises(ArgumentError, match=message):
            digits.unpin(name, kind=kind)
    digits.unpin()
    assert digits.pins == {}


def test_one_call_is_one_steer_and_says_it_shortly() -> None:
    study = create_study("digits", **QUICK)
    study.pin("*.weight", 4)
    study.pin(kind="depthwise", min=6)
    study.pin({"*.weight": 4, "*.input": (4, 8)})
    study.pin(list(study.problem.node_names), 8)
    study.unpin("*")
    table = study.interventions()
    assert table["action"].tolist() == ["pin"] * 4 + ["unpin"]
    assert table["detail"].str.len().max() < 200
    for detail, start in zip(
        table["detail"],
        (
            "17 nodes matching '*.weight' = 4; ",
            "5 nodes of kind 'depthwise' = 6 to 8; ",
            "34 nodes matching '*.weight', '*.input': 17 = 4, 17 = 4 to 8; ",
            "36 nodes matching 'stem.conv.input', 'stem.conv.weight', ",
            "36 nodes: stem.conv.input, ",
        ),
        strict=True,
    ):
        assert detail.startswith(start), detail
    study.undo()
    study.undo()
    assert len(study.pins) == 34


def test_the_script_makes_ranges_again() -> None:
    study = create_study("digits", **QUICK)
    study.pin("blocks.[01].*", weight=8, activation=(2, 4))
    study.pin("stem", min=5)
    made = {"print": lambda *_: None}
    exec(study.to_script(), made)  # our own text, as a person would run it
    assert made["study"].pins == study.pins  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("args", "options", "error", "message"),
    [
        (("*.wieght", 4), {}, UnknownNameError, r"no node or layer '\*\.wieght'; did you mean '.*\.weight'"),
        (("stm.*",), {"weight": 4}, UnknownNameError, r"no layer 'stm\.\*'; did you mean 'stem\.conv'"),
        ((["stem", "nothing.*"], 4), {}, UnknownNameError, r"'nothing\.\*'"),
        (("blocks.0.project.norm", 4), {"kind": "depthwize"}, UnknownNameError, "did you mean 'depthwise'"),
        ((), {"kind": "foo", "bits": 4}, UnknownNameError, "known: weight, activation, depthwise, conv"),
        ((), {"kind": ["conv"], "bits": 4}, UnknownNameError, "no kind"),
        (
            ("*.input", 4),
            {"kind": "conv"},
            ArgumentError,
            r"nothing that '\*\.input' names is of kind 'conv'",
        ),
        ((), {"bits": 4}, ArgumentError, "no node is named; give a name, a glob"),
        ((), {"weight": 4}, ArgumentError, "no layer is named"),
        ((), {"kind": "conv"}, ArgumentError, "got no bit-width"),
        ((), {"kind": "weight", "weight": 4}, ArgumentError, "selects nodes, not layers"),
        ((), {"kind": "relu6", "activation": 4}, ArgumentError, "no layer is of kind 'relu6'"),
        (("stem", 4), {"min": 4}, ArgumentError, "got bits= together with min="),
        (("stem",), {"weight": 4, "max": 4}, ArgumentError, "got weight= together with max="),
        (({"stem": 4}, 4), {}, ArgumentError, "a mapping together with bits="),
        (({"stem": 4},), {"min": 4}, ArgumentError, "a mapping together with min="),
        (({},), {}, ArgumentError, "an empty mapping"),
        (([], 4), {}, ArgumentError, "an empty list names nothing"),
        (("stem",), {"min": 2}, ArgumentError, "the range 2 to 8 has every bit-width, so it pins nothing"),
        (("stem", (2, 8)), {}, ArgumentError, "the range 2 to 8 has every bit-width"),
        (("stem",), {"min": 6, "max": 4}, ArgumentError, r"the range 6 to 4 is empty; write \(4, 6\)"),
        (("stem",), {"min": 9}, BitWidthError, "bit-width 9 is not allowed; choose from 2"),
        (("stem",), {"weight": (4, 5, 6)}, ArgumentError, "is not a range of bit-widths"),
        (("stem",), {"weight": (4, None)}, BitWidthError, "bit-width None is not allowed"),
        ((7, 4), {}, ArgumentError, "has 7, which is neither text nor function; give names or globs"),
        ((["stem", None], 4), {}, ArgumentError, "has None, which is neither"),
        ((b"stem", 4), {}, ArgumentError, "has b'stem', which is neither"),
        (([b"stem"],), {"weight": 4}, ArgumentError, "has b'stem', which is neither"),
        ((["stem", ["stem"]], 4), {}, ArgumentError, r"has \['stem'\], which is neither"),
        (("", 4), {}, UnknownNameError, "no node or layer ''"),
        (("",), {"weight": 4}, UnknownNameError, "no layer ''"),
        ((" stem", 4), {}, UnknownNameError, "no node or layer ' stem'; did you mean 'stem'"),
        (("Stem", 4), {}, UnknownNameError, "did you mean 'stem'"),
        (("depthwize", 4), {}, UnknownNameError, "did you mean 'depthwise'"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    digits: Any, args: Any, options: Any, error: Any, message: str
) -> None:
    before = len(digits.interventions())
    with pytest.raises(error, match=message):
        digits.pin(*args, **options)
    assert len(digits.interventions()) == before
    assert digits.pins == {}
