"""The species ``gcn`` and ``unet``: the genome is the parameters of a graph network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from nemo_lab._torch import torch_threads
from nemo_lab.choices import choices
from nemo_lab.exclusion import computing
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.problem import Problem
from nemo_lab.search.species import ssne
from nemo_lab.search.species.base import Bits, Species
from nemo_lab.search.species.graph_library import library
from nemo_lab.search.species.mating import spread_levels
from nemo_lab.search.species.ssne import Parameters


class GraphSpecies(Species):
    """A graph network per member; a node's bit-width is the argmax of its logits.

    An untrained graph network gives nearly the same width to every node, so a new genome's output
    layer is scaled until its logits differ from node to node with unit deviation, and its bias
    leans to one width level, spread evenly over the new members (ours).

    Attributes:
        reads: the name of the parameter that weighs the columns of the features, [hidden, F].
    """

    name: str
    summary: str
    reads: str
    build: Callable[[int, int, int], nn.Module]

    def __init__(self, problem: Problem, options: SearchOptions) -> None:
        self.options = options
        self.widths = np.asarray(problem.bit_widths)
        self.beyond = None if problem.allowed is None else ~choices(problem)
        edges = problem.topology if options.gnn_edges == "topology" else problem.edges
        both_ways = np.concatenate([edges, edges[::-1]], axis=1)
        features = np.array(problem.node_features, dtype=np.float32)
        features = np.concatenate([features, _positions(len(features), options.gnn_position)], axis=1)
        self.features = torch.from_numpy(features)
        self.edges = torch.from_numpy(np.array(both_ways, dtype=np.int64))
        self._inherited: tuple[Parameters, ...] = ()
        self._taken = 0

    @cached_property
    def net(self) -> nn.Module:
        """The network that every genome fills; made on first use, since its library loads slowly."""
        library()  # not on the device below
        with computing(), torch.device("meta"):  # no random numbers for values that every genome replaces
            net = type(self).build(self.features.shape[1], self.options.gnn_hidden, len(self.widths))
        net = net.eval().requires_grad_(False).to_empty(device="cpu").float()
        for parameter in net.parameters():
            parameter.zero_()
        return net

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the parameter tensors, in the order in which a genome has them."""
        return tuple(name for name, _ in self.net.named_parameters())

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the parameter tensors; where widths are sampled a genome ends with the noise, float[Q, W]."""
        parameters = [tuple(parameter.shape) for parameter in self.net.parameters()]
        noise = [(len(self.features), len(self.widths))] if self.options.gnn_decode == "sample" else []
        return (*parameters, *noise)

    def inherit(self, networks: Sequence[Parameters]) -> None:
        """Begin with these, which were evolved elsewhere and read what this one's read."""
        self._inherited = tuple(networks)

    def initial(self, count: int, rng: np.random.Generator) -> list[Parameters]:
        """Networks that were inherited, then such that lean to width levels spread evenly over the range."""
        taken = self._inherited[self._taken : self._taken + count]
        self._taken += len(taken)
        return [*(self._with_noise(one, rng) for one in taken), *self._fresh(count - len(taken), rng)]

    def _with_noise(self, network: Parameters, rng: np.random.Generator) -> Parameters:
        noise = self.shapes[len(self.names) :]
        return (*network, *(rng.gumbel(size=shape).astype(np.float32) for shape in noise))

    def _fresh(self, count: int, rng: np.random.Generator) -> list[Parameters]:
        low, high = float(self.widths[0]), float(self.widths[-1])
        levels = spread_levels(count, low, high, rng)
        if self.beyond is not None:  # widths may lie far apart: as many members lean to each
            places = (levels - low) / max(high - low, 1.0) * (len(self.widths) - 1)
            levels = np.interp(places, np.arange(len(self.widths)), self.widths)
        return [self._leaning(level, rng) for level in levels]

    def offspring(
        self, parents: Sequence[Parameters], count: int, rng: np.random.Generator
    ) -> list[Parameters]:
        """Sub-structure neuroevolution."""
        return ssne.offspring(parents, count, rng, self.options)

    def decode(self, genome: Parameters) -> Bits:
        """The width of the largest logit of every node, its noise included."""
        scores = self.logits(genome)
        if len(genome) > len(self.names):
            scores = scores + genome[-1]
        if self.beyond is not None:
            scores = np.where(self.beyond, -np.inf, scores)
        return np.asarray(self.widths[scores.argmax(axis=1)], dtype=np.uint8)

    def logits(self, genome: Parameters) -> np.ndarray:
        """float32[Q, widths]."""
        net = self.net
        with computing(), torch.no_grad(), torch_threads(1):
            tensors = {n: torch.from_numpy(p) for n, p in zip(self.names, genome, strict=False)}
            out: Tensor = functional_call(net, tensors, (self.features, self.edges))
            return out.numpy()

    def imitate(self, bits: Bits, rng: np.random.Generator) -> list[Parameters]:
        """Networks fitted by Adam to give those widths, by cross-entropy over the nodes."""
        return [self._fit(row, rng) for row in bits]

    def state_dict(self) -> Any:
        """How many networks of those inherited are in the search."""
        return {"taken": self._taken} if self._inherited else None

    def load_state_dict(self, state: Any) -> None:
        """Go on from a state."""
        self._taken = 0 if state is None else state["taken"]

    def _leaning(self, level: float, rng: np.random.Generator) -> Parameters:
        genome = tuple(
            (rng.standard_normal(shape) / np.sqrt(shape[-1] if len(shape) > 1 else 100.0)).astype(np.float32)
            for shape in self.shapes
        )
        if len(genome) > len(self.names):
            genome[-1][:] = rng.gumbel(size=genome[-1].shape)  # the largest sum is a draw from the softmax
        if self.options.gnn_start == "plain":
            return genome
        weight, bias = (genome[self.names.index(f"output.{part}")] for part in ("weight", "bias"))
        logits = self.logits(genome)
        deviation = np.maximum(logits.std(axis=0), 1e-6)
        weight /= deviation[:, None]
        centre = (logits - bias).mean(axis=0) / deviation
        bias[:] = -centre - self.options.gnn_spread * np.abs(self.widths - level)
        return genome

    def _fit(self, bits: Bits, rng: np.random.Generator) -> Parameters:
        """A fresh network whose output layer is solved for the widths, then all of it by gradient."""
        target = torch.from_numpy(np.searchsorted(self.widths, bits).astype(np.int64))
        tensors = {
            name: torch.from_numpy(value)
            for name, value in zip(self.names, self._leaning(float(np.mean(bits)), rng), strict=False)
        }
        with computing(), torch_threads(1), torch.enable_grad():
            self._solve_output(tensors, target)
            for tensor in tensors.values():
                tensor.requires_grad_()
            optimizer = torch.optim.Adam(tensors.values(), lr=0.01)
            for _ in range(self.options.imitation_steps):
                logits: Tensor = functional_call(self.net, tensors, (self.features, self.edges))
                if bool((logits.argmax(1) == target).all()):
                    break
                loss = nn.functional.cross_entropy(logits, target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        fitted = tuple(tensor.detach().numpy() for tensor in tensors.values())
        quiet = tuple(np.zeros(shape, dtype=np.float32) for shape in self.shapes[len(fitted) :])
        return (*fitted, *quiet)

    def _solve_output(self, tensors: dict[str, Tensor], target: Tensor) -> None:
        """Ridge regression from the hidden layer to one-hot widths, scaled to unlike logits."""
        keep = {name: value for name, value in tensors.items() if not name.startswith("output.")}
        with torch.no_grad():
            hidden = _hidden(self.net, keep, self.features, self.edges).double()
            design = torch.cat([hidden, torch.ones(len(hidden), 1, dtype=torch.float64)], dim=1)
            gram = design.T @ design
            ridge = 1e-4 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
            wanted = nn.functional.one_hot(target, len(self.widths)).double()
            solution = 4.0 * torch.linalg.solve(gram + ridge, design.T @ wanted).float()
            tensors["output.weight"].copy_(solution[:-1].T)
            tensors["output.bias"].copy_(solution[-1])


def _positions(nodes: int, count: int) -> np.ndarray:
    """float32[nodes, 2 * count]: sines and cosines of the place, each twice as fast as the one before."""
    angles = np.pi * np.arange(nodes)[:, None] / max(nodes - 1, 1) * 2.0 ** np.arange(count)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _hidden(net: nn.Module, tensors: dict[str, Tensor], features: Tensor, edges: Tensor) -> Tensor:
    """The hidden layer of a ``BitWidthNet`` at the given parameters."""
    out: list[Tensor] = []
    output = net.get_submodule("output")
    hook = output.register_forward_pre_hook(lambda _, inputs: out.append(inputs[0]))
    try:
        functional_call(net, tensors, (features, edges))
    finally:
        hook.remove()
    return out[0]


class GcnSpecies(GraphSpecies):
    """Graph convolution and graph attention."""

    name = "gcn"
    reads = "encoder.lin.weight"
    summary = "a graph convolution network reads the graph and gives every node its width"

    @staticmethod
    def build(features: int, hidden: int, widths: int) -> nn.Module:
        """A ``BitWidthNet`` that begins with a graph convolution."""
        net: nn.Module = library().gcn(features, hidden, widths)
        return net


class UnetSpecies(GraphSpecies):
    """Graph U-Net and graph attention."""

    name = "unet"
    reads = "encoder.down_convs.0.lin.weight"
    summary = "a Graph U-Net reads the graph, coarse and fine, and gives every node its width"

    @staticmethod
    def build(features: int, hidden: int, widths: int) -> nn.Module:
        """A ``BitWidthNet`` that begins with a Graph U-Net."""
        net: nn.Module = library().unet(features, hidden, widths)
        return net
