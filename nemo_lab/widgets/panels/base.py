"""A panel of the dashboard: a heading, what it shows, and a notice about the latest action."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w

from nemo_lab.widgets import markup
from nemo_lab.widgets.elements.figure import Figure
from nemo_lab.widgets.elements.looks import alike
from nemo_lab.widgets.static import picture
from nemo_lab.widgets.view.records import View
from nemo_lab.widgets.view.state import ViewState

AUTO = {"width": "auto"}
WRAP = {"flex_flow": "row wrap", "align_items": "center"}
Action = Callable[[], object]


class PanelBox(w.VBox):
    """The widgets of a panel, with a word for places without a kernel."""

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": picture.ALONE}, metadata

    def _ipython_display_(self, **kwargs: Any) -> None:
        """The same in a notebook, as two outputs: where one cannot be shown, the other is."""
        from IPython.display import display

        display({**super()._repr_mimebundle_(**kwargs), "text/html": "<div></div>"}, raw=True)
        display({"text/plain": "a panel of nemo_lab", "text/html": picture.ALONE}, raw=True)


class Panel:
    """Base of the panels; each makes its widgets, then calls ``_compose`` with them.

    Args:
        state: what people look at, shared by all panels.

    Attributes:
        widget: to be shown, in the dashboard or alone.
        figures: in it, those seen first in front.
    """

    widget: PanelBox
    figures: tuple[Figure, ...] = ()

    def __init__(self, state: ViewState) -> None:
        self.state = state
        self.study, self.problem = state.study, state.problem
        self._notice = alike(w.HTML)
        self._notice.add_class("nemo-notices")

    def show(self, view: View) -> None:
        """Bring the panel to a view; only the publisher may call it."""
        raise NotImplementedError

    def notify(self, what: str | Exception) -> None:
        """Show under the panel what came of the latest action; only the publisher may call it."""
        self.state.clear_notice()
        self.state.clear_notice = self._clear_notice
        self._notice.value = markup.notice(what)

    def _clear_notice(self) -> None:
        self._notice.value = ""

    def do(self, action: Action) -> None:
        """Carry an action out soon, then draw; what goes wrong shows under this panel."""
        self.state.publisher.do(action, self.notify)

    def now(self, action: Action) -> None:
        """Carry out at once an action that only sets a flag."""
        self.state.publisher.now(action, self.notify)

    def in_background(self, action: Action) -> None:
        """Carry out a slow action on a thread of its own."""
        self.state.publisher.in_background(action, self.notify)

    def button(self, label: str, tooltip: str, action: Action, style: str = "") -> w.Button:
        """A button that posts an action and returns."""
        return self.press(label, tooltip, lambda: self.do(action), style)

    def press(self, label: str, tooltip: str, pressed: Callable[[], None], style: str = "") -> w.Button:
        """A button that calls ``pressed`` on whatever thread Jupyter has for it."""
        made: w.Button = alike(w.Button, AUTO, description=label, tooltip=tooltip, button_style=style)
        made.on_click(lambda _: pressed())
        return made

    def _compose(self, children: Sequence[w.Widget], **layout: Any) -> None:
        self.widget = PanelBox([*children, self._notice, self.state.theme], layout=layout)
        self.widget.add_class("nemo-panel")


class Throttle:
    """For figures that change little: lets a view through once a second while a run goes on, else always."""

    def __init__(self, seconds: float = 1.0) -> None:
        self._seconds, self._last = seconds, -math.inf

    def due(self, view: View) -> bool:
        """Whether to show a view."""
        now = time.monotonic()
        running = view.now.state == "running" and view.moment is None
        if running and now - self._last < self._seconds:
            return False
        self._last = now
        return True


def title(label: str) -> w.HTML:
    """The heading of a panel."""
    return alike(w.HTML, value=markup.title(label))


def row(*children: w.Widget) -> w.HBox:
    """Widgets side by side, in more rows where the place is narrow."""
    return alike(w.HBox, WRAP, children=children)


def field(kind: Any, label: str, width: int, label_width: int, **options: Any) -> Any:
    """A labelled input of a width in pixels, never wider than its place; a menu is as wide as its words."""
    wide = f"min({width}px, 98%)"
    layout = {"width": wide}
    if kind is w.Dropdown:
        layout = {"width": "auto", "min_width": wide, "max_width": "98%"}
    style = {"description_width": f"{label_width}px"}
    return alike(kind, layout, style=style, description=label, **options)
