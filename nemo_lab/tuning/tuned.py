"""A configuration with numbers of its own: after fine-tuning, or with corrected biases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nemo_lab._torch import torch_threads
from nemo_lab.arguments import File, Flag, Instance
from nemo_lab.errors import DataError
from nemo_lab.exclusion import computing
from nemo_lab.fields import differing
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.quantize.affine import Affine
from nemo_lab.quantize.evaluation import Task, mean_errors
from nemo_lab.quantize.fingerprint import digest
from nemo_lab.quantize.folding import stored
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.tuning.files import read, written
from nemo_lab.workload.workload import Workload

PROBLEM = Instance(QuantizationProblem)
FIRST_FIELDS = {"ranges", "percentile", "per_channel", "symmetric", "fold", "bias", "group_size"}


@dataclass(frozen=True, eq=False)
class TunedNetwork:
    """A configuration of a problem with other weights, biases and scales than the network came with.

    It is measured as the configuration is, and ``nemo_lab.export`` takes it in place of the problem.

    Attributes:
        problem: whose configuration it is.
        bits: uint8[Q].
        method: how it came about, in words.
        steps: of training that are behind it.
        tensors: path in the network -> its numbers now, float32; what is not named is as it was.
        quantizers: name of each quantizer -> what it rounds by: one, or one for each run of a weight.
    """

    problem: QuantizationProblem
    bits: NDArray[np.uint8]
    method: str
    steps: int
    tensors: Mapping[str, Tensor]
    quantizers: Mapping[str, tuple[Affine, ...]]

    def __post_init__(self) -> None:
        bits = np.array(self.bits, dtype=np.uint8)
        bits.setflags(write=False)
        object.__setattr__(self, "bits", bits)

    def belongs_to(self, problem: Any) -> bool:
        """Whether it is of a problem that is the same in all that results depend on."""
        if self.problem is problem:
            return True
        same_kind = isinstance(problem, QuantizationProblem)
        return same_kind and bool(self.problem.fingerprint() == problem.fingerprint())

    def network(self) -> QuantizedNetwork:
        """A network of one's own with these numbers, set to the bits; see ``QuantizationProblem.network``."""
        network = self.problem.network()
        network.set_bits(None)
        for path, values in self.tensors.items():
            stored(network.graph, path).data.copy_(values)
        for node in network.workload.nodes:
            width = int(self.bits[node.index])
            for name in (one.name for one in node.quantizers if one.name in self.quantizers):
                if name in network.ranges:
                    network.ranges[name] = network.ranges[name].fixed(width, *self.quantizers[name])
                else:
                    network.weights.fix(name, width, self.quantizers[name])
        network.biases.forget()
        network.set_bits(self.bits)
        return network

    @property
    def workload(self) -> Workload:
        """Of the problem."""
        return self.problem.workload

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.problem.title} ({self.method})"

    @property
    def held_out(self) -> Any:
        """Of the problem."""
        return self.problem.held_out

    def task(self, data: Any = None) -> Task:
        """As ``QuantizationProblem.task``."""
        return self.problem.task(data)

    def fingerprint(self) -> dict[str, str]:
        """As ``QuantizationProblem.fingerprint``, with these numbers in the digest of the workload."""
        known = self.problem.fingerprint()
        numbers = [part for one in sorted(self.tensors.items()) for part in one]
        return {**known, "workload": digest([known["workload"], *numbers, *sorted(self.quantizers.items())])}

    def evaluate(self) -> NDArray[np.float64]:
        """All objectives, float64[K], as ``QuantizationProblem.evaluate`` gives them."""
        errors = self._errors(self.problem.task())
        return np.concatenate([errors, self.problem.costs(self.bits)[0]])

    def error(self, data: Any, metric: Any = None, *, count: bool = False) -> Any:
        """Task error on other data, such as a held-out split, as ``QuantizationProblem.error``.

        Args:
            data: as the problem's own.
            metric: one, as the problem's own; its first by default.
            count: return the number of examples, too.
        """
        counted, task = Flag().check("count", count), self.problem.task(data, metric)
        found = float(self._errors(task)[0])
        return (found, task.count) if counted else found

    def _errors(self, task: Task) -> NDArray[np.float64]:
        with computing(), torch_threads(self.problem.threads):
            return np.array(mean_errors(self.network(), task, [self.bits])[0])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Keep it in a file, for ``load``; one of that name is replaced, or left whole on failure.

        Raises:
            ArgumentError: if the file cannot be written.
        """
        record = {
            "problem": _digests(self.problem)[0],
            "bits": self.bits.tolist(),
            "method": self.method,
            "steps": self.steps,
            "tensors": dict(self.tensors),
            "quantizers": {name: [list(one) for one in found] for name, found in self.quantizers.items()},
        }
        return written(record, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], problem: QuantizationProblem) -> TunedNetwork:
        """What ``save`` kept, for a problem with the same network and ``QuantizationConfig``.

        Raises:
            ArgumentError: if there is no such file, or the problem is not a ``QuantizationProblem``.
            DataError: if it is damaged, or of another problem.
        """
        source, problem = File().check("path", path), PROBLEM.check("problem", problem)
        record = read(source)
        try:
            if record["problem"] not in _digests(problem):
                raise DataError(
                    f"{source} was made for another network or other settings than {problem.title}",
                    "give the problem that it was made for",
                )
            found = cls(
                problem,
                np.array(record["bits"], dtype=np.uint8),
                record["method"],
                record["steps"],
                record["tensors"],
                {
                    name: tuple(Affine(*one) for one in several)
                    for name, several in record["quantizers"].items()
                },
            )
            found.network()  # whether all of it fits
        except DataError:
            raise
        except Exception as error:  # whatever is missing, or does not fit
            raise DataError(f"{source} is damaged, or not of a tuned network", "write it again") from error
        return found

    def __str__(self) -> str:
        return f"{self.problem.title} at {self.bits.mean():.2f} bits in the mean, {self.method}"


def _digests(problem: QuantizationProblem) -> tuple[str, ...]:
    """Of what its numbers fit, and what the first version wrote for the same: all fields there were then."""
    network, changed = problem.fingerprint()["workload"], differing(problem.config)
    forms: list[list[object]] = [[network, *changed.items()]]
    if changed.keys() <= FIRST_FIELDS:
        forms.append([network, [(name, getattr(problem.config, name)) for name in sorted(FIRST_FIELDS)]])
    return tuple(map(digest, forms))
