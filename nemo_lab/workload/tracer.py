"""From a torch module to the graph of its bit-width decisions.

The node rule that gives the paper's counts: one weight quantizer for every weight of a conv, a linear
layer or a matrix product; one activation quantizer per distinct tensor that a conv, a linear layer, a
matrix product, an addition or an ``AdaptiveAvgPool2d`` module consumes. Pooling by function or
maximum, dropout and changes of shape are transparent: the tensor is the one before them. Conv, batch
norm and ReLU fuse.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.utils import _pytree as pytree

from nemo_lab._torch import torch_threads
from nemo_lab.arguments import Choice, Domain, OrNone, Whole
from nemo_lab.errors import NemoWarning, TraceError
from nemo_lab.exclusion import tracing
from nemo_lab.workload.capture import capture, make
from nemo_lab.workload.computed import deployed
from nemo_lab.workload.decisions import decisions
from nemo_lab.workload.declared import ignored, tied
from nemo_lab.workload.full_precision import left_in_full_precision, not_quantizable
from nemo_lab.workload.inputs import Inputs
from nemo_lab.workload.names import Called, NameResolver
from nemo_lab.workload.quantization_points import Quantizers
from nemo_lab.workload.records import FULL_PRECISION, FullPrecision, Layer, Node
from nemo_lab.workload.stored_weights import read_weights

HALF = 16


@dataclass(frozen=True)
class Chosen(Domain[str | int | None]):
    """Which activations are quantized."""

    words: str = field(default=f"'auto', 'all', 'operands', {HALF} or None", kw_only=True)

    def clean(self, value: Any) -> str | int | None:
        """A name, 16, or None."""
        if isinstance(value, str):
            return Choice(("auto", "all", "operands")).clean(value)
        return OrNone(Whole(HALF, HALF)).clean(value)


@dataclass(frozen=True)
class Traced:
    """What was read from a module; for the fields see ``Workload``."""

    name: str
    nodes: tuple[Node, ...]
    layers: tuple[Layer, ...]
    full_precision: tuple[FullPrecision, ...]
    topology: NDArray[np.int64]
    graph: fx.GraphModule
    example_shapes: tuple[tuple[int, ...], ...]
    traced_by: str
    inputs: Inputs


def trace(
    module: nn.Module,
    example_input: Any,
    *,
    name: str | None = None,
    ignore: Called | Iterable[Called] = (),
    tie: Iterable[Called | Iterable[Called]] = (),
    activations: Literal["auto", "all", "operands", 16] | None = "auto",
) -> Traced:
    """The decisions of ``module`` and how they hang together, for ``Workload.from_module``.

    Args:
        module: a network that torch.fx or torch.export can trace. It is not modified, its weights
            are not copied.
        example_input: one batch: Tensor[N, ...], a tuple of positional arguments, or a dictionary of
            keyword arguments. The graph is held against the module on it.
        name: for tables and titles; the class name by default.
        ignore: quantizers that stay in full precision: names, layers, modules, globs, kinds or functions of
            a node, see ``nemo_lab.workload.names``, such as ``"classifier"`` or
            ``lambda node: node.params > 10_000``. A function is called with the ``Node`` that each quantizer
            is with nothing ignored or tied.
        tie: groups of the same that share one decision, such as
            ``[("conv1.weight", "conv2.weight"), "blocks.*.attn.*.weight"]``.
        activations: which are quantized: ``"all"`` that the rule above names; ``"operands"``, those that a
            multiplication reads, as sums and pools cost no bit-operations; ``"auto"``, operands of networks
            with attention, where two activations are multiplied, which lose much by the others, and all of
            any other network; None, and weights alone are; 16, and they count 16 bits, as on hardware that
            multiplies in half precision (they are computed in float32 all the same), where None counts 32.

    Raises:
        TraceError: if ``module`` is not a torch module, cannot be traced or run on the example, or has
            nothing to quantize.
        UnknownNameError, ArgumentError: if ``ignore`` or ``tie`` name what is not there.

    Warns:
        NemoWarning: once, if something with weights or multiply-accumulates cannot be quantized. It
            stays in full precision and counts with 32 bits; MACs of operations that nobody knows are said
            to be unknown, and count none. It points at the caller's caller.
    """
    if not isinstance(module, nn.Module):
        raise TraceError(
            f"expected a torch.nn.Module, got {type(module).__name__}",
            "pass the network; of an exported program the module that it gives",
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise TraceError(
            f"the network is a {type(module).__name__}", "pass the module as it was before torch.jit.script"
        )
    args, kwargs = _arguments(module, example_input)
    lazy = [path or type(part).__name__ for path, part in module.named_modules() if _has_to_be_made(part)]
    if lazy:
        make(module, args, kwargs)
        warnings.warn(
            f"lazy modules had no weights yet, and drew some: {', '.join(lazy)}; train the network first, if "
            "more than its costs is to be known",
            NemoWarning,
            stacklevel=3,
        )
    with tracing(), deployed(module) as network:
        name = name or type(network).__name__
        graph, traced_by, batch = capture(network, args, kwargs, name)
        with torch_threads(1):
            read_weights(graph, network, args, kwargs, batch)
    quantizers = Quantizers(graph, batch)
    parts = not_quantizable(quantizers, module)
    whole = decisions(quantizers, {}, {})
    names = NameResolver(*whole[:2])
    unquantized, planned = ignored(names, parts, ignore)
    chosen = Chosen().check("activations", activations)
    beside = dict.fromkeys(quantizers.activations_beside(chosen), HALF if chosen == HALF else FULL_PRECISION)
    left_out = {**beside, **dict.fromkeys(unquantized, FULL_PRECISION)}
    groups = tied(names, tie, unquantized, set(beside))
    nodes, layers, topology = decisions(quantizers, left_out, groups) if left_out or groups else whole
    if not nodes:
        raise _nothing_to_quantize(name, quantizers, parts)
    unplanned = [part for part in parts if part.name not in planned]
    if unplanned:
        warnings.warn(_listed(name, unplanned), NemoWarning, stacklevel=3)
    return Traced(
        name=name,
        nodes=nodes,
        layers=layers,
        full_precision=(*left_in_full_precision(quantizers, left_out), *parts),
        topology=topology,
        graph=graph,
        example_shapes=tuple(
            tuple(t.shape) for t in pytree.arg_tree_leaves(*args, **kwargs) if isinstance(t, Tensor)
        ),
        traced_by=traced_by,
        inputs=Inputs.of(module, args, kwargs, batch),
    )


def _has_to_be_made(part: nn.Module) -> bool:
    return isinstance(part, LazyModuleMixin) and part.has_uninitialized_params()


def _nothing_to_quantize(name: str, quantizers: Quantizers, parts: Sequence[FullPrecision]) -> TraceError:
    if quantizers.all:
        return TraceError(f"all of {name} is ignored", "leave something to quantize")
    if parts:
        return TraceError(
            f"nothing in {name} can be quantized: {_named(parts)}",
            "give a network with convolutions, linear layers or matrix products of real numbers",
        )
    return TraceError(
        f"{name} has no conv, linear layer or matrix product to quantize", "give a network that has some"
    )


def _arguments(module: nn.Module, example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments, the latter in the order of ``forward``'s parameters."""
    if isinstance(example, Mapping):
        args = ()
        if any(not isinstance(key, str) for key in example):
            raise TraceError("example_input has keys that are not text", "name the keyword arguments")
        ordered = [name for name in inspect.signature(module.forward).parameters if name in example]
        kwargs = {name: example[name] for name in dict.fromkeys((*ordered, *example))}
    else:
        args, kwargs = (tuple(example) if isinstance(example, tuple | list) else (example,)), {}
    if not any(isinstance(leaf, Tensor) for leaf in pytree.arg_tree_leaves(*args, **kwargs)):
        raise TraceError(
            f"expected a tensor as example_input, got {type(example).__name__}",
            "pass one batch of inputs: a tensor, a tuple of the positional arguments, or a dictionary of "
            "the keyword arguments",
        )
    return args, kwargs


def _listed(name: str, parts: Sequence[FullPrecision]) -> str:
    none = "" if all(part.macs is not None for part in parts) else "; MACs that are unknown count none"
    return (
        f"{name}: {len(parts)} parts cannot be quantized, stay in full precision and count with 32 bits: "
        f"{_named(parts)}{none}; see to_frame('full_precision'), or name them in ignore= if that is meant"
    )


def _named(parts: Sequence[FullPrecision]) -> str:
    macs = ["MACs unknown" if part.macs is None else f"{part.macs:,} MACs" for part in parts]
    named = [
        f"{part.name} ({part.op}: {part.params:,} weights, {known})"
        for part, known in zip(parts[:5], macs, strict=False)
    ]
    return ", ".join(named) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")
