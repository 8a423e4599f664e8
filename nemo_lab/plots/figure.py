"""What every Bokeh figure of ours is: a layout with named sources, and columns to fill them."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.embed import file_html
from bokeh.models import ColumnDataSource, LayoutDOM
from bokeh.plotting import figure
from bokeh.resources import Resources

Column = Any  # float or integer array, list of text, or Coded
Columns = Mapping[str, Mapping[str, Column]]


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of text as small numbers into a table: cheap to send, expanded in the browser."""

    codes: np.ndarray
    labels: tuple[str, ...]

    def expand(self) -> list[str]:
        """The text itself."""
        return [self.labels[code] for code in self.codes]


@dataclass(frozen=True, eq=False)
class Plot:
    """A Bokeh layout whose data live in named sources.

    Attributes:
        layout: what is shown.
        sources: by name; every source that can be selected has a column ``key``.
        label: what it shows, for those who cannot see it.
    """

    layout: LayoutDOM
    sources: Mapping[str, ColumnDataSource]
    label: str

    def fill(self, columns: Columns) -> Plot:
        """Put data into the sources, for static output."""
        for name, data in columns.items():
            self.sources[name].data = {
                column: value.expand() if isinstance(value, Coded) else value
                for column, value in data.items()
            }
        return self

    def to_html(self) -> str:
        """A page of its own, with all that it takes to draw it without a network."""
        resources = Resources(mode="inline")
        return str(file_html(self.layout, resources, self.label))

    def _repr_html_(self) -> str:
        """The page as an output of a notebook, white in a dark theme, too."""
        page = html.escape(self.to_html())
        figures = getattr(self.layout, "children", [self.layout])
        height = 40 + max(one.height or 0 for one in figures)
        style = f"width: 100%; height: {height}px; border: 0; background: white"
        return f'<iframe title="{html.escape(self.label)}" srcdoc="{page}" style="{style}"></iframe>'


def source(name: str, *columns: str) -> ColumnDataSource:
    """An empty source that the browser finds by name."""
    return ColumnDataSource({column: [] for column in columns}, name=name)


def plain_figure(**options: Any) -> Any:
    """A Bokeh figure without a box and a toolbar, as wide as its place."""
    defaults: dict[str, Any] = {
        "sizing_mode": "stretch_width",
        "toolbar_location": None,
        "outline_line_color": None,
        "background_fill_color": None,
        "border_fill_color": None,
        "output_backend": "canvas",
    }
    made = figure(**{**defaults, **options})
    made.grid.grid_line_alpha = 0.35
    for axis in made.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_line_alpha = 0.5
        axis.minor_tick_line_color = None
    return made
