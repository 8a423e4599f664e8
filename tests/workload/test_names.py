"""One text means the same nodes wherever it is given: ignored, tied, pinned, configured, in a table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nemo_lab import CostModel, NemoWarning, Workload, create_study
from nemo_lab.errors import ArgumentError, UnknownNameError
from tests.toy import ToyProblem


def pointwise() -> nn.Module:
    return nn.Conv2d(4, 4, 1, bias=False)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.depthwise, self.point = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), pointwise()

    def forward(self, x: Tensor) -> Any:
        return self.point(self.depthwise(x).relu()).relu()


class Odd(nn.Module):
    """A module called like a glob, one called twice, a tensor that two layers read, a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(Block(), Block())
        for name in ("a[0]", "a0", "shared", "q", "k"):
            self.add_module(name, pointwise())
        self.relu, self.head, self.w = nn.ReLU(), nn.Linear(4, 3), nn.Parameter(torch.ones(3, 4))

    def forward(self, x: Tensor) -> Any:
        x = self.blocks(self.relu(self.stem(x)))
        x = self.get_submodule("a0")(self.get_submodule("a[0]")(x).relu()).relu()
        x = self.shared(self.shared(x).relu()).relu()
        x = (self.q(x).flatten(2) @ self.k(x).flatten(2).transpose(1, 2)).mean(2).relu()
        return self.head(x) + nn.functional.linear(x, self.w)


def odd(**options: Any) -> Workload:
    return Workload.from_module(Odd(), torch.zeros(2, 2, 4, 4), activations="all", **options)


PLAIN = odd()
# depthwise weights share a decision, and so do two weights, one of which is called like a glob
TIED = odd(tie=["depthwise", ("a0.weight", "a[0].weight"), ("k.weight", "stem.weight")])
WEIGHTS = {
    "stem.weight", "blocks.0.depthwise.weight", "blocks.0.point.weight", "blocks.1.depthwise.weight",
    "blocks.1.point.weight", "a[0].weight", "a0.weight", "shared.weight", "q.weight", "k.weight",
    "head.weight", "w",
}  # fmt: skip
DEPTHWISE = {"blocks.0.depthwise.weight", "blocks.1.depthwise.weight"}
INPUTS = {f"blocks.{i}.depthwise.input" for i in (0, 1)}


def is_depthwise(node: Any) -> bool:
    return bool(node.depthwise)


MEANINGS: list[tuple[Any, set[str]]] = [
    # nodes
    ("stem.weight", {"stem.weight"}),
    ("a[0].weight", {"a[0].weight"}),
    ("w", {"w"}),  # a layer, too
    ("x.output", {"stem.input"}),  # an alias
    ("k.input", {"q.input"}),
    # layers
    ("stem", {"stem.weight", "stem.input"}),
    ("k", {"k.weight", "q.input"}),  # its input is called after the first to read it
    ("shared", {"shared.weight", "shared.input", "relu.output"}),  # called twice
    ("matmul", {"matmul.input", "matmul.other"}),
    ("a[0]", {"a[0].weight", "a[0].input"}),
    ("blocks.0.depthwise", {"blocks.0.depthwise.weight", "blocks.0.depthwise.input"}),
    # modules
    ("blocks.1", {n for n in PLAIN.names if n.startswith("blocks.1.")}),
    ("blocks", {n for n in PLAIN.names if n.startswith("blocks.")}),
    ("blocks.1.relu", {"blocks.1.point.input"}),  # among aliases, one that is called so
    # globs
    ("*.weight", WEIGHTS - {"w"}),
    ("blocks.*.depthwise", DEPTHWISE | INPUTS),  # what is inside of modules
    ("blocks.?.depthwise.weight", DEPTHWISE),
    ("blocks.[!0]", {n for n in PLAIN.names if n.startswith("blocks.1.")}),
    ("a[0].*", {"a0.weight", "a0.input"}),
    ("a[[]0]", {"a[0].weight", "a[0].input"}),
    ("?", {n for n in PLAIN.names if n[:2] in ("q.", "k.", "w", "w.")}),
    ("relu_[45].*", {"a[0].input", "a0.input"}),  # aliases
    # kinds
    ("weight", WEIGHTS),
    ("activation", set(PLAIN.names) - WEIGHTS),
    ("depthwise", DEPTHWISE),
    ("depthwise conv", DEPTHWISE),
    ("conv", WEIGHTS - DEPTHWISE - {"head.weight", "w"}),
    ("input", {"stem.input"}),
    # functions
    (is_depthwise, DEPTHWISE),
    (lambda node: node.kind == "activation", set(PLAIN.names) - WEIGHTS),
    (lambda node: np.bool_(node.kernel_size == 9), {"stem.weight", *DEPTHWISE}),
    # several
    (["stem", "w"], {"stem.weight", "stem.input", "w"}),
    (("q.*", "q.weight", "q"), {"q.weight", "q.input"}),
    ({"head.weight", "depthwise"}, {"head.weight", *DEPTHWISE}),
    ([is_depthwise, "w"], {"w", *DEPTHWISE}),
    (np.array(["a0.weight", "q.weight"]), {"a0.weight", "q.weight"}),
    ({"a0.weight": 1, "q.weight": 2}.keys(), {"a0.weight", "q.weight"}),
]


