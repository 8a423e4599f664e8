"""How widgets look: a dashboard has hundreds of widgets, and few looks among them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import ipywidgets as w

_looks: ContextVar[dict[object, Any] | None] = ContextVar("looks", default=None)


@contextlib.contextmanager
def few_looks() -> Iterator[None]:
    """Let the widgets that ``alike`` makes inside share their layouts and styles.

    By itself every widget brings two of its own, which a browser has to make and keep as well. Those of one
    dashboard are shared, not those of a kernel: a page that knows a dashboard knows all that belongs to it.
    """
    token = _looks.set({})
    try:
        yield
    finally:
        _looks.reset(token)


def alike(kind: Any, layout: dict[str, str] | None = None, **options: Any) -> Any:
    """A widget that looks like others: nobody may write into its layout or its style.

    Args:
        kind: its class.
        layout: the fields of its layout.
        options: other arguments of the class; ``style`` by its fields.
    """
    if "style" in kind.class_trait_names():
        options["style"] = _look(kind.class_traits()["style"].klass, options.get("style") or {})
    return kind(layout=_look(w.Layout, layout or {}), **options)


def _look(kind: Any, fields: dict[str, str]) -> Any:
    looks = _looks.get()
    if looks is None:
        return kind(**fields)
    key = (kind, *sorted(fields.items()))
    if key not in looks:
        looks[key] = kind(**fields)
    return looks[key]
