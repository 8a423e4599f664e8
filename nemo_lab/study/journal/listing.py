"""What studies a file has."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pandas as pd

from nemo_lab.arguments import File
from nemo_lab.errors import StorageError, UnknownNameError
from nemo_lab.study.journal import contents
from nemo_lab.study.journal.journal import Journal
from nemo_lab.study.journal.lock import check_names
from nemo_lab.study.journal.opening import real
from nemo_lab.study.journal.schema import connect, explained

COLUMNS = ("name", "workload", "evaluations", "steers", "state", "seed", "created")
UNREADABLE = "unreadable"  # the state of a study whose head is damaged


def studies(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The studies of a journal, the oldest first, by name.

    One that is damaged has the state ``"unreadable"``, and hides none of the others.

    Raises:
        StorageError: if the file cannot be read.
    """
    place = real(File().check("path", path))
    with closing(connect(place, write=False)) as connection, explained(place, "read"):
        check_names(connection, place)
        names = list(contents.names(connection))
    rows = [(name, *_row(place, name)) for name in names]
    return pd.DataFrame(rows, columns=list(COLUMNS)).set_index("name")


def _row(place: Path, name: str) -> tuple[object, ...]:
    try:
        with Journal.open(place, name, write=False) as journal:
            header, (status, (evaluations, _, steers)) = journal.header, journal.status()
    except (StorageError, UnknownNameError):
        return "", 0, 0, UNREADABLE, None, ""
    state = str(status.get("state", "idle"))
    return header.problem.title, evaluations, steers, state, header.seed, header.created
