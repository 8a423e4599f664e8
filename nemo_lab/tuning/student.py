"""A network in training: rounded as it will be deployed, with gradients that pass through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from nemo_lab.quantize.affine import Affine
from nemo_lab.quantize.biases import HIGHEST, LOWEST
from nemo_lab.quantize.folding import stored
from nemo_lab.quantize.network import Batch, QuantizedNetwork
from nemo_lab.quantize.weights import runs, weight_quantizer
from nemo_lab.tuning.learned import LearnedSteps

Method = Literal["lsq", "straight_through"]


class Student:
    """A quantized network whose weights, biases and scales are parameters.

    Args:
        network: calibrated, one's own; its graph is used up.
        bits: uint8[Q].
        method: ``"lsq"``: all scales are learned; ``"straight_through"``: a weight is rounded over the range
            of its numbers as they are now, an activation over its calibrated one.

    Attributes:
        tensors: path of each trained tensor -> its numbers in full precision.
        rounding: name of each quantizer -> how it rounds.
    """

    def __init__(self, network: QuantizedNetwork, bits: NDArray[Any], method: Method) -> None:
        network.set_bits(None)
        self.network, self.method = network, method
        graph, learns = network.graph, method == "lsq"
        self.tensors = {
            path: one.detach().clone().requires_grad_()
            for path, one in graph.named_parameters()
            if _is_real(one)
        }
        paths = {id(one): path for path, one in graph.named_parameters()}
        self.rounding: dict[str, LearnedSteps] = {}
        self._weights: dict[str, tuple[str, int]] = {}
        for node in network.workload.nodes:
            width = int(bits[node.index])
            for quantizer in node.quantizers:
                name, found = quantizer.name, network.quantizers(quantizer, width)
                if quantizer.kind == "weight":
                    weight = stored(graph, quantizer.source)
                    path = paths.get(id(weight), quantizer.source)
                    self.tensors.setdefault(path, weight.detach().clone().requires_grad_())
                    self._weights[name] = path, width
                    steps = LearnedSteps(found, network.weights.scales_of(name), learns=learns)
                else:
                    module = network.activations[name]
                    steps = LearnedSteps(
                        found, learns=learns, by_example=True, floor=module.floor, ceiling=module.ceiling
                    )
                    graph.set_submodule(module.path, steps)
                self.rounding[name] = steps.to(network.device)
        self._biases = [
            (paths.get(id(bias.stored), bias.path), bias.input, bias.weight) for bias in network.biases.found
        ]

    def parameters(self) -> Iterator[Tensor]:
        """All that is trained."""
        yield from self.tensors.values()
        yield from (one.change for one in self.rounding.values() if one.change.requires_grad)

    def outputs(self, batch: Batch) -> Any:
        """For a prepared batch, rounded, with gradients."""
        args, kwargs = self.network.workload.inputs.call(tuple(map(torch.clone, batch)), torch.float32)
        return functional_call(self.network.graph, self._rounded(), args, kwargs)

    def _rounded(self) -> dict[str, Tensor]:
        """Every trained tensor as the network computes with it."""
        found = dict(self.tensors)
        for name, (path, width) in self._weights.items():
            rounding, weight = self.rounding[name], self.tensors[path]
            if self.method == "straight_through":
                rounding.set(self._over_range(name, weight, width))
            found[path] = rounding(weight)
        for path, x, weight_name in self._biases:
            bias, of_weight = self.tensors[path], self.rounding[weight_name].scale.detach()
            steps = of_weight.reshape(-1) * self.rounding[x].scale.detach()
            steps = torch.where(steps >= torch.finfo(torch.float32).tiny, steps, 1.0)
            whole = (bias.detach() / steps).round_().clamp_(LOWEST, HIGHEST).mul_(steps)
            found[path] = bias + (whole - bias.detach())
        return found

    def _over_range(self, name: str, weight: Tensor, width: int) -> tuple[Affine, ...]:
        parts = runs(weight.detach(), self.network.weights.scales_of(name))
        symmetric = self.network.config.symmetric
        return tuple(weight_quantizer(part, width, symmetric=symmetric, mse=False) for part in parts)

    def state(self) -> dict[str, dict[str, Any]]:
        """All that is trained, as it is now."""
        with torch.no_grad():
            self._rounded()  # so that quantizers are those of the weights
        return {
            "tensors": {path: one.detach().cpu().clone() for path, one in self.tensors.items()},
            "changes": {name: one.change.detach().cpu().clone() for name, one in self.rounding.items()},
        }

    def load(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over what ``state`` gave."""
        with torch.no_grad():
            for path, values in state["tensors"].items():
                self.tensors[path].copy_(values)
            for name, values in state["changes"].items():
                self.rounding[name].change.copy_(values)
            self._rounded()

    def quantizers(self) -> dict[str, tuple[Affine, ...]]:
        """By the name of each, as they are now."""
        return {name: one.quantizers() for name, one in self.rounding.items()}


def _is_real(tensor: nn.Parameter) -> bool:
    return tensor.dtype == torch.float32 and tensor.numel() > 0
