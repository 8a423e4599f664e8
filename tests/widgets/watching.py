"""Ways to look at a dashboard without a browser: its words, and the numbers in its frames."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any, TypeVar

import ipywidgets
import numpy as np

from nemo_lab.widgets.elements.figure import Figure
from nemo_lab.widgets.elements.slider import Slider
from tests import waiting

Seen = TypeVar("Seen")
DRAWING = threading.RLock()  # held by who draws a dashboard, and by who looks at one
DTYPES = {"f4": "<f4", "i4": "<i4", "u1": "<u1"}  # as figure.js reads them


def until(look: Callable[[], Seen]) -> Seen:
    """See ``tests.waiting.until``; what comes true has been drawn to the end, in all panels."""

    def look_at_whole() -> Seen:
        with DRAWING:
            return look()

    return waiting.until(look_at_whole)


def members(widget: Any, kind: type) -> list[Any]:
    """Every widget of a kind inside a widget, in the order shown."""
    found = [widget] if isinstance(widget, kind) else []
    for child in getattr(widget, "children", ()):
        found += members(child, kind)
    return found


def markup(widget: Any) -> str:
    """All HTML that a widget shows."""
    return "\n".join(one.value for one in members(widget, ipywidgets.HTML))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(html: str) -> _Page:
    """HTML as a browser would take it: the tags that come alive, and the words people read."""
    page = _Page()
    page.feed(html)
    page.close()
    return page


def words(widget: Any) -> str:
    """What people read in a widget."""
    return "".join(parsed(markup(widget)).words)


def button(widget: Any, description: str) -> Any:
    """The one button of that text."""
    (found,) = (one for one in members(widget, ipywidgets.Button) if one.description == description)
    return found


def control(panel: Any, label: str) -> Any:
    """The one control of a panel that is called so, by what is written beside it."""

    def name(one: Any) -> str:
        return str(one.label if isinstance(one, Slider) else getattr(one, "description", ""))

    inputs = (one for one in members(panel, ipywidgets.DOMWidget) if not isinstance(one, ipywidgets.Button))
    (found,) = (one for one in inputs if name(one) == label)
    return found


def buttons(widget: Any) -> set[str]:
    """What is written on the buttons that can be pressed."""
    return {one.description for one in members(widget, ipywidgets.Button) if not one.disabled}


def selected_nodes(dashboard: Any) -> tuple[int, ...]:
    """The nodes that are selected in the list."""
    return tuple(control(dashboard.steering, "Nodes").index)


def loaded(dashboard: Any) -> int:
    """The configuration that the inspector shows, -1 for none."""
    text = words(dashboard.inspector)
    return int(text.split("study.config(")[1].split(")")[0]) if "study.config(" in text else -1


def numbers(packed: dict[str, Any]) -> Any:
    """A column's numbers, from the bytes that go to the browser."""
    return np.frombuffer(packed["data"], dtype=DTYPES[packed["dtype"]])


def column(figure: Figure, source: str, name: str) -> list[Any]:
    """A column of the frame a figure shows."""
    packed = figure.frame["columns"][source][name]
    if isinstance(packed, list):
        return packed
    if "labels" in packed:
        return [packed["labels"][code] for code in numbers(packed)]
    found: list[Any] = numbers(packed).tolist()
    return found


def figure(panel: Any, label: str) -> Figure:
    """The one figure whose description for those who cannot see it starts so."""
    found: list[Figure] = []

    def there() -> bool:
        found[:] = (one for one in members(panel, Figure) if one.label.startswith(label))
        return bool(found)

    until(there)  # figures come after the words
    (one,) = found
    return one


def frame_bytes(frame: dict[str, Any]) -> int:
    """What a frame costs to send: the bytes of its numbers and the JSON of all else."""
    buffers = 0

    def without(value: Any) -> Any:
        nonlocal buffers
        if isinstance(value, bytes):
            buffers += len(value)
            return None
        return value

    text = json.dumps(
        {
            source: {
                name: {key: without(part) for key, part in packed.items()}
                if isinstance(packed, dict)
                else packed
                for name, packed in columns.items()
            }
            for source, columns in frame["columns"].items()
        }
    )
    return buffers + len(text)
