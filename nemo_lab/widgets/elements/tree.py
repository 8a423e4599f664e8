"""Every widget of a tree, and closing all of them: a browser and a kernel keep each until it is closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ipywidgets import Widget


def tree(root: Widget) -> Iterator[Widget]:
    """A widget and every other that it refers to, each once: children, layouts, styles.

    Widgets that have ``shared = True`` belong to the kernel, and are left out.
    """
    waiting, found = [root], set[int]()
    while waiting:
        widget = waiting.pop()
        if id(widget) in found or getattr(widget, "shared", False):
            continue
        found.add(id(widget))
        yield widget
        for name in widget.keys:
            waiting += _widgets(getattr(widget, name))


def close_tree(root: Widget) -> None:
    """Close a widget and all in it, in every view; twice does no more than once."""
    for widget in list(tree(root)):
        Widget.close(widget)  # not what a root makes of it, which calls this


def _widgets(value: Any) -> Iterable[Widget]:
    if isinstance(value, Widget):
        return (value,)
    if isinstance(value, list | tuple):
        return [one for one in value if isinstance(one, Widget)]
    return ()
