"""A configuration as AIMET reads it: a network in floating point, and the encodings of its tensors."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab._version import __version__
from nemo_lab.errors import ExportError
from nemo_lab.export.codes import spread
from nemo_lab.export.extra import needed
from nemo_lab.export.grids import Grid, grids
from nemo_lab.export.metadata import unseen
from nemo_lab.export.named_graph import named_model
from nemo_lab.export.network import configured
from nemo_lab.export.placing import place, placing
from nemo_lab.export.quant_nodes import add_quant, save_defined
from nemo_lab.export.verification import Verification, verified
from nemo_lab.quantize.network import QuantizedNetwork

VERSION, ENDING = "1.0.0", ".encodings"
SECTIONS = {"activation": "activation_encodings", "weight": "param_encodings"}


def save_encodings(problem: Any, bits: Any, path: str | os.PathLike[str]) -> Verification:
    """Write a configuration as AIMET encodings: ``net.onnx`` in floating point, and ``net.encodings``.

    The encodings are JSON of schema 1.0.0, by the names of the tensors in the ONNX file: a weight is called
    by its path, an activation like its node, an input of the network by its own name. Weights are in full
    precision, biases as the problem has them at these widths.

    A symmetric range of AIMET has one integer more than ours, the lowest. So that no number is rounded to it,
    activations with such a range have a ``Clip`` at our lowest, and so have weights.

    Both files are read again and run together in ONNX Runtime, with its optimisations off, on the held-out
    examples if there are some. Where that computes anything else than was searched, nothing is written; files
    of these names are replaced, or left whole on failure.

    Args:
        problem: a ``QuantizationProblem``, or a ``TunedNetwork``.
        bits: integers[Q], one width for all nodes, or name -> width as from ``study.config``; of a
            ``TunedNetwork`` its own, or None.
        path: of the ONNX file, which ends in ``.onnx``; the other is called alike.

    Raises:
        VerificationError: if the files say something else; it names the first layer that does.
        ExportError: if an operation cannot be written, or scales lie along two axes.
        ArgumentError: if the problem is neither, or a file cannot be written.
        BitWidthError, UnknownNameError: if the bits do not fit.

    The libraries for it come by ``pip install "nemo_lab[deploy]"``; AIMET itself is not needed.
    """
    target = place(path, ".onnx")
    network, widths = configured(problem, bits)
    ir = needed("onnx_ir", purpose="to write ONNX")
    task, of_all = unseen(problem), grids(network, widths)
    weights = _weights(network, of_all)
    model, tensors = named_model(network, of_all, weights, task.batches[0][0], clips=True)
    record = _record(tensors)
    with placing(target.with_suffix(ENDING), target) as (encodings, made):
        ir.save(model, made)
        encodings.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        again, tried = ir.load(made), made.parent / "tried" / made.name
        add_quant(again, _read(encodings, tensors))
        save_defined(again, tried)
        found = verified(tried, configured(problem, bits)[0], task, optimized=(False,))
    return dataclasses.replace(found, path=target, bytes=target.stat().st_size)


def _weights(network: QuantizedNetwork, of_all: Mapping[str, Grid]) -> dict[str, NDArray[np.float32]]:
    """In full precision, but for what AIMET would round to an integer that is not in a symmetric range."""
    found = {}
    for name, full in network.weights.full.items():
        values, grid = full.cpu().numpy(), of_all[name]
        if grid.narrow:
            scales, lows, highs = (
                spread(part, values.shape) for part in (grid.scales, grid.lows, grid.highs)
            )
            codes = np.rint(values / scales)
            values = np.where(codes < lows, lows * scales, np.where(codes > highs, highs * scales, values))
        found[name] = values
    return found


def _record(tensors: Mapping[str, Grid]) -> dict[str, Any]:
    """What the JSON file says."""
    record: dict[str, Any] = {"version": VERSION, **{section: [] for section in SECTIONS.values()}}
    record["producer"] = {"package": "nemo_lab", "version": __version__}
    for tensor, grid in tensors.items():
        axes = [axis for axis, count in enumerate(grid.scales.shape) if count > 1]
        if len(axes) > 1:
            raise ExportError(
                f"{grid.name} has scales along {len(axes)} axes, and AIMET encodings along one at most",
                "search with per_channel=False, or use save_onnx",
            )
        lowest = np.full_like(grid.lows, -(2 ** (grid.bits - 1))) if grid.symmetric else grid.lows
        record[SECTIONS[grid.kind]].append(
            {
                "name": tensor,
                "enc_type": "PER_CHANNEL" if grid.scales.size > 1 else "PER_TENSOR",
                "dtype": "INT",
                "bw": grid.bits,
                "is_sym": grid.symmetric,
                "scale": grid.scales.reshape(-1).tolist(),
                "offset": lowest.reshape(-1).astype(int).tolist(),
            }
        )
    return record


def _read(path: Path, tensors: Mapping[str, Grid]) -> dict[str, Grid]:
    """What a JSON file says of each tensor, as AIMET understands it."""
    record, found = json.loads(path.read_text(encoding="utf-8")), {}
    for one in (one for section in SECTIONS.values() for one in record[section]):
        written = tensors[one["name"]]
        scales, lows = (
            np.array(one[of], dtype=np.float32).reshape(written.scales.shape) for of in ("scale", "offset")
        )
        highs = lows + 2 ** one["bw"] - 1
        found[one["name"]] = Grid(written.name, written.kind, one["bw"], scales, lows, highs)
    return found
