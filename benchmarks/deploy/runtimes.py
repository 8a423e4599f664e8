"""What other tools make of exported files: ``python -m benchmarks.deploy.runtimes``."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import logging
import platform
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nemo_lab as nl
from nemo_lab.export import load_bits, save_encodings, save_onnx, save_qonnx

RESULTS = Path(__file__).parent / "RUNTIMES.md"
PACKAGES = ("aimet-onnx", "qonnx", "openvino", "onnx", "onnxruntime", "torch")
NETWORKS, UNIFORM, MOST = ("fashion", "digits"), (4, 8), 8
SETTINGS: dict[str, dict[str, Any]] = {
    "per tensor": {},
    "per channel": {"per_channel": True},
    "symmetric, per channel": {"symmetric": True, "per_channel": True},
}
ABOUT = """Every file is loaded by the tool's own loader and computes all held-out examples. *Agree* is the
share of predictions that are those of the search, *differs* the largest difference of two outputs as a share
of the range of all: a number on the border of two integers may be rounded the other way. AIMET: nodes whose
encoding is in a quantizer that is on, and whether others are; *back*: `load_bits` gives the same widths from
the file, and from what AIMET exports again as 1.0.0 and 0.6.1. QONNX: operations `Quant`. OpenVINO:
convolutions and products that it computes with integers. Mixed: a width of 2 to 8 for every node, drawn with
seed 0. Biases are int32."""


@dataclass(frozen=True)
class Found:
    """What a tool made of a file.

    Attributes:
        agreement: share of predictions that are those of the search.
        difference: the largest between two outputs, as a share of the range of all.
        note: what else there is to say.
    """

    agreement: float
    difference: float
    note: str


def in_aimet(problem: nl.QuantizationProblem, bits: Sequence[int], folder: Path) -> Found:
    """Encodings, loaded into AIMET's simulation, and what it exports, read again."""
    import onnx
    from aimet_onnx.quantsim import QuantizationSimModel, load_encodings_to_sim

    path = folder / "net.onnx"
    save_encodings(problem, bits, path)
    said = json.loads(path.with_suffix(".encodings").read_text())
    names = {one["name"] for part in ("param", "activation") for one in said[f"{part}_encodings"]}
    simulation = QuantizationSimModel(onnx.load(path))
    load_encodings_to_sim(simulation, str(path.with_suffix(".encodings")), strict=False)
    on = {name for name, one in simulation.qc_quantize_op_dict.items() if one.enabled}
    back = [path.with_suffix(".encodings")]
    for version in ("1.0.0", "0.6.1"):
        simulation.export(str(folder), f"back{version}", export_model=False, encoding_version=version)
        back.append(folder / f"back{version}.encodings")
    same = all(load_bits(one, problem).tolist() == list(bits) for one in back)
    only = "" if on <= names else f", {len(on - names)} others"
    note = f"{len(on & names)} of {problem.num_nodes}{only}; {'back' if same else 'not back'}"
    return _found(problem, bits, lambda x: simulation.session.run(None, {input_of(simulation): x})[0], note)


def input_of(simulation: Any) -> str:
    """What the input of a simulated network is called."""
    return str(simulation.session.get_inputs()[0].name)


def in_qonnx(problem: nl.QuantizationProblem, bits: Sequence[int], folder: Path) -> Found:
    """QONNX, in the executor of its own library."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    path = folder / "net.onnx"
    save_qonnx(problem, bits, path)
    models: dict[int, Any] = {}

    def run(x: Any) -> Any:
        if len(x) not in models:
            models[len(x)] = cleanup_model(ModelWrapper(str(path)), override_inpsize=len(x))
        (given,), (out,) = models[len(x)].graph.input, models[len(x)].graph.output
        return execute_onnx(models[len(x)], {given.name: x})[out.name]

    model = ModelWrapper(str(path))
    quants = [node for node in model.graph.node if node.op_type == "Quant"]
    without = sum(not model.get_initializer(node.input[2]).any() for node in quants)
    return _found(problem, bits, run, f"{len(quants)} Quant, {without} with zero point 0")


def in_openvino(problem: nl.QuantizationProblem, bits: Sequence[int], folder: Path) -> Found:
    """Q/DQ, in OpenVINO, as ``save_onnx`` runs it."""
    found = save_onnx(problem, bits, folder / "net.onnx").runs[-1]
    if not found.runtime.startswith("openvino"):
        raise RuntimeError("openvino did not run the file")
    return Found(found.agreement, found.difference, f"{found.integers} in integers")


TOOLS: dict[str, Callable[[nl.QuantizationProblem, Sequence[int], Path], Found]] = {
    "aimet-onnx": in_aimet,
    "qonnx": in_qonnx,
    "openvino": in_openvino,
}


def _found(
    problem: nl.QuantizationProblem, bits: Sequence[int], run: Callable[[Any], Any], note: str
) -> Found:
    network = problem.network()
    network.set_bits(bits)
    shipped = problem.workload.data
    task = problem.task(problem.held_out if shipped is None else shipped.held_out)
    pairs = [
        (network(inputs, place).cpu().numpy(), run(np.ascontiguousarray(inputs[0].cpu().numpy())))
        for place, (inputs, _, _) in enumerate(task.batches)
    ]
    wanted, got = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    agreement = float(np.mean(wanted.argmax(-1) == got.argmax(-1)))
    return Found(agreement, float(np.abs(wanted - got).max() / np.ptp(wanted)), note)


def configurations(problem: nl.QuantizationProblem) -> Iterator[tuple[str, list[int]]]:
    """Uniform widths, and a mixed one."""
    for width in UNIFORM:
        yield f"{width} bits", [width] * problem.num_nodes
    drawn = np.random.default_rng(0).integers(2, MOST + 1, problem.num_nodes)
    yield "mixed", [int(width) for width in drawn]


def rows(networks: Sequence[str]) -> Iterator[str]:
    """The lines of the table."""
    for name in networks:
        for called, settings in SETTINGS.items():
            problem = nl.QuantizationProblem(nl.load_workload(name), bias="int32", **settings)
            for configuration, bits in configurations(problem):
                cells = []
                for tool in TOOLS.values():
                    with tempfile.TemporaryDirectory() as folder:
                        one = tool(problem, bits, Path(folder))
                    cells += [f"{100 * one.agreement:.2f} %", f"{one.difference:.0e}", one.note]
                yield f"| {name} | {called} | {configuration} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deploy.runtimes", description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    lines = []
    for line in rows(options.networks):
        lines.append(line)
        print(line, flush=True)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    head = "| network | scales | configuration |" + "".join(
        f" {tool}: agree | differs | |" for tool in ("AIMET", "QONNX", "OpenVINO")
    )
    page = [
        "# What other tools make of the files",
        f"`OMP_NUM_THREADS=1 .venv-runtimes/bin/python -m benchmarks.deploy.runtimes`, "
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}. `make test-runtimes` sets the environment up.",
        ABOUT,
        "\n".join([head, "|" + "---|" * 12, *lines]),
        "",
    ]
    options.output.write_text("\n\n".join(page).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
