"""Every argument of every public function, given what it cannot be: an error of ours, or a right answer."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nemo_lab as nl
from nemo_lab import export
from nemo_lab.search import SearchOptions
from tests.toy import ToyProblem


class Spiteful:
    """Raises whatever it is asked."""

    def __index__(self) -> int:
        raise RuntimeError("no index")

    def __float__(self) -> float:
        raise RuntimeError("no float")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        raise RuntimeError("no text")


BAD: dict[str, Any] = {
    "none": None,
    "a text": "no such thing",
    "an empty text": "",
    "a lone surrogate": "\ud800",
    "a zero byte": "a\0b",
    "bytes": b"x",
    "NaN": float("nan"),
    "infinity": float("inf"),
    "below zero": -1,
    "a fraction": 2.5,
    "a huge number": 10**400,
    "more digits than Python prints": 10**5000,
    "a boolean": True,
    "a complex number": 1j,
    "an empty list": [],
    "an empty mapping": {},
    "nested lists": [[[]]],
    "rows of two lengths": [[1], [1, 2]],
    "a list of None": [None],
    "a list of texts": ["no such thing"],
    "a mapping": {"no such thing": object()},
    "a mapping of numbers": {3: 4},
    "a set": {1.5},
    "an array": np.array([[1.5]]),
    "an array of text": np.array("x"),
    "a tensor": torch.tensor([1.0, 2.0]),
    "a class": int,
    "an object": object(),
    "a spiteful object": Spiteful(),
}


@dataclass(frozen=True)
class Call:
    """A public callable with arguments that work, and the parameters that may be whatever they like."""

    name: str
    make: Callable[[], Callable[..., Any]]
    good: Callable[[], dict[str, Any]] = dict


def small() -> nl.Workload:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    return nl.Workload.from_module(net, torch.zeros(1, 1, 6, 6))


IMAGES, LABELS = torch.zeros(4, 1, 6, 6), torch.arange(4)
WORKLOAD = small()
PROBLEM = nl.QuantizationProblem(WORKLOAD, IMAGES, (IMAGES, LABELS))


def study(problem: ToyProblem | None = None) -> nl.Study:
    problem = problem or ToyProblem()
    made = nl.create_study(problem, population=8, min_size=2, species=("continuous", "floor"))
    return made.optimize(4, progress=False)


def stored() -> dict[str, Any]:
    nl.create_study(ToyProblem(), storage="run.sqlite").close()
    return {"path": "run.sqlite", "problem": ToyProblem()}


def saved() -> dict[str, Any]:
    export.save_front(study(), "front.json")
    return {"path": "front.json", "problem": ToyProblem()}


def written() -> dict[str, Any]:
    made = study()
    export.save_json(made, 0, "config.json")
    return {"path": "config.json", "problem": ToyProblem()}


@functools.cache
def onnx_bytes() -> bytes:
    export.save_onnx(PROBLEM, 8, "net.onnx")
    return Path("net.onnx").read_bytes()


def exported() -> dict[str, Any]:
    Path("net.onnx").write_bytes(onnx_bytes())
    return {"path": "net.onnx", "problem": PROBLEM}


def packed() -> dict[str, Any]:
    return {"path": export.save_packed(PROBLEM, 8, "net.safetensors"), "workload": WORKLOAD}


@functools.cache
def tuned() -> nl.TunedNetwork:
    return nl.correct_bias(PROBLEM, 8)


@functools.cache
def searched() -> nl.Study:
    return nl.create_study(PROBLEM, population=8, min_size=2).optimize(2, progress=False)


def kept() -> dict[str, Any]:
    return {"path": tuned().save("tuned.pt"), "problem": PROBLEM}


def methods(name: str, make: Callable[[], Any], **good: Any) -> Iterator[Call]:
    """Every public method of an object that takes an argument."""
    kind = make if isinstance(make, type) else type(make())
    for attribute, found in inspect.getmembers(kind, callable):
        if not attribute.startswith("_") and inspect.signature(found).parameters.keys() - {"self"}:
            yield Call(
                f"{name}.{attribute}",
                lambda attribute=attribute: getattr(make(), attribute),  # type: ignore[misc]
                good.get(attribute, dict),
            )


def table() -> dict[str, Any]:
    return {"name": "energy", "table": {name: {8: 1.0} for name in WORKLOAD.names}}


def neighbours() -> dict[str, Any]:
    return {"bits": [8] * 4, "widths": [4, 8]}


def quantizer() -> dict[str, Any]:
    return {"name": "0.input", "bits": 8}


def named() -> dict[str, Any]:
    return {"name": "floor"}


def shared() -> dict[str, Any]:
    return {**named(), "part": 0.5}


@functools.cache
def steered() -> nl.Study:
    """One study for all values of a parameter; 64 configurations in all, so that no run is a long one."""
    return study(ToyProblem(bit_widths=(4, 8)))


def bounds() -> dict[str, Any]:
    return {"widths": (2, 8)}


def widths() -> dict[str, Any]:
    return {"bits": [8] * 4}


def error() -> dict[str, Any]:
    return {"bits": [8] * 4, "data": (IMAGES, LABELS)}


CALLS = [
    Call("load_workload", lambda: nl.load_workload, lambda: {"name": "digits"}),
    Call(
        "Workload.from_module",
        lambda: nl.Workload.from_module,
        lambda: {"module": nn.Linear(2, 2), "example_input": torch.zeros(1, 2)},
    ),
    Call("CostModel", lambda: nl.CostModel, lambda: {"workload": WORKLOAD}),
    Call("QuantizationConfig", lambda: nl.QuantizationConfig),
    Call(
        "QuantizationProblem",
        lambda: nl.QuantizationProblem,
        lambda: {"workload": WORKLOAD, "calibration": IMAGES, "data": (IMAGES, LABELS)},
    ),
    Call("check", lambda: nl.check, lambda: {"subject": WORKLOAD}),
    Call("SearchOptions", lambda: SearchOptions),
    Call("create_study", lambda: nl.create_study, lambda: {"problem": ToyProblem()}),
    Call("load_study", lambda: nl.load_study, stored),
    Call("compare", lambda: nl.compare, lambda: {"studies": [study()]}),
    Call("front_to_dict", lambda: export.front_to_dict, lambda: {"study": study()}),
    Call("save_front", lambda: export.save_front, lambda: {"study": study(), "path": "front.json"}),
    Call("load_front", lambda: export.load_front, saved),
    Call("to_dict", lambda: export.to_dict, lambda: {"study": study(), "config_id": 0}),
    Call(
        "save_json", lambda: export.save_json, lambda: {"study": study(), "config_id": 0, "path": "one.json"}
    ),
    Call(
        "save_bits", lambda: export.save_bits, lambda: {"study": study(), "config_id": 0, "path": "one.csv"}
    ),
    Call("load_bits", lambda: export.load_bits, written),
    Call("quantized_module", lambda: export.quantized_module, lambda: {"problem": PROBLEM, "bits": 8}),
    Call("save_onnx", lambda: export.save_onnx, lambda: {"problem": PROBLEM, "bits": 8, "path": "net.onnx"}),
    Call("verify", lambda: export.verify, exported),
    Call("measure_latency", lambda: export.measure_latency, lambda: {"problem": PROBLEM, "runs": 5}),
    Call(
        "save_packed",
        lambda: export.save_packed,
        lambda: {"problem": PROBLEM, "bits": 8, "path": "net.safetensors"},
    ),
    Call(
        "deploy", lambda: export.deploy, lambda: {"study": searched(), "config_id": 0, "folder": "deployed"}
    ),
    Call("load_packed", lambda: export.load_packed, packed),
    Call("save_torch", lambda: export.save_torch, lambda: {"problem": PROBLEM, "bits": 8, "path": "net.pt2"}),
    Call(
        "save_encodings",
        lambda: export.save_encodings,
        lambda: {"problem": PROBLEM, "bits": 8, "path": "net.onnx"},
    ),
    Call(
        "save_qonnx", lambda: export.save_qonnx, lambda: {"problem": PROBLEM, "bits": 8, "path": "net.onnx"}
    ),
    *methods(
        "Study",
        steered,
        reseed=lambda: {"species": "floor"},
        share=shared,
        freeze=named,
        remove_species=named,
        save_as=lambda: {"path": "saved.sqlite"},
        enqueue=lambda: {"bits": 4},
        note_files=lambda: {"config_id": 0, "files": {"net.onnx": 1}},
    ),
    *methods(
        "CostModel", lambda: nl.CostModel(WORKLOAD), with_table=table, neighbours=neighbours, bounds=bounds
    ),
    Call(
        "finetune",
        lambda: nl.finetune,
        lambda: {"problem": PROBLEM, "bits": 4, "steps": 1, "progress": False},
    ),
    Call("correct_bias", lambda: nl.correct_bias, lambda: {"problem": PROBLEM, "bits": 4}),
    *methods(
        "TunedNetwork",
        tuned,
        error=lambda: {"data": (IMAGES, LABELS)},
        save=lambda: {"path": "tuned.pt"},
        load=kept,
    ),
    *methods("QuantizationProblem", lambda: PROBLEM, quantizer=quantizer, error=error, error_with=widths),
]


def outcome(call: Call, parameter: str, value: Any) -> BaseException | None:
    """What is raised other than an error of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nl.NemoWarning)
        try:
            function = call.make()
            good = call.good()
            kinds = inspect.signature(function).parameters[parameter].kind
            if kinds is inspect.Parameter.VAR_POSITIONAL:
                function(value)
            elif kinds is inspect.Parameter.VAR_KEYWORD:
                function(**good, no_such_thing=value)
            else:
                function(**{**good, parameter: value})
        except nl.NemoError:
            return None
        except Exception as error:
            return error
    return None


def cases() -> Iterator[Any]:
    for call in CALLS:
        for parameter in inspect.signature(call.make()).parameters:
            yield pytest.param(call, parameter, id=f"{call.name}({parameter})")


LATER = {  # what a metric of one's own raises is its own
    "QuantizationProblem(metric)": ("a class",),
    "QuantizationProblem.error(metric)": ("a class",),
}


@pytest.mark.parametrize(("call", "parameter"), list(cases()))
def test_a_bad_argument_is_refused_by_an_error_of_ours(
    call: Call, parameter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    steered.cache_clear()
    known = LATER.get(f"{call.name}({parameter})", ())
    found = {name: outcome(call, parameter, value) for name, value in BAD.items() if name not in known}
    steered().stop()
    assert {name: repr(error) for name, error in found.items() if error is not None} == {}


def test_every_public_name_is_walked_or_needs_no_walk() -> None:
    walked = {call.name.split(".")[0] for call in CALLS}
    assert set(nl.__all__) - walked == {"Dashboard", "check_interrupted", "NemoError", "NemoWarning"}
    assert set(export.__all__) <= walked
