"""The problems compared: four real networks, and two big ones whose accuracy is synthetic."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nemo_lab as nl
from benchmarks.search import foresight, sentences
from nemo_lab.cost.bits import as_bits
from nemo_lab.cost.objectives import cost_objectives
from nemo_lab.objective import MEASURED
from nemo_lab.search import Problem
from nemo_lab.workload.records import Node

BIT_WIDTHS = (2, 3, 4, 5, 6, 7, 8)
IMAGES = 1000  # the accuracy is that of a subset, so it has steps
STAGES = 6  # parts of a network in which shifts of the mean add up


@dataclass(frozen=True)
class Network:
    """A network of torchvision, whose accuracy with one width everywhere is given.

    Attributes:
        name: of the workload.
        full, at_six, at_four: top-1 accuracy in full precision and with every node at 6 and at 4 bits.
        heavy: standard deviation of the logarithm of the nodes' sensitivities.
        seed: of everything drawn.
    """

    name: str
    full: float
    at_six: float
    at_four: float
    heavy: float
    seed: int


NETWORKS = (
    Network("mobilenet_v2", full=0.72, at_six=0.70, at_four=0.02, heavy=1.1, seed=1),
    Network("resnext101_32x8d", full=0.793, at_six=0.785, at_four=0.35, heavy=1.3, seed=2),
)


class SyntheticProblem(Problem):
    """Exact costs of a real network, with a made-up accuracy that is quick to evaluate.

    Every node q at b bits adds noise of power ``p = s_q * r_q**-(b - 4) * jitter[q, b]``: sensitivities
    ``s_q`` are log-normal with a heavy tail and depend on the kind of node, slopes ``r_q`` scatter about
    the 4 of a rounding error, and the jitter makes some nodes better with a bit less. The noise of nodes
    that touch (the weights and the input of a layer, a layer and the next, both ends of a residual
    branch) is correlated, with a sign and a strength drawn for every pair and its two widths: pairs add
    up or cancel. A part of the noise is a shift of the mean, of either sign, and these add up linearly
    over the nodes of a stage.

        noise = sum_q p_q + sum_(i, j) 2 rho_ij(b_i, b_j) sqrt(p_i p_j)
                + sum_(stages t) (sum_(q in t) u_q(b_q) sqrt(p_q)) ** 2
        accuracy = chance + (full - chance) * exp(-noise ** power)

    ``full`` is the accuracy in full precision; the scale of the noise and ``power`` are what brings the
    uniform 6 and 4 bits to their given accuracies. A thousand images are counted, of which a few more or
    fewer are right: by a hash of the configuration, as many as the noise can have turned around.

    Nothing of it is the search's own model of damage: no surrogate in ``nemo_lab`` can be exact on it.
    """

    chance = 0.001

    def __init__(self, network: Network) -> None:
        self.workload = nl.load_workload(network.name, pretrained=False)
        for module in (self.workload.module, self.workload.graph):
            module.to("meta")  # only sizes count: let go of the weights
        self.cost_model = nl.CostModel(self.workload, bitops="max")
        self.num_nodes = len(self.workload.nodes)
        self.node_names = self.workload.names
        self.bit_widths = BIT_WIDTHS
        self.cost_names = self.cost_model.cost_names
        model = self.cost_model
        costs = cost_objectives(model.cost_names, model.full_precision, model.bounds(self.bit_widths))
        self.objectives = (MEASURED["top1"], *costs)
        self.objective_names = tuple(one.name for one in self.objectives)
        self.node_features = self.workload.features
        self.edges = self.workload.edges
        self.network = network

        rng = np.random.default_rng(network.seed)
        self._amplitudes = _amplitudes(self.workload.nodes, network.heavy, rng)
        self._left, self._right, self._rho = _pairs(self.workload, rng)
        size = (self.num_nodes, 1 + BIT_WIDTHS[-1])
        self._shift = np.tanh(rng.normal(0, 1, (self.num_nodes, 1)) + rng.normal(0, 0.7, size))
        self._stages = np.linspace(0, self.num_nodes, STAGES, endpoint=False).astype(int)
        self._hashes = rng.integers(2**64, size=size, dtype=np.uint64)
        self._rows = np.arange(self.num_nodes)
        self._pair = np.arange(len(self._left))
        self._power = 1.0
        self._calibrate()

    @property
    def objective_bounds(self) -> NDArray[np.float64]:
        """float64[2, 3]: what no configuration can be better or worse than."""
        low, high = self.cost_model.bounds(self.bit_widths)
        return np.array([[0.0, *low], [1.0, *high]])

    def costs(self, bits: Any) -> NDArray[np.float64]:
        """Model ratio and bit-operation ratio: integers[N, Q] -> float64[N, 2]."""
        return self.cost_model.evaluate(bits)

    def neighbour_costs(self, bits: Any) -> NDArray[np.float64]:
        """Costs with one node alone at each width: integers[Q] -> float64[2, Q, W]."""
        return self.cost_model.neighbours(bits, np.array(self.bit_widths, dtype=np.uint8))

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """Task error, model ratio and bit-operation ratio: integers[N, Q] -> float64[N, 3]."""
        rows = as_bits(bits, self.num_nodes, self.bit_widths)
        return np.column_stack([self._errors(rows), self.costs(rows)])

    def sensitivity(self) -> NDArray[np.float64]:
        """Noise of each node alone, as gradients would tell it: float64[Q, W]."""
        truth = self._amplitudes[:, BIT_WIDTHS] ** 2
        return foresight.blurred(truth, BIT_WIDTHS, np.random.default_rng(self.network.seed))

    def accuracy(self, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Expected accuracy, before images are counted: uint8[N, Q] -> float64[N]."""
        return self.chance + (self.network.full - self.chance) * self._kept(bits)

    def _errors(self, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
        kept = self._kept(bits)
        accuracy = self.chance + (self.network.full - self.chance) * kept
        turned = np.sqrt(IMAGES * accuracy * (1 - kept))
        right = np.rint(IMAGES * accuracy + turned * self._draws(bits))
        return np.asarray(1 - np.clip(right, 0, IMAGES) / IMAGES)

    def _kept(self, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Share of the accuracy above chance that is left, float64[N]."""
        return np.asarray(np.exp(-(self._noise(bits) ** self._power)))

    def _noise(self, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
        each = self._amplitudes[self._rows, bits]
        left, right = self._left, self._right
        rho = self._rho[self._pair, bits[:, left], bits[:, right]]
        scatter = np.einsum("nq,nq->n", each, each)
        scatter += np.einsum("np,np,np->n", rho, each[:, left], each[:, right])
        shifts = np.add.reduceat(each * self._shift[self._rows, bits], self._stages, axis=1)
        return np.asarray(scatter + np.einsum("ns,ns->n", shifts, shifts))

    def _draws(self, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
        """float64[N] of mean 0 and variance 1, always the same for the same configuration."""
        mixed = np.bitwise_xor.reduce(self._hashes[self._rows, bits], axis=1)
        parts = mixed[:, None] >> np.array([0, 16, 32, 48], dtype=np.uint64) & np.uint64(0xFFFF)
        return np.asarray((parts.sum(axis=1) / 2.0**16 - 2) * np.sqrt(3.0))  # of four uniform numbers

    def _calibrate(self) -> None:
        full, chance = self.network.full, self.chance
        uniform = np.repeat(np.array([[6], [4]], dtype=np.uint8), self.num_nodes, axis=1)
        wanted = -np.log(
            np.array([self.network.at_six - chance, self.network.at_four - chance]) / (full - chance)
        )
        six, four = self._noise(uniform)
        self._power = float(np.log(wanted[1] / wanted[0]) / np.log(four / six))
        self._amplitudes *= np.sqrt(wanted[1] ** (1 / self._power) / four)


def _amplitudes(nodes: tuple[Node, ...], heavy: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise amplitude of every node at every width, float64[Q, 9], of no scale in particular."""
    count = len(nodes)
    ends = np.zeros(count)
    ends[[0, 1, -2, -1]] = 1.0
    depthwise = np.array([node.depthwise for node in nodes])
    activation = np.array([node.kind == "activation" for node in nodes])
    narrow = np.array([node.op in ("batch norm", "add") for node in nodes])
    early = np.linspace(1, 0, count)
    sensitivity = 1.5 * depthwise + 0.1 * activation + 0.5 * narrow + 1.0 * ends + 0.8 * early
    sensitivity += heavy * rng.standard_t(5, count) / np.sqrt(5 / 3)
    slope = np.log(4) * rng.uniform(0.7, 1.2, count)
    widths = np.arange(1 + BIT_WIDTHS[-1])
    jitter = rng.normal(0, 0.6, (count, len(widths)))
    power = sensitivity[:, None] - slope[:, None] * (widths - 4) + jitter
    return np.exp(power / 2)


def _pairs(workload: nl.Workload, rng: np.random.Generator) -> tuple[NDArray[Any], ...]:
    """Nodes whose noise is correlated, and twice the correlation: int[P], int[P], float[P, 9, 9].

    The last one is by the widths of the left and the right node. Each node shares its noise out among its
    pairs, most of it to one or two of them, so that no sum of noise is ever negative.
    """
    left, right = np.unique(np.sort(workload.topology, axis=0), axis=1)
    closeness = np.exp(rng.normal(0, 1.5, len(left)))
    ends, twice = np.concatenate([left, right]), np.tile(closeness, 2)
    shared = np.bincount(ends, twice, minlength=len(workload.nodes))
    most = closeness / np.sqrt(shared[left] * shared[right])
    lean = rng.normal(0.3, 1.0, len(left))
    widths = 1 + BIT_WIDTHS[-1]
    signed = np.tanh(lean[:, None, None] + rng.normal(0, 0.7, (len(left), widths, widths)))
    return left, right, 2 * most[:, None, None] * signed


def _synthetic(network: Network) -> Callable[[], SyntheticProblem]:
    return functools.cache(lambda: SyntheticProblem(network))


def _real(name: str) -> Callable[[], nl.QuantizationProblem]:
    """A new problem at each call, because it remembers what it evaluated."""
    return lambda: nl.QuantizationProblem(nl.load_workload(name))


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "digits": _real("digits"),
    "fashion": _real("fashion"),
    "text": _real("text"),
    "minilm": lambda: sentences.problem(threads=1),
    **{network.name: _synthetic(network) for network in NETWORKS},
}
TITLES = {network.name: f"{network.name}, synthetic accuracy" for network in NETWORKS} | {
    "text": "text, perplexity of a causal transformer",
    "minilm": "all-MiniLM-L6-v2, half the cosine distance to full precision",
}
