"""An ONNX file in OpenVINO."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nemo_lab.errors import VerificationError
from nemo_lab.export.extra import needed

PRODUCTS = ("Convolution", "Deconvolution", "FullyConnected", "MatMul")  # as OpenVINO calls them
INTEGERS = ("i8", "u8", "i4", "u4")


def is_there() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


class OpenVinoSession:
    """A file that runs on the CPU, on one thread, by default settings, with float32 beside integers.

    Attributes:
        name: of the runtime, with its version.
        optimized: True, since it has no other settings.
        layers: names of convolutions and products of matrices that read integers.

    Args:
        path: of the file.
        also: values of the graph that are given back, too, behind its outputs.

    Raises:
        VerificationError: if the runtime refuses it.
        ArgumentError: if OpenVINO does not load.
    """

    def __init__(self, path: Path, *, also: Sequence[str] = ()) -> None:
        runtime = needed(
            "openvino", purpose="to run a file in it", way="install openvino again, or uninstall it"
        )
        self.name, self.optimized = f"openvino {runtime.__version__.partition('-')[0]}", True
        self._path, core = path, runtime.Core()
        settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        try:
            model = core.read_model(str(path))
            if also:
                model.add_outputs(list(also))
            self._compiled: Any = core.compile_model(model, "CPU", settings)
        except Exception as error:  # damaged, or with an operation that it does not know
            raise VerificationError(*self._refused(error)) from error
        operations = self._compiled.get_runtime_model().get_ops()
        told = ((one.get_friendly_name(), one.get_rt_info()) for one in operations)
        self.layers: Sequence[str] = tuple(
            str(name)
            for name, one in told
            if _said(one, "layerType") in PRODUCTS and _said(one, "runtimePrecision") in INTEGERS
        )

    def run(self, inputs: Sequence[Tensor]) -> list[NDArray[Any]]:
        """Outputs for a batch, and what else was asked for."""
        try:
            found = self._compiled([np.ascontiguousarray(tensor.cpu().numpy()) for tensor in inputs])
        except Exception as error:  # what it finds out only now
            raise VerificationError(*self._refused(error)) from error
        return [np.array(found[place]) for place in range(len(self._compiled.outputs))]

    def _refused(self, error: Exception) -> tuple[str, str]:
        reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), "").strip()
        return (
            f"{self._path.name} does not run in {self.name}: {reason}",
            "write it where openvino is not installed, for ONNX Runtime alone",
        )


def _said(operation: Any, key: str) -> str:
    return str(operation[key].value) if key in operation else ""
