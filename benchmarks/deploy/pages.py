"""A page whose sections are written by several commands."""

from __future__ import annotations

from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


def replace_section(path: Path, text: str) -> None:
    """Put a section, which begins with its heading, in place of the one of that heading, or at the end."""
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    before, _, after = page.partition(text.partition("\n")[0] + "\n")
    _, heading, others = after.partition("\n## ")
    parts = [before.rstrip("\n"), text.strip("\n"), (heading + others).strip("\n")]
    path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