class WithWorkload(ToyProblem):
    """Its loss tells which nodes have 8 bits."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(len(workload.nodes))
        self.workload, self.node_names = workload, workload.names

    def costs(self, bits: Any) -> Any:
        return np.repeat(np.atleast_2d(bits).mean(axis=1, keepdims=True) / 32, 2, axis=1)

    def evaluate(self, bits: Any) -> Any:
        code = (np.atleast_2d(bits) == 8) @ (2.0 ** np.arange(self.num_nodes))
        return np.column_stack([code, self.costs(bits)])


def study_of(workload: Workload) -> Any:
    return create_study(WithWorkload(workload), species=("continuous",), population=4)


STUDIES = {workload: study_of(workload) for workload in (PLAIN, TIED)}


def several(text: Any) -> list[Any]:
    return [text] if isinstance(text, str) or callable(text) else list(text)


def positions(workload: Workload, text: Any) -> set[int]:
    found = STUDIES[workload].positions(text)
    assert list(found) == sorted(set(found))
    return set(found)


def pinned(workload: Workload, text: Any) -> set[int]:
    study = STUDIES[workload]
    study.pin(text, 4)
    found = {workload.names.index(name) for name in study.pins}
    study.unpin(text)
    assert study.pins == {}
    return found


def configured(workload: Workload, text: Any) -> set[int]:
    code = STUDIES[workload].what_if({"*": 2, **dict.fromkeys(several(text), 8)})["loss"]
    return {node for node in range(len(workload.nodes)) if int(code) >> node & 1}


def costing(workload: Workload, text: Any) -> set[int]:
    """The nodes that such rows of a table give a cost, or that are named where it could be that of all."""
    rows = {"*": {2: 0, 4: 0}, **{one: {2: 0, 4: 1} for one in several(text)}}
    try:
        costs = CostModel(workload, tables={"t": rows})
    except ArgumentError as error:
        if "nodes of a" not in error.message:
            raise
        refused = error
    else:
        bits = np.full((len(workload.nodes),) * 2, 2)
        np.fill_diagonal(bits, 4)
        return set(np.flatnonzero(costs.evaluate(bits)[:, 2]).tolist())
    assert re.search(r"has one row .* for the \d+ nodes of a (layer|module)$", refused.message)
    shown = {workload.names.index(name) for name in re.findall(r"'([^']*)'", refused.hint)}
    meant = positions(workload, text)
    assert shown <= meant
    assert len(shown) == len(meant) or refused.hint.endswith("...") or not isinstance(text, str)
    return meant


WAYS = (positions, pinned, configured, costing)


def places(workload: Workload, names: set[str]) -> set[int]:
    return {workload.find(name).index for name in names}


@pytest.mark.parametrize(("text", "meant"), MEANINGS)
def test_a_text_means_the_same_nodes_everywhere(text: Any, meant: set[str]) -> None:
    assert set(PLAIN.names) - set(odd(ignore=text).names) == meant
    groups = [text] if isinstance(text, str) or callable(text) else [list(text)]
    if len(meant) > 1:
        tied = odd(tie=groups)
        (node,) = (node for node in tied.nodes if len(node.quantizers) > 1)
        assert {quantizer.name for quantizer in node.quantizers} == meant
    else:
        with pytest.raises(ArgumentError, match="names 1 quantizer"):
            odd(tie=groups)
    for workload in (PLAIN, TIED):
        for way in WAYS:
            assert way(workload, text) == places(workload, meant), way.__name__


def test_a_generator_is_read_once_and_said_in_the_log() -> None:
    study = study_of(PLAIN)
    study.pin((name for name in ("q.weight", "w")), 4)
    study.pin({"blocks", is_depthwise}, 8)
    assert len(study.pins) == 2 + 8
    assert study.interventions()["detail"].iloc[1].startswith("8 nodes matching ")
    assert "is_depthwise()" in study.interventions()["detail"].iloc[1]
    study.unpin(name for name in ("q.weight",))
    assert "q.weight" not in study.pins
    assert set(PLAIN.names) - set(odd(ignore=(name for name in ("q.weight", "w"))).names) == {"q.weight", "w"}


@pytest.mark.parametrize(
    "text", ["a[0].wieght", "blocks.*.depthwyse", "", " stem", "STEM", "relu?.output.x", "[", "."]
)
def test_a_text_that_names_nothing_names_nothing_anywhere(text: str) -> None:
    asked: list[Callable[[], object]] = [lambda: odd(ignore=text), lambda: odd(tie=[(text, "w")])]
    asked += [lambda way=way: way(PLAIN, text) for way in WAYS]  # type: ignore[misc]
    for ask in asked:
        with pytest.raises(UnknownNameError) as caught:
            ask()
        assert repr(text) in caught.value.message
        assert caught.value.hint


def fails(node: Any) -> bool:
    raise LookupError(node.name)


@pytest.mark.parametrize(
    ("function", "message", "hint"),
    [
        (fails, r"fails\(\) raised LookupError for node 'stem.input'", "index, name, kind, op, shape"),
        (lambda node: node.width > 3, "a function raised AttributeError for node .*'width'", "params, macs"),
        (lambda node: node.params, "a function returned 0 for node 'stem.input'", "True or False"),
        (lambda node: np.ones(2) > 0, "a function returned array", "True or False"),
        (lambda node: None, "a function returned None", "True or False"),
        (lambda node: False, "a function is true for no node", "True"),
        (lambda: True, "a function raised TypeError", "called with each node"),
    ],
)
def test_a_function_that_cannot_be_used_says_so_everywhere(function: Any, message: str, hint: str) -> None:
    asked: list[Callable[[], object]] = [lambda: odd(ignore=function), lambda: odd(tie=[function])]
    asked += [lambda way=way: way(PLAIN, function) for way in WAYS]  # type: ignore[misc]
    for ask in asked:
        with pytest.raises(ArgumentError, match=message) as caught:
            ask()
        assert hint in caught.value.hint


@pytest.mark.parametrize("given", [5, None, b"stem", [b"stem"], ["stem", 1], [["stem"]], np.array("stem")])
def test_what_is_no_name_is_said_everywhere(given: Any) -> None:
    asked: list[Callable[[], object]] = [lambda: odd(ignore=given), lambda: odd(tie=[given])]
    if given is not None:  # unpin() without a name frees everything
        asked += [lambda: pinned(PLAIN, given), lambda: positions(PLAIN, given)]
    for ask in asked:
        with pytest.raises(ArgumentError, match="which is neither text nor function; give names or globs"):
            ask()


def test_weights_and_inputs_of_layers_by_any_text() -> None:
    study = study_of(PLAIN)
    for text, layers in (
        ("a[0]", {"a[0]"}),
        ("a[0].weight", {"a[0]"}),
        ("blocks.*.depthwise", {"blocks.0.depthwise", "blocks.1.depthwise"}),
        ("*.depthwise.weight", {"blocks.0.depthwise", "blocks.1.depthwise"}),
        ("depthwise", {"blocks.0.depthwise", "blocks.1.depthwise"}),
        (is_depthwise, {"blocks.0.depthwise", "blocks.1.depthwise"}),
        (lambda node: node.name == "q.input", {"q", "k"}),
        (["w", "stem"], {"w", "stem"}),
    ):
        study.pin(text, weight=4, activation=(5, 6))
        weights = {PLAIN.find(layer if layer == "w" else f"{layer}.weight").name for layer in layers}
        inputs = {PLAIN.find(f"{layer}.input").name for layer in layers}
        assert study.pins == {**dict.fromkeys(weights, 4), **dict.fromkeys(inputs, (5, 6))}
        study.unpin()
    study.pin("matmul", activation=3)
    study.pin("shared", activation=3)
    assert set(study.pins) == {"matmul.input", "matmul.other", "shared.input", "relu.output"}
    with pytest.raises(UnknownNameError, match="no layer with weights to quantize 'matmul'"):
        study.pin("matmul", weight=3)


class WithLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.add_module("a[0]", nn.LSTM(4, 4, batch_first=True))
        self.a0, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.a0(self.get_submodule("a[0]")(x)[0]))


@pytest.mark.parametrize(("ignore", "left"), [("a[0]", 4), ("lstm", 4), ("a*", 2), ("a[[]*", 4)])
def test_what_cannot_be_quantized_is_ignored_by_the_same_texts(ignore: str, left: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workload = Workload.from_module(WithLstm(), torch.zeros(2, 3, 4), ignore=ignore)
    assert len(workload.nodes) == left
    assert "a[0]" in workload.to_frame("full_precision").index


def test_what_cannot_be_quantized_is_told_to_the_caller() -> None:
    with pytest.warns(NemoWarning, match="1 parts cannot be quantized") as caught:
        Workload.from_module(WithLstm(), torch.zeros(2, 3, 4))
    assert caught[0].filename == __file__


def test_a_problem_that_has_names_only() -> None:
    study = create_study(ToyProblem(), species=("continuous",), population=4)
    weights = tuple(i for i, name in enumerate(study.problem.node_names) if name.endswith(".weight"))
    for text in ("*.weight", "weight", lambda node: node.kind == "weight", lambda node: node.index % 2 == 1):
        assert study.positions(text) == weights
    assert study.positions("layer?") == tuple(range(6))
    assert study.positions("layer1") == study.positions(lambda node: node.name.startswith("layer1."))
    with pytest.raises(ArgumentError, match=r"has no attribute 'params'; .* which has index, name, kind"):
        study.positions(lambda node: node.params > 3)
    study.pin(lambda node: node.index < 2, weight=4)
    assert study.pins == {"layer0.weight": 4}


def test_names_of_a_problem_and_of_its_workload_mean_the_same_nodes() -> None:
    problem = WithWorkload(PLAIN)
    problem.node_names = tuple(f"n{i}" for i in range(problem.num_nodes))
    study = create_study(problem, species=("continuous",), population=4)
    assert study.positions("n15") == study.positions("shared.weight") == (15,)
    assert study.positions("shared") == (14, 15, 16)
    assert study.positions("n1?") == tuple(range(10, 20))
    assert study.positions("depthwise") == (3, 7)


def test_quantizers_are_found_by_any_of_their_names() -> None:
    node = TIED.find("a[0].weight")
    assert TIED.find("a0.weight") is node
    assert TIED.find_quantizer("a0.weight").source == "a0.weight"
    assert TIED.find_quantizer("a[0].weight").source == "a[0].weight"
    assert TIED.find_quantizer("k.input") is TIED.find_quantizer("q.input")
    with pytest.raises(UnknownNameError, match=r"no quantizer 'a0\.wieght'; did you mean 'a0\.weight'"):
        TIED.find_quantizer("a0.wieght")


def around(name: str) -> list[str]:
    """The name, and the modules that it is in."""
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


NAMED = {part for node in PLAIN.nodes for name in (node.name, *node.aliases) for part in around(name)}


@st.composite
def globs(draw: st.DrawFn) -> str:
    """What a node or module is called, with signs of globs in place of some of it."""
    text = draw(st.sampled_from(sorted(NAMED)))
    for _ in range(draw(st.integers(1, 3))):
        begin, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        signs = [*"*?[]", "[!a-f]", "[a-q]", f"[{text[begin:end]}]"]
        text = text[:begin] + draw(st.sampled_from(signs)) + text[end:]
    return text


@settings(max_examples=60, deadline=None)
@given(globs(), st.sampled_from([PLAIN, TIED]))
def test_globs_of_any_kind_mean_the_same_everywhere(text: str, workload: Workload) -> None:
    """By an own reading of the rule: names, and modules around them, that Python's fnmatch fits."""
    assume(text not in NAMED)
    names = {q.name: node.index for node in workload.nodes for q in node.quantizers}
    found = {place for name, place in names.items() if any(fnmatchcase(part, text) for part in around(name))}
    assume(found)
    assert positions(workload, text) == found
    assert costing(workload, text) == found
    assert pinned(workload, text) == found


@settings(max_examples=15, deadline=None)
@given(globs())
def test_globs_of_any_kind_are_ignored_as_they_are_selected(text: str) -> None:
    try:
        found = positions(PLAIN, text)
    except UnknownNameError:
        with pytest.raises(UnknownNameError):
            odd(ignore=text)
        return
    assume(len(found) < len(PLAIN.names))
    assert set(PLAIN.names) - set(odd(ignore=text).names) == {PLAIN.names[place] for place in found}
