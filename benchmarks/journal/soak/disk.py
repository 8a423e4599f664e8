"""A small disk of our own, which can be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = "size=96m"


@contextmanager
def own_disk(place: Path) -> Iterator[bool]:
    """Mount a disk at a new folder where that is allowed; says whether it is."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", SIZE, "tmpfs", str(place)]
    try:
        mounted = not subprocess.run(command, capture_output=True, check=False).returncode
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)
