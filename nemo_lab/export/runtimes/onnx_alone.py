"""Whether ONNX Runtime survives a model: some operations end the process that runs them, with all in it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from nemo_lab.errors import VerificationError
from nemo_lab.export.extra import needed
from nemo_lab.interruption import LOOK_UP, check_interrupted

FAULTS = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")  # of a program, and not of who ends it
ONCE = Path(__file__).with_name("once.py")
survived: set[frozenset[str]] = set()  # kinds of operations in a model


def check_survives(model: bytes, called: str, inputs: Sequence[Tensor]) -> None:
    """Run a model once in a process of its own, unless one of the same kinds of operations has survived that.

    Where no process can be begun the model is not tried.

    Args:
        model: as bytes.
        called: what it is, for the error.
        inputs: a batch.

    Raises:
        VerificationError: if the runtime ends that process; an error of Python's is not looked at, since the
            model will raise it here.
        ArgumentError: if ONNX Runtime is missing.
        Interrupted: see ``check_interrupted``.
    """
    runtime, onnx = needed("onnxruntime", "onnx", purpose="to run ONNX")
    try:
        known = onnx.load_model_from_string(model)
        kinds = frozenset(one for part in (known.graph, *known.functions) for one in _kinds(part))
    except Exception:  # damaged, of which the runtime will say what it can
        return
    if kinds in survived or not sys.executable or getattr(sys, "frozen", False):
        return
    try:
        with tempfile.TemporaryDirectory(prefix="nemo_lab-", ignore_cleanup_errors=True) as folder:
            code = _tried(model, inputs, Path(folder))
    except OSError:  # no room, or no process to be had
        return
    fault = _fault(code)
    if fault:
        raise VerificationError(
            f"onnxruntime {runtime.__version__} ends the process that runs {called}: {fault}",
            "write that part of the network with other operations, or keep to quantized_module or save_torch",
        )
    if code == 0:
        survived.add(kinds)


def _tried(model: bytes, inputs: Sequence[Tensor], folder: Path) -> int:
    """What another process returns, or minus the signal that ended it."""
    file, given = folder / "model.onnx", folder / "batch.npz"
    file.write_bytes(model)
    np.savez(given, **{str(at): tensor.cpu().numpy() for at, tensor in enumerate(inputs)})  # type: ignore[arg-type]
    path = json.dumps([one for one in sys.path if one])
    command = [sys.executable, "-P", str(ONCE), str(file), str(given), path]
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing)  # noqa: S603  our own
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(LOOK_UP)
            check_interrupted()
    finally:
        process.kill()
        process.wait()


def _fault(code: int) -> str:
    """What ended a process, if a fault of the program did."""
    if code < 0:
        name = next((one.name for one in signal.Signals if one == -code), "")
        return name if name in FAULTS else ""
    return hex(code) if code >= 0xC0000000 else ""  # an exception of Windows


def _kinds(part: Any) -> Iterator[str]:
    """Every kind of operation of a graph or function, those of the graphs inside, too."""
    for node in part.node:
        yield f"{node.domain}.{node.op_type}"
        for one in node.attribute:
            for inner in (one.g, *one.graphs):
                yield from _kinds(inner)
