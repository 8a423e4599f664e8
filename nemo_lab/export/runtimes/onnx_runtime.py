"""An ONNX file in ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nemo_lab.errors import VerificationError
from nemo_lab.export.extra import needed

CODES = "_codes"  # behind the name of a weight
INTEGER_OPERATIONS = ("QLinear", "MatMulInteger", "ConvInteger", "QGemm", "QAttention")


class Session:
    """A file that runs on the CPU, on one thread.

    Args:
        path: of the file.
        optimized: whether by default settings, or with all optimisations off.
        also: values of the graph that are given back, too, behind its outputs.

    Raises:
        VerificationError: if the runtime refuses it.
        ArgumentError: if ONNX Runtime is missing.
    """

    def __init__(self, path: Path, *, optimized: bool, also: Sequence[str] = ()) -> None:
        runtime, onnx = needed("onnxruntime", "onnx", purpose="to run ONNX")
        self.name, self.optimized = f"onnxruntime {runtime.__version__}", optimized
        self._path, options = path, runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        level = runtime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
        try:
            model = onnx.load(path)
            model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in also)
            with tempfile.TemporaryDirectory() as folder:
                options.optimized_model_filepath = f"{folder}/optimized.onnx"
                self._session: Any = runtime.InferenceSession(
                    model.SerializeToString(), options, providers=["CPUExecutionProvider"]
                )
                arranged = onnx.load(options.optimized_model_filepath)
        except Exception as error:  # damaged, of another kind, or with an operation that it does not know
            raise VerificationError(
                f"{path.name} does not run in {self.name}: {str(error).strip().partition(chr(10))[0]}",
                "write it again, and read it with the runtime it was verified with",
            ) from error
        integers = (node for node in arranged.graph.node if node.op_type.startswith(INTEGER_OPERATIONS))
        self.layers: Sequence[str] = tuple(map(_called, integers))
        self._inputs = [one.name for one in self._session.get_inputs()]

    def run(self, inputs: Sequence[Tensor]) -> list[NDArray[Any]]:
        """Outputs for a batch, and what else was asked for."""
        given = {
            name: np.ascontiguousarray(tensor.cpu().numpy())
            for name, tensor in zip(self._inputs, inputs, strict=True)
        }
        try:
            return list(self._session.run(None, given))
        except Exception as error:  # what it finds out only now
            reason = str(error).strip().partition("\n")[0]
            raise VerificationError(
                f"{self._path.name} does not run in {self.name}: {reason}", "write it with quantized_module"
            ) from error


def _called(node: Any) -> str:
    """The path of the weight that an operation reads, or its name if it reads none."""
    weights = (name.removesuffix(CODES) for name in node.input if name.endswith(CODES))
    return str(next(weights, node.name))
