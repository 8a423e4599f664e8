"""What the rounding of each node does to the outputs, from gradients, before anything is evaluated.

The damage of a node at a width is the divergence that its rounding error causes, to second order: half the
mean over examples of the square of (gradient of log p(y|x) by the node's tensor, times the rounding error),
with y drawn from what the network itself predicts. That is the quadratic form of the Fisher information, the
Hessian of the divergence at full precision (Martens, 2014, arXiv 1412.1193); no labels are needed.

Examples are drawn where the outcome is least certain: what the network is sure of tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import _pytree as pytree

from nemo_lab.interruption import check_interrupted
from nemo_lab.quantize.evaluation import Task
from nemo_lab.quantize.gradients import RoundingProducts
from nemo_lab.quantize.memory import backward_batch
from nemo_lab.quantize.metrics import Metric
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.scores import IGNORED, scores

SHARE, LEAST, MOST = 10, 17, 47  # of so many examples one is looked at, within these numbers
SIZES = (47, 31, 17, 11, 7, 5, 3, 2, 1)  # of a batch: primes, which hardly any other axis has for its length
EVEN = 0.1  # share of the draws that goes to all alike

Floats = NDArray[np.float64]


@dataclass
class Progress:
    """How far one came who was interrupted.

    Attributes:
        drawn: the examples that are looked at, and how many each of them stands for.
        batches: that are done.
        squares: of them, float[Q, W].
        random: state of the generator behind them.
    """

    drawn: tuple[Tensor, Tensor] | None = None
    batches: int = 0
    squares: Floats | None = None
    random: Tensor | None = None


def damages(
    network: QuantizedNetwork, task: Task, widths: Sequence[int], progress: Progress | None = None
) -> Floats:
    """Predicted damage of every node at every width, all others in full precision.

    Args:
        network: calibrated; in full precision afterwards.
        task: whose examples are looked at, some of them. By its first metric outputs are scores of classes;
            or all numbers of them count alike, each in units of their root mean square.
        widths: W of them.
        progress: is kept up to date; from one who was interrupted it goes on.

    Returns:
        float64[Q, W], in nats per example where outputs are scores of classes; NaN of a node that no
        gradient reaches.

    Raises:
        Interrupted: between two batches, see ``nemo_lab.check_interrupted``.
    """
    network.set_bits(None)
    metric, together = task.metrics[0], backward_batch(network.workload)
    count = min(task.count, max(LEAST, min(MOST, task.count // SHARE)))
    size = next(size for size in SIZES if size <= min(count, together))
    done = Progress() if progress is None else progress
    if done.drawn is None:
        done.drawn = _drawn(_doubts(network, task, metric), count - count % size)
    (places, weights), generator = done.drawn, torch.Generator().manual_seed(0)
    squares = np.full((len(network.workload.nodes), len(widths)), np.nan)
    if done.squares is not None and done.random is not None:
        squares = done.squares
        generator.set_state(done.random)
    for number in range(done.batches, len(places) // size):
        check_interrupted()
        products, part = RoundingProducts(network, widths, size), slice(number * size, (number + 1) * size)
        inputs, labels = _examples(task, places[part])
        with network.as_at_first(number):
            with torch.enable_grad():
                outputs = products.outputs(network.prepare(inputs))
                each = _log_likelihoods(outputs, labels, metric, generator)
                total = (each * weights[part].sqrt()).sum()
            if total.requires_grad:
                total.backward()
            with torch.no_grad():
                new = products.squares()
        squares = np.where(np.isnan(squares), new, squares + np.nan_to_num(new))
        done.batches, done.squares, done.random = number + 1, squares, generator.get_state()
    return squares / (2 * task.count)


def completed(found: Floats, sqnr: Floats) -> tuple[Floats, list[int]]:
    """Damages, with those of nodes that no gradient reaches guessed from their signal to noise ratio.

    Args:
        found: float64[Q, W], NaN where there is no gradient.
        sqnr: float64[Q, W] in dB. Noise counts as it does for the median of the other nodes.

    Returns:
        float64[Q, W], and the nodes that are guessed.
    """
    guessed = np.asarray(np.isnan(found).any(axis=1))
    noise = 10 ** (-np.clip(sqnr, -300, 300) / 10)
    told = np.log(np.maximum(found[~guessed], 1e-300) / noise[~guessed])
    usual = np.exp(np.median(told)) if told.size else 1.0
    return np.where(guessed[:, None], usual * noise, found), np.flatnonzero(guessed).tolist()


def _doubts(network: QuantizedNetwork, task: Task, metric: Metric) -> Tensor:
    """1 - sum p^2 of each example, added up over its places: the squared gradient by its scores.

    Of other outputs than scores of classes all examples count alike.
    """
    if not metric.classes:
        return torch.ones(task.count, dtype=torch.float64)
    found = []
    for number, (inputs, _, reference) in enumerate(task.batches):
        check_interrupted()
        given = scores(network(inputs, number) if reference is None else reference).double().cpu()
        found.append((1 - torch.softmax(given, -1).square().sum(-1)).reshape(len(given), -1).sum(1))
    doubts = torch.cat(found).nan_to_num(0.0).clamp(min=0.0)
    return doubts + EVEN * doubts.mean() + 1e-30


def _examples(task: Task, places: Tensor) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Inputs and labels of some examples, by their number among all."""
    ends = torch.tensor([len(inputs[0]) for inputs, _, _ in task.batches]).cumsum(0)
    batches = torch.searchsorted(ends, places, right=True)
    starts = torch.cat([ends.new_zeros(1), ends])[batches]
    rows = [(task.batches[int(b)], int(row)) for b, row in zip(batches, places - starts, strict=True)]
    leaves = range(len(task.batches[0][0]))
    inputs = tuple(torch.stack([batch[0][leaf][row] for batch, row in rows]) for leaf in leaves)
    marks = [batch[1][row] for batch, row in rows if batch[1] is not None]
    return inputs, torch.stack(marks) if marks else None


def _drawn(doubts: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Examples drawn systematically in proportion to their doubts, and how many each of them stands for."""
    reached = doubts.cumsum(0)
    marks = (torch.arange(count, dtype=reached.dtype) + 0.5) / count * reached[-1]
    places = torch.searchsorted(reached, marks).clamp(max=len(doubts) - 1)
    return places, (reached[-1] / (count * doubts[places])).float()


def _log_likelihoods(
    outputs: Any, labels: Tensor | None, metric: Metric, generator: torch.Generator
) -> Tensor:
    """Of outcomes that are drawn from the outputs, float[N] on the CPU."""
    if metric.classes:
        found = scores(outputs)
        logs = torch.log_softmax(found.float(), -1).cpu()
        flat = logs.reshape(-1, logs.shape[-1])
        drawn = torch.multinomial(flat.detach().exp(), 1, generator=generator)
        each = flat.gather(1, drawn).reshape(logs.shape[:-1])
        if labels is not None and labels.shape == each.shape and each.ndim > 1:
            each = each * (labels.cpu() != IGNORED)
        return each.reshape(len(found), -1).sum(1)
    leaves = [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]
    parts = []
    for leaf in (leaf.float().cpu() for leaf in leaves if leaf.is_floating_point()):
        size = leaf.detach().square().mean().sqrt().clamp(min=1e-30)
        noise = torch.randn(leaf.shape, generator=generator)
        parts.append((leaf * noise / size).reshape(len(leaf), -1).sum(1))
    return torch.stack(parts).sum(0)
