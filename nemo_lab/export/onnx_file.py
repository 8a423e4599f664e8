"""A configuration as an ONNX file, which is run before it is there."""

from __future__ import annotations

import dataclasses
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from nemo_lab.arguments import File, Flag
from nemo_lab.errors import ArgumentError, DataError, ExportError
from nemo_lab.export.extra import needed
from nemo_lab.export.grids import of_quantizers
from nemo_lab.export.metadata import KEY, network_of, read_record, record_of, unseen
from nemo_lab.export.network import configured
from nemo_lab.export.onnx_graph import in_float, onnx_model
from nemo_lab.export.placing import place, placing
from nemo_lab.export.torch_file import verify_torch
from nemo_lab.export.verification import Verification, verified
from nemo_lab.tuning import TunedNetwork

TIMED = Flag()


def save_onnx(problem: Any, bits: Any, path: str | os.PathLike[str], *, timed: bool = False) -> Verification:
    """Write a configuration as ONNX, for any runtime that knows quantized networks.

    Activations are rounded by pairs of ``QuantizeLinear`` and ``DequantizeLinear``, with a ``Clip`` between
    them where a width is narrower than a byte; weights are stored as integers, in half a byte up to 4 bits;
    biases as int32 where the problem has them so, else they are added behind their layers. Operator set 21;
    any number of examples at a time. The metadata hold all widths.

    The file is run before it is there, on the held-out examples if there are some: in ONNX Runtime,
    with its optimisations off and by default. One that computes anything else than was searched is not
    written. A file of that name is replaced, or left whole on failure.

    Args:
        problem: a ``QuantizationProblem``, or a ``TunedNetwork``; best one with ``bias="int32"``: layers with
            other biases compute in floating point.
        bits: integers[Q], one width for all nodes, or name -> width as from ``study.config``; of a
            ``TunedNetwork`` its own, or None.
        path: of the file, which ends in ``.onnx``.
        timed: also measure its time beside that of the network in float32, eight examples, one thread.

    Raises:
        VerificationError: if the file computes something else; it names the first layer that does.
        ExportError: if an operation cannot be written.
        ArgumentError: if the problem is neither, or the file cannot be written.
        BitWidthError, UnknownNameError: if the bits do not fit.

    The libraries for it come by ``pip install "nemo_lab[deploy]"``.
    """
    target, timed = place(path, ".onnx"), TIMED.check("timed", timed)
    network, widths = configured(problem, bits)
    ir = needed("onnx_ir", purpose="to write ONNX")
    task = unseen(problem)
    model = onnx_model(network, of_quantizers(network.workload, widths), task.batches[0][0])
    model.metadata_props[KEY] = json.dumps(record_of(problem, widths))
    with placing(target) as (made,):
        ir.save(model, made)
        full = _in_float(problem) if timed else None
        found = verified(made, configured(problem, bits)[0], task, full=full)
    return dataclasses.replace(found, path=target)


def verify(path: str | os.PathLike[str], problem: Any, *, timed: bool = False) -> Verification:
    """Run a file of ``save_onnx`` or ``save_torch`` again, and hold it against the problem it came from.

    Args:
        path: of the file.
        problem: a ``QuantizationProblem`` with the same network, calibration and settings, or the
            ``TunedNetwork`` that was written.
        timed: as ``save_onnx``; of ONNX alone.

    Raises:
        VerificationError: if it computes something else, or does not run.
        DataError: if neither wrote it, or it is of another network.
        ArgumentError: if there is no such file, or the problem is neither.
    """
    source, timed = Path(File().check("path", path)), TIMED.check("timed", timed)
    if source.is_file() and source.suffix.lower() not in (".onnx", ".pt2"):
        raise ArgumentError(
            f"verify reads .onnx and .pt2, and {source.name} is neither", "load_packed checks what it loads"
        )
    if source.suffix.lower() == ".pt2":
        if timed:
            raise ArgumentError(f"timed=True of {source.name}", "give an .onnx file, or leave it out")
        return verify_torch(source, problem)
    network = network_of(_read(source), source.name, problem)
    return verified(source, network, unseen(problem), full=_in_float(problem) if timed else None)


def _in_float(problem: Any) -> bytes | None:
    """The model in float32; None where torch cannot write it."""
    with suppress(ExportError):
        return in_float(problem.problem if isinstance(problem, TunedNetwork) else problem)
    return None


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
    return read_record(texts.get(KEY), path.name, "save_onnx")
