"""One run of a traced graph on the example: shapes, and multiply-accumulates by torch's own formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import BaseTorchFunctionMode
from torch.utils import _pytree as pytree

from nemo_lab.workload.nodes import is_read_off, read
from nemo_lab.workload.own_numbers import NoCompiler, OwnNumbers, draws
from nemo_lab.workload.uncounted import macs
from nemo_lab.workload.untouched import untouched


class _CountMacs(NoCompiler):
    """Adds up what every matrix product and convolution costs, wherever it is called from.

    Attributes:
        macs: so far, of what can be counted.
        uncounted: whether anything multiplies of which the MACs are unknown.
        random: whether anything drew random numbers.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs, self.uncounted, self.random = 0, False, False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.random = self.random or draws(func, args, kwargs or {})
        out = func(*args, **(kwargs or {}))
        found = macs(func, args, kwargs or {}, out)
        self.macs, self.uncounted = self.macs + (found or 0), self.uncounted or found is None
        return out


class _Measure(fx.Interpreter):
    """Notes on every node its tensor's shape, size and type, and the MACs it took."""

    def run_node(self, n: fx.Node) -> Any:
        """One node."""
        with _CountMacs() as counter:
            result = super().run_node(n)
        n.meta["macs"], n.meta["uncounted"] = counter.macs, counter.uncounted
        n.meta["random"] = counter.random
        n.meta["flows"] = any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(result))
        if isinstance(result, Tensor):
            n.meta["shape"] = tuple(result.shape)
            n.meta["numel"] = result.numel()
            n.meta["dtype"] = result.dtype
        return result


def measure(graph: fx.GraphModule, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[int, Any]:
    """Run ``graph`` once, in evaluation mode, and note what flowed, in ``node.meta``.

    ``shape``, ``numel`` and ``dtype`` of every tensor, whether anything ``flows`` at all (sizes do not),
    whether the node draws ``random`` numbers, and ``macs``: the multiply-accumulates of the node for one
    example, whatever it calls inside, and whether more of them are ``uncounted``. (torch's own pass imports
    sympy, which takes as long as all the rest.)
    ``graph.meta["training"]`` names the parts that stay in training mode, as a network may want them to.

    Returns:
        examples in the batch, and the leaves of the output.
    """
    graph.meta["training"] = [name for name, part in graph.named_modules() if name and part.training]
    outputs = pytree.tree_leaves(run(_Measure(graph), args, kwargs))
    batch = examples_in(args, kwargs, outputs)
    flowing: set[fx.Node] = set()  # what depends on the examples, and so is done once for each
    for node in graph.graph.nodes:
        if is_read_off(node, batch):
            continue
        if node.op == "placeholder" or flowing.intersection(read(node)):
            flowing.add(node)
            node.meta["macs"] = math.ceil(node.meta["macs"] / max(batch, 1))
    return batch, outputs


def run(interpreter: fx.Interpreter, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a graph gives, run node by node on copies of an input, of another size than the example's too.

    Random numbers are the same each time, attention is plain, and buffers are as before afterwards.
    """
    graph: Any = interpreter.module
    args, kwargs = copied(args, kwargs)
    with plain_attention(graph), untouched(graph), OwnNumbers():
        return interpreter.run(*placeholders(graph, args, kwargs), enable_io_processing=False)


def examples_in(args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Any) -> int:
    """How many examples a batch has: the first axis of its tensors, where they differ that of the output."""
    inputs, found = (
        [len(leaf) for leaf in pytree.tree_leaves(one) if isinstance(leaf, Tensor) and leaf.ndim]
        for one in ((tuple(args), dict(kwargs)), outputs)
    )
    return next((length for length in found if length in inputs), inputs[0] if inputs else 1)


def copied(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The same input in tensors of its own, which may be written to."""
    found: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_map_only(
        Tensor, torch.clone, (tuple(args), dict(kwargs))
    )
    return found


def placeholders(graph: fx.GraphModule, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The inputs in the order of the graph's placeholders, defaults filled in."""
    if isinstance(graph.graph._codegen, fx.graph._PyTreeCodeGen):
        return list(pytree.arg_tree_leaves(*args, **kwargs))
    values, positional = [], iter(args)
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            name = str(node.target).lstrip("*")
            value = kwargs[name] if name in kwargs else next(positional, *node.args)
            values.append(value)
    return values


@contextmanager
def plain_attention(module: nn.Module) -> Iterator[None]:
    """Attention as the products it is made of: torch's fused encoder kernels hide them.

    ``torch.backends.mha.set_fastpath_enabled`` would take them from other threads, too. They are not taken
    where somebody listens to torch's functions, which one does in his own thread.
    """
    if not any(isinstance(part, nn.MultiheadAttention) for part in module.modules()):
        yield
        return
    with BaseTorchFunctionMode():
        yield


def outputs_of(module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Any:
    """What a module gives for copies of an input, with the same random numbers each time."""
    args, kwargs = copied(args, kwargs or {})
    with untouched(module), OwnNumbers():
        return module(*args, **kwargs)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """``module`` in evaluation mode, and afterwards as it was, each part of it.

    Language models of the transformers library return what they keep for the next token, too, unless their
    configuration says not to: it does so meanwhile.
    """
    training = {part: part.training for part in module.modules()}
    configs: dict[int, Any] = {id(one): one for one in (getattr(part, "config", None) for part in training)}
    keeping = [config for config in configs.values() if getattr(config, "use_cache", None) is True]
    with suppress(NotImplementedError):  # what torch.export made stays as it was exported
        module.eval()
    for config in keeping:
        config.use_cache = False
    try:
        yield
    finally:
        for part, flag in training.items():
            part.training = flag
        for config in keeping:
            config.use_cache = True
