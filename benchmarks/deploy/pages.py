"""A page whose sections are written by several commands."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "RESULTS.md"


def replace_section(path: Path, text: str) -> None:
    """Put a section, which begins with its heading, in place of the one of that heading, or at the end."""
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    before, _, after = page.partition(text.partition("\n")[0] + "\n")
    _, heading, others = after.partition("\n## ")
    parts = [before.rstrip("\n"), text.strip("\n"), (heading + others).strip("\n")]
    path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def written_by(command: str, arguments: Mapping[str, Any]) -> str:
    """What wrote a page or section, when, and with which torch."""
    told = (
        f"--{key} {' '.join(map(str, value if isinstance(value, list) else [value]))}"
        for key, value in arguments.items()
    )
    versions = f"torch {importlib.metadata.version('torch')}, {platform.machine()}"
    return f"`python -m {' '.join([command, *told])}`, {datetime.date.today()}, {versions}."
