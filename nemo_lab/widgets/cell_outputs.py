"""A cell that is run again takes away what it made before."""

from __future__ import annotations

import weakref

from nemo_lab.closing import Closable

_made: dict[str, tuple[str, weakref.WeakSet[Closable]]] = {}


def replace(made: Closable) -> None:
    """Close what an earlier run of the cell that runs now has made, and note that it made this.

    JupyterLab clears a cell's outputs when it runs again, but tells no widget. Where no cell has an identity,
    as in plain Python, nothing is closed.
    """
    cell, execution = _running()
    if not cell:
        return
    earlier, widgets = _made.get(cell, ("", weakref.WeakSet[Closable]()))
    if earlier != execution:
        for widget in list(widgets):
            widget.close()
        widgets = weakref.WeakSet()
        _made[cell] = execution, widgets
    widgets.add(made)


def _running() -> tuple[str, str]:
    """Id of the cell that runs, and of this run of it; empty where there is none."""
    from IPython.core.getipython import get_ipython

    parent = getattr(get_ipython(), "parent_header", None) or {}
    cell = parent.get("metadata", {}).get("cellId") or ""
    return str(cell), str(parent.get("header", {}).get("msg_id", ""))
