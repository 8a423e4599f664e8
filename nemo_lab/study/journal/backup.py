"""A copy of a whole file, at one moment, while it is written."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from nemo_lab.study.journal.fresh import fresh
from nemo_lab.study.journal.lock import NOBODY
from nemo_lab.study.journal.opening import Path_, real
from nemo_lab.study.journal.schema import connect, explained


def backup(path: Path_, new_path: Path_) -> None:
    """Copy a journal with all its studies, consistent also while runs write them.

    Args:
        path: of the journal.
        new_path: of the copy.

    Raises:
        StorageError: if the journal cannot be read, or there is a file of the new name.
    """
    with (
        fresh(real(new_path)) as place,
        closing(connect(real(path), write=False)) as old,
        explained(real(new_path), "write to"),
        closing(sqlite3.connect(place)) as new,
    ):
        old.backup(new)
        new.execute("UPDATE studies SET writer = ?", (NOBODY,))
        new.commit()
