"""One batch, forwards and backwards: what each node's rounding error does to a number, to first order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from nemo_lab.interruption import check_interrupted
from nemo_lab.quantize.affine import dense_copy, round_
from nemo_lab.quantize.network import Batch, QuantizedNetwork
from nemo_lab.quantize.segments import decisions_of
from nemo_lab.workload.written import changes_in_place

CALLS = ("call_module", "call_function", "call_method")
FEW = 5  # examples: a multiple of so few may be the length of anything

Floats = NDArray[np.float64]


class RoundingProducts(fx.Interpreter):
    """Gradients times rounding errors, of each node and each example.

    Those of activations are taken where they are rounded. What a weight's error does is taken behind the
    node of the graph that reads it, its *reader*, which runs once more for each width, on the same inputs.

    Args:
        network: in full precision.
        widths: W of them.
        size: examples in the batch.
    """

    def __init__(self, network: QuantizedNetwork, widths: Sequence[int], size: int) -> None:
        super().__init__(network.graph)
        self.network, self.widths, self.size = network, widths, size
        self._start = torch.zeros((), requires_grad=True, device=network.device)
        self._quantizers = {module.path: (name, module) for name, module in network.activations.items()}
        self._nodes = {q.name: node.index for node in network.workload.nodes for q in node.quantizers}
        self._copies = any(changes_in_place(network.graph, node) for node in network.graph.graph.nodes)
        self._of_weights: dict[fx.Node, set[int]] = {}  # nodes that depend on no input, by decisions
        self._readers: dict[fx.Node, _Reader] = {}
        self._found: dict[int, list[Floats]] = {}

    def outputs(self, batch: Batch) -> Any:
        """Of the network, for a prepared batch; go back from what is made of them, then ask ``squares``."""
        leaves = self.run(*self.network.entering(batch), enable_io_processing=False)
        return self.network.graph.graph.process_outputs(leaves)

    def run_node(self, n: fx.Node) -> Any:
        """A node's value; where something is rounded or read, gradients come back through a copy of it."""
        if n.op == "call_module" and n.target in self._quantizers:
            name, module = self._quantizers[str(n.target)]
            clamped = torch.clamp(self.env[n.all_input_nodes[0]], module.floor, module.ceiling)
            return _Through.apply(clamped, self._start, functools.partial(self._rounded, name))
        inputs = n.all_input_nodes
        own = decisions_of(self.network.graph, n, self.network.columns)
        own |= {one for node in inputs for one in self._of_weights.get(node, ())}
        given = {node: self._kept(self.env[node]) for node in inputs} if own else {}  # it may work in place
        value = super().run_node(n)
        if n.op == "get_attr" or (n.op in CALLS and self._of_weights.keys() >= set(inputs)):
            self._of_weights[n] = own
        elif own and isinstance(value, Tensor) and value.is_floating_point():
            self._readers[n] = reader = _Reader(own, given)
            return _Through.apply(value, self._start, reader.back)
        return value

    def squares(self) -> Floats:
        """Of each node's products, added up over the examples: float64[Q, W]; NaN where no gradient came."""
        for node, reader in self._readers.items():
            for decision in () if reader.gradient is None else sorted(reader.decisions):
                self._read(node, reader, decision)
        found = np.full((len(self.network.workload.nodes), len(self.widths)), np.nan)
        for number, parts in self._found.items():
            apart = all(part.shape[1] == self.size for part in parts)
            total = sum(part if apart else part.sum(axis=1, keepdims=True) for part in parts)
            found[number] = np.square(total).sum(axis=1)
        return found

    def _rounded(self, name: str, x: Tensor, gradient: Tensor) -> None:
        ranges, x = self.network.ranges[name], dense_copy(x)
        errors = [round_(x.clone(), ranges.quantizer(bits)).sub_(x) for bits in self.widths]
        self._add(self._nodes[name], gradient, errors)

    def _read(self, node: fx.Node, reader: _Reader, decision: int) -> None:
        """Run a reader with the weights of one decision at each width."""
        quantized, errors = self.network.workload.nodes[decision], []
        try:
            for bits in self.widths:
                check_interrupted()
                self.network.set_node(quantized, bits)
                errors.append(self._again(node, reader.given).sub_(reader.value))
        finally:
            self.network.set_node(quantized, None)
        self._add(decision, reader.gradient, errors)

    def _add(self, number: int, gradient: Tensor, errors: Sequence[Tensor]) -> None:
        """Products float[W, size] with the errors at each width, or float[W, 1] of the whole batch.

        The gradients of different examples are independent of each other, and 0 in the mean: the square of
        their sum has the sum of their squares for its mean.
        """
        if gradient.ndim == 4 and errors[0].is_contiguous(memory_format=torch.channels_last):
            gradient, *errors = (one.permute(0, 2, 3, 1) for one in (gradient, *errors))  # as they lie
        rows = self._by_example(gradient)
        products = [torch.linalg.vecdot(rows, self._by_example(error)) for error in errors]
        self._found.setdefault(number, []).append(torch.stack(products).double().cpu().numpy())

    def _by_example(self, x: Tensor) -> Tensor:
        """float[size, M]; float[1, M] where it is not clear which axis is that of the examples."""
        first, second = (*x.shape, 0, 0)[:2]
        if first != self.size == second:
            x = x.transpose(0, 1)  # the sequence comes first
        apart = self.size in (first, second) or (self.size > FEW and first % self.size == 0)
        return x.reshape(self.size if apart else 1, -1).float()

    def _again(self, n: fx.Node, given: Mapping[fx.Node, Any]) -> Any:
        """A node's value with the weights as they are now, on the inputs that it had."""

        def of(m: fx.Node) -> Any:
            stored = m.op == "get_attr" or self._of_weights.get(m)
            return self._again(m, given) if stored or m not in given else self._kept(given[m])

        args, kwargs = fx.node.map_arg((n.args, n.kwargs), of)
        return getattr(self, n.op)(n.target, args, kwargs)

    def _kept(self, value: Any) -> Any:
        """A value as it is now."""
        if not isinstance(value, Tensor):
            return value
        return value.detach().clone() if self._copies else value.detach()


class _Reader:
    """A node that reads weights, and not only weights.

    Attributes:
        decisions: whose weights.
        given: what else it reads.
        value, gradient: of it, None until a gradient has come.
    """

    value: Any = None
    gradient: Any = None

    def __init__(self, decisions: set[int], given: Mapping[fx.Node, Any]) -> None:
        self.decisions, self.given = decisions, given

    def back(self, value: Tensor, gradient: Tensor) -> None:
        """Take a gradient in."""
        self.value, self.gradient = value, gradient


class _Through(torch.autograd.Function):
    """A copy of a tensor that tells of the gradient which comes back through it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: Tensor, back: Callable[[Tensor, Tensor], None]) -> Tensor:
        """A copy, which depends on ``start``: so there is a gradient, whatever came before."""
        ctx.x, ctx.back = x.detach(), back
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Tell, and let it through."""
        ctx.back(ctx.x, gradients[0])
        return gradients[0], torch.zeros((), device=gradients[0].device), None
