"""Files that are written and tried beside their places, and take them once all is well."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nemo_lab.arguments import File
from nemo_lab.errors import ArgumentError
from nemo_lab.files import unwritable


def place(path: Any, ending: str) -> Path:
    """Where a file is to be, whose name says what it is.

    Raises:
        ArgumentError: if it is not a path, or ends otherwise.
    """
    target = Path(File().check("path", path))
    if target.suffix.lower() != ending:
        raise ArgumentError(f"{str(target)!r} does not end in {ending}", f"call the file {ending}")
    return target


@contextmanager
def placing(*targets: Path) -> Iterator[list[Path]]:
    """Where to write each file first; all take their places at the end, none after an error.

    Args:
        targets: in one folder; a file that is there is replaced.

    Raises:
        ArgumentError: if one cannot be written.
    """
    try:
        folders = [target for target in targets if target.is_dir()]
        if folders:
            raise IsADirectoryError(21, "Is a directory", str(folders[0]))
        with tempfile.TemporaryDirectory(dir=targets[0].parent, prefix=".nemo_lab-") as folder:
            made = [Path(folder) / target.name for target in targets]
            yield made
            for one, target in zip(made, targets, strict=True):
                os.replace(one, target)
    except OSError as error:
        raise unwritable(targets[0], error) from error
