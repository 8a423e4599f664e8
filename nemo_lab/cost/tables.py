"""Cost tables: what each node costs at each bit-width, such as latency measured on a device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.cost.objectives import TAKEN
from nemo_lab.errors import ArgumentError, BitWidthError, DataError, shown
from nemo_lab.workload.names import Found
from nemo_lab.workload.workload import Workload

if TYPE_CHECKING:
    import pandas as pd

WIDTHS = 32


def read_table(name: object, table: Any, workload: Workload, taken: tuple[str, ...]) -> NDArray[np.float64]:
    """Check a table and bring it to an array.

    Rows are called as ``nemo_lab.workload.names`` says. A row for one node, by its name or that of its layer,
    has its cost; several for the same are summed, such as those of tied quantizers. A glob, kind or function
    gives its cost to each node that it means and that no other row is for; of several the last counts. A
    layer or module of more nodes than one is refused: its cost could be meant for all of them together.

    Args:
        name: of the cost.
        table: a DataFrame (index: names, columns: bit-widths), the path of a CSV of that shape (first
            column: names), or a mapping name -> {width: cost}.
        workload: whose nodes are named.
        taken: names of other tables.

    Returns:
        float64[Q, 33]: cost of each node at each width, NaN where the table has none.

    Raises:
        ArgumentError: if the name is taken or not text, or a row is not a name, or a layer or module of
            several nodes.
        UnknownNameError: on a row that names no node; the hint proposes the nearest name.
        DataError: if the table cannot be read, is empty, lacks a node, or has costs that are not finite
            numbers of at least 0.
        BitWidthError: on a column that is not a bit-width.
    """
    if not isinstance(name, str) or not name.strip():
        raise ArgumentError(f"the name of a table is {shown(name)}", "give a name, such as 'latency_ms'")
    if name in (*TAKEN, *taken):
        raise ArgumentError(f"there is a cost {name!r} already", "call the table something else")
    rows = _rows(name, table)
    if not rows or not any(rows.values()):
        raise DataError(f"table {name!r} is empty", "give a row for each node, a column for each bit-width")
    general: dict[int, NDArray[np.float64]] = {}
    own: dict[int, NDArray[np.float64]] = {}
    for row, cells in rows.items():
        found = workload.resolver.find(row, f"table {name!r}", f"node of table {name!r} called")
        values = np.full(WIDTHS + 1, np.nan)
        for width, cost in cells.items():
            values[_width(name, width)] = _cost(name, row, width, cost)
        if found.by in ("glob", "kind", "function"):
            general.update(dict.fromkeys(found.nodes, values))
        elif len(found.nodes) == 1:
            node = found.nodes[0]
            own[node] = own[node] + values if node in own else values
        else:
            raise _several(name, row, found, workload)
    rest = {**general, **own}
    missing = [node.name for node in workload.nodes if node.index not in rest]
    if missing:
        raise DataError(
            f"table {name!r} has no row for node {missing[0]!r} "
            f"({len(missing)} of {len(workload.nodes)} are missing)",
            "give every node a row, of zeros if it costs nothing",
        )
    return np.array([rest[node.index] for node in workload.nodes])


def _several(name: str, row: str, found: Found, workload: Workload) -> ArgumentError:
    called = [workload.names[node] for node in found.nodes]
    listed = ", ".join(map(repr, called[:8])) + (", ..." if len(called) > 8 else "")
    return ArgumentError(
        f"table {name!r} has one row {row!r} for the {len(called)} nodes of a {found.by}",
        f"give a row to each: {listed}",
    )


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
    except Exception as error:  # no CSV, or what the object's own methods raise
        raise DataError(f"table {name!r} is not a CSV: {error}", hint) from error


def _width(name: str, label: Any) -> int:
    try:
        width = float(label)
    except Exception:
        width = 0.0
    if not (1 <= width <= WIDTHS and width == int(width)):
        raise BitWidthError(
            f"table {name!r} has a column {shown(label)}", "call columns by bit-widths, 1 to 32"
        )
    return int(width)


def _cost(name: str, row: str, width: Any, cost: Any) -> float:
    try:
        value = float(cost) if not isinstance(cost, bool | str) else float("nan")
    except Exception:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise DataError(
            f"table {name!r} has the cost {shown(cost)} for {row!r} at {width} bits",
            "give finite numbers, 0 or more",
        )
    return value
