"""From a torch module to its graph: torch.fx first, torch.export second, or a clear error."""

from __future__ import annotations

import linecache
import re
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, fx, nn

from nemo_lab._torch import torch_threads
from nemo_lab.errors import TraceError
from nemo_lab.exclusion import alone, tracing
from nemo_lab.workload.agreement import disagreement, leaves
from nemo_lab.workload.attention import write_out_attention
from nemo_lab.workload.exported import export, written_as_known
from nemo_lab.workload.operations import Operations
from nemo_lab.workload.own_numbers import OwnNumbers
from nemo_lab.workload.regions import LESS_PRECISE
from nemo_lab.workload.shapes_and_macs import (
    copied,
    evaluating,
    measure,
    outputs_of,
    plain_attention,
)
from nemo_lab.workload.untouched import untouched
from nemo_lab.workload.written import read_what_was_written

TORCH = str(Path(torch.__file__).parent)
FX_SAYS = "torch.fx says"  # in the meta of a graph that torch.export made: why torch.fx did not
WAY_OUT = (
    "take the part that cannot be traced out of the module and trace the rest, or write it without control "
    "flow that depends on data, such as torch.where in place of if"
)


def capture(
    module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], name: str
) -> tuple[fx.GraphModule, str, int]:
    """A measured graph of ``module`` that computes what the module computes on the example.

    torch.fx is tried first. torch.export is tried where fx fails, where its graph computes something
    else (a branch that was decided while tracing), or where it leaves layers inside of an opaque
    module, as it does with ``nn.MultiheadAttention``.

    Returns:
        the graph, which of the two made it, and the examples in the batch.

    Other threads may compute meanwhile, except while torch.export works, and in versions of torch in which
    one flag says of all threads that torch.fx traces; see ``nemo_lab.exclusion``.

    Raises:
        TraceError: if the module does not run on the example, or neither way leads to a graph.
    """
    with (
        tracing(),
        _beside_others(),
        torch.inference_mode(False),  # there, nobody sees what is written to
        evaluating(module),
        plain_attention(module),
        torch_threads(1),
    ):
        try:
            expected = outputs_of(module, args, kwargs)
        except Exception as error:
            raise _does_not_run(name, error) from error
        opaque: tuple[fx.GraphModule, int] | None = None
        tracer = _FxTracer()
        try:
            with untouched(module), OwnNumbers():
                traced = fx.GraphModule(module, tracer.trace(module), type(module).__name__)
            read_what_was_written(traced, args, kwargs)
            batch = _checked(traced, args, kwargs, expected)
            operations = Operations(traced)
            if not any(map(operations.hides_products, traced.graph.nodes)):
                return traced, "torch.fx", batch
            opaque = traced, batch
        except Exception as error:  # the second way is open
            first = error
        with alone():
            failed = "torch.export says"
            try:
                with untouched(module):
                    exported, plain = export(module, args, kwargs)
                failed = "the graph that torch.export made cannot be used:"
                written_as_known(exported, plain)
                read_what_was_written(exported, args, kwargs)
                exported.meta[FX_SAYS] = (
                    "it leaves layers inside of an opaque module"
                    if opaque
                    else f"{_reason(first)}{_place(first)}"
                )
                return exported, "torch.export", _checked(exported, args, kwargs, expected)
            except Exception as error:
                if opaque is not None:
                    return opaque[0], "torch.fx", opaque[1]
                inside = f" in module {tracer.failed}" if tracer.failed else ""
                raise TraceError(
                    f"cannot trace {name}{inside}: torch.fx says {_reason(first)}{_place(first)}; "
                    f"{failed} {_reason(error)}",
                    WAY_OUT,
                ) from first


def make(module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Run a module with lazy parts for the first time, which gives them weights.

    Raises:
        TraceError: if it does not run on the example.
    """
    try:
        with tracing(), evaluating(module), torch.no_grad(), torch_threads(1):
            args, kwargs = copied(args, kwargs)
            module(*args, **kwargs)
    except Exception as error:
        raise _does_not_run(type(module).__name__, error) from error


def _does_not_run(name: str, error: Exception) -> TraceError:
    return TraceError(
        f"{name} does not run on the example input: {_reason(error)}{_place(error)}",
        "pass one batch of inputs that the network accepts: a tensor, a tuple of the positional arguments, "
        "or a dictionary of the keyword arguments",
    )


def _beside_others() -> AbstractContextManager[None]:
    """Within ``tracing``: keep from computing, where torch.fx cannot trace beside it.

    Torch refuses to run what it has compiled while a flag says that torch.fx traces. It is a thread's own in
    newer versions; in older ones it is one for all threads, and what they compute would fail.
    """
    flag = getattr(torch.fx._symbolic_trace, "_is_fx_tracing_tls", None)
    return nullcontext() if isinstance(flag, threading.local) else alone()


class _FxTracer(fx.Tracer):
    """Traces its own thread alone, and remembers the innermost module in which that failed.

    While torch.fx traces, whatever any thread of the process does with a module comes by here.
    """

    failed: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self._thread = get_ident()

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Trace that an attribute of a module is read."""
        if get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Trace the call of a submodule."""
        if get_ident() != self._thread:
            return forward(*args, **kwargs)
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed = self.failed or f"{self.path_of_module(m)!r} ({type(m).__name__})"
            raise


class TracedResultError(Exception):
    """The graph does not compute what the module computes."""


def _checked(graph: fx.GraphModule, args: Sequence[Any], kwargs: Mapping[str, Any], expected: Any) -> int:
    """Measure a graph, write out its attention, and hold its output against the module's."""
    batch, found = measure(graph, args, kwargs)
    if write_out_attention(graph):
        batch, found = measure(graph, args, kwargs)
    differs = disagreement(found, expected, graph.meta.get(LESS_PRECISE)) or (
        "other types" if _types(found) != _types(expected) else None
    )
    if differs is not None:
        raise TracedResultError(
            f"the traced graph gives another result than the module on the example: {differs}"
        )
    return batch


def _types(outputs: Any) -> list[torch.dtype]:
    return [leaf.dtype for leaf in leaves(outputs) if isinstance(leaf, Tensor)]


def _reason(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = re.sub(r"\s+", " ", lines[0]).strip() if lines else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException) -> str:
    """The last line of the user's own code that led to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith((TORCH, str(Path(__file__).parent), "<eval_with"))]
    if not own:
        return ""
    frame = own[-1]
    line = (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
    return f" (line {frame.lineno} of {Path(frame.filename).name}, in {frame.name}: {line})"
