"""The bit map of a configuration, name -> width, in a file that any tool reads; and back."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nemo_lab.arguments import File, OrNone, Whole
from nemo_lab.errors import ArgumentError
from nemo_lab.export.record import PROBLEM, STUDY, write_json
from nemo_lab.files import write_text
from nemo_lab.search import Problem
from nemo_lab.study import Study
from nemo_lab.study.bit_maps.reading import read_bits
from nemo_lab.study.bit_maps.table import BITS, NODE
from nemo_lab.study.parsing.configs import known_config
from nemo_lab.workload.records import FULL_PRECISION

DEFAULT = OrNone(Whole(1, FULL_PRECISION))


def save_bits(study: Study, config_id: int, path: str | os.PathLike[str]) -> Path:
    """Write the width of every node, and nothing else.

    A file of that name is replaced, or left whole on failure.

    Args:
        study: where the configuration was evaluated.
        config_id: its number, as in ``study.front().index``.
        path: ``"bits.json"`` for ``{"stem.conv.weight": 8, ...}``, ``"bits.csv"`` for a table of the columns
            ``node`` and ``bits``, separated by commas. ``load_bits`` reads both; ``save_json`` writes a
            richer record.

    Raises:
        UnknownNameError: if there is no evaluation of that number.
        ArgumentError: if the name ends otherwise, or the file cannot be written.

    >>> import tempfile
    >>> from nemo_lab import create_study
    >>> study = create_study("digits", population=8, min_size=2).optimize(1, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(*save_bits(study, 0, f"{folder}/bits.csv").read_text().splitlines()[:3])
    node,bits stem.conv.input,2 stem.conv.weight,2
    """
    snapshot, path = STUDY.check("study", study).snapshot, File().check("path", path)
    config = known_config(config_id, len(snapshot.evaluations))
    bits = dict(zip(study.problem.node_names, snapshot.evaluations.bits[config].tolist(), strict=True))
    match os.path.splitext(path)[1].lower():
        case ".json":
            return write_json(bits, path)
        case ".csv":
            return write_text(_table(bits), path)
        case other:
            raise ArgumentError(
                f"{path!r} ends in {other!r}" if other else f"{path!r} does not say what it is to be",
                "call the file .json or .csv",
            )


def load_bits(
    path: str | os.PathLike[str], problem: Problem, default: int | None = None
) -> NDArray[np.uint8]:
    """The bit-widths in a file, uint8[Q], in the order of the problem's nodes.

    It may be what ``save_bits`` or ``save_json`` wrote, or what other tools and people write:

    * JSON, ``{name: width, ...}``;
    * CSV with a name and a width in each row, separated by comma, semicolon or tab, with a header or without.
      Of more than two columns those called ``node`` (or ``name``, ``layer``, ``module``) and ``bits`` (or
      ``width``, ``bit_width``, ``n_bits``) are read, and a column without a name where none holds the names,
      as pandas writes an index;
    * AIMET encodings, of schema 0.6.1 or 1.0.0, such as ``save_encodings`` writes: there a tensor is
      the one node that is called like it, or the one that is called like the layer, function or input of the
      network that gives it. Biases and what has 32 bits are left out.

    In the others a name means what it means to ``study.pin`` and ``study.enqueue``: a node by its name or
    alias; a layer, which is **its weight and its input**; a module, a glob or a kind, which are all nodes in
    it. So a table with one width a layer sets weights and activations alike. Where it means the weights
    alone, call its rows ``conv1.weight`` and give the inputs by rows of their own, or by ``default``. A later
    name may set some of the nodes of an earlier one to another width, as in ``{"*": 8, "conv1.weight": 4}``;
    any other two widths of one node are refused.

    Args:
        path: of the file: UTF-8, at most 16 MB.
        problem: whose nodes are meant.
        default: the width of all nodes that the file does not name; without it, each has to be named.

    Raises:
        ArgumentError: if the file cannot be read.
        DataError: if it is damaged, something else, names too few nodes, or contradicts itself; of encodings
            also if a tensor is not a node.
        UnknownNameError: if it names what the problem does not have.
        BitWidthError: if it has a width that the problem does not allow, or ``default`` is one.

    Warns:
        NemoWarning: if it is a record of a workload with another name.
    """
    path, problem = File().check("path", path), PROBLEM.check("problem", problem)
    return read_bits(path, problem, DEFAULT.check("default", default))


def _table(bits: dict[str, int]) -> str:
    """As CSV; names are quoted where blanks at their ends or line ends would be lost otherwise."""
    plain = all(name == name.strip() and name.isprintable() for name in bits)
    text = io.StringIO(newline="")
    writer = csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_MINIMAL if plain else csv.QUOTE_NONNUMERIC
    )
    writer.writerows([(NODE, BITS), *bits.items()])
    return text.getvalue()
