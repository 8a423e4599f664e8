"""Whether ONNX Runtime survives a model: some operations end the process that runs them, with all in it."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from nemo_lab.errors import VerificationError
from nemo_lab.export.extra import needed

ONCE = """
import sys
import numpy
import onnxruntime

path, given = sys.argv[1:]
level = onnxruntime.GraphOptimizationLevel
for optimized in (level.ORT_DISABLE_ALL, level.ORT_ENABLE_ALL):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.graph_optimization_level = 1, optimized
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    batch = numpy.load(given)
    session.run(None, {one.name: batch[str(at)] for at, one in enumerate(session.get_inputs())})
"""
survived: set[str] = set()  # kinds of operations


def check_survives(model: bytes, called: str, inputs: Sequence[Tensor]) -> None:
    """Run a model once in a process of its own, unless operations of all its kinds have run here.

    Args:
        model: as bytes.
        called: what it is, for the error.
        inputs: a batch.

    Raises:
        VerificationError: if that process is ended; an error of Python's will come again here, and be told.
        ArgumentError: if ONNX Runtime is missing.
    """
    runtime, onnx = needed("onnxruntime", "onnx", purpose="to run ONNX")
    try:
        kinds = set(_kinds(onnx.load_model_from_string(model).graph))
    except Exception:  # damaged, of which the runtime will say what it can
        return
    if kinds <= survived or not sys.executable:
        return
    with tempfile.TemporaryDirectory(prefix="nemo_lab-", ignore_cleanup_errors=True) as folder:
        file, given = Path(folder, "model.onnx"), Path(folder, "batch.npz")
        file.write_bytes(model)
        np.savez(given, **{str(at): tensor.cpu().numpy() for at, tensor in enumerate(inputs)})  # type: ignore[arg-type]
        command = [sys.executable, "-c", ONCE, str(file), str(given)]
        code = subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603  our own
    if code < 0 or code > 255:  # by a signal, or by an exception of Windows
        how = signal.Signals(-code).name if code < 0 else hex(code)
        raise VerificationError(
            f"onnxruntime {runtime.__version__} ends the process that runs {called}: {how}",
            "write that part of the network with other operations, or keep to quantized_module or save_torch",
        )
    if code == 0:
        survived.update(kinds)


def _kinds(graph: Any) -> Any:
    """Every kind of operation, those of the graphs inside, too."""
    for node in graph.node:
        yield f"{node.domain}.{node.op_type}"
        for one in node.attribute:
            for inner in (one.g, *one.graphs):
                yield from _kinds(inner)
