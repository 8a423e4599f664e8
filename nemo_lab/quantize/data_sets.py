"""The examples of a problem: what it is calibrated, measured and validated on, checked when it is made."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nemo_lab.errors import DataError, NemoWarning
from nemo_lab.quantize.data import Examples, as_examples, given
from nemo_lab.quantize.evaluation import check_outputs
from nemo_lab.quantize.fingerprint import digest
from nemo_lab.quantize.metrics import Metric
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.workload.workload import Workload


@dataclass(frozen=True, eq=False)
class DataSets:
    """Examples for one network.

    Attributes:
        calibration: batches of inputs that give the ranges.
        calibrated_by: a digest of them.
        searched: what the task error is measured on.
        held_out: what the search never sees, None if nothing was given.
    """

    calibration: list[Examples]
    calibrated_by: str
    searched: Examples
    held_out: Examples | None

    @property
    def counts(self) -> tuple[int, int, int]:
        """Examples for calibration, searched, and held out."""
        held_out = 0 if self.held_out is None else len(self.held_out)
        return sum(map(len, self.calibration)), len(self.searched), held_out

    def largest_batch(self, batch_size: int) -> int:
        """Most examples in a forward pass, where a batch of searched ones has ``batch_size``."""
        return max(min(batch_size, len(self.searched)), *map(len, self.calibration))

    def check_held_out(self, network: QuantizedNetwork, metrics: Sequence[Metric]) -> None:
        """Whether held-out examples can be measured, and are held out.

        Args:
            network: that runs; it is left in full precision.
            metrics: that are measured.

        Raises:
            DataError: if the labels are not what a metric needs.

        Warns:
            NemoWarning: at the caller's caller, if inputs are among those searched, too.
        """
        if self.held_out is None:
            return
        network.set_bits(None)
        few = tuple(tensor[:2] for tensor in self.held_out.inputs)
        try:
            outputs = network(network.prepare(few))
            check_outputs(outputs, self.held_out.labels, metrics, len(few[0]))
        except DataError as error:
            raise DataError(f"held_out: {error.message}", error.hint) from error
        seen = set(_digests(self.searched))
        twice = sum(one in seen for one in _digests(self.held_out))
        if twice:
            warnings.warn(
                f"{twice} of {len(self.held_out)} examples of held_out are in data, too: what "
                "study.validate() says of those is not held out; leave them out of one of the two",
                NemoWarning,
                stacklevel=3,
            )


def data_sets(
    workload: Workload,
    metrics: Sequence[Metric],
    calibration: Any,
    calibration_batch: int,
    data: Any,
    held_out: Any,
) -> DataSets:
    """From what a problem is told; what came with the workload in place of None.

    Raises:
        DataError: as ``nemo_lab.quantize.data.as_examples``, or if there is nothing.
    """
    images, batches = calibration_batches(
        workload, given(calibration, workload, "calibration"), calibration_batch
    )
    together = [len(batches[-1])] if len(batches[-1]) > calibration_batch else []
    return DataSets(
        calibration=batches,
        calibrated_by=digest([calibration_batch, *together, *images.inputs]),
        searched=measured_on(workload, metrics, given(data, workload, "data")),
        held_out=None if held_out is None else measured_on(workload, metrics, held_out, "held_out"),
    )


def calibration_batches(workload: Workload, calibration: Any, size: int) -> tuple[Examples, list[Examples]]:
    """Inputs, and the same in batches; fewer than half of one that are left over join the last.

    Raises:
        DataError: as ``nemo_lab.quantize.data.as_examples``.
    """
    images = as_examples(calibration, workload, "calibration", "ignored")
    return images, images.batches(size, least=(size + 1) // 2)


def measured_on(workload: Workload, metrics: Sequence[Metric], data: Any, what: str = "data") -> Examples:
    """Examples with labels, if a metric needs some.

    Raises:
        DataError: as ``nemo_lab.quantize.data.as_examples``.
    """
    labelled = any(m.needs_labels for m in metrics)
    return as_examples(data, workload, what, "needed" if labelled else "taken")


def _digests(examples: Examples) -> list[str]:
    """A digest of the inputs of each example."""
    return [digest(parts) for parts in zip(*examples.inputs, strict=True)]
