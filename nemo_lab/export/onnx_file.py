"""A configuration as an ONNX file, which is run before it is there."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from nemo_lab._version import __version__
from nemo_lab.arguments import File
from nemo_lab.errors import ArgumentError, DataError
from nemo_lab.export.extra import needed
from nemo_lab.export.grids import of_quantizers
from nemo_lab.export.network import configured
from nemo_lab.export.onnx_graph import onnx_model
from nemo_lab.export.placing import place, placing
from nemo_lab.export.verification import Verification, examples, verified
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.quantize.fingerprint import digest

KEY = "nemo_lab"  # of the metadata


def save_onnx(problem: Any, bits: Any, path: str | os.PathLike[str]) -> Verification:
    """Write a configuration as ONNX, for any runtime that knows quantized networks.

    Activations are rounded by pairs of ``QuantizeLinear`` and ``DequantizeLinear``, with a ``Clip`` between
    them where a width is narrower than a byte; weights are stored as integers, in half a byte up to 4 bits;
    biases as int32 where the problem has them so, else they are added behind their layers. Operator set 21;
    any number of examples at a time. The metadata hold all widths.

    The file is run before it is there, on the held-out examples if there are some: in ONNX Runtime,
    with its optimisations off and by default. One that computes anything else than was searched is not
    written. A file of that name is replaced, or left whole on failure.

    Args:
        problem: a ``QuantizationProblem``, best one with ``bias="int32"``: layers with other biases compute
            in floating point.
        bits: integers[Q], one width for all nodes, or name -> width as from ``study.config``.
        path: of the file, which ends in ``.onnx``.

    Raises:
        VerificationError: if the file computes something else; it names the first layer that does.
        ExportError: if an operation cannot be written.
        ArgumentError: if the problem is not a ``QuantizationProblem``, or the file cannot be written.
        BitWidthError, UnknownNameError: if the bits do not fit.

    The libraries for it come by ``pip install "nemo_lab[deploy]"``.
    """
    target = place(path, ".onnx")
    network, widths = configured(problem, bits)
    ir = needed("onnx_ir", purpose="to write ONNX")
    task = examples(problem)
    model = onnx_model(network, of_quantizers(network.workload, widths), task.batches[0][0])
    model.producer_name, model.producer_version = "nemo_lab", __version__
    model.metadata_props.clear()
    model.metadata_props[KEY] = json.dumps(_record(problem, widths))
    with placing(target) as (made,):
        ir.save(model, made)
        found = verified(made, configured(problem, bits)[0], task)
    return dataclasses.replace(found, path=target)


def verify(path: str | os.PathLike[str], problem: Any) -> Verification:
    """Run a file of ``save_onnx`` again, and hold it against the problem it was written from.

    Args:
        path: of the file.
        problem: a ``QuantizationProblem`` with the same network, calibration and settings.

    Raises:
        VerificationError: if it computes something else, or does not run.
        DataError: if ``save_onnx`` did not write it, or wrote it of another network.
        ArgumentError: if there is no such file, or the problem is not a ``QuantizationProblem``.
    """
    source = Path(File().check("path", path))
    record = _read(source)
    known = isinstance(problem, QuantizationProblem) and set(record["bits"]) != set(problem.node_names)
    network, widths = configured(problem, problem.bit_widths[-1] if known else record["bits"])
    if record["digest"] != _record(problem, widths)["digest"]:
        raise DataError(
            f"{source.name} was written from another network or other settings than {problem.title}",
            "give the problem that it was written from",
        )
    return verified(source, network, examples(problem))


def _record(problem: QuantizationProblem, widths: dict[str, int]) -> dict[str, Any]:
    """What the metadata say."""
    known = problem.fingerprint()
    return {
        "version": __version__,
        "workload": problem.workload.name,
        "bits": widths,
        "digest": digest([known["workload"], known["settings"], *sorted(widths.items())]),
    }


def _read(path: Path) -> dict[str, Any]:
    onnx = needed("onnx", purpose="to read ONNX")
    try:
        model = onnx.load(path)
    except OSError as error:
        raise ArgumentError(
            f"cannot read {str(path)!r}: {error.strerror}", "give a file that exists"
        ) from error
    except Exception as error:  # whatever a damaged file makes of it
        raise DataError(f"{path.name} is damaged, or not an ONNX file", "write it again") from error
    texts = {one.key: one.value for one in model.metadata_props}
    try:
        record = json.loads(texts[KEY])
        if isinstance(record["bits"], dict) and isinstance(record["digest"], str):
            return dict(record)
    except (KeyError, ValueError, TypeError):
        pass
    raise DataError(f"{path.name} does not say which widths it has", "give a file that save_onnx wrote")
