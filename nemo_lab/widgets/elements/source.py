"""Scripts and style sheets that lie beside the modules that use them."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def text(*names: str) -> str:
    """The files of these names in this folder, one after the other.

    anywidget is given text, not paths: for a path it keeps every widget that was ever made, to send it a
    file that changes.
    """
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)
