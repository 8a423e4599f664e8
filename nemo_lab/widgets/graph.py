"""The panel of the network, a node for every bit-width."""

from __future__ import annotations

from fnmatch import fnmatchcase

import ipywidgets as w
import numpy as np

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.plots.graph import DRAG, SIZES
from nemo_lab.plots.graph_layout import folded_at_first, graph_layout
from nemo_lab.widgets import text
from nemo_lab.widgets.figure import Figure
from nemo_lab.widgets.hub import Hub, View
from nemo_lab.widgets.measures import BITS, Measures
from nemo_lab.widgets.panel import Panel, field, row, title

LISTED = 3  # selected nodes that are named


class GraphPanel(Panel):
    """The network in execution order; nodes are selected by tap, box, name, glob and kind."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        problem = hub.problem
        self.info = infos.graph_info(problem)
        self._folded = folded_at_first(self.info)
        self._measures = Measures(hub, self.aside)
        self.figure = Figure(
            plots.graph_plot(self.info),
            selectable={"nodes": True, "folded": False, "blocks": False},
            on_select=self._tapped,
        )
        self.figure.drag = next(iter(DRAG))
        self.legend = w.HTML()
        self.chosen = w.HTML()
        self._compose(
            [
                title(f"Network: {len(problem.node_names)} bit-widths"),
                row(*self._looks()),
                self.legend,
                self.figure,
                row(*self._finding()),
                self.chosen,
            ]
        )
        self._arrange()

    def _looks(self) -> list[w.Widget]:
        """What colour and size show, and what part of the network."""
        self.color = field(w.Dropdown, "Colour", 190, 48, options=self._measures.names)
        self.size = field(w.Dropdown, "Size", 220, 32, options=list(SIZES))
        self.drag = field(
            w.Dropdown, "Drag to", 170, 64, options=[(label, key) for key, label in DRAG.items()]
        )
        self.drag.observe(self._drag, names="value")
        self.color.observe(lambda change: self._measures.choose(change["new"]), names="value")
        self.size.observe(lambda _: self.hub.redraw(), names="value")
        buttons = [
            self.button("Zoom in", "Show half of what is shown", lambda: self._move(0.25, 0.75)),
            self.button("Left", "What comes before", lambda: self._move(-0.5, 0.5)),
            self.button("Right", "What comes after", lambda: self._move(0.5, 1.5)),
            self.button("Whole", "Show the whole network", lambda: self._show_part(-np.inf, np.inf)),
        ]
        return [self.color, self.size, self.drag, *buttons]

    def _finding(self) -> list[w.Widget]:
        """Selection by name and kind, and folding: the twins of tap and box."""
        self.find = field(w.Text, "Find", 220, 32, placeholder="part of a name, or a glob")
        self.kind = field(w.Dropdown, "Kind", 200, 36, options=list(self.study.kinds))
        blocks = [(label, group) for group, (label, _, _) in enumerate(self.info.groups)]
        self.block = field(w.Dropdown, "Block", 200, 40, options=blocks)
        return [
            self.find,
            self.button("Select found", "Select every node whose name fits", self._find),
            self.kind,
            self.button(
                "Select kind",
                "Select every node of this kind",
                lambda: self.hub.select_nodes(self.study.positions(kind=str(self.kind.value))),
            ),
            self.block,
            self.button(
                "Open or fold", "Open this block, or fold it", lambda: self._turn(int(self.block.value))
            ),
            self.button("Select block", "Select every node of this block", self._select_block),
            self.button("Fold all", "Fold every block", lambda: self._fold(range(len(self.info.groups)))),
            self.button("Open all", "Open every block", lambda: self._fold(())),
            self.button("Select none", "Select no node", lambda: self.hub.select_nodes(())),
        ]

    def _drag(self, change: dict[str, str]) -> None:
        self.figure.drag = change["new"]

    def _tapped(self, name: str, keys: list[int]) -> None:
        if name == "nodes":
            self.hub.select_nodes(tuple(keys))
        else:
            self.do(lambda: self._turn(keys[-1]))

    def _find(self) -> None:
        wanted = self.find.value.strip()
        glob = wanted if any(sign in wanted for sign in "*?[") else f"*{wanted}*"
        found = [n for n, name in enumerate(self.info.names) if fnmatchcase(name, glob)]
        if not wanted or not found:
            raise ValueError(f"no node's name has {wanted!r} in it" if wanted else "type a part of a name")
        blocks = {group for group, (_, first, last) in enumerate(self.info.groups)
                  if any(first <= node <= last for node in found)}  # fmt: skip
        self._fold(self._folded - blocks)
        self.hub.select_nodes(tuple(found))

    def _select_block(self) -> None:
        _, first, last = self.info.groups[int(self.block.value)]
        self.hub.select_nodes(tuple(range(first, last + 1)))

    def _turn(self, group: int) -> None:
        self._fold(self._folded ^ {group})

    def _fold(self, groups: frozenset[int] | range | tuple[int, ...]) -> None:
        self._folded = frozenset(groups)
        self._arrange()
        self.hub.redraw()

    def _arrange(self) -> None:
        self._layout = graph_layout(self.info, self._folded)
        self._show_part(-np.inf, np.inf)

    def _move(self, start: float, end: float) -> None:
        """Show what lies between two parts of what is shown."""
        low, high = self.figure.ranges["network"]
        self._show_part(low + start * (high - low), low + end * (high - low))

    def _show_part(self, start: float, end: float) -> None:
        whole = (-1.0, self._layout.width)
        if end - start >= whole[1] - whole[0]:
            start, end = whole
        span = max(end - start, 4.0)
        start = min(max(start, whole[0]), whole[1] - span) if span < whole[1] - whole[0] else whole[0]
        self.figure.ranges = {"network": [start, min(start + span, whole[1])]}

    def show(self, view: View) -> None:
        """See ``Panel``."""
        widths, pins, size = self.problem.bit_widths, view.snapshot.pins, str(self.size.value)
        measured = self._measures.values(view.shown)
        columns = plots.graph_columns(
            self.info, view.shown, widths, pins, self._layout, measured=measured, size=size
        )
        self.figure.show(columns, {"nodes": view.nodes})
        if self._measures.chosen == BITS:
            self.legend.value = text.width_legend(widths)
        else:
            self.legend.value = self._measures.legend(measured)
        self.chosen.value = text.selected_nodes(self.info.names, view.nodes, LISTED)
