"""A configuration in QONNX: an ONNX file that rounds to any width by operations ``Quant``."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from nemo_lab.export.extra import needed
from nemo_lab.export.grids import grids, of_quantizers
from nemo_lab.export.metadata import unseen
from nemo_lab.export.named_graph import named_model
from nemo_lab.export.network import configured
from nemo_lab.export.placing import place, placing
from nemo_lab.export.quant_nodes import add_quant, save_defined
from nemo_lab.export.verification import Verification, verified


def save_qonnx(problem: Any, bits: Any, path: str | os.PathLike[str]) -> Verification:
    """Write a configuration in QONNX, for FINN, hls4ml and other tools that build hardware of any width.

    A ``Quant`` of the domain ``qonnx.custom_op.general`` stands behind every tensor that is rounded, weights
    included, which the file holds as float32, rounded already. Symmetric ranges are signed and narrow, with a
    zero point of 0; all others count from 0, and have a zero point that is a whole number.

    ONNX Runtime does not know ``Quant``, so it runs the file with the operation written out beside it, with
    its optimisations off, on the held-out examples if there are some. One that computes anything else than
    was searched is not written; a file of that name is replaced, or left whole on failure.

    Args:
        problem: a ``QuantizationProblem``, or a ``TunedNetwork``; best one with ``symmetric=True``: tools
            that build hardware mostly want zero points of 0.
        bits: integers[Q], one width for all nodes, or name -> width as from ``study.config``; of a
            ``TunedNetwork`` its own, or None.
        path: of the file, which ends in ``.onnx``.

    Raises:
        VerificationError: if the file computes something else; it names the first layer that does.
        ExportError: if an operation cannot be written.
        ArgumentError: if the problem is neither, or the file cannot be written.
        BitWidthError, UnknownNameError: if the bits do not fit.

    The libraries for it come by ``pip install "nemo_lab[deploy]"``.
    """
    target = place(path, ".onnx")
    network, widths = configured(problem, bits)
    ir = needed("onnx_ir", purpose="to write ONNX")
    task, of_all = unseen(problem), of_quantizers(network.workload, widths)
    weights = {name: network.weights.at(name, of_all[name]).cpu().numpy() for name in network.weights.full}
    model, tensors = named_model(network, grids(network, widths), weights, task.batches[0][0])
    add_quant(model, tensors)
    with placing(target) as (made,):
        ir.save(model, made)
        tried = made.parent / "tried" / made.name
        save_defined(ir.load(made), tried)
        found = verified(tried, configured(problem, bits)[0], task, optimized=(False,))
    return dataclasses.replace(found, path=target, bytes=target.stat().st_size)
