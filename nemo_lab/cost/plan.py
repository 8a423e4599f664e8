"""A workload as flat arrays: what the cost kernels read.

Both costs have one form (docs/method.md, section 3): a constant, plus a sum over nodes of coefficient times
width, plus a sum over pairs of nodes that meet in a multiplication, of MACs times f(b_i, b_j), f being
``max`` or the product. What stays in full precision counts 32 bits.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ArgumentError
from nemo_lab.workload.workload import Workload

BitOps = Literal["max", "product"]
Scales = Literal["none", "per_tensor", "per_channel"]
FULL_PRECISION = 32
LINEAR, MAX, PRODUCT = 0, 1, 2
STEP = 16  # coefficients of a vector step; it passes over 32 columns, every second counts
LIMB = 15  # bits at most


@dataclass(frozen=True)
class Counts:
    """The coefficients of both costs, as whole numbers of any size.

    Attributes:
        constants: bits stored, and bit-operations done, whatever the configuration.
        linear: for both costs, node -> coefficient of its width.
        pairs: (node, node), ascending -> MACs, for the bit-operations.
        full: bits and bit-operations of the network in full precision.
    """

    constants: tuple[int, int]
    linear: tuple[dict[int, int], dict[int, int]]
    pairs: dict[tuple[int, int], int]
    full: tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """What ``nemo_lab.cost.kernels.sum_costs`` reads.

    Attributes:
        terms: int64[T, 6]: kind, cost (0 or 1), first column, offset, steps of 32 columns,
            position in ``limbs``. A term is a sum over every second column c of coefficient times x: x is
            b_c, or f(b_c, b_(c + offset)). Weights and activations mostly alternate and most pairs are
            neighbours, so few terms cover nearly all.
        units: float64[T, 2], what a unit of the low and the high limb counts.
        limbs: int16[...], coefficients of every term, [steps, 2, 16].
        pairs: int64[P, 3], the other pairs: node, node, kind.
        pair_macs: float64[P].
        constants: float64[2].
        full: float64[2].
    """

    terms: NDArray[np.int64]
    units: NDArray[np.float64]
    limbs: NDArray[np.int16]
    pairs: NDArray[np.int64]
    pair_macs: NDArray[np.float64]
    constants: NDArray[np.float64]
    full: NDArray[np.float64]


def count(workload: Workload, bitops: BitOps, scales: Scales) -> Counts:
    """Read the coefficients off a workload.

    Raises:
        ArgumentError: if the workload has no weights or no multiply-accumulates: no ratio is defined.
    """
    for what, total in (("weights", workload.params), ("multiply-accumulates", workload.macs)):
        if total == 0:
            raise ArgumentError(
                f"workload {workload.name!r} has no {what}, so a ratio of them is not defined",
                "trace a network with at least one convolution or linear layer",
            )
    stored = FULL_PRECISION * sum(part.params for part in workload.full_precision)
    per_mac = FULL_PRECISION if bitops == "max" else FULL_PRECISION**2
    done = per_mac * sum(part.macs for part in workload.full_precision)
    sizes: dict[int, int] = defaultdict(int)
    widths: dict[int, int] = defaultdict(int)
    pairs: dict[tuple[int, int], int] = defaultdict(int)
    for node in workload.nodes:
        sizes[node.index] += node.params
        for quantizer in node.quantizers if scales != "none" else ():
            copies = quantizer.channels if scales == "per_channel" and quantizer.kind == "weight" else 1
            stored += FULL_PRECISION * copies  # scales
            sizes[node.index] += copies  # zero points, integers of the node's width
    for layer in workload.layers:
        ends = sorted(end for end in layer.operands if end is not None)
        if not ends:
            done += per_mac * layer.macs
        elif len(ends) == 1 and bitops == "max":
            done += FULL_PRECISION * layer.macs  # no width is above 32
        elif len(ends) == 1:
            widths[ends[0]] += FULL_PRECISION * layer.macs
        elif ends[0] == ends[1] and bitops == "max":
            widths[ends[0]] += layer.macs
        else:
            pairs[ends[0], ends[1]] += layer.macs
    full = (FULL_PRECISION * workload.params, per_mac * workload.macs)
    return Counts((stored, done), (dict(sizes), dict(widths)), dict(pairs), full)


def make_plan(counts: Counts, num_nodes: int, bitops: BitOps) -> Plan:
    """Group coefficients into terms that vectors can sum, and a rest of pairs that stand alone."""
    kind = MAX if bitops == "max" else PRODUCT
    groups: list[tuple[int, int, int, dict[int, int]]] = [
        (LINEAR, cost, 0, coefficients) for cost, coefficients in enumerate(counts.linear)
    ]
    by_offset: dict[int, dict[int, int]] = defaultdict(dict)
    for (left, right), macs in counts.pairs.items():
        by_offset[right - left][left] = macs
    rest: list[tuple[int, int, int]] = []
    for offset, macs_of in sorted(by_offset.items()):
        if offset == 0 or 4 * len(macs_of) < 8 + (max(macs_of) - min(macs_of)) // STEP:
            rest += [(left, left + offset, kind) for left in sorted(macs_of)]
        else:
            groups.append((kind, 1, offset, macs_of))

    terms, units, tables = [], [], [np.empty(0, np.int16)]
    position = 0
    for (what, cost, offset, coefficients), odd in product(groups, (0, 1)):
        used = {column: value for column, value in coefficients.items() if value and column % 2 == odd}
        if not used:
            continue
        first = min(used)
        steps = (max(used) - first) // (2 * STEP) + 1
        greatest = FULL_PRECISION**2 if what == PRODUCT else FULL_PRECISION
        # a limb's sum over the row stays below 2**31
        size = min(LIMB, 31 - math.ceil(math.log2(greatest * STEP * steps)))
        unit = math.gcd(*used.values())
        remaining = np.zeros(steps * STEP, dtype=object)
        for column, value in used.items():
            remaining[(column - first) // 2] = value // unit
        while remaining.any():
            cut = [(remaining >> (size * i)) & (2**size - 1) for i in range(2)]
            table = np.array(cut).astype(np.int16).reshape(2, steps, STEP).swapaxes(0, 1)
            terms.append((what, cost, first, offset, steps, position))
            units.append((float(unit), float(unit << size)))
            tables.append(table.ravel())
            position += table.size
            remaining >>= 2 * size
            unit <<= 2 * size
    return Plan(
        np.array(terms, dtype=np.int64).reshape(-1, 6),
        np.array(units, dtype=np.float64).reshape(-1, 2),
        np.concatenate(tables),
        np.array(rest, dtype=np.int64).reshape(-1, 3),
        np.array([counts.pairs[i, j] for i, j, _ in rest], dtype=np.float64),
        np.array(counts.constants, dtype=np.float64),
        np.array(counts.full, dtype=np.float64),
    )
