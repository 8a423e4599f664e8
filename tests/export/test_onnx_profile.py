"""A model that is timed: every kernel of every run that counts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from onnx import TensorProto, helper

from nemo_lab.errors import ExportError
from nemo_lab.export.runtimes.onnx_profile import TimedSession


def model(kind: str = "Relu") -> bytes:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in "xy")
    nodes = [
        helper.make_node("Softmax", ["x"], ["a"], "first"),
        helper.make_node(kind, ["a"], ["y"], "second"),
    ]
    made = helper.make_model(helper.make_graph(nodes, "graph", [x], [y]))
    made.ir_version, made.opset_import[0].version = 10, 21
    return bytes(made.SerializeToString())


def test_kernels_of_the_runs_that_count(tmp_path: Path) -> None:
    session = TimedSession(model(), "it", 1, [torch.randn(5, 3)], f"{tmp_path}/profile")
    session.run(2)
    session.run(3, warm_up=2)
    assert len(session.times) == 5
    first, second = session.kernels()
    assert [first.operation.name, second.operation.name] == ["first", "second"]
    assert first.times.shape == second.times.shape == (5,)
    assert (first.times > 0).all()
    assert first.kind != second.kind
    assert '"Softmax"' in first.kind
    assert "[3, 5]" in first.kind


def test_without_a_profile_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session = TimedSession(model(), "it", 2, [torch.randn(5, 3)])
    session.run(4)
    assert len(session.times) == 4
    assert not list(tmp_path.iterdir())


def test_what_does_not_run() -> None:
    with pytest.raises(ExportError, match=r"the network at 2 bits does not run in onnxruntime .*NoSuchThing"):
        TimedSession(model("NoSuchThing"), "the network at 2 bits", 1, [torch.randn(5, 3)])
    session = TimedSession(model(), "it", 1, [torch.randn(5, 4)])
    with pytest.raises(ExportError, match="it does not run in onnxruntime"):
        session.run(1)
