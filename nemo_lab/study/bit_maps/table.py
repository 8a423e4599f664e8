"""Tables of names and widths as spreadsheets and pandas write them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nemo_lab.errors import DataError

DELIMITERS = "\t;,"
NODE, BITS = "node", "bits"  # the columns, as we write them
NAMES = (NODE, "name", "layer", "module", "quantizer", "tensor")  # how others call the first ...
WIDTHS = (
    BITS,
    "bit",
    "width",
    "bit_width",
    "bit-width",
    "bitwidth",
    "n_bits",
    "num_bits",
)  # ... and the second
WHOLE = re.compile(r"\s*\+?(\d{1,9})(?:\.0*)?\s*")


@dataclass(frozen=True)
class Entry:
    """A width in a file.

    Attributes:
        name: of what has it.
        bits: the width as it was found, a whole number as an int.
        where: it stands, for errors.
    """

    name: str
    bits: Any
    where: str


def entries_of(text: str, file: str, known: Callable[[str], bool]) -> Iterator[Entry]:
    """The rows of a table: one node or layer, and one width, in each.

    Columns are separated by comma, semicolon or tab. Two columns need no header; of more, the header says
    which are meant: ``node`` (or ``name``, ``layer``, ``module``, ``quantizer``, ``tensor``) and ``bits`` (or
    ``bit``, ``width``, ``bit_width``, ``n_bits``, ``num_bits``), whatever their case. Without a column for
    names, one that has no name of its own holds them, as pandas writes an index. Blank lines are left out.

    Args:
        text: of the table.
        file: for errors.
        known: whether a text names nodes, so that a first row of data is not taken for a header.

    Raises:
        DataError: if the columns cannot be told.
    """
    rows = _rows(text, file)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{file} has no rows", f"write {NODE},{BITS} and a row for every node")
    line, cells = first
    columns = _columns(cells, line, known)
    if columns is None:
        columns = (0, 1)
        yield _entry(cells, columns, line, 2)
    for line, row in rows:
        yield _entry(row, columns, line, len(cells))


def whole(cell: Any) -> Any:
    """A text that is a whole number as an int, anything else as it is.

    >>> whole(" 4.0"), whole("4.5"), whole(4)
    (4, '4.5', 4)
    """
    found = WHOLE.fullmatch(cell) if isinstance(cell, str) else None
    return int(found[1]) if found else cell


def _rows(text: str, file: str) -> Iterator[tuple[str, list[str]]]:
    """Where each row stands, and its cells, without blank ones at the end."""
    delimiter = next((one for one in DELIMITERS if _splits(text, one)), None)
    if delimiter is None:
        raise DataError(
            f"{file} is neither JSON nor a table of two columns",
            f"write {NODE},{BITS} and a row for every node, such as stem.conv.weight,8",
        )
    reader, line = _reader(text, delimiter), 1
    try:
        for row in reader:
            while row and not row[-1].strip():
                row.pop()
            if row:
                yield f"line {line} of {file}", row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"line {line} of {file} cannot be read: {error}", "save it as CSV again") from error


def _splits(text: str, delimiter: str) -> bool:
    """Whether a delimiter takes the first row that is not blank apart."""
    try:
        return len(next((row for row in _reader(text, delimiter) if "".join(row).strip()), [])) > 1
    except csv.Error:
        return False


def _reader(text: str, delimiter: str) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)


def _columns(cells: Sequence[str], line: str, known: Callable[[str], bool]) -> tuple[int, int] | None:
    """Where names and widths stand by a header; None if the row is one of data."""
    words = [cell.strip().casefold() for cell in cells]
    if len(words) == 2:
        data = isinstance(whole(cells[1]), int) and known(cells[0].strip())
        if data or ("" not in words and not {*words} & {*NAMES, *WIDTHS}):
            return None
        return (1, 0) if words[1] in NAMES or words[0] in WIDTHS else (0, 1)
    names, widths = _called(words, NAMES, line), _called(words, WIDTHS, line)
    if names is None and "" in words:
        names = words.index("")
    if names is None or widths is None:
        missing = NODE if names is None else BITS
        raise DataError(
            f"{line} calls none of its {len(words)} columns {missing!r}",
            f"call the two columns that are meant {NODE} and {BITS}",
        )
    return names, widths


def _called(words: Sequence[str], wanted: Sequence[str], line: str) -> int | None:
    """The column that has our name, or the only one with another of the names."""
    found = [column for column, word in enumerate(words) if word in wanted]
    ours = [column for column in found if words[column] == wanted[0]] or found
    if len(ours) > 1:
        raise DataError(
            f"{line} has several columns for one thing: {', '.join(words[column] for column in ours)}",
            f"call the one that is meant {wanted[0]}",
        )
    return ours[0] if ours else None


def _entry(row: Sequence[str], columns: tuple[int, int], line: str, width: int) -> Entry:
    if not max(columns) < len(row) <= width:
        raise DataError(
            f"{line} has {len(row)} {'cell' if len(row) == 1 else 'cells'} of {width}",
            "give each row a name and a width; a name with a separator in it belongs in quotes",
        )
    name, bits = (row[column] for column in columns)
    return Entry(name, whole(bits), line)
