"""A control that two write: the publisher, to show a value, and a person, to ask for another."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as w


class Control:
    """Reports what a person did with a widget, and not what the publisher showed in it.

    Args:
        widget: that people use.
        on_person: called with the value that a person chose, on the thread that Jupyter delivers messages
            on, so it must return at once.
        trait: of the widget that holds the value.

    Only the publisher calls ``show``, on any thread; a person's choice arrives on another, or on the same one
    at another time. Who wrote a value is told by the thread that is inside ``show``, and by the value itself:
    ipywidgets may deliver the publisher's write together with a message that another thread is taking in.
    """

    def __init__(self, widget: w.Widget, on_person: Callable[[Any], object], trait: str = "value") -> None:
        self._widget, self._on_person, self._trait = widget, on_person, trait
        self._writer: int | None = None  # the thread that is inside show
        self._known: object = self.value
        widget.observe(self._changed, names=trait)

    @property
    def value(self) -> Any:
        """What the widget holds now."""
        return getattr(self._widget, self._trait)

    def show(self, value: object, **traits: object) -> None:
        """Show a value, together with other traits that have to fit it, such as its range or its options."""
        changed = {name: one for name, one in traits.items() if getattr(self._widget, name) != one}
        if not changed and self.value == value:
            return
        self._known, self._writer = value, threading.get_ident()
        try:
            # one message where there is more than one value: no view ever shows half of it
            with self._widget.hold_sync() if changed else contextlib.nullcontext():
                for name, one in changed.items():
                    setattr(self._widget, name, one)
                setattr(self._widget, self._trait, value)
        finally:
            self._writer = None

    def _changed(self, change: Any) -> None:
        if threading.get_ident() == self._writer or change["new"] == self._known:
            return
        self._known = change["new"]
        self._on_person(change["new"])
