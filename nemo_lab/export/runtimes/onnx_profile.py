"""How long ONNX Runtime takes: for a whole run, and by its own profiler for each kernel in it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nemo_lab.errors import ExportError
from nemo_lab.export.extra import needed
from nemo_lab.export.runtimes.onnx_alone import check_survives
from nemo_lab.interruption import check_interrupted

WITHIN = 0.5  # the profiler gives whole microseconds, cut off


@dataclass(frozen=True, eq=False)
class Kernel:
    """What the runtime executes as one operation.

    Attributes:
        operation: of the graph as the runtime has arranged it, an ``onnx.NodeProto``.
        kind: its operation, with the types and lengths of what it reads and gives; axes in any order.
        times: float64[runs], in milliseconds.
    """

    operation: Any
    kind: str
    times: NDArray[np.float64]


class TimedSession:
    """A model that runs on the CPU by default settings, and is timed.

    Args:
        model: as bytes.
        called: what it is, for errors.
        threads: of the runtime.
        inputs: a batch.
        profile: where the profiler may write, as the beginning of a path; without it there is none.

    Attributes:
        times: of every run that counts, in milliseconds.

    Raises:
        ExportError: if the runtime refuses it.
        ArgumentError: if ONNX Runtime is missing.
    """

    def __init__(
        self, model: bytes, called: str, threads: int, inputs: Sequence[Tensor], profile: str | None = None
    ) -> None:
        runtime, self._onnx = needed("onnxruntime", "onnx", purpose="to run ONNX")
        check_survives(model, called, inputs)
        self.name, self._called, options = (
            f"onnxruntime {runtime.__version__}",
            called,
            runtime.SessionOptions(),
        )
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        self._arranged = f"{profile}.onnx"
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, profile
            options.optimized_model_filepath = self._arranged
        self.times: list[float] = []
        self._counts: list[bool] = []
        try:
            self._session: Any = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # such as an operation that it does not know
            raise self._refused(error) from error
        names = [one.name for one in self._session.get_inputs()]
        arrays = [np.ascontiguousarray(tensor.cpu().numpy()) for tensor in inputs]
        self._given = dict(zip(names, arrays, strict=True))

    def run(self, count: int, warm_up: int = 1) -> None:
        """Run it so many times, after some that do not count.

        Raises:
            ExportError: if it does not run.
            Interrupted: see ``check_interrupted``.
        """
        for number in range(warm_up + count):
            check_interrupted()
            begin = perf_counter()
            try:
                self._session.run(None, self._given)
            except Exception as error:  # what it finds out only now
                raise self._refused(error) from error
            end = perf_counter()
            self._counts.append(number >= warm_up)
            if number >= warm_up:
                self.times.append(1000 * (end - begin))

    def kernels(self) -> tuple[Kernel, ...]:
        """What the profiler has seen, in the order of execution; ends the profile."""
        events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        arranged = {one.name: one for one in self._onnx.load(self._arranged).graph.node}
        times, kinds = defaultdict[str, list[float]](list), dict[str, str]()
        for event in events:
            name = event["name"].removesuffix("_kernel_time")
            if event["cat"] != "Node" or name == event["name"] or name not in arranged:
                continue  # of the session, or in the body of another operation, which counts
            times[name].append((event["dur"] + WITHIN) / 1000)
            kinds[name] = _kind(**event["args"])
        counted = np.flatnonzero(self._counts)
        return tuple(
            Kernel(arranged[name], kinds[name], np.array(found)[counted]) for name, found in times.items()
        )

    def _refused(self, error: Exception) -> ExportError:
        reason = str(error).strip().partition("\n")[0][:300]
        return ExportError(
            f"{self._called} does not run in {self.name}: {reason}", "try another version of ONNX Runtime"
        )


def _kind(op_name: str, input_type_shape: Any, output_type_shape: Any, **_: Any) -> str:
    tensors = [
        [(kind, sorted(shape)) for tensor in tensors for kind, shape in tensor.items()]
        for tensors in (input_type_shape, output_type_shape)
    ]
    return json.dumps([op_name, *tensors])
