"""The front panel: three views of all evaluated configurations and of the front among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.layouts import row
from bokeh.models import (
    BoxSelectTool,
    BoxZoomTool,
    ColorBar,
    DataRange1d,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    PanTool,
    TapTool,
)
from bokeh.palettes import Viridis256
from bokeh.transform import transform

from nemo_lab.plots import style
from nemo_lab.plots.figure import Coded, Columns, Plot, plain_figure, source
from nemo_lab.plots.front_info import FrontInfo
from nemo_lab.search.objective import Objective
from nemo_lab.study.results.frames import NO_SPECIES

# what lies across, what upright, and what is the colour in each view
VIEWS = {"left": ("x1", "y", "x2"), "right": ("x2", "y", "x1"), "map": ("x1", "x2", "y")}
PLACES = ("y", "x1", "x2")  # of the three objectives drawn
ROOM = 0.2  # of an upright range, for the labels of the references
DRAG = {"": "does nothing", "box_zoom": "zooms", "pan": "moves", "box_select": "asks for a box"}


def front_plot(axes: tuple[Objective, Objective, Objective]) -> Plot:
    """An empty front panel for three objectives, see ``drawn_objectives``; ``front_columns`` fills it."""
    common = ("key", *PLACES, "species", "generation")
    sources = {
        "evaluated": source("evaluated", *common, "alpha"),
        "beyond": source("beyond", *common),
        "front": source("front", *common, "marker"),
        "held": source("held", "key", *PLACES, "low", "high", "text"),
        "references": source("references", *PLACES, "text"),
        "chosen": source("chosen", *PLACES),
        "asked": source("asked", *(f"{end}_{place}" for place in PLACES for end in ("low", "high"))),
    }
    called = dict(zip(PLACES, axes, strict=True))
    ranges = {place: DataRange1d(name=place, range_padding=0.08) for place in PLACES}
    ranges["y"].range_padding = ROOM
    figures = []
    for name, (x, y, color) in VIEWS.items():
        third = called[color]
        low, high = sorted(float(third.display.of(end)) for end in (third.low, third.high))
        mapper = LinearColorMapper(Viridis256, low=low, high=high, name=f"color_{name}")
        p = plain_figure(
            name=name,
            height=320,
            min_width=290,
            tools=[
                PanTool(name="pan"),
                BoxZoomTool(name="box_zoom"),
                BoxSelectTool(name="box_select", renderers=[], persistent=False),
            ],
            x_axis_label=called[x].axis,
            y_axis_label=called[y].axis,
            x_range=ranges[x],
            y_range=DataRange1d(name="map", range_padding=ROOM) if name == "map" else ranges[y],
            active_drag=None,
        )
        _draw(p, sources, x, y, transform(color, mapper))
        _explain(p, axes, [called[x], called[y]])
        p.add_layout(_color_bar(mapper, third), "right")
        figures.append(p)
    layout = row(*figures, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"})
    labels = [one.axis for one in axes]
    label = f"Pareto front: {labels[0]} over {labels[1]}, over {labels[2]}, and as a colour over both"
    return Plot(layout, sources, label)


def _draw(p: Any, sources: Any, x: str, y: str, color: Any) -> None:
    """All glyphs of one view, from the background to the foreground."""
    p.quad(
        f"low_{x}", f"high_{x}", f"high_{y}", f"low_{y}",
        source=sources["asked"], fill_color=style.SELECTION_COLOR, fill_alpha=0.08,
        line_color=style.SELECTION_COLOR, line_dash="dashed", line_width=1.5,
    )  # fmt: skip
    evaluated = p.scatter(
        x, y, source=sources["evaluated"], size=5, color=style.MUTED, alpha="alpha", line_color=None
    )
    beyond = p.scatter(x, y, source=sources["beyond"], size=9, fill_color=None, line_width=1, line_alpha=0.7)
    beyond.glyph.tags = [style.FAINT]
    references = p.scatter(
        x, y, source=sources["references"], size=9, marker="x", line_width=2, line_color=style.MUTED
    )
    references.glyph.tags = [style.FAINT]
    labels = p.text(
        x, y, "text", source=sources["references"], text_font_size="11px", text_align="center", y_offset=-7
    )
    labels.glyph.tags = [style.INK]
    front = p.scatter(x, y, source=sources["front"], marker="marker", size=11, fill_color=color, line_width=1)
    front.glyph.tags = [style.INK]
    front.name = "front"
    if y == "y":
        bars = p.segment(x, "low", x, "high", source=sources["held"], line_width=1.5)
        bars.glyph.tags = [style.INK]
        held = p.scatter(
            x, y, source=sources["held"], marker="dash", size=11, line_width=3, line_color=style.PIN_COLOR
        )
        p.add_tools(HoverTool(renderers=[held], tooltips=[("config", "@key"), ("held out", "@text")]))
    p.scatter(
        x, y, source=sources["chosen"], size=20, fill_color=None, line_color=style.SELECTION_COLOR,
        line_width=3,
    )  # fmt: skip
    taken = [evaluated, beyond, front]
    for renderer in taken:
        renderer.nonselection_glyph = renderer.selection_glyph = None
    p.add_tools(TapTool(renderers=taken))
    p.select_one(TapTool).name = None


def _explain(p: Any, objectives: Sequence[Objective], upon: Sequence[Objective]) -> None:
    """What shows under the mouse, and how the numbers of both axes are written."""
    shown = [
        (one.axis, f"@{place}{{{one.format.hover}}}") for place, one in zip(PLACES, objectives, strict=True)
    ]
    taken = p.select_one(TapTool).renderers
    tooltips = [("config", "@key"), *shown, ("species", "@species"), ("generation", "@generation")]
    p.add_tools(HoverTool(renderers=taken, tooltips=tooltips))
    for axis, one in zip((p.xaxis, p.yaxis), upon, strict=True):
        if one.format.ticks:
            axis.formatter = NumeralTickFormatter(format=one.format.ticks)


def _color_bar(mapper: LinearColorMapper, one: Objective) -> ColorBar:
    bar = ColorBar(
        color_mapper=mapper,
        title=one.label,
        width=8,
        padding=6,
        title_text_font_style="normal",
        background_fill_color=None,
    )
    if one.format.ticks:
        bar.formatter = NumeralTickFormatter(format=one.format.ticks)
    return bar


class Places:
    """A row for every member of the front that it keeps while it is one, so that few rows change.

    Rows that are free have config id -1 and are not drawn.
    """

    def __init__(self) -> None:
        self._rows = np.zeros(0, dtype=np.intp)

    def of(self, ids: np.ndarray) -> np.ndarray:
        """int[R]: the config id in every row, for int[F] config ids."""
        rows = np.where(np.isin(self._rows, ids), self._rows, -1)
        new = ids[~np.isin(ids, rows)]
        free = np.flatnonzero(rows < 0)
        if len(free) > 3 * len(ids):  # many went at once: begin anew
            rows, new, free = rows[:0], ids, free[:0]
        rows[free[: len(new)]] = new[: len(free)]
        self._rows = np.concatenate([rows, new[len(free) :]])
        return self._rows


def front_columns(
    info: FrontInfo,
    chosen: int | None = None,
    references: Sequence[tuple[str, np.ndarray]] = (),
    members: np.ndarray | None = None,
) -> Columns:
    """The data of the front panel.

    Args:
        info: of a snapshot.
        chosen: config id to ring.
        references: text and drawn values float[3] of points for orientation.
        members: the front's config ids, as ``Places`` puts them.
    """
    names = (*info.species_names, NO_SPECIES)
    position = np.where(info.species < 0, len(names) - 1, info.species).astype(np.uint8)

    def points(ids: np.ndarray, shown: np.ndarray) -> dict[str, object]:
        return {
            "key": np.where(ids >= 0, info.config[ids], -1).astype(np.int32) if len(ids) else ids,
            **{
                place: np.where(shown, info.values[ids, k], np.nan) if len(ids) else np.zeros(0)
                for k, place in enumerate(PLACES)
            },
            "species": Coded(position[ids], names),
            "generation": info.generation[ids],
        }

    # every evaluation keeps its row, so that only what is new is sent; those drawn strongly have no place
    strong = info.on_front.copy()
    strong[info.beyond] = True
    markers = tuple(style.species_marker(s) for s in (*range(len(info.species_names)), -1))
    best = np.flatnonzero(info.on_front) if members is None else members
    ring = info.values[[chosen] if chosen is not None and chosen < len(info.config) else []]
    drawn = np.array([values for _, values in references], dtype=np.float64).reshape(-1, 3)
    held = info.held_out[:, 0].astype(np.intp)
    return {
        "evaluated": {**points(info.config, ~strong), "alpha": np.where(info.feasible, 0.45, 0.12)},
        "beyond": points(info.beyond, info.beyond >= 0),
        "front": {**points(best, best >= 0), "marker": Coded(position[best], markers)},
        "held": {
            "key": held.astype(np.int32),
            "y": info.held_out[:, 1],
            "x1": info.values[held, 1],
            "x2": info.values[held, 2],
            "low": info.held_out[:, 2],
            "high": info.held_out[:, 3],
            "text": list(info.held_out_text),
        },
        "references": {**_placed(drawn), "text": [text for text, _ in references]},
        "chosen": _placed(ring),
        "asked": _asked(info),
    }


def _placed(values: np.ndarray) -> dict[str, np.ndarray]:
    return {place: values[:, k] for k, place in enumerate(PLACES)}


def _asked(info: FrontInfo) -> dict[str, np.ndarray]:
    """The box asked for; where an objective is free, it reaches over all that can be reached."""
    if np.isnan(info.asked).all():
        return {f"{end}_{place}": np.zeros(0) for place in PLACES for end in ("low", "high")}
    box = np.where(np.isnan(info.asked), info.bounds, info.asked)
    return {
        f"{end}_{place}": box[[row_], k]
        for k, place in enumerate(PLACES)
        for row_, end in enumerate(("low", "high"))
    }


def front_ranges(values: np.ndarray) -> dict[str, list[float]]:
    """Ranges of the views that show points float[N, 3] and little else; none without points."""
    if not len(values):
        return {}
    found = {}
    for k, place in enumerate(PLACES):
        low, high = float(values[:, k].min()), float(values[:, k].max())
        room = 0.06 * (high - low) or 0.01
        found[place] = [low - room, high + room]
    return {**found, "map": found["x2"]}
