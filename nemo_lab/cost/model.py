"""The checked front of the cost kernels."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from nemo_lab.arguments import Choice, Domain, Flag, Instance, OrNone, Several, Whole
from nemo_lab.cost.bits import as_bits, as_rows, check_mask, counted
from nemo_lab.cost.counts import BitOps, Scales, Storage, count
from nemo_lab.cost.objectives import RATIOS
from nemo_lab.cost.tables import missing_width, read_table
from nemo_lab.errors import ArgumentError, BitWidthError
from nemo_lab.workload.records import FULL_PRECISION
from nemo_lab.workload.workload import Workload

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COST_NAMES", "BitOps", "CostModel", "Scales", "Storage", "as_bits"]
COST_NAMES = tuple(one.name for one in RATIOS)
ABSOLUTE = np.array([8e6, 1e9])  # bits in a megabyte, giga
TABLES: Domain[Mapping[str, Any]] = Instance(Mapping, words="a mapping from names to tables")  # type: ignore[type-abstract]
WIDTHS = Several(Whole(1, FULL_PRECISION), least=1, words="at least one bit-width, each 1 to 32")


class CostModel:
    """Exact costs of bit-width configurations, as ratios to the 32-bit network and in absolute numbers.

    Args:
        workload: whose layers are counted.
        bitops: ``"max"``: a MAC costs the wider of its two operands (the paper's linear form);
            ``"product"``: the product of both widths (HAQ, HAWQ). docs/method.md, section 3.
        storage: what the model size counts: ``"weights"`` alone, as most of the literature does; or the
            ``"payload"``, all that the network needs: also biases, what else is not quantized, and scales.
        scales: whether scales and zero points count: ``"none"``, which is the default of weights;
            ``"per_tensor"``, which is that of a payload: 32 and b bits for each quantizer; or
            ``"per_channel"``: as many of each for a weight as it has channels.
        fold: whether a payload has batch norms folded into convolutions, which then have a bias.
        equalize: whether it is of equalized layers, where what limits channels, as ReLU6 does, is stored.
        tables: further costs, each a sum over nodes: name -> DataFrame (index: node names, columns:
            bit-widths), path of a CSV of that shape, or mapping node name -> {width: cost}.

    Attributes:
        cost_names: what each column of ``evaluate`` is.

    Raises:
        ArgumentError: on an unknown option, a name that is taken, or a workload without weights or MACs.
        NemoError: on a table that cannot be used, see ``nemo_lab.cost.tables.read_table``.

    >>> from nemo_lab import load_workload
    >>> costs = CostModel(load_workload("digits"))
    >>> costs.evaluate([[8] * 36]).tolist()
    [[0.25, 0.25]]
    """

    def __init__(
        self,
        workload: Workload,
        bitops: BitOps = "max",
        *,
        storage: Storage = "weights",
        scales: Scales | None = None,
        fold: bool = True,
        equalize: bool = False,
        tables: Mapping[str, Any] | None = None,
    ) -> None:
        Choice(get_args(BitOps)).check("bitops", bitops)
        Choice(get_args(Storage)).check("storage", storage)
        OrNone(Choice(get_args(Scales))).check("scales", scales)
        if storage == "payload" and scales == "none":
            raise ArgumentError(
                "scales='none' in a payload, which has them", "give 'per_tensor' or 'per_channel'"
            )
        tables = OrNone(TABLES).check("tables", tables) or {}
        self.workload = Instance(Workload).check("workload", workload)
        self.bitops: BitOps = bitops
        self.storage: Storage = storage
        self.scales: Scales = scales or ("none" if storage == "weights" else "per_tensor")
        self.fold, self.equalize = Flag().check("fold", fold), Flag().check("equalize", equalize)
        self._num_nodes = len(workload.nodes)
        self._counts = count(workload, bitops, storage, self.scales, self.fold, self.equalize)
        self.cost_names: tuple[str, ...] = COST_NAMES
        self._tables = np.empty((0, self._num_nodes, FULL_PRECISION + 1))
        for name, table in tables.items():
            self._add(name, table)

    def with_table(self, name: str, table: Any) -> CostModel:
        """A cost model with one more table; this one stays as it is."""
        model = copy.copy(self)
        model._add(name, table)
        return model

    def _add(self, name: str, table: Any) -> None:
        read = read_table(name, table, self.workload, self.cost_names)
        self._tables = np.concatenate([self._tables, read[None]])
        self.cost_names = (*self.cost_names, name)

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """Costs of every configuration, in the order of ``cost_names``.

        Args:
            bits: integers[N, Q] or [Q], each 1 to 32.

        Returns:
            float64[N, 2 + tables]: model ratio, bit-operation ratio, then the tables' costs.

        Raises:
            BitWidthError: on a wrong shape, fractions, widths outside 1 to 32, or a width that a table lacks.
        """
        return self._run(bits, self._counts.full)

    def absolute(self, bits: Any) -> NDArray[np.float64]:
        """Model size in MB (10^6 bytes) and 10^9 bit-operations: integers[N, Q] -> float64[N, 2].

        A MAC counts max(b_w, b_a) bit-operations, or b_w * b_a, as ``bitops`` says.

        Raises:
            BitWidthError: as ``evaluate``.
        """
        return self._run(bits, ABSOLUTE)[:, :2]

    @property
    def full_precision(self) -> tuple[float, float]:
        """Size in MB and work in 10^9 bit-operations of the network with 32 bits everywhere."""
        size, work = (self._counts.full / ABSOLUTE).tolist()
        return size, work

    def to_frame(self, bits: Any) -> pd.DataFrame:
        """A table, one row a configuration: ratios, ``model_mb``, ``gbops``, then the tables' costs."""
        import pandas as pd

        rows = as_bits(bits, self._num_nodes)
        costs, absolute = self.evaluate(rows), self.absolute(rows)
        columns = [*COST_NAMES, "model_mb", "gbops", *self.cost_names[2:]]
        return pd.DataFrame(np.hstack([costs[:, :2], absolute, costs[:, 2:]]), columns=columns)

    def uniform(self, width: int) -> tuple[float, ...]:
        """All costs of the network with one width everywhere; needs no compiled kernel.

        Raises:
            BitWidthError: on a width outside 1 to 32, or one that a table lacks.
        """
        bits = as_bits([[width] * self._num_nodes], self._num_nodes)
        sums = self._tables[:, :, int(bits[0, 0])].sum(axis=1)
        self._check_tables(sums[None], bits)
        return (*self._ratios(bits[0]), *sums.tolist())

    def _ratios(self, row: NDArray[Any]) -> tuple[float, float]:
        """Both ratios of widths [Q]."""
        counts, widths = self._counts, row.astype(np.float64)
        nodes = counts.operands
        operands = np.where(nodes < 0, -nodes, widths[nodes.clip(0)])
        per_mac = operands.max(axis=1) if self.bitops == "max" else operands.prod(axis=1)
        totals = counts.constants + np.array([counts.params @ widths, counts.macs @ per_mac])
        size, work = (totals / counts.full).tolist()
        return size, work

    def bounds(self, widths: Iterable[int], allowed: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """float64[2, K]: the lowest and the highest value that each cost takes over the given widths.

        Args:
            widths: W of them.
            allowed: bool[Q, W], which of the widths in ascending order each node may take; None if all.

        Raises:
            BitWidthError: without a width, or as ``uniform``.
            ArgumentError: if ``allowed`` is not such a mask, or leaves a node without a width.
        """
        try:
            chosen = sorted(set(WIDTHS.check("widths", widths)))
        except ArgumentError as error:
            raise BitWidthError(error.message, error.hint) from None
        if allowed is not None:
            check_mask(allowed, (self._num_nodes, len(chosen)))
            return np.array(
                [self._end(chosen, allowed, *end) for end in ((np.min, np.inf), (np.max, -np.inf))]
            )
        every = np.array([self.uniform(width) for width in chosen])
        of_tables = self._tables[:, :, chosen]
        low = [*every[0, :2], *of_tables.min(axis=2).sum(axis=1)]
        high = [*every[-1, :2], *of_tables.max(axis=2).sum(axis=1)]
        return np.array([low, high])

    def _end(self, widths: list[int], allowed: NDArray[np.bool_], best: Any, worst: float) -> list[float]:
        row = best(np.where(allowed, widths, worst), axis=1)
        of_tables = best(np.where(allowed, self._tables[:, :, widths], worst), axis=2).sum(axis=1)
        self._check_tables(of_tables[None], row[None].astype(np.uint8))
        return [*self._ratios(row), *of_tables]

    def neighbours(self, bits: Any, widths: Sequence[int] | NDArray[np.uint8]) -> NDArray[np.float64]:
        """Costs of all configurations that differ from one in a single node.

        The same numbers as ``evaluate`` gives for these Q * W rows, as long as the sums are exact (below
        2**53, which no known network reaches), at a small part of the work.

        Args:
            bits: integers[Q], each 1 to 32.
            widths: W of them, each 1 to 32.

        Returns:
            float64[2 + tables, Q, W]: each cost with node q at the w-th width and all others as they are.

        Raises:
            BitWidthError: as ``evaluate``.
        """
        from nemo_lab.cost import kernels  # numba is paid for by the first evaluation, not by an import

        row = as_rows(bits, self._num_nodes)
        others = as_rows(*counted(widths))
        if len(row) != 1:
            raise BitWidthError(f"these are {len(row)} configurations", "give one, integers[Q]")
        out = np.empty((len(self.cost_names), self._num_nodes, others.size))
        if not kernels.evaluate_neighbours(row, others, *self._arrays(self._counts.full), out):
            as_bits(np.concatenate([row, others], axis=1), row.size + others.size)  # raises
        for _, q, w in np.argwhere(np.isnan(out))[:1] if len(self._tables) else ():
            changed = row.copy()
            changed[0, q] = others[0, w]
            self._check_tables(out[2:, q, w][None], changed)
        return out

    def _run(self, bits: Any, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """``evaluate`` with sizes and work divided by ``units`` float64[2]."""
        from nemo_lab.cost import kernels

        rows = as_rows(bits, self._num_nodes)
        out = np.empty((len(rows), len(self.cost_names)))
        if not kernels.evaluate(rows, *self._arrays(units), out):
            as_bits(rows, self._num_nodes)  # raises
        if len(self._tables):
            self._check_tables(out[:, 2:], rows)
        return out

    def _arrays(self, units: NDArray[np.float64]) -> tuple[Any, ...]:
        counts, product = self._counts, self.bitops == "product"
        return (counts.params, counts.operands, counts.macs, product, counts.constants, units, self._tables)

    def _check_tables(self, sums: NDArray[np.float64], bits: NDArray[np.uint8]) -> None:
        unknown = np.isnan(sums)
        if unknown.any():
            row, k = np.argwhere(unknown)[0]
            raise missing_width(self.cost_names[2 + k], self._tables[k], bits[row : row + 1], self.workload)
