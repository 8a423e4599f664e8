"""A configuration as a program of torch.export, which is run before it is there."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nemo_lab._quiet import no_logging, no_warnings
from nemo_lab.errors import ArgumentError, DataError, ExportError, VerificationError
from nemo_lab.exclusion import alone, tracing
from nemo_lab.export.comparing import FLIPPED, SAME, Expected, Floats, compared, leaves
from nemo_lab.export.metadata import KEY, network_of, read_record, record_of, unseen
from nemo_lab.export.network import configured, written_out
from nemo_lab.export.onnx_tracing import OfTensors, check_steady, reason
from nemo_lab.export.placing import place, placing
from nemo_lab.export.verification import Verification
from nemo_lab.quantize.evaluation import Task
from nemo_lab.quantize.network import QuantizedNetwork

ORIGINS = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "custom", "from_node")


def save_torch(problem: Any, bits: Any, path: str | os.PathLike[str]) -> Verification:
    """Write a configuration as a program for torch alone: ``torch.export.load("net.pt2").module()`` runs it.

    It does what ``quantized_module`` does, in float32, for any number of examples at a time; where the
    network takes several tensors, it takes those that a batch brings, in their order. Widths are in the file
    ``nemo_lab`` that ``torch.export.load(..., extra_files={"nemo_lab": ""})`` gives.

    The file is loaded and run before it is there, on the held-out examples if there are some. One that
    computes anything else than was searched is not written. A file of that name is replaced, or left whole
    on failure.

    Args:
        problem: a ``QuantizationProblem``, or a ``TunedNetwork``.
        bits: integers[Q], one width for all nodes, or name -> width as from ``study.config``; of a
            ``TunedNetwork`` its own, or None.
        path: of the file, which ends in ``.pt2``.

    Raises:
        VerificationError: if the file computes something else.
        ExportError: if torch.export does not take an operation.
        ArgumentError: if the problem is neither, or the file cannot be written.
        BitWidthError, UnknownNameError: if the bits do not fit.
    """
    target = place(path, ".pt2")
    network, widths = configured(problem, bits)
    task, record = unseen(problem), json.dumps(record_of(problem, widths))
    program = _program(network, widths, task.batches[0][0])
    with placing(target) as (made,):
        _write(program, made, record)
        found = _verified(made, configured(problem, bits), task)
    return dataclasses.replace(found, path=target)


def verify_torch(path: Path, problem: Any) -> Verification:
    """See ``nemo_lab.export.verify``, which this is for files of ``save_torch``."""
    if not path.is_file():
        raise ArgumentError(f"cannot read {str(path)!r}: No such file", "give a file that exists")
    record = read_record(_Program(path).record, path.name, "save_torch")
    network = network_of(record, path.name, problem)
    return _verified(path, (network, dict(record["bits"])), unseen(problem))


class _Program:
    """A file that torch runs, as it is."""

    name, optimized = f"torch {torch.__version__}", False
    layers: Sequence[str] = ()

    def __init__(self, path: Path) -> None:
        extra = {KEY: ""}
        try:
            with no_warnings(), no_logging("torch"):
                self._run: Any = torch.export.load(io.BytesIO(path.read_bytes()), extra_files=extra).module()
        except Exception as error:  # whatever a damaged file makes of it
            raise DataError(
                f"{path.name} is damaged, or not a program of torch.export", "write it again"
            ) from error
        self.record = extra[KEY]

    def run(self, inputs: Sequence[Tensor]) -> list[Floats]:
        """The tensors that come out for a batch."""
        try:
            with torch.no_grad():
                return leaves(self._run(*(tensor.cpu().contiguous() for tensor in inputs)))
        except Exception as error:  # what it finds out only now
            raise VerificationError(
                f"the program does not run in {self.name}: {reason(error)}", "write it with quantized_module"
            ) from error


def _program(network: QuantizedNetwork, widths: dict[str, int], batch: Sequence[Tensor]) -> Any:
    """What torch makes of the network; the network is used up.

    Raises:
        ExportError: if it does not take one of its operations.
    """
    check_steady(network)
    written_out(network, widths)
    few = tuple(torch.cat([x, x])[:2].cpu().contiguous() for x in batch)  # one row would be for one alone
    rows = torch.export.Dim("batch")
    try:
        with tracing(), alone(), no_warnings(), no_logging("torch"), torch.no_grad():
            program = torch.export.export(
                OfTensors(network), few, dynamic_shapes=(tuple({0: rows} for _ in few),)
            )
    except Exception as error:  # whatever torch makes of an operation it does not take
        raise _refused(network.workload.name, error) from error
    program.example_inputs = None  # examples are nobody else's, and where code stood says nothing
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            for origin in ORIGINS:
                node.meta.pop(origin, None)
    return program


def _write(program: Any, path: Path, record: str) -> None:
    try:
        with no_warnings(), no_logging("torch"):
            buffer = io.BytesIO()  # torch ends the process where it cannot write to a file
            torch.export.save(program, buffer, extra_files={KEY: record})
    except Exception as error:  # of an operation that can be exported, and not be saved
        raise _refused("the network", error) from error
    path.write_bytes(buffer.getvalue())


def _refused(name: str, error: Exception) -> ExportError:
    return ExportError(
        f"{name} cannot be written by torch.export: {reason(error)}",
        "use nemo_lab.export.quantized_module, or write that part so that torch.export takes it",
    )


def _verified(path: Path, set_to: tuple[QuantizedNetwork, dict[str, int]], task: Task) -> Verification:
    """Run a file on all examples, and hold it against the network that it was made of, which is used up.

    torch adds in another order where tensors lie otherwise in memory. Where outputs differ for that reason,
    they are those of ``quantized_module`` to the last bit.

    Raises:
        VerificationError: if the file computes anything else.
    """
    network, widths = set_to
    program = _Program(path)
    run = compared(program, Expected.of(lambda inputs, n: network(network.prepare(inputs), n), task), task)
    if run.difference > SAME:
        written_out(network, widths)
        plain: nn.Module = OfTensors(network)
        same = Expected.of(lambda inputs, _: plain(*(x.cpu().contiguous() for x in inputs)), task)
        difference = compared(program, same, task).difference
    if run.difference > SAME and (difference > 0 or run.agreement < 1 - FLIPPED):
        raise VerificationError(
            f"{path.name} does not compute what was searched, in {run.runtime}: outputs differ by "
            f"{run.difference:.1e} of their range, {100 * run.agreement:.2f} % of predictions agree",
            "write it with another version of torch, or keep to quantized_module",
        )
    return Verification(path, path.stat().st_size, task.count, (run,))
