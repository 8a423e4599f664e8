"""What studies a file has."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from nemo_lab.study.journal.journal import Journal
from nemo_lab.study.journal.schema import connect, explained

COLUMNS = ("name", "workload", "evaluations", "steers", "state", "seed", "created")


def studies(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The studies of a journal, the oldest first, by name.

    Raises:
        StorageError: if the file cannot be read.
    """
    place = Path(path)
    connection = connect(place, write=False)
    try:
        with explained(place, "read"):
            names = [name for (name,) in connection.execute("SELECT name FROM studies ORDER BY study")]
    finally:
        connection.close()
    rows = []
    for name in names:
        with Journal.open(place, name, write=False) as journal:
            header, (status, (evaluations, _, steers)) = journal.header, journal.status()
            state = str(status.get("state", "idle"))
            rows.append((name, header.problem.title, evaluations, steers, state, header.seed, header.created))
    return pd.DataFrame(rows, columns=list(COLUMNS)).set_index("name")
