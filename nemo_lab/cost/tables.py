"""Cost tables: what each node costs at each bit-width, such as latency measured on a device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.cost.objectives import TAKEN
from nemo_lab.errors import ArgumentError, BitWidthError, DataError, UnknownNameError
from nemo_lab.workload.workload import Workload

if TYPE_CHECKING:
    import pandas as pd

WIDTHS = 32


def read_table(name: object, table: Any, workload: Workload, taken: tuple[str, ...]) -> NDArray[np.float64]:
    """Check a table and bring it to an array.

    Args:
        name: of the cost.
        table: a DataFrame (index: node names, columns: bit-widths), the path of a CSV of that shape (first
            column: node names), or a mapping node name -> {width: cost}. A row may have any name of a node,
            or the name of one of its quantizers; rows of one node are summed.
        workload: whose nodes are named.
        taken: names of other tables.

    Returns:
        float64[Q, 33]: cost of each node at each width, NaN where the table has none.

    Raises:
        ArgumentError: if the name is taken or no string.
        UnknownNameError: on a row that names no node; the hint proposes the nearest name.
        DataError: if the table cannot be read, is empty, lacks a node, or has costs that are no finite
            numbers of at least 0.
        BitWidthError: on a column that is no bit-width.
    """
    if not isinstance(name, str) or not name.strip():
        raise ArgumentError(f"a table is called {name!r}", "give a name, such as 'latency_ms'")
    if name in (*TAKEN, *taken):
        raise ArgumentError(f"there is a cost {name!r} already", "call the table something else")
    rows = _rows(name, table)
    if not rows or not any(rows.values()):
        raise DataError(f"table {name!r} is empty", "give a row for each node, a column for each bit-width")
    nodes = _node_names(workload)
    found: NDArray[np.float64] = np.full((len(workload.nodes), WIDTHS + 1), np.nan)
    seen: set[int] = set()
    for row, cells in rows.items():
        if row not in nodes:
            raise UnknownNameError(f"node of table {name!r} called", row, list(nodes))
        values = np.full(WIDTHS + 1, np.nan)
        for width, cost in cells.items():
            values[_width(name, width)] = _cost(name, row, width, cost)
        index = nodes[row]
        found[index] = values if index not in seen else found[index] + values
        seen.add(index)
    missing = [node.name for node in workload.nodes if node.index not in seen]
    if missing:
        raise DataError(
            f"table {name!r} has no row for node {missing[0]!r} ({len(missing)} of {len(found)} are missing)",
            "give every node a row, of zeros if it costs nothing",
        )
    return found


def missing_width(
    name: str, table: NDArray[np.float64], bits: NDArray[np.uint8], workload: Workload
) -> BitWidthError:
    """The error for configurations uint8[N, Q] that ask for a width the table lacks."""
    lacking = np.isnan(table[np.arange(len(table)), bits])
    row, node = np.argwhere(lacking)[0]
    has = ", ".join(str(width) for width in np.flatnonzero(~np.isnan(table[node])))
    return BitWidthError(
        f"table {name!r} has no cost of node {workload.nodes[node].name!r} at {bits[row, node]} bits",
        f"it has the widths {has or 'of no column'}",
    )


def _node_names(workload: Workload) -> dict[str, int]:
    """Every name of every node: its own, its aliases, its quantizers' and theirs; node names win."""
    names: dict[str, int] = {}
    for node in workload.nodes:
        for quantizer in node.quantizers:
            for name in (quantizer.name, *quantizer.aliases):
                names.setdefault(name, node.index)
    for node in reversed(workload.nodes):  # the first that has an alias keeps it, as in ``find``
        names.update(dict.fromkeys(node.aliases, node.index))
    names.update((node.name, node.index) for node in workload.nodes)
    return names


def _rows(name: str, table: Any) -> dict[str, dict[Any, Any]]:
    import pandas as pd

    if isinstance(table, str | os.PathLike):
        table = _read_csv(name, table)
    if isinstance(table, pd.DataFrame):
        for what, labels in (("row", table.index), ("column", table.columns)):
            if not labels.is_unique:
                twice = labels[labels.duplicated()].tolist()[0]
                raise DataError(f"table {name!r} has two {what}s {twice!r}", "keep one of them")
        columns = list(table.columns)
        return {
            row: dict(zip(columns, cells, strict=True))
            for row, cells in zip(table.index, table.to_numpy(dtype=object).tolist(), strict=True)
        }
    if isinstance(table, Mapping) and all(isinstance(cells, Mapping) for cells in table.values()):
        return {row: dict(cells) for row, cells in table.items()}
    raise ArgumentError(
        f"table {name!r} is a {type(table).__name__}",
        "give a DataFrame, the path of a CSV, or a mapping of node names to {width: cost}",
    )


def _read_csv(name: str, path: str | os.PathLike[str]) -> pd.DataFrame:
    import pandas as pd

    hint = "give a CSV whose first column has node names and whose other columns are called 2, 3, 4, ..."
    try:
        return pd.read_csv(path, index_col=0)
    except OSError as error:
        raise DataError(f"table {name!r} cannot be read: {error}", hint) from error
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:  # EmptyDataError is a ValueError
        raise DataError(f"table {name!r} is no CSV: {error}", hint) from error


def _width(name: str, label: Any) -> int:
    try:
        width = float(label)
    except (TypeError, ValueError):
        width = 0.0
    if not (1 <= width <= WIDTHS and width == int(width)):
        raise BitWidthError(f"table {name!r} has a column {label!r}", "call columns by bit-widths, 1 to 32")
    return int(width)


def _cost(name: str, row: str, width: Any, cost: Any) -> float:
    try:
        value = float(cost) if not isinstance(cost, bool | str) else float("nan")
    except (TypeError, ValueError):
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise DataError(
            f"table {name!r} has the cost {cost!r} for {row!r} at {width} bits",
            "give finite numbers, 0 or more",
        )
    return value
